//! Which descriptors are the same epoll instance.
//!
//! Registrations belong to an instance, and a program may have several descriptors of it: it
//! registers through one and waits through another (every program on tokio or mio does). The kernel
//! has no cheap way to compare two descriptors, so the instance of each number is kept from its
//! birth on, copied with each duplicate, and forgotten when the number is closed.

use crate::process;
use libc::c_int;
use memtun_sys as sys;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The kernel nests instances no deeper (EP_MAX_NESTS).
pub const DEEPEST: usize = 5;
/// Descriptors beyond are instances of their own: duplicates of them are not known as such.
const NUMBERS: usize = 1 << 16;
/// 1 + instance, and [`SHARED`]; 0 for a number that has never been an epoll descriptor's.
static INSTANCES: [AtomicU32; NUMBERS] = [const { AtomicU32::new(0) }; NUMBERS];
/// Numbers below this may have an entry.
static BELOW: AtomicU32 = AtomicU32::new(0);
/// Another process has the instance, too.
const SHARED: u32 = 1 << 30;
/// An instance that has only one number, beyond what is kept.
const BY_NUMBER: u32 = 1 << 31;

fn entry(epoll: c_int) -> Option<&'static AtomicU32> {
    INSTANCES.get(epoll as u32 as usize)
}

/// 1 + instance.
#[inline]
fn plain(entry: &AtomicU32) -> u32 {
    entry.load(Relaxed) & !SHARED
}

/// The instance of an epoll descriptor.
#[inline]
pub fn of(epoll: c_int) -> u32 {
    match entry(epoll).map_or(0, plain) {
        0 => BY_NUMBER | epoll as u32,
        known => known - 1,
    }
}

/// Was this number an epoll descriptor's when it was last heard of?
#[inline]
pub fn is_known(fd: c_int) -> bool {
    entry(fd).is_some_and(|e| e.load(Relaxed) != 0)
}

/// Has this process had an epoll descriptor?
#[inline]
pub fn any() -> bool {
    BELOW.load(Relaxed) != 0
}

fn numbers() -> &'static [AtomicU32] {
    &INSTANCES[..BELOW.load(Relaxed) as usize]
}

/// Numbers below `n` that are known as epoll descriptors.
pub fn numbers_below(n: c_int) -> impl Iterator<Item = c_int> {
    (0..n.min(BELOW.load(Relaxed) as c_int)).filter(|fd| is_known(*fd))
}

/// A number of an instance, which may have been closed since.
pub fn number_of(instance: u32) -> Option<c_int> {
    if instance & BY_NUMBER != 0 {
        return Some((instance & !BY_NUMBER) as c_int);
    }
    let at = numbers().iter().position(|n| plain(n) == instance + 1);
    at.map(|number| number as c_int)
}

/// A new instance; `forget` is called when the number's old one ends with it.
pub fn created(epoll: c_int, forget: impl FnOnce(u32)) {
    let Some(entry) = entry(epoll).filter(|_| process::owns_memory()) else {
        return;
    };
    BELOW.fetch_max(epoll as u32 + 1, Relaxed);
    let old = entry.swap(0, Relaxed) & !SHARED;
    let is_used = |instance: u32| numbers().iter().any(|n| plain(n) == instance + 1);
    if old != 0 && !is_used(old - 1) {
        forget(old - 1);
        entry.store(old, Relaxed);
        return;
    }
    // There are never more instances than numbers.
    if let Some(free) = (0..=BELOW.load(Relaxed)).find(|instance| !is_used(*instance)) {
        forget(free);
        entry.store(free + 1, Relaxed);
    }
}

/// A number is closed. `ended` is called when it was the last of its instance here.
#[inline]
pub fn closed(number: c_int, ended: impl FnOnce(u32)) {
    if any() && is_known(number) {
        forget(number, ended);
    }
}

#[cold]
fn forget(number: c_int, ended: impl FnOnce(u32)) {
    let Some(entry) = entry(number).filter(|_| process::owns_memory()) else {
        return;
    };
    let old = entry.swap(0, Relaxed) & !SHARED;
    if old != 0 && number_of(old - 1).is_none() {
        ended(old - 1);
    }
}

/// Numbers from `first` to `last` are closed.
pub fn closed_range(first: u32, last: u32, ended: impl Fn(u32)) {
    if any() {
        let end = BELOW.load(Relaxed).min(last.saturating_add(1));
        (first..end).for_each(|number| closed(number as c_int, &ended));
    }
}

/// `new` is another descriptor of what `old` is, whatever it was before.
#[inline]
pub fn duplicated(old: c_int, new: c_int, ended: impl FnOnce(u32)) {
    if any() && old != new {
        copy(old, new, ended);
    }
}

#[cold]
fn copy(old: c_int, new: c_int, ended: impl FnOnce(u32)) {
    closed(new, ended);
    let instance = entry(old).map_or(0, |e| e.load(Relaxed));
    if let Some(entry) = entry(new).filter(|_| process::owns_memory()) {
        if instance != 0 {
            BELOW.fetch_max(new as u32 + 1, Relaxed);
        }
        entry.store(instance, Relaxed);
    }
}

/// Is this descriptor's instance known to be another process's, too?
pub fn is_shared(epoll: c_int) -> bool {
    entry(epoll).is_some_and(|e| e.load(Relaxed) & SHARED != 0)
}

/// Its instance is another process's, too.
pub fn share(epoll: c_int) {
    let instance = of(epoll);
    let same = |n: &&AtomicU32| plain(n) == instance.wrapping_add(1);
    numbers().iter().filter(same).for_each(|n| {
        n.fetch_or(SHARED, Relaxed);
    });
}

/// All instances are.
pub fn share_all() {
    numbers().iter().filter(|n| plain(n) != 0).for_each(|n| {
        n.fetch_or(SHARED, Relaxed);
    });
}

/// One number of each instance.
pub fn first_numbers() -> impl Iterator<Item = c_int> {
    numbers_below(c_int::MAX).filter(|fd| number_of(of(*fd)) == Some(*fd))
}

/// Another number that is the same open instance as this one, for which only the kernel is asked:
/// both came from somebody else. None where kcmp(2) is not allowed.
pub fn sibling(epoll: c_int) -> Option<c_int> {
    const KCMP_FILE: usize = 0;
    let me = sys::getpid() as usize;
    (0..BELOW.load(Relaxed) as c_int).find(|other| {
        let arguments = [me, me, KCMP_FILE, epoll as usize, *other as usize, 0];
        // SAFETY: kcmp(2) takes numbers and touches no memory.
        *other != epoll
            && is_known(*other)
            && unsafe { sys::syscall(libc::SYS_kcmp, arguments) } == 0
    })
}
