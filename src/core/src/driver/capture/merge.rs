//! The logs of all interfaces as one sequence.
//!
//! Nothing is read ahead: of each log only the time of its next record is known, and a packet is
//! copied when it is its turn. So a capture needs memory for one packet and a word per interface,
//! and a packet costs O(log n).
//!
//! What happened before is found before. A program may write to one interface because of what it
//! saw on another, so the packet with the earliest time may be given only when no earlier one can
//! be found any more in a log that was empty at the last look. That is known without a look at all
//! logs for each packet: first it is noted how far each log goes ([`Merge::note`]), then the empty
//! ones are looked at again ([`Merge::look`]). Of a record that was noted, everything earlier was
//! in its log before that second look began, however many interfaces a program goes through. So all
//! that was noted can be given in the order of time; the rest has to wait for the next round. The
//! further a capture is behind, the more a round is worth.
#![forbid(unsafe_code)]

use super::record::{Captured, Direction};
use crate::Name;
use memtun_shm::layout::InterfaceState;
use memtun_shm::log::{Cursor, Entry};
use memtun_shm::{load_name, Mapped};
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::Ordering::Relaxed;

/// An interface that is captured.
pub(super) struct Tap {
    pub(super) inode: u64,
    pub(super) state: Mapped<InterfaceState>,
    cursor: Cursor,
    /// Time of the last packet, or of an earlier one if the clock was set back meanwhile.
    latest: u64,
    /// The log went as far as this number when the round began.
    noted: u64,
    /// Records from this number on are not wanted any more.
    limit: u64,
    /// Packets that had been refused before the capture began.
    refused_before: u64,
    /// Nothing has been read yet of a log that was there before the capture.
    fresh: bool,
    /// Its next record stands in the heap.
    listed: bool,
    finished: bool,
}

pub(super) enum Found {
    Packet(Captured),
    Lost { name: Name, index: u32, n: u64 },
}

impl Tap {
    /// From the oldest record that is kept. Of a log that is not older than the capture (`first` is
    /// false) every record is wanted.
    ///
    /// Takes no lock, which a stopped process may hold. From the first statement on nobody
    /// overwrites what is not read yet, but for one who has just asked for that: what he
    /// overwrites was overwritten before the capture began.
    pub(super) fn new(inode: u64, state: Mapped<InterfaceState>, first: bool) -> Tap {
        let cursor = || {
            if first {
                state.log().cursor(true)
            } else {
                state.log().cursor_from_start()
            }
        };
        state.capture_from(cursor().number());
        let cursor = cursor();
        state.captured_upto(cursor.number());
        Tap {
            inode,
            cursor,
            latest: 0,
            noted: 0,
            limit: u64::MAX,
            refused_before: if first {
                state.capture_refused.load(Relaxed)
            } else {
                0
            },
            fresh: first,
            listed: false,
            finished: false,
            state,
        }
    }

    /// Is there anything that the capture does not know yet?
    pub(super) fn has_news(&self) -> bool {
        self.state.log.next().number() > self.cursor.number() || self.is_gone()
    }

    /// Nobody waits any more for what is in this log.
    pub(super) fn release(&self) {
        self.state.captured_upto(u64::MAX);
    }

    fn index(&self) -> u32 {
        self.state.ifindex.load(Relaxed)
    }

    fn refused(&self) -> u64 {
        let refused = self.state.capture_refused.load(Relaxed);
        refused.saturating_sub(self.refused_before)
    }

    fn is_gone(&self) -> bool {
        self.state.is_gone()
    }

    /// How far the log goes, as far as it is wanted.
    fn end(&self) -> u64 {
        self.state.log.next().number().min(self.limit)
    }

    /// When the next record was written; None when there is none.
    fn peek(&self) -> Option<u64> {
        if self.cursor.number() >= self.limit {
            return None;
        }
        let time = self.state.log().peek(&self.cursor)?;
        Some(time.max(self.latest))
    }

    /// The next record.
    fn read(&mut self) -> Option<Found> {
        let state = &self.state;
        let index = self.index();
        let mut data = Vec::new();
        let mut entry = state.log().read(&mut self.cursor, &mut data);
        if self.fresh && matches!(entry, Entry::Lost(_)) && !state.capture_given_up() {
            // Overwritten by the one who had asked before the capture began; all that is kept now
            // is still wanted.
            self.cursor = state.log().cursor(true);
            entry = state.log().read(&mut self.cursor, &mut data);
        }
        let name = load_name(&state.name);
        match entry {
            Entry::Packet(record) => {
                state.captured_upto(self.cursor.number());
                self.fresh = false;
                self.latest = self.latest.max(record.time_ns);
                Some(Found::Packet(Captured {
                    interface: name,
                    index,
                    tap: state.is_tap(),
                    mac: state.is_tap().then(|| state.mac()),
                    mtu: state.mtu.load(Relaxed),
                    time_ns: record.time_ns,
                    ethertype: record.ethertype,
                    direction: if record.inbound {
                        Direction::Inbound
                    } else {
                        Direction::Outbound
                    },
                    refused: record.refused,
                    data,
                }))
            }
            Entry::Lost(n) => Some(Found::Lost { name, index, n }),
            Entry::Empty => None,
        }
    }
}

/// The taps, and which is next.
#[derive(Default)]
pub(super) struct Merge {
    taps: Vec<Tap>,
    /// Time of the next record and the place of its tap, for those that have one.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    /// What was refused at interfaces that have ended, by index.
    refused: BTreeMap<u32, u64>,
}

impl Merge {
    pub(super) fn taps(&self) -> &[Tap] {
        &self.taps
    }

    pub(super) fn add(&mut self, tap: Tap) {
        self.taps.push(tap);
    }

    /// The earliest of the records that may be given, if there is one in this round.
    pub(super) fn next(&mut self) -> Option<Found> {
        loop {
            let mut head = self.heads.peek_mut()?;
            let Reverse((_, place)) = *head;
            let Some(tap) = self.taps.get_mut(place) else {
                PeekMut::pop(head);
                continue;
            };
            if tap.cursor.number() >= tap.noted {
                return None;
            }
            let found = tap.read();
            match tap.peek() {
                // As a rule it stays where it is: a program writes several packets before another
                // does.
                Some(time) => *head = Reverse((time, place)),
                None => {
                    tap.listed = false;
                    PeekMut::pop(head);
                    if tap.cursor.number() >= tap.limit {
                        tap.release();
                    }
                }
            }
            if found.is_some() {
                return found;
            }
        }
    }

    /// Begins a round: what is in the logs now may be given in it.
    pub(super) fn note(&mut self) {
        for tap in &mut self.taps {
            tap.noted = tap.end();
        }
    }

    /// Looks again at what was empty. Interfaces that have ended and been read are dropped; `ended`
    /// gets the number of the file that was kept for them. False when there is nothing
    /// anywhere.
    pub(super) fn look(&mut self, ended: impl Fn(u64)) -> bool {
        let mut any_finished = false;
        for (place, tap) in self.taps.iter_mut().enumerate().filter(|(_, t)| !t.listed) {
            // Before the look at the log: nothing comes after the deletion.
            let gone = tap.is_gone();
            if let Some(time) = tap.peek() {
                tap.listed = true;
                self.heads.push(Reverse((time, place)));
            } else if gone {
                tap.finished = true;
                any_finished = true;
                *self.refused.entry(tap.index()).or_default() += tap.refused();
                tap.release();
                ended(tap.state.gone_number.load(Relaxed));
            }
        }
        if any_finished {
            self.taps.retain(|tap| !tap.finished);
            let listed = self.taps.iter().enumerate().filter(|(_, t)| t.listed);
            let heads = listed.filter_map(|(place, tap)| Some(Reverse((tap.peek()?, place))));
            self.heads = heads.collect();
        }
        !self.heads.is_empty()
    }

    /// Only what is complete now is still wanted.
    pub(super) fn stop(&mut self) {
        for tap in &mut self.taps {
            tap.limit = tap.end();
            if tap.cursor.number() >= tap.limit {
                tap.release();
            }
        }
    }

    /// Packets that were refused at an interface since the capture began.
    pub(super) fn refused(&self, index: u32) -> u64 {
        let living = self.taps.iter().filter(|tap| tap.index() == index);
        let ended = self.refused.get(&index).copied().unwrap_or(0);
        living.map(Tap::refused).sum::<u64>() + ended
    }

    /// Records that are wanted and not read.
    pub(super) fn backlog(&self) -> u64 {
        let unread = |tap: &Tap| tap.end().saturating_sub(tap.cursor.number());
        self.taps.iter().map(unread).sum()
    }
}
