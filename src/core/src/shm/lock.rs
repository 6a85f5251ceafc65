//! A lock in shared memory that survives the death of its holder.

use crate::Errno;
use std::cell::{Cell, UnsafeCell};

/// Which kind of state a lock guards. Locks nest only in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Level {
    /// The net: names, interfaces, tunnels coming and going.
    Net = 1,
    /// One interface and its outbound log.
    Interface = 2,
    /// One tunnel: its inbound queue and its bell.
    Tunnel = 4,
}

thread_local! {
    /// Levels that this thread holds. A signal handler that comes back for one of them must not wait for itself.
    static HELD: Cell<u8> = const { Cell::new(0) };
}

/// Does this thread hold a lock? In a signal handler it may; then it must not wait for anybody.
pub fn holds_any() -> bool {
    HELD.with(|levels| levels.get() != 0)
}

/// A robust, process-shared mutex (pthread_mutexattr_setrobust(3)) inside a shared mapping.
#[repr(C)]
pub struct RobustMutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a process-shared pthread mutex is made to be used by many threads at once.
unsafe impl Sync for RobustMutex {}
// SAFETY: it is never moved after `init`; Send only allows the mapping that holds it to be handed to another thread.
unsafe impl Send for RobustMutex {}

impl RobustMutex {
    /// Makes zeroed memory an unlocked mutex. Before the file is published: nobody else sees it yet.
    pub fn init(&self) -> Result<(), Errno> {
        // SAFETY: the attribute object lives on this stack, and the mutex is in writable memory that nobody uses yet.
        let failed = unsafe {
            let mut attributes = std::mem::MaybeUninit::<libc::pthread_mutexattr_t>::zeroed();
            let a = attributes.as_mut_ptr();
            let failed = libc::pthread_mutexattr_init(a)
                | libc::pthread_mutexattr_setpshared(a, libc::PTHREAD_PROCESS_SHARED)
                | libc::pthread_mutexattr_setrobust(a, libc::PTHREAD_MUTEX_ROBUST)
                | libc::pthread_mutex_init(self.0.get(), a);
            libc::pthread_mutexattr_destroy(a);
            failed
        };
        if failed == 0 {
            Ok(())
        } else {
            Err(Errno(libc::ENOLCK))
        }
    }

    /// Takes the lock. When the last holder died with it, `repair` runs before anybody else sees the state.
    /// EAGAIN when this very thread holds a lock of that level (it is in a signal handler).
    #[inline]
    pub fn lock(&self, level: Level, repair: impl FnOnce()) -> Result<Guard<'_>, Errno> {
        let bit = level as u8;
        // Looked up once: in a library, every access to a thread-local is a call.
        let levels: *const Cell<u8> = HELD.with(std::ptr::from_ref);
        // SAFETY: this thread's own cell, which lives as long as the thread; so here and below.
        let levels = unsafe { &*levels };
        let held = levels.get();
        if held & bit != 0 {
            return Err(Errno(libc::EAGAIN));
        }
        levels.set(held | bit);
        // SAFETY: the mutex was initialised before the mapping was published.
        let mut answer = unsafe { libc::pthread_mutex_trylock(self.0.get()) };
        if answer == libc::EBUSY {
            answer = self.lock_after_a_while();
        }
        if answer != 0 {
            if answer != libc::EOWNERDEAD {
                levels.set(held);
                return Err(Errno(if answer == libc::ENOTRECOVERABLE {
                    libc::EIO
                } else {
                    answer
                }));
            }
            repair();
            // SAFETY: this thread holds the mutex in the inconsistent state, which is what the call is for.
            unsafe { libc::pthread_mutex_consistent(self.0.get()) };
        }
        Ok(Guard {
            mutex: self,
            levels,
            bit,
        })
    }
}

impl RobustMutex {
    /// The lock is taken. Holders keep it for the time of a copy; who was woken by one of them, often while it still holds
    /// the lock, does better to let it finish than to go to sleep again.
    #[cold]
    fn lock_after_a_while(&self) -> i32 {
        const ROUNDS: usize = 64;
        for _ in 0..ROUNDS {
            std::hint::spin_loop();
        }
        // SAFETY: no arguments, no memory.
        unsafe { crate::sys::syscall(libc::SYS_sched_yield, [0; 6]) };
        // SAFETY: as in `lock`.
        unsafe { libc::pthread_mutex_lock(self.0.get()) }
    }
}

/// Holds a [`RobustMutex`] while it lives.
#[must_use]
pub struct Guard<'a> {
    mutex: &'a RobustMutex,
    levels: &'a Cell<u8>,
    bit: u8,
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this thread locked the mutex when the guard was made, and guards are not Send.
        unsafe { libc::pthread_mutex_unlock(self.mutex.0.get()) };
        self.levels.set(self.levels.get() & !self.bit);
    }
}
