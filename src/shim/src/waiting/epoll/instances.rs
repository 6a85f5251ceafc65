//! Keeps which descriptors of this process belong to the same epoll instance.
//!
//! Registrations belong to an instance, and a program may have several descriptors of it: it
//! registers through one and waits through another (every program on tokio or mio does). The kernel
//! has no cheap way to compare two descriptors. So the instance of each descriptor number is
//! entered when the descriptor is made, copied with each duplicate, and forgotten when the number
//! is closed.

use crate::{concern, process};
use libc::c_int;
use memtun_sys as sys;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// How deep epoll instances can be nested: the kernel refuses deeper nesting (EP_MAX_NESTS).
pub const DEEPEST: usize = 5;
/// Number of descriptor numbers that have an entry. Every number from this one on counts as an
/// instance of its own, so duplicates of it are not recognised.
const NUMBERS: usize = 1 << 16;
/// For each descriptor number 1 + its instance, with [`SHARED`] as a flag. An entry is 0 when the
/// number is not known as an epoll descriptor.
static INSTANCES: [AtomicU32; NUMBERS] = [const { AtomicU32::new(0) }; NUMBERS];
/// Every number that has an entry is below this bound.
static BELOW: AtomicU32 = AtomicU32::new(0);
/// The flag of an entry whose instance another process has as well.
const SHARED: u32 = 1 << 30;
/// The flag of an instance that is named after its descriptor number, because the number has no
/// entry.
const BY_NUMBER: u32 = 1 << 31;

fn entry(epoll: c_int) -> Option<&'static AtomicU32> {
    INSTANCES.get(epoll as u32 as usize)
}

/// Returns 1 + the instance of an entry, or 0 for none, without the flag.
#[inline]
fn plain(entry: &AtomicU32) -> u32 {
    entry.load(Relaxed) & !SHARED
}

/// Returns the instance to which an epoll descriptor belongs.
#[inline]
pub fn of(epoll: c_int) -> u32 {
    match entry(epoll).map_or(0, plain) {
        0 => BY_NUMBER | epoll as u32,
        known => known - 1,
    }
}

/// Was this number an epoll descriptor's when this process last noted something of it? It may have
/// been closed since without a call that this library sees.
#[inline]
pub fn is_known(fd: c_int) -> bool {
    entry(fd).is_some_and(|e| e.load(Relaxed) != 0)
}

/// Has this process ever had an epoll descriptor that has an entry?
#[inline(always)]
pub fn any() -> bool {
    BELOW.load(Relaxed) != 0
}

/// Returns the entries of all numbers that may have one, indexed by number.
fn numbers() -> &'static [AtomicU32] {
    &INSTANCES[..BELOW.load(Relaxed) as usize]
}

/// Returns the numbers below `n` that are known as epoll descriptors, in ascending order.
pub fn numbers_below(n: c_int) -> impl Iterator<Item = c_int> {
    (0..n.min(BELOW.load(Relaxed) as c_int)).filter(|fd| is_known(*fd))
}

/// Returns the lowest known descriptor number of an instance, which may have been closed since
/// unseen. It is `None` when no number of the instance is known.
pub fn number_of(instance: u32) -> Option<c_int> {
    if instance & BY_NUMBER != 0 {
        return Some((instance & !BY_NUMBER) as c_int);
    }
    let at = numbers().iter().position(|n| plain(n) == instance + 1);
    at.map(|number| number as c_int)
}

/// Enters a new instance for this descriptor number. `forget` is called with the instance that gets
/// entered, or that the number had alone until now, so that old registrations under it are dropped.
pub fn created(epoll: c_int, forget: impl FnOnce(u32)) {
    let Some(entry) = entry(epoll).filter(|_| process::owns_memory()) else {
        return;
    };
    concern::note(concern::EPOLL);
    BELOW.fetch_max(epoll as u32 + 1, Relaxed);
    let old = entry.swap(0, Relaxed) & !SHARED;
    let is_used = |instance: u32| numbers().iter().any(|n| plain(n) == instance + 1);
    if old != 0 && !is_used(old - 1) {
        forget(old - 1);
        entry.store(old, Relaxed);
        return;
    }
    // A free instance is always found, because there are never more instances than numbers.
    if let Some(free) = (0..=BELOW.load(Relaxed)).find(|instance| !is_used(*instance)) {
        forget(free);
        entry.store(free + 1, Relaxed);
    }
}

/// Notes that a descriptor number is closed. `ended` is called with its instance when the number
/// was the last of that instance in this process.
#[inline]
pub fn closed(number: c_int, ended: impl FnOnce(u32)) {
    if any() && is_known(number) {
        forget(number, ended);
    }
}

/// Removes the entry of a number that is closed ([`closed`]).
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

/// Notes that the numbers from `first` to `last`, both included, are closed. `ended` is called with
/// each instance that has no number left in this process.
pub fn closed_range(first: u32, last: u32, ended: impl Fn(u32)) {
    if any() {
        let end = BELOW.load(Relaxed).min(last.saturating_add(1));
        (first..end).for_each(|number| closed(number as c_int, &ended));
    }
}

/// Notes that `new` is a duplicate of `old`, whatever `new` was before. `ended` is called with the
/// instance of which `new` was the last number in this process.
#[inline]
pub fn duplicated(old: c_int, new: c_int, ended: impl FnOnce(u32)) {
    if any() && old != new {
        copy(old, new, ended);
    }
}

/// Copies the entry of `old` to `new` ([`duplicated`]).
#[cold]
fn copy(old: c_int, new: c_int, ended: impl FnOnce(u32)) {
    closed(new, ended);
    let instance = entry(old).map_or(0, |e| e.load(Relaxed));
    if let Some(entry) = entry(new).filter(|_| process::owns_memory()) {
        if instance != 0 {
            concern::note(concern::EPOLL);
            BELOW.fetch_max(new as u32 + 1, Relaxed);
        }
        entry.store(instance, Relaxed);
    }
}

/// Is it known that another process has this descriptor's instance as well?
pub fn is_shared(epoll: c_int) -> bool {
    entry(epoll).is_some_and(|e| e.load(Relaxed) & SHARED != 0)
}

/// Notes that another process has this descriptor's instance as well.
pub fn share(epoll: c_int) {
    let instance = of(epoll);
    let same = |n: &&AtomicU32| plain(n) == instance.wrapping_add(1);
    numbers().iter().filter(same).for_each(|n| {
        n.fetch_or(SHARED, Relaxed);
    });
}

/// Notes that another process has all instances of this process as well.
pub fn share_all() {
    numbers().iter().filter(|n| plain(n) != 0).for_each(|n| {
        n.fetch_or(SHARED, Relaxed);
    });
}

/// Returns the lowest known descriptor number of each instance.
pub fn first_numbers() -> impl Iterator<Item = c_int> {
    numbers_below(c_int::MAX).filter(|fd| number_of(of(*fd)) == Some(*fd))
}

/// Returns another known descriptor number of the same open instance as this one. Only the kernel
/// can tell, because the descriptors may have come from another process. It is `None` when there is
/// no such number, or kcmp(2) is not allowed.
pub fn sibling(epoll: c_int) -> Option<c_int> {
    const KCMP_FILE: usize = 0;
    let me = sys::getpid() as usize;
    (0..BELOW.load(Relaxed) as c_int).find(|other| {
        let arguments = [me, me, KCMP_FILE, epoll as usize, *other as usize, 0];
        // SAFETY: the call may get any arguments, because kcmp(2) takes numbers, and neither reads
        // nor writes this process's memory.
        *other != epoll
            && is_known(*other)
            && unsafe { sys::syscall(libc::SYS_kcmp, arguments) } == 0
    })
}
