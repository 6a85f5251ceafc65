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
//! The log begins with room for any packet that a network carries, and grows while the file system
//! has room for history (`NetDir` says how much). Where the file system has none, the log goes
//! round in the room that it has: the history is shorter then, and no write fails. Only a packet
//! that is larger than that room needs more at once. Where the file system is full it gets ENOBUFS,
//! which the kernel answers when it finds no memory for a packet.
#![forbid(unsafe_code)]

use crate::area::{Area, Home, SharedBytes};
use crate::below::now_ns;
use crate::sync::{fence, AtomicU32, AtomicU64};
use crate::Errno;
use memtun_sys::PAGE;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::Duration;

const UNIT: usize = 16;
const PLACE_BITS: u32 = 24;

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

/// Reads a log without holding a lock.
pub struct Reader<'m, L>(&'m L);

impl<L> Clone for Reader<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Reader<'_, L> {}

impl<'m, L: Home<Words = Log>> Reader<'m, L> {
    #[inline]
    pub(crate) fn new(logged: &'m L) -> Self {
        Reader(logged)
    }

    #[inline]
    fn log(self) -> &'m Log {
        self.0.words()
    }

    #[inline]
    fn area(self) -> Area<'m> {
        self.0.area()
    }

    /// Returns how many bytes of the area have memory behind them, if shared memory says the truth.
    #[inline]
    fn kept(self) -> usize {
        self.log().reserved.load(Acquire) as usize
    }

    /// Returns the bytes of a packet, if there is memory behind them. A reader without the lock may
    /// find any length.
    #[inline]
    fn data(self, place: u64, len: usize) -> Option<SharedBytes<'m>> {
        let offset = (place + RECORD) as usize * UNIT;
        self.area().bytes(offset, len, self.kept())
    }

    /// Returns the record's words at a place, if there is memory behind them.
    #[inline]
    fn entry(self, place: u64) -> Option<Head<'m>> {
        let words = self.area().words(place as usize * UNIT, self.kept())?;
        Some(Head(words))
    }

    /// Returns the record to which a position leads, or None when it has been overwritten.
    #[inline]
    fn resolve(self, at: Position) -> Option<(Position, Head<'m>)> {
        [at.place(), 0].into_iter().find_map(|place| {
            let record = self
                .entry(place)
                .filter(|r| r.number().load(Relaxed) == at.number())?;
            Some((Position::new(at.number(), place), record))
        })
    }

    /// Makes a cursor at the oldest packet that is kept. It reads the packets that the program
    /// wrote, or everything.
    pub fn cursor(self, everything: bool) -> Cursor {
        loop {
            // In this order the tail is never older than the head.
            let head = self.log().oldest();
            let tail = self.log().next();
            let expected = if everything || tail.number() == 0 {
                Some(head.number())
            } else if head.number() == tail.number() {
                // No record is kept. The place that the head leads to may hold the next record
                // before it is complete.
                None
            } else {
                self.resolve(head).map(|(_, r)| r.written().load(Relaxed))
            };
            fence(Acquire);
            if self.log().oldest() == head {
                return Cursor {
                    at: head,
                    everything,
                    expected,
                };
            }
        }
    }

    /// Makes a cursor at the oldest record that is kept, which counts all earlier records as
    /// missed. It reads everything.
    pub fn cursor_from_start(self) -> Cursor {
        Cursor {
            expected: Some(0),
            ..self.cursor(true)
        }
    }

    /// Returns the time of the record at `cursor` in nanoseconds since the epoch, without reading
    /// the packet. None means that there is no record, and 0 that the cursor was overtaken, which
    /// the next [`Reader::read`] reports. The cursor must be one that reads everything.
    #[inline]
    pub fn peek(self, cursor: &Cursor) -> Option<u64> {
        let tail = self.log().next();
        if cursor.at.number() >= tail.number() {
            let missed = cursor.expected.is_some_and(|n| n < tail.number());
            return missed.then_some(0);
        }
        let time = self
            .resolve(cursor.at)
            .map_or(0, |(_, record)| record.time_ns().load(Relaxed));
        fence(Acquire);
        let overtaken = cursor.at.number() < self.log().oldest().number();
        Some(if overtaken { 0 } else { time })
    }

    /// Copies the packet at `cursor` into `buf`, whose contents it replaces, and moves the cursor
    /// on.
    pub fn read(self, cursor: &mut Cursor, buf: &mut Vec<u8>) -> Entry {
        loop {
            let written = self.log().written.load(Acquire);
            let tail = self.log().next();
            let head = self.log().oldest();
            if cursor.at.number() >= tail.number() {
                let known = if cursor.everything {
                    tail.number()
                } else {
                    written
                };
                return cursor.missed(known).unwrap_or(Entry::Empty);
            }
            let Some((at, record)) = self
                .resolve(cursor.at)
                .filter(|_| cursor.at.number() >= head.number())
            else {
                self.go_on(cursor, tail);
                continue;
            };
            let facts = Facts::unpack(record.facts().load(Relaxed));
            let len = facts.len as usize;
            let count = record.written().load(Relaxed);
            let found = Record {
                ethertype: facts.ethertype,
                time_ns: record.time_ns().load(Relaxed),
                len,
                inbound: facts.flags & INBOUND != 0,
                refused: Some(Errno((facts.flags >> 1) as i32)).filter(|e| e.0 != 0),
            };
            let wanted = cursor.everything || facts.flags == 0;
            buf.clear();
            if wanted {
                if let Some(data) = self.data(at.place(), len) {
                    // The bytes may change during the copy. The check of the head below finds that
                    // out before anybody looks at them.
                    data.append_to(buf);
                }
            }
            fence(Acquire);
            if cursor.at.number() < self.log().oldest().number() {
                self.go_on(cursor, tail);
                continue;
            }
            if wanted && buf.len() != len {
                // The record is damaged, so nothing before the tail can be read.
                cursor.at = tail;
                continue;
            }
            let count = if cursor.everything {
                cursor.at.number()
            } else {
                count
            };
            if wanted {
                if let Some(missed) = cursor.missed(count) {
                    return missed;
                }
                cursor.expected = Some(count.wrapping_add(1));
            }
            cursor.at = at.after(facts.len);
            if wanted {
                return Entry::Packet(found);
            }
        }
    }

    /// Moves a cursor that was overtaken to the middle of what is kept, so that it is not overtaken
    /// again at once.
    fn go_on(self, cursor: &mut Cursor, tail: Position) {
        // Whoever overwrites a record has moved the head before.
        fence(Acquire);
        let head = self.log().oldest();
        if head.number() <= cursor.at.number() {
            // The cursor was not overtaken; the record is damaged, and must not be tried for ever.
            cursor.at = tail;
            return;
        }
        let middle = head.number() + tail.number().saturating_sub(head.number()) / 2;
        let marks = self.log().marks.iter().map(|m| Position(m.load(Relaxed)));
        cursor.at = marks
            .filter(|mark| mark.number() >= middle && mark.number() <= tail.number())
            .min_by_key(|mark| mark.number())
            .unwrap_or(head);
    }
}

/// Writes the log of an interface whose lock is held, by the thread that holds it.
pub struct Writer<'m, L>(Reader<'m, L>, PhantomData<*const ()>);

impl<L> Clone for Writer<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Writer<'_, L> {}

impl<'m, L: Home<Words = Log>> Writer<'m, L> {
    /// Makes the writer for a caller that holds the interface's lock.
    #[inline]
    pub(crate) fn new(logged: &'m L) -> Self {
        Writer(Reader(logged), PhantomData)
    }

    #[inline]
    fn log(self) -> &'m Log {
        self.0.log()
    }

    /// Returns the place for a record of `need` units, with memory behind it.
    #[inline]
    fn place(self, tail: Position, need: u64) -> Result<u64, Errno> {
        let area = self.0.area();
        let kept = self.log().reserved.load(Relaxed) as usize / UNIT;
        let start = tail.place();
        if (start + need) as usize <= kept.min(area.len() / UNIT) {
            return Ok(start);
        }
        area.reserve(&self.log().reserved, need as usize * UNIT)
            .map_err(|_| Errno(libc::ENOBUFS))?;
        Ok(0)
    }

    /// Returns how many bytes of memory the log should have before a packet of `len` bytes is
    /// appended, if it has less and may have more.
    #[inline]
    pub fn wants(self, len: usize) -> Option<usize> {
        let need = RECORD as usize + len.div_ceil(UNIT);
        let tail = Position(self.log().tail.load(Relaxed));
        let upto = (tail.place() as usize + need) * UNIT;
        let kept = self.log().reserved.load(Relaxed) as usize;
        let wants = upto > kept && upto <= self.0.area().len();
        wants.then_some(upto)
    }

    /// Gives the log memory for its first `upto` bytes and for some more, if `allowed` agrees to
    /// the number of bytes that this takes. Returns whether it got the memory.
    pub fn grow(self, upto: usize, allowed: impl FnOnce(u64) -> bool) -> bool {
        let (area, reserved) = (self.0.area(), &self.log().reserved);
        let goal = area.next_size(reserved, upto);
        let more = (goal as u64).saturating_sub(reserved.load(Relaxed));
        allowed(more) && area.grow_to(reserved, goal).is_ok()
    }

    /// Returns the size of the parts whose beginnings the log marks, as a power of two of units: an
    /// eighth of the log's memory.
    #[inline]
    fn mark_bits(self) -> u32 {
        let units = self.log().reserved.load(Relaxed).max(PAGE as u64) / UNIT as u64;
        (units - 1).ilog2() - 2
    }

    /// Appends a packet of `len` bytes, which `fill` stores, returning its ethertype. A packet that
    /// `fill` refuses is not logged.
    ///
    /// # Errors
    ///
    /// - ENOBUFS when there is no room for such a packet at all.
    /// - What `fill` fails with.
    #[inline]
    pub fn append(
        self,
        sort: Sort,
        len: usize,
        fill: impl FnOnce(SharedBytes<'m>) -> Result<u16, Errno>,
    ) -> Result<(), Errno> {
        let log = self.log();
        let need = RECORD + (len as u64).div_ceil(UNIT as u64);
        let tail = Position(log.tail.load(Relaxed));
        let place = self.place(tail, need)?;
        let head = self.head_after(tail, place, need);
        if head.0 != log.head.load(Relaxed) {
            // The store is a release because the record that the head leads to was appended before.
            // The fence keeps what is stored into the freed range behind this store.
            log.head.store(head.0, Release);
            fence(Release);
        }
        // The lock keeps other writers away. The head has passed the range, so a subscriber that
        // still copies from it will see that and discard its copy.
        let data = self.0.data(place, len).ok_or(Errno(libc::ENOBUFS))?;
        let ethertype = fill(data).inspect_err(|_| {
            if head.number() == tail.number() {
                // Nothing is left in the log, so the next reader begins where the next packet will
                // stand.
                log.head.store(tail.0, Relaxed);
            }
        })?;
        let record = self.0.entry(place).ok_or(Errno(libc::ENOBUFS))?;
        let written = log.written.load(Relaxed);
        let facts = Facts {
            len: len as u32,
            ethertype,
            flags: sort.flags(),
        };
        record.number().store(tail.number(), Relaxed);
        record.facts().store(facts.pack(), Relaxed);
        record.written().store(written, Relaxed);
        record
            .time_ns()
            .store(now_ns(libc::CLOCK_REALTIME), Relaxed);
        let next = Position::new(tail.number() + 1, place + need);
        if place == 0 {
            log.marks[0].store(Position::new(tail.number(), 0).0, Relaxed);
        }
        let bits = self.mark_bits();
        if place >> bits != next.place() >> bits {
            if let Some(mark) = log.marks.get((next.place() >> bits) as usize) {
                mark.store(next.0, Relaxed);
            }
        }
        log.tail.store(next.0, Release);
        if sort == Sort::Written {
            // This is stored after the tail, so that it never counts more packets than there are.
            log.written.store(written.wrapping_add(1), Release);
        }
        log.announce();
        Ok(())
    }

    /// Returns the head as it must be for `need` units from `place` on to be free.
    #[inline]
    fn head_after(self, tail: Position, place: u64, need: u64) -> Position {
        let mut head = Position(self.log().head.load(Relaxed));
        let wrapping = place != tail.place();
        while head.number() != tail.number() {
            let Some((at, record)) = self.0.resolve(head) else {
                // The record is damaged, so nothing in the log can be found again.
                head = tail;
                break;
            };
            let old = at.place();
            let in_the_way =
                (place..place + need).contains(&old) || wrapping && old >= tail.place();
            if !in_the_way {
                break;
            }
            head = at.after(Facts::unpack(record.facts().load(Relaxed)).len);
        }
        if head.number() == tail.number() {
            head = Position::new(tail.number(), place);
        }
        head
    }

    /// Returns the number of the oldest packet that would be kept if a packet of `len` bytes were
    /// appended, or None when there is no room for it.
    pub fn oldest_after(self, len: usize) -> Option<u64> {
        let need = RECORD + (len as u64).div_ceil(UNIT as u64);
        let tail = Position(self.log().tail.load(Relaxed));
        let place = self.place(tail, need).ok()?;
        Some(self.head_after(tail, place, need).number())
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
