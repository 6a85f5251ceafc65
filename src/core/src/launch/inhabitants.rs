//! Processes that run in a net, and waiting for the end of processes that are not children of this
//! one.

use crate::{Deadline, Net};
use memtun_kernel::settings::NET;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;

/// A process that was started in a net, by whomever.
pub struct Inhabitant {
    /// Its process id.
    pub pid: u32,
    /// Its name, as ps(1) shows it.
    pub name: String,
}

/// The processes that were started in the net of this directory, even those that have detached
/// themselves from their parents.
pub fn of_net(dir: &Path) -> Vec<Inhabitant> {
    let Ok(dir) = std::path::absolute(dir) else {
        return Vec::new();
    };
    let wanted = [NET.as_bytes(), b"=", dir.as_os_str().as_bytes()].concat();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = processes.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let path = entry.path();
        let variables = fs::read(path.join("environ")).ok()?;
        let is_in_net = variables.split(|b| *b == 0).any(|entry| entry == wanted);
        (pid != std::process::id() && is_in_net).then(|| {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            let name = name.trim().to_owned();
            Inhabitant { pid, name }
        })
    });
    found.collect()
}

/// Waits until one of these processes has ended. It waits only for a moment when there are none, or
/// when the system cannot tell (Linux before 5.3).
pub fn wait_for_an_end(processes: &[Inhabitant], until: Deadline) {
    let pidfds: Option<Vec<OwnedFd>> = processes.iter().map(|p| pidfd(p.pid)).collect();
    match pidfds.filter(|pidfds| !pidfds.is_empty()) {
        Some(pidfds) => wait_readable(pidfds.iter().map(OwnedFd::as_fd), until),
        None => wait_readable([], Deadline::after(until.nap())),
    }
}

/// A pidfd of the process; `None` when there is no such process any more, or no pidfd_open(2).
fn pidfd(pid: u32) -> Option<OwnedFd> {
    // SAFETY: the call takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    // SAFETY: the call returned a new close-on-exec descriptor, which nobody else owns.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Waits until one of the descriptors is readable or hung up, or `until` is over.
fn wait_readable<'a>(fds: impl IntoIterator<Item = BorrowedFd<'a>>, until: Deadline) {
    let entry = |fd: BorrowedFd<'_>| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries: Vec<libc::pollfd> = fds.into_iter().map(entry).collect();
    loop {
        // One millisecond is added so that the wait does not end before its time.
        let left = until
            .left()
            .map_or(-1, |left| left.as_millis().min(1 << 30) as i32 + 1);
        // SAFETY: `entries` has as many elements as the call is told, and the descriptors are
        // borrowed for its duration.
        let answer =
            unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, left) };
        if answer != -1 || until.is_over() {
            return;
        }
    }
}

/// Wakes those who wait for changes of a net when one of some processes has ended. The watch ends
/// when the value is dropped.
pub(super) struct Watch {
    /// The end of a socket pair whose closing ends the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins a watch; `None` where the end of the processes cannot be watched, so that the caller
    /// has to look by itself.
    pub(super) fn on(net: &Net, pids: impl IntoIterator<Item = u32>) -> Option<Watch> {
        let pidfds: Option<Vec<OwnedFd>> = pids.into_iter().map(pidfd).collect();
        let pidfds = pidfds.filter(|pidfds| !pidfds.is_empty())?;
        let (stop, stopped) = UnixStream::pair().ok()?;
        let net = net.clone();
        let thread = std::thread::Builder::new().name("memtun watch".into());
        let thread = thread.spawn(move || {
            let fds = pidfds.iter().map(OwnedFd::as_fd);
            wait_readable(fds.chain([stopped.as_fd()]), Deadline::NEVER);
            net.wake();
        });
        Some(Watch {
            stop: Some(stop),
            thread: Some(thread.ok()?),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
