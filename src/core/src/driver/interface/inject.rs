//! Packets that the driver sends toward the program.
#![forbid(unsafe_code)]

use super::sending::Sending;
use super::Interface;
use crate::deadline::{Deadline, Timeout};
use crate::{packet, sys, Errno, Error, ErrorKind};
use memtun_abi::error::Result;
use memtun_kernel::link::transmit::{no_queue, Queues, Transmit};
use memtun_kernel::link::Link;
use memtun_kernel::tun::room::{Refusal, Wait};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Instant;

impl Interface {
    /// Puts a frame as it is into the program's read queue; when this returns, the program can read
    /// it, unless the program itself has set a filter (TUNSETTXFILTER, TUNATTACHFILTER) that drops
    /// or cuts it. It waits up to five seconds while the queue is full or the capturer is behind.
    ///
    /// # Errors
    /// A packet that is refused is not queued.
    ///
    /// - EAGAIN: the queue stayed full, or there was no room in the capture.
    /// - ENETDOWN: the link is down, or has no carrier.
    /// - EMSGSIZE: the frame is longer than the MTU.
    /// - EINVAL: the bytes are no frame at all.
    /// - ENOTCONN: no program is attached.
    /// - ENODEV: the interface is gone.
    /// - ENOSPC: no memory is left for the net.
    pub fn inject(&self, frame: &[u8]) -> Result<()> {
        self.inject_with(frame, Sending::new())
    }

    /// The same as [`Interface::inject`] with options.
    ///
    /// # Errors
    /// The same as [`Interface::inject`].
    #[inline(always)]
    pub fn inject_with(&self, frame: &[u8], how: Sending) -> Result<()> {
        if self.inject_at_once(frame, how.ethertype) {
            return Ok(());
        }
        self.inject_late(frame, how)
    }

    /// Does what [`Interface::inject_with`] does after [`Interface::inject_at_once`].
    ///
    /// # Errors
    /// The same as [`Interface::inject`].
    #[doc(hidden)]
    #[inline(never)]
    pub fn inject_late(&self, frame: &[u8], how: Sending) -> Result<()> {
        if self.transmit().send_at_once_to_one(frame, how.ethertype) {
            return Ok(());
        }
        self.put(frame, how.ethertype, how.timeout)
            .map_err(|(refusal, wait)| {
                self.refused(frame, how.ethertype, refusal, wait);
                refusal.errno
            })
            .map_err(|e| self.why_not(e))
    }

    /// Puts frames into the program's read queue, in their order, each as [`Interface::inject`]
    /// does. It costs less than as many calls: a queue's lock is taken once for up to 32 of them.
    /// The five seconds are for all of them together.
    ///
    /// ```no_run
    /// # fn example(tun: &memtun::Interface, frames: &[Vec<u8>]) -> Result<(), memtun::Error> {
    /// if let Err(e) = tun.inject_many(frames) {
    ///     println!("{} packets went in, and the one behind them did not: {e}", e.done());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The same as [`Interface::inject`], of the first frame that was refused. [`Error::done`] says
    /// how many frames were queued before it; those behind it were not looked at.
    pub fn inject_many<T: AsRef<[u8]>>(&self, frames: &[T]) -> Result<()> {
        self.inject_many_with(frames, Sending::new())
    }

    /// The same as [`Interface::inject_many`] with options.
    ///
    /// # Errors
    /// The same as [`Interface::inject_many`].
    pub fn inject_many_with<T: AsRef<[u8]>>(&self, frames: &[T], how: Sending) -> Result<()> {
        self.put_many(frames, how).map_err(|(done, refusal, wait)| {
            self.refused(frames[done].as_ref(), how.ethertype, refusal, wait);
            self.why_not(refusal.errno).after(done)
        })
    }

    /// The same as [`Interface::inject_many_with`] for one turn of a longer wait, as
    /// [`Interface::offer`] is of [`Interface::inject_with`].
    ///
    /// # Errors
    /// The same as [`Interface::inject_many`].
    pub fn offer_many<T: AsRef<[u8]>>(&self, frames: &[T], how: Sending) -> Result<()> {
        self.put_many(frames, how).map_err(|(done, refusal, wait)| {
            self.not_yet(frames[done].as_ref(), how.ethertype, refusal, wait);
            self.why_not(refusal.errno).after(done)
        })
    }

    /// Does what [`Interface::inject_with`] does where the frame can be queued without any more
    /// ado. False says nothing but that [`Interface::inject_with`] is to be asked.
    #[doc(hidden)]
    #[inline(always)]
    pub fn inject_at_once(&self, frame: &[u8], ethertype: Option<u16>) -> bool {
        self.transmit().send_at_once(frame, ethertype)
    }

    /// The same as [`Interface::inject_with`] for one turn of a longer wait. A caller that has to
    /// look at something else in between comes again with a packet that found no room in time, so
    /// that packet does not count as refused yet.
    ///
    /// # Errors
    /// The same as [`Interface::inject`].
    pub fn offer(&self, frame: &[u8], how: Sending) -> Result<()> {
        self.put(frame, how.ethertype, how.timeout)
            .map_err(|(refusal, wait)| {
                self.not_yet(frame, how.ethertype, refusal, wait);
                refusal.errno
            })
            .map_err(|e| self.why_not(e))
    }

    /// The same as [`Interface::offer`] for an IP packet; a TAP gets an Ethernet header in front,
    /// as in [`Interface::deliver`].
    ///
    /// # Errors
    /// The same as [`Interface::inject`].
    pub fn offer_ip(&self, ip_packet: &[u8], how: Sending) -> Result<()> {
        if self.is_tap() {
            self.offer(&packet::ethernet(ip_packet), how)
        } else {
            self.offer(ip_packet, how)
        }
    }

    fn why_not(&self, e: Errno) -> Error {
        let reason = match e.0 {
            libc::EAGAIN if self.net.dir().is_capturer_behind(&self.state) => {
                "whoever captures it is behind by the whole log; let it read"
            }
            libc::EAGAIN => "its queue is full; read from it or raise txqueuelen",
            libc::ENETDOWN if self.state.is_up() => "it has no carrier",
            libc::ENETDOWN => "its link is down; set it up first",
            libc::EMSGSIZE => "the packet is larger than the mtu",
            libc::EINVAL => "the packet is shorter than a header",
            libc::ENOTCONN => "no program is attached to it",
            libc::ENODEV => "it is gone",
            libc::ENOSPC => "the net's file system is full",
            _ => "the packet was not taken",
        };
        let error = Error::new(e.0, format!("{}: {e}: {reason}", self.name()));
        match e.0 {
            libc::EAGAIN => error.of_kind(ErrorKind::Full),
            _ => error,
        }
    }

    /// Puts the frame into the queue, or says why not and how long the refusal may take.
    #[inline]
    fn put(
        &self,
        frame: &[u8],
        ethertype: Option<u16>,
        timeout: Timeout,
    ) -> std::result::Result<(), (Refusal, Wait)> {
        let mut answer = self.try_inject(frame, ethertype, at_first(timeout));
        if answer.is_ok() {
            return Ok(());
        }
        let end = Deadline::after(timeout);
        let wait = Wait::until(end.instant());
        while answer.is_err_and(|refusal| refusal.is_full_queue()) && !end.is_over() {
            let attempt = || (0, self.try_inject(frame, ethertype, wait));
            answer = self.when_room(frame, end, attempt);
        }
        answer.map_err(|refusal| (refusal, wait))
    }

    /// Does what [`Interface::put`] does with one frame after the other. Says of the one that is
    /// refused how many were put before it, too.
    fn put_many<T: AsRef<[u8]>>(
        &self,
        frames: &[T],
        how: Sending,
    ) -> std::result::Result<(), (usize, Refusal, Wait)> {
        let (transmit, kind) = (self.transmit(), how.ethertype);
        let (mut done, mut answer) = transmit.send_many(frames, kind, at_first(how.timeout));
        if answer.is_ok() {
            return Ok(());
        }
        let end = Deadline::after(how.timeout);
        let wait = Wait::until(end.instant());
        while answer.is_err_and(|refusal| refusal.is_full_queue()) && !end.is_over() {
            let frame = frames[done].as_ref();
            answer = self.when_room(frame, end, || {
                let (more, then) = transmit.send_many(&frames[done..], kind, wait);
                done += more;
                (more, then)
            });
        }
        answer.map_err(|refusal| (done, refusal, wait))
    }

    /// Makes an attempt to queue this packet, which returns also how many packets it has queued.
    /// Where the queue that would take it has no room, this sleeps until a packet is read from it,
    /// or a moment has passed, and makes the attempt once more.
    fn when_room(
        &self,
        frame: &[u8],
        end: Deadline,
        mut attempt: impl FnMut() -> (usize, std::result::Result<(), Refusal>),
    ) -> std::result::Result<(), Refusal> {
        let inode = self.state.select_queue(frame);
        let inode = inode.ok_or_else(|| no_queue(&self.state))?;
        let tunnel = self.net.dir().tunnel(inode);
        let tunnel = tunnel.map_err(|_| Errno(libc::ENODEV))?;
        // Whoever reads a packet behind the attempt finds this one counted. What there is no room
        // for, packets or bytes, only the attempt knows.
        tunnel.room_waiters.fetch_add(1, SeqCst);
        let seen = tunnel.room_event.load(SeqCst);
        let is_full = |answer: &std::result::Result<(), Refusal>| {
            answer.is_err_and(|refusal| refusal.is_full_queue())
        };
        let (done, mut answer) = attempt();
        if done == 0 && is_full(&answer) {
            if let Some(time) = end.nap() {
                let _ = sys::futex_wait(&tunnel.room_event, seen, Some(time));
            }
            answer = attempt().1;
            if is_full(&answer) {
                self.net.look_after(&self.state);
            }
        }
        tunnel.room_waiters.fetch_sub(1, SeqCst);
        answer
    }

    #[inline(always)]
    fn transmit(&self) -> Transmit<'_, Queues> {
        Transmit {
            net: self.net.dir(),
            local: self.net.local(),
            interface: &self.state,
            queues: &self.queues,
        }
    }

    #[inline]
    fn try_inject(
        &self,
        frame: &[u8],
        ethertype: Option<u16>,
        wait: Wait,
    ) -> std::result::Result<(), Refusal> {
        self.transmit().send(frame, ethertype, wait)
    }

    fn refused(&self, frame: &[u8], ethertype: Option<u16>, refusal: Refusal, wait: Wait) {
        self.transmit().refused(frame, ethertype, refusal, wait);
    }

    /// Counts a packet that was refused, unless there was merely no room for it in time: then the
    /// caller comes again with it.
    fn not_yet(&self, frame: &[u8], ethertype: Option<u16>, refusal: Refusal, wait: Wait) {
        if refusal.behind {
            // The refusal was counted where it was found out, so it is taken back.
            self.state.capture_refused.fetch_sub(1, Relaxed);
        } else if !refusal.is_full_queue() {
            self.refused(frame, ethertype, refusal, wait);
        }
    }
}

/// How the first try waits. A look at the clock costs as much as a packet, so only a caller that
/// has to wait looks at it.
fn at_first(timeout: Timeout) -> Wait {
    match timeout {
        Timeout::NOW => Wait::Until(Instant::now()),
        _ => Wait::Glance,
    }
}
