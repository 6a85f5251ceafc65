//! The inbound queue: a bounded ring of packets in a tunnel's file.
//!
//! Places are counted in units of 16 bytes. Head, tail and number of packets stand in one word, so
//! that each change of the queue is one store: a process that is killed at any instruction leaves
//! either the old queue or the new one. Every record is contiguous. Where one does not fit before
//! the end of the area, a marker sends the reader to the beginning. Where the file system has no
//! more memory for the area, the end is that of the memory. There is no place for a marker then,
//! and none is needed, because the queue does not grow as long as its packets go round.
//!
//! The holder of the tunnel's lock has a [`Queue`], and nobody else has.
#![forbid(unsafe_code)]

use crate::area::{Area, Home, SharedBytes};
use crate::sync::AtomicU64;
use crate::Errno;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const UNIT: usize = 16;
/// Marker in place of a length: the next record stands at the beginning of the area.
const WRAP: u32 = u32::MAX;

/// Number of packets that a queue can count. A longer txqueuelen acts as this.
pub const MAX_PACKETS: u32 = (1 << 20) - 1;

/// Bytes that the largest area may have, because places are counted in 22 bits.
#[cfg(not(loom))]
pub(crate) const MOST_BYTES: usize = UNIT << 22;

/// Where the queue stands in its area.
#[repr(C)]
#[derive(Default)]
pub struct Ring {
    /// The packed [`Ends`]: head, tail and count in one word.
    ends: AtomicU64,
    /// Bytes of the area that have memory behind them.
    pub(crate) reserved: AtomicU64,
}

impl Ring {
    /// Returns the number of packets in the queue now.
    #[inline]
    pub fn queued(&self) -> u32 {
        Ends::unpack(self.ends.load(Acquire)).count
    }
}

/// Head and tail in units, and the number of packets, unpacked.
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

/// What stands in front of a packet in the first of two words: its length in bytes, and its
/// ethertype above that.
#[derive(Clone, Copy)]
struct Record {
    len: u32,
    ethertype: u16,
}

impl Record {
    const END: Record = Record {
        len: WRAP,
        ethertype: 0,
    };

    #[inline]
    fn unpack(word: u64) -> Record {
        Record {
            len: word as u32,
            ethertype: (word >> 32) as u16,
        }
    }
    #[inline]
    fn pack(self) -> u64 {
        (self.ethertype as u64) << 32 | self.len as u64
    }
    /// Returns the units of the record and its packet.
    #[inline]
    fn units(self) -> u32 {
        1 + self.len.div_ceil(UNIT as u32)
    }
}

/// A packet at the head of the queue.
#[derive(Clone, Copy)]
pub struct Packet<'m> {
    /// The packet's bytes, in shared memory.
    pub data: SharedBytes<'m>,
    /// Ethertype in host byte order.
    pub ethertype: u16,
}

/// The inbound queue of a tunnel whose lock is held, for the thread that holds it.
pub struct Queue<'m, Q>(&'m Q, PhantomData<*const ()>);

impl<Q> Clone for Queue<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q> Copy for Queue<'_, Q> {}

impl<'m, Q: Home<Words = Ring>> Queue<'m, Q> {
    /// Makes the queue for a caller that holds the tunnel's lock.
    #[inline]
    pub(crate) fn new(queued: &'m Q) -> Self {
        Queue(queued, PhantomData)
    }

    #[inline]
    fn ring(self) -> &'m Ring {
        self.0.words()
    }

    #[inline]
    fn area(self) -> Area<'m> {
        self.0.area()
    }

    /// Returns the number of packets in the queue.
    #[inline]
    pub fn queued(self) -> u32 {
        self.ring().queued()
    }

    /// Returns the units of the area.
    #[inline]
    fn units(self) -> u32 {
        (self.area().len() / UNIT) as u32
    }

    /// Returns how many bytes of the area have memory behind them, if shared memory says the truth.
    #[inline]
    fn kept(self) -> usize {
        self.ring().reserved.load(Relaxed) as usize
    }

    /// Returns the word of a record, if there is memory behind it.
    #[inline]
    fn record(self, at: u32) -> Option<&'m AtomicU64> {
        let [word, _] = self.area().words(at as usize * UNIT, self.kept())?;
        Some(word)
    }

    /// Returns the packet of a record, if there is memory behind it.
    #[inline]
    fn packet(self, at: u32, len: u32) -> Option<SharedBytes<'m>> {
        let offset = (at as usize + 1) * UNIT;
        self.area().bytes(offset, len as usize, self.kept())
    }

    /// Appends an inbound packet, with its ethertype in host byte order.
    ///
    /// # Errors
    ///
    /// - EAGAIN when `limit` packets are queued, or when there is no room before one is read.
    /// - ENOSPC when the file system is full and reading would not help.
    /// - EMSGSIZE when no queue could hold the packet.
    #[inline]
    pub fn push(self, data: &[u8], ethertype: u16, limit: u32) -> Result<(), Errno> {
        let full = Err(Errno(libc::EAGAIN));
        let mut ends = Ends::unpack(self.ring().ends.load(Relaxed));
        if ends.count >= limit.min(MAX_PACKETS) {
            return full;
        }
        if ends.count == 0 {
            ends = Ends::default();
        }
        // A packet that is longer than its record can say finds no place below.
        let record = Record {
            len: data.len() as u32,
            ethertype,
        };
        let need = record.units();
        let mut at = ends.tail;
        if ends.count > 0 && ends.tail <= ends.head {
            if ends.tail + need > ends.head {
                return full;
            }
        } else {
            let fits = ends.tail + need <= self.units();
            let grown = if fits {
                let upto = (ends.tail + need) as usize * UNIT;
                self.area().reserve(&self.ring().reserved, upto)
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
                    marker.store(Record::END.pack(), Relaxed);
                }
                at = 0;
            }
        }
        let offset = at as usize * UNIT;
        let room = self.area().record(offset, data.len(), self.kept());
        let Some(([word, _], place)) = room else {
            return full;
        };
        word.store(record.pack(), Relaxed);
        place.store(data);
        self.ring().ends.store(
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

    /// Returns the place where the record at the head really begins, and the record; None when the
    /// ring is empty or damaged.
    #[inline]
    fn first(self, ends: Ends) -> Option<(u32, Record)> {
        if ends.count == 0 {
            return None;
        }
        let read = |at| Some(Record::unpack(self.record(at)?.load(Relaxed)));
        match read(ends.head) {
            Some(record) if record.len != WRAP => Some((ends.head, record)),
            _ => Some((0, read(0)?)),
        }
    }

    /// Hands the oldest packet to `take` and removes it, whatever `take` answers: the kernel, too,
    /// drops a packet whose copying failed. Returns None when there is no packet.
    #[inline]
    pub fn pop<T>(self, take: impl FnOnce(Packet<'m>) -> T) -> Option<T> {
        let ends = Ends::unpack(self.ring().ends.load(Acquire));
        let Some((at, record)) = self.first(ends) else {
            self.clear();
            return None;
        };
        let Some(data) = self.packet(at, record.len) else {
            self.clear();
            return None;
        };
        let taken = take(Packet {
            data,
            ethertype: record.ethertype,
        });
        let left = Ends {
            head: at + record.units(),
            tail: ends.tail,
            count: ends.count - 1,
        };
        self.ring()
            .ends
            .store(if left.count == 0 { 0 } else { left.pack() }, Release);
        Some(taken)
    }

    /// Drops all packets, and returns how many there were.
    pub fn clear(self) -> u32 {
        let count = self.queued();
        self.ring().ends.store(0, Release);
        count
    }

    /// Drops the newest packets until `limit` are left, and returns how many were dropped.
    pub fn shrink(self, limit: u32) -> u32 {
        let ends = Ends::unpack(self.ring().ends.load(Acquire));
        if ends.count <= limit {
            return 0;
        }
        let mut cursor = ends;
        // A damaged ring may lead around for ever, and out of the area, so the units are counted.
        let mut units = 0;
        for _ in 0..limit {
            let Some((at, record)) = self.first(cursor) else {
                break;
            };
            units += record.units();
            if units > self.units() {
                break;
            }
            cursor.head = at + record.units();
        }
        let kept = Ends {
            head: ends.head,
            tail: cursor.head,
            count: limit,
        };
        self.ring()
            .ends
            .store(if limit == 0 { 0 } else { kept.pack() }, Release);
        ends.count - limit
    }

    /// Copies the packets with their ethertypes, oldest first, without removing them.
    pub fn peek_all(self) -> Vec<(Vec<u8>, u16)> {
        let mut cursor = Ends::unpack(self.ring().ends.load(Acquire));
        let mut packets = Vec::new();
        // A damaged ring may lead around for ever, so the units are counted.
        let mut units = 0;
        while let Some((at, record)) = self.first(cursor) {
            units += record.units();
            if units > self.units() {
                break;
            }
            let Some(data) = self.packet(at, record.len) else {
                break;
            };
            let mut copied = Vec::new();
            data.append_to(&mut copied);
            packets.push((copied, record.ethertype));
            cursor.head = at + record.units();
            cursor.count -= 1;
        }
        packets
    }
}
