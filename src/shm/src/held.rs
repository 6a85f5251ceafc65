//! What a thread remembers itself about the locks that it holds.

use super::word::Word;
use std::cell::Cell;
use std::sync::atomic::compiler_fence;
use std::sync::atomic::Ordering::SeqCst;

/// Number of locks that a thread can hold at once: three that nest, and those of signal handlers
/// over them.
pub const MOST: usize = 12;

/// What each thread holds. It has no destructor, because locks are taken while threads end.
#[cfg(not(all(target_arch = "x86_64", not(any(loom, miri)))))]
mod own {
    use super::Held;
    #[cfg(loom)]
    use loom::thread_local;

    #[cfg(not(loom))]
    thread_local! {
        static HELD: Held = const { Held::nothing() };
    }
    #[cfg(loom)]
    thread_local! {
        static HELD: Held = Held::nothing();
    }

    /// Returns the address of the calling thread's variable, where it stays until the thread ends.
    #[inline(always)]
    pub fn held() -> *const Held {
        HELD.with(|held| held as *const Held)
    }
}

/// What each thread holds. Everything in it is 0 in a new thread, which is [`Held::nothing`].
///
/// A library finds a variable of a thread by a call of `__tls_get_addr`, which may change all
/// registers that calls may. A descriptor of the variable (TLSDESC), which the compiler does not
/// use on this architecture unless it is told, costs a third of that and changes one register.
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
mod own {
    use super::Held;

    std::arch::global_asm!(
        ".pushsection .tbss.memtun_held,\"awT\",@nobits",
        ".globl memtun_held",
        ".hidden memtun_held",
        ".type memtun_held,@object",
        ".p2align 4",
        "memtun_held:",
        ".zero {size}",
        ".size memtun_held, {size}",
        ".popsection",
        size = const size_of::<Held>(),
    );
    const _: () = assert!(align_of::<Held>() <= 16);

    /// Returns the address of the calling thread's variable, where it stays until the thread ends.
    #[inline(always)]
    pub fn held() -> *const Held {
        let at: *const Held;
        // SAFETY: these are the two instructions by which the x86-64 ABI finds the offset of a
        // thread's variable; the call changes rax alone. Some versions of glibc do not keep vector
        // registers where the variable is not there yet.
        unsafe {
            core::arch::asm!(
                "leaq memtun_held@tlsdesc(%rip), %rax",
                "call *memtun_held@tlscall(%rax)",
                "addq %fs:0, %rax",
                out("rax") at,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(att_syntax)
            );
        }
        at
    }
}

/// Runs `run` with what the calling thread holds.
#[inline(always)]
pub fn with_held<R>(run: impl FnOnce(&Held) -> R) -> R {
    // SAFETY: the variable stays where it is while its thread runs, which it does here. It has only
    // cells, of which nobody else has a reference that excludes this one.
    run(unsafe { &*own::held() })
}

/// What a thread holds.
pub struct Held {
    /// Number of locks.
    pub count: Cell<usize>,
    /// Id of the thread that holds the locks. After fork(2) the child has a copy of this, but not
    /// the locks.
    pub tid: Cell<u32>,
    /// The locks.
    pub places: [Entry; MOST],
    /// A bit for each place whose lock was held at the last fork, see [`before_fork`].
    pub held_at_fork: Cell<u32>,
}

/// A lock that the thread holds, or is about to take or release.
pub struct Entry {
    /// The lock's word; null from `count` on, and where a signal handler interrupts `push` or
    /// `pop`.
    pub lock: Cell<*const Word>,
    /// The stack pointer when the lock was taken.
    pub stack: Cell<usize>,
    /// What the lock's word says while the thread holds it.
    pub mine: Cell<u64>,
    /// Time when the lock was first refused to this very thread (nanoseconds of CLOCK_MONOTONIC),
    /// or 0.
    pub refused: Cell<u64>,
}

impl Held {
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, miri)))))]
    const fn nothing() -> Held {
        Held {
            count: Cell::new(0),
            tid: Cell::new(0),
            places: [const {
                Entry {
                    lock: Cell::new(std::ptr::null()),
                    stack: Cell::new(0),
                    mine: Cell::new(0),
                    refused: Cell::new(0),
                }
            }; MOST],
            held_at_fork: Cell::new(0),
        }
    }
    /// Returns the places that are in use.
    pub fn places(&self) -> &[Entry] {
        &self.places[..self.count.get().min(MOST)]
    }
    /// Forgets all locks.
    pub fn forget(&self) {
        self.count.set(0);
        for place in &self.places {
            place.lock.set(std::ptr::null());
        }
    }
}

/// Returns an address in the caller's frame or near it.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction copies a register and has no other effect.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) pointer, options(nostack, preserves_flags, nomem))
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the instruction copies a register and has no other effect.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) pointer, options(nostack, preserves_flags, nomem))
    };
    pointer
}

/// What the calling thread remembers about its locks. It is looked up once for each lock that is
/// taken and released, because a library looks up a variable of a thread by a call.
#[derive(Clone, Copy)]
pub struct Memory(*const Held);

/// A place at which the thread remembers a lock.
#[derive(Clone, Copy)]
pub struct Place {
    memory: Memory,
    at: usize,
}

impl Memory {
    /// Returns the memory of the calling thread.
    #[inline(always)]
    pub fn own() -> Memory {
        Memory(own::held())
    }

    #[inline(always)]
    fn held(&self) -> &Held {
        // SAFETY: the variable has no destructor, so it stays in its place until its thread has
        // ended. A raw pointer is not Send, so this value has not left that thread.
        unsafe { &*self.0 }
    }

    /// Returns a place at which nothing is remembered.
    pub fn no_place(self) -> Place {
        Place {
            memory: self,
            at: MOST,
        }
    }

    /// Does the thread remember no lock?
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.held().count.get() == 0
    }

    /// Remembers a lock and returns the place. None means that there is no room for another one,
    /// which only many nested signal handlers can cause.
    ///
    /// A handler may come between any two of these steps, remember locks of its own behind this
    /// one, and forget them again.
    #[inline(always)]
    pub fn push(self, lock: &Word, tid: u32, mine: u64) -> Option<Place> {
        let held = self.held();
        let count = held.count.get();
        let place = held.places.get(count)?;
        let here = stack_pointer();
        place.stack.set(here);
        held.tid.set(tid);
        compiler_fence(SeqCst);
        // Now the place belongs to this call, and is empty. It is filled after that, because a
        // handler may have used it before.
        held.count.set(count + 1);
        compiler_fence(SeqCst);
        place.stack.set(here);
        place.mine.set(mine);
        place.refused.set(0);
        compiler_fence(SeqCst);
        place.lock.set(lock);
        compiler_fence(SeqCst);
        Some(Place {
            memory: self,
            at: count,
        })
    }
}

impl Place {
    /// Forgets the lock that was remembered at this place, and those behind it.
    #[inline(always)]
    pub fn pop(self) {
        compiler_fence(SeqCst);
        let held = self.memory.held();
        if let Some(place) = held.places.get(self.at) {
            place.lock.set(std::ptr::null());
        }
        compiler_fence(SeqCst);
        // The count may be lower already, in the child of a fork(2).
        held.count.set(held.count.get().min(self.at));
    }

    /// Was the lock at this place held by the parent when it forked?
    #[cold]
    pub fn was_held_at_fork(self) -> bool {
        self.memory.held().held_at_fork.get() >> self.at & 1 != 0
    }
}
