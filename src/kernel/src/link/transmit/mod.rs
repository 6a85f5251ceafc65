//! A packet on its way out of the network stack, toward the program (`dev_queue_xmit`,
//! `tun_net_xmit`).
//!
//! Whoever sends one finds the queues by a [`Find`]: a driver and the host process by [`Queues`], a
//! program by [`Few`], which neither allocates nor takes a lock of its process, so that it works in
//! a signal handler and between fork and exec.
#![forbid(unsafe_code)]

mod many;
mod queue;
mod queues;

pub use queue::Queue;
pub use queues::{find_interface, Few, FewLinks, Queues};

use super::Link;
use crate::busy;
use crate::net::{Local, NetDir};
use crate::shm::layout::{Attachment, InterfaceState, TunnelState, BY_PROGRAM, SNIFFED};
use crate::shm::lock::Patience;
use crate::shm::log::Sort;
use crate::shm::{InterfaceGuard, Mapped, TunnelGuard};
use crate::tun::bell;
use crate::tun::room::{Refusal, Wait};
use crate::uapi::*;
use crate::Errno;
use std::ops::Deref;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Finds the queues of an interface.
pub trait Find {
    /// A queue that was found and stays as long as the value lives.
    type Found: Deref<Target = Queue>;
    /// Can the caller run the program of TUNATTACHFILTER, which allocates?
    const RUNS_PROGRAMS: bool;
    /// Returns the queue with this inode if it is the one that was found first.
    fn first(&self, inode: u64) -> Option<&Queue>;
    /// Returns the queue with this inode if it is one that is found at once.
    fn known(&self, inode: u64) -> Option<&Queue> {
        self.first(inode)
    }
    /// Returns the queue with this inode.
    ///
    /// # Errors
    ///
    /// ENODEV when the tunnel is not open.
    fn find(&self, net: &NetDir, state: &InterfaceState, inode: u64) -> Result<Self::Found, Errno>;
    /// Forgets a queue that was found and turned out to be another tunnel's.
    fn forget(&self, _inode: u64) {}
}

/// An interface as one who sends through it has it.
pub struct Transmit<'t, F: Find> {
    /// The net of the interface.
    pub net: &'t NetDir,
    /// The tunnels that this process holds.
    pub local: &'t dyn Local,
    /// The interface.
    pub interface: &'t Mapped<InterfaceState>,
    /// Where its queues are found.
    pub queues: &'t F,
}

/// Returns the ethertype of a packet in host byte order: that of a TAP's frame, or by the version
/// of an IP packet.
#[inline]
pub fn ethertype(packet: &[u8], tap: bool) -> u16 {
    /// Ethertypes by the version of IP.
    const OF_VERSION: [u16; 16] = {
        let mut types = [0; 16];
        types[4] = ETH_P_IP;
        types[6] = ETH_P_IPV6;
        types
    };
    if tap {
        return packet
            .get(12..14)
            .map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    }
    let version = packet.first().map_or(0, |b| b >> 4);
    OF_VERSION[usize::from(version)]
}

/// Says why there is no queue for a packet: an interface that is not persistent goes with its last
/// queue, and is about to.
#[cold]
pub fn no_queue(interface: &InterfaceState) -> Errno {
    match interface.is_orphan() {
        true => Errno(libc::ENODEV),
        false => Errno(libc::ENOTCONN),
    }
}

/// Does the link take this frame?
///
/// # Errors
///
/// What [`Transmit::send`] says of the link and of the frame's length.
#[inline(always)]
fn may_go(interface: &InterfaceState, frame: &[u8]) -> Result<(), Errno> {
    if interface.is_going() {
        return Err(Errno(libc::ENODEV));
    }
    if !interface.is_up() {
        return Err(Errno(libc::ENETDOWN));
    }
    let header = interface.header_len();
    // The length is a very large one where there is not even a header.
    let payload = frame.len().wrapping_sub(header);
    if frame.is_empty() || payload > interface.mtu.load(Relaxed) as usize {
        let is_short = frame.len() < header.max(1);
        return Err(Errno(if is_short {
            libc::EINVAL
        } else {
            libc::EMSGSIZE
        }));
    }
    Ok(())
}

/// Is the queue that was found still one of the interface's? The caller holds its lock.
#[inline(always)]
fn is_attached(tunnel: &TunnelState, interface: &InterfaceState) -> bool {
    tunnel.attachment.load(Acquire) == Attachment::Attached as u32
        && tunnel.ifindex.load(Relaxed) == interface.ifindex.load(Relaxed)
}

/// Tells a program that has read all, and may look for the next packet awake, where that comes
/// from.
#[inline(always)]
fn note_feeder(tunnel: &TunnelState, interface: &InterfaceState) {
    if tunnel.ring.queued() == 0 {
        busy::note_here(&interface.fed_on);
    }
}

/// Releases the lock of a queue that a frame did not get into at once. It stands apart, so that a
/// frame that did keeps nothing for it.
#[cold]
#[inline(never)]
fn released_in_vain(lock: TunnelGuard<'_>) -> bool {
    lock.release();
    false
}

impl<F: Find> Transmit<'_, F> {
    /// Puts a frame into the program's read queue. `ethertype` is in host byte order and by default
    /// the packet's; `wait` says how long a lock, or somebody who captures, is waited for. A full
    /// queue is not waited for.
    ///
    /// # Errors
    ///
    /// - EAGAIN: the queue is full, or there is no room in the capture.
    /// - ENETDOWN: the link is down, or has no carrier.
    /// - EMSGSIZE: the frame is longer than the mtu.
    /// - EINVAL: the bytes are no frame at all.
    /// - ENOTCONN: no program is attached.
    /// - ENODEV: the interface is gone.
    /// - EOPNOTSUPP: the queue has a filter that this caller cannot run.
    #[inline]
    pub fn send(&self, frame: &[u8], ethertype: Option<u16>, wait: Wait) -> Result<(), Refusal> {
        let state = &**self.interface;
        let inode = self.admit(frame)?;
        let ethertype = ethertype.unwrap_or_else(|| self::ethertype(frame, state.is_tap()));
        let found;
        let queue = match self.queues.known(inode) {
            Some(first) => first,
            None => {
                found = self.queues.find(self.net, state, inode)?;
                &found
            }
        };
        if state.filters.load(Acquire) != 0 {
            return self.send_filtered(queue, frame, ethertype, wait);
        }
        if !self.net.is_captured() {
            return Ok(self.push(queue, frame, ethertype, wait.for_lock())?);
        }
        self.send_captured(queue, frame, frame, ethertype, wait)
    }

    /// Says to which queue the interface as it is now gives a frame, or why it takes none.
    #[inline(always)]
    fn admit(&self, frame: &[u8]) -> Result<u64, Errno> {
        let state = &**self.interface;
        may_go(state, frame)?;
        let inode = state.select_queue(frame).ok_or_else(|| no_queue(state))?;
        if state.carrier.load(Relaxed) == 0 {
            return Err(Errno(libc::ENETDOWN));
        }
        Ok(inode)
    }

    /// Does what [`Transmit::send`] does where nothing filters or sees the frame, nobody is to be
    /// waited for and no bell is to be rung. False says nothing but that [`Transmit::send`] is to
    /// be asked.
    #[inline(always)]
    pub fn send_at_once(&self, frame: &[u8], ethertype: Option<u16>) -> bool {
        let state = &**self.interface;
        let is_only = state.attached.load(Acquire) == 1;
        if !is_only || !self.is_plain() || may_go(state, frame).is_err() {
            return false;
        }
        let first = self.queues.first(state.queues[0].load(Relaxed));
        first.is_some_and(|queue| self.send_to(queue, frame, ethertype))
    }

    /// Does the same where there are several queues. It stands apart, so that a frame for the only
    /// queue keeps nothing for it.
    #[inline(never)]
    pub fn send_at_once_to_one(&self, frame: &[u8], ethertype: Option<u16>) -> bool {
        let is_one = self.interface.attached.load(Acquire) > 1;
        if !is_one || !self.is_plain() || may_go(self.interface, frame).is_err() {
            return false;
        }
        let inode = self.interface.select_queue(frame);
        let known = inode.and_then(|inode| self.queues.known(inode));
        known.is_some_and(|queue| self.send_to(queue, frame, ethertype))
    }

    /// Has the link a carrier, and does nobody filter or see what is sent?
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.interface.carrier.load(Relaxed) != 0
            && self.interface.filters.load(Acquire) == 0
            && !self.net.is_captured()
    }

    /// Puts a frame that the link takes into a queue, as [`Transmit::send_at_once`] does.
    #[inline(always)]
    fn send_to(&self, queue: &Queue, frame: &[u8], ethertype: Option<u16>) -> bool {
        let state = &**self.interface;
        let ethertype = ethertype.unwrap_or_else(|| self::ethertype(frame, state.is_tap()));
        let tunnel: &TunnelState = &queue.tunnel;
        let Some(lock) = self.net.lock_tunnel_at_once(&queue.tunnel) else {
            return false;
        };
        note_feeder(tunnel, state);
        let sent = is_attached(tunnel, state)
            && !bell::will_ring(tunnel)
            && lock
                .queue()
                .push_at_once(frame, ethertype, state.txqueuelen.load(Relaxed));
        if !sent {
            return released_in_vain(lock);
        }
        lock.release();
        true
    }

    /// Counts a packet that was refused, and shows it to the capturer.
    pub fn refused(&self, frame: &[u8], ethertype: Option<u16>, refusal: Refusal, wait: Wait) {
        // The kernel drops what is sent without a carrier, and counts it; a link that is down takes
        // nothing.
        let dropped = match refusal.errno.0 {
            libc::EAGAIN | libc::ENOTCONN => true,
            libc::ENETDOWN => self.interface.is_up(),
            _ => false,
        };
        if dropped {
            self.interface.stats.tx_dropped.fetch_add(1, Relaxed);
        }
        if !refusal.behind {
            self.show(Sort::InjectRefused(refusal.errno), frame, ethertype, wait);
        }
    }

    /// Shows the capturer, if there is one, a packet that does not get into the queue.
    #[cold]
    fn show(&self, sort: Sort, frame: &[u8], ethertype: Option<u16>, wait: Wait) {
        let dir = self.net;
        if dir.is_captured() {
            let Ok((lock, captured)) = dir.lock_log(self.interface, frame.len(), wait) else {
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
        let ethertype =
            ethertype.unwrap_or_else(|| self::ethertype(frame, self.interface.is_tap()));
        // The log takes every packet except one that is longer than the whole log, and no frame is
        // as long as that.
        let _ = lock.log_writer().append(sort, frame.len(), |room| {
            room.store(frame);
            Ok(ethertype)
        });
    }

    /// Queues what the filters of the interface leave of a frame. It is apart from `send`, so that
    /// a frame that nothing filters costs no more than one look.
    #[cold]
    #[inline(never)]
    fn send_filtered(
        &self,
        queue: &Queue,
        frame: &[u8],
        ethertype: u16,
        wait: Wait,
    ) -> Result<(), Refusal> {
        if !F::RUNS_PROGRAMS && self.interface.filters.load(Acquire) & BY_PROGRAM != 0 {
            return Err(Errno(libc::EOPNOTSUPP).into());
        }
        let of = (queue.inode, &*queue.tunnel);
        let left = self
            .net
            .filter_inbound(self.interface, of, &queue.program, frame, ethertype);
        let Some(left) = left else {
            self.show(Sort::Injected, frame, Some(ethertype), wait);
            return Ok(());
        };
        if !self.net.is_captured() && !self.is_sniffed() {
            return Ok(self.push_seldom(queue, left, ethertype, wait.for_lock())?);
        }
        self.send_captured(queue, frame, left, ethertype, wait)
    }

    /// Does what [`Transmit::push`] does, which is part of `send` alone.
    #[cold]
    #[inline(never)]
    fn push_seldom(
        &self,
        queue: &Queue,
        frame: &[u8],
        ethertype: u16,
        patience: Patience,
    ) -> Result<(), Errno> {
        self.push(queue, frame, ethertype, patience)
    }

    fn is_sniffed(&self) -> bool {
        self.interface.filters.load(Acquire) & SNIFFED != 0
    }

    /// Queues `left`, which is what the filters have left of `frame`, and shows the capturer and
    /// packet sockets the whole.
    #[inline(never)]
    fn send_captured(
        &self,
        queue: &Queue,
        frame: &[u8],
        left: &[u8],
        ethertype: u16,
        wait: Wait,
    ) -> Result<(), Refusal> {
        let dir = self.net;
        let (lock, captured) =
            dir.lock_log(self.interface, frame.len(), wait)
                .map_err(|refusal| match refusal.errno.0 {
                    libc::EBADFD => Errno(libc::ENODEV).into(),
                    _ => refusal,
                })?;
        let pushed = self.push_seldom(queue, left, ethertype, wait.for_lock());
        // The record is written after the packet is queued. The program's answer still comes behind
        // it, because nobody writes to the log while the interface's lock is held. What a filter
        // cuts was whole on the network.
        let sniffed = self.is_sniffed();
        if (captured || sniffed) && pushed.is_ok() {
            self.capture(&lock, Sort::Injected, frame, Some(ethertype));
        }
        drop(lock);
        if sniffed {
            self.interface.log.ring();
        }
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
    ) -> Result<(), Errno> {
        let lock = self.lock_queue(queue, patience)?;
        self.append(queue, &lock, frame, ethertype)
    }

    /// Takes the lock of a queue that is the interface's still.
    #[inline(always)]
    fn lock_queue<'q>(
        &self,
        queue: &'q Queue,
        patience: Patience,
    ) -> Result<TunnelGuard<'q>, Errno> {
        let lock = self.net.lock_tunnel(queue.inode, &queue.tunnel, patience)?;
        if !is_attached(&queue.tunnel, self.interface) {
            drop(lock);
            self.queues.forget(queue.inode);
            return Err(Errno(libc::ENODEV));
        }
        Ok(lock)
    }

    /// Appends a packet to a queue whose lock is held.
    #[inline(always)]
    fn append(
        &self,
        queue: &Queue,
        lock: &TunnelGuard<'_>,
        frame: &[u8],
        ethertype: u16,
    ) -> Result<(), Errno> {
        let (limit, inbound) = (self.interface.txqueuelen.load(Relaxed), lock.queue());
        note_feeder(&queue.tunnel, self.interface);
        if !bell::will_ring(&queue.tunnel) {
            return inbound.push(frame, ethertype, limit);
        }
        if inbound.queued() >= limit {
            return Err(Errno(libc::EAGAIN));
        }
        // The bell is rung before the packet is queued. A driver that is killed in between leaves a
        // bell that rings for nothing, which the next reader puts right; a packet without a bell
        // would lie there and nobody would be woken.
        let bell = queue.bell(self.net, self.local)?;
        bell::packet_queued(&queue.tunnel, bell);
        let pushed = inbound.push(frame, ethertype, limit);
        if pushed.is_err() {
            bell::packets_taken(&queue.tunnel, bell, false);
        }
        pushed
    }
}
