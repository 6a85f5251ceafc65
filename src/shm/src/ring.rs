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
        // Packets are shorter than a unit less than this number has room for.
        1 + (self.len.wrapping_add(UNIT as u32 - 1)) / UNIT as u32
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

/// The oldest packet of a queue.
pub struct Front<'m> {
    /// The packet.
    pub packet: Packet<'m>,
    /// What the queue's word says without it.
    left: u64,
}

/// The inbound queue of a tunnel whose lock is held, for the thread that holds it.
#[derive(Clone, Copy)]
pub struct Queue<'m> {
    ring: &'m Ring,
    area: Area<'m>,
    stays: PhantomData<*const ()>,
}

/// Packets that are appended to a queue one after the other, and can be read together.
pub struct Run<'m> {
    queue: Queue<'m>,
    /// What the queue's word says with them.
    word: u64,
    /// Number of packets that may be appended.
    left: u32,
    /// Bytes of the area that have memory behind them.
    kept: usize,
}

impl<'m> Queue<'m> {
    /// Makes the queue for a caller that holds the tunnel's lock.
    #[inline(always)]
    pub(crate) fn new<Q: Home<Words = Ring>>(queued: &'m Q) -> Self {
        Queue {
            ring: queued.words(),
            area: queued.area(),
            stays: PhantomData,
        }
    }

    /// Returns the number of packets in the queue.
    #[inline]
    pub fn queued(self) -> u32 {
        self.ring.queued()
    }

    /// Returns the units of the area.
    #[inline]
    fn units(self) -> u32 {
        (self.area.len() / UNIT) as u32
    }

    /// Returns how many bytes of the area have memory behind them, if shared memory says the truth.
    #[inline(always)]
    fn kept(self) -> usize {
        self.ring.reserved.load(Relaxed) as usize
    }

    /// Returns the word of a record, if there is memory behind it.
    #[inline(always)]
    fn record(self, at: u32, kept: usize) -> Option<&'m AtomicU64> {
        let [word, _] = self.area.words(at as usize * UNIT, kept)?;
        Some(word)
    }

    /// Returns the packet of a record, if there is memory behind it.
    #[inline(always)]
    fn packet(self, at: u32, record: Record, kept: usize) -> Option<Packet<'m>> {
        let offset = (at as usize + 1) * UNIT;
        let data = self.area.bytes(offset, record.len as usize, kept)?;
        Some(Packet {
            data,
            ethertype: record.ethertype,
        })
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
        let mut ends = Ends::unpack(self.ring.ends.load(Relaxed));
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
        let at = self.find_room(ends, record.units())?;
        if !self.store(at, record, data, self.kept()) {
            return full;
        }
        let ends = Ends {
            head: ends.head,
            tail: at + record.units(),
            count: ends.count + 1,
        };
        self.ring.ends.store(ends.pack(), Release);
        Ok(())
    }

    /// Appends an inbound packet, with its ethertype in host byte order, where there is room with
    /// memory behind the last one. False says nothing but that [`Queue::push`] is to be asked.
    #[inline(always)]
    pub fn push_at_once(self, data: &[u8], ethertype: u16, limit: u32) -> bool {
        let Some(mut run) = self.run(limit) else {
            return false;
        };
        let appended = run.append(data, ethertype);
        if appended {
            run.publish();
        }
        appended
    }

    /// Begins to append packets of which at most `limit` may be queued. None says that there is no
    /// room for one behind the last one.
    #[inline(always)]
    pub fn run(self, limit: u32) -> Option<Run<'m>> {
        let word = self.ring.ends.load(Relaxed);
        let Ends { head, tail, count } = Ends::unpack(word);
        let limit = limit.min(MAX_PACKETS);
        // The word of an empty queue is 0.
        if count >= limit || word != 0 && (count == 0 || tail <= head) {
            return None;
        }
        Some(Run {
            queue: self,
            word,
            left: limit - count,
            kept: self.kept(),
        })
    }

    /// Stores a packet in a place that is free. Returns false if there is no memory behind that.
    #[inline(always)]
    fn store(self, at: u32, record: Record, data: &[u8], kept: usize) -> bool {
        let offset = at as usize * UNIT;
        let room = self.area.record(offset, data.len(), kept);
        let Some(([word, _], place)) = room else {
            return false;
        };
        word.store(record.pack(), Relaxed);
        place.store(data);
        true
    }

    /// Returns a place for a record of so many units, for which memory is reserved if need be.
    #[inline]
    fn find_room(self, ends: Ends, need: u32) -> Result<u32, Errno> {
        let full = Errno(libc::EAGAIN);
        let mut at = ends.tail;
        if ends.count > 0 && ends.tail <= ends.head {
            if ends.tail + need > ends.head {
                return Err(full);
            }
        } else {
            let fits = ends.tail + need <= self.units();
            let grown = if fits {
                let upto = (ends.tail + need) as usize * UNIT;
                self.area.reserve(&self.ring.reserved, upto)
            } else {
                Err(Errno(libc::EMSGSIZE))
            };
            if let Err(e) = grown {
                if ends.count == 0 {
                    return Err(e);
                }
                if need > ends.head {
                    return Err(full);
                }
                if let Some(marker) = self.record(ends.tail, self.kept()) {
                    marker.store(Record::END.pack(), Relaxed);
                }
                at = 0;
            }
        }
        Ok(at)
    }

    /// Returns the place where the record at the head really begins, and the record; None when the
    /// ring is empty or damaged.
    #[inline]
    fn first(self, ends: Ends) -> Option<(u32, Record)> {
        if ends.count == 0 {
            return None;
        }
        let read = |at| Some(Record::unpack(self.record(at, self.kept())?.load(Relaxed)));
        match read(ends.head) {
            Some(record) if record.len != WRAP => Some((ends.head, record)),
            _ => Some((0, read(0)?)),
        }
    }

    /// Hands the oldest packet to `take` and removes it, whatever `take` answers: the kernel, too,
    /// drops a packet whose copying failed. Returns None when there is no packet.
    #[inline]
    pub fn pop<T>(self, take: impl FnOnce(Packet<'m>) -> T) -> Option<T> {
        let ends = Ends::unpack(self.ring.ends.load(Acquire));
        let found = self
            .first(ends)
            .and_then(|(at, record)| Some((at, record, self.packet(at, record, self.kept())?)));
        let Some((at, record, packet)) = found else {
            self.clear();
            return None;
        };
        let taken = take(packet);
        let left = Ends {
            head: at + record.units(),
            tail: ends.tail,
            count: ends.count - 1,
        };
        self.ring
            .ends
            .store(if left.count == 0 { 0 } else { left.pack() }, Release);
        Some(taken)
    }

    /// Returns the oldest packet, if it stands where the queue begins.
    #[inline(always)]
    pub fn front(self) -> Option<Front<'m>> {
        let word = self.ring.ends.load(Acquire);
        let Ends { head, count, .. } = Ends::unpack(word);
        if count == 0 {
            return None;
        }
        let kept = self.kept();
        let record = Record::unpack(self.record(head, kept)?.load(Relaxed));
        // There is no memory behind as many bytes as a marker says.
        let packet = self.packet(head, record, kept)?;
        let gone = Ends {
            head: record.units(),
            ..Ends::default()
        };
        let left = word.wrapping_add(gone.pack()).wrapping_sub(1);
        Some(Front {
            packet,
            left: if count == 1 { 0 } else { left },
        })
    }

    /// Removes the packet that [`Queue::front`] has returned. Returns whether it was the last one.
    #[inline(always)]
    pub fn remove(self, front: Front<'m>) -> bool {
        self.ring.ends.store(front.left, Release);
        front.left == 0
    }

    /// Drops all packets, and returns how many there were.
    pub fn clear(self) -> u32 {
        let count = self.queued();
        self.ring.ends.store(0, Release);
        count
    }

    /// Drops the newest packets until `limit` are left, and returns how many were dropped.
    pub fn shrink(self, limit: u32) -> u32 {
        let ends = Ends::unpack(self.ring.ends.load(Acquire));
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
        self.ring
            .ends
            .store(if limit == 0 { 0 } else { kept.pack() }, Release);
        ends.count - limit
    }

    /// Copies the packets with their ethertypes, oldest first, without removing them.
    pub fn peek_all(self) -> Vec<(Vec<u8>, u16)> {
        let mut cursor = Ends::unpack(self.ring.ends.load(Acquire));
        let mut packets = Vec::new();
        // A damaged ring may lead around for ever, so the units are counted.
        let mut units = 0;
        while let Some((at, record)) = self.first(cursor) {
            units += record.units();
            if units > self.units() {
                break;
            }
            let Some(packet) = self.packet(at, record, self.kept()) else {
                break;
            };
            let mut copied = Vec::new();
            packet.data.append_to(&mut copied);
            packets.push((copied, record.ethertype));
            cursor.head = at + record.units();
            cursor.count -= 1;
        }
        packets
    }
}

impl Run<'_> {
    /// Returns how many packets may be appended.
    #[inline(always)]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Appends an inbound packet, with its ethertype in host byte order. Returns false if there is
    /// no memory for it here. The caller counts that there are not more than [`Run::left`].
    #[inline(always)]
    pub fn append(&mut self, data: &[u8], ethertype: u16) -> bool {
        let Ends { tail, .. } = Ends::unpack(self.word);
        let record = Record {
            len: data.len() as u32,
            ethertype,
        };
        if !self.queue.store(tail, record, data, self.kept) {
            return false;
        }
        // The tail is not more than the area's units, and does not reach the bits of the head.
        let more = Ends {
            head: 0,
            tail: record.units(),
            count: 1,
        };
        self.word = self.word.wrapping_add(more.pack());
        true
    }

    /// Lets the packets be read.
    #[inline(always)]
    pub fn publish(self) {
        self.queue.ring.ends.store(self.word, Release);
    }
}
