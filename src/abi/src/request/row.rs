//! What a row of the table says.
#![forbid(unsafe_code)]

use super::ctype::CType;

/// One request on one kind of descriptor. A request that means something else on another kind has a
/// second row.
#[derive(Debug)]
pub struct Request {
    /// The macro's name.
    pub name: &'static str,
    /// The macro's number.
    pub number: u32,
    /// How many numbers from `number` on are the same request; 1 but for those that drivers number
    /// themselves.
    pub count: u32,
    /// What the third argument is.
    pub argument: Argument,
    /// On which descriptors the row holds.
    pub on: On,
    /// Which permission of the net it needs.
    pub need: Need,
    /// Where the argument names the interface.
    pub interface: Named,
    /// What memtun does.
    pub answer: Answer,
    /// One line for people.
    pub doc: &'static str,
}

/// The third argument of ioctl(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Not looked at.
    Unused,
    /// A number.
    Value,
    /// Points to something that is read.
    In(CType),
    /// Points to room for something that is written.
    Out(CType),
    /// Points to something that is read and written.
    InOut(CType),
}

/// Kinds of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Every descriptor: the kernel answers before a driver is asked.
    Any,
    /// A tunnel, with or without an interface.
    Tunnel,
    /// A tunnel that has an interface; without one the answer is EBADFD.
    Attached,
    /// A tunnel whose interface is a tap; on a tun it is an unknown request.
    Tap,
    /// A socket of any family.
    Socket,
    /// An AF_INET or AF_PACKET socket; on others it is an unknown request.
    Inet,
    /// An AF_INET6 socket.
    Inet6,
}

/// Permissions of a net that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// None: it is not about an interface of the net.
    Nothing,
    /// "ioctl".
    Ioctl,
    /// "ioctl", and "net_admin" before the interface is looked for.
    NetAdmin,
}

/// Where an argument names its interface. Offsets are bytes in what the argument points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Nowhere.
    Nowhere,
    /// It is the tunnel's own.
    Own,
    /// Its name, 16 bytes.
    Name(usize),
    /// A pointer to its name. NULL names none.
    NameBehind(usize),
    /// Its index, 32 bits.
    Index(usize),
}

/// What memtun does with a request, beside the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The same.
    Exact,
    /// The same but for this.
    Approximate(&'static str),
    /// Always this errno, as the kernel for a tun: why.
    Refused(i32, &'static str),
    /// This errno and a line in the log, where the kernel does something: what is missing.
    Absent(i32, &'static str),
    /// The host answers: why.
    Host(&'static str),
}

impl Request {
    /// Is this number the row's?
    pub fn is(&self, number: u32) -> bool {
        number.wrapping_sub(self.number) < self.count
    }

    /// Does the row hold on tunnels?
    pub fn is_of_tunnel(&self) -> bool {
        matches!(self.on, On::Any | On::Tunnel | On::Attached | On::Tap)
    }

    /// Does the row hold on sockets of this family?
    pub fn is_of_family(&self, family: i32) -> bool {
        match self.on {
            On::Inet => family == libc::AF_INET || family == libc::AF_PACKET,
            On::Inet6 => family == libc::AF_INET6,
            On::Socket | On::Any => true,
            On::Tunnel | On::Attached | On::Tap => false,
        }
    }

    /// Would a fault on it ever strike: is it made on tunnels, or about an interface of the net?
    pub fn takes_fault(&self) -> bool {
        self.is_of_tunnel() || self.interface != Named::Nowhere
    }
}
