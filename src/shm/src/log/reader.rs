//! Reading the log, without its lock.
#![forbid(unsafe_code)]

use super::{Cursor, Entry, Facts, Head, Log, Position, Record, INBOUND, RECORD, UNIT};
use crate::area::{Area, Home, SharedBytes};
use crate::sync::fence;
use crate::Errno;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Reads a log without holding a lock.
pub struct Reader<'m, L>(pub(super) &'m L);

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
    pub(super) fn log(self) -> &'m Log {
        self.0.words()
    }

    #[inline]
    pub(super) fn area(self) -> Area<'m> {
        self.0.area()
    }

    /// Returns how many bytes of the area have memory behind them, if shared memory says the truth.
    #[inline]
    pub(super) fn kept(self) -> usize {
        self.log().reserved.load(Acquire) as usize
    }

    /// Returns the bytes of a packet, if there is memory behind them. A reader without the lock may
    /// find any length.
    #[inline]
    pub(super) fn data(self, place: u64, len: usize) -> Option<SharedBytes<'m>> {
        let offset = (place + RECORD) as usize * UNIT;
        self.area().bytes(offset, len, self.kept())
    }

    /// Returns the record's words at a place, if there is memory behind them.
    #[inline]
    pub(super) fn entry(self, place: u64) -> Option<Head<'m>> {
        let words = self.area().words(place as usize * UNIT, self.kept())?;
        Some(Head(words))
    }

    /// Returns the record to which a position leads, or None when it has been overwritten.
    #[inline]
    pub(super) fn resolve(self, at: Position) -> Option<(Position, Head<'m>)> {
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

    /// Makes a cursor behind all that is kept, which reads everything.
    pub fn cursor_at_end(self) -> Cursor {
        Cursor {
            at: self.log().next(),
            everything: true,
            expected: None,
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
