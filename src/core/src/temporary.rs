//! Nets without a name of their own: where they are made, what they are called, and how those that nobody removed go.
//!
//! `BASE/memtun-UID-PID-TIME`: made for process PID, which was running at TIME (CLOCK_BOOTTIME, nanoseconds). The process
//! may have been killed; then the next one that makes such a net removes it, if no tunnel in it is alive.

use crate::netdir::{NetDir, NoTunnels};
use crate::sys::{self, PathBuf};
use crate::Errno;

const PREFIX: &[u8] = b"memtun-";

/// The first of /dev/shm, $XDG_RUNTIME_DIR and $TMPDIR that is a directory to write in, else /tmp.
pub fn base_directory(variable: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    let candidates = [
        Some(b"/dev/shm".to_vec()),
        variable("XDG_RUNTIME_DIR"),
        variable("TMPDIR"),
    ];
    let usable = |path: &Vec<u8>| {
        path.first() == Some(&b'/')
            && PathBuf::concat(&[path, b"/."])
                .is_ok_and(|p| sys::access(p.cstr(), libc::W_OK | libc::X_OK).is_ok())
    };
    candidates
        .into_iter()
        .flatten()
        .find(usable)
        .unwrap_or_else(|| b"/tmp".to_vec())
}

/// A name for a net of this process, and of no other.
pub fn name(base: &[u8]) -> Result<PathBuf, Errno> {
    let mut path = PathBuf::concat(&[base, b"/", PREFIX])?;
    path.push_number(sys::effective_uid() as u64)?;
    path.push(b"-")?;
    path.push_number(sys::getpid() as u64)?;
    path.push(b"-")?;
    path.push_number(sys::now_ns(libc::CLOCK_BOOTTIME))?;
    Ok(path)
}

/// Is the process that a net was named for still running? None when the name is not of that form.
pub fn owner_is_alive(path: &[u8]) -> Option<bool> {
    let name = path.rsplit(|b| *b == b'/').next()?.strip_prefix(PREFIX)?;
    let mut numbers = name
        .split(|b| *b == b'-')
        .map(|n| std::str::from_utf8(n).ok()?.parse::<u64>().ok());
    let (_uid, pid, time) = (numbers.next()??, numbers.next()??, numbers.next()??);
    match start_of(pid) {
        None => Some(false),
        // A process that began later has only the same number. One tick of tolerance: starts are counted in those.
        Some(start) => Some(start <= time.saturating_add(10_000_000)),
    }
}

/// When a process began, nanoseconds of CLOCK_BOOTTIME (field 22 of /proc/PID/stat, in ticks of 10 ms).
fn start_of(pid: u64) -> Option<u64> {
    let mut path = PathBuf::concat(&[b"/proc/"]).ok()?;
    path.push_number(pid).ok()?;
    path.push(b"/stat").ok()?;
    let fd = match sys::open_internal(path.cstr(), libc::O_RDONLY, 0) {
        Ok(fd) => fd,
        // Without /proc nobody can tell; then it counts as running.
        Err(_) if sys::access(c"/proc/self/stat", libc::R_OK).is_err() => return Some(0),
        Err(_) => return None,
    };
    let mut buf = [0u8; 1024];
    let n = sys::read(fd.raw(), &mut buf).ok()?;
    // The name in field 2 may hold anything; fields are counted behind its closing parenthesis.
    let rest = &buf[buf[..n].iter().rposition(|b| *b == b')')? + 1..n];
    let ticks: u64 = std::str::from_utf8(rest)
        .ok()?
        .split_ascii_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    Some(ticks * 10_000_000)
}

/// Removes nets of this user under `base` whose process is gone and in which nothing lives.
pub fn sweep(base: &[u8]) {
    let Ok(dir) = PathBuf::concat(&[base]) else {
        return;
    };
    let Ok(fd) = sys::open_internal(dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0) else {
        return;
    };
    let mut mine = PREFIX.to_vec();
    mine.extend_from_slice(format!("{}-", sys::effective_uid()).as_bytes());
    let mut stale = Vec::new();
    let _ = sys::each_entry(fd.raw(), |entry| {
        if entry.to_bytes().starts_with(&mine) {
            let path = [base, b"/", entry.to_bytes()].concat();
            if owner_is_alive(&path) == Some(false) {
                stale.push(path);
            }
        }
        true
    });
    for path in stale {
        if let Ok(net) = NetDir::open(&path) {
            net.remove_if_idle(&NoTunnels);
        } else if let Ok(dir) = PathBuf::concat(&[&path]) {
            // Made, but its process died before the first file was in it.
            let _ = sys::unlink(dir.cstr(), libc::AT_REMOVEDIR);
        }
    }
}
