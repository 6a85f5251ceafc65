//! The lock of a net between any two instructions: what a signal handler may do there, and what is
//! left when a process is killed, stopped or replaced there.
#![cfg(target_arch = "x86_64")]

mod common;

use common::process::{child, Shared};
use common::steps::{stepped, Stack};
use common::WAIT;
use memtun::{Errno, Net};
use memtun_kernel::NetDir;
use memtun_shm::lock::{self, Guard, Lock, Patience};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Locks as the files of a net have them: those of the net, an interface and a tunnel, in the order
/// in which they nest.
struct Locks {
    outer: Lock,
    middle: Lock,
    inner: Lock,
    other: Lock,
    /// Number of threads that believe that they hold `inner`.
    inside: AtomicU32,
    repairs: AtomicU32,
}

impl Locks {
    fn shared() -> Shared<Locks> {
        // SAFETY: the value consists of locks and atomics, which are valid when zero.
        unsafe { Shared::zeroed() }
    }

    fn take<'l>(
        &self,
        lock: &'l Lock,
        dir: &NetDir,
        patience: Patience,
    ) -> Result<Guard<'l>, Errno> {
        lock.lock(dir, patience, || {
            self.repairs.fetch_add(1, SeqCst);
        })
    }

    /// Takes and releases the locks that a call on a tunnel takes.
    fn call(&self, dir: &NetDir) {
        let guard = self
            .take(&self.inner, dir, Patience::Program)
            .expect("the lock");
        self.inside.fetch_add(1, SeqCst);
        self.inside.fetch_sub(1, SeqCst);
        drop(guard);
    }

    /// Takes and releases the locks that TUNSETIFF takes.
    fn nested_call(&self, dir: &NetDir) {
        let _outer = self
            .outer
            .lock_in_turn(dir, Patience::Program)
            .expect("the net's lock");
        let _middle = self
            .take(&self.middle, dir, Patience::Program)
            .expect("the interface's lock");
        self.call(dir);
    }

    /// Checks that every lock is free, or that its holder is dead, so that it is taken soon.
    fn are_had_soon(&self, dir: &NetDir, when: &str) {
        for (name, lock) in [
            ("outer", &self.outer),
            ("middle", &self.middle),
            ("inner", &self.inner),
            ("other", &self.other),
        ] {
            let begun = Instant::now();
            let taken = self.take(lock, dir, Patience::Driver(Some(WAIT)));
            let time = begun.elapsed();
            assert!(taken.is_ok(), "{when}: {name}: {:?}", taken.err());
            assert!(time < SOON, "{when}: {name} was had after {time:?}");
        }
        assert!(!lock::holds_any(), "{when}: the thread remembers a lock");
    }
}

/// Limit for taking such a lock. A dead holder is found in some 20 ms, and a busy machine may add
/// to that; a lock that is never released would be waited for without end.
const SOON: Duration = Duration::from_secs(1);

/// Every STRIDE-th instruction is looked at, because a debug build has very many.
const STRIDE: usize = if cfg!(debug_assertions) { 61 } else { 1 };

/// Does in the child of a fork(2) what the preloaded library does there.
fn forked(dir: &NetDir) {
    lock::forked();
    dir.forked();
}

fn handlers_take_locks(stack: Stack) {
    let net = Net::temporary().expect("a net");
    let dir = net.dir();
    let locks = Locks::shared();
    let (mut refused, mut had, mut longest) = (0, 0, Duration::ZERO);
    let steps = stepped(stack, || locks.call(dir), &mut |step| {
        let other = locks.take(&locks.other, dir, Patience::Program);
        assert!(
            other.is_ok(),
            "step {step}: another lock: {:?}",
            other.err()
        );
        drop(other);
        let begun = Instant::now();
        match locks.take(&locks.inner, dir, Patience::Program) {
            Ok(_guard) => {
                assert_eq!(locks.inside.load(SeqCst), 0, "step {step}");
                had += 1;
            }
            Err(Errno(libc::EAGAIN)) => refused += 1,
            Err(e) => panic!("step {step}: {e}"),
        }
        let time = begun.elapsed();
        longest = longest.max(time);
        assert!(
            time < Duration::from_millis(500),
            "step {step}: the handler waited for its own thread: {time:?}"
        );
        true
    });
    assert!(
        had > 0 && refused > 0,
        "{had} of {steps} had, {refused} refused"
    );
    locks.are_had_soon(dir, "afterwards");
    assert_eq!(locks.repairs.load(SeqCst), 0, "nobody died");
    eprintln!("{steps} instructions: the same lock was had {had} times, refused {refused} times, longest {longest:?}");
}

#[test]
fn a_handler_between_any_two_instructions_takes_other_locks_and_is_refused_the_same() {
    handlers_take_locks(Stack::Own);
}

#[test]
fn a_handler_on_an_alternate_stack_as_well() {
    handlers_take_locks(Stack::Alternate);
}

#[test]
fn a_child_that_a_handler_forks_takes_locks() {
    let net = Net::temporary().expect("a net");
    let dir = net.dir();
    let locks = Locks::shared();
    let steps = stepped(Stack::Own, || locks.call(dir), &mut |step| {
        let taker = child(|| {
            forked(dir);
            let other = locks.take(&locks.other, dir, Patience::Program).is_ok();
            let begun = Instant::now();
            // The parent may hold the lock while it waits.
            let patience = Patience::Driver(Some(Duration::from_millis(1)));
            let same = locks.take(&locks.inner, dir, patience);
            let known = matches!(same, Ok(_) | Err(Errno(libc::EAGAIN)));
            (!other || !known || begun.elapsed() > Duration::from_millis(500)).into()
        });
        assert_eq!(taker.ended(WAIT).code(), Some(0), "step {step}");
        true
    });
    locks.are_had_soon(dir, "afterwards");
    assert_eq!(locks.repairs.load(SeqCst), 0, "nobody died with a lock");
    assert!(steps > 20, "{steps}");
}

#[test]
fn a_child_that_returns_from_the_handler_leaves_the_lock_usable() {
    let net = Net::temporary().expect("a net");
    let dir = net.dir();
    let locks = Locks::shared();
    let mut at = 0;
    loop {
        let mut returns = None;
        let parent = std::process::id();
        let steps = stepped(Stack::Own, || locks.call(dir), &mut |step| {
            if step < at {
                return true;
            }
            // SAFETY: no guard was leaked.
            unsafe { lock::before_fork() };
            // SAFETY: as for `child`; this child goes on where the handler interrupted its parent.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                forked(dir);
            }
            returns = Some(pid);
            false
        });
        if std::process::id() != parent {
            // The child has ended the call that it was forked in. It takes the lock again, for
            // which it waits for nobody but its parent's call.
            let again = locks.take(&locks.inner, dir, Patience::Program).is_ok();
            // SAFETY: the call takes a number and ends the process.
            unsafe { libc::_exit((!again || lock::holds_any()).into()) };
        }
        let Some(pid) = returns else { break };
        let mut status = 0;
        // SAFETY: waitpid stores one integer.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!(status, 0, "the child of instruction {at}");
        locks.are_had_soon(dir, &format!("a child of instruction {at} of {steps}"));
        at += STRIDE;
    }
    assert!(at > 20, "{at}");
}

/// Runs a nested call in one child for each of its instructions, and ends the child there.
fn ended_at_each_instruction(end: fn(), expected: fn(std::process::ExitStatus) -> bool) -> usize {
    let net = Net::temporary().expect("a net");
    let dir = net.dir();
    let locks = Locks::shared();
    let mut at = 0;
    loop {
        let victim = child(|| {
            forked(dir);
            stepped(Stack::Own, || locks.nested_call(dir), &mut |step| {
                if step == at {
                    end();
                }
                true
            });
            77
        });
        let ended = victim.ended(WAIT);
        if ended.code() == Some(77) {
            break;
        }
        assert!(expected(ended), "{ended}");
        locks.are_had_soon(dir, &format!("instruction {at}"));
        locks.inside.store(0, SeqCst);
        at += STRIDE;
    }
    let repairs = locks.repairs.load(SeqCst);
    assert!(
        at > 20 && repairs > 20,
        "{at} instructions, {repairs} locks taken from the dead"
    );
    eprintln!("{at} instructions, {repairs} locks taken from the dead");
    at
}

#[test]
fn a_process_that_is_killed_at_any_instruction_leaves_no_lock_behind() {
    ended_at_each_instruction(
        || {
            // SAFETY: the call takes numbers and ends the process.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        },
        |ended| ended.signal() == Some(libc::SIGKILL),
    );
}

#[test]
fn a_process_that_executes_another_program_at_any_instruction_leaves_no_lock_behind() {
    fn execute() {
        let program = c"/bin/true";
        let arguments = [program.as_ptr(), std::ptr::null()];
        // SAFETY: the strings are NUL-terminated, and a null pointer ends the list.
        unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
    }
    ended_at_each_instruction(execute, |ended| ended.code() == Some(0));
}

#[test]
fn a_process_that_is_stopped_at_any_instruction_keeps_its_lock_and_stops_nobody_for_long() {
    let net = Net::temporary().expect("a net");
    let dir = net.dir();
    let count = {
        let locks = Locks::shared();
        stepped(Stack::Own, || locks.call(dir), &mut |_| true)
    };
    // Each instruction has a lock of its own, so that all of them are tried at the same time. A
    // debug build has very many instructions.
    let cases: Vec<_> = (0..count)
        .step_by(count.div_ceil(300))
        .filter_map(|at| {
            let locks = Locks::shared();
            let mut stopped = child(|| {
                forked(dir);
                let mut alone = true;
                let work = || {
                    let guard = locks.take(&locks.inner, dir, Patience::Program);
                    if guard.is_ok() {
                        alone &= locks.inside.fetch_add(1, SeqCst) == 0;
                        locks.inside.fetch_sub(1, SeqCst);
                    }
                    drop(guard);
                };
                stepped(Stack::Own, work, &mut |step| {
                    if step == at {
                        // SAFETY: the call takes a number and stops the process.
                        unsafe { libc::raise(libc::SIGSTOP) };
                    }
                    step < at
                });
                (!alone).into()
            });
            stopped.stops().then_some((at, locks, stopped))
        })
        .collect();
    let kept: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = cases
            .into_iter()
            .map(|(at, locks, stopped)| {
                scope.spawn(move || {
                    let begun = Instant::now();
                    let taken = locks.take(&locks.inner, dir, Patience::Program);
                    let time = begun.elapsed();
                    assert!(
                        time < Duration::from_millis(1500),
                        "instruction {at}: waited {time:?}"
                    );
                    let kept = taken.is_err();
                    if taken.is_ok() {
                        locks.inside.fetch_add(1, SeqCst);
                    }
                    stopped.signal(libc::SIGCONT);
                    // A process that could take the lock keeps it until the stopped one has given
                    // up.
                    assert_eq!(
                        stopped.ended(WAIT).code(),
                        Some(0),
                        "two hold the lock: instruction {at} of {count}"
                    );
                    drop(taken);
                    locks.are_had_soon(dir, &format!("instruction {at}"));
                    u32::from(kept)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("a case")).sum()
    });
    eprintln!("{count} instructions, the lock was held at {kept} of them");
    assert!(kept > 3 && (kept as usize) < count, "{kept} of {count}");
}
