//! Packets that the driver sends toward the program.
#![forbid(unsafe_code)]

use super::queue::Queue;
use super::sending::Sending;
use super::Interface;
use crate::deadline::{Deadline, Timeout};
use crate::{packet, sys, Errno, Error, ErrorKind};
use memtun_abi::error::Result;
use memtun_abi::uapi::*;
use memtun_kernel::link::Link;
use memtun_kernel::tun::bell;
use memtun_kernel::tun::room::{Refusal, Wait};
use memtun_shm::layout::Attachment;
use memtun_shm::lock::Patience;
use memtun_shm::log::Sort;
use memtun_shm::InterfaceGuard;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::Arc;
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
        self.put(frame, how.ethertype, how.timeout)
            .map_err(|(refusal, wait)| {
                self.refused(frame, how.ethertype, refusal, wait);
                refusal.errno
            })
            .map_err(|e| self.why_not(e))
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
                if refusal.behind {
                    // The refusal was counted where it was found out; it is taken back because the
                    // caller comes again.
                    self.state.capture_refused.fetch_sub(1, Relaxed);
                } else if !refusal.is_full_queue() {
                    self.refused(frame, how.ethertype, refusal, wait);
                }
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
        // A look at the clock costs as much as the packet, so only a caller that has to wait looks
        // at it.
        let mut answer = match timeout {
            Timeout::NOW => self.try_inject(frame, ethertype, Wait::Until(Instant::now())),
            _ => self.try_inject(frame, ethertype, Wait::Glance),
        };
        if answer.is_ok() {
            return Ok(());
        }
        let end = Deadline::after(timeout);
        let wait = Wait::until(end.instant());
        while answer.is_err_and(|refusal| refusal.is_full_queue()) && !end.is_over() {
            answer = match self.wait_for_room(frame, end) {
                Ok(()) => self.try_inject(frame, ethertype, wait),
                Err(e) => Err(e.into()),
            };
            if answer.is_err_and(|refusal| refusal.is_full_queue()) {
                self.net.look_after(&self.state);
            }
        }
        answer.map_err(|refusal| (refusal, wait))
    }

    fn refused(&self, frame: &[u8], ethertype: Option<u16>, refusal: Refusal, wait: Wait) {
        // The kernel drops what is sent without a carrier, and counts it; a link that is down takes
        // nothing.
        let dropped = match refusal.errno.0 {
            libc::EAGAIN | libc::ENOTCONN => true,
            libc::ENETDOWN => self.state.is_up(),
            _ => false,
        };
        if dropped {
            self.state.stats.tx_dropped.fetch_add(1, Relaxed);
        }
        if !refusal.behind {
            self.show(Sort::InjectRefused(refusal.errno), frame, ethertype, wait);
        }
    }

    /// Shows the capturer, if there is one, a packet that does not get into the queue.
    #[cold]
    fn show(&self, sort: Sort, frame: &[u8], ethertype: Option<u16>, wait: Wait) {
        let dir = self.net.dir();
        if dir.is_captured() {
            let Ok((lock, captured)) = dir.lock_log(&self.state, frame.len(), wait) else {
                return;
            };
            if captured {
                self.capture(&lock, sort, frame, ethertype);
            }
            drop(lock);
            dir.ring_capturer();
        }
    }

    /// Writes a record of the packet for the capturer.
    fn capture(&self, lock: &InterfaceGuard<'_>, sort: Sort, frame: &[u8], ethertype: Option<u16>) {
        let ethertype = ethertype.unwrap_or_else(|| packet::ethertype(frame, self.state.is_tap()));
        // The log takes every packet except one that is longer than the whole log, and no frame is
        // as long as that.
        let _ = lock.log_writer().append(sort, frame.len(), |room| {
            room.store(frame);
            Ok(ethertype)
        });
    }

    /// Sleeps until the queue that would take this packet has room, or a moment has passed.
    fn wait_for_room(&self, frame: &[u8], end: Deadline) -> std::result::Result<(), Errno> {
        let inode = self
            .state
            .select_queue(frame)
            .ok_or_else(|| self.no_queue())?;
        let tunnel = self
            .net
            .dir()
            .tunnel(inode)
            .map_err(|_| Errno(libc::ENODEV))?;
        tunnel.room_waiters.fetch_add(1, SeqCst);
        let seen = tunnel.room_event.load(SeqCst);
        if tunnel.ring.queued() >= self.state.txqueuelen.load(Relaxed) {
            if let Some(time) = end.nap() {
                let _ = sys::futex_wait(&tunnel.room_event, seen, Some(time));
            }
        }
        tunnel.room_waiters.fetch_sub(1, SeqCst);
        Ok(())
    }

    /// Why there is no queue for a packet: an interface that is not persistent goes with its last
    /// queue, and is about to.
    #[cold]
    fn no_queue(&self) -> Errno {
        match self.state.is_orphan() {
            true => Errno(libc::ENODEV),
            false => Errno(libc::ENOTCONN),
        }
    }

    fn try_inject(
        &self,
        frame: &[u8],
        ethertype: Option<u16>,
        wait: Wait,
    ) -> std::result::Result<(), Refusal> {
        let state = &**self.state;
        if self.state.is_going() {
            return Err(Errno(libc::ENODEV).into());
        }
        if !state.is_up() {
            return Err(Errno(libc::ENETDOWN).into());
        }
        if frame.is_empty() || state.is_tap() && frame.len() < ETH_HLEN {
            return Err(Errno(libc::EINVAL).into());
        }
        if frame.len() > state.largest_frame() {
            return Err(Errno(libc::EMSGSIZE).into());
        }
        let ethertype = ethertype.unwrap_or_else(|| packet::ethertype(frame, state.is_tap()));
        let inode = state.select_queue(frame).ok_or_else(|| self.no_queue())?;
        if state.carrier.load(Relaxed) == 0 {
            return Err(Errno(libc::ENETDOWN).into());
        }
        let found;
        let queue = match self.first.get().filter(|queue| queue.inode == inode) {
            Some(first) => first,
            None => {
                found = self.queue(inode)?;
                &found
            }
        };
        let dir = self.net.dir();
        if state.filters.load(Acquire) != 0 {
            return self.inject_filtered(queue, frame, ethertype, wait);
        }
        if !dir.is_captured() {
            return Ok(self.push(queue, frame, ethertype, wait.for_lock())?);
        }
        self.inject_captured(queue, frame, frame, ethertype, wait)
    }

    /// Queues what the filters of the interface leave of a frame. It is apart from `try_inject`, so
    /// that a frame that nothing filters costs no more than one look.
    #[cold]
    #[inline(never)]
    fn inject_filtered(
        &self,
        queue: &Queue,
        frame: &[u8],
        ethertype: u16,
        wait: Wait,
    ) -> std::result::Result<(), Refusal> {
        let dir = self.net.dir();
        let of = (queue.inode, &*queue.tunnel);
        let left = dir.filter_inbound(&self.state, of, &queue.program, frame, ethertype);
        let Some(left) = left else {
            self.show(Sort::Injected, frame, Some(ethertype), wait);
            return Ok(());
        };
        if !dir.is_captured() {
            return Ok(self.push_seldom(queue, left, ethertype, wait.for_lock())?);
        }
        self.inject_captured(queue, frame, left, ethertype, wait)
    }

    /// Does what [`Interface::push`] does, which is part of `try_inject` alone.
    #[cold]
    #[inline(never)]
    fn push_seldom(
        &self,
        queue: &Queue,
        frame: &[u8],
        ethertype: u16,
        patience: Patience,
    ) -> std::result::Result<(), Errno> {
        self.push(queue, frame, ethertype, patience)
    }

    /// Queues `left`, which is what the filters have left of `frame`, and shows the capturer the
    /// whole.
    #[inline(never)]
    fn inject_captured(
        &self,
        queue: &Queue,
        frame: &[u8],
        left: &[u8],
        ethertype: u16,
        wait: Wait,
    ) -> std::result::Result<(), Refusal> {
        let dir = self.net.dir();
        let (lock, captured) = dir
            .lock_log(&self.state, frame.len(), wait)
            .map_err(|refusal| match refusal.errno.0 {
                libc::EBADFD => Errno(libc::ENODEV).into(),
                _ => refusal,
            })?;
        let pushed = self.push_seldom(queue, left, ethertype, wait.for_lock());
        // The record is written after the packet is queued. The program's answer still comes behind
        // it, because nobody writes to the log while the interface's lock is held. What a filter
        // cuts was whole on the network.
        if captured && pushed.is_ok() {
            self.capture(&lock, Sort::Injected, frame, Some(ethertype));
        }
        drop(lock);
        dir.ring_capturer();
        Ok(pushed?)
    }

    #[inline(always)]
    fn push(
        &self,
        queue: &Queue,
        frame: &[u8],
        ethertype: u16,
        patience: Patience,
    ) -> std::result::Result<(), Errno> {
        let state = &**self.state;
        let lock = self
            .net
            .dir()
            .lock_tunnel(queue.inode, &queue.tunnel, patience)?;
        if queue.tunnel.attachment.load(Acquire) != Attachment::Attached as u32
            || queue.tunnel.ifindex.load(Relaxed) != state.ifindex.load(Relaxed)
        {
            return Err(Errno(libc::ENODEV));
        }
        let (limit, inbound) = (state.txqueuelen.load(Relaxed), lock.queue());
        if !bell::will_ring(&queue.tunnel) {
            return inbound.push(frame, ethertype, limit);
        }
        if inbound.queued() >= limit {
            return Err(Errno(libc::EAGAIN));
        }
        // The bell is rung before the packet is queued. A driver that is killed in between leaves a
        // bell that rings for nothing, which the next reader puts right; a packet without a bell
        // would lie there and nobody would be woken.
        let bell = queue.bell(&self.net)?;
        bell::packet_queued(&queue.tunnel, bell);
        let pushed = inbound.push(frame, ethertype, limit);
        if pushed.is_err() {
            bell::packets_taken(&queue.tunnel, bell, false);
        }
        pushed
    }

    /// Finds a queue that is not the first one.
    #[cold]
    fn queue(&self, inode: u64) -> std::result::Result<Arc<Queue>, Errno> {
        let mut queues = self
            .queues
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = queues.iter().find(|queue| queue.inode == inode) {
            return Ok(known.clone());
        }
        queues.retain(|queue| self.state.queue_inodes().any(|inode| inode == queue.inode));
        let queue = Arc::new(Queue::new(self.net.dir(), inode)?);
        let _ = self.first.set(queue.clone());
        queues.push(queue.clone());
        Ok(queue)
    }
}
