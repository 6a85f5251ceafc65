//! Calls that the program itself did not make, and whether they may be made.
//!
//! A program may forbid itself what it does not need once its tunnel is there; to the kernel's driver it needs read, write
//! and poll. What this library asks of the kernel beside the program's own calls can be done in another way then, or left
//! out: others look for themselves after a while. Whoever sees the program enter its sandbox says what is forbidden from
//! then on. It is never allowed again, as for the kernel.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A kind of call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extra {
    /// futex(2). Else nobody is woken, sleepers look by themselves within 50 ms; and who waits for a lock does so awake.
    Futex = 1 << 0,
    /// ioctl(FIONREAD) on a bell that blocks. Else the bytes that were counted in are believed to be there.
    Ask = 1 << 1,
    /// madvise(MADV_POPULATE_WRITE). Else the memory is touched.
    Populate = 1 << 2,
    /// fcntl(2) to take O_ASYNC away while a bell is emptied. Else one signal too many comes.
    Flags = 1 << 3,
    /// sched_yield(2).
    Yield = 1 << 4,
    /// getpid(2). Else a vfork(2) child is not told from its parent.
    Process = 1 << 5,
    /// clock_gettime(2), which the vDSO mostly answers. Else the coarse clock, which needs no counter of the processor's:
    /// the strict mode takes that away as well.
    Clock = 1 << 6,
    /// Opening, locking and removing files of the net. Else what a closed tunnel leaves is cleared up by others, as after a
    /// SIGKILL.
    Files = 1 << 7,
    /// munmap(2). Else memory stays mapped.
    Unmap = 1 << 8,
    /// ppoll(2). Else poll(2), where the program has asked for no mask.
    Poll = 1 << 9,
    /// epoll_ctl(2) where a link goes down or comes up. Else what the kernel reports of it is corrected.
    Control = 1 << 10,
    /// tgkill(2) without a signal, to see whether a thread of this process holds a lock whose file is unmapped. Else that is
    /// believed, and the memory stays mapped.
    Threads = 1 << 11,
}

/// All of them.
pub const EVERYTHING: u32 = (1 << 12) - 1;

static FORBIDDEN: AtomicU32 = AtomicU32::new(0);

/// May this be asked of the kernel?
#[inline]
pub fn may(extra: Extra) -> bool {
    FORBIDDEN.load(Relaxed) & extra as u32 == 0
}

/// These must not be asked any more. What was forbidden before.
pub fn forbid(extras: u32) -> u32 {
    FORBIDDEN.fetch_or(extras, Relaxed)
}

/// The kernel has refused the sandbox: this was forbidden before.
pub fn restore(before: u32) {
    FORBIDDEN.store(before, Relaxed);
}
