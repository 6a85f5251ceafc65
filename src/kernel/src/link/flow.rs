//! Which packets are of one flow (`__skb_get_hash_symmetric` and its dissector).
//!
//! The kernel's hash has a secret, so which queue a flow gets by itself cannot be the same. Which
//! packets are one flow can: what a program has written decides where the answers go.
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
}

/// So many headers are looked at (MAX_FLOW_DISSECT_HDRS).
const DEEPEST: usize = 15;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
const PPPOE: u16 = 0x8864;
const ETHERNET: u16 = 0x6558;

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
    let flow = Flow::of(&byte, ethernet);
    let [a, b] = flow.addresses;
    let words = [
        u64::from(flow.ethertype) << 8 | u64::from(flow.protocol),
        a as u64,
        (a >> 64) as u64,
        b as u64,
        (b >> 64) as u64,
        u64::from(flow.ports[0]) << 16 | u64::from(flow.ports[1]),
    ];
    let mixed = words.into_iter().fold(0u64, |hash, word| {
        let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    });
    ((mixed ^ mixed >> 32) as u32).max(1)
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
    fn of(byte: &dyn Fn(usize) -> Option<u8>, ethernet: bool) -> Flow {
        let mut flow = Flow::default();
        // What is cut off ends the search, and what was found counts.
        let _ = flow.dissect(Data { byte, start: 0 }, ethernet);
        flow
    }

    fn dissect(&mut self, mut data: Data, ethernet: bool) -> Option<()> {
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
        let mut next = Next::Ethertype(self.ethertype);
        for _ in 0..DEEPEST {
            let (behind, length) = match next {
                Next::Ethertype(ethertype) => {
                    self.ethertype = ethertype;
                    self.link(data)?
                }
                Next::Protocol(protocol) => {
                    self.protocol = protocol;
                    match self.network(data)? {
                        Some(found) => found,
                        None => return self.ports(data),
                    }
                }
                Next::End => return None,
            };
            data.start += length;
            next = behind;
        }
        None
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
                // Fragments have no ports, the first one neither.
                let is_fragment = data.word(6)? & 0x3fff != 0;
                let next = if is_fragment {
                    Next::End
                } else {
                    Next::Protocol(self.protocol)
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
                self.protocol = data.bytes::<8>(0)?[0];
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

    fn ports(&mut self, data: Data) -> Option<()> {
        const DCCP: i32 = 33;
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
