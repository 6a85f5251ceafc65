//! The tunnels whose bells rang on when a read of this process took the last packet. They are
//! silenced before a thread waits in a way that would see them; see `memtun_kernel::tun::bell`.
#![forbid(unsafe_code)]

use crate::{errno, table};
use libc::c_int;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Descriptors that have a bit of their own; those above have one in common.
const NUMBERS: usize = 4096;

/// A bit for each descriptor by which such a read was made.
static LEFT: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];
/// A bit for each word of [`LEFT`] that may have one, so that a wait with nothing to silence costs
/// one load.
static WORDS: AtomicU64 = AtomicU64::new(0);
/// 1 when there may be one above [`NUMBERS`].
static ABOVE: AtomicU64 = AtomicU64::new(0);

/// Notes that a read by this descriptor may have left its bell ringing.
#[inline]
pub fn note(fd: c_int) {
    let at = fd as usize;
    let Some(word) = LEFT.get(at / 64) else {
        return ABOVE.store(1, Release);
    };
    let bit = 1 << (at % 64);
    if word.load(Relaxed) & bit == 0 {
        word.fetch_or(bit, Relaxed);
        WORDS.fetch_or(1 << (at / 64), Release);
    }
}

/// Silences the bells that ring for nothing.
#[inline]
pub fn settle() {
    if WORDS.load(Relaxed) | ABOVE.load(Relaxed) != 0 {
        settle_all();
    }
}

#[cold]
#[inline(never)]
fn settle_all() {
    errno::keep(|| {
        let mut words = WORDS.swap(0, Acquire);
        while words != 0 {
            let at = words.trailing_zeros() as usize;
            words &= words - 1;
            let mut bits = LEFT[at].swap(0, Relaxed);
            while bits != 0 {
                settle_one((at * 64) as c_int + bits.trailing_zeros() as c_int);
                bits &= bits - 1;
            }
        }
        if ABOVE.load(Relaxed) != 0 && ABOVE.swap(0, Acquire) != 0 {
            table::bound_in(NUMBERS as u32, u32::MAX).for_each(settle_one);
        }
    });
}

/// Silences the bell behind this descriptor if it rings for nothing.
#[inline]
pub fn settle_one(fd: c_int) {
    if !table::is_tunnel(fd) {
        return;
    }
    if let Some(tunnel) = table::hold(fd).filter(|tunnel| tunnel.is_bell_stale()) {
        // The number may be another file's by now, and nothing is read from that.
        if tunnel.is_behind(fd) {
            tunnel.settle(fd);
        }
    }
}

/// Silences the bell of a tunnel that this process has no descriptor of.
pub fn settle_of(inode: u64) {
    if let Some(net) = crate::net::existing() {
        errno::keep(|| net.settle_bell(inode, &table::OwnTunnels));
    }
}

/// Is this descriptor a tunnel without a packet, although the kernel says that there is something
/// to read? If so its bell is silenced. A tunnel whose interface was deleted rings on.
pub fn was_told_falsely(fd: c_int) -> bool {
    if !table::is_tunnel(fd) {
        return false;
    }
    let Some(tunnel) = table::hold(fd) else {
        return false;
    };
    let now = tunnel.glance();
    let is_false = !now.readable && !now.error;
    match is_false {
        true if tunnel.is_bell_stale() => tunnel.settle(fd),
        // The byte is there, and is not counted yet: whoever has written it has the tunnel's lock,
        // and may wait for this processor.
        true => tunnel.await_queued(),
        false => {}
    }
    is_false
}
