//! Calls that the program itself did not make, and whether they may be made.
//!
//! A program may forbid itself what it does not need once its tunnel is there; with the kernel's
//! driver it needs only read, write and poll. The calls that this library makes besides the
//! program's own can then be replaced or left out: others look for themselves after a while.
//! Whoever sees the program enter its sandbox says what is forbidden from then on. As for the
//! kernel, it is never allowed again.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// A kind of call that may be forbidden. Each says what is done instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extra {
    /// futex(2). Without it nobody is woken: sleepers look by themselves within 50 ms, and a
    /// thread that waits for a lock does so awake.
    Futex = 1 << 0,
    /// ioctl(FIONREAD) on a bell that blocks. Without it the bytes that were counted are assumed
    /// to be there.
    Ask = 1 << 1,
    /// madvise(MADV_POPULATE_WRITE). Without it each page is touched.
    Populate = 1 << 2,
    /// fcntl(2), which takes O_ASYNC away while a bell is emptied. Without it one signal too many
    /// comes.
    Flags = 1 << 3,
    /// sched_yield(2). Without it the thread spins.
    Yield = 1 << 4,
    /// getpid(2). Without it a vfork(2) child cannot be distinguished from its parent.
    Process = 1 << 5,
    /// clock_gettime(2), which the vDSO mostly answers. Without it the coarse clock is read, which
    /// does not need the processor's counter: seccomp's strict mode takes that away as well.
    Clock = 1 << 6,
    /// Opening, locking and removing files of the net. Without it others clear up what a closed
    /// tunnel leaves, as after a SIGKILL.
    Files = 1 << 7,
    /// munmap(2). Without it memory stays mapped.
    Unmap = 1 << 8,
    /// ppoll(2). Without it poll(2) is used, where the program has asked for no mask.
    Poll = 1 << 9,
    /// epoll_ctl(2) where a link goes down or comes up. Without it the events that the kernel
    /// reports are corrected.
    Control = 1 << 10,
    /// Sockets to the host process of the net, and options of the program's netlink sockets.
    /// Without it a question fails with EACCES.
    Host = 1 << 11,
    /// Starting the host process. Without it a net that has none gets none.
    Spawn = 1 << 12,
    /// capget(2), capset(2) and the signal mask around them. Without them nothing is asked of the
    /// machine that could change its interfaces.
    Privilege = 1 << 13,
    /// Lines of the log on standard error. Without it nothing is said any more.
    Say = 1 << 14,
    /// Asking who gets orphans, and a process that stays between a program that does and the host
    /// process. Without it such a program sees the host process as its child.
    Keep = 1 << 15,
    /// Asking the kernel about the program's own sockets, and receiving and sending with recvmsg(2)
    /// and sendmsg(2) in place of other calls. Without it ordinary sockets are the machine's; in an
    /// isolated net they reach nothing.
    Sockets = 1 << 16,
    /// getsockname(2) alone. Without it no socket is known to be one of the loopback's.
    Names = 1 << 17,
    /// rt_sigprocmask(2) as a look whether memory can be read. Without it a bad pointer is found by
    /// touching what it leads to, for which the signals are watched from then on.
    Probe = 1 << 18,
    /// setsockopt(2) on ordinary sockets. Without it they keep what the program has set.
    Options = 1 << 19,
    /// rt_sigprocmask(2) around the lock of a queue. Without it a handler of the program's may run
    /// while the lock is held.
    Signals = 1 << 20,
    /// rt_sigprocmask(2), rt_sigpending(2), rt_sigaction(2) and poll(2) in a wait that begins
    /// awake. Without it a wait sleeps at once.
    Awake = 1 << 21,
}

/// The bits of every [`Extra`].
pub const EVERYTHING: u32 = (1 << 22) - 1;

static FORBIDDEN: AtomicU32 = AtomicU32::new(0);

/// May this kind of call be made?
#[inline]
pub fn may(extra: Extra) -> bool {
    FORBIDDEN.load(Relaxed) & extra as u32 == 0
}

/// May every kind of call be made?
pub fn may_all() -> bool {
    FORBIDDEN.load(Relaxed) == 0
}

/// Forbids the calls of these bits of [`Extra`], and returns the bits that were forbidden before.
pub fn forbid(extras: u32) -> u32 {
    FORBIDDEN.fetch_or(extras, Relaxed)
}

/// Forbids only what was forbidden before, because the kernel has refused the sandbox.
pub fn restore(before: u32) {
    FORBIDDEN.store(before, Relaxed);
}
