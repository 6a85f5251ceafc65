//! The netlink sockets of this process that listen, as far as it has noticed. Nothing depends on
//! this list but how an error is shown: whoever uses it asks the socket itself.
#![forbid(unsafe_code)]

use libc::c_int;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI32};

/// Most sockets that are noted. A program that listens has one or two.
const MOST: usize = 8;

/// Their descriptors; -1 for a free place.
static ALL: [AtomicI32; MOST] = [const { AtomicI32::new(-1) }; MOST];

/// Has one been noted?
static ANY: AtomicBool = AtomicBool::new(false);

/// Notes a socket. What finds no place is not noted.
pub fn note(fd: c_int) {
    if ALL.iter().any(|place| place.load(Relaxed) == fd) {
        return;
    }
    ANY.store(true, Relaxed);
    let is_taken = |place: &&AtomicI32| place.compare_exchange(-1, fd, Relaxed, Relaxed).is_ok();
    let _ = ALL.iter().find(is_taken);
}

/// Forgets a descriptor, which is no such socket any more.
pub fn forget(fd: c_int) {
    for place in &ALL {
        let _ = place.compare_exchange(fd, -1, Relaxed, Relaxed);
    }
}

/// Has there been one?
#[inline]
pub fn any() -> bool {
    ANY.load(Relaxed)
}

/// The descriptors that are noted.
pub fn each() -> impl Iterator<Item = c_int> {
    ALL.iter()
        .map(|place| place.load(Relaxed))
        .filter(|fd| *fd != -1)
}
