//! Packets that programs have written to their tunnels: one thread for each interface that has an
//! address. Without one nobody reads.
#![forbid(unsafe_code)]

use super::ground::Ground;
use super::readers::{Reader, Reading};
use super::{All, Shared};
use memtun_kernel::net::NoTunnels;
use memtun_shm::layout::InterfaceState;
use memtun_shm::log::{Cursor, Entry};
use memtun_shm::Mapped;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;
use std::time::Duration;

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
        readers.active.retain(|index, reading| {
            let stays = wanted(*index) && !reading.is_over();
            if !stays {
                reading.end();
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
            let cursor = skip(&interface);
            let reading = Arc::new(Reading {
                interface,
                over: AtomicBool::new(false),
            });
            readers.active.insert(index, reading.clone());
            readers.fresh.push(Reader {
                index,
                reading,
                cursor,
            });
        }
    }
}

/// Returns a position behind all that was written before there was an address.
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

impl Reader {
    /// Reads until the interface or its last address is gone, or the host process ends.
    pub fn run(mut self, shared: &Shared<'_>) {
        let mut packet = Vec::new();
        while !self.reading.is_over() {
            let log = self.reading.interface.log();
            let mut entry = log.read(&mut self.cursor, &mut packet);
            if entry == Entry::Empty {
                let next = self.cursor.number();
                let reading = &*self.reading;
                let nothing_new =
                    || reading.interface.log.next().number() <= next && !reading.is_over();
                self.reading.interface.log.sleep(NAP, nothing_new);
                continue;
            }
            let mut all = shared.lock();
            for _ in 0..AT_ONCE {
                match entry {
                    Entry::Packet(_) => self.take(&mut all, &packet),
                    Entry::Lost(count) => log::debug!("{count} packets came too fast"),
                    Entry::Empty => break,
                }
                entry = match self.reading.is_over() {
                    true => Entry::Empty,
                    false => log.read(&mut self.cursor, &mut packet),
                };
            }
            // What was read last must not be lost.
            if let Entry::Packet(_) = entry {
                self.take(&mut all, &packet);
            }
            // What many packets bring about is done once.
            let settled = catch_unwind(AssertUnwindSafe(|| all.settle()));
            if settled.is_err() {
                log::error!("packets found a mistake in memtun");
            }
            let gone = all.inet.ends.tcp.take_gone();
            drop(all);
            drop(gone);
        }
    }

    /// Takes one packet. One that finds a mistake here is lost, and nothing more.
    fn take(&self, all: &mut All<'_>, packet: &[u8]) {
        if self.reading.interface.ifindex.load(Relaxed) != self.index {
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
