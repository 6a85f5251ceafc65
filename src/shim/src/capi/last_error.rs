//! The sentence and the kind of the calling thread's last error.

use libc::{c_char, c_int};
use memtun_abi::{Error, ErrorKind};
use std::cell::Cell;

const ROOM: usize = 1024;

thread_local! {
    // The cell has no destructor, because it may be asked for while the thread ends.
    static LAST: Cell<[u8; ROOM]> = const { Cell::new([0; ROOM]) };
    static LOST: Cell<u64> = const { Cell::new(0) };
    static KIND: Cell<c_int> = const { Cell::new(Kind::None as c_int) };
}

/// What sort of thing went wrong. Kinds are only ever added: treat those that you do not know as
/// MEMTUN_KIND_OTHER.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum Kind {
    /// No call of this thread has failed.
    None = 0,
    /// It is something else, and the errno says what.
    Other = 1,
    /// It did not happen in time.
    Timeout = 2,
    /// It cannot happen any more: every program that could do it has ended.
    Ended = 3,
    /// The interface, or the net, is gone.
    Gone = 4,
    /// The reader was overtaken; memtun_error_lost says by how many packets.
    Lost = 5,
    /// The link is down, or has no carrier.
    LinkDown = 6,
    /// The read queue stayed full, or the capturer stayed behind.
    Full = 7,
    /// No program is attached to the interface.
    NotAttached = 8,
    /// The packet is larger than the MTU.
    TooLarge = 9,
    /// The caller may not do it.
    Denied = 10,
    /// The value can never be right.
    Invalid = 11,
    /// There is no such thing.
    NotFound = 12,
}

fn kind(kind: ErrorKind) -> Kind {
    match kind {
        ErrorKind::Timeout => Kind::Timeout,
        ErrorKind::Ended => Kind::Ended,
        ErrorKind::Gone => Kind::Gone,
        ErrorKind::Lost { .. } => Kind::Lost,
        ErrorKind::LinkDown => Kind::LinkDown,
        ErrorKind::Full => Kind::Full,
        ErrorKind::NotAttached => Kind::NotAttached,
        ErrorKind::TooLarge => Kind::TooLarge,
        ErrorKind::Denied => Kind::Denied,
        ErrorKind::Invalid => Kind::Invalid,
        ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Other,
    }
}

/// Keeps what an error says for this thread. A sentence that is longer than any sensible one is
/// cut.
pub fn keep(error: &Error) {
    let sentence = error.to_string();
    let mut end = sentence.len().min(ROOM - 1);
    while !sentence.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = [0; ROOM];
    bytes[..end].copy_from_slice(&sentence.as_bytes()[..end]);
    let _ = LAST.try_with(|last| last.set(bytes));
    let _ = LOST.try_with(|last| last.set(error.lost()));
    let _ = KIND.try_with(|last| last.set(kind(error.kind()) as c_int));
}

/// The sentence of the calling thread's last failed call, with the remedy, without a full stop or
/// newline. It is empty when none has failed. The text is valid until this thread's next call of
/// the library, or until its end; do not free it.
#[no_mangle]
pub extern "C" fn memtun_error_text() -> *const c_char {
    LAST.try_with(|last| last.as_ptr() as *const c_char)
        .unwrap_or(c"".as_ptr())
}

/// The kind of the calling thread's last failed call, a memtun_kind. It tells apart what the errno
/// does not: EAGAIN stands both for a packet that did not come and for a queue that stayed full.
#[no_mangle]
pub extern "C" fn memtun_error_kind() -> c_int {
    KIND.try_with(Cell::get).unwrap_or(Kind::None as c_int)
}

/// The number of packets that the reader lost in the calling thread's last failed call, if its kind
/// was MEMTUN_KIND_LOST; else 0.
#[no_mangle]
pub extern "C" fn memtun_error_lost() -> u64 {
    LOST.try_with(Cell::get).unwrap_or(0)
}
