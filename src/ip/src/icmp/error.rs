//! ICMP and ICMPv6 errors, built as `icmp_send` and `icmp6_send` do, and read.
#![forbid(unsafe_code)]

use super::{finish, v4, v6, HEADER};
use crate::{extension, protocol, Head, NoRoom, Packet};
use std::net::IpAddr;

/// Longest error of IPv4, with its header.
const LONGEST_V4: usize = 576;
/// Longest error of IPv6.
const LONGEST_V6: usize = 1280;

/// Numbers of errno(3), which are the same on all machines that have a tun device.
mod errno {
    pub const EACCES: i32 = 13;
    pub const EPROTO: i32 = 71;
    pub const EMSGSIZE: i32 = 90;
    pub const ENOPROTOOPT: i32 = 92;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ENETUNREACH: i32 = 101;
    pub const ECONNREFUSED: i32 = 111;
    pub const EHOSTDOWN: i32 = 112;
    pub const EHOSTUNREACH: i32 = 113;
    pub const ENONET: i32 = 64;
}

/// An error: type, code, and the word behind the checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IcmpError {
    /// Is it a message of ICMPv6?
    pub v6: bool,
    /// Type of the message.
    pub kind: u8,
    /// Code of the message.
    pub code: u8,
    /// The word behind the checksum: the MTU of those that have one, the pointer of a parameter
    /// problem, the gateway of a redirect.
    pub info: u32,
}

impl IcmpError {
    /// Returns an error of ICMP.
    pub fn v4(kind: u8, code: u8, info: u32) -> IcmpError {
        IcmpError {
            v6: false,
            kind,
            code,
            info,
        }
    }

    /// Returns an error of ICMPv6.
    pub fn v6(kind: u8, code: u8, info: u32) -> IcmpError {
        IcmpError {
            v6: true,
            kind,
            code,
            info,
        }
    }

    /// Returns the MTU that a "fragments needed" or "packet too big" names; 0 of one that names
    /// none.
    pub fn mtu(&self) -> Option<u32> {
        match (self.v6, self.kind, self.code) {
            (false, v4::UNREACHABLE, v4::FRAGMENTS_NEEDED) => Some(self.info & 0xffff),
            (true, v6::TOO_BIG, _) => Some(self.info),
            _ => None,
        }
    }

    /// Returns what `ee_info` of an error queue says of it.
    pub fn told(&self) -> u32 {
        match (self.v6, self.kind) {
            (true, _) => self.info,
            (false, v4::PARAMETER_PROBLEM) => self.info >> 24,
            (false, _) => self.mtu().unwrap_or(0),
        }
    }

    /// Returns the errno that a socket gets, and whether a connected one that has not asked for
    /// errors gets it too, as `icmp_err_convert`, `icmpv6_err_convert` and `__udp4_lib_err` have
    /// it. None of a message that sockets do not hear of.
    pub fn errno(&self) -> Option<(i32, bool)> {
        use errno::*;
        let of = match (self.v6, self.kind) {
            (false, v4::UNREACHABLE) => match self.code {
                0 | 11 => (ENETUNREACH, false),
                1 | 12 => (EHOSTUNREACH, false),
                2 => (ENOPROTOOPT, true),
                3 => (ECONNREFUSED, true),
                4 => (EMSGSIZE, true),
                5 => (EOPNOTSUPP, false),
                6 | 9 => (ENETUNREACH, true),
                7 => (EHOSTDOWN, true),
                8 => (ENONET, true),
                10 | 13..=15 => (EHOSTUNREACH, true),
                _ => return None,
            },
            (false, v4::TIME_EXCEEDED) => (EHOSTUNREACH, false),
            (false, v4::PARAMETER_PROBLEM) => (EPROTO, true),
            (false, _) => return None,
            (true, v6::UNREACHABLE) => match self.code {
                0 => (ENETUNREACH, false),
                1 | 5 | 6 => (EACCES, true),
                2 | 3 => (EHOSTUNREACH, false),
                4 => (ECONNREFUSED, true),
                _ => (EPROTO, true),
            },
            (true, v6::TOO_BIG) => (EMSGSIZE, true),
            (true, v6::TIME_EXCEEDED) => (EHOSTUNREACH, false),
            (true, v6::PARAMETER_PROBLEM) => (EPROTO, true),
            (true, kind) if v6::is_error(kind) => (EPROTO, true),
            (true, _) => return None,
        };
        Some(of)
    }

    /// Reads the error of a packet whose checksum is right, with the packet that it quotes.
    pub fn parse<'p>(packet: &Packet<'p>) -> Option<(IcmpError, &'p [u8])> {
        let bytes = packet.payload();
        let header = bytes.get(..HEADER)?;
        let is_error = match packet.protocol {
            protocol::ICMP => v4::is_error(header[0]),
            protocol::ICMP6 => v6::is_error(header[0]),
            _ => false,
        };
        let error = IcmpError {
            v6: packet.protocol == protocol::ICMP6,
            kind: header[0],
            code: header[1],
            info: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        };
        is_error.then_some((error, &bytes[HEADER..]))
    }

    /// May a packet, which is the start of one at least, be answered with this error? The caller
    /// knows how it came in: none that the link or the route calls a broadcast gets one.
    pub fn may_answer(&self, packet: &Packet<'_>, even_for_groups: bool) -> bool {
        let (source, destination) = (packet.source, packet.destination);
        if source.is_unspecified() || source.is_multicast() {
            return false;
        }
        // Of a later piece IPv4 says nothing, and IPv6 does not know what it carries.
        let later = packet.fragment.is_some_and(|piece| piece.offset != 0);
        if later && !packet.is_v6() {
            return false;
        }
        if destination.is_multicast() {
            // Only these two are of use to the sender of a packet for a group.
            return packet.is_v6() && (self.kind == v6::TOO_BIG || even_for_groups);
        }
        let kind = packet.payload().first().copied();
        match (packet.protocol, source, destination) {
            (_, IpAddr::V4(source), IpAddr::V4(destination))
                if source.is_broadcast() || destination.is_broadcast() || source.is_loopback() =>
            {
                false
            }
            // An error is not answered with an error; nor is a message that nobody knows or of a
            // type that nobody uses.
            (protocol::ICMP, ..) if v4::is_error(self.kind) => {
                kind.is_some_and(|kind| !v4::is_unanswered(kind))
            }
            (_, IpAddr::V6(_), _) => match extension::carried(packet.bytes()) {
                Some((protocol::ICMP6, message)) => match message.first() {
                    Some(kind) => !v6::is_error(*kind),
                    None => packet.fragment.is_some(),
                },
                _ => true,
            },
            _ => true,
        }
    }

    /// Writes the error about `packet`, the bytes of an IP packet, into `room`. `head` is a header
    /// from the answerer to the packet's source; [`IcmpError::head`] makes it. Returns the length.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when `room` is too small.
    pub fn write(&self, room: &mut [u8], head: &Head, packet: &[u8]) -> Result<usize, NoRoom> {
        let longest = if self.v6 { LONGEST_V6 } else { LONGEST_V4 };
        let at = head.length();
        let quoted = packet.len().min(longest - at - HEADER);
        let message = room.get_mut(at..at + HEADER + quoted).ok_or(NoRoom)?;
        message[..4].copy_from_slice(&[self.kind, self.code, 0, 0]);
        message[4..HEADER].copy_from_slice(&self.info.to_be_bytes());
        message[HEADER..].copy_from_slice(&packet[..quoted]);
        finish(room, head, HEADER + quoted)
    }

    /// Returns the header of an answer to `packet` by `source`: the class of the packet with the
    /// precedence of internetwork control in IPv4, none in IPv6, and no DF.
    pub fn head(&self, packet: &Packet<'_>, source: IpAddr) -> Head {
        let protocol = if self.v6 {
            protocol::ICMP6
        } else {
            protocol::ICMP
        };
        let mut head = Head::new(source, packet.source, protocol);
        head.dont_fragment = false;
        if !self.v6 {
            head.traffic_class = packet.traffic_class & 0x1e | 0xc0;
        }
        head
    }
}
