//! What libc has written into a file of the view by itself: a stream that the program has on a
//! descriptor of it, such as standard output behind `>`, is written out with calls of libc's own,
//! past the hooks. What has arrived in the memory file by then is carried out where the program
//! asks whether it was written.

use super::file;
use crate::errno::{self, fence};
use crate::process;
use crate::table::{self, mark};
use libc::{c_int, FILE};
use memtun_abi::Errno;
use memtun_sys as sys;

/// Carries out what was written into the memory file behind this descriptor past the hooks.
fn carry_out(fd: c_int) -> Result<(), Errno> {
    let writes_only = |marks: u32| marks & (mark::WRITES | mark::READS) == mark::WRITES;
    if !table::marks(fd).is_some_and(writes_only) || !process::owns_memory() {
        return Ok(());
    }
    let length = sys::fstat(fd)?.st_size;
    if length == 0 {
        return Ok(());
    }
    let Some(path) = file::path_of(fd) else {
        return Ok(());
    };
    let mut room = [0; 4096];
    let bytes = file::contents(fd, &mut room)?;
    sys::empty(fd)?;
    // What was carried out before left a hole.
    let begin = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    file::carry_out(&path, &bytes[begin..], 0).map(drop)
}

/// Called after fflush(3) of a stream, with its answer; returns the answer to give.
#[cold]
pub fn flushed(stream: *mut FILE, answer: c_int) -> c_int {
    if stream.is_null() {
        return answer;
    }
    // SAFETY: the stream is the caller's, which has just flushed it.
    let fd = errno::keep(|| unsafe { libc::fileno(stream) });
    match errno::keep(|| fence(|| carry_out(fd))) {
        Ok(()) => answer,
        Err(e) => {
            /// Bit of glibc's `_flags`, the first word of a stream, that says that it has failed.
            const SEEN_ERROR: c_int = 0x20;
            // SAFETY: the stream is open, and its first word keeps its place and its values.
            unsafe { *stream.cast::<c_int>() |= SEEN_ERROR };
            errno::set(e.0);
            -1
        }
    }
}

/// Called before a descriptor is closed or replaced; what is left is carried out. Returns what the
/// close of a stream fails with.
#[cold]
pub fn closing(fd: c_int) -> Result<(), Errno> {
    let answer = errno::keep(|| fence(|| carry_out(fd)));
    if process::owns_memory() {
        table::unmark(fd);
    }
    answer
}

/// Called before a descriptor of the view may be replaced by another file: what is left is carried
/// out. The mark stays, because the replacement may fail.
#[cold]
pub fn replacing(fd: c_int) {
    let _ = errno::keep(|| fence(|| carry_out(fd)));
}
