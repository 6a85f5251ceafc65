//! Tries to write through the argument of fcntl(2), as F_GETLK does.
#![forbid(unsafe_code)]

pub fn by_any_command(address: usize) {
    let _ = memtun_sys::fcntl(0, 5, address); //~ E0425
}
