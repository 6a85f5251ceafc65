//! The bell: the FIFO behind a tunnel's descriptor, readable exactly while the inbound queue is not
//! empty.
//!
//! Every function here wants the tunnel's lock held. The number of bytes in the FIFO stands beside
//! it in shared memory; after a process died with the lock, [`repair`] counts them anew.
#![forbid(unsafe_code)]

use crate::shm::layout::TunnelState;
use crate::sys::quiet::{may, Extra};
use crate::sys::{self, Fd};
use std::sync::atomic::{
    fence,
    Ordering::{Relaxed, SeqCst},
};

/// In [`TunnelState::signals`]: O_ASYNC is in force.
pub const SIGNALS: u32 = 1;
/// One that sleeps on the descriptor while it is. (Who dies in his sleep stays counted, and costs a
/// signal too many.)
pub const SLEEPER: u32 = 2;
/// Somebody may sleep in a way that is not counted.
pub const UNCOUNTED: u32 = 1 << 31;

/// Beyond this the bell is not filled further for edges; a byte is taken out for each that goes in.
const MOST: u32 = 4096;

/// A packet has been queued.
#[inline]
pub fn packet_queued(tunnel: &TunnelState, fd: i32) {
    let inside = tunnel.bell.load(Relaxed);
    if inside == 0 || tunnel.ring_always.load(Relaxed) != 0 {
        add_byte(tunnel, fd, inside);
    }
}

/// Does the next packet ring?
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

/// Packets have been taken: silent when none is left.
#[inline]
pub fn packets_taken(tunnel: &TunnelState, fd: i32, never_blocks: bool) {
    if tunnel.ring.queued() == 0 && tunnel.bell.load(Relaxed) != 0 {
        silence(tunnel, fd, never_blocks);
    }
}

/// Empties the bell. `never_blocks`: the descriptor is known to have O_NONBLOCK; what stands in
/// shared memory is no such knowledge.
pub fn silence(tunnel: &TunnelState, fd: i32, never_blocks: bool) {
    let inside = tunnel.bell.load(Relaxed).max(1) as usize;
    without_signals(tunnel, fd, || take_bytes(fd, inside, never_blocks));
    tunnel.bell.store(0, Relaxed);
}

/// A FIFO signals with O_ASYNC also when it is read; the driver does not. So nobody owns it
/// meanwhile: O_ASYNC off and on again would change the descriptor that a signal names. (On a
/// descriptor that is not the tunnel's own this does nothing, and a signal too many may come.)
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
    // Nobody's, or somebody's in another PID namespace.
    let flags = sys::status_flags(fd).unwrap_or(0);
    let _ = sys::set_status_flags(fd, flags & !libc::O_ASYNC);
    run();
    let _ = sys::set_status_flags(fd, flags);
}

/// Reads up to `n` bytes that are there. Asks first unless the descriptor never blocks: somebody
/// who does not know of memtun may have read the FIFO, and a read that waits would keep the lock
/// for ever. In a sandbox that does not allow the question such a thief is not reckoned with.
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

/// The link came up: wakes whoever was told that the tunnel is not writable, without a lasting
/// change. An edge for epoll, a new look for poll, a signal for O_ASYNC; and nobody who waits for
/// something to read, as with the driver. `fresh` opens the bell once more with O_NONBLOCK.
pub fn link_is_up(tunnel: &TunnelState, fd: i32, fresh: impl FnOnce() -> Option<Fd>) {
    if tunnel.wants_space.swap(0, Relaxed) == 0 {
        return;
    }
    tunnel.told_of_space.fetch_add(1, Relaxed);
    // A pipe that is given a size, the one it has too, wakes its writers' queue alone. Whoever
    // waits in it looks again: for room it is there, for a packet it sleeps on.
    let woken = sys::pipe_size(fd).and_then(|size| sys::set_pipe_size(fd, size));
    if let Err(e) = woken {
        log::debug!("waiters for a link are not woken: F_SETPIPE_SZ: {e}");
    }
    if tunnel.signals.load(Relaxed) & SIGNALS == 0 {
        return;
    }
    // The signal says POLL_OUT when it comes from the reading half, and that signals also when
    // nothing is there to read. What is there must not be missed meanwhile.
    let Some(fresh) = fresh() else { return };
    if tunnel.bell.load(Relaxed) > 0 {
        silently(fd, || {
            let _ = sys::write(fd, b"!");
        });
    }
    let _ = sys::read(fresh.raw(), &mut [0u8]);
}

/// Rings without a packet and stays so: the interface was deleted, and readers must come back to
/// see it. Through a descriptor that is not the tunnel's `own` that would be a signal, too: then
/// only where somebody sleeps.
pub fn alarm(tunnel: &TunnelState, fd: i32, own: bool) {
    // Whoever is not counted yet looks at the attachment after this.
    fence(SeqCst);
    if !own && tunnel.signals.load(SeqCst) == SIGNALS {
        return;
    }
    without_signals(tunnel, fd, || {
        add_byte(tunnel, fd, tunnel.bell.load(Relaxed))
    });
}

/// Makes the bell agree with the queue after a process died in between.
pub fn repair(tunnel: &TunnelState, fd: i32) {
    let counted = || tunnel.bell.load(Relaxed).min(MOST);
    let inside = match may(Extra::Ask) {
        true => sys::readable_bytes(fd).map_or_else(|_| counted(), |n| n as u32),
        false => counted(),
    };
    tunnel.bell.store(inside, Relaxed);
    if tunnel.ring.queued() == 0 && inside > 0 {
        // A byte that may not be there is left alone: the next packet's reader takes it.
        if may(Extra::Ask) {
            silence(tunnel, fd, false);
        }
    } else if tunnel.ring.queued() > 0 && inside == 0 {
        add_byte(tunnel, fd, 0);
    }
}
