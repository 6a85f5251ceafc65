//! The logs of all interfaces as one sequence.
//!
//! Nothing is read ahead: of each log only the time of its next record is known, and a packet is
//! copied when it is its turn. So a capture needs memory for one packet and one word per interface,
//! and a packet costs O(log n).
//!
//! What happened before is found before. A program may write to one interface because of what it
//! saw on another, so the packet with the earliest time may be given only when no earlier one can
//! still be found in a log that was empty at the last look. Looking at all logs for each packet
//! would be expensive, so packets are given in rounds: first the merge notes how far each log goes
//! ([`Merge::note`]), then it looks at the empty logs again ([`Merge::look`]). Everything earlier
//! than a noted record was in its log before that second look began, however many interfaces a
//! program goes through. So all that was noted can be given in the order of time; the rest has to
//! wait for the next round. The further a capture is behind, the more packets a round gives.
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
    /// Time of the last packet given, in nanoseconds since the epoch. It never decreases, even if
    /// the clock was set back meanwhile.
    latest: u64,
    /// Number of the log's end when the round began; records from here on belong to the next
    /// round.
    noted: u64,
    /// Records from this number on are not wanted any more.
    limit: u64,
    /// Packets of this interface that had been refused before the capture began.
    refused_before: u64,
    /// True while nothing has been read yet of a log that was there before the capture.
    fresh: bool,
    /// Does the next record of this log stand in the heap?
    listed: bool,
    finished: bool,
}

pub(super) enum Found {
    Packet(Captured),
    Lost { name: Name, index: u32, n: u64 },
}

impl Tap {
    /// A tap that begins at the oldest record that is kept. `first` is false for a log that is not
    /// older than the capture: then every record is wanted.
    ///
    /// This takes no lock, because a stopped process may hold it. From the first statement on
    /// nobody overwrites what is not read yet, except a writer that had just been allowed to: what
    /// it overwrites counts as overwritten before the capture began.
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

    /// Tells the writers that nobody waits any more for what is in this log.
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

    /// Number at which the log ends, or at which it stops being wanted.
    fn end(&self) -> u64 {
        self.state.log.next().number().min(self.limit)
    }

    /// Time of the next record; `None` when there is none.
    fn peek(&self) -> Option<u64> {
        if self.cursor.number() >= self.limit {
            return None;
        }
        let time = self.state.log().peek(&self.cursor)?;
        Some(time.max(self.latest))
    }

    /// Takes the next record out of the log.
    fn read(&mut self) -> Option<Found> {
        let state = &self.state;
        let index = self.index();
        let mut data = Vec::new();
        let mut entry = state.log().read(&mut self.cursor, &mut data);
        if self.fresh && matches!(entry, Entry::Lost(_)) && !state.capture_given_up() {
            // A writer overwrote the record because it had been allowed to before the capture
            // began. All that is kept now is still wanted.
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

/// All taps, and which of them has the next record.
#[derive(Default)]
pub(super) struct Merge {
    taps: Vec<Tap>,
    /// Time of the next record and index of its tap, for those taps that have a record.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    /// Packets that were refused at interfaces that have ended, by interface index.
    refused: BTreeMap<u32, u64>,
}

impl Merge {
    pub(super) fn taps(&self) -> &[Tap] {
        &self.taps
    }

    pub(super) fn add(&mut self, tap: Tap) {
        self.taps.push(tap);
    }

    /// The earliest of the records that may be given; `None` when this round has no more.
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
                // As a rule the tap stays at the top of the heap, because a program writes several
                // packets before another one does.
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

    /// Looks again at the logs that were empty. Interfaces that have ended and been read are
    /// dropped; `ended` gets the number of the file that was kept for each of them. Returns false
    /// when no log has anything left.
    pub(super) fn look(&mut self, ended: impl Fn(u64)) -> bool {
        let mut any_finished = false;
        for (place, tap) in self.taps.iter_mut().enumerate().filter(|(_, t)| !t.listed) {
            // This is asked before the look at the log, because nothing is written after the
            // deletion.
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

    /// Limits the capture to what is complete now.
    pub(super) fn stop(&mut self) {
        for tap in &mut self.taps {
            tap.limit = tap.end();
            if tap.cursor.number() >= tap.limit {
                tap.release();
            }
        }
    }

    /// Number of packets that were refused at an interface since the capture began.
    pub(super) fn refused(&self, index: u32) -> u64 {
        let living = self.taps.iter().filter(|tap| tap.index() == index);
        let ended = self.refused.get(&index).copied().unwrap_or(0);
        living.map(Tap::refused).sum::<u64>() + ended
    }

    /// Number of records that are wanted and not read yet.
    pub(super) fn backlog(&self) -> u64 {
        let unread = |tap: &Tap| tap.end().saturating_sub(tap.cursor.number());
        self.taps.iter().map(unread).sum()
    }
}
