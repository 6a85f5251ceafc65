//! What libc has written into a file of the view by itself: a stream that the program has on a
//! descriptor of it, such as standard output behind `>`, is written out with calls of libc's own,
//! past the hooks. What has arrived in the memory file by then is carried out where the program
//! asks whether it was written. Of a descriptor that can be read, too, the time of the last write
//! tells that it was written past the hooks.

use super::{file, names, watched, writing};
use crate::errno::{self, fence};
use crate::process;
use crate::table::{self, mark};
use libc::{c_int, FILE};
use memtun_abi::Errno;
use memtun_sys as sys;

/// Carries out what was written into the memory file behind this descriptor past the hooks.
fn carry_out(fd: c_int) -> Result<(), Errno> {
    let marks = table::marks(fd).unwrap_or(0);
    if marks & mark::WRITES == 0 || !process::owns_memory() {
        return Ok(());
    }
    let reads = marks & mark::READS != 0;
    let st = sys::fstat(fd)?;
    if st.st_size == 0 || reads && !sys::was_written(&st) {
        return Ok(());
    }
    let Some(path) = names::path_of(fd) else {
        return Ok(());
    };
    let mut room = [0; 4096];
    let bytes = file::contents(fd, &mut room)?;
    let end = sys::seek(fd, 0, libc::SEEK_CUR)?;
    sys::cut(fd, 0)?;
    // What was carried out before left a hole.
    let hole = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let (begin, end) = match reads {
        false => (hole, bytes.len()),
        true => {
            sys::forget_write(fd)?;
            // It was written over the text, or behind what was read of it.
            let text = match hole {
                0 => file::length_of_text(&path, bytes),
                hole => hole,
            };
            let end = (end as usize).min(bytes.len());
            (if text < end { text } else { 0 }, end)
        }
    };
    let at = if reads { begin as i64 } else { 0 };
    let bytes = &bytes[begin..end];
    writing::carry_out(&path, bytes, bytes.len(), at).map(drop)
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
    errno::keep(|| watched::unwatch(fd));
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
