//! A lock in shared memory that survives the death of its holder, and that nobody waits for without
//! end.
//!
//! The lock is one word of 64 bits, so that its holder changes in one step. The word is 0, or it
//! holds the holder's thread id and FUTEX_WAITERS in its lower half and the token of the holder's
//! process in its upper half. The lower half is a futex of the kernel's, which marks it
//! FUTEX_OWNER_DIED once it has seen the holder die, see `thread`. The kernel is told of one lock
//! per thread. So a thread that has waited for a while asks whether the process of the token still
//! lives: for the outer ones of nested locks, and where thread ids of other PID namespaces say
//! nothing. A holder that lives and does not run is waited for as long as the [`Patience`] says.
#![forbid(unsafe_code)]

use super::held::{Memory, Place};
use super::thread::{self, List, Thread};
use super::word::{Word, HOLDER, OWNER_DIED, TID, WAITERS};
use crate::sync::AtomicU32;
use crate::{below, Errno};
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

pub use super::thread::{
    before_fork, forked, holds_any, init, is_jump_within_a_signal_stack, leaving,
};

/// How long a call of the program's waits for a lock.
const PROGRAM: Duration = Duration::from_secs(1);
/// How long a caller waits that can do without the lock.
const BRIEF: Duration = Duration::from_millis(20);
/// How long a holder that runs is given even by a driver that has no time: enough for the copy of a
/// packet, and a time slice.
const GRACE: Duration = Duration::from_millis(2);
/// How long one sleep lasts, after which the holder is examined.
const SLICE: Duration = Duration::from_millis(10);
/// How long a holder that lives may keep the net's lock before it is taken from him.
const TAKE_AFTER: Duration = Duration::from_millis(300);

/// What a lock needs to know about the processes that share it.
pub trait Peers {
    /// Returns the token of the calling process, which is not 0.
    fn token(&self) -> u32;
    /// Does the process of this token live? None means that nobody can tell.
    fn is_alive(&self, token: u32) -> Option<bool>;
}

/// How long a thread waits for a lock whose holder lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// A call of the program's waits for a second.
    Program,
    /// Something that can be left out waits for 20 ms.
    Brief,
    /// A driver waits as long as it says, or for ever.
    Driver(Option<Duration>),
    /// Does not wait: the caller will ask again at once and then wait.
    Glance,
}

impl Patience {
    fn end(self, now: u64) -> u64 {
        let nanoseconds = |t: Duration| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX);
        let after = |time: Duration| now.saturating_add(nanoseconds(time));
        match self {
            Patience::Program => after(PROGRAM),
            Patience::Brief => after(BRIEF),
            Patience::Glance => now,
            Patience::Driver(None) => u64::MAX,
            Patience::Driver(Some(time)) => after(time.max(GRACE)),
        }
    }
}

impl Patience {
    /// Returns how often the thread lets others run before it goes to sleep. On a busy machine each
    /// time may take some milliseconds.
    fn yields(self) -> u32 {
        match self {
            _ if cfg!(loom) => 0,
            Patience::Program | Patience::Driver(None) => 2,
            Patience::Brief | Patience::Driver(Some(_)) | Patience::Glance => 0,
        }
    }
}

/// A lock in shared memory. Zeroed memory is a free lock.
///
/// Safe code cannot make one, but only find it in a mapped file, where it stays in its place: a
/// thread remembers the locks that it holds by their addresses.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub struct Lock {
    word: Word,
    /// Count of the times that the lock was taken in turn. It distinguishes a holder that lets go
    /// and comes back from one that does not let go.
    turn: AtomicU32,
    _reserved: u32,
}

/// Returns the word of a lock that this thread of the process with this token holds.
fn held_by(thread: Thread, token: u32) -> u64 {
    (token as u64) << 32 | thread.tid as u64
}

/// How a lock came to its new holder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Free,
    /// The last holder died with the lock, or was taken to be gone.
    Dead,
}

impl Lock {
    /// Takes the lock. When the last holder died with it, `repair` runs before anybody else sees
    /// the state.
    ///
    /// # Errors
    ///
    /// EAGAIN when the calling thread holds the lock already, because it runs a signal handler; or
    /// when the holder lives and did not let go in time, because it is stopped or has left the call
    /// by a jump.
    #[inline]
    pub fn lock<'a, P: Peers>(
        &'a self,
        peers: &P,
        patience: Patience,
        repair: impl FnOnce(),
    ) -> Result<Guard<'a>, Errno> {
        match self.lock_at_once(peers) {
            Some(guard) => Ok(guard),
            None => self.lock_late(peers, patience, repair),
        }
    }

    /// Takes the lock if it is free and this is the first lock of the calling thread. None says
    /// nothing but that [`Lock::lock`] is to be asked.
    #[inline(always)]
    pub fn lock_at_once<P: Peers>(&self, peers: &P) -> Option<Guard<'_>> {
        let memory = Memory::own();
        let thread = Thread::in_list().filter(|_| memory.is_empty())?;
        self.attempt(memory, thread, 0, 0, peers.token())
    }

    #[cold]
    #[inline(never)]
    fn lock_late<'a, P: Peers>(
        &'a self,
        peers: &P,
        patience: Patience,
        repair: impl FnOnce(),
    ) -> Result<Guard<'a>, Errno> {
        if thread::holds(&self.word, Thread::current().tid) {
            return Err(Errno(libc::EAGAIN));
        }
        if let Some(guard) = self.attempt_late(0, 0, peers.token()) {
            return Ok(guard);
        }
        let (guard, taken) = self.wait(peers, patience, None)?;
        if taken == Taken::Dead {
            repair();
        }
        Ok(guard)
    }

    /// Takes a lock whose state is consistent after every step that is made under it. Its holder
    /// may be replaced when it does not let go, and a signal handler over a call that holds the
    /// lock goes on as if it held the lock itself.
    ///
    /// # Errors
    ///
    /// EAGAIN when the holder lives and did not let go in time.
    pub fn lock_in_turn<'a, P: Peers>(
        &'a self,
        peers: &P,
        patience: Patience,
    ) -> Result<Guard<'a>, Errno> {
        if thread::holds(&self.word, Thread::current().tid) {
            return Ok(Guard::nothing());
        }
        let guard = match self.attempt_late(0, 0, peers.token()) {
            Some(guard) => guard,
            None => self.wait(peers, patience, Some(TAKE_AFTER))?.0,
        };
        self.turn.fetch_add(1, Relaxed);
        Ok(guard)
    }

    /// Does the calling thread hold the lock? The answer is yes also in a signal handler that
    /// interrupts the thread while it takes the lock or lets it go.
    pub fn is_mine(&self) -> bool {
        thread::remembers(&self.word)
    }

    /// Takes the lock if its word is `expected`, and keeps the bits `keep` in the new word.
    #[inline(always)]
    fn attempt(
        &self,
        memory: Memory,
        thread: Thread,
        expected: u64,
        keep: u64,
        token: u32,
    ) -> Option<Guard<'_>> {
        // A thread that announces a lock which it does not get is in danger, see below, so it
        // announces none that it can see it will not get.
        if self.word.load(Relaxed) != expected {
            return None;
        }
        let mine = held_by(thread, token);
        // The lock is remembered before the word changes: a signal handler that comes in between
        // must find it.
        let place = memory.push(&self.word, thread.tid, mine)?;
        let before = thread.list.announce(self.word.announced());
        let taken = self
            .word
            .compare_exchange(expected, mine | keep, Acquire, Relaxed);
        if taken.is_err() || thread.list.tid() != thread.tid {
            self.not_taken(thread.list, before, place, taken.ok().map(|_| mine));
            return None;
        }
        Some(Guard {
            lock: Some(self),
            list: thread.list,
            before,
            place,
            mine,
        })
    }

    /// Takes back what the thread has said of a lock that it did not get. `parents` is what the
    /// word says where this is the child of a fork that a signal handler made, and it has taken
    /// the lock in its parent's name.
    #[cold]
    #[inline(never)]
    fn not_taken(&self, list: List, before: usize, place: Place, parents: Option<u64>) {
        let parents = parents.filter(|_| !place.was_held_at_fork());
        if parents.is_some_and(|word| self.unlock(word)) {
            self.wake();
        }
        // Nothing is announced while waiting: the kernel must not take the word of a thread with
        // the same id in another PID namespace for this thread's.
        list.restore(before);
        place.pop();
    }

    #[inline(never)]
    fn attempt_late(&self, expected: u64, keep: u64, token: u32) -> Option<Guard<'_>> {
        self.attempt(Memory::own(), Thread::current(), expected, keep, token)
    }

    #[cold]
    #[inline(never)]
    fn wait(
        &self,
        peers: &dyn Peers,
        patience: Patience,
        take_after: Option<Duration>,
    ) -> Result<(Guard<'_>, Taken), Errno> {
        // One round more would multiply the orders that loom has to try.
        const SPINS: u32 = if cfg!(loom) { 1 } else { 64 };
        let patient = SPINS + patience.yields();
        let waiters = WAITERS as u64;
        let mut keep = 0;
        let mut end = None;
        let mut holding = Holding::default();
        let mut round = 0u32;
        loop {
            let word = self.word.load(Relaxed);
            round = round.saturating_add(1);
            let held = if word as u32 & TID != 0 {
                true
            } else if word as u32 & OWNER_DIED != 0 && word >> 32 != 0 {
                round = round.max(patient);
                holding.may_live(word & HOLDER, self.turn.load(Relaxed), peers)
            } else {
                false
            };
            if !held {
                if let Some(guard) = self.attempt_late(word, keep | word & waiters, peers.token()) {
                    let dead = word as u32 & OWNER_DIED != 0;
                    return Ok((guard, if dead { Taken::Dead } else { Taken::Free }));
                }
                if round < SPINS {
                    continue;
                }
            } else if round < SPINS {
                std::hint::spin_loop();
                continue;
            } else if round < patient {
                // Holders keep a lock for the time of a copy. A thread that was woken by a holder,
                // often while that still holds the lock, does better to let it finish than to go to
                // sleep.
                below::yield_now();
                continue;
            }
            if thread::is_full() {
                return Err(Errno(libc::EAGAIN));
            }
            let now = below::now_ns(libc::CLOCK_MONOTONIC);
            let end = *end.get_or_insert_with(|| patience.end(now));
            let turn = self.turn.load(Relaxed);
            if held && holding.has_gone(word & HOLDER, turn, now, take_after, peers) {
                if let Some(guard) = self.attempt_late(word, word & waiters, peers.token()) {
                    return Ok((guard, Taken::Dead));
                }
                if self.word.load(Relaxed) != word {
                    continue;
                }
            }
            if now >= end {
                return Err(Errno(libc::EAGAIN));
            }
            if !held {
                continue;
            }
            let waited = word | waiters;
            if word != waited
                && self
                    .word
                    .compare_exchange(word, waited, Relaxed, Relaxed)
                    .is_err()
            {
                continue;
            }
            let time = Duration::from_nanos(end - now).min(SLICE);
            self.word.sleep(waited as u32, time);
            // Other threads may sleep as well, so whoever takes the lock now must wake one of them.
            keep = waiters;
            round = patient;
        }
    }

    /// Releases the lock if its word still says `mine`; it may have been given up, or taken from a
    /// holder that did not run. Returns whether somebody waits.
    #[inline(always)]
    fn unlock(&self, mine: u64) -> bool {
        match self.word.compare_exchange(mine, 0, Release, Relaxed) {
            Ok(_) => false,
            Err(now) => self.unlock_late(mine, now),
        }
    }

    /// Releases a lock whose word says `now`, which is not `mine` alone.
    #[cold]
    #[inline(never)]
    fn unlock_late(&self, mine: u64, mut now: u64) -> bool {
        // The kernel has marked the word by mistake: a thread with the same id in another PID
        // namespace was killed where it had announced it.
        let marked = mine >> 32 << 32 | OWNER_DIED as u64;
        while now & HOLDER == mine || now & HOLDER == marked {
            match self.word.compare_exchange(now, 0, Release, Relaxed) {
                Ok(_) => return now as u32 & WAITERS != 0,
                Err(changed) => now = changed,
            }
        }
        false
    }

    #[cold]
    fn wake(&self) {
        self.word.wake_one();
    }
}

/// What a waiting thread has seen of the holder: its word and turn, since when, and when it was
/// last examined.
#[derive(Default)]
struct Holding {
    holder: u64,
    turn: u32,
    since: u64,
    looked: u64,
}

impl Holding {
    /// The kernel says that the holder died. May its process live all the same? It may when only a
    /// thread of it ended with the lock, or when another PID namespace's thread of the same id was
    /// killed and this holder is at work.
    fn may_live(&mut self, holder: u64, turn: u32, peers: &dyn Peers) -> bool {
        let now = below::now_ns(libc::CLOCK_MONOTONIC);
        if (self.holder, self.turn) != (holder, turn) || self.since == 0 {
            *self = Holding {
                holder,
                turn,
                since: now,
                looked: now,
            };
        }
        now.saturating_sub(self.since) < (PROGRAM / 2).as_nanos() as u64
            && peers.is_alive((holder >> 32) as u32) == Some(true)
    }

    /// Is the holder dead, or has it had its time?
    fn has_gone(
        &mut self,
        holder: u64,
        turn: u32,
        now: u64,
        take_after: Option<Duration>,
        peers: &dyn Peers,
    ) -> bool {
        if (self.holder, self.turn) != (holder, turn) || self.since == 0 {
            *self = Holding {
                holder,
                turn,
                since: now,
                looked: now,
            };
            return false;
        }
        let held = Duration::from_nanos(now.saturating_sub(self.since));
        if take_after.is_some_and(|most| held >= most) {
            return true;
        }
        if Duration::from_nanos(now.saturating_sub(self.looked)) < SLICE {
            return false;
        }
        self.looked = now;
        peers.is_alive((holder >> 32) as u32) == Some(false)
    }
}

/// Holds a [`Lock`] until it is dropped. It stays on its thread, because a lock is released by the
/// thread that took it.
#[must_use]
pub struct Guard<'a> {
    /// The lock, or None in a signal handler over a call that holds the lock.
    lock: Option<&'a Lock>,
    /// The robust list of the thread that took it.
    list: List,
    /// What was announced on the thread's robust list before.
    before: usize,
    /// Place at which the thread remembers the lock.
    place: Place,
    /// What the word of the lock says while this guard holds it.
    mine: u64,
}

impl Guard<'_> {
    fn nothing() -> Self {
        Guard {
            lock: None,
            list: Thread::current().list,
            before: 0,
            place: Memory::own().no_place(),
            mine: 0,
        }
    }
}

impl Guard<'_> {
    /// Releases the lock as dropping does, where this is called.
    #[inline(always)]
    pub fn release(self) {
        ManuallyDrop::new(self).end();
    }

    #[inline(always)]
    fn end(&self) {
        if let Some(lock) = self.lock {
            // The child of a handler's fork that returned has its parent's guard, but not its
            // parent's lock.
            let waited = self.list.tid() == self.mine as u32 && lock.unlock(self.mine);
            self.list.restore(self.before);
            self.place.pop();
            if waited {
                // Nobody is woken while the lock is announced: this thread may lose the processor
                // here, and be killed.
                lock.wake();
            }
        }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(not(loom))]
const _: () = assert!(std::mem::size_of::<Lock>() == 16 && std::mem::align_of::<Lock>() == 8);
