//! Runs a command that cannot outlive its time.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Debug)]
pub enum Ended {
    /// The command ended by itself.
    Exited(ExitStatus),
    /// Its process group was killed after this time.
    TimedOut(Duration),
}

impl Ended {
    /// Did it exit with status 0?
    pub fn success(&self) -> bool {
        matches!(self, Ended::Exited(status) if status.success())
    }

    /// Its exit status; `None` if a signal or the watchdog ended it.
    pub fn code(&self) -> Option<i32> {
        match self {
            Ended::Exited(status) => status.code(),
            Ended::TimedOut(_) => None,
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Exited(status) => match status.signal() {
                Some(libc::SIGALRM) => write!(f, "ended by its own watchdog (SIGALRM)"),
                _ => write!(f, "{status}"),
            },
            Ended::TimedOut(limit) => write!(f, "killed after {} s", limit.as_secs()),
        }
    }
}

/// The result of a command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How the command ended.
    pub ended: Ended,
    /// Its standard output, including what came before it was killed.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `command` in a process group of its own for at most `limit`. Its output goes through files
/// in `dir`, so that a descendant that keeps them open cannot hold up the test.
pub fn run(command: &mut Command, dir: &Path, limit: Duration) -> io::Result<Finished> {
    let (out, err) = (dir.join("stdout"), dir.join("stderr"));
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()?;
    let in_time = wait_at_most(&child, limit);
    kill_group(&child);
    let status = child.wait()?;
    let ended = if in_time? {
        Ended::Exited(status)
    } else {
        Ended::TimedOut(limit)
    };
    let text = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Finished {
        ended,
        stdout: text(&out)?,
        stderr: text(&err)?,
    })
}

/// Waits for the end of a child. Returns true when it has ended (it is not reaped yet), and false
/// when the time is over.
pub fn wait_at_most(child: &Child, limit: Duration) -> io::Result<bool> {
    // SAFETY: pidfd_open takes two integers, and the child is not reaped yet, so the process id is
    // still its own.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id() as libc::c_long, 0) }
        as libc::c_int;
    if pidfd < 0 {
        return Err(io::Error::last_os_error());
    }
    let deadline = Instant::now() + limit;
    let result = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut poll = libc::pollfd {
            fd: pidfd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `poll` is one valid pollfd for the whole call.
        match unsafe { libc::poll(&mut poll, 1, left.as_millis() as libc::c_int) } {
            0 => break Ok(false),
            1 => break Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => break Err(error),
            },
        }
    };
    // SAFETY: the descriptor was opened above and is used by nobody else.
    unsafe { libc::close(pidfd) };
    result
}

/// Kills what is left of the group. The child is not reaped yet, so the group id cannot belong to
/// anybody else.
fn kill_group(child: &Child) {
    // SAFETY: kill takes two integers.
    unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
}
