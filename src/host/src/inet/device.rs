//! Packets that programs have written to their tunnels: one thread for each interface that has an
//! address. Without one nobody reads.
#![forbid(unsafe_code)]

use super::ground::Ground;
use super::pace::{Pace, REST};
use super::readers::{Place, Reader, Reading};
use super::{All, Shared};
use memtun_kernel::net::NoTunnels;
use memtun_shm::layout::InterfaceState;
use memtun_shm::log::{Cursor, Entry};
use memtun_shm::Mapped;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a reader sleeps at most: an interface whose program was killed wakes nobody.
const NAP: Duration = Duration::from_secs(2);
/// Number of packets that one reader takes before others have the lock.
const AT_ONCE: usize = 32;

impl All<'_> {
    /// Begins to read the interfaces that have got an address, and ends to read those that have
    /// lost their last one. What a program writes after this has returned is read.
    pub fn follow_interfaces(&mut self) {
        if self.inet.readers.seen == Some(self.service.generation()) {
            return;
        }
        let (mut out, _) = self.parts();
        let (view, net) = (out.view(), out.service.net());
        let readers = &mut self.inet.readers;
        readers.seen = Some(self.service.generation());
        let wanted = |index: u32| {
            let mut addresses = view.addresses.iter();
            addresses.any(|own| own.index == index)
        };
        let is_turn = self.service.turn().is_ok();
        readers.active.retain(|index, reading| {
            let stays = wanted(*index) && !reading.is_over();
            if !stays {
                reading.end();
            }
            if is_turn && !wanted(*index) {
                // What is written without an address is nobody's.
                reading.interface.taken.end();
            }
            stays
        });
        for interface in view.interfaces.iter().filter(|it| wanted(it.index)) {
            let index = interface.index;
            if readers.active.contains_key(&index) {
                continue;
            }
            let found = net
                .lock()
                .and_then(|_lock| net.find_by_index(index, &NoTunnels));
            let Ok(Some(interface)) = found else {
                // It has gone meanwhile, or is looked for again.
                readers.seen = None;
                continue;
            };
            let cursor = interface.taken.cursor().unwrap_or_else(|| {
                let end = skip(&interface);
                interface.taken.begin(&end);
                end
            });
            let reading = Arc::new(Reading {
                index,
                interface,
                over: AtomicBool::new(false),
                next: AtomicU64::new(cursor.number()),
                place: Mutex::new(Place {
                    cursor,
                    packet: Vec::new(),
                }),
            });
            readers.active.insert(index, reading.clone());
            readers.fresh.push(Reader(reading));
        }
    }
}

/// Returns a position behind all that was written before there was an address. A host process that
/// takes over goes on where the one before has ended ([`Taken`](memtun_shm::log::Taken)).
fn skip(interface: &Mapped<InterfaceState>) -> Cursor {
    let end = interface.log.next().number();
    let mut cursor = interface.log().cursor(false);
    let mut packet = Vec::new();
    while cursor.number() < end {
        if interface.log().read(&mut cursor, &mut packet) == Entry::Empty {
            break;
        }
    }
    cursor
}

impl All<'_> {
    /// Takes what programs have written until now, so that what comes next counts as later.
    pub fn catch_up(&mut self) {
        /// Number of packets of one interface that may be before others.
        const MOST: usize = 256;
        let readings = self.inet.readers.active.values();
        let behind: Vec<_> = readings.filter(|it| it.is_behind()).cloned().collect();
        for reading in behind {
            reading.take_some(self, MOST);
        }
    }
}

impl Reading {
    /// Takes at most so many packets. Returns how many bytes they had.
    fn take_some(&self, all: &mut All<'_>, most: usize) -> usize {
        let place = self.place.lock();
        let mut place = place.unwrap_or_else(PoisonError::into_inner);
        let Place { cursor, packet } = &mut *place;
        let log = self.interface.log();
        let mut bytes = 0;
        all.service.train(true);
        for _ in 0..most {
            // Who takes over goes on with what is not taken yet. One that was stopped and goes on
            // must not answer what another one has answered.
            if self.is_over() || !self.may_take(all) {
                break;
            }
            match log.read(cursor, packet) {
                Entry::Packet(_) if self.is_mine(cursor) => {
                    bytes += packet.len();
                    self.take(all, packet);
                }
                Entry::Packet(_) => {}
                Entry::Lost(count) => log::debug!("{count} packets came too fast"),
                Entry::Empty => break,
            }
        }
        self.next.store(cursor.number(), SeqCst);
        drop(place);
        // What many packets bring about is done once.
        let settled = catch_unwind(AssertUnwindSafe(|| all.settle()));
        if settled.is_err() {
            log::error!("packets found a mistake in memtun");
        }
        all.service.train(false);
        bytes
    }

    /// Takes the packet behind which the cursor stands, unless another host process has it.
    fn is_mine(&self, cursor: &Cursor) -> bool {
        self.interface.taken.take(&self.interface.log, cursor)
    }

    /// Is it the turn of this host process? If it is not, there is nothing to read for it.
    fn may_take(&self, all: &All<'_>) -> bool {
        let may = all.service.turn().is_ok();
        if !may {
            self.over.store(true, SeqCst);
        }
        may
    }

    /// Takes one packet. One that finds a mistake here is lost, and nothing more.
    fn take(&self, all: &mut All<'_>, packet: &[u8]) {
        if self.interface.ifindex.load(Relaxed) != self.index {
            return;
        }
        let taken = catch_unwind(AssertUnwindSafe(|| all.receive(self.index, packet)));
        if taken.is_err() {
            log::error!(
                "a packet of {} bytes found a mistake in memtun",
                packet.len()
            );
        }
    }
}

impl Reader {
    /// Reads until the interface or its last address is gone, or the host process ends.
    pub fn run(self, shared: &Shared<'_>) {
        let Reader(reading) = self;
        let mut pace = Pace::default();
        while !reading.is_over() {
            if reading.is_behind() {
                let mut all = shared.lock();
                let bytes = reading.take_some(&mut all, AT_ONCE);
                let gone = all.inet.ends.tcp.take_gone();
                drop(all);
                drop(gone);
                pace.took(bytes, Instant::now());
            } else if pace.rests(Instant::now()) {
                std::thread::sleep(REST);
            } else {
                let nothing_new = || !reading.is_behind() && !reading.is_over();
                reading.interface.log.sleep(NAP, nothing_new);
            }
        }
    }
}
