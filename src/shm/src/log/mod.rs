//! The outbound log: what the program wrote, kept in an interface's file until newer packets need
//! the room.
//!
//! While somebody captures, injected and refused packets stand there as well, in the order of
//! events. A reader that only wants what the program wrote skips those records. Any number of
//! subscribers read without taking a lock, each with a [`Cursor`] of its own, through a [`Reader`].
//! The holder of the interface's lock has a [`Writer`]. The program overwrites the oldest packets
//! and waits for nobody but a capturer.
//!
//! A position is one word, a running number (40 bits) above a place in units of 16 bytes (24 bits),
//! so that each change is one store. A subscriber first copies, and then checks whether the head
//! has passed its cursor meanwhile. If so, what it copied may be torn, and it goes on in the middle
//! of what is kept. Each record counts the packets before it, so that a reader knows exactly how
//! many it has missed.
//!
//! The log begins small. With its first packet it gets room for any packet that a network carries
//! (`FULL`), and it grows while the file system has room for history (`NetDir` says how much).
//! Where the file system has none, the log goes round in the room that it has: the history is
//! shorter then, and no write fails. Only a packet that is larger than that room needs more at
//! once. Where the file system is full it gets ENOBUFS, which the kernel answers when it finds no
//! memory for a packet.
#![forbid(unsafe_code)]

mod reader;
mod taken;
mod writer;

pub use reader::Reader;
pub use taken::Taken;
pub use writer::Writer;

use crate::sync::{AtomicU32, AtomicU64};
use crate::Errno;
use std::sync::atomic::Ordering::{Acquire, SeqCst};
use std::time::Duration;

const UNIT: usize = 16;
const PLACE_BITS: u32 = 24;

/// Bytes of the area that a log has from its first packet on, if there is memory.
pub(crate) const FULL: usize = 18 * memtun_sys::PAGE;

/// Bytes that the largest area may have.
#[cfg(not(loom))]
pub(crate) const MOST_BYTES: usize = UNIT << PLACE_BITS;

/// The four words in front of a packet. The running number tells whether a position leads here, or
/// to the beginning of the area because this record did not fit before the end.
#[derive(Clone, Copy)]
struct Head<'m>(&'m [AtomicU64; 4]);

impl<'m> Head<'m> {
    fn number(self) -> &'m AtomicU64 {
        &self.0[0]
    }
    fn time_ns(self) -> &'m AtomicU64 {
        &self.0[1]
    }
    /// The packed [`Facts`] of the packet.
    fn facts(self) -> &'m AtomicU64 {
        &self.0[2]
    }
    /// Number of packets before this one that the program wrote successfully.
    fn written(self) -> &'m AtomicU64 {
        &self.0[3]
    }
}

/// Length, ethertype and flags of a packet, which are packed into one word from its low end.
#[derive(Clone, Copy)]
struct Facts {
    len: u32,
    ethertype: u16,
    /// Bit 0 is set for an inbound packet; the bits above it are the errno of a packet that was
    /// refused.
    flags: u16,
}

impl Facts {
    #[inline]
    fn unpack(word: u64) -> Facts {
        Facts {
            len: word as u32,
            ethertype: (word >> 32) as u16,
            flags: (word >> 48) as u16,
        }
    }
    #[inline]
    fn pack(self) -> u64 {
        (self.flags as u64) << 48 | (self.ethertype as u64) << 32 | self.len as u64
    }
}

/// Length of a record's words, in units.
const RECORD: u64 = 2;
const INBOUND: u16 = 1;

/// Where the log stands in its area, and who waits for it.
#[repr(C)]
#[derive(Default)]
pub struct Log {
    /// Position of the oldest packet that is kept.
    head: AtomicU64,
    /// Position of the packet that comes next.
    tail: AtomicU64,
    /// Bytes of the area that have memory behind them.
    pub(crate) reserved: AtomicU64,
    /// Futex that rises with every packet, and with the deletion of the interface.
    event: AtomicU32,
    /// Number of sleepers on `event`, see [`NetState::waiters`](crate::layout::NetState::waiters).
    waiters: AtomicU32,
    /// Number of packets so far that the program wrote successfully.
    written: AtomicU64,
    /// Positions where a reader that was overtaken can go on: for each eighth of the log, the
    /// first record that begins in it, as of the last time that it was written.
    marks: [AtomicU64; 8],
}

/// A position in the log: a packet's running number, and the place where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position(u64);

impl Position {
    fn new(number: u64, place: u64) -> Position {
        Position(number << PLACE_BITS | place)
    }
    /// Returns the running number of the packet.
    pub fn number(self) -> u64 {
        self.0 >> PLACE_BITS
    }
    fn place(self) -> u64 {
        self.0 & ((1 << PLACE_BITS) - 1)
    }
    /// Returns the position behind a record that stands here with a packet of `len` bytes.
    fn after(self, len: u32) -> Position {
        Position::new(
            self.number() + 1,
            self.place() + RECORD + (len as u64).div_ceil(UNIT as u64),
        )
    }
}

/// What a record says about its packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Ethertype in host byte order.
    pub ethertype: u16,
    /// Time of the packet in nanoseconds since the epoch (CLOCK_REALTIME).
    pub time_ns: u64,
    /// Length of the whole packet in bytes.
    pub len: usize,
    /// Did the packet go toward the program (inbound)?
    pub inbound: bool,
    /// Errno with which the packet was refused, or None when it was not.
    pub refused: Option<Errno>,
}

/// What a subscriber finds at its cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// The next packet, copied.
    Packet(Record),
    /// The cursor was overtaken, and this many packets are gone. The next read goes on with what
    /// is kept.
    Lost(u64),
    /// There is nothing new.
    Empty,
}

/// What became of a packet that is appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// The program wrote it (outbound).
    Written,
    /// It was put into the program's queue (inbound).
    Injected,
    /// The program's write failed with this errno.
    WriteRefused(Errno),
    /// It was not put into the program's queue, and its sender got this errno.
    InjectRefused(Errno),
}

impl Sort {
    fn flags(self) -> u16 {
        let errno = |e: Errno| (e.0.clamp(1, 4095) as u16) << 1;
        match self {
            Sort::Written => 0,
            Sort::Injected => INBOUND,
            Sort::WriteRefused(e) => errno(e),
            Sort::InjectRefused(e) => errno(e) | INBOUND,
        }
    }
}

/// The place at which a subscriber reads, and what it reads.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    at: Position,
    /// Does the subscriber read injected and refused packets as well?
    everything: bool,
    /// Number of packets before the next one that is to be read; None when nothing is expected, so
    /// that whatever comes is next.
    expected: Option<u64>,
}

impl Cursor {
    /// Returns the running number of the record that is read next.
    pub fn number(&self) -> u64 {
        self.at.number()
    }

    /// Returns how many packets are before the next one, as far as that is known.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }
}

impl Log {
    /// Returns the position of the oldest packet that is kept.
    pub fn oldest(&self) -> Position {
        Position(self.head.load(Acquire))
    }

    /// Returns the position of the packet that comes next.
    pub fn next(&self) -> Position {
        Position(self.tail.load(Acquire))
    }

    /// Notes that something has happened that sleepers want to know. [`Log::ring`] wakes them.
    #[inline]
    pub fn announce(&self) {
        self.event.fetch_add(1, SeqCst);
    }

    /// Wakes the subscribers that sleep. It is called without the lock after a packet was appended.
    #[inline]
    pub fn ring(&self) {
        if self.waiters.load(SeqCst) != 0 {
            crate::below::futex_wake_all(&self.event);
        }
    }

    /// Sleeps while `nothing_new` is true, but at most for `time`. Returns whether the time passed.
    pub fn sleep(&self, time: Duration, nothing_new: impl FnOnce() -> bool) -> bool {
        self.waiters.fetch_add(1, SeqCst);
        let seen = self.event.load(SeqCst);
        let over = nothing_new()
            && crate::below::futex_wait(&self.event, seen, Some(time))
                == Err(Errno(libc::ETIMEDOUT));
        self.waiters.fetch_sub(1, SeqCst);
        over
    }
}

impl Cursor {
    /// Compares the number of packets before the next one with what was expected; the difference is
    /// lost.
    fn missed(&mut self, count: u64) -> Option<Entry> {
        let lost = count.saturating_sub(self.expected?);
        if lost == 0 {
            return None;
        }
        self.expected = Some(count);
        Some(Entry::Lost(lost))
    }
}
