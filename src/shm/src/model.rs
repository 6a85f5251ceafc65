//! Tests of lock, ring and log in memory that belongs to a test.
//!
//! The same tests run as they are, in `loom`, which tries every order in which the atomics of
//! threads can interleave, the packets' words included, and in miri, which checks every access to
//! memory (`scripts/models`). In loom, futex and clock below them are a model. In miri, the lock,
//! which reads registers, is left out.

use crate::area::{Area, Home};
use crate::log::{Cursor, Entry, Log, Reader, Sort, Writer};
use crate::ring::{Queue, Ring};
use crate::sync::AtomicU64;
use crate::Errno;
use std::sync::atomic::Ordering::Relaxed;

#[cfg(loom)]
use loom::{sync::Arc, thread};
#[cfg(not(loom))]
use std::{sync::Arc, thread};

/// Runs a test in every order that up to `preemptions` forced changes of the running thread can
/// produce.
#[cfg(loom)]
fn model(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(test);
}

#[cfg(not(loom))]
fn model(_: usize, test: impl Fn() + Sync + Send + 'static) {
    for _ in 0..if cfg!(miri) { 20 } else { 2000 } {
        test();
    }
}

/// An area of a number of units of 16 bytes, with memory behind all of them.
struct Room(Vec<AtomicU64>);

impl Room {
    fn new(units: usize) -> Room {
        Room((0..units * 2).map(|_| AtomicU64::new(0)).collect())
    }

    fn bytes(&self) -> u64 {
        self.0.len() as u64 * 8
    }

    #[cfg(loom)]
    fn area(&self) -> Area<'_> {
        Area::of_words(&self.0)
    }

    #[cfg(not(loom))]
    fn area(&self) -> Area<'_> {
        let at = self.0.as_ptr().cast::<u8>().cast_mut();
        // SAFETY: the words are atomics of eight bytes each, which are borrowed as long as the
        // area.
        unsafe { Area::at(at, self.0.len() * 8) }
    }
}

/// Makes a packet of `len` bytes whose every byte is its number.
fn packet(number: u8, len: usize) -> Vec<u8> {
    vec![number; len]
}

struct Packets {
    ring: Ring,
    room: Room,
}

impl Packets {
    fn new(units: usize) -> Packets {
        let (ring, room) = (Ring::default(), Room::new(units));
        ring.reserved.store(room.bytes(), Relaxed);
        Packets { ring, room }
    }

    /// Returns the queue, for a thread that is alone with it.
    fn queue(&self) -> Queue<'_> {
        Queue::new(self)
    }
}

impl Home for Packets {
    type Words = Ring;
    fn words(&self) -> &Ring {
        &self.ring
    }
    fn area(&self) -> Area<'_> {
        self.room.area()
    }
}

fn popped(queue: Queue<'_>) -> Option<Vec<u8>> {
    queue.pop(|packet| {
        let mut data = Vec::new();
        packet.data.append_to(&mut data);
        data
    })
}

struct Written {
    log: Log,
    room: Room,
}

impl Home for Written {
    type Words = Log;
    fn words(&self) -> &Log {
        &self.log
    }
    fn area(&self) -> Area<'_> {
        self.room.area()
    }
}

impl Written {
    fn new(units: usize) -> Written {
        let (log, room) = (Log::default(), Room::new(units));
        log.reserved.store(room.bytes(), Relaxed);
        Written { log, room }
    }

    fn reader(&self) -> Reader<'_, Written> {
        Reader::new(self)
    }

    /// Appends a packet. Only one thread may do so at a time.
    fn append(&self, number: u8, len: usize) -> Result<(), Errno> {
        Writer::new(self).append(Sort::Written, len, |room| {
            room.store(&packet(number, len));
            Ok(0x0800)
        })
    }
}

/// Reads what is there, and checks that every packet is whole and in order and that the lost ones
/// are counted. Returns how many packets are before the next one.
fn read_on(reader: Reader<'_, Written>, cursor: &mut Cursor, mut before: u64) -> u64 {
    let mut data = Vec::new();
    loop {
        match reader.read(cursor, &mut data) {
            Entry::Empty => return before,
            Entry::Lost(n) => before += n,
            Entry::Packet(record) => {
                assert_eq!(data.len(), record.len);
                let whole = data.iter().all(|byte| *byte as u64 == before + 1);
                assert!(whole, "packet {} is {data:?}", before + 1);
                before += 1;
            }
        }
    }
}

#[test]
fn a_subscriber_reads_whole_packets_while_the_oldest_are_overwritten() {
    model(3, || {
        // The log has room for two packets, and for a part of a third one.
        let logged = Arc::new(Written::new(8));
        logged.append(1, 16).expect("room");
        let mut cursor = logged.reader().cursor(false);
        let theirs = logged.clone();
        let writer = thread::spawn(move || {
            for number in 2..=3 {
                theirs.append(number, 16).expect("room");
            }
        });
        let seen = read_on(logged.reader(), &mut cursor, 0);
        writer.join().expect("the writer");
        assert_eq!(read_on(logged.reader(), &mut cursor, seen), 3);
    });
}

#[test]
fn a_cursor_that_is_made_while_packets_come_misses_none_without_saying_so() {
    model(2, || {
        let logged = Arc::new(Written::new(6));
        let theirs = logged.clone();
        let writer = thread::spawn(move || {
            for number in 1..=3 {
                theirs.append(number, 16).expect("room");
            }
        });
        let mut cursor = logged.reader().cursor_from_start();
        let seen = read_on(logged.reader(), &mut cursor, 0);
        writer.join().expect("the writer");
        assert_eq!(read_on(logged.reader(), &mut cursor, seen), 3);
    });
}

#[test]
fn a_cursor_that_is_made_while_the_oldest_are_overwritten_counts_from_where_it_is() {
    model(1, || {
        // The log has room for one packet.
        let logged = Arc::new(Written::new(3));
        logged.append(1, 16).expect("room");
        let (theirs, watched) = (logged.clone(), logged.clone());
        let writer = thread::spawn(move || {
            for number in 2..=3 {
                theirs.append(number, 16).expect("room");
            }
        });
        let reader = thread::spawn(move || {
            let cursor = watched.reader().cursor(false);
            // Every record is a packet that the program wrote, so both counts agree.
            assert_eq!(
                cursor.expected().unwrap_or(cursor.number()),
                cursor.number()
            );
        });
        reader.join().expect("the reader");
        writer.join().expect("the writer");
    });
}

#[test]
fn whoever_sees_a_packet_counted_without_the_lock_sees_all_of_it() {
    static SEEN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    model(3, || {
        let packets = Arc::new(Packets::new(4));
        let theirs = packets.clone();
        let producer = thread::spawn(move || {
            theirs.queue().push(&packet(7, 24), 1, 10).expect("room");
        });
        // The watcher is a thread of its own and looks once: loom shows no old words to the thread
        // that made them, nor to one that has yielded since it saw them.
        let watched = packets.clone();
        let watcher = thread::spawn(move || {
            if watched.ring.queued() > 0 {
                let seen = watched.queue().peek_all();
                assert_eq!(seen, [(packet(7, 24), 1)]);
                SEEN.fetch_add(1, Relaxed);
            }
        });
        watcher.join().expect("the watcher");
        producer.join().expect("the producer");
        assert_eq!(popped(packets.queue()), Some(packet(7, 24)));
        assert_eq!(popped(packets.queue()), None);
    });
    // Without loom it depends on chance whether the watcher sees the packet.
    assert!(SEEN.load(Relaxed) > 0 || cfg!(not(loom)));
}

#[cfg(not(miri))]
mod locked {
    use super::*;
    use crate::lock::{Lock, Patience, Peers};

    struct Peer;

    impl Peers for Peer {
        fn token(&self) -> u32 {
            1
        }
        fn is_alive(&self, _: u32) -> Option<bool> {
            Some(true)
        }
    }

    fn lock() -> Lock {
        // SAFETY: zeroed memory is a free lock.
        #[cfg(not(loom))]
        return unsafe { std::mem::zeroed() };
        #[cfg(loom)]
        Lock::default()
    }

    struct Tunnel {
        lock: Lock,
        packets: Packets,
        /// 1 while a thread believes that it is alone.
        inside: AtomicU64,
    }

    impl Tunnel {
        fn new(units: usize) -> Arc<Tunnel> {
            Arc::new(Tunnel {
                lock: lock(),
                packets: Packets::new(units),
                inside: AtomicU64::new(0),
            })
        }

        fn alone<T>(&self, run: impl FnOnce(Queue<'_>) -> T) -> T {
            let patience = Patience::Driver(None);
            let _guard = self
                .lock
                .lock(&Peer, patience, || unreachable!("nobody died"));
            // Relaxed suffices, because the lock alone has to make the other thread's store
            // visible.
            assert_eq!(self.inside.load(Relaxed), 0);
            self.inside.store(1, Relaxed);
            let answer = run(self.packets.queue());
            self.inside.store(0, Relaxed);
            answer
        }
    }

    #[test]
    fn two_threads_are_never_in_it_together_and_none_sleeps_for_ever() {
        model(3, || {
            let tunnel = Tunnel::new(2);
            let theirs = tunnel.clone();
            let other = thread::spawn(move || {
                for _ in 0..2 {
                    theirs.alone(|_| ());
                }
            });
            tunnel.alone(|_| ());
            tunnel.alone(|_| ());
            other.join().expect("the other");
        });
    }

    #[test]
    fn three_threads_neither() {
        model(2, || {
            let tunnel = Tunnel::new(2);
            let others = [tunnel.clone(), tunnel.clone()]
                .map(|theirs| thread::spawn(move || theirs.alone(|_| ())));
            tunnel.alone(|_| ());
            for other in others {
                other.join().expect("another");
            }
        });
    }

    #[test]
    fn what_one_pushes_the_other_pops_in_order() {
        model(1, || {
            // The queue has room for one packet, so that the second one waits.
            let tunnel = Tunnel::new(2);
            let theirs = tunnel.clone();
            let producer = thread::spawn(move || {
                for number in 1..=2 {
                    while theirs
                        .alone(|queue| queue.push(&packet(number, 16), 1, 10))
                        .is_err()
                    {
                        thread::yield_now();
                    }
                }
            });
            for number in 1..=2 {
                let popped = loop {
                    match tunnel.alone(popped) {
                        Some(data) => break data,
                        None => thread::yield_now(),
                    }
                };
                assert_eq!(popped, packet(number, 16));
            }
            producer.join().expect("the producer");
        });
    }
}
