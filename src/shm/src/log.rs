//! The outbound log: what the program wrote, kept in an interface's file until newer packets need the room.
//!
//! While somebody captures, what is injected and what is refused stands there as well, in the order of things; who only
//! wants what the program wrote passes over those records. Any number of subscribers read without taking a lock, each with
//! its own cursor; the program overwrites the oldest packets and waits for nobody but a capturer. A position is one word, a running number (40 bits) over a place in units of 16
//! bytes (24 bits), so that each change is one store. A subscriber copies first and then looks whether the head has passed
//! its cursor meanwhile: if so, what it copied may be torn; it goes on in the middle of what is kept. Records count the
//! packets before them, so that each reader knows exactly how many it has missed.
//!
//! The log begins with room for any packet that a network carries, and grows while the file system has room for history
//! (`NetDir` says how much). Where it has none the log goes round in what it has: the history is shorter then, and
//! no write fails. Only a packet that is larger than that room needs more at once; where the file system is full it gets
//! ENOBUFS, which is what the kernel says when it finds no memory for a packet.

use super::layout::{InterfaceState, State};
use super::Mapped;
use crate::sys::{self, PAGE};
use crate::Errno;
use std::sync::atomic::{
    fence, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use std::time::Duration;

const UNIT: usize = 16;
const PLACE_BITS: u32 = 24;

const _: () = assert!(InterfaceState::AREA / UNIT < 1 << PLACE_BITS);

/// In front of every packet. Its running number tells whether a position leads here, or on to the beginning of the area
/// because this record did not fit before the end.
#[repr(C)]
struct Head {
    number: AtomicU64,
    time_ns: AtomicU64,
    len: AtomicU32,
    ethertype: AtomicU16,
    /// 1 for inbound, over the errno of a packet that was refused, times 2.
    flags: AtomicU16,
    /// Packets before this one that the program wrote with success.
    written: AtomicU64,
}

const RECORD: u64 = 2;
const INBOUND: u16 = 1;
const _: () = assert!(std::mem::size_of::<Head>() == RECORD as usize * UNIT);

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

impl Mapped<InterfaceState> {
    /// A range of the area, if memory is behind it. Who reads without the lock may find any length.
    #[inline]
    fn kept(&self, offset: usize, len: usize) -> Option<*mut u8> {
        let place = self.area(offset, len)?;
        (offset + len <= self.log_reserved.load(Acquire) as usize).then_some(place)
    }

    /// What stands at a place, if memory does.
    #[inline]
    fn entry(&self, place: u64) -> Option<&Head> {
        let at = self.kept(place as usize * UNIT, RECORD as usize * UNIT)?;
        // SAFETY: aligned bytes within the mapping that have memory behind them; Head is all atomics.
        Some(unsafe { &*(at as *const Head) })
    }

    /// Position of the oldest packet kept.
    pub fn log_oldest(&self) -> Position {
        Position(self.log_head.load(Acquire))
    }

    /// Position of the packet that comes next.
    pub fn log_next(&self) -> Position {
        Position(self.log_tail.load(Acquire))
    }

    /// The position behind the record at `at`.
    fn after(&self, at: Position, len: u32) -> Position {
        Position::new(
            at.number() + 1,
            at.place() + RECORD + (len as u64).div_ceil(UNIT as u64),
        )
    }

    /// The record that a position leads to. None when it has been overwritten.
    #[inline]
    fn resolve(&self, at: Position) -> Option<(Position, &Head)> {
        [at.place(), 0].into_iter().find_map(|place| {
            let record = self
                .entry(place)
                .filter(|r| r.number.load(Relaxed) == at.number())?;
            Some((Position::new(at.number(), place), record))
        })
    }

    /// Where a record of `need` units goes, with memory behind it.
    #[inline]
    fn place(&self, tail: Position, need: u64) -> Result<u64, Errno> {
        let kept = self.log_reserved.load(Relaxed) as usize / UNIT;
        let start = tail.place();
        if (start + need) as usize <= kept.min(self.area_size() / UNIT) {
            return Ok(start);
        }
        self.reserve(&self.log_reserved, need as usize * UNIT)
            .map_err(|_| Errno(libc::ENOBUFS))?;
        Ok(0)
    }

    /// How much memory the log is to have before it is worth while to append a packet of `len` bytes, if it has less and
    /// may have more. Wants the interface's lock.
    #[inline]
    pub fn log_wants(&self, len: usize) -> Option<usize> {
        let need = RECORD as usize + len.div_ceil(UNIT);
        let tail = Position(self.log_tail.load(Relaxed));
        let upto = (tail.place() as usize + need) * UNIT;
        let wants = upto > self.log_reserved.load(Relaxed) as usize && upto <= self.area_size();
        wants.then_some(upto)
    }

    /// The size of the parts of which the log remembers where they were last begun: an eighth of what it has.
    #[inline]
    fn mark_bits(&self) -> u32 {
        let units = self.log_reserved.load(Relaxed).max(PAGE as u64) / UNIT as u64;
        (units - 1).ilog2() - 2
    }

    /// Appends a packet of `len` bytes that `fill` writes. Wants the interface's lock. What `fill` refuses is not logged.
    /// ENOBUFS when there is no room for such a packet at all.
    #[inline]
    pub fn log_append(
        &self,
        sort: Sort,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<u16, Errno>,
    ) -> Result<(), Errno> {
        let need = RECORD + (len as u64).div_ceil(UNIT as u64);
        let tail = Position(self.log_tail.load(Relaxed));
        let place = self.place(tail, need)?;
        let head = self.head_after(tail, place, need);
        if head.0 != self.log_head.load(Relaxed) {
            self.log_head.store(head.0, Relaxed);
            fence(Release);
        }
        let data = self
            .kept((place + RECORD) as usize * UNIT, len)
            .ok_or(Errno(libc::ENOBUFS))?;
        // SAFETY: within the mapping and reserved; the lock keeps other writers away, and the head has passed the range,
        // so that a subscriber that still copies from it will see that and discard its copy.
        let filled = fill(unsafe { std::slice::from_raw_parts_mut(data, len) });
        let ethertype = filled.inspect_err(|_| {
            if head.number() == tail.number() {
                // Nothing is left in the log: who looks next begins where the next packet will stand.
                self.log_head.store(tail.0, Relaxed);
            }
        })?;
        let record = self.entry(place).ok_or(Errno(libc::ENOBUFS))?;
        let written = self.log_written.load(Relaxed);
        record.number.store(tail.number(), Relaxed);
        record.len.store(len as u32, Relaxed);
        record.ethertype.store(ethertype, Relaxed);
        record.flags.store(sort.flags(), Relaxed);
        record.written.store(written, Relaxed);
        record
            .time_ns
            .store(sys::now_ns(libc::CLOCK_REALTIME), Relaxed);
        let next = Position::new(tail.number() + 1, place + need);
        if place == 0 {
            self.log_marks[0].store(Position::new(tail.number(), 0).0, Relaxed);
        }
        let bits = self.mark_bits();
        if place >> bits != next.place() >> bits {
            if let Some(mark) = self.log_marks.get((next.place() >> bits) as usize) {
                mark.store(next.0, Relaxed);
            }
        }
        self.log_tail.store(next.0, Release);
        if sort == Sort::Written {
            // Behind the tail: never more than there are.
            self.log_written.store(written.wrapping_add(1), Release);
        }
        self.log_event.fetch_add(1, SeqCst);
        Ok(())
    }

    /// Where the head is once `need` units from `place` on are free.
    #[inline]
    fn head_after(&self, tail: Position, place: u64, need: u64) -> Position {
        let mut head = Position(self.log_head.load(Relaxed));
        let wrapping = place != tail.place();
        while head.number() != tail.number() {
            let Some((at, record)) = self.resolve(head) else {
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
            head = self.after(at, record.len.load(Relaxed));
        }
        if head.number() == tail.number() {
            head = Position::new(tail.number(), place);
        }
        head
    }

    /// Would a packet of `len` bytes overwrite what the capturer has not read? Then the number that its cursor has to
    /// reach. Wants the interface's lock.
    pub fn log_blocked(&self, len: usize) -> Option<u64> {
        let need = RECORD + (len as u64).div_ceil(UNIT as u64);
        let tail = Position(self.log_tail.load(Relaxed));
        let place = self.place(tail, need).ok()?;
        let head = self.head_after(tail, place, need).number();
        (head > self.capture_cursor.load(Acquire)).then_some(head)
    }

    /// A cursor at the oldest packet kept: of those that the program wrote, or of everything.
    pub fn log_cursor(&self, everything: bool) -> Cursor {
        loop {
            let tail = self.log_next();
            let head = self.log_oldest();
            let expected = if everything || tail.number() == 0 {
                Some(head.number())
            } else {
                self.resolve(head).map(|(_, r)| r.written.load(Relaxed))
            };
            fence(Acquire);
            if self.log_oldest() == head {
                return Cursor {
                    at: head,
                    everything,
                    expected,
                };
            }
        }
    }

    /// A cursor at the oldest record kept that has missed those before it.
    pub fn log_cursor_from_start(&self) -> Cursor {
        Cursor {
            expected: Some(0),
            ..self.log_cursor(true)
        }
    }

    /// When the record at `cursor` was written, without reading it. None when there is none; 0 when the cursor was
    /// overtaken, which the next [`Mapped::log_read`] tells. For cursors that read everything. Takes no lock.
    #[inline]
    pub fn log_peek(&self, cursor: &Cursor) -> Option<u64> {
        let tail = self.log_next();
        if cursor.at.number() >= tail.number() {
            let missed = cursor.expected.is_some_and(|n| n < tail.number());
            return missed.then_some(0);
        }
        let time = self
            .resolve(cursor.at)
            .map_or(0, |(_, record)| record.time_ns.load(Relaxed));
        fence(Acquire);
        let overtaken = cursor.at.number() < self.log_oldest().number();
        Some(if overtaken { 0 } else { time })
    }

    /// Copies the packet at `cursor` into `buf` and moves the cursor on. Takes no lock.
    pub fn log_read(&self, cursor: &mut Cursor, buf: &mut Vec<u8>) -> Entry {
        loop {
            let written = self.log_written.load(Acquire);
            let tail = self.log_next();
            let head = self.log_oldest();
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
            let len = record.len.load(Relaxed) as usize;
            let flags = record.flags.load(Relaxed);
            let count = record.written.load(Relaxed);
            let found = Record {
                ethertype: record.ethertype.load(Relaxed),
                time_ns: record.time_ns.load(Relaxed),
                len,
                inbound: flags & INBOUND != 0,
                refused: Some(Errno((flags >> 1) as i32)).filter(|e| e.0 != 0),
            };
            let wanted = cursor.everything || flags == 0;
            buf.clear();
            if wanted {
                if let Some(data) = self.kept((at.place() + RECORD) as usize * UNIT, len) {
                    // SAFETY: within the mapping. The bytes may change under the copy, which the check of the head below
                    // finds out before anybody looks at them.
                    buf.extend_from_slice(unsafe { std::slice::from_raw_parts(data, len) });
                }
            }
            fence(Acquire);
            if cursor.at.number() < self.log_oldest().number() {
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
            cursor.at = self.after(at, len as u32);
            if wanted {
                return Entry::Packet(found);
            }
        }
    }

    /// The cursor was overtaken: to the middle of what is kept, so that it is not overtaken again at once.
    fn go_on(&self, cursor: &mut Cursor, tail: Position) {
        // Whoever overwrites a record has moved the head before.
        fence(Acquire);
        let head = self.log_oldest();
        if head.number() <= cursor.at.number() {
            // Not overtaken but damaged; it must not be looked at for ever.
            cursor.at = tail;
            return;
        }
        let middle = head.number() + tail.number().saturating_sub(head.number()) / 2;
        let marks = self.log_marks.iter().map(|m| Position(m.load(Relaxed)));
        cursor.at = marks
            .filter(|mark| mark.number() >= middle && mark.number() <= tail.number())
            .min_by_key(|mark| mark.number())
            .unwrap_or(head);
    }

    /// Wakes subscribers that sleep. After `log_append`, without the lock.
    #[inline]
    pub fn log_ring(&self) {
        if self.log_waiters.load(SeqCst) != 0 {
            sys::futex_wake_all(&self.log_event);
        }
    }

    /// Has somebody waited for the capturer in vain, so that nobody does until it reads again?
    pub fn capture_given_up(&self) -> bool {
        let cursor = self.capture_cursor.load(Acquire);
        cursor != u64::MAX && self.capture_given_up.load(Acquire) == cursor + 1
    }

    /// Says so.
    pub fn give_up_on_capturer(&self) {
        let cursor = self.capture_cursor.load(Acquire);
        self.capture_given_up.store(cursor.wrapping_add(1), SeqCst);
    }

    /// Was somebody refused, or does he wait, because the capturer has not read enough?
    #[inline]
    pub fn is_capturer_behind(&self) -> bool {
        let wanted = self.capture_wanted.load(SeqCst);
        wanted != u64::MAX && self.capture_cursor.load(SeqCst) <= wanted
    }

    /// A capture begins, and wants everything from this number on. What was waited for in an earlier one is forgotten.
    pub fn capture_from(&self, number: u64) {
        self.capture_cursor.store(number, SeqCst);
        self.capture_given_up.store(0, SeqCst);
        self.wake_writers();
    }

    /// The capturer has read everything before this number; writers that wait for that go on.
    pub fn captured_upto(&self, number: u64) {
        self.capture_cursor.store(number, SeqCst);
        if number > self.capture_wanted.load(SeqCst) {
            self.wake_writers();
        }
    }

    #[cold]
    fn wake_writers(&self) {
        self.capture_wanted.store(u64::MAX, SeqCst);
        self.capture_event.fetch_add(1, SeqCst);
        sys::futex_wake_all(&self.capture_event);
    }

    /// The capturer has to read those before `number`, and more: not for each packet that it reads is somebody woken, but for
    /// a quarter of the log at a time. The number that is waited for.
    pub fn want_captured(&self, number: u64) -> u64 {
        let kept = self.log_next().number().saturating_sub(number);
        let comfortable = number + kept / 4;
        let wanted = comfortable.saturating_sub(1);
        if self.capture_wanted.fetch_min(wanted, SeqCst) == u64::MAX {
            let now = sys::now_ns(libc::CLOCK_MONOTONIC);
            self.capture_behind_since.store(now, SeqCst);
        }
        comfortable
    }

    /// Sleeps for at most `time` until the capturer has read enough for many more packets. True when it has read those
    /// before `number`, which is what counts.
    pub fn wait_captured(&self, number: u64, time: Duration) -> bool {
        let seen = self.capture_event.load(SeqCst);
        let comfortable = self.want_captured(number);
        if self.capture_cursor.load(SeqCst) < comfortable {
            let _ = sys::futex_wait(&self.capture_event, seen, Some(time));
        }
        self.capture_cursor.load(SeqCst) >= number
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
