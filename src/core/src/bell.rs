//! The bell: the FIFO behind a tunnel's descriptor, readable exactly while the inbound queue is not empty.
//!
//! Every function here wants the tunnel's lock held. The number of bytes in the FIFO stands beside it in shared memory;
//! after a process died with the lock, [`repair`] counts them anew.

use crate::shm::layout::TunnelState;
use crate::shm::Mapped;
use crate::sys;
use crate::sys::quiet::{may, Extra};
use std::sync::atomic::Ordering::Relaxed;

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
pub fn packets_taken(tunnel: &Mapped<TunnelState>, fd: i32, never_blocks: bool) {
    if tunnel.queued() == 0 && tunnel.bell.load(Relaxed) != 0 {
        silence(tunnel, fd, never_blocks);
    }
}

/// Empties the bell. `never_blocks`: the descriptor is known to have O_NONBLOCK; what stands in shared memory is no such
/// knowledge.
pub fn silence(tunnel: &TunnelState, fd: i32, never_blocks: bool) {
    let inside = tunnel.bell.load(Relaxed).max(1) as usize;
    without_signals(tunnel, fd, || take_bytes(fd, inside, never_blocks));
    tunnel.bell.store(0, Relaxed);
}

/// A FIFO signals with O_ASYNC also when it is read; the driver does not. So O_ASYNC is off meanwhile. (On a descriptor
/// that is not the tunnel's own this does nothing, and a signal too many may come.)
fn without_signals(tunnel: &TunnelState, fd: i32, run: impl FnOnce()) {
    if tunnel.signals.load(Relaxed) == 0 || !may(Extra::Flags) {
        return run();
    }
    let flags = sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(0);
    let _ = sys::fcntl(fd, libc::F_SETFL, (flags & !libc::O_ASYNC) as usize);
    run();
    let _ = sys::fcntl(fd, libc::F_SETFL, flags as usize);
}

/// Reads up to `n` bytes that are there. Asks first unless the descriptor never blocks: somebody who does not know of
/// memtun may have read the FIFO, and a read that waits would keep the lock for ever. In a sandbox that does not allow the
/// question such a thief is not reckoned with.
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

/// The link came up: wakes whoever was told that the tunnel is not writable, without a lasting change. An edge for epoll,
/// a new look for poll, a signal for O_ASYNC.
pub fn link_is_up(tunnel: &TunnelState, fd: i32) {
    if tunnel.wants_space.swap(0, Relaxed) == 0 {
        return;
    }
    if tunnel.bell.load(Relaxed) == 0 {
        // The signal comes from the reading half: it says POLL_OUT, as the driver's.
        without_signals(tunnel, fd, || {
            let _ = sys::write(fd, b"!");
        });
        take_bytes(fd, 1, false);
    } else {
        add_byte(tunnel, fd, tunnel.bell.load(Relaxed));
    }
}

/// Rings without a packet and stays so: the interface was deleted, and readers must come back to see it.
pub fn alarm(tunnel: &TunnelState, fd: i32) {
    without_signals(tunnel, fd, || {
        add_byte(tunnel, fd, tunnel.bell.load(Relaxed))
    });
}

/// Makes the bell agree with the queue after a process died in between.
pub fn repair(tunnel: &Mapped<TunnelState>, fd: i32) {
    let counted = || tunnel.bell.load(Relaxed).min(MOST);
    let inside = match may(Extra::Ask) {
        true => sys::readable_bytes(fd).map_or_else(|_| counted(), |n| n as u32),
        false => counted(),
    };
    tunnel.bell.store(inside, Relaxed);
    if tunnel.queued() == 0 && inside > 0 {
        // A byte that may not be there is left alone: the next packet's reader takes it.
        if may(Extra::Ask) {
            silence(tunnel, fd, false);
        }
    } else if tunnel.queued() > 0 && inside == 0 {
        add_byte(tunnel, fd, 0);
    }
}
