//! Options of setsockopt(2) that name an interface.
#![forbid(unsafe_code)]

use super::row::{Answer, Named};

/// One option of SOL_SOCKET that names an interface.
#[derive(Debug)]
pub struct SocketOption {
    /// Name of the macro.
    pub name: &'static str,
    /// Number of the macro.
    pub number: i32,
    /// Where the option's value names the interface.
    pub interface: Named,
    /// What memtun does with the option.
    pub answer: Answer,
    /// Description for people, in one line.
    pub doc: &'static str,
}

const NO_PACKETS: Answer = Answer::Absent(
    libc::EOPNOTSUPP,
    "sockets do not send or receive over an interface of the net",
);

/// Every option that names an interface.
pub const SOCKET_OPTIONS: &[SocketOption] = &[
    SocketOption {
        name: "SO_BINDTODEVICE",
        number: libc::SO_BINDTODEVICE,
        interface: Named::Name(0),
        answer: NO_PACKETS,
        doc: "Binds a socket to an interface by its name.",
    },
    SocketOption {
        name: "SO_BINDTOIFINDEX",
        number: libc::SO_BINDTOIFINDEX,
        interface: Named::Index(0),
        answer: NO_PACKETS,
        doc: "Binds a socket to an interface by its index.",
    },
];

/// Returns the option of this level and number, if it is one that names an interface.
#[inline]
pub fn option_of(level: i32, number: i32) -> Option<&'static SocketOption> {
    if level != libc::SOL_SOCKET {
        return None;
    }
    SOCKET_OPTIONS.iter().find(|o| o.number == number)
}
