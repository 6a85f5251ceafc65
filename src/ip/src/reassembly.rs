//! Packets that come in pieces, put together as ip_fragment.c and reassembly.c do.
#![forbid(unsafe_code)]

use crate::extension::Problem;
use crate::head::refresh_checksum;
use crate::{protocol, Packet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long the pieces of an IPv4 packet are kept, unless told otherwise.
pub const TIME_V4: Duration = Duration::from_secs(30);
/// How long the pieces of an IPv6 packet are kept, unless told otherwise.
pub const TIME_V6: Duration = Duration::from_secs(60);
/// How many bytes are kept at most.
const MOST: usize = 4 << 20;
/// What a packet and a piece count in addition to their bytes.
const OVERHEAD: usize = 256;

/// Which packet a piece is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    id: u32,
    interface: u32,
}

/// What became of a piece.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The packet is whole: its bytes.
    Whole(Vec<u8>),
    /// It is kept, or was not needed.
    Kept,
    /// It is refused, with all that was kept of its packet.
    Dropped,
    /// It is refused, and the sender is to hear of it.
    Problem(Problem),
}

/// A packet whose pieces did not come in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expired {
    /// The interface of the last piece.
    pub interface: u32,
    /// The first piece as it came, where it has come: what an error quotes.
    pub first: Option<Vec<u8>>,
}

struct Queue {
    /// Bytes of the payload by their offset; no two overlap.
    pieces: BTreeMap<usize, Vec<u8>>,
    /// The first piece as it came, with its headers.
    first: Option<Vec<u8>>,
    /// Length of the first piece's headers.
    header: usize,
    /// Where the number stands that names the fragment header, in IPv6.
    named_at: usize,
    /// Length of the payload as far as it is known.
    length: usize,
    last: bool,
    held: usize,
    cost: usize,
    until: Duration,
    interface: u32,
}

/// The pieces of packets that are not whole yet. Time is that of any clock that goes forward.
#[derive(Default)]
pub struct Reassembly {
    queues: BTreeMap<Key, Queue>,
    /// When each of them expires: looked at for each packet, however many there are.
    times: BTreeSet<(Duration, Key)>,
    cost: usize,
}

impl Reassembly {
    /// Takes a piece that has come in at `interface`. `time` is how long its packet may take from
    /// now on, if it is the first that came of it.
    pub fn add(
        &mut self,
        packet: &Packet<'_>,
        interface: u32,
        now: Duration,
        time: Duration,
    ) -> Outcome {
        let Some(fragment) = packet.fragment else {
            return Outcome::Kept;
        };
        let payload = packet.payload();
        let end = fragment.offset + payload.len();
        let mut payload = payload;
        if packet.is_v6() {
            if end > 0xffff {
                return problem(0, packet.header_length() - 8 + 2);
            }
            if fragment.more && !end.is_multiple_of(8) {
                return problem(0, 4);
            }
            // The first piece has to say what the packet carries (RFC 8200).
            if fragment.offset == 0 && payload.len() < least(packet.protocol) {
                return problem(3, 0);
            }
        } else if fragment.more {
            payload = &payload[..payload.len() & !7];
        }
        let key = Key {
            source: packet.source,
            destination: packet.destination,
            protocol: if packet.is_v6() { 0 } else { packet.protocol },
            id: fragment.id,
            interface: interface_of(packet, interface),
        };
        if !self.queues.contains_key(&key) && self.cost > MOST {
            return Outcome::Dropped;
        }
        let times = &mut self.times;
        let queue = self.queues.entry(key).or_insert_with(|| {
            let until = now + time;
            times.insert((until, key));
            Queue {
                pieces: BTreeMap::new(),
                first: None,
                header: 0,
                named_at: 0,
                length: 0,
                last: false,
                held: 0,
                cost: 0,
                until,
                interface,
            }
        });
        queue.interface = interface;
        let before = queue.cost;
        let kept = queue.add(packet, payload);
        self.cost += queue.cost - before;
        match kept {
            Ok(()) if self.cost > MOST => self.end(&key, Outcome::Dropped),
            Ok(()) => match self.queues.get(&key).is_some_and(Queue::is_whole) {
                true => self.whole(&key),
                false => Outcome::Kept,
            },
            Err(()) => self.end(&key, Outcome::Dropped),
        }
    }

    /// Takes a packet out, whole or not.
    fn take(&mut self, key: &Key) -> Option<Queue> {
        let queue = self.queues.remove(key)?;
        self.times.remove(&(queue.until, *key));
        self.cost -= queue.cost;
        Some(queue)
    }

    fn end(&mut self, key: &Key, outcome: Outcome) -> Outcome {
        self.take(key);
        outcome
    }

    fn whole(&mut self, key: &Key) -> Outcome {
        let Some(queue) = self.take(key) else {
            return Outcome::Kept;
        };
        match queue.put_together(key.source.is_ipv6()) {
            Some(packet) => Outcome::Whole(packet),
            None => Outcome::Dropped,
        }
    }

    /// Returns when the next packet expires.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.times.first().map(|(until, _)| *until)
    }

    /// Takes out a packet that has expired.
    pub fn expire(&mut self, now: Duration) -> Option<Expired> {
        let (_, key) = *self.times.first().filter(|(until, _)| *until <= now)?;
        let queue = self.take(&key)?;
        Some(Expired {
            interface: queue.interface,
            first: queue.first,
        })
    }

    /// Are there no pieces?
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }
}

/// Addresses of IPv6 that are not of one link alone mean the same at all interfaces.
fn interface_of(packet: &Packet<'_>, interface: u32) -> u32 {
    match packet.destination {
        IpAddr::V4(_) => 0,
        IpAddr::V6(to) if to.is_multicast() || to.is_unicast_link_local() => interface,
        IpAddr::V6(_) => 0,
    }
}

/// Returns how many bytes of a protocol's header the first piece must have.
fn least(protocol: u8) -> usize {
    match protocol {
        protocol::TCP => 20,
        protocol::UDP | protocol::ICMP6 => 8,
        _ => 1,
    }
}

fn problem(code: u8, pointer: usize) -> Outcome {
    Outcome::Problem(Problem {
        code,
        pointer: pointer as u32,
        even_for_groups: false,
    })
}

impl Queue {
    /// Takes a piece. An error is one that does not fit to the others.
    fn add(&mut self, packet: &Packet<'_>, payload: &[u8]) -> Result<(), ()> {
        let fragment = packet.fragment.ok_or(())?;
        let (start, end) = (fragment.offset, fragment.offset + payload.len());
        match fragment.more {
            false => {
                if end < self.length || self.last && end != self.length {
                    return Err(());
                }
                (self.last, self.length) = (true, end);
            }
            true if end > self.length => {
                if self.last {
                    return Err(());
                }
                self.length = end;
            }
            true => {}
        }
        if start == end {
            return Err(());
        }
        if let Some((at, before)) = self.pieces.range(..end).next_back() {
            let covered = at + before.len();
            // A piece that has come already is not needed; one that overlaps others is an attack.
            if *at <= start && covered >= end {
                return Ok(());
            }
            if covered > start {
                return Err(());
            }
        }
        if start == 0 {
            self.header = packet.header_length();
            self.named_at = named_at(packet);
            self.first = Some(packet.bytes().to_vec());
            self.cost += packet.bytes().len();
        }
        self.held += payload.len();
        self.cost += payload.len() + OVERHEAD;
        self.pieces.insert(start, payload.to_vec());
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.last && self.first.is_some() && self.held == self.length
    }

    fn put_together(self, v6: bool) -> Option<Vec<u8>> {
        let first = self.first?;
        let header = self.header - if v6 { 8 } else { 0 };
        if self.length + header - if v6 { 40 } else { 0 } > 0xffff {
            return None;
        }
        let mut packet = Vec::with_capacity(header + self.length);
        packet.extend_from_slice(first.get(..header)?);
        for piece in self.pieces.values() {
            packet.extend_from_slice(piece);
        }
        match v6 {
            true => {
                let payload = (packet.len() - 40) as u16;
                packet[4..6].copy_from_slice(&payload.to_be_bytes());
                packet[self.named_at] = first[header];
            }
            false => {
                let total = packet.len() as u16;
                packet[2..4].copy_from_slice(&total.to_be_bytes());
                packet[6..8].copy_from_slice(&[0, 0]);
                refresh_checksum(&mut packet);
            }
        }
        Some(packet)
    }
}

/// Where the number stands that names the fragment header of an IPv6 packet.
fn named_at(packet: &Packet<'_>) -> usize {
    let (bytes, end) = (packet.bytes(), packet.header_length().saturating_sub(8));
    let (mut at, mut named) = (40, 6);
    while packet.is_v6() && at < end {
        let length = (usize::from(bytes.get(at + 1).copied().unwrap_or(0)) + 1) * 8;
        (named, at) = (at, at + length);
    }
    named
}
