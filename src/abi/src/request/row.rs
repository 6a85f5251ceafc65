//! What a row of the table says about a request.
#![forbid(unsafe_code)]

use super::ctype::CType;
use crate::Label;

/// One request on one kind of descriptor. A request that means something else on another kind has a
/// second row.
#[derive(Debug)]
pub struct Request {
    /// Name of the macro.
    pub name: Label<24>,
    /// Number of the macro.
    pub number: u32,
    /// How many numbers from `number` on are the same request. It is 1 except for requests that a
    /// driver or a protocol numbers itself.
    pub count: u32,
    /// What the third argument of ioctl(2) is.
    pub argument: Argument,
    /// The descriptors for which the row holds.
    pub on: On,
    /// The permission of the net that the request needs.
    pub need: Need,
    /// Where the argument names the interface.
    pub interface: Named,
    /// What memtun does with the request.
    pub answer: Answer,
    /// Description for people, in one line.
    pub doc: Label<120>,
}

/// The third argument of ioctl(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The argument is not looked at.
    Unused,
    /// The argument is a number.
    Value,
    /// The argument points to something that is read from the program.
    In(CType),
    /// The argument points to room for something that the program gets.
    Out(CType),
    /// The argument points to something that is read and then written.
    InOut(CType),
}

/// Kinds of descriptors on which a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Every descriptor: the kernel answers before it asks a driver.
    Any,
    /// A tunnel, with or without an interface.
    Tunnel,
    /// A tunnel that has an interface; without one the answer is EBADFD.
    Attached,
    /// A tunnel whose interface is a TAP; on a TUN the request is unknown.
    Tap,
    /// A socket of any family.
    Socket,
    /// An AF_INET or AF_PACKET socket; on others the request is unknown.
    Inet,
    /// An AF_INET6 socket.
    Inet6,
}

/// The permissions of a net that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No permission, because the request is not about an interface of the net.
    Nothing,
    /// The permission "ioctl".
    Ioctl,
    /// The permission "ioctl", and "net_admin", which is checked before the interface is looked
    /// for.
    NetAdmin,
}

/// Where an argument names its interface. Offsets are in bytes from where the argument points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The argument names no interface.
    Nowhere,
    /// The request is about the tunnel's own interface.
    Own,
    /// The name of the interface stands at this offset, 16 bytes long.
    Name(usize),
    /// A pointer to the name stands at this offset. NULL names no interface.
    NameBehind(usize),
    /// The index of the interface stands at this offset, 32 bits long.
    Index(usize),
}

/// What memtun does with a request, compared with the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does the same as the kernel.
    Exact,
    /// It does the same except for this difference.
    Approximate(Label<120>),
    /// The host of the net answers as the kernel's network stack does: out of its state, or asked
    /// for a change.
    Stack,
    /// It always answers this errno, as the kernel does for a TUN, for this reason.
    Refused(i32, Label<120>),
    /// It answers this errno and logs a line where the kernel does something; the text says what
    /// is missing.
    Absent(i32, Label<120>),
    /// The host answers, for this reason.
    Host(Label<120>),
}

/// Answers as the kernel does, with this difference.
pub const fn approximate(difference: &str) -> Answer {
    Answer::Approximate(Label::new(difference))
}

/// Answers this errno, for this reason.
pub const fn refused(errno: i32, reason: &str) -> Answer {
    Answer::Refused(errno, Label::new(reason))
}

/// Leaves the answer to the host, for this reason.
pub const fn host(reason: &str) -> Answer {
    Answer::Host(Label::new(reason))
}

impl Request {
    /// Is this number one of the row's?
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

    /// Would a fault on this request ever strike? It would if the request is made on tunnels, or is
    /// about an interface of the net.
    pub fn takes_fault(&self) -> bool {
        self.is_of_tunnel() || self.interface != Named::Nowhere
    }
}
