//! Which interfaces are read for packet sockets, each by a thread of its own, in both directions.
#![forbid(unsafe_code)]

use super::reading::Reading;
use super::sockets::{All, Raw};
use memtun_kernel::net::NetDir;
use memtun_shm::layout::{InterfaceState, SNIFFED};
use memtun_shm::log::{Cursor, Entry};
use memtun_shm::Mapped;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// How long a reader sleeps at most: an interface whose program was killed wakes nobody.
const NAP: Duration = Duration::from_secs(2);

impl Raw {
    /// Begins to read the interfaces that a packet socket listens to, and ends to read others.
    pub fn follow(&self, net: &NetDir) {
        let mut all = self.lock();
        if all.over || all.sockets.is_empty() && all.readings.is_empty() {
            return;
        }
        let wants = |all: &All, index: u32| all.sockets.iter().any(|it| it.listens_to(index));
        let mut readings = std::mem::take(&mut all.readings);
        readings.retain(|index, reading| {
            let stays = wants(&all, *index) && !reading.is_over();
            if !stays {
                reading.end();
            }
            stays
        });
        let _ = net.each_name(|name| {
            let Ok(Some(interface)) = net.look_up(&name) else {
                return true;
            };
            let index = interface.ifindex.load(Relaxed);
            if wants(&all, index) && !readings.contains_key(&index) {
                readings.insert(index, begin(self, index, interface));
            }
            true
        });
        all.readings = readings;
    }
}

/// Reads until the interface is gone, or nobody listens to it.
fn run(reading: &Reading, raw: &Raw, mut cursor: Cursor) {
    let log = reading.interface.log();
    let mut packet = Vec::new();
    while !reading.is_over() {
        match log.read(&mut cursor, &mut packet) {
            Entry::Packet(record) => {
                if let Some(seen) = reading.seen(&packet, &record) {
                    let origin = match record.inbound {
                        true => raw.lock().take_origin(&packet),
                        false => None,
                    };
                    raw.give(|socket| match Some(socket.inode) == origin {
                        true => None,
                        false => socket.copy(&seen),
                    });
                }
            }
            Entry::Lost(count) => log::debug!("{count} packets came too fast"),
            Entry::Empty => {
                let next = cursor.number();
                let log = &reading.interface.log;
                log.sleep(NAP, || log.next().number() <= next && !reading.is_over());
            }
        }
    }
}

/// Begins to read an interface. What goes over it after this has returned is seen.
fn begin(raw: &Raw, index: u32, interface: Mapped<InterfaceState>) -> Arc<Reading> {
    interface.filters.fetch_or(SNIFFED, SeqCst);
    let cursor = interface.log().cursor_at_end();
    let reading = Arc::new(Reading {
        index,
        interface,
        over: AtomicBool::new(false),
    });
    let (own, raw) = (reading.clone(), raw.clone());
    std::thread::spawn(move || run(&own, &raw, cursor));
    reading
}
