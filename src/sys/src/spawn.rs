//! A process that has nothing to do with the one that starts it.
//!
//! The caller may be any program at any point: a thread among many, a signal handler, a child of
//! vfork(2). So nothing is allocated, no handler of fork(3) runs, and the program never sees a
//! child: the new process has a parent that is gone at once, and which sends no signal. Where the
//! program would get the orphan, its parent stays, see [`keeper`].

mod keeper;

use super::{change_mask, check, close, map_private, pipe, syscall, unmap, Fd};
use crate::Errno;
use std::ffi::CStr;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Most arguments, and most entries of the environment.
pub const MOST_WORDS: usize = 15;

type Words = [*const libc::c_char; MOST_WORDS + 1];

/// What the new processes are told. They share the memory of the caller, who waits meanwhile.
struct Job {
    file: *const libc::c_char,
    arguments: Words,
    environment: Words,
    /// Where the stack of the inner process ends.
    inner_stack: usize,
    /// What becomes standard output, or -1.
    output: i32,
    /// Does it have the caller's standard error?
    keeps_errors: bool,
    /// Where a process that stays in between tells the errno, or -1: nobody stays.
    report: i32,
    /// The process that stays in between, 0 for none.
    keeper: AtomicI32,
    /// Why the program was not started, 0 when it was.
    errno: AtomicI32,
}

const STACK: usize = 64 << 10;

/// Starts the program `file`, an absolute path, with these arguments (the first is its name) and
/// this environment, and returns when it has been loaded. It has a session of its own without a
/// terminal, the root as working directory, no descriptors but /dev/null as its standard streams,
/// no blocked or ignored signals, limits that are as wide as they may be, and init(1), or a reaper
/// in its place, as its parent. Where the caller is that itself, its parent is a process of a page
/// of memory, which the caller has as a child that sends no signal.
///
/// Its standard output is a pipe, whose other end is returned: that is at its end (POLLHUP) when
/// the program has closed its standard output or has ended. None says that there was no descriptor
/// to be had; then /dev/null stands there, too. Its standard error is the caller's if it
/// `keeps_errors`.
///
/// # Errors
///
/// - E2BIG when there are more than [`MOST_WORDS`] words.
/// - EAGAIN when RLIMIT_NPROC allows no other process.
/// - What execve(2) fails with, for example EACCES.
pub fn spawn_apart(
    file: &CStr,
    arguments: &[&CStr],
    environment: &[&CStr],
    keeps_errors: bool,
) -> Result<Option<Fd>, Errno> {
    let words = |given: &[&CStr]| -> Result<Words, Errno> {
        let mut words = [std::ptr::null(); MOST_WORDS + 1];
        if given.len() > MOST_WORDS {
            return Err(Errno(libc::E2BIG));
        }
        for (to, word) in words.iter_mut().zip(given) {
            *to = word.as_ptr();
        }
        Ok(words)
    };
    let (told, output) = match pipe() {
        Ok((told, output)) => (Some(told), Some(output)),
        Err(_) => (None, None),
    };
    let reported = match keeper::adopts_orphans() {
        true => pipe().ok(),
        false => None,
    };
    let (reported, report) = reported.unzip();
    let stack = map_private(STACK, libc::PROT_READ | libc::PROT_WRITE)?;
    let job = words(arguments).and_then(|arguments| {
        Ok(Job {
            file: file.as_ptr(),
            arguments,
            environment: words(environment)?,
            inner_stack: stack as usize + STACK / 2,
            output: output.as_ref().map_or(-1, Fd::raw),
            keeps_errors,
            report: report.as_ref().map_or(-1, Fd::raw),
            keeper: AtomicI32::new(0),
            errno: AtomicI32::new(0),
        })
    });
    let done = job.and_then(|job| {
        // No handler of the program's may run on the new stacks.
        let before = change_mask(libc::SIG_SETMASK, u64::MAX)?;
        // SAFETY: the stack is a mapping of this function's own, and `job` lives until the clone
        // has ended or has executed a program, because of CLONE_VFORK.
        let outer = unsafe { clone_on(stack as usize + STACK, outer, &raw const job as usize) };
        if let Ok(pid) = outer {
            reap(pid);
        }
        drop((output, report));
        let _ = change_mask(libc::SIG_SETMASK, before);
        outer?;
        keeper::has_started(job.keeper.load(SeqCst));
        let told_errno = reported.as_ref().and_then(report_of);
        match told_errno.unwrap_or(job.errno.load(SeqCst)) {
            0 => Ok(told),
            errno => Err(Errno(errno)),
        }
    });
    // SAFETY: this function has made the mapping, and both processes that ran on it have gone or
    // have another memory.
    unsafe { unmap(stack, STACK) };
    done
}

/// Returns what the process that stays in between has reported, when it has started the other one.
fn report_of(reported: &Fd) -> Option<i32> {
    let mut fds = [libc::pollfd {
        fd: reported.raw(),
        events: libc::POLLIN,
        revents: 0,
    }];
    let mut errno = [0; 4];
    let begin = super::now_ns(libc::CLOCK_MONOTONIC);
    loop {
        let passed = Duration::from_nanos(super::now_ns(libc::CLOCK_MONOTONIC) - begin);
        match super::poll(&mut fds, Some(REPORT.saturating_sub(passed))) {
            Err(Errno(libc::EINTR)) => {}
            Ok(1..) => {
                return (super::read(reported.raw(), &mut errno) == Ok(4))
                    .then(|| i32::from_ne_bytes(errno))
            }
            _ => return None,
        }
    }
}

/// How long a process that stays in between may take to start the other one.
const REPORT: Duration = Duration::from_secs(2);

/// Waits for a child that sends no signal (wait4(2) with __WALL).
fn reap(pid: i32) {
    loop {
        let args = [pid as usize, 0, libc::__WALL as usize, 0, 0, 0];
        // SAFETY: without room for a status wait4(2) touches no memory.
        match check(unsafe { syscall(libc::SYS_wait4, args) }) {
            Err(Errno(libc::EINTR)) => {}
            _ => return,
        }
    }
}

/// The outer process: it leaves what it has inherited, starts the inner one and ends.
extern "C" fn outer(job: usize) -> ! {
    // SAFETY: the caller's `spawn_apart` passes the address of its job and waits.
    let job = unsafe { &*(job as *const Job) };
    let mut stays = false;
    if job.report >= 0 {
        // SAFETY: this process has one thread, uses system calls only, and never returns.
        match unsafe { keeper::copy() } {
            Ok(0) => stays = true,
            Ok(pid) => {
                job.keeper.store(pid, SeqCst);
                exit(0)
            }
            // The other one becomes an orphan instead.
            Err(_) => {}
        }
    }
    leave_descriptors(job.output, job.report, job.keeps_errors);
    // SAFETY: setsid(2) touches no memory; chdir(2) reads a NUL-terminated string.
    unsafe {
        syscall(libc::SYS_setsid, [0; 6]);
        syscall(libc::SYS_chdir, [c"/".as_ptr() as usize, 0, 0, 0, 0, 0]);
    }
    // SAFETY: the lower half of the caller's stack is used by nobody else, and the job lives on.
    let inner = unsafe { clone_on(job.inner_stack, inner, &raw const *job as usize) };
    if let Err(e) = inner {
        job.errno.store(e.0, SeqCst);
    }
    if stays {
        let _ = super::write(REPORT_AT, &job.errno.load(SeqCst).to_ne_bytes());
        leave_descriptors(-1, -1, false);
        // SAFETY: this is the copy: it has one thread, its memory is its own since the inner one
        // has executed a program or has ended, and the caller has blocked all signals.
        unsafe { keeper::keep() }
    }
    exit(0)
}

/// The inner process: it becomes the program.
extern "C" fn inner(job: usize) -> ! {
    // SAFETY: the outer process passes the address of the job and waits.
    let job = unsafe { &*(job as *const Job) };
    for signal in 1..=64 {
        super::default_action(signal);
    }
    let _ = change_mask(libc::SIG_SETMASK, 0);
    // The limits of the one who starts it are not meant for it; too little memory would keep it
    // from being loaded.
    super::widen_limits();
    // These get the numbers up to 2 that are free. Where there is no /dev/null, the program begins
    // without.
    while let Ok(fd) = super::open(c"/dev/null", libc::O_RDWR, 0) {
        if fd.raw() > STREAMS {
            break;
        }
        let _ = fd.into_raw();
    }
    let args = [
        job.file as usize,
        job.arguments.as_ptr() as usize,
        job.environment.as_ptr() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the file, the lists and their words are NUL-terminated, and live as long as the
    // caller of `spawn_apart` waits.
    let answer = unsafe { syscall(libc::SYS_execve, args) };
    job.errno.store(-answer as i32, SeqCst);
    exit(127)
}

/// The last one of the standard streams.
const STREAMS: i32 = libc::STDERR_FILENO;

/// Closes every descriptor of this process but two, unless they are -1: `output` becomes standard
/// output; `report` gets the number [`REPORT_AT`], and is closed by execve(2). Standard error may
/// stay.
fn leave_descriptors(output: i32, report: i32, keeps_errors: bool) {
    // The two may have numbers that others are to get.
    let report = super::fd::duplicate_from(report, REPORT_AT, true).map_or(-1, Fd::into_raw);
    let put = |fd: i32, at: i32, flags: i32| {
        if fd < 0 {
            // SAFETY: the descriptors are copies that only this new process has, and nobody uses
            // the one that is closed or replaced.
            let _ = unsafe { close(at) };
        } else if fd != at {
            // SAFETY: as above.
            let _ = unsafe { super::duplicate_onto(fd, at, flags) };
        } else if flags == 0 {
            // dup3(2) would leave it to be closed by execve(2).
            let _ = super::fd::keep_on_exec(fd);
        }
    };
    put(output, libc::STDOUT_FILENO, 0);
    put(report, REPORT_AT, libc::O_CLOEXEC);
    put(-1, libc::STDIN_FILENO, 0);
    let errors = if keeps_errors {
        libc::STDERR_FILENO
    } else {
        -1
    };
    put(errors, libc::STDERR_FILENO, 0);
    let from = REPORT_AT + 1;
    let all = [from as usize, u32::MAX as usize, 0, 0, 0, 0];
    // SAFETY: as above.
    if check(unsafe { syscall(libc::SYS_close_range, all) }).is_err() {
        // The kernel is older than 5.9.
        let mut limit = libc::rlimit64 {
            rlim_cur: 0,
            rlim_max: 0,
        };
        let _ = super::fs::prlimit(libc::RLIMIT_NOFILE as i32, None, Some(&mut limit));
        for fd in from..limit.rlim_cur.clamp(1024, 65536) as i32 {
            // SAFETY: as above.
            let _ = unsafe { close(fd) };
        }
    }
}

/// The number of the descriptor for reports, behind the standard streams.
const REPORT_AT: i32 = STREAMS + 1;

fn exit(status: usize) -> ! {
    loop {
        // SAFETY: exit_group(2) touches no memory, and this process has one thread.
        unsafe { syscall(libc::SYS_exit_group, [status, 0, 0, 0, 0, 0]) };
    }
}

/// Runs `run` in a new process on the stack that ends at `stack`, in the memory of this one, which
/// waits until the new one has executed a program or has ended (clone(2) with CLONE_VM and
/// CLONE_VFORK). The new process sends no signal at its end. Returns its id.
///
/// # Safety
///
/// The stack must be nobody else's, and what `argument` points to must live until the return.
unsafe fn clone_on(
    stack: usize,
    run: extern "C" fn(usize) -> !,
    argument: usize,
) -> Result<i32, Errno> {
    let flags = (libc::CLONE_VM | libc::CLONE_VFORK) as usize;
    let answer: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the new process begins on a stack of its own and never comes back from `run`. This
    // process goes on behind the instruction with all registers as they were but those that the
    // kernel changes.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, {argument}",
            "call {run}",
            "ud2",
            "2:",
            argument = in(reg) argument,
            run = in(reg) run,
            inout("rax") libc::SYS_clone as isize => answer,
            in("rdi") flags,
            in("rsi") stack,
            in("rdx") 0,
            in("r10") 0,
            in("r8") 0,
            out("rcx") _,
            out("r11") _,
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, {argument}",
            "blr {run}",
            "brk 1",
            "2:",
            argument = in(reg) argument,
            run = in(reg) run,
            in("x8") libc::SYS_clone,
            inout("x0") flags as isize => answer,
            in("x1") stack,
            in("x2") 0,
            in("x3") 0,
            in("x4") 0,
            out("x30") _,
        );
    }
    check(answer).map(|pid| pid as i32)
}
