//! The bell: the FIFO behind a tunnel's descriptor, readable exactly while the inbound queue is not empty.
//!
//! Every function here wants the tunnel's lock held. The number of bytes in the FIFO stands beside it in shared memory;
//! after a process died with the lock, [`repair`] counts them anew.

use crate::shm::layout::TunnelState;
use crate::shm::Mapped;
use crate::sys;
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
        take_bytes(fd, 1);
        tunnel.bell.store(inside - 1, Relaxed);
    }
    if sys::write(fd, b"!") == Ok(1) {
        tunnel.bell.fetch_add(1, Relaxed);
    }
}

/// Packets have been taken: silent when none is left.
#[inline]
pub fn packets_taken(tunnel: &Mapped<TunnelState>, fd: i32) {
    if tunnel.queued() == 0 && tunnel.bell.load(Relaxed) != 0 {
        silence(tunnel, fd);
    }
}

/// Empties the bell.
pub fn silence(tunnel: &TunnelState, fd: i32) {
    take_bytes(fd, tunnel.bell.load(Relaxed).max(1) as usize);
    tunnel.bell.store(0, Relaxed);
}

/// Reads up to `n` bytes that are there. Asks first: somebody who does not know of memtun may have read the FIFO, and a
/// read that waits would keep the lock for ever.
fn take_bytes(fd: i32, n: usize) {
    let mut waste = [0u8; MOST as usize];
    let mut left = n.min(sys::readable_bytes(fd).unwrap_or(0));
    while left > 0 {
        let some = left.min(waste.len());
        match sys::read(fd, &mut waste[..some]) {
            Ok(taken) if taken > 0 => left -= taken,
            _ => break,
        }
    }
}

/// Wakes whoever waits on the descriptor, without a lasting change: an edge for epoll, a new look for poll.
pub fn nudge(tunnel: &TunnelState, fd: i32) {
    if tunnel.bell.load(Relaxed) == 0 {
        if sys::write(fd, b"!") == Ok(1) {
            take_bytes(fd, 1);
        }
    } else {
        add_byte(tunnel, fd, tunnel.bell.load(Relaxed));
    }
}

/// Rings without a packet and stays so: the interface was deleted, and readers must come back to see it.
pub fn alarm(tunnel: &TunnelState, fd: i32) {
    add_byte(tunnel, fd, tunnel.bell.load(Relaxed));
}

/// Makes the bell agree with the queue after a process died in between.
pub fn repair(tunnel: &Mapped<TunnelState>, fd: i32) {
    let inside = sys::readable_bytes(fd).unwrap_or(0) as u32;
    tunnel.bell.store(inside, Relaxed);
    if tunnel.queued() == 0 && inside > 0 {
        silence(tunnel, fd);
    } else if tunnel.queued() > 0 && inside == 0 {
        add_byte(tunnel, fd, 0);
    }
}
