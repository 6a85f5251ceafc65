//! What the calling thread tells the kernel about the lock that it holds, and what it remembers
//! about its locks itself.
//!
//! The kernel looks at a dying thread's robust list (set_robust_list(2)). glibc registers one for
//! every thread. Of that list only the entry for a pending operation is used here. It names one
//! lock, and the kernel marks that lock FUTEX_OWNER_DIED when the thread ends, is killed or
//! executes another program. No list is built, so no pointer stands in shared memory.

use super::held::{stack_pointer, with_held, Entry, Held, MOST};
#[cfg(not(loom))]
use super::truncated::is_mapped;
use super::word::Word;
use crate::below::{gettid, now_ns};
use memtun_sys as sys;
use std::sync::atomic::Ordering::{SeqCst, *};
use std::sync::atomic::{compiler_fence, AtomicIsize};
use std::time::Duration;

/// Offset of glibc's `struct robust_list_head` from the thread pointer, the same in every thread.
static HEAD: AtomicIsize = AtomicIsize::new(UNKNOWN);
/// `futex_offset` of the head, in bytes: the distance from a list entry to its lock word.
static FUTEX_OFFSET: AtomicIsize = AtomicIsize::new(0);
const UNKNOWN: isize = 0;
/// Value of [`HEAD`] where the C library keeps its threads in another way. The kernel is told
/// nothing then, and only [`super::lock::Peers::is_alive`] finds out that a lock's holder is dead.
const NONE: isize = 1;

/// Distance in bytes from the head to the thread's id in glibc's `struct pthread`, whose fields are
/// `tid`, an unused word, `robust_prev` and the head.
const TID_FROM_HEAD: isize = -16;
/// Distance in bytes from the head to `list_op_pending`.
const PENDING_FROM_HEAD: isize = 16;

/// Returns the thread pointer, moved by so many bytes.
#[inline(always)]
fn thread_pointer_and(bytes: isize) -> isize {
    let mut pointer = bytes;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the x86-64 ABI keeps the thread pointer at fs:0; reading it has no effect.
    unsafe {
        core::arch::asm!("add {}, fs:0", inout(reg) pointer, options(nostack, readonly))
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the AArch64 ABI keeps the thread pointer in tpidr_el0; reading it has no effect.
    unsafe {
        let base: isize;
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) base, options(nostack, preserves_flags, nomem));
        pointer += base;
    };
    pointer
}

/// Finds out, with one system call, how the C library keeps its threads. The preloaded library does
/// this when it is loaded, before a program may forbid itself system calls; otherwise the first
/// lock does it.
#[cold]
pub fn init() {
    let (mut head, mut length) = (0isize, 0usize);
    let args = [
        0,
        &mut head as *mut isize as usize,
        &mut length as *mut usize as usize,
        0,
        0,
        0,
    ];
    // SAFETY: get_robust_list(2) stores one pointer and one length, and both places are locals of
    // this function.
    let answer = unsafe { sys::syscall(libc::SYS_get_robust_list, args) };
    if answer != 0 || head == 0 || length < 24 {
        return HEAD.store(NONE, Relaxed);
    }
    // SAFETY: the head is live memory of this thread that the kernel knows. With glibc it lies
    // inside the thread's descriptor, whose words in front of it are readable. The thread's id
    // tells whether this is such a libc.
    let (tid, offset) = unsafe {
        (
            *((head + TID_FROM_HEAD) as *const u32),
            *((head + 8) as *const isize),
        )
    };
    let near = (head - thread_pointer_and(0)).unsigned_abs() < 1 << 16;
    if !near || tid != gettid() as u32 {
        return HEAD.store(NONE, Relaxed);
    }
    FUTEX_OFFSET.store(offset, Relaxed);
    HEAD.store(head - thread_pointer_and(0), Release);
}

/// The calling thread as a holder of locks.
#[derive(Clone, Copy)]
pub struct Thread {
    /// Id of the thread, as the kernel will look for it in a lock.
    pub tid: u32,
    /// The thread's robust list.
    pub list: List,
}

/// The calling thread's robust list by the address of its head, or null where the kernel takes no
/// part in the thread's locks.
#[derive(Clone, Copy)]
pub struct List(*mut u8);

impl Thread {
    /// Returns the calling thread.
    pub fn current() -> Thread {
        if !cfg!(loom) && HEAD.load(Acquire) == UNKNOWN {
            init();
        }
        Thread::in_list().unwrap_or_else(|| Thread {
            tid: gettid() as u32,
            list: List(std::ptr::null_mut()),
        })
    }

    /// Returns the calling thread, if it is known that the kernel takes part in its locks.
    #[inline(always)]
    pub fn in_list() -> Option<Thread> {
        let at = HEAD.load(Acquire);
        if cfg!(loom) || matches!(at, UNKNOWN | NONE) {
            return None;
        }
        let head = thread_pointer_and(at) as *mut u8;
        // SAFETY: `init` has seen that the list's head is at this place in every thread of this C
        // library, so this is the address of something.
        unsafe { std::hint::assert_unchecked(!head.is_null()) };
        let list = List(head);
        Some(Thread {
            tid: list.tid(),
            list,
        })
    }
}

impl List {
    /// Returns the id of the thread whose list it is now: another one than before in the child of a
    /// fork(2) that a signal handler made.
    #[inline(always)]
    pub fn tid(self) -> u32 {
        if self.0.is_null() {
            return gettid() as u32;
        }
        // SAFETY: `init` has seen that the thread's id is at this place in every thread of this C
        // library. The C library of a child stores it, so it is read anew each time.
        unsafe { self.0.offset(TID_FROM_HEAD).cast::<u32>().read_volatile() }
    }

    /// Returns the place of `list_op_pending`.
    #[inline(always)]
    fn pending(self) -> *mut usize {
        self.0.wrapping_offset(PENDING_FROM_HEAD).cast()
    }

    /// Tells the kernel that this thread takes, holds or releases the lock whose word this is.
    /// Returns what was announced before.
    #[inline(always)]
    pub fn announce(self, word: *const u32) -> usize {
        if self.0.is_null() {
            return 0;
        }
        let entry = (word as isize - FUTEX_OFFSET.load(Relaxed)) as usize;
        // SAFETY: only this thread uses this place of its list's head, and the kernel once it is
        // dead, so the store must not be optimised away.
        let before = unsafe {
            let before = self.pending().read_volatile();
            self.pending().write_volatile(entry);
            before
        };
        compiler_fence(SeqCst);
        before
    }

    /// Announces again what was announced before.
    #[inline(always)]
    pub fn restore(self, before: usize) {
        compiler_fence(SeqCst);
        if !self.0.is_null() {
            // SAFETY: as in `announce`, the place is this thread's own.
            unsafe { self.pending().write_volatile(before) };
        }
    }
}

/// How long a thread is refused a lock of its own before it is given up.
const PATIENCE_WITH_MYSELF: Duration = Duration::from_secs(1);

/// Bytes that a signal puts on the stack at the very least, including the red zone.
const SIGNAL_FRAME: usize = 1024;

/// Does this thread hold the lock, or is it about to? If so, the caller is in a signal handler,
/// unless the frame that took the lock has been left by a jump. In that case nobody will ever
/// release it, so it is given up here.
#[inline]
pub fn holds(lock: &Word, tid: u32) -> bool {
    with_held(|held| held.count.get() != 0 && holds_one(held, lock, tid))
}

#[cold]
fn holds_one(held: &Held, lock: &Word, tid: u32) -> bool {
    if held.tid.get() != tid {
        held.forget();
        return false;
    }
    let mut places = held.places().iter();
    let Some(at) = places.position(|place| std::ptr::eq(place.lock.get(), lock)) else {
        return false;
    };
    // A call takes a lock once. A thread that comes back for it from the same depth or above is not
    // in a signal handler over that call.
    let place = &held.places[at];
    let left = stack_pointer() + SIGNAL_FRAME > place.stack.get() && !on_alternate_stack(None);
    if left || was_refused_for_long(place) {
        give_up(held, at);
        return false;
    }
    true
}

/// Has a lock been refused to its own thread for long? Either a signal handler does not let the
/// call below it go on, or there is no handler: a vfork(2) child, which shares its parent's thread,
/// took the lock and was killed.
fn was_refused_for_long(place: &Entry) -> bool {
    let now = now_ns(libc::CLOCK_MONOTONIC);
    let since = place.refused.get();
    if since == 0 {
        place.refused.set(now);
    }
    since != 0 && now.saturating_sub(since) > PATIENCE_WITH_MYSELF.as_nanos() as u64
}

/// Does this thread hold any lock? In a signal handler it may, and must not wait for anybody then.
pub fn holds_any() -> bool {
    with_held(|held| held.count.get() != 0 && held.tid.get() == Thread::current().tid)
}

/// Is this lock among those that the thread remembers?
pub(super) fn remembers(lock: &Word) -> bool {
    with_held(|held| {
        let mut places = held.places().iter();
        places.any(|place| std::ptr::eq(place.lock.get(), lock))
    })
}

/// Is there no room for another lock?
pub(super) fn is_full() -> bool {
    with_held(|held| held.count.get() >= MOST)
}

/// Prepares the thread's memory of its locks for a fork(2), which may come in a signal handler over
/// calls that take or hold locks. A child that returns from the handler has to know which of them
/// were its parent's.
///
/// # Safety
/// The thread must not have leaked a guard of a lock whose memory is gone.
pub unsafe fn before_fork() {
    with_held(|held| {
        let bits = held.places().iter().enumerate().map(|(at, place)| {
            // SAFETY: each place holds a lock in a mapping that the frame which took it has
            // borrowed; the caller guarantees that the frame still has it.
            let lock = unsafe { place.lock.get().as_ref() };
            u32::from(lock.is_some_and(|lock| lock.is_held_by(place.mine.get()))) << at
        });
        held.held_at_fork.set(bits.sum());
    });
}

/// Forgets the locks of the parent in the child of a fork(2), which does not hold them.
pub fn forked() {
    with_held(Held::forget);
}

/// Gives up the locks that were taken in frames below `stack`, as if their holder had died, because
/// the thread is about to leave those frames by longjmp(3).
///
/// # Safety
/// No guard of those frames may be used again.
pub unsafe fn leaving(stack: usize) {
    with_held(|held| {
        let first = held.places().iter().position(|p| p.stack.get() < stack);
        if let Some(first) = first {
            if held.tid.get() == Thread::current().tid && !on_alternate_stack(Some(stack)) {
                give_up(held, first);
            }
        }
    });
}

/// Gives up the locks from this place on. The frames that took them have leaked their guards, and
/// may not have kept their memory, in which case nothing is mapped there any more.
fn give_up(held: &Held, from: usize) {
    for (at, place) in held.places().iter().enumerate().skip(from).rev() {
        let lock = place.lock.get();
        if at == from || is_mapped(lock as usize) {
            // SAFETY: the caller borrows the first lock, and the others lie in files that are still
            // mapped.
            if let Some(lock) = unsafe { lock.as_ref() } {
                lock.give_up(place.mine.get());
            }
        }
        place.lock.set(std::ptr::null());
    }
    held.count.set(from);
    Thread::current().list.restore(0);
}

#[cfg(loom)]
fn is_mapped(_: usize) -> bool {
    true
}

/// Does a jump from here to a frame with this stack pointer stay on the stack that sigaltstack(2)
/// set? Then it leaves no frame of the thread's own stack.
pub fn is_jump_within_a_signal_stack(stack: usize) -> bool {
    on_alternate_stack(Some(stack))
}

/// Is the caller on the stack that sigaltstack(2) set, and is `stack`, if given, on it too? A jump
/// within that stack leaves no frame of another one.
fn on_alternate_stack(stack: Option<usize>) -> bool {
    let mut alternate = libc::stack_t {
        ss_sp: std::ptr::null_mut(),
        ss_flags: 0,
        ss_size: 0,
    };
    let args = [0, &mut alternate as *mut _ as usize, 0, 0, 0, 0];
    // SAFETY: sigaltstack(2) stores one stack_t, in a local of this function.
    let known = unsafe { sys::syscall(libc::SYS_sigaltstack, args) } == 0;
    let from = alternate.ss_sp as usize;
    known
        && alternate.ss_flags & libc::SS_ONSTACK != 0
        && stack.is_none_or(|at| (from..=from + alternate.ss_size).contains(&at))
}
