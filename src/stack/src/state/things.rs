//! What a state holds beside what has modules of its own, and the messages for it.
#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

/// What the programs of the net see of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum View {
    /// The machine's own interfaces, addresses and routes, and the net's beside them.
    #[default]
    Merged,
    /// `lo`, declared uplinks and the net's interfaces, as in a network namespace of its own.
    Isolated,
}

/// A value under /proc/sys/net that was set in the net.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sysctl {
    /// Path below /proc/sys/net, for example `ipv4/conf/tun0/rp_filter`; `#INDEX` stands for the
    /// name of an interface, so that it follows a change of its name.
    pub path: Vec<u8>,
    /// The text that reading it gives, without the line's end.
    pub value: Vec<u8>,
}

/// A label of IPv6 addresses, by which a source address is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// The addresses' network.
    pub prefix: Ipv6Addr,
    /// Length of its prefix in bits.
    pub length: u8,
    /// Index of the link on which it is for, 0 for all.
    pub index: u32,
    /// The label.
    pub label: u32,
}

/// Length in bytes of a [`Seal`].
pub const SEAL: usize = 16;

/// The secret of a program's netlink socket, without which the socket takes no datagram.
pub type Seal = [u8; SEAL];

/// A netlink socket of a program that wants to be told of changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Port of the socket.
    pub port: u32,
    /// Inode of the socket, by which another socket with the same port is told apart.
    pub inode: u64,
    /// Bits of the groups that it has joined: group `g` is bit `g - 1`. [`OVERRUN`] stands among
    /// them.
    pub groups: u64,
    /// What stands behind each datagram that the socket takes.
    pub seal: Seal,
}

/// The bit among the groups of a [`Listener`] that says that it has lost an event, and has not been
/// told of that yet. No group has it.
pub const OVERRUN: u64 = 1 << 62;

/// Something of the machine's that the net hides, because a program of the net has deleted it:
/// the whole message that described it.
pub type Hidden = Vec<u8>;

/// The last questions that changed something, and what was answered: whoever asks again, because
/// the host process was killed before it had answered, gets the same answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// Number of the question.
    pub id: u64,
    /// The packets of the answer, each with its length in 4 bytes in front.
    pub packets: Vec<u8>,
}

// The messages of the file beside those of rtnetlink.
pub(super) const ABOUT: u16 = 0x1000;
pub(super) const SYSCTL: u16 = 0x1001;
pub(super) const LISTENER: u16 = 0x1002;
pub(super) const HIDDEN: u16 = 0x1003;
pub(super) const ANSWERED: u16 = 0x1004;
pub(super) const TABLE: u16 = 0x1005;
pub(super) const LABELS: u16 = 0x1006;

// Attributes of those messages.
pub(super) const VIEW: u16 = 1;
pub(super) const RULED: u16 = 2;
pub(super) const LAST: u16 = 3;
pub(super) const PATH: u16 = 1;
pub(super) const VALUE: u16 = 2;
