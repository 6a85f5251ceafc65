//! getsockopt(2) of packet sockets and raw sockets.
#![forbid(unsafe_code)]

use super::known::rule;
use super::option::{
    Outcome, AUXDATA, BIND_TO_INDEX, CHECKSUM, HEADER_LENGTH, ICMP6_FILTER, ICMP_FILTER, LOSS,
    LOW_WATER, MOST_OPTIONS, OLD_HOPS, OLD_PACKET_INFO, ORIGINAL_DEVICE, PACING, PASS_RIGHTS,
    PATH_MTU, PROTOCOL, RESERVE, SOL_RAW, STATISTICS, TIMESTAMP, V6_HEADER_INCLUDED, VERSION,
    VNET_HEADER,
};
use super::{Packets, EINVAL, SOL_PACKET};
use crate::host::Host;
use crate::memory::Memory;
use crate::socket::filter::Form;
use memtun_abi::Errno;
use memtun_stack::sockets::raw::{set, Action, Setting};
use memtun_sys::inet::SocketName;

impl<H: Host, M: Memory> Packets<'_, H, M> {
    /// getsockopt(2); at `value` stands what the program has stored there, with room for so many
    /// bytes.
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT for what there is not.
    pub fn get_option(
        &self,
        level: i32,
        option: i32,
        value: usize,
        room: usize,
    ) -> Result<Outcome, Errno> {
        let is_raw6 = self.kind.family == libc::AF_INET6 && !self.kind.is_ping();
        let is_raw4 = self.kind.family == libc::AF_INET && !self.kind.is_ping();
        let bound = self.bound();
        let bit = |bit: u16| Outcome::Int(i32::from(bound.set & bit != 0));
        Ok(match (level, option) {
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => Outcome::Int(self.kind.family),
            (libc::SOL_SOCKET, libc::SO_TYPE) => Outcome::Int(self.kind.kind),
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => match self.is_packet() {
                true => Outcome::Int(0),
                false => Outcome::Int(bound.protocol.into()),
            },
            (libc::SOL_SOCKET, libc::SO_ERROR) if self.hears_errors() => {
                Outcome::Int(self.waiting_error()?.map_or(0, |Errno(e)| e))
            }
            (libc::SOL_SOCKET, libc::SO_REUSEADDR) if !self.is_packet() => {
                Outcome::Int(i32::from(bound.set & set::NOT_SHARED == 0))
            }
            (libc::SOL_SOCKET, libc::SO_MARK) if !self.is_packet() => self.get(level, option)?,
            LOW_WATER => Outcome::Int(match self.get(level, option)? {
                Outcome::Int(least @ 1..) => least,
                _ => 1,
            }),
            PACING => match self.get(level, option)? {
                Outcome::Int(rate) if rate != -1 => Outcome::Two([rate as u32, 0]),
                _ => Outcome::Two([u32::MAX; 2]),
            },
            (libc::SOL_SOCKET, libc::SO_REUSEPORT) if !self.is_packet() => {
                self.get(level, option)?
            }
            (
                libc::SOL_SOCKET,
                libc::SO_PASSCRED | libc::SO_PASSSEC | libc::SO_PEEK_OFF | PASS_RIGHTS,
            ) => {
                return Err(Errno(libc::EOPNOTSUPP));
            }
            (libc::SOL_SOCKET, BIND_TO_INDEX) => Outcome::Int(bound.ifindex as i32),
            (libc::SOL_SOCKET, libc::SO_PEERNAME) if !self.is_packet() => {
                let name = SocketName::new(&self.peer()?);
                let mut bytes = [0; MOST_OPTIONS];
                let length = name.bytes().len();
                if room > length {
                    return Err(EINVAL);
                }
                bytes[..length].copy_from_slice(name.bytes());
                Outcome::Bytes(bytes, length)
            }
            (libc::SOL_SOCKET, _) => Outcome::Kernel,
            // The other family's level is nobody's (`do_ip_getsockopt`).
            (libc::IPPROTO_IPV6, _) if is_raw4 => return Err(Errno(libc::EOPNOTSUPP)),
            (libc::IPPROTO_IP, _) if self.kind.family == libc::AF_INET6 => {
                return Err(Errno(libc::ENOPROTOOPT));
            }
            (SOL_PACKET, STATISTICS) => {
                let mut bytes = [0; 8];
                self.order(Action::Statistics, &[], &mut bytes)?;
                let word = |at: usize| {
                    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
                };
                Outcome::Two([word(0), word(4)])
            }
            (SOL_PACKET, AUXDATA) => bit(set::AUXDATA),
            (SOL_PACKET, HEADER_LENGTH) => {
                // Of each version of rings, as the kernel says it.
                match self.int(value, 4)? {
                    0 => Outcome::Int(32),
                    1 => Outcome::Int(32),
                    2 => Outcome::Int(48),
                    _ => return Err(EINVAL),
                }
            }
            (SOL_PACKET, ORIGINAL_DEVICE | VERSION | RESERVE | LOSS | TIMESTAMP | VNET_HEADER) => {
                Outcome::Int(0)
            }
            (libc::IPPROTO_IP, libc::IP_HDRINCL) | (libc::IPPROTO_IPV6, V6_HEADER_INCLUDED) => {
                bit(set::HEADER_INCLUDED)
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => bit(set::PACKET_INFO),
            (libc::IPPROTO_IP, libc::IP_RECVOPTS) => bit(set::OPTIONS),
            (libc::IPPROTO_IP, libc::IP_RETOPTS) => bit(set::RETURNED_OPTIONS),
            (libc::IPPROTO_IP, libc::IP_OPTIONS) if self.kind.family == libc::AF_INET => {
                let mut bytes = [0; MOST_OPTIONS];
                let length = self.order(Action::GetOptions, &[], &mut bytes)?;
                Outcome::Bytes(bytes, length)
            }
            (libc::IPPROTO_IP | libc::IPPROTO_IPV6, _)
                if !self.kind.is_ping() && Form::of(level, option).is_some() =>
            {
                self.sources(level, option, value, room)?
            }
            (libc::IPPROTO_IPV6, OLD_HOPS) => bit(set::OLD_HOPS),
            (libc::IPPROTO_IPV6, OLD_PACKET_INFO) => bit(set::OLD_PACKET_INFO),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) => bit(set::PACKET_INFO),
            (libc::IPPROTO_IP, libc::IP_RECVTTL) => bit(set::HOPS),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT) => bit(set::HOPS),
            (libc::IPPROTO_IP, libc::IP_RECVTOS) => bit(set::TOS),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS) => bit(set::TOS),
            (libc::IPPROTO_IP, PROTOCOL) if self.kind.family == libc::AF_INET => {
                Outcome::Int(bound.protocol.into())
            }
            (libc::IPPROTO_IP, _) if self.kind.family == libc::AF_INET => {
                self.get_number(level, option)?
            }
            (libc::IPPROTO_IPV6 | SOL_RAW, CHECKSUM) if is_raw6 => self.get(level, option)?,
            (SOL_RAW, V6_HEADER_INCLUDED) if is_raw6 => bit(set::HEADER_INCLUDED),
            (SOL_RAW, ICMP_FILTER) if is_raw4 => self.types(libc::IPPROTO_ICMP, 4)?,
            (libc::IPPROTO_ICMPV6, ICMP6_FILTER) if is_raw6 => {
                self.types(libc::IPPROTO_ICMPV6, 32)?
            }
            // What each packet would have before its own header.
            (libc::IPPROTO_IPV6, 54 | 55 | 57 | 59) if self.kind.family == libc::AF_INET6 => {
                Outcome::Bytes([0; MOST_OPTIONS], 0)
            }
            (libc::IPPROTO_IPV6, PATH_MTU) if self.kind.family == libc::AF_INET6 => {
                let end = size_of::<libc::sockaddr_in6>() + 4;
                if room < end {
                    return Err(EINVAL);
                }
                let Outcome::Int(mtu) = self.get(level, libc::IPV6_MTU)? else {
                    return Err(Errno(libc::ENOTCONN));
                };
                let mut bytes = [0; MOST_OPTIONS];
                bytes[end - 4..end].copy_from_slice(&mtu.to_ne_bytes());
                Outcome::Bytes(bytes, end)
            }
            (libc::IPPROTO_IPV6, _) if self.kind.family == libc::AF_INET6 => {
                self.get_number(level, option)?
            }
            // `do_ip_getsockopt` says so of another level.
            (level, _) if is_raw4 && level != SOL_RAW => return Err(Errno(libc::EOPNOTSUPP)),
            _ => return Err(Errno(libc::ENOPROTOOPT)),
        })
    }

    /// Returns the filter of types of ICMP of a socket of this protocol, which has so many bytes.
    fn types(&self, protocol: i32, length: usize) -> Result<Outcome, Errno> {
        if self.bound().protocol != protocol as u16 {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        let mut bytes = [0; MOST_OPTIONS];
        self.order(Action::GetTypes, &[], &mut bytes)?;
        Ok(Outcome::Bytes(bytes, length))
    }

    fn get_number(&self, level: i32, option: i32) -> Result<Outcome, Errno> {
        rule(level, option, !self.kind.is_ping())?.can_be_told()?;
        self.get(level, option)
    }

    fn get(&self, level: i32, option: i32) -> Result<Outcome, Errno> {
        let of = Setting {
            level,
            option,
            value: 0,
        };
        let mut value = [0; 4];
        self.order(Action::Get, &[&of.to_bytes()], &mut value)?;
        Ok(Outcome::Int(i32::from_ne_bytes(value)))
    }
}
