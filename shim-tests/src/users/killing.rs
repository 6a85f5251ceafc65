//! Runs processes that die where nobody expects it.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Runs a program and kills it when it has made `calls` system calls. Returns true when it had
/// ended before that.
#[allow(
    clippy::zombie_processes,
    reason = "one that has ended by itself was waited for by number"
)]
pub fn killed_at_call(command: &mut Command, calls: u32) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: one system call is made between fork and exec, which asks the parent to trace.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.spawn().expect("the program starts");
    let pid = child.id() as i32;
    // The program stops as soon as it is loaded, and then at the beginning and at the end of each
    // call.
    for stop in 0..=2 * calls {
        let mut status = 0;
        // SAFETY: the child is this thread's, and nobody else waits for it.
        let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!(waited, pid, "{}", std::io::Error::last_os_error());
        if !libc::WIFSTOPPED(status) {
            return true;
        }
        if stop < 2 * calls {
            // SAFETY: the child is stopped, and this thread traces it.
            unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0) };
        }
    }
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    false
}
