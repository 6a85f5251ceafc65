//! The bell of a tunnel: the FIFO behind its descriptor, which is readable while the inbound queue
//! is not empty.
//!
//! A read that takes the last packet leaves the byte where it is, so that the next packet finds it
//! there and needs no system call. Such a byte is *stale*. It is taken out by whoever is about to
//! wait, or to say that there is nothing to read: a byte that is left can wake somebody once too
//! often, and never once too seldom. Where each packet has to be an edge or a signal, and where a
//! program waits in a way that this library does not see, nothing is left ([`is_exact`]).
//!
//! Every function here needs the tunnel's lock held. The number of bytes in the FIFO stands in the
//! tunnel's shared state. After a process died with the lock, [`repair`] counts them anew.
#![forbid(unsafe_code)]

use crate::shm::layout::TunnelState;
use crate::sys::quiet::{may, Extra};
use crate::sys::{self, Fd};
use std::sync::atomic::fence;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Bit of [`TunnelState::signals`]: O_ASYNC is in force.
pub const SIGNALS: u32 = 1;
/// One thread that sleeps on the descriptor while O_ASYNC is in force, as it is counted in
/// [`TunnelState::signals`]. A thread that dies in its sleep stays counted, which costs one signal
/// too many.
pub const SLEEPER: u32 = 2;
/// Bit of [`TunnelState::signals`]: somebody may sleep in a way that is not counted.
pub const UNCOUNTED: u32 = 1 << 31;

/// Bytes in the bell above which it is not filled further for edges: for each byte that goes in,
/// one is taken out.
const MOST: u32 = 4096;

/// Rings the bell after a packet has been queued. `fd` is a descriptor of the bell.
#[inline]
pub fn packet_queued(tunnel: &TunnelState, fd: i32) {
    let inside = tunnel.bell.load(Relaxed);
    if inside == 0 || tunnel.ring_always.load(Relaxed) != 0 {
        add_byte(tunnel, fd, inside);
    }
}

/// Does the next packet ring the bell?
#[inline]
pub fn will_ring(tunnel: &TunnelState) -> bool {
    tunnel.bell.load(Relaxed) == 0 || tunnel.ring_always.load(Relaxed) != 0
}

fn add_byte(tunnel: &TunnelState, fd: i32, inside: u32) {
    if inside >= MOST {
        take_bytes(fd, 1, false);
        tunnel.bell.store(inside - 1, Relaxed);
    }
    if sys::write(fd, b"!") == Ok(1) {
        tunnel.bell.fetch_add(1, Relaxed);
    }
}

/// Silences the bell after packets have been taken, if none is left.
#[inline]
pub fn packets_taken(tunnel: &TunnelState, fd: i32, never_blocks: bool) {
    if is_stale(tunnel) {
        silence(tunnel, fd, never_blocks);
    }
}

/// Does the bell ring although there is no packet? Needs no lock: the answer is of this moment.
#[inline]
pub fn is_stale(tunnel: &TunnelState) -> bool {
    tunnel.bell.load(Relaxed) != 0 && tunnel.ring.queued() == 0
}

/// Must the bell be silent as soon as the queue is empty? Edges and signals come from bytes that go
/// in and out, so that is so where [`TunnelState::ring_always`] is set.
#[inline]
pub fn is_exact(tunnel: &TunnelState) -> bool {
    tunnel.ring_always.load(Relaxed) | tunnel.exact_bell.load(Relaxed) != 0
}

/// Empties the bell. `never_blocks` says that the descriptor is known to have O_NONBLOCK; the flags
/// in shared memory are no such knowledge.
pub fn silence(tunnel: &TunnelState, fd: i32, never_blocks: bool) {
    let inside = tunnel.bell.load(Relaxed).max(1) as usize;
    without_signals(tunnel, fd, || take_bytes(fd, inside, never_blocks));
    tunnel.bell.store(0, Relaxed);
}

/// Runs `run` so that it raises no signal. With O_ASYNC a FIFO signals also when it is read, and
/// the kernel's tun driver does not, so the descriptor has no owner meanwhile. Turning O_ASYNC off
/// and on again would change the descriptor that a signal names. Through a descriptor that is not
/// the tunnel's own this does nothing, and one signal too many may come.
fn without_signals(tunnel: &TunnelState, fd: i32, run: impl FnOnce()) {
    if tunnel.signals.load(Relaxed) & SIGNALS == 0 || !may(Extra::Flags) {
        return run();
    }
    silently(fd, run);
}

fn silently(fd: i32, run: impl FnOnce()) {
    if let Ok(owner) = sys::owner_of(fd) {
        let _ = sys::set_signal_owner(fd, 0);
        run();
        let _ = sys::set_owner_of(fd, &owner);
        return;
    }
    // The descriptor has no owner, or one in another PID namespace.
    let flags = sys::status_flags(fd).unwrap_or(0);
    let _ = sys::set_status_flags(fd, flags & !libc::O_ASYNC);
    run();
    let _ = sys::set_status_flags(fd, flags);
}

/// Reads up to `n` bytes that are there. It asks first how many there are, unless the descriptor
/// never blocks: somebody who does not know of memtun may have read the FIFO, and a read that waits
/// would keep the lock for ever. In a sandbox that does not allow the question no such reader is
/// expected.
fn take_bytes(fd: i32, n: usize, never_blocks: bool) {
    let mut left = if never_blocks || !may(Extra::Ask) {
        n
    } else {
        n.min(sys::readable_bytes(fd).unwrap_or(0))
    };
    while left > 0 {
        let mut few = [0u8; 16];
        let taken = if left <= few.len() {
            sys::read(fd, &mut few[..left])
        } else {
            sys::read(fd, &mut [0u8; MOST as usize])
        };
        match taken {
            Ok(taken) if taken > 0 => left = left.saturating_sub(taken),
            _ => break,
        }
    }
}

/// Wakes those who were told that the tunnel is not writable, because the link came up, without a
/// lasting change to the bell. They get an edge for epoll, a new look for poll, and a signal for
/// O_ASYNC. As with the driver, nobody is woken who waits for something to read. `fresh` opens the
/// bell once more with O_NONBLOCK.
pub fn link_is_up(tunnel: &TunnelState, fd: i32, fresh: impl FnOnce() -> Option<Fd>) {
    if tunnel.wants_space.swap(0, Relaxed) == 0 {
        return;
    }
    tunnel.told_of_space.fetch_add(1, Relaxed);
    // Setting a pipe's size, even to the size that it has, wakes the queue of its writers and no
    // other. Whoever waits in it looks again, and sleeps on if he waits for a packet.
    let woken = sys::pipe_size(fd).and_then(|size| sys::set_pipe_size(fd, size));
    if let Err(e) = woken {
        log::debug!("waiters for a link are not woken: F_SETPIPE_SZ: {e}");
    }
    if tunnel.signals.load(Relaxed) & SIGNALS == 0 {
        return;
    }
    // The signal says POLL_OUT when it comes from the reading half, which signals also when there
    // is nothing to read. The bytes that are there must stay, so one is added for the one that is
    // read.
    let Some(fresh) = fresh() else { return };
    if tunnel.bell.load(Relaxed) > 0 {
        silently(fd, || {
            let _ = sys::write(fd, b"!");
        });
    }
    let _ = sys::read(fresh.raw(), &mut [0u8]);
}

/// Rings without a packet, and the bell stays readable: the interface was deleted, and readers must
/// come back to see that. Through a descriptor that is not the tunnel's `own` this would raise a
/// signal, too, so there it is done only where somebody sleeps.
pub fn alarm(tunnel: &TunnelState, fd: i32, own: bool) {
    // A thread that is not counted yet looks at the attachment after this.
    fence(SeqCst);
    if !own && tunnel.signals.load(SeqCst) == SIGNALS {
        return;
    }
    without_signals(tunnel, fd, || {
        add_byte(tunnel, fd, tunnel.bell.load(Relaxed))
    });
}

/// Makes the bell agree with the queue after a process died between the two changes.
pub fn repair(tunnel: &TunnelState, fd: i32) {
    let counted = || tunnel.bell.load(Relaxed).min(MOST);
    let inside = match may(Extra::Ask) {
        true => sys::readable_bytes(fd).map_or_else(|_| counted(), |n| n as u32),
        false => counted(),
    };
    tunnel.bell.store(inside, Relaxed);
    if tunnel.ring.queued() == 0 && inside > 0 {
        // A byte that may not be there is not read: the next packet's reader takes it.
        if may(Extra::Ask) {
            silence(tunnel, fd, false);
        }
    } else if tunnel.ring.queued() > 0 && inside == 0 {
        add_byte(tunnel, fd, 0);
    }
}
