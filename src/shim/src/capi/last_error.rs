//! The sentence of the calling thread's last error.

use libc::c_char;
use std::cell::Cell;

const ROOM: usize = 1024;

thread_local! {
    // Without a destructor: it may be asked for while the thread ends.
    static LAST: Cell<[u8; ROOM]> = const { Cell::new([0; ROOM]) };
    static LOST: Cell<u64> = const { Cell::new(0) };
}

/// Keeps a sentence, cut where it is longer than any sensible one.
pub fn keep(sentence: &str, lost: u64) {
    let mut end = sentence.len().min(ROOM - 1);
    while !sentence.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = [0; ROOM];
    bytes[..end].copy_from_slice(&sentence.as_bytes()[..end]);
    let _ = LAST.try_with(|last| last.set(bytes));
    let _ = LOST.try_with(|last| last.set(lost));
}

/// What the calling thread's last failed call said: a sentence with the remedy, in UTF-8, without a full stop
/// or newline. Empty when none has failed. Yours until the next call of this thread.
#[no_mangle]
pub extern "C" fn memtun_last_error() -> *const c_char {
    LAST.try_with(|last| last.as_ptr() as *const c_char)
        .unwrap_or(c"".as_ptr())
}

/// How many packets the calling thread's last failed call told of, if that was -ENOBUFS of a reader that was
/// overtaken; else 0.
#[no_mangle]
pub extern "C" fn memtun_last_lost() -> u64 {
    LOST.try_with(Cell::get).unwrap_or(0)
}
