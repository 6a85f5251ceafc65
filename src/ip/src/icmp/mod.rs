//! ICMP and ICMPv6.
//!
//! | module | subject |
//! |---|---|
//! | [`echo`] | echo requests and replies |
//! | [`error`] | errors, built and read |
//! | [`embedded`] | the packet that an error quotes |
#![forbid(unsafe_code)]

pub mod echo;
pub mod embedded;
pub mod error;

use crate::{checksum, protocol, Head, NoRoom, Packet};

/// Length in bytes of the header of each message.
pub const HEADER: usize = 8;

/// Types of ICMP messages.
pub mod v4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Source quench, which nobody sends any more.
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// Echo request.
    pub const ECHO: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
    /// Timestamp request.
    pub const TIMESTAMP: u8 = 13;
    /// The highest type that the kernel knows.
    pub const LAST: u8 = 18;
    /// Code of [`UNREACHABLE`]: the host.
    pub const HOST: u8 = 1;
    /// Code of [`UNREACHABLE`]: the protocol.
    pub const PROTOCOL: u8 = 2;
    /// Code of [`UNREACHABLE`]: the port.
    pub const PORT: u8 = 3;
    /// Code of [`UNREACHABLE`]: fragments are needed and forbidden.
    pub const FRAGMENTS_NEEDED: u8 = 4;

    /// Timestamp reply.
    pub const TIMESTAMP_REPLY: u8 = 14;

    /// Is a message of this type never answered with an error (`icmp_pointers`)?
    pub fn is_unanswered(kind: u8) -> bool {
        !matches!(kind, ECHO_REPLY | ECHO | TIMESTAMP..=LAST)
    }

    /// Is a message of this type an error?
    pub fn is_error(kind: u8) -> bool {
        matches!(
            kind,
            UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
        )
    }
}

/// Types of ICMPv6 messages.
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Code of [`UNREACHABLE`]: no route.
    pub const NO_ROUTE: u8 = 0;
    /// Code of [`UNREACHABLE`]: forbidden.
    pub const PROHIBITED: u8 = 1;
    /// Code of [`UNREACHABLE`]: the address.
    pub const ADDRESS: u8 = 3;
    /// Code of [`UNREACHABLE`]: the port.
    pub const PORT: u8 = 4;
    /// Code of [`PARAMETER_PROBLEM`]: the next header.
    pub const NEXT_HEADER: u8 = 1;

    /// Is a message of this type an error?
    pub fn is_error(kind: u8) -> bool {
        kind < 128
    }
}

/// Is the checksum of the ICMP or ICMPv6 message of a packet right?
pub fn is_right(packet: &Packet<'_>) -> bool {
    let sum = match packet.is_v6() {
        true => {
            let (source, destination) = (packet.source, packet.destination);
            checksum::with_pseudo_header(source, destination, protocol::ICMP6, packet.payload())
        }
        false => checksum::of(packet.payload()),
    };
    sum == 0
}

/// Writes the IP header and the checksum of a message of `length` bytes that stands in `room`
/// already, behind `head.length()` bytes. Returns the length of the packet.
///
/// # Errors
///
/// [`NoRoom`] when `room` is too small or the message is too long.
pub fn finish(room: &mut [u8], head: &Head, length: usize) -> Result<usize, NoRoom> {
    let total = head.write(room, length)?;
    let pseudo = match head.protocol {
        protocol::ICMP6 => Some((head.source, head.destination, protocol::ICMP6)),
        _ => None,
    };
    checksum::fill(&mut room[head.length()..total], 2, pseudo);
    Ok(total)
}
