//! Memory for one packet while it is put together: each thread keeps what it has used, and no
//! connection any.
#![forbid(unsafe_code)]

use std::cell::RefCell;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Packets that are put together at the same time, one within the other.
const MOST: usize = 4;

/// Takes some, with nothing in it.
pub(crate) fn take() -> Vec<u8> {
    let free = FREE.try_with(|free| free.borrow_mut().pop());
    free.ok().flatten().unwrap_or_default()
}

/// Gives it back.
pub(crate) fn put(mut bytes: Vec<u8>) {
    bytes.clear();
    let _ = FREE.try_with(|free| {
        let mut free = free.borrow_mut();
        if free.len() < MOST {
            free.push(bytes);
        }
    });
}
