//! Which packets are of one flow (`__skb_get_hash_symmetric` and its dissector).
//!
//! The kernel's hash has a secret, so which queue a flow gets by itself cannot be the same. Which
//! packets are one flow can: what a program has written decides where the answers go. The same
//! search tells a packet filter where the payload begins.
#![forbid(unsafe_code)]

use crate::uapi::ETH_HLEN;

/// What the kernel hashes. Addresses and ports are sorted, each for itself, so that both directions
/// are the same.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
struct Flow {
    ethertype: u16,
    protocol: u8,
    addresses: [u128; 2],
    ports: [u16; 2],
    fragment: Fragment,
}

/// Which part of a packet it is.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
enum Fragment {
    /// The packet is whole.
    #[default]
    None,
    /// It is the first fragment, which has the transport header.
    First,
    /// It is a later fragment.
    Later,
}

/// So many headers are looked at (MAX_FLOW_DISSECT_HDRS).
const DEEPEST: usize = 15;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
const PPPOE: u16 = 0x8864;
const ETHERNET: u16 = 0x6558;
const ARP: [u16; 2] = [0x0806, 0x8035];
const MPLS: [u16; 2] = [0x8847, 0x8848];
const DCCP: i32 = 33;

/// What stands behind a header.
enum Next {
    /// A header of this ethertype.
    Ethertype(u16),
    /// One of this IP protocol.
    Protocol(u8),
    /// Nothing that counts.
    End,
}

/// Hashes what makes a packet one of its flow. The hash is the same in both directions, like the
/// kernel's symmetric flow hash, and never 0. `byte` returns the packet's byte at an
/// offset, or None behind its end. `ethernet` says whether the packet begins with an Ethernet
/// header.
#[inline(never)]
pub fn flow_hash(byte: impl Fn(usize) -> Option<u8>, ethernet: bool) -> u32 {
    Flow::of(&byte, ethernet).hash()
}

/// The same of a packet that lies in memory of this process.
#[inline]
pub fn flow_hash_of(packet: &[u8], ethernet: bool) -> u32 {
    match Flow::plain(packet, ethernet) {
        Some(flow) => flow.hash(),
        None => flow_hash(|at| packet.get(at).copied(), ethernet),
    }
}

/// Returns at which offset the payload of a frame begins, behind all headers that the kernel knows
/// (`skb_get_poff`); 0 when it does not know one of them. `network` is the offset of the network
/// header, whose ethertype is given in host byte order.
pub fn payload_offset(frame: &[u8], network: usize, ethertype: u16) -> u32 {
    let byte = |at: usize| frame.get(at).copied();
    let mut flow = Flow {
        ethertype,
        ..Flow::default()
    };
    let mut data = Data {
        byte: &byte,
        start: network,
    };
    if flow.dissect(&mut data).is_none() {
        return 0;
    }
    let transport = data.start.min(frame.len());
    let header = match i32::from(flow.protocol) {
        _ if flow.fragment == Fragment::Later => 0,
        libc::IPPROTO_TCP => match byte(transport + 12) {
            Some(words) => usize::from(words >> 4).max(5) * 4,
            None => 0,
        },
        libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE => 8,
        libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 | libc::IPPROTO_IGMP => 8,
        libc::IPPROTO_SCTP | DCCP => 12,
        _ => 0,
    };
    (transport + header) as u32
}

/// A packet from one of its headers on.
#[derive(Clone, Copy)]
struct Data<'a> {
    byte: &'a dyn Fn(usize) -> Option<u8>,
    start: usize,
}

impl Data<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        (self.byte)(self.start + at)
    }
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(at + i)?;
        }
        Some(bytes)
    }
    fn word(&self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_be_bytes)
    }
}

fn sorted<T: Ord>(a: T, b: T) -> [T; 2] {
    if b < a {
        [b, a]
    } else {
        [a, b]
    }
}

impl Flow {
    /// Mixes what makes a flow.
    #[inline(always)]
    fn hash(&self) -> u32 {
        let [a, b] = self.addresses;
        let words = [
            u64::from(self.ethertype) << 8 | u64::from(self.protocol),
            a as u64,
            (a >> 64) as u64,
            b as u64,
            (b >> 64) as u64,
            u64::from(self.ports[0]) << 16 | u64::from(self.ports[1]),
        ];
        let mixed = words.into_iter().fold(0u64, |hash, word| {
            let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        });
        ((mixed ^ mixed >> 32) as u32).max(1)
    }

    /// The flow of a packet of TCP or UDP over IP that has nothing unusual in front of its ports.
    #[inline(always)]
    fn plain(packet: &[u8], ethernet: bool) -> Option<Flow> {
        let (ethertype, network) = match ethernet {
            true => {
                let (link, network) = packet.split_first_chunk::<ETH_HLEN>()?;
                (Some(u16::from_be_bytes([link[12], link[13]])), network)
            }
            false => (None, packet),
        };
        let carries_ports =
            |protocol| [libc::IPPROTO_TCP, libc::IPPROTO_UDP].contains(&i32::from(protocol));
        let port = |at: [u8; 2]| u16::from_be_bytes(at);
        let is = |wanted| ethertype.is_none_or(|it| it == wanted);
        if let Some([0x45, _, _, _, _, _, flags, rest, _, protocol, _, _, ends @ ..]) =
            network.first_chunk::<24>()
        {
            let [a, b, c, d, e, f, g, h, i, j, k, l] = *ends;
            let wide = |address| u128::from(u32::from_be_bytes(address));
            let is_plain = flags & 0x3f == 0 && *rest == 0 && is(IPV4) && carries_ports(*protocol);
            return is_plain.then(|| Flow {
                ethertype: IPV4,
                protocol: *protocol,
                addresses: sorted(wide([a, b, c, d]), wide([e, f, g, h])),
                ports: sorted(port([i, j]), port([k, l])),
                fragment: Fragment::None,
            });
        }
        let headers = network.first_chunk::<44>()?;
        let [0x60..=0x6f, _, _, _, _, _, protocol, _, ends @ .., i, j, k, l] = headers else {
            return None;
        };
        let (from, to) = ends.split_first_chunk::<16>()?;
        let wide = |address: &[u8; 16]| u128::from_be_bytes(*address);
        (is(IPV6) && carries_ports(*protocol)).then_some(Flow {
            ethertype: IPV6,
            protocol: *protocol,
            addresses: sorted(wide(from), wide(to.first_chunk()?)),
            ports: sorted(port([*i, *j]), port([*k, *l])),
            fragment: Fragment::None,
        })
    }

    fn of(byte: &dyn Fn(usize) -> Option<u8>, ethernet: bool) -> Flow {
        let mut flow = Flow::default();
        let mut data = Data { byte, start: 0 };
        // What is cut off ends the search, and what was found counts.
        let _ = flow.begin(&mut data, ethernet).and_then(|()| {
            flow.dissect(&mut data)?;
            flow.ports(data)
        });
        flow
    }

    /// Finds out what the first header behind the link header is.
    fn begin(&mut self, data: &mut Data, ethernet: bool) -> Option<()> {
        self.ethertype = if ethernet {
            let ethertype = data.word(ETH_HLEN - 2)?;
            data.start += ETH_HLEN;
            ethertype
        } else {
            match data.byte(0)? >> 4 {
                6 => IPV6,
                _ => IPV4,
            }
        };
        Some(())
    }

    /// Goes from the network header, which has the flow's ethertype, to where the transport header
    /// begins. None says that a header is unknown or cut off.
    fn dissect(&mut self, data: &mut Data) -> Option<()> {
        let mut next = Next::Ethertype(self.ethertype);
        for _ in 0..DEEPEST {
            let (behind, length) = match next {
                Next::Ethertype(ethertype) => {
                    self.ethertype = ethertype;
                    self.link(*data)?
                }
                Next::Protocol(protocol) => {
                    self.protocol = protocol;
                    match self.network(*data)? {
                        Some(found) => found,
                        None => break,
                    }
                }
                Next::End => break,
            };
            data.start += length;
            next = behind;
        }
        Some(())
    }

    /// A header that its ethertype names: what is behind it, and its length.
    fn link(&mut self, data: Data) -> Option<(Next, usize)> {
        match self.ethertype {
            IPV4 => {
                let length = usize::from(data.byte(0)? & 15) * 4;
                let (from, to) = (data.bytes::<4>(12)?, data.bytes::<4>(16)?);
                if length < 20 {
                    return None;
                }
                let wide = |address| u128::from(u32::from_be_bytes(address));
                self.protocol = data.byte(9)?;
                self.addresses = sorted(wide(from), wide(to));
                let part = data.word(6)? & 0x3fff;
                self.fragment = match part & 0x1fff {
                    _ if part == 0 => Fragment::None,
                    0 => Fragment::First,
                    _ => Fragment::Later,
                };
                let next = if part == 0 {
                    Next::Protocol(self.protocol)
                } else {
                    Next::End
                };
                Some((next, length))
            }
            IPV6 => {
                let (from, to) = (data.bytes::<16>(8)?, data.bytes::<16>(24)?);
                self.protocol = data.byte(6)?;
                self.addresses = sorted(u128::from_be_bytes(from), u128::from_be_bytes(to));
                Some((Next::Protocol(self.protocol), 40))
            }
            tag if VLAN.contains(&tag) => Some((Next::Ethertype(data.word(2)?), 4)),
            PPPOE => match data.word(6)? {
                0x0021 => Some((Next::Ethertype(IPV4), 8)),
                0x0057 => Some((Next::Ethertype(IPV6), 8)),
                _ => None,
            },
            ETHERNET => Some((Next::Ethertype(data.word(ETH_HLEN - 2)?), ETH_HLEN)),
            arp if ARP.contains(&arp) => Some((Next::End, 0)),
            mpls if MPLS.contains(&mpls) => {
                data.bytes::<4>(0).map(|label| (Next::End, label.len()))
            }
            _ => None,
        }
    }

    /// The same of one that its IP protocol names. Some(None): it is the last one.
    fn network(&mut self, data: Data) -> Option<Option<(Next, usize)>> {
        let is_ipv6 = self.ethertype == IPV6;
        let found = match i32::from(self.protocol) {
            libc::IPPROTO_IPIP => (Next::Ethertype(IPV4), 0),
            libc::IPPROTO_IPV6 => (Next::Ethertype(IPV6), 0),
            libc::IPPROTO_HOPOPTS | libc::IPPROTO_ROUTING | libc::IPPROTO_DSTOPTS if is_ipv6 => {
                let [next, length] = data.bytes(0)?;
                (Next::Protocol(next), (usize::from(length) + 1) * 8)
            }
            libc::IPPROTO_FRAGMENT if is_ipv6 => {
                let [protocol, _, part @ .., _, _, _, _] = data.bytes::<8>(0)?;
                self.protocol = protocol;
                self.fragment = match u16::from_be_bytes(part) & 0xfff8 {
                    0 => Fragment::First,
                    _ => Fragment::Later,
                };
                (Next::End, 8)
            }
            libc::IPPROTO_GRE => {
                let flags = data.word(0)?;
                // Version 0 without routing.
                if flags & 0x4007 != 0 {
                    return Some(None);
                }
                let optional = [0x8000, 0x2000, 0x1000].iter();
                let length = 4 + 4 * optional.filter(|bit| flags & **bit != 0).count();
                (Next::Ethertype(data.word(2)?), length)
            }
            _ => return Some(None),
        };
        Some(Some(found))
    }

    /// Reads the ports, which fragments have not, the first one neither.
    fn ports(&mut self, data: Data) -> Option<()> {
        if self.fragment != Fragment::None {
            return None;
        }
        let at = match i32::from(self.protocol) {
            libc::IPPROTO_TCP | libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE => 0,
            libc::IPPROTO_SCTP | libc::IPPROTO_ESP | DCCP => 0,
            libc::IPPROTO_AH => 4,
            _ => return None,
        };
        self.ports = sorted(data.word(at)?, data.word(at + 2)?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of xorshift, from a seed on.
    fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
        move |below| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 11) as usize % below
        }
    }

    #[test]
    fn what_is_plain_has_the_flow_that_the_search_finds() {
        let mut number = numbers(7);
        let (mut plain, mut odd) = (0, 0);
        for turn in 0..40_000 {
            let (ethernet, wide) = (turn & 1 != 0, turn & 2 != 0);
            let link = if ethernet { ETH_HLEN } else { 0 };
            let mut packet: Vec<u8> = (0..link + 64).map(|_| number(256) as u8).collect();
            let ethertype = if wide { IPV6 } else { IPV4 };
            if ethernet {
                packet[12..14].copy_from_slice(&ethertype.to_be_bytes());
            }
            let protocol = [6, 17, 17, 47, 44, 1][number(6)];
            if wide {
                packet[link] = 0x60 | packet[link] & 15;
                packet[link + 6] = protocol;
            } else {
                packet[link] = 0x45;
                packet[link + 6..link + 8].copy_from_slice(&[0x40, 0]);
                packet[link + 9] = protocol;
            }
            // One byte of the headers is something else, and some packets are cut.
            let at = number(link + 10);
            packet[at] ^= [0, 0, 1, 0x20, 0xff][number(5)];
            if number(4) == 0 {
                packet.truncate(number(link + 64));
            }
            let found = Flow::of(&|at| packet.get(at).copied(), ethernet);
            match Flow::plain(&packet, ethernet) {
                Some(flow) => {
                    assert_eq!(flow, found, "{packet:x?}");
                    plain += 1;
                }
                None => odd += 1,
            }
            let hash = flow_hash(|at| packet.get(at).copied(), ethernet);
            assert_eq!(flow_hash_of(&packet, ethernet), hash);
        }
        assert!(plain > 10_000 && odd > 10_000, "{plain} and {odd}");
    }
}
