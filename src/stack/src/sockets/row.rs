//! How a flow, an own address and a socket stand in a row of words. Whatever stands there gives a
//! value or none; nothing else follows from it.
#![forbid(unsafe_code)]

use super::{Entry, Flow, Own, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{fence, AtomicU64};

/// How often a reader looks again at a row that is being written.
const TRIES: usize = 100;

/// Reads the words of a row behind its number. None means that it is being written, or that its
/// writer has died in it, or that nothing stands there.
#[inline]
pub fn read<const N: usize>(row: &[AtomicU64; N]) -> Option<[u64; N]> {
    for _ in 0..TRIES {
        let before = row[0].load(Acquire);
        if before == 0 {
            return None;
        }
        if before.is_multiple_of(2) {
            let words = std::array::from_fn(|at| row[at].load(Relaxed));
            fence(Acquire);
            if row[0].load(Relaxed) == before {
                return Some(words);
            }
        }
        std::hint::spin_loop();
    }
    None
}

/// Writes a row. There is one writer.
pub fn write<const N: usize>(row: &[AtomicU64; N], words: &[u64; N]) {
    let before = row[0].load(Relaxed) | 1;
    row[0].store(before, Relaxed);
    fence(Release);
    for (to, word) in row.iter().zip(words).skip(1) {
        to.store(*word, Relaxed);
    }
    // A number that has come round says that nothing stands there.
    let after = match before.wrapping_add(1) {
        0 => 2,
        after => after,
    };
    row[0].store(after, Release);
}

/// Makes a row one in which nothing stands.
pub fn clear<const N: usize>(row: &[AtomicU64; N]) {
    write(row, &[0; N]);
}

/// Was the writer of this row interrupted?
pub fn is_torn<const N: usize>(row: &[AtomicU64; N]) -> bool {
    row[0].load(Relaxed) % 2 == 1
}

fn address_of(words: [u64; 2], v6: bool) -> IpAddr {
    match v6 {
        true => Ipv6Addr::from(u128::from(words[0]) << 64 | u128::from(words[1])).into(),
        false => Ipv4Addr::from(words[1] as u32).into(),
    }
}

fn words_of(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [0, u32::from(address).into()],
        IpAddr::V6(address) => {
            let number = u128::from(address);
            [(number >> 64) as u64, number as u64]
        }
    }
}

fn name(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope).into(),
    }
}

fn scope_of(name: SocketAddr) -> u32 {
    match name {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(name) => name.scope_id(),
    }
}

/// Word of a flow's row, behind those of the flow, that says what the program has set on its
/// socket (see [`Pushing`](super::pushing::Pushing)). Programs write it; the host process makes it
/// 0 for a new flow.
pub const SET: usize = 8;

impl Flow {
    /// Returns the words of a row; the first one is the row's number.
    pub fn to_words(&self) -> [u64; 8] {
        let [l0, l1] = words_of(self.local.ip());
        let [r0, r1] = words_of(self.remote.ip());
        let head = self.protocol as u64
            | u64::from(self.local.is_ipv6()) << 8
            | u64::from(self.mss) << 16
            | u64::from(self.error) << 32;
        let ends = u64::from(self.local.port())
            | u64::from(self.remote.port()) << 16
            | u64::from(self.ifindex) << 32;
        let scopes = u64::from(scope_of(self.local)) | u64::from(scope_of(self.remote)) << 32;
        [0, head, l0, l1, r0, r1, ends, scopes]
    }

    /// Reads the words of a row.
    pub fn of_words(words: &[u64; 8]) -> Option<Flow> {
        let [_, head, l0, l1, r0, r1, ends, scopes] = *words;
        let v6 = head >> 8 & 1 == 1;
        Some(Flow {
            protocol: Protocol::of(head as u8)?,
            local: name(address_of([l0, l1], v6), ends as u16, scopes as u32),
            remote: name(
                address_of([r0, r1], v6),
                (ends >> 16) as u16,
                (scopes >> 32) as u32,
            ),
            ifindex: (ends >> 32) as u32,
            mss: (head >> 16) as u16,
            error: (head >> 32) as u16,
        })
    }
}

impl Own {
    /// Returns the words of a row; the first one is the row's number.
    pub fn to_words(&self) -> [u64; 4] {
        let [a, b] = words_of(self.address);
        let family = if self.address.is_ipv6() { 2 } else { 1 };
        [0, family | u64::from(self.scope) << 32, a, b]
    }

    /// Reads the words of a row.
    pub fn of_words(words: &[u64; 4]) -> Option<Own> {
        let [_, head, a, b] = *words;
        let v6 = match head as u32 {
            1 => false,
            2 => true,
            _ => return None,
        };
        Some(Own {
            address: address_of([a, b], v6),
            scope: (head >> 32) as u32,
        })
    }
}

/// Word of a socket's row that counts the errors that the host process has raised, with the last
/// one's errno in the upper half.
pub const RAISED: usize = 14;
/// Word of a socket's row that counts those which the program has been given. Programs write it.
pub const TAKEN: usize = 15;
/// Number of words that an entry has; those behind it are reserved.
const WORDS: usize = 14;

impl Entry {
    /// Returns the words of a row; the first one is the row's number. `raised` is what is kept of
    /// errors.
    pub fn to_words(&self, raised: u64) -> [u64; 24] {
        let [l0, l1] = words_of(self.local.ip());
        let [n0, n1] = words_of(self.native.ip());
        let [r0, r1] = words_of(self.remote.map_or(Ipv4Addr::UNSPECIFIED.into(), |r| r.ip()));
        let head = self.protocol as u64
            | u64::from(self.family) << 8
            | u64::from(self.local.is_ipv6()) << 24
            | u64::from(self.native.is_ipv6()) << 25
            | u64::from(self.remote.is_some()) << 26
            | u64::from(self.remote.is_some_and(|r| r.is_ipv6())) << 27
            | u64::from(self.flags) << 32;
        let ports = u64::from(self.local.port())
            | u64::from(self.native.port()) << 16
            | u64::from(self.remote.map_or(0, |r| r.port())) << 32;
        let scopes =
            u64::from(scope_of(self.local)) | u64::from(self.remote.map_or(0, scope_of)) << 32;
        let flow = u64::from(self.flow.map_or(0, u32::from)) | u64::from(self.device) << 32;
        let mut words = [0; 24];
        words[1..WORDS].copy_from_slice(&[
            self.cookie,
            self.inode,
            head,
            l0,
            l1,
            n0,
            n1,
            r0,
            r1,
            ports,
            scopes,
            flow,
            self.uid.into(),
        ]);
        words[RAISED] = raised;
        words
    }

    /// Reads the words of a row.
    pub fn of_words(words: &[u64; 24]) -> Option<Entry> {
        let [_, cookie, inode, head, l0, l1, n0, n1, r0, r1, ports, scopes, flow, uid, ..] = *words;
        let bit = |at: u32| head >> at & 1 == 1;
        let remote = name(
            address_of([r0, r1], bit(27)),
            (ports >> 32) as u16,
            (scopes >> 32) as u32,
        );
        Some(Entry {
            cookie: (cookie != 0).then_some(cookie)?,
            inode,
            uid: uid as u32,
            protocol: Protocol::of(head as u8)?,
            family: (head >> 8) as u16,
            local: name(address_of([l0, l1], bit(24)), ports as u16, scopes as u32),
            native: name(address_of([n0, n1], bit(25)), (ports >> 16) as u16, 0),
            remote: bit(26).then_some(remote),
            flow: Some(Ipv4Addr::from(flow as u32)).filter(|flow| !flow.is_unspecified()),
            device: (flow >> 32) as u32,
            flags: (head >> 32) as u32,
        })
    }
}

/// What stands in the hash table of ports: a port that stands for another number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translated {
    /// What is translated.
    pub kind: PortKind,
    /// The port.
    pub port: u16,
    /// What it stands for.
    pub stands_for: u32,
}

/// What a port of the hash table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PortKind {
    /// A native port of TCP; the net's port.
    Tcp = 1,
    /// A native port of UDP; the net's port.
    Udp = 2,
    /// A native port of TCP from which ::1 is connected with; the flow's alias.
    TcpFromLoopback = 3,
    /// A native port of UDP on ::1; the flow's alias.
    UdpFromLoopback = 4,
}

impl Translated {
    /// Returns the word.
    pub fn to_word(&self) -> u64 {
        u64::from(self.kind as u8) << 48 | u64::from(self.port) << 32 | u64::from(self.stands_for)
    }

    /// Returns the upper half of the word.
    pub fn key(kind: PortKind, port: u16) -> u32 {
        u32::from(kind as u8) << 16 | u32::from(port)
    }
}

/// A place of a hash table from which something was removed.
pub const REMOVED: u64 = u64::MAX;

/// Number of places at which a key of a hash table may stand.
pub const REACH: usize = 32;

/// Returns the places at which a key may stand in a hash table of `count` places.
pub fn places(key: u64, count: usize) -> impl Iterator<Item = usize> {
    let first = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    (0..REACH).map(move |at| first.wrapping_add(at) % count)
}
