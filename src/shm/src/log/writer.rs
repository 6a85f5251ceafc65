//! Writing the log, with the interface's lock held.
#![forbid(unsafe_code)]

use super::{Facts, Log, Position, Reader, Sort, FULL, RECORD, UNIT};
use crate::area::{Home, SharedBytes};
use crate::below::now_ns;
use crate::sync::fence;
use crate::Errno;
use memtun_sys::PAGE;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::{Relaxed, Release};

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
        let mut kept = self.log().reserved.load(Relaxed) as usize;
        let start = tail.place();
        if start == 0 && kept < FULL {
            kept = self.begin(kept);
        }
        if (start + need) as usize <= kept.min(area.len()) / UNIT {
            return Ok(start);
        }
        area.reserve(&self.log().reserved, need as usize * UNIT)
            .map_err(|_| Errno(libc::ENOBUFS))?;
        Ok(0)
    }

    /// Gives the log the memory that is enough for any packet, where there is such memory. Returns
    /// how many bytes it has.
    #[cold]
    #[inline(never)]
    fn begin(self, kept: usize) -> usize {
        let (area, reserved) = (self.0.area(), &self.log().reserved);
        match area.grow_to(reserved, FULL.min(area.len())) {
            Ok(()) => FULL.min(area.len()).max(kept),
            Err(_) => kept,
        }
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
