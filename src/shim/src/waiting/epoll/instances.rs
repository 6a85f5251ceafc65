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
/// For each instance how many numbers have it.
static HELD: [AtomicU32; NUMBERS] = [const { AtomicU32::new(0) }; NUMBERS];
/// For each instance 1 + a number that has it, or 0 where it must be looked for.
static FOUND: [AtomicU32; NUMBERS] = [const { AtomicU32::new(0) }; NUMBERS];
/// Every number that has an entry is below this bound.
static BELOW: AtomicU32 = AtomicU32::new(0);
/// Every instance below this one is in use, as far as is known.
static FREE: AtomicU32 = AtomicU32::new(0);
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

/// Returns a known descriptor number of an instance, which may have been closed since unseen. It is
/// `None` when no number of the instance is known.
pub fn number_of(instance: u32) -> Option<c_int> {
    if instance & BY_NUMBER != 0 {
        return Some((instance & !BY_NUMBER) as c_int);
    }
    let at = instance as usize;
    let (held, found) = (HELD.get(at)?, FOUND.get(at)?);
    if held.load(Relaxed) == 0 {
        return None;
    }
    let is_its = |number: u32| {
        let entry = number.checked_sub(1).and_then(|n| entry(n as c_int));
        entry.is_some_and(|entry| plain(entry) == instance + 1)
    };
    let number = found.load(Relaxed);
    if is_its(number) {
        return Some(number as c_int - 1);
    }
    let at = numbers().iter().position(|n| plain(n) == instance + 1)?;
    found.store(at as u32 + 1, Relaxed);
    Some(at as c_int)
}

/// Changes the entry of a number. Returns the instance that has lost its last number by that, and
/// whether it is known that another process has it as well.
fn enter(number: c_int, new: u32) -> Option<(u32, bool)> {
    let entry = entry(number)?;
    if let Some(instance) = (new & !SHARED).checked_sub(1) {
        concern::note(concern::EPOLL);
        BELOW.fetch_max(number as u32 + 1, Relaxed);
        HELD[instance as usize].fetch_add(1, Relaxed);
        FOUND[instance as usize].store(number as u32 + 1, Relaxed);
    }
    let old = entry.swap(new, Relaxed);
    let instance = (old & !SHARED).checked_sub(1)?;
    let is_last = HELD[instance as usize].fetch_sub(1, Relaxed) == 1;
    if is_last {
        FREE.fetch_min(instance, Relaxed);
    }
    is_last.then_some((instance, old & SHARED != 0))
}

/// Enters a new instance for this descriptor number. `ended` is called as in [`closed`], and
/// `is_named` says whether registrations name an instance as what they are of, although no number
/// has it any more: a new one must not be taken for it.
pub fn created(epoll: c_int, ended: impl FnOnce(u32, bool), is_named: impl Fn(u32) -> bool) {
    if entry(epoll).is_none() || !process::owns_memory() {
        return;
    }
    forget(epoll, ended);
    let first = FREE.load(Relaxed);
    let claims = |instance: &u32| {
        let held = &HELD[*instance as usize];
        !is_named(*instance) && held.compare_exchange(0, 1, Relaxed, Relaxed).is_ok()
    };
    let free = (first..NUMBERS as u32).chain(0..first).find(claims);
    if let Some(free) = free {
        enter(epoll, free + 1);
        // The claim is counted by the entry now.
        HELD[free as usize].fetch_sub(1, Relaxed);
        let _ = FREE.compare_exchange(first, free + 1, Relaxed, Relaxed);
    }
}

/// Notes that a descriptor number is closed. `ended` is called with its instance when the number
/// was the last of that instance in this process, and with whether another process has it as well.
#[inline]
pub fn closed(number: c_int, ended: impl FnOnce(u32, bool)) {
    if any() && is_known(number) {
        forget(number, ended);
    }
}

/// Removes the entry of a number that is closed ([`closed`]).
#[cold]
fn forget(number: c_int, ended: impl FnOnce(u32, bool)) {
    if !process::owns_memory() {
        return;
    }
    if let Some((instance, is_shared)) = enter(number, 0) {
        ended(instance, is_shared);
    }
}

/// Notes that the numbers from `first` to `last`, both included, are closed. `ended` is called with
/// each instance that has no number left in this process.
pub fn closed_range(first: u32, last: u32, ended: impl Fn(u32, bool)) {
    if any() {
        let end = BELOW.load(Relaxed).min(last.saturating_add(1));
        (first..end).for_each(|number| closed(number as c_int, &ended));
    }
}

/// Notes that `new` is a duplicate of `old`, whatever `new` was before. `ended` is called with the
/// instance of which `new` was the last number in this process.
#[inline]
pub fn duplicated(old: c_int, new: c_int, ended: impl FnOnce(u32, bool)) {
    if any() && old != new {
        copy(old, new, ended);
    }
}

/// Copies the entry of `old` to `new` ([`duplicated`]).
#[cold]
fn copy(old: c_int, new: c_int, ended: impl FnOnce(u32, bool)) {
    if !process::owns_memory() {
        return;
    }
    let instance = entry(old).map_or(0, |e| e.load(Relaxed));
    if let Some((instance, is_shared)) = enter(new, instance) {
        ended(instance, is_shared);
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

/// Returns one known descriptor number of each instance.
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
