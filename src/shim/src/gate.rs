//! One word that says whether a call on a socket may be anybody's but the machine's. It is looked
//! at in every connect(2), sendto(2) and recvfrom(2) of every program.

use memtun_kernel::net::NetDir;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicPtr, AtomicU32};

/// 1 while a process that is in no net looks for it.
static LOOKS: AtomicU32 = AtomicU32::new(1);
static OPEN: AtomicU32 = AtomicU32::new(1);

/// The word: one of the two above, or the net's own.
static GATE: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const LOOKS).cast_mut());

/// Does a call on a socket go to the machine, whatever socket it is?
#[inline(always)]
pub fn is_shut() -> bool {
    // SAFETY: the pointer leads to a static, or into a net that this process keeps for ever.
    unsafe { (*GATE.load(Relaxed)).load(Relaxed) == 0 }
}

/// Called when this process has joined its net: from now on the net says whether it has addresses.
pub fn joined(net: &'static NetDir) {
    let looks = (&raw const LOOKS).cast_mut();
    let of_net = (&raw const net.inet).cast_mut();
    // Another net than the first is a rare case, which may cost more.
    if GATE
        .compare_exchange(looks, of_net, Relaxed, Relaxed)
        .is_err()
    {
        open();
    }
}

/// Called when the process has a socket that this library answers.
pub fn open() {
    GATE.store((&raw const OPEN).cast_mut(), Relaxed);
}

/// Called when a process has looked for its net in vain often enough.
pub fn look_no_more() {
    LOOKS.store(0, Relaxed);
}
