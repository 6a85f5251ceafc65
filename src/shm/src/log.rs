//! The outbound log: what the program wrote, kept in an interface's file until newer packets need the room.
//!
//! While somebody captures, what is injected and what is refused stands there as well, in the order of things; who only
//! wants what the program wrote passes over those records. Any number of subscribers read without taking a lock, each with
//! a [`Cursor`] of its own, by a [`Reader`]; who holds the interface's lock has a [`Writer`]. The program overwrites the
//! oldest packets and waits for nobody but a capturer. A position is one word, a running number (40 bits) over a place in
//! units of 16 bytes (24 bits), so that each change is one store. A subscriber copies first and then looks whether the head has passed
//! its cursor meanwhile: if so, what it copied may be torn; it goes on in the middle of what is kept. Records count the
//! packets before them, so that each reader knows exactly how many it has missed.
//!
//! The log begins with room for any packet that a network carries, and grows while the file system has room for history
//! (`NetDir` says how much). Where it has none the log goes round in what it has: the history is shorter then, and
//! no write fails. Only a packet that is larger than that room needs more at once; where the file system is full it gets
//! ENOBUFS, which is what the kernel says when it finds no memory for a packet.
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

/// What stands in front of a packet, in four words. Its running number tells whether a position leads here, or on to the
/// beginning of the area because this record did not fit before the end.
#[derive(Clone, Copy)]
struct Head<'m>(&'m [AtomicU64; 4]);

impl<'m> Head<'m> {
    fn number(self) -> &'m AtomicU64 {
        &self.0[0]
    }
    fn time_ns(self) -> &'m AtomicU64 {
        &self.0[1]
    }
    /// [`Facts`]
    fn facts(self) -> &'m AtomicU64 {
        &self.0[2]
    }
    /// Packets before this one that the program wrote with success.
    fn written(self) -> &'m AtomicU64 {
        &self.0[3]
    }
}

/// Length, ethertype and flags of a packet in one word, from below.
#[derive(Clone, Copy)]
struct Facts {
    len: u32,
    ethertype: u16,
    /// 1 for inbound, over the errno of a packet that was refused, times 2.
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

/// Units of a record's words.
const RECORD: u64 = 2;
const INBOUND: u16 = 1;

/// Where the log stands in its area, and who waits for it.
#[repr(C)]
#[derive(Default)]
pub struct Log {
    /// Place and number of the oldest packet kept.
    head: AtomicU64,
    /// Place and number of the next packet.
    tail: AtomicU64,
    /// Bytes of the area that have memory behind them.
    pub(crate) reserved: AtomicU64,
    /// Futex: rises with every packet, and with deletion.
    event: AtomicU32,
    /// Sleepers on `event`, see [`NetState::waiters`](crate::layout::NetState::waiters).
    waiters: AtomicU32,
    /// Packets among the records that the program wrote with success.
    written: AtomicU64,
    /// Where somebody who was overtaken can go on: a late record that begins in each eighth of it.
    marks: [AtomicU64; 8],
}

/// A place in the log: a packet's running number and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position(u64);

impl Position {
    fn new(number: u64, place: u64) -> Position {
        Position(number << PLACE_BITS | place)
    }
    /// Running number of the packet.
    pub fn number(self) -> u64 {
        self.0 >> PLACE_BITS
    }
    fn place(self) -> u64 {
        self.0 & ((1 << PLACE_BITS) - 1)
    }
    /// The position behind a record that stands here with a packet of `len` bytes.
    fn after(self, len: u32) -> Position {
        Position::new(
            self.number() + 1,
            self.place() + RECORD + (len as u64).div_ceil(UNIT as u64),
        )
    }
}

/// What a record says of its packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Ethertype in host byte order.
    pub ethertype: u16,
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    /// Length of the whole packet.
    pub len: usize,
    /// Toward the program?
    pub inbound: bool,
    /// Why the packet went nowhere, if it did.
    pub refused: Option<Errno>,
}

/// What a subscriber finds at its cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// The next packet, copied.
    Packet(Record),
    /// The cursor was overtaken: so many packets are gone; it goes on with what is kept.
    Lost(u64),
    /// Nothing new.
    Empty,
}

/// What is to be said of a packet that is appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// The program wrote it.
    Written,
    /// It was put into the program's queue.
    Injected,
    /// The program's write failed.
    WriteRefused(Errno),
    /// It was not put into the program's queue.
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

/// Where somebody reads.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    at: Position,
    /// Injected and refused packets as well?
    everything: bool,
    /// Count of packets before the next one that is to be read; None: whatever comes.
    expected: Option<u64>,
}

impl Cursor {
    /// Running number of the record that is read next.
    pub fn number(&self) -> u64 {
        self.at.number()
    }

    /// How many packets are before the next one, as far as that is known.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }
}

impl Log {
    /// Position of the oldest packet kept.
    pub fn oldest(&self) -> Position {
        Position(self.head.load(Acquire))
    }

    /// Position of the packet that comes next.
    pub fn next(&self) -> Position {
        Position(self.tail.load(Acquire))
    }

    /// Something has happened that those who sleep want to know.
    #[inline]
    pub fn announce(&self) {
        self.event.fetch_add(1, SeqCst);
    }

    /// Wakes subscribers that sleep. After a packet was appended, without the lock.
    #[inline]
    pub fn ring(&self) {
        if self.waiters.load(SeqCst) != 0 {
            crate::below::futex_wake_all(&self.event);
        }
    }

    /// Sleeps while `nothing_new`, at most for this time. Was it over?
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

/// Reads a log without a lock.
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

    /// Bytes of the area that have memory behind them, as far as anybody says the truth.
    #[inline]
    fn kept(self) -> usize {
        self.log().reserved.load(Acquire) as usize
    }

    /// Bytes of a packet, if memory is behind them. Who reads without the lock may find any length.
    #[inline]
    fn data(self, place: u64, len: usize) -> Option<SharedBytes<'m>> {
        let offset = (place + RECORD) as usize * UNIT;
        self.area().bytes(offset, len, self.kept())
    }

    /// What stands at a place, if memory does.
    #[inline]
    fn entry(self, place: u64) -> Option<Head<'m>> {
        let words = self.area().words(place as usize * UNIT, self.kept())?;
        Some(Head(words))
    }

    /// The record that a position leads to. None when it has been overwritten.
    #[inline]
    fn resolve(self, at: Position) -> Option<(Position, Head<'m>)> {
        [at.place(), 0].into_iter().find_map(|place| {
            let record = self
                .entry(place)
                .filter(|r| r.number().load(Relaxed) == at.number())?;
            Some((Position::new(at.number(), place), record))
        })
    }

    /// A cursor at the oldest packet kept: of those that the program wrote, or of everything.
    pub fn cursor(self, everything: bool) -> Cursor {
        loop {
            // In this order the tail is never the older one of the two.
            let head = self.log().oldest();
            let tail = self.log().next();
            let expected = if everything || tail.number() == 0 {
                Some(head.number())
            } else if head.number() == tail.number() {
                // Nothing is kept; what stands there may be the next record in the making.
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

    /// A cursor at the oldest record kept that has missed those before it.
    pub fn cursor_from_start(self) -> Cursor {
        Cursor {
            expected: Some(0),
            ..self.cursor(true)
        }
    }

    /// When the record at `cursor` was written, without reading it. None when there is none; 0 when the cursor was
    /// overtaken, which the next [`Reader::read`] tells. For cursors that read everything.
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

    /// Copies the packet at `cursor` into `buf` and moves the cursor on.
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
                    // The bytes may change under the copy, which the check of the head below finds out before anybody
                    // looks at them.
                    data.append_to(buf);
                }
            }
            fence(Acquire);
            if cursor.at.number() < self.log().oldest().number() {
                self.go_on(cursor, tail);
                continue;
            }
            if wanted && buf.len() != len {
                // Damaged.
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

    /// The cursor was overtaken: to the middle of what is kept, so that it is not overtaken again at once.
    fn go_on(self, cursor: &mut Cursor, tail: Position) {
        // Whoever overwrites a record has moved the head before.
        fence(Acquire);
        let head = self.log().oldest();
        if head.number() <= cursor.at.number() {
            // Not overtaken but damaged; it must not be looked at for ever.
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

/// The log of an interface whose lock is held, by the thread that holds it.
pub struct Writer<'m, L>(Reader<'m, L>, PhantomData<*const ()>);

impl<L> Clone for Writer<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Writer<'_, L> {}

impl<'m, L: Home<Words = Log>> Writer<'m, L> {
    /// For who holds the lock.
    #[inline]
    pub(crate) fn new(logged: &'m L) -> Self {
        Writer(Reader(logged), PhantomData)
    }

    #[inline]
    fn log(self) -> &'m Log {
        self.0.log()
    }

    /// Where a record of `need` units goes, with memory behind it.
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

    /// How much memory the log is to have before it is worth while to append a packet of `len` bytes, if it has less and
    /// may have more.
    #[inline]
    pub fn wants(self, len: usize) -> Option<usize> {
        let need = RECORD as usize + len.div_ceil(UNIT);
        let tail = Position(self.log().tail.load(Relaxed));
        let upto = (tail.place() as usize + need) * UNIT;
        let kept = self.log().reserved.load(Relaxed) as usize;
        let wants = upto > kept && upto <= self.0.area().len();
        wants.then_some(upto)
    }

    /// Gives the log memory for its first `upto` bytes and some more, if `allowed` says so of the bytes that this takes.
    /// Did it get it?
    pub fn grow(self, upto: usize, allowed: impl FnOnce(u64) -> bool) -> bool {
        let (area, reserved) = (self.0.area(), &self.log().reserved);
        let goal = area.next_size(reserved, upto);
        let more = (goal as u64).saturating_sub(reserved.load(Relaxed));
        allowed(more) && area.grow_to(reserved, goal).is_ok()
    }

    /// The size of the parts of which the log remembers where they were last begun: an eighth of what it has.
    #[inline]
    fn mark_bits(self) -> u32 {
        let units = self.log().reserved.load(Relaxed).max(PAGE as u64) / UNIT as u64;
        (units - 1).ilog2() - 2
    }

    /// Appends a packet of `len` bytes that `fill` stores. What `fill` refuses is not logged. ENOBUFS when there is no room
    /// for such a packet at all.
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
            // Released: the record that it leads to was appended before. The fence: what is stored into its range from now on
            // comes behind it.
            log.head.store(head.0, Release);
            fence(Release);
        }
        // The lock keeps other writers away, and the head has passed the range, so that a subscriber that still copies from
        // it will see that and discard its copy.
        let data = self.0.data(place, len).ok_or(Errno(libc::ENOBUFS))?;
        let ethertype = fill(data).inspect_err(|_| {
            if head.number() == tail.number() {
                // Nothing is left in the log: who looks next begins where the next packet will stand.
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
            // Behind the tail: never more than there are.
            log.written.store(written.wrapping_add(1), Release);
        }
        log.announce();
        Ok(())
    }

    /// Where the head is once `need` units from `place` on are free.
    #[inline]
    fn head_after(self, tail: Position, place: u64, need: u64) -> Position {
        let mut head = Position(self.log().head.load(Relaxed));
        let wrapping = place != tail.place();
        while head.number() != tail.number() {
            let Some((at, record)) = self.0.resolve(head) else {
                // Damaged: nothing in it can be found again.
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

    /// Number of the oldest packet that is kept when a packet of `len` bytes is appended. None when there is no room for it.
    pub fn oldest_after(self, len: usize) -> Option<u64> {
        let need = RECORD + (len as u64).div_ceil(UNIT as u64);
        let tail = Position(self.log().tail.load(Relaxed));
        let place = self.place(tail, need).ok()?;
        Some(self.head_after(tail, place, need).number())
    }
}

impl Cursor {
    /// So many packets are before the next one: those that were expected earlier are lost.
    fn missed(&mut self, count: u64) -> Option<Entry> {
        let lost = count.saturating_sub(self.expected?);
        if lost == 0 {
            return None;
        }
        self.expected = Some(count);
        Some(Entry::Lost(lost))
    }
}
