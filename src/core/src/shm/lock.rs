//! A lock in shared memory that survives the death of its holder, and that nobody waits for without end.
//!
//! One word: 0, or the holder's thread id, with FUTEX_WAITERS beside it; FUTEX_OWNER_DIED once the kernel saw the holder
//! die, see [`super::thread`]. The kernel hears of one lock per thread. So the holder's process stands beside the word as a
//! token, and who has waited for a while asks whether that process still lives: for outer locks of locks that nest, and
//! where thread ids of other PID namespaces say nothing. A holder that lives and does not run is waited for as long as the
//! [`Patience`] says.

use super::thread::{self, Thread};
use crate::{sys, Errno};
use std::marker::PhantomData;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use std::time::Duration;

pub use super::thread::{forked, holds_any, init, leaving};

const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const TID: u32 = 0x3fff_ffff;

/// How long a call of the program's waits for a lock.
const PROGRAM: Duration = Duration::from_secs(1);
/// How long somebody waits who can do without.
const BRIEF: Duration = Duration::from_millis(20);
/// A holder that runs gets this much, also from a driver that has no time: the copy of a packet, and a time slice.
const GRACE: Duration = Duration::from_millis(2);
/// How long one sleep is: then the holder is looked at.
const SLICE: Duration = Duration::from_millis(10);
/// After this time the net's lock is taken from a holder that lives.
const TAKE_AFTER: Duration = Duration::from_millis(300);

/// What a lock needs to know of the processes that share it.
pub trait Peers {
    /// The calling process.
    fn token(&self) -> u64;
    /// Does the process of a token live? None when nobody can tell.
    fn is_alive(&self, token: u64) -> Option<bool>;
}

/// How long to wait for a holder that lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// A call of the program's: a second.
    Program,
    /// Something that can be left out: 20 ms.
    Brief,
    /// A driver's: as long as it says, or for ever.
    Driver(Option<Duration>),
}

impl Patience {
    fn end(self, now: u64) -> u64 {
        let nanoseconds = |t: Duration| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX);
        let after = |time: Duration| now.saturating_add(nanoseconds(time));
        match self {
            Patience::Program => after(PROGRAM),
            Patience::Brief => after(BRIEF),
            Patience::Driver(None) => u64::MAX,
            Patience::Driver(Some(time)) => after(time.max(GRACE)),
        }
    }
}

/// A lock. Zeroed memory is a free one.
#[repr(C)]
#[derive(Default)]
pub struct Lock {
    word: AtomicU32,
    _reserved: u32,
    /// Token of the holder's process; 0 between two holders.
    holder: AtomicU64,
}

/// How a lock came to its new holder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Free,
    /// The last holder died with it, or was taken to be gone.
    Dead,
}

impl Lock {
    /// Takes the lock. When the last holder died with it, `repair` runs before anybody else sees the state.
    ///
    /// EAGAIN when this very thread holds it (it is in a signal handler), or when its holder lives and did not let go in
    /// time: it is stopped, or has left the call by a jump.
    #[inline]
    pub fn lock<'a, P: Peers>(
        &'a self,
        peers: &P,
        patience: Patience,
        repair: impl FnOnce(),
    ) -> Result<Guard<'a>, Errno> {
        let thread = Thread::current();
        if thread::holds(self, thread.tid) {
            return Err(Errno(libc::EAGAIN));
        }
        let guard = match self.attempt(thread, 0, 0, peers.token()) {
            Some(guard) => guard,
            None => {
                let (guard, taken) = self.wait(thread, peers, patience, None)?;
                if taken == Taken::Dead {
                    repair();
                }
                guard
            }
        };
        Ok(guard)
    }

    /// Takes a lock whose state is whole after every step that is made under it: its holder may be replaced when it does not
    /// let go, and a signal handler over a call that holds it goes on as if it had it itself.
    pub fn lock_in_turn<'a, P: Peers>(
        &'a self,
        peers: &P,
        patience: Patience,
    ) -> Result<Guard<'a>, Errno> {
        let thread = Thread::current();
        if thread::holds(self, thread.tid) {
            return Ok(Guard::nothing());
        }
        match self.attempt(thread, 0, 0, peers.token()) {
            Some(guard) => Ok(guard),
            None => self
                .wait(thread, peers, patience, Some(TAKE_AFTER))
                .map(|(guard, _)| guard),
        }
    }

    /// Does the calling thread hold it, or one with the same id?
    pub fn is_mine(&self) -> bool {
        self.word.load(Relaxed) & TID == Thread::current().tid
    }

    /// Takes the lock if its word is `expected`, keeping the bits `keep`.
    #[inline]
    fn attempt(&self, thread: Thread, expected: u32, keep: u32, token: u64) -> Option<Guard<'_>> {
        // Before the word changes: a signal handler that comes in between must find the lock here.
        if !thread::push(self, thread.tid) {
            return None;
        }
        let before = thread.announce(self.word.as_ptr());
        let taken = self
            .word
            .compare_exchange(expected, thread.tid | keep, Acquire, Relaxed);
        if taken.is_err() {
            // Not while waiting: the kernel must not take the word of a thread with the same id in another PID namespace
            // for this one's.
            thread.restore(before);
            thread::pop();
            return None;
        }
        self.holder.store(token, Relaxed);
        Some(Guard {
            lock: Some(self),
            before,
            token,
            _thread: PhantomData,
        })
    }

    #[cold]
    #[inline(never)]
    fn wait(
        &self,
        thread: Thread,
        peers: &dyn Peers,
        patience: Patience,
        take_after: Option<Duration>,
    ) -> Result<(Guard<'_>, Taken), Errno> {
        const SPINS: u32 = 64;
        const YIELDS: u32 = 4;
        let token = peers.token();
        let mut keep = 0;
        let mut end = None;
        let mut holding = Holding::default();
        let mut round = 0u32;
        loop {
            let word = self.word.load(Relaxed);
            round = round.saturating_add(1);
            if word & TID == 0 {
                if let Some(guard) = self.attempt(thread, word, keep | word & WAITERS, token) {
                    let dead = word & OWNER_DIED != 0;
                    return Ok((guard, if dead { Taken::Dead } else { Taken::Free }));
                }
                if round < SPINS {
                    continue;
                }
            } else if round < SPINS {
                std::hint::spin_loop();
                continue;
            } else if round < SPINS + YIELDS {
                // Holders keep a lock for the time of a copy: who was woken by one of them, often while it still holds the
                // lock, does better to let it finish than to go to sleep.
                sys::yield_now();
                continue;
            }
            let now = sys::now_ns(libc::CLOCK_MONOTONIC);
            let end = *end.get_or_insert_with(|| patience.end(now));
            if word & TID != 0 {
                let holder = self.holder.load(Relaxed);
                if holding.has_gone(word, holder, now, take_after, peers) {
                    if let Some(guard) = self.attempt(thread, word, word & WAITERS, token) {
                        return Ok((guard, Taken::Dead));
                    }
                    continue;
                }
            }
            if now >= end {
                return Err(Errno(libc::EAGAIN));
            }
            let waited = word | WAITERS;
            if word & TID == 0
                || word != waited
                    && self
                        .word
                        .compare_exchange(word, waited, Relaxed, Relaxed)
                        .is_err()
            {
                continue;
            }
            let time = Duration::from_nanos(end - now).min(SLICE);
            let _ = sys::futex_wait(&self.word, waited, Some(time));
            // Others may sleep as well: whoever takes the lock now must wake one of them.
            keep = WAITERS;
            round = 0;
        }
    }

    /// Lets go, if the lock is still this thread's: it may have been given up, or taken from a holder that did not run.
    #[inline]
    fn unlock(&self, thread: Thread, token: u64) {
        let mine = self.word.load(Relaxed) & TID == thread.tid;
        if !mine || self.holder.load(Relaxed) != token {
            return;
        }
        self.holder.store(0, Relaxed);
        if self.word.swap(0, Release) & WAITERS != 0 {
            sys::futex_wake(&self.word, 1);
        }
    }

    /// As the kernel does for a dead holder: this thread will not come back to what it did under the lock.
    pub(super) fn give_up(&self, tid: u32) {
        let died = |word| (word & TID == tid).then_some(word & WAITERS | OWNER_DIED);
        if let Ok(before) = self.word.fetch_update(SeqCst, Relaxed, died) {
            if before & WAITERS != 0 {
                sys::futex_wake(&self.word, 1);
            }
        }
    }
}

/// What somebody who waits has seen of the holder.
#[derive(Default)]
struct Holding {
    word: u32,
    holder: u64,
    since: u64,
    looked: u64,
}

impl Holding {
    /// Is the holder dead, or has it had its turn?
    fn has_gone(
        &mut self,
        word: u32,
        holder: u64,
        now: u64,
        take_after: Option<Duration>,
        peers: &dyn Peers,
    ) -> bool {
        let word = word & TID;
        if (self.word, self.holder) != (word, holder) || self.since == 0 {
            *self = Holding {
                word,
                holder,
                since: now,
                looked: now,
            };
            return false;
        }
        let held = Duration::from_nanos(now.saturating_sub(self.since));
        if take_after.is_some_and(|most| held >= most) {
            return true;
        }
        if holder == 0 {
            // A holder writes its token next; a word that nobody wrote, or that changed under attack, stays without one.
            return held >= PROGRAM / 2;
        }
        if Duration::from_nanos(now.saturating_sub(self.looked)) < SLICE {
            return false;
        }
        self.looked = now;
        peers.is_alive(holder) == Some(false)
    }
}

/// Holds a [`Lock`] while it lives.
#[must_use]
pub struct Guard<'a> {
    /// None in a signal handler over a call that holds the lock.
    lock: Option<&'a Lock>,
    /// What was pending on the thread's robust list.
    before: usize,
    token: u64,
    /// A lock is let go by the thread that took it.
    _thread: PhantomData<*const ()>,
}

impl Guard<'_> {
    fn nothing() -> Self {
        Guard {
            lock: None,
            before: 0,
            token: 0,
            _thread: PhantomData,
        }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(lock) = self.lock {
            let thread = Thread::current();
            lock.unlock(thread, self.token);
            thread.restore(self.before);
            thread::pop();
        }
    }
}

const _: () = assert!(std::mem::size_of::<Lock>() == 16 && std::mem::align_of::<Lock>() == 8);
