//! The inbound queue: a bounded ring of packets in a tunnel's file.
//!
//! Places are counted in units of 16 bytes. Head, tail and number of packets stand in one word, so that each change of
//! the queue is one store: a process killed at any instruction leaves either the old queue or the new one. Every record
//! is contiguous; where one does not fit before the end of the area, a marker sends the reader to the beginning. The end is
//! that of the memory behind the area where the file system has no more: there is no place for a marker then, and none is
//! needed, because the queue does not grow as long as its packets go round.

use super::layout::{State, TunnelState};
use super::Mapped;
use crate::Errno;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

const UNIT: usize = 16;
const WRAP: u32 = u32::MAX;

/// Most packets that a queue can count; a longer txqueuelen acts as this.
pub const MAX_PACKETS: u32 = (1 << 20) - 1;

const _: () = assert!(TunnelState::AREA / UNIT < 1 << 22);

/// In front of every packet.
#[repr(C)]
struct Record {
    len: AtomicU32,
    ethertype: AtomicU32,
    _reserved: u64,
}

const _: () = assert!(std::mem::size_of::<Record>() == UNIT);

/// Head, tail, count, unpacked.
#[derive(Clone, Copy, Default)]
struct Ends {
    head: u32,
    tail: u32,
    count: u32,
}

impl Ends {
    #[inline]
    fn unpack(word: u64) -> Ends {
        Ends {
            head: (word >> 42) as u32,
            tail: (word >> 20) as u32 & 0x3f_ffff,
            count: word as u32 & MAX_PACKETS,
        }
    }
    #[inline]
    fn pack(self) -> u64 {
        (self.head as u64) << 42 | (self.tail as u64) << 20 | self.count as u64
    }
}

/// A packet at the head of the queue.
pub struct Packet<'a> {
    /// Its bytes, in shared memory.
    pub data: &'a [u8],
    /// Host byte order.
    pub ethertype: u16,
}

/// All of these want the tunnel's lock held.
impl Mapped<TunnelState> {
    /// Packets in the queue.
    #[inline]
    pub fn queued(&self) -> u32 {
        Ends::unpack(self.ring.load(Acquire)).count
    }

    /// Units of the area.
    #[inline]
    fn units(&self) -> u32 {
        (self.area_size() / UNIT) as u32
    }

    /// A range of the area, if memory is behind it.
    #[inline]
    fn kept(&self, offset: usize, len: usize) -> Option<*mut u8> {
        let place = self.area(offset, len)?;
        (offset + len <= self.ring_reserved.load(Relaxed) as usize).then_some(place)
    }

    #[inline]
    fn record(&self, at: u32) -> Option<&Record> {
        let place = self.kept(at as usize * UNIT, UNIT)?;
        // SAFETY: 16 aligned bytes within the mapping; Record is all atomics, and any bit pattern is valid.
        Some(unsafe { &*(place as *const Record) })
    }

    /// Appends a packet. EAGAIN when `limit` packets are queued or there is no room before one is read, ENOSPC when the
    /// file system is full and reading would not help, EMSGSIZE when no queue could hold it.
    #[inline]
    pub fn push(&self, data: &[u8], ethertype: u16, limit: u32) -> Result<(), Errno> {
        let full = Err(Errno(libc::EAGAIN));
        let mut ends = Ends::unpack(self.ring.load(Relaxed));
        if ends.count >= limit.min(MAX_PACKETS) {
            return full;
        }
        if ends.count == 0 {
            ends = Ends::default();
        }
        let need = (1 + data.len().div_ceil(UNIT)) as u32;
        let upto = |units: u32| units as usize * UNIT;
        let mut at = ends.tail;
        if ends.count > 0 && ends.tail <= ends.head {
            if ends.tail + need > ends.head {
                return full;
            }
        } else {
            let fits = ends.tail + need <= self.units();
            let grown = if fits {
                self.reserve(&self.ring_reserved, upto(ends.tail + need))
            } else {
                Err(Errno(libc::EMSGSIZE))
            };
            if let Err(e) = grown {
                if ends.count == 0 {
                    return Err(e);
                }
                if need > ends.head {
                    return full;
                }
                if let Some(marker) = self.record(ends.tail) {
                    marker.len.store(WRAP, Relaxed);
                }
                at = 0;
            }
        }
        let from = upto(at);
        let (Some(record), Some(place)) = (self.record(at), self.kept(from + UNIT, data.len()))
        else {
            return full;
        };
        record.len.store(data.len() as u32, Relaxed);
        record.ethertype.store(ethertype as u32, Relaxed);
        // SAFETY: `place` has room for `data` within the mapping, reserved above; no reader looks beyond the tail.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), place, data.len()) };
        self.ring.store(
            Ends {
                head: ends.head,
                tail: at + need,
                count: ends.count + 1,
            }
            .pack(),
            Release,
        );
        Ok(())
    }

    /// Where the record at the head really begins, with its length; None when the ring is empty or damaged.
    #[inline]
    fn first(&self, ends: Ends) -> Option<(u32, u32, u16)> {
        if ends.count == 0 {
            return None;
        }
        let mut at = ends.head;
        let mut record = self.record(at);
        if record.is_none_or(|r| r.len.load(Relaxed) == WRAP) {
            at = 0;
            record = self.record(0);
        }
        let record = record?;
        Some((
            at,
            record.len.load(Relaxed),
            record.ethertype.load(Relaxed) as u16,
        ))
    }

    /// Hands the oldest packet to `take` and removes it, whatever `take` says: the kernel drops a packet whose copying
    /// failed as well. None when there is none.
    #[inline]
    pub fn pop<T>(&self, take: impl FnOnce(Packet<'_>) -> T) -> Option<T> {
        let ends = Ends::unpack(self.ring.load(Acquire));
        let (at, len, ethertype) = match self.first(ends) {
            Some(found) => found,
            None => {
                self.clear();
                return None;
            }
        };
        let Some(place) = self.kept((at as usize + 1) * UNIT, len as usize) else {
            self.clear();
            return None;
        };
        // SAFETY: within the mapping; the lock keeps writers of records away until the tail moves past them.
        let data = unsafe { std::slice::from_raw_parts(place, len as usize) };
        let taken = take(Packet { data, ethertype });
        let head = at + 1 + len.div_ceil(UNIT as u32);
        let left = Ends {
            head,
            tail: ends.tail,
            count: ends.count - 1,
        };
        self.ring
            .store(if left.count == 0 { 0 } else { left.pack() }, Release);
        Some(taken)
    }

    /// Drops everything; how many packets that were.
    pub fn clear(&self) -> u32 {
        let count = self.queued();
        self.ring.store(0, Release);
        count
    }

    /// Drops the newest packets until `limit` are left; how many were dropped.
    pub fn shrink(&self, limit: u32) -> u32 {
        let ends = Ends::unpack(self.ring.load(Acquire));
        if ends.count <= limit {
            return 0;
        }
        let mut cursor = ends;
        for _ in 0..limit {
            let Some((at, len, _)) = self.first(cursor) else {
                break;
            };
            cursor.head = at + 1 + len.div_ceil(UNIT as u32);
        }
        let kept = Ends {
            head: ends.head,
            tail: cursor.head,
            count: limit,
        };
        self.ring
            .store(if limit == 0 { 0 } else { kept.pack() }, Release);
        ends.count - limit
    }

    /// The packets in order, oldest first, without removing them.
    pub fn peek_all(&self) -> Vec<(Vec<u8>, u16)> {
        let mut cursor = Ends::unpack(self.ring.load(Acquire));
        let mut packets = Vec::new();
        // A damaged ring may lead around for ever.
        let mut units = 0;
        while let Some((at, len, ethertype)) = self.first(cursor) {
            units += 1 + len.div_ceil(UNIT as u32);
            if units > self.units() {
                break;
            }
            let Some(place) = self.kept((at as usize + 1) * UNIT, len as usize) else {
                break;
            };
            // SAFETY: as in `pop`.
            packets.push((
                unsafe { std::slice::from_raw_parts(place, len as usize) }.to_vec(),
                ethertype,
            ));
            cursor.head = at + 1 + len.div_ceil(UNIT as u32);
            cursor.count -= 1;
        }
        packets
    }
}
