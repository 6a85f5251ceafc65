//! The outbound log: what the program wrote, kept in an interface's file until newer packets need the room.
//!
//! Any number of subscribers read it without taking a lock, each with its own cursor; the program overwrites the oldest
//! packets and never waits for anybody. A position is one word, a running number (40 bits) over a place in units of 16
//! bytes (24 bits), so that each change is one store. A subscriber copies first and then looks whether the head has passed
//! its cursor meanwhile: if so, what it copied may be torn, and it says how many packets were lost.

use super::layout::{InterfaceState, State};
use super::Mapped;
use crate::{sys, Errno};
use std::sync::atomic::{
    fence, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};

const UNIT: usize = 16;
const UNITS: u64 = (InterfaceState::AREA / UNIT) as u64;
const PLACE_BITS: u32 = 24;

const _: () = assert!(UNITS < 1 << PLACE_BITS);

/// In front of every packet. Its running number tells whether a position leads here, or on to the beginning of the area
/// because this record did not fit before the end.
#[repr(C)]
struct Record {
    number: AtomicU64,
    time_ns: AtomicU64,
    len: AtomicU32,
    ethertype: AtomicU16,
    flags: AtomicU16,
    _reserved: u64,
}

const RECORD: u64 = 2;
const _: () = assert!(std::mem::size_of::<Record>() == RECORD as usize * UNIT);

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

/// What a subscriber finds at its cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// The next packet, copied.
    Packet {
        /// Ethertype in host byte order.
        ethertype: u16,
        /// Nanoseconds since the epoch.
        time_ns: u64,
        /// Length of the whole packet.
        len: usize,
    },
    /// The cursor was overtaken: so many packets are gone; it stands at the oldest kept now.
    Lost(u64),
    /// Nothing new.
    Empty,
}

impl Mapped<InterfaceState> {
    /// What stands at a place, if memory does.
    #[inline]
    fn entry(&self, place: u64) -> Option<&Record> {
        let at = self.area(place as usize * UNIT, RECORD as usize * UNIT)?;
        if (place + RECORD) as usize * UNIT > self.log_reserved.load(Acquire) as usize {
            return None;
        }
        // SAFETY: aligned bytes within the mapping that have memory behind them; Record is all atomics.
        Some(unsafe { &*(at as *const Record) })
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
    fn resolve(&self, at: Position) -> Option<(Position, &Record)> {
        [at.place(), 0].into_iter().find_map(|place| {
            let record = self
                .entry(place)
                .filter(|r| r.number.load(Relaxed) == at.number())?;
            Some((Position::new(at.number(), place), record))
        })
    }

    /// Appends a packet of `len` bytes that `fill` writes. Wants the interface's lock. What `fill` refuses is not logged.
    /// ENOBUFS when no log could hold such a packet.
    #[inline]
    pub fn log_append(
        &self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<u16, Errno>,
    ) -> Result<(), Errno> {
        let need = RECORD + (len as u64).div_ceil(UNIT as u64);
        if need > UNITS {
            return Err(Errno(libc::ENOBUFS));
        }
        let tail = Position(self.log_tail.load(Relaxed));
        let start = tail.place();
        let mut place = start;
        let upto = |place: u64| (place + need) as usize * UNIT;
        if start + need > UNITS || self.reserve(&self.log_reserved, upto(start)).is_err() {
            place = 0;
            self.reserve(&self.log_reserved, upto(0))
                .map_err(|_| Errno(libc::ENOBUFS))?;
        }
        self.make_room(tail, place, need);
        let data = self
            .area((place + RECORD) as usize * UNIT, len)
            .ok_or(Errno(libc::ENOBUFS))?;
        // SAFETY: within the mapping and reserved; the lock keeps other writers away, and the head has passed the range,
        // so that a subscriber that still copies from it will see that and discard its copy.
        let ethertype = fill(unsafe { std::slice::from_raw_parts_mut(data, len) })?;
        let record = self.entry(place).ok_or(Errno(libc::ENOBUFS))?;
        record.number.store(tail.number(), Relaxed);
        record.len.store(len as u32, Relaxed);
        record.ethertype.store(ethertype, Relaxed);
        record.flags.store(0, Relaxed);
        record
            .time_ns
            .store(sys::now_ns(libc::CLOCK_REALTIME), Relaxed);
        self.log_tail
            .store(Position::new(tail.number() + 1, place + need).0, Release);
        self.log_event.fetch_add(1, SeqCst);
        Ok(())
    }

    /// Lets go of the oldest packets until `need` units from `place` on are free.
    #[inline]
    fn make_room(&self, tail: Position, place: u64, need: u64) {
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
        if head.0 != self.log_head.load(Relaxed) {
            self.log_head.store(head.0, Relaxed);
            fence(Release);
        }
    }

    /// Copies the packet at `cursor` into `buf` (as much as fits) and moves the cursor on. Takes no lock.
    pub fn log_read(&self, cursor: &mut Position, buf: &mut Vec<u8>) -> Entry {
        let tail = self.log_next();
        let head = self.log_oldest();
        if cursor.number() >= tail.number() {
            return Entry::Empty;
        }
        if cursor.number() < head.number() {
            return self.overtaken(cursor, head);
        }
        let Some((at, record)) = self.resolve(*cursor) else {
            // Overwritten since; a damaged log must not be looked at for ever.
            let head = self.log_oldest();
            let next = if head.number() > cursor.number() {
                head
            } else {
                tail
            };
            return self.overtaken(cursor, next);
        };
        let len = record.len.load(Relaxed);
        let (ethertype, time_ns) = (record.ethertype.load(Relaxed), record.time_ns.load(Relaxed));
        buf.clear();
        if let Some(data) = self.area((at.place() + RECORD) as usize * UNIT, len as usize) {
            // SAFETY: within the mapping. The bytes may change under the copy, which the check of the head below
            // finds out before anybody looks at them.
            buf.extend_from_slice(unsafe { std::slice::from_raw_parts(data, len as usize) });
        }
        fence(Acquire);
        let head = Position(self.log_head.load(Relaxed));
        if cursor.number() < head.number() {
            return self.overtaken(cursor, head);
        }
        if buf.len() != len as usize {
            return self.overtaken(cursor, tail);
        }
        *cursor = self.after(at, len);
        Entry::Packet {
            ethertype,
            time_ns,
            len: len as usize,
        }
    }

    fn overtaken(&self, cursor: &mut Position, head: Position) -> Entry {
        let lost = head.number().saturating_sub(cursor.number());
        *cursor = head;
        Entry::Lost(lost.max(1))
    }

    /// Wakes subscribers that sleep. After `log_append`, without the lock.
    #[inline]
    pub fn log_ring(&self) {
        if self.log_waiters.load(SeqCst) != 0 {
            sys::futex_wake_all(&self.log_event);
        }
    }
}
