//! Capturing: every packet of a net, in both directions, in order, none lost.
//!
//! There is one capturer at a time, who holds a flock(2). While there is one, what is injected and what is refused goes
//! into the interfaces' logs as well, and whoever would overwrite what the capturer has not read waits for it: with no lock
//! held, and looking every moment whether the capturer still lives. A capturer that lives and does not read is waited for
//! once, for [`PATIENCE`]; then packets are lost, and it is told how many.

use crate::error::{Context, Result};
use crate::interface::{deadline, nap};
use crate::netdir::NetDir;
use crate::shm::layout::InterfaceState;
use crate::shm::lock::{holds_any, Guard, Patience};
use crate::shm::log::{Cursor, Entry};
use crate::shm::{load_name, Mapped};
use crate::sys::{self, Fd};
use crate::{Errno, Error, Name, Net};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{
    fence,
    Ordering::{Acquire, Relaxed, SeqCst},
};
use std::time::{Duration, Instant};

/// How long a packet waits for a capturer that lives.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a writer sleeps before it looks whether the capturer lives.
const SLICE: Duration = Duration::from_millis(20);

/// How often a capturer that has nothing to do looks whether programs are still alive.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// Records that are read ahead, of all interfaces together.
const AHEAD: usize = 4096;

/// Of whom a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Toward the program.
    Inbound,
    /// From the program.
    Outbound,
}

/// A packet that was captured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// Name of its interface.
    pub interface: Name,
    /// Index of its interface.
    pub index: u32,
    /// Layer 2?
    pub tap: bool,
    /// Hardware address of a tap.
    pub mac: Option<[u8; 6]>,
    /// Largest packet of its interface.
    pub mtu: u32,
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    /// Host byte order; 0 where a refused packet does not say.
    pub ethertype: u16,
    /// Toward the program or from it.
    pub direction: Direction,
    /// The error that whoever sent it got: it went nowhere.
    pub refused: Option<Errno>,
    /// As the network sees it: no packet information, no vnet header; a TAP's frame whole.
    pub data: Vec<u8>,
}

/// An interface that is captured, whether or not it has had a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CapturedLink {
    /// Its name now.
    pub interface: Name,
    /// Its index.
    pub index: u32,
    /// Layer 2?
    pub tap: bool,
    /// Hardware address of a tap.
    pub mac: Option<[u8; 6]>,
}

impl Captured {
    /// The interface that the packet is of, as it was then.
    pub fn link(&self) -> CapturedLink {
        CapturedLink {
            interface: self.interface,
            index: self.index,
            tap: self.tap,
            mac: self.mac,
        }
    }
}

impl NetDir {
    /// The interface's lock, with room in its log for a packet of `len` bytes, and whether somebody captures. May wait for
    /// the capturer. EBADFD when somebody captures and the interface is gone.
    #[inline]
    pub(crate) fn lock_log<'i>(
        &self,
        interface: &'i Mapped<InterfaceState>,
        len: usize,
        patience: Patience,
    ) -> std::result::Result<(Guard<'i>, bool), Errno> {
        let lock = self.lock_interface(interface, patience)?;
        if self.is_captured() {
            self.make_room(interface, lock, len, patience)
        } else {
            Ok((lock, false))
        }
    }

    #[cold]
    fn make_room<'i>(
        &self,
        interface: &'i Mapped<InterfaceState>,
        mut lock: Guard<'i>,
        len: usize,
        patience: Patience,
    ) -> std::result::Result<(Guard<'i>, bool), Errno> {
        let end = sys::now_ns(libc::CLOCK_MONOTONIC) + PATIENCE.as_nanos() as u64;
        loop {
            if interface.deleted.load(Acquire) != 0 {
                return Err(Errno(libc::EBADFD));
            }
            let Some(number) = interface.log_blocked(len) else {
                return Ok((lock, true));
            };
            drop(lock);
            if !self.wait_for_capturer(interface, number, end) {
                // Nobody waits any more until the capturer reads again.
                interface.captured_upto(u64::MAX);
            }
            lock = self.lock_interface(interface, patience)?;
            if !self.is_captured() {
                return Ok((lock, false));
            }
        }
    }

    /// True when it is worth another look, false when the capturer has been waited for long enough.
    fn wait_for_capturer(&self, interface: &Mapped<InterfaceState>, number: u64, end: u64) -> bool {
        // In a signal handler that came while this thread held a lock, which the capturer may want.
        if holds_any() || sys::now_ns(libc::CLOCK_MONOTONIC) >= end {
            return false;
        }
        if !interface.wait_captured(number, SLICE) {
            if let Ok(_lock) = self.lock() {
                self.capturer_lives();
            }
        }
        true
    }
}

/// Captures a net, or one interface of it, until it is dropped. Only one value of this kind exists in a net at a time.
///
/// It has to be read: a program or an injector that is a log's length (8 MiB) ahead of it waits, up to five seconds; then
/// packets are lost. So what goes on in the thread that reads must not depend on much being written meanwhile.
pub struct Capture {
    net: Net,
    lock: Fd,
    only: Option<Name>,
    /// [`NetState::changes`](crate::shm::layout::NetState) at the last look, None before the first.
    seen: Option<u32>,
    tapped: Vec<Tapped>,
    /// Interfaces that are none of our business, by inode and name.
    others: HashSet<(u64, Name)>,
    /// Read, but something earlier may still be found.
    pending: Vec<(u64, Found)>,
    /// In order.
    ready: VecDeque<Found>,
    lost: BTreeMap<u32, u64>,
    /// When the processes were last looked at.
    looked: Instant,
}

/// An interface that is captured.
struct Tapped {
    inode: u64,
    state: Mapped<InterfaceState>,
    cursor: Cursor,
    /// Time of the last packet, or of an earlier one if the clock was set back meanwhile.
    latest: u64,
    /// There may be more that is earlier than what was found elsewhere.
    full: bool,
    finished: bool,
}

enum Found {
    Packet(Captured),
    Lost(Name, u64),
}

impl Net {
    /// Captures every packet from the oldest that is kept, of the interfaces that are there and of those to come.
    /// EBUSY when somebody captures this net already.
    pub fn capture(&self) -> Result<Capture> {
        Capture::begin(self, None)
    }

    /// [`Net::capture`] of one interface, which may come later.
    pub fn capture_interface(&self, name: &str) -> Result<Capture> {
        let name: Name = name.parse()?;
        Capture::begin(self, Some(name))
    }
}

impl Capture {
    fn begin(net: &Net, only: Option<Name>) -> Result<Capture> {
        let dir = net.dir();
        let begun = dir.lock().and_then(|_net_lock| {
            let mut capture = Capture {
                net: net.clone(),
                lock: dir.become_capturer()?,
                only,
                seen: None,
                tapped: Vec::new(),
                others: HashSet::new(),
                pending: Vec::new(),
                ready: VecDeque::new(),
                lost: BTreeMap::new(),
                looked: Instant::now(),
            };
            match capture.look_locked() {
                Ok(()) => Ok(Ok(capture)),
                // Not dropped here: that takes the lock.
                Err(e) => Ok(Err((e, capture))),
            }
        });
        let begun = begun.and_then(|begun| begun.map_err(|(e, _)| e));
        begun.context(|e| {
            let shown = net.path().display();
            match e.0 {
                libc::EBUSY => {
                    format!("net {shown}: somebody captures it already; end that capture first")
                }
                _ => format!("net {shown}: cannot capture: {e}"),
            }
        })
    }

    /// The interfaces that are captured now.
    pub fn interfaces(&self) -> impl Iterator<Item = CapturedLink> + '_ {
        self.tapped.iter().map(|tapped| {
            let state = &tapped.state;
            CapturedLink {
                interface: load_name(&state.name),
                index: state.ifindex.load(Relaxed),
                tap: state.is_tap(),
                mac: state.is_tap().then(|| state.mac()),
            }
        })
    }

    /// The next packet, waiting up to `timeout` (None: for ever). With a timeout of zero it sees everything that was
    /// complete before the call. In the order of things within an interface, by time among several.
    ///
    /// Errors: EAGAIN nothing in time; ENOBUFS so many packets of an interface are lost, see [`Capture::lost`], and the
    /// next call goes on; ENODEV the net was removed and everything in it has been read.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Captured> {
        let end = deadline(timeout);
        let mut removed = false;
        loop {
            if let Some(found) = self.ready.pop_front() {
                return match found {
                    Found::Packet(packet) => Ok(packet),
                    Found::Lost(name, n) => Err(Error::new(
                        libc::ENOBUFS,
                        format!("{name}: {n} packets were overwritten before they were captured"),
                    )),
                };
            }
            self.gather()?;
            if !self.pending.is_empty() || !self.ready.is_empty() {
                continue;
            }
            if removed {
                let shown = self.net.path().display();
                return Err(Error::new(
                    libc::ENODEV,
                    format!("net {shown}: it was removed"),
                ));
            }
            let Some(time) = nap(end) else {
                return Err(Error::new(libc::EAGAIN, "no packet in time"));
            };
            if self.sleep(time) {
                removed = self.look_around();
            }
        }
    }

    /// Packets of an interface, by its index, that were lost so far.
    pub fn lost(&self, index: u32) -> u64 {
        self.lost.get(&index).copied().unwrap_or(0)
    }

    /// True when the time passed without anything to capture.
    fn sleep(&self, time: Duration) -> bool {
        let state = &**self.net.dir();
        state.capture_asleep.store(1, SeqCst);
        fence(SeqCst);
        let nothing = self.seen == Some(state.changes.load(SeqCst))
            && self
                .tapped
                .iter()
                .all(|t| t.state.log_next().number() <= t.cursor.number() && !t.is_gone());
        let answer = if nothing {
            sys::futex_wait(&state.capture_asleep, 1, Some(time))
        } else {
            Ok(())
        };
        state.capture_asleep.store(0, SeqCst);
        answer == Err(Errno(libc::ETIMEDOUT))
    }

    /// Finds out what nobody says: that programs were killed, or the net was removed.
    fn look_around(&mut self) -> bool {
        if self.looked.elapsed() > LOOK_AROUND {
            self.looked = Instant::now();
            let dir = self.net.dir();
            for tapped in &self.tapped {
                self.net.look_after(&tapped.state);
            }
            // A private net that only waited for us: the lock is let go for that, and nobody else wants it there.
            if self.tapped.is_empty() && dir.is_private() && !dir.has_members() {
                let _ = sys::flock(self.lock.raw(), libc::LOCK_UN);
                if !dir.remove_if_deserted() {
                    let _ = sys::flock(self.lock.raw(), libc::LOCK_EX | libc::LOCK_NB);
                }
            }
        }
        self.net.dir().is_gone()
    }

    /// Taps the interfaces that are new.
    fn look(&mut self) -> std::result::Result<(), Errno> {
        if self.seen == Some(self.net.dir().changes.load(SeqCst)) {
            return Ok(());
        }
        let net = self.net.clone();
        let _lock = net.dir().lock()?;
        self.look_locked()
    }

    fn look_locked(&mut self) -> std::result::Result<(), Errno> {
        let dir = self.net.dir();
        let first = self.seen.is_none();
        let changes = dir.changes.load(SeqCst);
        let known: BTreeSet<u64> = self.tapped.iter().map(|t| t.inode).collect();
        let mut others = HashSet::new();
        let (only, old) = (self.only, &self.others);
        let found = dir.capturable(|inode, name| {
            let other = name.map(|name| (inode, name));
            let ignored = other.filter(|other| old.contains(other));
            others.extend(ignored);
            ignored.is_none() && !known.contains(&inode)
        });
        let found = match found {
            // The net was removed; what is tapped can be read.
            Err(Errno(libc::ENOENT)) => Vec::new(),
            found => found?,
        };
        for (inode, state) in found {
            let name = load_name(&state.name);
            if only.is_some_and(|only| only != name) {
                state.captured_upto(u64::MAX);
                dir.remove_one_gone(state.gone_number.load(Relaxed));
                others.insert((inode, name));
                continue;
            }
            let _lock = dir.lock_interface(&state, Patience::Brief);
            let cursor = if first {
                state.log_cursor(true)
            } else {
                state.log_cursor_from_start()
            };
            state.captured_upto(cursor.number());
            drop(_lock);
            self.tapped.push(Tapped {
                inode,
                state,
                cursor,
                latest: 0,
                full: false,
                finished: false,
            });
        }
        self.others = others;
        self.seen = Some(changes);
        Ok(())
    }

    /// Reads what there is and puts in order what can be.
    ///
    /// Of what the first round finds, everything earlier was in its log before the second round began, however many
    /// interfaces a program goes through: so the second one finds it.
    fn gather(&mut self) -> Result<()> {
        self.tapped.iter_mut().for_each(|t| t.full = false);
        self.round();
        let mut horizon = self.pending.iter().map(|p| p.0).max().unwrap_or(0);
        let net = self.net.clone();
        self.look()
            .context(|e| format!("net {}: cannot capture: {e}", net.path().display()))?;
        self.round();
        for tapped in self.tapped.iter().filter(|t| t.full) {
            horizon = horizon.min(tapped.latest);
        }
        self.tapped.retain(|tapped| {
            if tapped.finished {
                tapped.state.captured_upto(u64::MAX);
                let number = tapped.state.gone_number.load(Relaxed);
                net.dir().remove_one_gone(number);
            }
            !tapped.finished
        });
        self.pending.sort_by_key(|p| p.0);
        let due = self.pending.partition_point(|p| p.0 <= horizon);
        self.ready
            .extend(self.pending.drain(..due).map(|(_, found)| found));
        Ok(())
    }

    fn round(&mut self) {
        let most = (AHEAD / self.tapped.len().max(1)).max(1);
        for tapped in self.tapped.iter_mut().filter(|t| !t.full && !t.finished) {
            tapped.read(most, &mut self.pending, &mut self.lost);
        }
    }
}

impl Tapped {
    fn is_gone(&self) -> bool {
        self.state.deleted.load(Acquire) != 0
    }

    /// Reads up to `most` records.
    fn read(
        &mut self,
        most: usize,
        pending: &mut Vec<(u64, Found)>,
        lost: &mut BTreeMap<u32, u64>,
    ) {
        let state = &self.state;
        let index = state.ifindex.load(Relaxed);
        for _ in 0..most {
            // Before the look at the log: nothing comes after the deletion.
            let gone = self.is_gone();
            let mut data = Vec::new();
            let entry = state.log_read(&mut self.cursor, &mut data);
            let interface = load_name(&state.name);
            match entry {
                Entry::Packet(record) => {
                    state.captured_upto(self.cursor.number());
                    self.latest = self.latest.max(record.time_ns);
                    let packet = Captured {
                        interface,
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
                    };
                    pending.push((self.latest, Found::Packet(packet)));
                }
                Entry::Lost(n) => {
                    *lost.entry(index).or_default() += n;
                    pending.push((self.latest, Found::Lost(interface, n)));
                }
                Entry::Empty => {
                    self.finished = gone;
                    return;
                }
            }
        }
        self.full = true;
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let net = self.net.clone();
        let dir = net.dir();
        // Without the lock only if this thread is in the middle of something.
        let _lock = dir.lock();
        dir.end_capturing();
        for tapped in &self.tapped {
            tapped.state.captured_upto(u64::MAX);
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("net", &self.net)
            .field("only", &self.only)
            .finish()
    }
}
