//! Options of packet sockets and raw sockets.
#![forbid(unsafe_code)]

use super::known::{rule, Rule};
use super::{mark, Packets, EINVAL, SOL_PACKET};
use crate::host::Host;
use crate::memory::Memory;
use memtun_abi::{Errno, Name};
use memtun_kernel::bpf::{Checker, Instruction, MOST};
use memtun_stack::sockets::raw::{set, Action, Bound, Membership, Setting, BY_ADDRESS};
use memtun_stack::wire::u32_at;
use memtun_sys::Room;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;

// Options of packet(7).
const ADD_MEMBERSHIP: i32 = 1;
const DROP_MEMBERSHIP: i32 = 2;
const RX_RING: i32 = 5;
pub(super) const STATISTICS: i32 = 6;
const COPY_THRESHOLD: i32 = 7;
pub(super) const AUXDATA: i32 = 8;
pub(super) const ORIGINAL_DEVICE: i32 = 9;
pub(super) const VERSION: i32 = 10;
pub(super) const HEADER_LENGTH: i32 = 11;
pub(super) const RESERVE: i32 = 12;
const TX_RING: i32 = 13;
pub(super) const LOSS: i32 = 14;
pub(super) const VNET_HEADER: i32 = 15;
pub(super) const TIMESTAMP: i32 = 17;
const FANOUT: i32 = 18;
const QDISC_BYPASS: i32 = 20;
const IGNORE_OUTGOING: i32 = 23;

/// SOL_RAW, and its only option.
pub(super) const SOL_RAW: i32 = 255;
pub(super) const ICMP_FILTER: i32 = 1;
/// The only option of ICMPv6.
pub(super) const ICMP6_FILTER: i32 = 1;
/// IPV6_CHECKSUM.
pub(super) const CHECKSUM: i32 = 7;
const MCAST_JOIN_GROUP: i32 = 42;
const MCAST_LEAVE_GROUP: i32 = 45;
/// IPV6_2292PKTINFO and IPV6_2292HOPLIMIT.
pub(super) const OLD_PACKET_INFO: i32 = 2;
pub(super) const OLD_HOPS: i32 = 8;
/// SO_BINDTOIFINDEX.
pub(super) const BIND_TO_INDEX: i32 = 62;
/// The index of the loopback, which each net has.
const LOOPBACK: i32 = 1;
/// SO_PASSRIGHTS.
pub(super) const PASS_RIGHTS: i32 = 83;
/// IPV6_2292PKTOPTIONS.
const OLD_PACKET_OPTIONS: i32 = 6;
/// IP_PROTOCOL and IPV6_PATHMTU.
pub(super) const PROTOCOL: i32 = 52;
pub(super) const PATH_MTU: i32 = 61;
/// What SO_RCVLOWAT and SO_MAX_PACING_RATE are kept as.
pub(super) const LOW_WATER: (i32, i32) = (libc::SOL_SOCKET, libc::SO_RCVLOWAT);
pub(super) const PACING: (i32, i32) = (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE);
/// Most bytes of options of IPv4.
pub(super) const MOST_OPTIONS: usize = 40;
/// IPV6_HDRINCL.
pub(super) const V6_HEADER_INCLUDED: i32 = 36;

/// What becomes of an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The kernel has to make the program's own call.
    Kernel,
    /// It is done.
    Done,
    /// Its value is this int.
    Int(i32),
    /// Its value is these numbers.
    Two([u32; 2]),
    /// Its value is stored, and has so many bytes.
    Stored(usize),
    /// Its value is so many of these bytes.
    Bytes([u8; MOST_OPTIONS], usize),
}

impl<H: Host, M: Memory> Packets<'_, H, M> {
    pub(super) fn int(&self, value: usize, length: usize) -> Result<i32, Errno> {
        let mut bytes = [0; 4];
        match length {
            0 => return Err(EINVAL),
            1..4 => self.memory.read(value, &mut bytes[..1])?,
            _ => self.memory.read(value, &mut bytes)?,
        }
        Ok(i32::from_ne_bytes(bytes))
    }

    /// Reads a number of which every byte has to be there.
    fn whole_int(&self, value: usize, length: usize) -> Result<i32, Errno> {
        match length {
            ..4 => Err(EINVAL),
            _ => self.int(value, length),
        }
    }

    /// Reads whether an option of IPv4 is on, which it is not without a value.
    fn flag(&self, value: usize, length: usize) -> Result<bool, Errno> {
        Ok(length != 0 && self.int(value, length)? != 0)
    }

    fn change(&self, bit: u16, on: bool) -> Result<(), Errno> {
        mark::bind(self.fd, self.changed(bit, on))
    }

    fn changed(&self, bit: u16, on: bool) -> Bound {
        let mut bound = self.bound();
        match on {
            true => bound.set |= bit,
            false => bound.set &= !bit,
        }
        bound
    }

    /// setsockopt(2) with a value of `length` bytes at `value`.
    ///
    /// # Errors
    ///
    /// - EPERM for what only the machine's packet sockets can do.
    /// - ENOPROTOOPT for what there is not.
    pub fn set_option(
        &self,
        level: i32,
        option: i32,
        value: usize,
        length: usize,
    ) -> Result<Outcome, Errno> {
        let is_raw = !self.kind.is_ping();
        let is_raw4 = is_raw && self.kind.family == libc::AF_INET;
        let is_raw6 = is_raw && self.kind.family == libc::AF_INET6;
        match (level, option) {
            (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER) => self.attach(value, length)?,
            (libc::SOL_SOCKET, libc::SO_DETACH_FILTER) => {
                self.whole_int(value, length)?;
                self.order(Action::Filter, &[], &mut [])?;
            }
            (libc::SOL_SOCKET, libc::SO_ATTACH_BPF) => return Err(Errno(libc::EPERM)),
            // What only sockets of AF_UNIX have, like the one that stands for this.
            (
                libc::SOL_SOCKET,
                libc::SO_PASSCRED | libc::SO_PASSSEC | libc::SO_PEEK_OFF | PASS_RIGHTS,
            ) => {
                self.whole_int(value, length)?;
                return Err(Errno(libc::EOPNOTSUPP));
            }
            (libc::SOL_SOCKET, libc::SO_RCVLOWAT) => {
                let least = match self.whole_int(value, length)? {
                    ..0 => i32::MAX,
                    least => least.max(1),
                };
                self.set(LOW_WATER.0, LOW_WATER.1, least)?;
            }
            (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE) => {
                let rate = self.whole_int(value, length)?;
                self.set(PACING.0, PACING.1, rate)?;
            }
            (libc::SOL_SOCKET, libc::SO_REUSEPORT) if !self.is_packet() => {
                let on = self.whole_int(value, length)? != 0;
                self.set(libc::SOL_SOCKET, libc::SO_REUSEPORT, on.into())?;
            }
            // The machine's kernel lets nobody but its administrator set it.
            (libc::SOL_SOCKET, libc::SO_MARK) if !self.is_packet() => {
                let mark = self.whole_int(value, length)?;
                self.set(libc::SOL_SOCKET, libc::SO_MARK, mark)?;
            }
            (libc::SOL_SOCKET, libc::SO_BROADCAST) => {
                let on = self.whole_int(value, length)? != 0;
                self.change(set::BROADCAST, on)?;
                return Ok(Outcome::Kernel);
            }
            (libc::SOL_SOCKET, libc::SO_REUSEADDR) if !self.is_packet() => {
                let on = self.whole_int(value, length)? != 0;
                let mut bound = self.bound();
                match on {
                    true => bound.set &= !set::NOT_SHARED,
                    false => bound.set |= set::NOT_SHARED,
                }
                self.rebind(bound)?;
            }
            (libc::SOL_SOCKET, libc::SO_BINDTODEVICE) => self.bind_to_device(value, length)?,
            (libc::SOL_SOCKET, BIND_TO_INDEX) => {
                let index = self.whole_int(value, length)?;
                let mut bound = self.bound();
                bound.ifindex = u32::try_from(index).map_err(|_| EINVAL)?;
                self.rebind(bound)?;
            }
            (libc::SOL_SOCKET, _) => return Ok(Outcome::Kernel),
            (SOL_PACKET, _) if self.is_packet() => self.set_packet(option, value, length)?,
            (libc::IPPROTO_IP, _) if self.kind.family == libc::AF_INET => {
                self.set_ip(option, value, length)?;
            }
            (libc::IPPROTO_IPV6 | SOL_RAW, CHECKSUM) if is_raw6 => {
                self.set_checksum(level, value, length)?;
            }
            (SOL_RAW, V6_HEADER_INCLUDED) if is_raw6 => self.set_ip6(option, value, length)?,
            (libc::IPPROTO_IPV6, _) if self.kind.family == libc::AF_INET6 => {
                self.set_ip6(option, value, length)?;
            }
            (SOL_RAW, ICMP_FILTER) if is_raw4 => {
                if self.bound().protocol != libc::IPPROTO_ICMP as u16 {
                    return Err(Errno(libc::EOPNOTSUPP));
                }
                let mut filter = [0; 32];
                // What is not given stays as it is.
                self.order(Action::GetTypes, &[], &mut filter)?;
                let some = length.min(4);
                self.memory.read(value, &mut filter[..some])?;
                self.order(Action::Types, &[&filter], &mut [])?;
            }
            (libc::IPPROTO_ICMPV6, ICMP6_FILTER) if is_raw6 => {
                if self.bound().protocol != libc::IPPROTO_ICMPV6 as u16 {
                    return Err(Errno(libc::EOPNOTSUPP));
                }
                let mut filter = [0; 32];
                self.order(Action::GetTypes, &[], &mut filter)?;
                let some = length.min(32);
                self.memory.read(value, &mut filter[..some])?;
                self.order(Action::Types, &[&filter], &mut [])?;
            }
            _ => return Err(Errno(libc::ENOPROTOOPT)),
        }
        Ok(Outcome::Done)
    }

    fn set_packet(&self, option: i32, value: usize, length: usize) -> Result<(), Errno> {
        match option {
            ADD_MEMBERSHIP | DROP_MEMBERSHIP => {
                let mut request = [0; 16];
                if length < request.len() {
                    return Err(EINVAL);
                }
                self.memory.read(value, &mut request)?;
                let index = u32::from_ne_bytes([request[0], request[1], request[2], request[3]]);
                // One of the machine's has no copies here, and hears as many.
                let known = |index| {
                    let net = self.net().is_ok_and(|net| net.knows_index(index));
                    net || memtun_sys::interface_name(index).is_ok()
                };
                match known(index) || option == DROP_MEMBERSHIP {
                    true => Ok(()),
                    false => Err(Errno(libc::ENODEV)),
                }
            }
            AUXDATA => {
                let on = self.int(value, length)? != 0;
                self.change(set::AUXDATA, on)
            }
            VERSION => match self.int(value, length)? {
                0..=2 => Ok(()),
                _ => Err(EINVAL),
            },
            ORIGINAL_DEVICE | COPY_THRESHOLD | RESERVE | LOSS | TIMESTAMP | QDISC_BYPASS
            | IGNORE_OUTGOING => self.int(value, length).map(drop),
            RX_RING | TX_RING | VNET_HEADER | FANOUT => {
                let what = match option {
                    RX_RING => {
                        "PACKET_RX_RING: libpcap and what uses it cannot capture here; \
                                `memtun capture` can"
                    }
                    TX_RING => "PACKET_TX_RING",
                    FANOUT => "PACKET_FANOUT",
                    _ => "PACKET_VNET_HDR",
                };
                log::warn!(
                    "descriptor {}: packet sockets on the net's interfaces have no {what}",
                    self.fd
                );
                Err(Errno(libc::EPERM))
            }
            _ => Err(Errno(libc::ENOPROTOOPT)),
        }
    }

    fn set_ip(&self, option: i32, value: usize, length: usize) -> Result<(), Errno> {
        let bit = match option {
            libc::IP_HDRINCL if self.kind.is_ping() => return Err(Errno(libc::ENOPROTOOPT)),
            libc::IP_HDRINCL => set::HEADER_INCLUDED,
            libc::IP_PKTINFO => set::PACKET_INFO,
            libc::IP_RECVTTL => set::HOPS,
            libc::IP_RECVTOS => set::TOS,
            libc::IP_OPTIONS => return self.set_ip_options(value, length),
            libc::IP_RECVOPTS | libc::IP_RETOPTS => {
                let bit = match option {
                    libc::IP_RECVOPTS => set::OPTIONS,
                    _ => set::RETURNED_OPTIONS,
                };
                // The host process shows them.
                return self.rebind(self.changed(bit, self.flag(value, length)?));
            }
            libc::IP_ADD_MEMBERSHIP | libc::IP_DROP_MEMBERSHIP => {
                let joins = option == libc::IP_ADD_MEMBERSHIP;
                return self.join(joins, self.group_v4(value, length)?);
            }
            MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP => {
                return self.join(
                    option == MCAST_JOIN_GROUP,
                    self.group_of_any(value, length)?,
                );
            }
            libc::IP_MULTICAST_IF => return self.set_multicast_interface(value, length),
            _ if self.is_of_sources(libc::IPPROTO_IP, option) => {
                return self.set_sources(libc::IPPROTO_IP, option, value, length);
            }
            _ => return self.set_number(libc::IPPROTO_IP, option, value, length),
        };
        self.change(bit, self.flag(value, length)?)
    }

    fn set_ip6(&self, option: i32, value: usize, length: usize) -> Result<(), Errno> {
        let bit = match option {
            V6_HEADER_INCLUDED if self.kind.is_ping() => return Err(Errno(libc::ENOPROTOOPT)),
            V6_HEADER_INCLUDED => set::HEADER_INCLUDED,
            libc::IPV6_RECVPKTINFO => set::PACKET_INFO,
            libc::IPV6_RECVHOPLIMIT => set::HOPS,
            libc::IPV6_RECVTCLASS => set::TOS,
            OLD_HOPS => set::OLD_HOPS,
            OLD_PACKET_INFO => set::OLD_PACKET_INFO,
            libc::IPV6_ADD_MEMBERSHIP | libc::IPV6_DROP_MEMBERSHIP => {
                let joins = option == libc::IPV6_ADD_MEMBERSHIP;
                return self.join(joins, self.group_v6(value, length)?);
            }
            MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP => {
                return self.join(
                    option == MCAST_JOIN_GROUP,
                    self.group_of_any(value, length)?,
                );
            }
            _ if self.is_of_sources(libc::IPPROTO_IPV6, option) => {
                return self.set_sources(libc::IPPROTO_IPV6, option, value, length);
            }
            _ => return self.set_number(libc::IPPROTO_IPV6, option, value, length),
        };
        self.change(bit, self.whole_int(value, length)? != 0)
    }

    /// Sets an option of IP whose value is a number.
    fn set_number(
        &self,
        level: i32,
        option: i32,
        value: usize,
        length: usize,
    ) -> Result<(), Errno> {
        // IPV6_2292PKTOPTIONS: what would be sent with each packet, which has no use here.
        if (level, option) == (libc::IPPROTO_IPV6, OLD_PACKET_OPTIONS) {
            return Ok(());
        }
        // What would stand before the header of each packet; nothing is what there is.
        if level == libc::IPPROTO_IPV6 && matches!(option, 54 | 55 | 57 | 59) {
            return if length == 0 { Ok(()) } else { Err(EINVAL) };
        }
        let rule = rule(level, option, !self.kind.is_ping())?;
        if length < rule.least(level) {
            return Err(EINVAL);
        }
        let number = match (length, level) {
            (..4, libc::IPPROTO_IPV6) => 0,
            (0, libc::IPPROTO_IP) if !needs_a_byte(option) => 0,
            _ => self.int(value, length)?,
        };
        let number = rule.checked(number)?;
        let is_interface = rule == Rule::Interface
            || (level, option) == (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF);
        if is_interface
            && ![0, LOOPBACK].contains(&number)
            && !self.net()?.knows_index(number as u32)
        {
            return Err(Errno(match rule {
                Rule::Interface => libc::EADDRNOTAVAIL,
                _ => libc::ENODEV,
            }));
        }
        self.set(level, option, number)
    }

    fn set_ip_options(&self, value: usize, length: usize) -> Result<(), Errno> {
        let mut bytes = [0; MOST_OPTIONS];
        let bytes = bytes.get_mut(..length).ok_or(EINVAL)?;
        self.memory.read(value, bytes)?;
        self.order(Action::Options, &[bytes], &mut [])?;
        Ok(())
    }

    /// Sets an option that the host process knows.
    fn set(&self, level: i32, option: i32, value: i32) -> Result<(), Errno> {
        let asks = matches!(
            (level, option),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        );
        if asks && value != 0 {
            self.hear_errors()?;
        }
        let setting = Setting {
            level,
            option,
            value,
        };
        self.order(Action::Set, &[&setting.to_bytes()], &mut [])
            .map(drop)
    }

    fn set_checksum(&self, level: i32, value: usize, length: usize) -> Result<(), Errno> {
        let at = self.int(value, length)?;
        let is_icmp = self.bound().protocol == libc::IPPROTO_ICMPV6 as u16;
        // It has its own place, which only this level refuses to change (`rawv6_setsockopt`).
        if is_icmp && level == libc::IPPROTO_IPV6 || at > 0 && at & 1 != 0 {
            return Err(EINVAL);
        }
        self.set(libc::IPPROTO_IPV6, CHECKSUM, at.max(-1))
    }

    fn join(&self, joins: bool, of: Membership) -> Result<(), Errno> {
        if of.group.is_ipv6() != (self.kind.family == libc::AF_INET6) {
            return Err(EINVAL);
        }
        let action = if joins { Action::Join } else { Action::Leave };
        self.order(action, &[&of.to_bytes()], &mut []).map(drop)
    }

    /// Reads `struct ip_mreqn` or `struct ip_mreq`: a group, an interface's address, its index.
    fn group_v4(&self, value: usize, length: usize) -> Result<Membership, Errno> {
        let mut request = [0; 12];
        if length < 8 {
            return Err(EINVAL);
        }
        let some = if length < 12 { 8 } else { 12 };
        self.memory.read(value, &mut request[..some])?;
        let address = |at: usize| Ipv4Addr::from([0, 1, 2, 3].map(|i| request[at + i]));
        let at = address(4);
        Ok(Membership {
            index: u32_at(&request, 8).unwrap_or(0),
            group: address(0).into(),
            at: (!at.is_unspecified()).then_some(at.into()),
        })
    }

    /// Reads `struct ipv6_mreq`: a group, and the index of an interface.
    fn group_v6(&self, value: usize, length: usize) -> Result<Membership, Errno> {
        let mut request = [0; 20];
        if length < request.len() {
            return Err(EINVAL);
        }
        self.memory.read(value, &mut request)?;
        let mut octets = [0; 16];
        octets.copy_from_slice(&request[..16]);
        Ok(Membership {
            index: u32_at(&request, 16).unwrap_or(0),
            group: Ipv6Addr::from(octets).into(),
            at: None,
        })
    }

    /// Reads `struct group_req`: the index of an interface, and the name of a group.
    fn group_of_any(&self, value: usize, length: usize) -> Result<Membership, Errno> {
        const NAME: usize = 8;
        let mut index = [0; 4];
        if length < NAME + 128 {
            return Err(EINVAL);
        }
        self.memory.read(value, &mut index)?;
        let name = crate::inet::name::read(self.memory, value + NAME, 128).ok_or(EINVAL)?;
        Ok(Membership {
            index: u32::from_ne_bytes(index),
            group: name.ip(),
            at: None,
        })
    }

    /// Sets the interface by which groups are reached: by `struct ip_mreqn`, `struct ip_mreq` or
    /// an address.
    fn set_multicast_interface(&self, value: usize, length: usize) -> Result<(), Errno> {
        let mut at = [0; 4];
        let index = match length {
            ..4 => return Err(EINVAL),
            4..8 => {
                self.memory.read(value, &mut at)?;
                0
            }
            _ => {
                self.memory.read(value + 4, &mut at)?;
                self.group_v4(value, length)?.index
            }
        };
        match (index, at) {
            (0, [0, 0, 0, 0]) => self.set(libc::IPPROTO_IP, libc::IP_MULTICAST_IF, 0),
            (0, at) => {
                let option = libc::IP_MULTICAST_IF | BY_ADDRESS;
                self.set(libc::IPPROTO_IP, option, i32::from_ne_bytes(at))
            }
            (index, _) if self.net()?.knows_index(index) => {
                self.set(libc::IPPROTO_IP, libc::IP_MULTICAST_IF, index as i32)
            }
            _ => Err(Errno(libc::EADDRNOTAVAIL)),
        }
    }

    fn bind_to_device(&self, value: usize, length: usize) -> Result<(), Errno> {
        let mut name = [0; 16];
        let some = length.min(15);
        self.memory.read(value, &mut name[..some])?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(0);
        let mut bound = self.bound();
        bound.ifindex = match Name::new(&name[..end]).filter(|name| !name.as_bytes().is_empty()) {
            None => 0,
            Some(name) => {
                let link = self.net()?.look_up(&name)?;
                link.ok_or(Errno(libc::ENODEV))?.ifindex.load(Relaxed)
            }
        };
        self.rebind(bound)
    }

    /// Attaches the filter of which `length` bytes at `value` tell (`struct sock_fprog`).
    fn attach(&self, value: usize, length: usize) -> Result<(), Errno> {
        const SIZE: usize = Instruction::SIZE;
        let mut program = [0; size_of::<libc::sock_fprog>()];
        if length != program.len() {
            return Err(EINVAL);
        }
        self.memory.read(value, &mut program)?;
        let count = usize::from(u16::from_ne_bytes([program[0], program[1]]));
        if !(1..=MOST).contains(&count) {
            return Err(EINVAL);
        }
        let mut code = [0; size_of::<usize>()];
        code.copy_from_slice(&program[size_of::<usize>()..]);
        let mut room = Room::new(count * SIZE)?;
        let given = &mut room.bytes()[..count * SIZE];
        self.memory.read(usize::from_ne_bytes(code), given)?;
        let mut checker = Checker::new(count);
        Instruction::each(given).for_each(|next| checker.next(next));
        checker.end().ok_or(EINVAL)?;
        self.order(Action::Filter, &[given], &mut []).map(drop)
    }
}

/// Does an option of IPv4 have no value that is empty?
fn needs_a_byte(option: i32) -> bool {
    const FREEBIND: i32 = 15;
    const MIN_TTL: i32 = 21;
    matches!(
        option,
        FREEBIND
            | MIN_TTL
            | libc::IP_TTL
            | libc::IP_TRANSPARENT
            | libc::IP_MULTICAST_TTL
            | libc::IP_MULTICAST_LOOP
            | libc::IP_MULTICAST_ALL
    )
}
