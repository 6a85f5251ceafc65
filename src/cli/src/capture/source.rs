//! Where captured packets come from: a reader for each interface of the net, and somebody who looks for new ones.

use crate::failure::Failure;
use crate::stop::Stop;
use memtun::{Interface, InterfaceInfo, Name, Net};
use std::collections::HashSet;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How soon an order to stop is seen.
const NAP: Duration = Duration::from_millis(50);

/// Events on their way; then readers wait, and the interfaces' logs hold the packets.
const UNDER_WAY: usize = 4096;

/// Something that happened in the net.
pub enum Event {
    /// An interface is seen for the first time. Comes before its packets.
    Interface(Box<InterfaceInfo>),
    /// A packet.
    Packet {
        /// Index of its interface.
        interface: u32,
        /// Toward the program?
        inbound: bool,
        /// Nanoseconds since the epoch.
        time_ns: u64,
        /// Host byte order.
        ethertype: u16,
        /// Why the packet went nowhere, if it did.
        comment: Option<String>,
        /// As the network sees it.
        data: Vec<u8>,
    },
    /// Nothing more comes of an interface, which has written so many packets.
    End {
        /// Index of the interface.
        interface: u32,
        /// Packets, as its counter has it. None when all of them came.
        written: Option<u64>,
    },
}

impl Event {
    /// What events are put in order by: an interface, its packets, its end.
    pub fn time(&self) -> u64 {
        match self {
            Event::Interface(_) => 0,
            Event::Packet { time_ns, .. } => *time_ns,
            Event::End { .. } => u64::MAX,
        }
    }
}

/// Everything that happens in a net, until it is told to stop or the net is removed.
pub struct Source {
    /// Ends when the last reader does.
    pub events: Receiver<Event>,
}

impl Source {
    /// Interfaces that exist are being read when this returns.
    pub fn start(net: &Net, only: Option<Name>, stop: Stop) -> Result<Source, Failure> {
        let (sender, events) = sync_channel(UNDER_WAY);
        let mut watcher = Watcher {
            net: net.clone(),
            only,
            stop,
            sender,
            known: HashSet::new(),
            readers: Vec::new(),
        };
        let seen = watcher.changes();
        watcher.look()?;
        spawn("watcher", move || watcher.watch(seen))?;
        Ok(Source { events })
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    // There may be a thousand interfaces, each with its reader.
    let thread = Builder::new()
        .name(name.into())
        .stack_size(256 << 10)
        .spawn(body);
    thread.map_err(|e| Failure::io("cannot start a thread", &e))
}

struct Watcher {
    net: Net,
    only: Option<Name>,
    stop: Stop,
    sender: SyncSender<Event>,
    /// Indexes.
    known: HashSet<u32>,
    readers: Vec<JoinHandle<()>>,
}

impl Watcher {
    /// Rises with every change of the set of interfaces.
    fn changes(&self) -> u32 {
        self.net.dir().changes.load(SeqCst)
    }

    fn watch(mut self, mut seen: u32) {
        loop {
            let last = self.stop.is_due() || !self.net.path().exists();
            if self.changes() != seen || last {
                seen = self.changes();
                if let Err(e) = self.look() {
                    e.report();
                }
            }
            if last {
                break;
            }
            self.sleep(seen);
        }
        self.stop.now();
        drop(self.sender);
        for reader in self.readers {
            let _ = reader.join();
        }
    }

    fn sleep(&self, seen: u32) {
        let state = self.net.dir();
        state.waiters.fetch_add(1, SeqCst);
        let _ = memtun::sys::futex_wait(&state.changes, seen, Some(NAP));
        state.waiters.fetch_sub(1, SeqCst);
    }

    /// Starts a reader for each interface that has none.
    fn look(&mut self) -> Result<(), Failure> {
        for info in self.net.interfaces().unwrap_or_default() {
            if self.known.contains(&info.index) || self.only.is_some_and(|name| name != info.name) {
                continue;
            }
            let Ok(Some(interface)) = self.net.interface(&info.name.to_string()) else {
                continue;
            };
            if interface.index() != info.index {
                continue;
            }
            self.known.insert(info.index);
            let index = info.index;
            if self.sender.send(Event::Interface(Box::new(info))).is_err() {
                return Ok(());
            }
            let (sender, stop) = (self.sender.clone(), self.stop.clone());
            self.readers.push(spawn("reader", move || {
                read(&interface, index, &sender, &stop)
            })?);
        }
        Ok(())
    }
}

/// Passes on the packets of one interface. Told to stop, it first passes on those that are there.
fn read(interface: &Interface, index: u32, sender: &SyncSender<Event>, stop: &Stop) {
    let mut packets = interface.subscribe();
    let mut overtaken = false;
    // As it was when the last look began: what is written after that is nobody's loss.
    let mut written = None;
    loop {
        if stop.is_due() && written.is_none() {
            written = Some(interface.info().rx[0]);
        }
        let patience = if written.is_some() {
            Duration::ZERO
        } else {
            NAP
        };
        let event = match packets.recv(Some(patience)) {
            Ok(packet) => Event::Packet {
                interface: index,
                inbound: false,
                time_ns: packet.time_ns,
                ethertype: packet.ethertype,
                comment: None,
                data: packet.data,
            },
            Err(e) if e.errno().0 == libc::ENOBUFS => {
                overtaken = true;
                continue;
            }
            Err(e) if e.errno().0 == libc::EAGAIN && written.is_none() => continue,
            Err(_) => break,
        };
        if sender.send(event).is_err() {
            return;
        }
    }
    let written = written.unwrap_or_else(|| interface.info().rx[0]);
    let _ = sender.send(Event::End {
        interface: index,
        written: overtaken.then_some(written),
    });
}
