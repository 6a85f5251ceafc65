//! The program as a child: signals are passed on to it, its end is waited for, and its status
//! becomes that of the command.

use crate::failure::{plain, say, Failure};
use rustix::process::{kill_process, Pid, Signal};
use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::SignalsInfo;
use signal_hook::low_level::siginfo::Cause;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};

/// The signals that are passed on to the program instead of ending this command.
const FORWARDED: &[i32] = &[
    SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT,
];

/// Signals that are kept until the program is there to get them.
pub struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// Begins to catch the signals. Those that this command was started to ignore, for example by
    /// nohup(1), stay ignored, and the program ignores them, too.
    pub fn catch() -> Result<Signals, Failure> {
        let caught = FORWARDED
            .iter()
            .copied()
            .filter(|signal| !is_ignored(*signal))
            .chain([SIGCHLD]);
        let signals = SignalsInfo::<WithOrigin>::new(caught);
        signals
            .map(Signals)
            .map_err(|e| Failure::not_done(format!("cannot catch signals: {}", plain(&e))))
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action sigaction(2) only fills in the old one, for which there is room.
    let answer = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: a sigaction of zeroes is valid, so it is initialised whether or not the call filled
    // it in.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// The status with which the program ended.
pub struct Ended(ExitStatus);

impl Ended {
    /// Returns the program's own status, or 128+N for signal N, as a shell does.
    pub fn exit_code(&self) -> ExitCode {
        let status = self
            .0
            .code()
            .or_else(|| self.0.signal().map(|s| 128 + s))
            .unwrap_or(1);
        ExitCode::from(status as u8)
    }
}

/// Starts the program, and returns when it has ended.
pub fn run(mut command: Command, program: &OsStr, mut signals: Signals) -> Result<Ended, Failure> {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec `end_with` makes only system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || end_with(parent));
    }
    let mut child = command.spawn().map_err(|e| not_started(program, &e))?;
    let pid = Pid::from_child(&child);
    loop {
        // One thread handles signals and the child's end, so that no signal goes to a process id
        // that has just been given to another process.
        for origin in signals.0.wait() {
            if origin.signal == SIGCHLD {
                if let Some(status) = child
                    .try_wait()
                    .map_err(|e| Failure::io("waiting for the program", &e))?
                {
                    return Ok(Ended(status));
                }
            } else if origin.cause != Cause::Kernel {
                forward(pid, origin.signal);
            }
            // A signal of the terminal's keys has reached the program already, which is in the same
            // process group.
        }
    }
}

fn forward(pid: Pid, number: i32) {
    if let Some(signal) = Signal::from_named_raw(number) {
        if let Err(e) = kill_process(pid, signal) {
            say(&format!(
                "cannot pass signal {number} on to the program: {e}"
            ));
        }
    }
}

/// Makes the kernel kill the program when this command ends. Whoever kills this command with a
/// signal that it cannot pass on means the program.
fn end_with(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

/// Returns the failure of a start that the examination of the program did not foresee.
fn not_started(program: &OsStr, e: &io::Error) -> Failure {
    let shown = program.to_string_lossy();
    let text = format!("{shown}: cannot be executed: {}", plain(e));
    let missing = e.raw_os_error() == Some(libc::ENOENT);
    Failure::with_status(if missing { 127 } else { 126 }, text)
}
