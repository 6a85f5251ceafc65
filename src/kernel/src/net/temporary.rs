//! Nets without a name of their own: where they are made and what they are called.
//!
//! Such a net is called `BASE/memtun-UID-PID-RANDOM`. The name is for people: a mark in the net
//! makes it go with its last member, see [`crate::net`].
#![forbid(unsafe_code)]

use crate::sys::{self, PathBuf};
use crate::Errno;

const PREFIX: &[u8] = b"memtun-";

/// Returns the directory for nets without a name: the first of /dev/shm, $XDG_RUNTIME_DIR and
/// $TMPDIR in which the caller may write, or else /tmp. `variable` returns the value of an
/// environment variable.
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

/// Returns a new path under `base` for a net of this process.
///
/// # Errors
///
/// ENAMETOOLONG when the path is too long.
pub fn name(base: &[u8]) -> Result<PathBuf, Errno> {
    let mut path = PathBuf::concat(&[base, b"/"])?;
    path.push(prefix()?.bytes())?;
    path.push_number(sys::getpid() as u64)?;
    path.push(b"-")?;
    path.push_number(sys::random())?;
    Ok(path)
}

/// Makes the beginning of such names, `memtun-UID-`.
fn prefix() -> Result<PathBuf, Errno> {
    let mut prefix = PathBuf::concat(&[PREFIX])?;
    prefix.push_number(sys::effective_uid() as u64)?;
    prefix.push(b"-")?;
    Ok(prefix)
}

/// Removes the nets of this user under `base` that have no name of their own and in which nobody
/// lives.
pub fn sweep(base: &[u8]) {
    if let (Ok(base), Ok(prefix)) = (PathBuf::concat(&[base]), prefix()) {
        super::sweep_base(base.cstr(), prefix.bytes());
    }
}
