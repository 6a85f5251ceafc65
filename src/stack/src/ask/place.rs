//! By which path a socket in the net's directory is made and reached.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_sys::{self as sys, PathBuf};

/// Runs bind(2) or connect(2), as `call`, with a path that leads to `name` in the open directory
/// `dir`, whose own path is `path`. An address of AF_UNIX has room for 107 bytes only, so the path
/// goes through the descriptor; where there is no /proc, it goes through the directory's own path.
///
/// # Errors
///
/// What `call` fails with, and ENAMETOOLONG where neither path can be used.
pub fn in_directory(
    dir: i32,
    path: &[u8],
    name: &PathBuf,
    call: impl Fn(&[u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut short = PathBuf::concat(&[b"/proc/self/fd/"])?;
    short.push_number(dir as u64)?;
    let link = short.cstr().to_bytes().len();
    short.push(b"/")?;
    short.push(name.bytes())?;
    match call(short.bytes()) {
        Err(e @ Errno(libc::ENOENT | libc::EACCES)) => {
            short.truncate(link);
            if sys::fstatat(libc::AT_FDCWD, short.cstr(), 0).is_ok() {
                return Err(e);
            }
            call(PathBuf::concat(&[path, b"/", name.bytes()])?.bytes())
        }
        called => called,
    }
}
