//! Processes that run in a net, and waiting for the end of processes that are nobody's children
//! here.

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
    /// Its number.
    pub pid: u32,
    /// Its name, as ps(1) has it.
    pub name: String,
}

/// Those that were started in the net of this directory, however far they have removed themselves
/// from their parents.
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

/// Waits until one of these processes has ended, or for a moment where there are none, or the
/// system does not say so (Linux before 5.3).
pub fn wait_for_an_end(processes: &[Inhabitant], until: Deadline) {
    let pidfds: Option<Vec<OwnedFd>> = processes.iter().map(|p| pidfd(p.pid)).collect();
    match pidfds.filter(|pidfds| !pidfds.is_empty()) {
        Some(pidfds) => wait_readable(pidfds.iter().map(OwnedFd::as_fd), until),
        None => wait_readable([], Deadline::after(until.nap())),
    }
}

/// None when there is no such process any more, or no pidfd_open(2).
fn pidfd(pid: u32) -> Option<OwnedFd> {
    // SAFETY: takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    // SAFETY: a new descriptor, close-on-exec, that nobody else has.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Waits until one of the descriptors is readable or hung up.
fn wait_readable<'a>(fds: impl IntoIterator<Item = BorrowedFd<'a>>, until: Deadline) {
    let entry = |fd: BorrowedFd<'_>| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries: Vec<libc::pollfd> = fds.into_iter().map(entry).collect();
    loop {
        // A millisecond more, so that it does not end before its time.
        let left = until
            .left()
            .map_or(-1, |left| left.as_millis().min(1 << 30) as i32 + 1);
        // SAFETY: so many entries of descriptors that are borrowed meanwhile.
        let answer =
            unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, left) };
        if answer != -1 || until.is_over() {
            return;
        }
    }
}

/// Wakes those who wait for changes of a net when one of some processes has ended. Ends with the
/// value.
pub(super) struct Watch {
    /// Closing it ends the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// None where that cannot be known: then somebody has to look.
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
