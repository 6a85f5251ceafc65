//! Options of setsockopt(2) that name an interface.
#![forbid(unsafe_code)]

use super::row::{Answer, Named};

/// One option of SOL_SOCKET.
#[derive(Debug)]
pub struct SocketOption {
    /// The macro's name.
    pub name: &'static str,
    /// The macro's number.
    pub number: i32,
    /// Where its value names the interface.
    pub interface: Named,
    /// What memtun does.
    pub answer: Answer,
    /// One line for people.
    pub doc: &'static str,
}

const NO_PACKETS: Answer = Answer::Absent(
    libc::EOPNOTSUPP,
    "sockets do not send or receive over an interface of the net",
);

/// All of them.
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

/// The option of this number, if it is one that names an interface.
#[inline]
pub fn option_of(level: i32, number: i32) -> Option<&'static SocketOption> {
    if level != libc::SOL_SOCKET {
        return None;
    }
    SOCKET_OPTIONS.iter().find(|o| o.number == number)
}
