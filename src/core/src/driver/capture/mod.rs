//! Capturing: every packet of a net, in both directions, in order, none lost.
//!
//! There is one capturer at a time, who holds a flock(2). While there is one, what is injected and
//! what is refused goes into the interfaces' logs as well. A log holds up to 8 MiB, less on a full
//! file system. When the capturer is behind by all of that, a packet that is still to be captured
//! has no place to go, and "no packet is lost" meets "a program never blocks that did not ask for
//! it". Both hold, because the tunnel then is what a socket with a full send buffer is:
//!
//! A writer with O_NONBLOCK gets EAGAIN at once, and nothing is overwritten. poll, select and epoll
//! do not find the tunnel writable until the capturer has read a quarter of the log. The same
//! happens to a write in a signal handler that interrupted a call of its own thread which holds a
//! lock, and to an injector whose timeout is over. A packet that was refused in this way is not in
//! the capture; [`Capture::refused`] and [`crate::InterfaceInfo::capture_refused`] say how many
//! there are.
//! A writer that may block waits, with no lock held. A capturer that lives and does not read is
//! waited for once, for five seconds; then what it has not read is overwritten, and it is told how
//! many packets it lost ([`Capture::lost`]).
//! Nobody waits for a capturer that has ended: all who wait, and those who are refused, look every
//! moment whether it lives.
//! `room` is the writers' side of this; `merge` puts the logs in order.
//! `room` is the writers' side of this, `merge` puts the logs in order.
#![forbid(unsafe_code)]

mod merge;
mod record;

pub use record::{Captured, CapturedLink, Direction};

use crate::deadline::{self, Deadline, Timeout};
use crate::sys::{self, Fd};
use crate::{Errno, Error, ErrorKind, Name, Net};
use memtun_abi::error::{Context, Result};
use memtun_shm::load_name;
use merge::{Found, Merge, Tap};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::os::fd::AsFd;
use std::sync::atomic::fence;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

/// How often a capturer that has nothing to do looks whether programs are still alive. It looks
/// less often than other sleepers do, because this look takes longer than theirs.
const LOOK_AROUND: Duration = deadline::LOOK_AROUND.saturating_mul(10);

/// Captures a net, or one interface of it, until it is dropped. Only one value of this kind exists
/// in a net at a time.
///
/// It has to be read: a program or an injector that is a log's length (up to 8 MiB) ahead of it
/// waits, up to five seconds, and then packets are lost; or it is refused with EAGAIN if it does
/// not want to wait. So what goes on in the thread that reads must not depend on much being written
/// meanwhile.
pub struct Capture {
    net: Net,
    lock: Fd,
    only: Option<Name>,
    /// Value of [`NetState::changes`](memtun_shm::layout::NetState) at the last look; `None`
    /// before the first look.
    seen: Option<u32>,
    merge: Merge,
    /// Inode and name of the interfaces that this capture leaves out.
    others: HashSet<(u64, Name)>,
    lost: BTreeMap<u32, u64>,
    /// True after [`Capture::stop`]: only what was complete before it is still wanted.
    stopped: bool,
    /// The moment at which this capture last looked at the processes.
    looked: Instant,
}

impl Net {
    /// Captures every packet from the oldest that is kept, of the interfaces that are there and of
    /// those to come. The capture ends when the value is dropped.
    ///
    /// # Errors
    /// - EBUSY: somebody captures this net already.
    pub fn capture(&self) -> Result<Capture> {
        Capture::begin(self, None)
    }

    /// Captures one interface as [`Net::capture`] captures all; the interface may be made later.
    ///
    /// # Errors
    /// The same as [`Net::capture`].
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
                merge: Merge::default(),
                others: HashSet::new(),
                lost: BTreeMap::new(),
                stopped: false,
                looked: Instant::now(),
            };
            match capture.look_locked() {
                Ok(()) => Ok(Ok(capture)),
                // The capture is not dropped here, because its drop takes the lock that is held
                // here.
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
        self.merge.taps().iter().map(|tap| {
            let state = &tap.state;
            CapturedLink {
                interface: load_name(&state.name),
                index: state.ifindex.load(Relaxed),
                tap: state.is_tap(),
                mac: state.is_tap().then(|| state.mac()),
            }
        })
    }

    /// The next packet; waits up to five seconds for it. Packets of one interface come in the order
    /// in which they were recorded, packets of several interfaces in the order of their times.
    ///
    /// # Errors
    /// - EAGAIN: no packet came in time.
    /// - ENOBUFS: packets of an interface are lost; [`Capture::lost`] says how many, and the next
    ///   call goes on behind them.
    /// - ENODEV: the net was removed and everything in it has been read.
    pub fn recv(&mut self) -> Result<Captured> {
        self.recv_within(Timeout::DEFAULT)
    }

    /// The same as [`Capture::recv`] with a timeout of the caller's. With [`Timeout::NOW`] it gives
    /// everything that was complete before the call.
    ///
    /// # Errors
    /// The same as [`Capture::recv`].
    pub fn recv_within(&mut self, timeout: impl Into<Timeout>) -> Result<Captured> {
        self.recv_while(timeout, |_| true)
    }

    /// The same as [`Capture::recv_within`] for a caller that waits for other things as well:
    /// `goes_on` is asked before each sleep, and after each change of the net ([`Net::wake`] counts
    /// as one).
    ///
    /// # Errors
    /// The same as [`Capture::recv`]; EAGAIN also when `goes_on` returns false.
    pub fn recv_while(
        &mut self,
        timeout: impl Into<Timeout>,
        goes_on: impl Fn(&Capture) -> bool,
    ) -> Result<Captured> {
        let end = Deadline::after(timeout);
        let mut removed = false;
        loop {
            match self.merge.next() {
                Some(Found::Packet(packet)) => return Ok(packet),
                Some(Found::Lost { name, index, n }) => {
                    *self.lost.entry(index).or_default() += n;
                    let text =
                        format!("{name}: {n} packets were overwritten before they were captured");
                    let error = Error::new(libc::ENOBUFS, text);
                    return Err(error.of_kind(ErrorKind::Lost { count: n }));
                }
                None => {}
            }
            if self.gather()? {
                continue;
            }
            if removed {
                let shown = self.net.path().display();
                return Err(Error::new(
                    libc::ENODEV,
                    format!("net {shown}: it was removed"),
                ));
            }
            let Some(time) = end.nap().filter(|_| !self.stopped && goes_on(self)) else {
                return Err(Error::new(libc::EAGAIN, "no packet in time"));
            };
            if self.sleep(time) {
                removed = self.look_around();
            }
        }
    }

    /// Ends the capture with what was complete before this call: only that is still given, and
    /// nobody waits for this capture any longer than until it is read. When it has all been given,
    /// [`Capture::recv`] fails with EAGAIN at once.
    pub fn stop(&mut self) -> Result<()> {
        let looked = self.look();
        self.stopped = true;
        self.merge.stop();
        let shown = self.net.path().display();
        looked.context(|e| format!("net {shown}: cannot capture what is new in it: {e}"))
    }

    /// Number of packets that are complete and that [`Capture::recv`] has not given yet; after
    /// [`Capture::stop`], the number that it will still give. This waits for nobody.
    pub fn backlog(&self) -> u64 {
        self.merge.backlog()
    }

    /// Number of packets that were lost so far at the interface with this index.
    pub fn lost(&self, index: u32) -> u64 {
        self.lost.get(&index).copied().unwrap_or(0)
    }

    /// Number of packets that were refused at the interface with this index since the capture
    /// began, because the capture was behind: O_NONBLOCK writes and injectors whose timeout was
    /// over got EAGAIN. These packets are not in the capture.
    pub fn refused(&self, index: u32) -> u64 {
        self.merge.refused(index)
    }

    /// Sleeps until there is something new. Returns true when `time` passed without anything to
    /// capture.
    fn sleep(&self, time: Duration) -> bool {
        let state = &**self.net.dir();
        state.capture_asleep.store(1, SeqCst);
        fence(SeqCst);
        let nothing = self.seen == Some(state.changes.load(SeqCst))
            && self.merge.taps().iter().all(|tap| !tap.has_news());
        let answer = if nothing {
            sys::futex_wait(&state.capture_asleep, 1, Some(time))
        } else {
            Ok(())
        };
        state.capture_asleep.store(0, SeqCst);
        answer == Err(Errno(libc::ETIMEDOUT))
    }

    /// Finds out what nobody announces: that programs were killed, or that the net was removed.
    /// Returns true when the net is gone.
    fn look_around(&mut self) -> bool {
        if self.looked.elapsed() > LOOK_AROUND {
            self.looked = Instant::now();
            let dir = self.net.dir();
            for tap in self.merge.taps() {
                self.net.joined().look_after(&tap.state);
            }
            // A private net may have waited only for this capture to end. The capturer's lock is
            // released so that the net can be removed; nobody else wants the lock in such a net.
            if self.merge.taps().is_empty() && dir.is_private() && !dir.has_members() {
                let _ = sys::flock(self.lock.as_fd(), libc::LOCK_UN);
                if !dir.remove_if_deserted() {
                    let _ = sys::flock(self.lock.as_fd(), libc::LOCK_EX | libc::LOCK_NB);
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
        let known: BTreeSet<u64> = self.merge.taps().iter().map(|tap| tap.inode).collect();
        let mut others = HashSet::new();
        let (only, old) = (self.only, &self.others);
        let found = dir.capturable(|inode, name| {
            let other = name.map(|name| (inode, name));
            let ignored = other.filter(|other| old.contains(other));
            others.extend(ignored);
            ignored.is_none() && !known.contains(&inode)
        });
        let found = match found {
            // The net was removed; what is tapped already can still be read.
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
            self.merge.add(Tap::new(inode, state, first));
        }
        self.others = others;
        self.seen = Some(changes);
        Ok(())
    }

    /// Looks at every interface, those that are new included. Returns false when nothing is left to
    /// be read.
    fn gather(&mut self) -> Result<bool> {
        self.merge.note();
        if !self.stopped {
            let net = self.net.clone();
            self.look()
                .context(|e| format!("net {}: cannot capture: {e}", net.path().display()))?;
        }
        let dir = self.net.dir();
        let ended = |number| dir.remove_one_gone(number);
        Ok(self.merge.look(ended))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let net = self.net.clone();
        let dir = net.dir();
        // The lock is refused only if this thread holds it already, in the middle of a call; then
        // the capture ends without it.
        let _lock = dir.lock();
        dir.end_capturing();
        for tap in self.merge.taps() {
            tap.release();
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
