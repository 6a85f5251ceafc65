//! The places of all registrations, and how one is found without a look at each.
//!
//! The places lie in a mapping that is made with the first registration. Beside them stand counts,
//! which are never too low, and hints, which are checked. What is found by neither is looked for in
//! all places that were ever used.

use super::registrations::{Registration, Target};
use crate::concern;
use memtun_sys as sys;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicPtr, AtomicU16, AtomicU64, AtomicUsize};

/// The greatest number of registrations that are kept.
const PLACES: usize = 1 << 14;
/// Numbers of descriptors and of instances that have counts of their own; those above are looked
/// for in all places.
const NUMBERS: usize = 1 << 16;
const INODES: usize = 1 << 12;
const DATA: usize = 1 << 12;

/// What is known of one descriptor number.
struct Number {
    /// How many registrations were made with it.
    count: AtomicU16,
    /// 1 + the place of the last one.
    place: AtomicU16,
}

/// How many registrations an instance has.
struct Instance {
    tunnels: AtomicU16,
    nested: AtomicU16,
    /// The moment of [`is_plain`].
    plain: AtomicU64,
}

struct Area {
    places: [Registration; PLACES],
    numbers: [Number; NUMBERS],
    instances: [Instance; NUMBERS],
    /// How many registrations are of a tunnel whose inode falls here.
    inodes: [AtomicU16; INODES],
    /// For data that fall here, the place of one that had it alone: see [`is_alone_with`].
    data: [AtomicU64; DATA],
}

static AREA: AtomicPtr<Area> = AtomicPtr::new(null_mut());
/// The places from this index on have never been used.
static USED: AtomicUsize = AtomicUsize::new(0);
/// There is no free place below this index, as far as is known.
static FREE: AtomicUsize = AtomicUsize::new(0);
/// The number of registrations of tunnels.
static TUNNELS: AtomicUsize = AtomicUsize::new(0);
/// The number of registrations of epoll instances.
static NESTED: AtomicUsize = AtomicUsize::new(0);
/// How often a registration was changed.
static EPOCH: AtomicU64 = AtomicU64::new(0);

fn area() -> Option<&'static Area> {
    // SAFETY: the pointer is null, or leads to a mapping of zeroes, which are an empty area, that
    // is never unmapped.
    unsafe { AREA.load(Acquire).as_ref() }
}

/// The area, which is mapped if need be; `None` where it cannot be mapped.
fn make_area() -> Option<&'static Area> {
    if area().is_none() {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fresh = sys::map_private(size_of::<Area>(), protection).ok()?.cast();
        if AREA
            .compare_exchange(null_mut(), fresh, AcqRel, Relaxed)
            .is_err()
        {
            // SAFETY: the mapping is our own, and nobody has seen it.
            unsafe { sys::unmap(fresh.cast(), size_of::<Area>()) };
        }
    }
    area()
}

/// Returns the places that have ever been used.
pub fn used() -> &'static [Registration] {
    area().map_or(&[], |area| &area.places[..USED.load(Acquire).min(PLACES)])
}

/// Does this process know any registration of a tunnel?
#[inline(always)]
pub fn any() -> bool {
    TUNNELS.load(Relaxed) != 0
}

/// Is any epoll instance registered in another one?
pub fn any_nested() -> bool {
    NESTED.load(Relaxed) != 0
}

fn instance(number: u32) -> Option<&'static Instance> {
    area()?.instances.get(number as usize)
}

/// Is a tunnel registered in this instance?
#[inline]
pub fn any_tunnel_in(number: u32) -> bool {
    any()
        && instance(number).map_or_else(
            || has_target(number, |target| matches!(target, Target::Tunnel(_))),
            |i| i.tunnels.load(Relaxed) != 0,
        )
}

/// Is another epoll instance registered in this one?
#[inline]
pub fn any_nested_in(number: u32) -> bool {
    any_nested()
        && instance(number).map_or_else(
            || has_target(number, |target| matches!(target, Target::Epoll(_))),
            |i| i.nested.load(Relaxed) != 0,
        )
}

fn has_target(instance: u32, is_such: impl Fn(Target) -> bool) -> bool {
    used()
        .iter()
        .any(|r| r.instance() == instance && is_such(r.target()))
}

/// Is anything registered in this instance?
pub fn has_any(instance: u32) -> bool {
    any_tunnel_in(instance) || any_nested_in(instance)
}

/// May a tunnel with this inode be registered?
pub fn may_have(inode: u64) -> bool {
    area().is_some_and(|area| area.inodes[inode as usize % INODES].load(Relaxed) != 0)
}

/// Returns places among which are all registrations that were made with this number.
pub fn with_number(number: u32) -> &'static [Registration] {
    let Some(area) = area() else { return &[] };
    let Some(known) = area.numbers.get(number as usize) else {
        return used();
    };
    let count = known.count.load(Acquire);
    let at = known.place.load(Relaxed) as usize;
    let hinted = at.checked_sub(1).and_then(|at| area.places.get(at..at + 1));
    match (count, hinted) {
        (0, _) => &[],
        (1, Some(place)) if place[0].number() == number as i32 => place,
        _ => used(),
    }
}

/// Changes the counts of a registration.
fn count(area: &Area, number: u32, instance: u32, target: Target, by: impl Fn(&AtomicU16)) {
    if let Some(number) = area.numbers.get(number as usize) {
        by(&number.count);
    }
    let instance = area.instances.get(instance as usize);
    match target {
        Target::Tunnel(inode) => {
            by(&area.inodes[inode as usize % INODES]);
            if let Some(instance) = instance {
                by(&instance.tunnels);
            }
        }
        Target::Epoll(_) => {
            if let Some(instance) = instance {
                by(&instance.nested);
            }
        }
    }
}

fn total(target: Target) -> &'static AtomicUsize {
    match target {
        Target::Tunnel(_) => &TUNNELS,
        Target::Epoll(_) => &NESTED,
    }
}

/// Finds a free place for a registration. `claims` takes one, unless another thread was quicker.
/// It is `None` when there is no room.
pub fn enter(
    instance: u32,
    number: u32,
    target: Target,
    claims: impl Fn(&Registration) -> bool,
) -> Option<&'static Registration> {
    let area = make_area()?;
    concern::note(concern::TUNNEL);
    count(area, number, instance, target, |n| {
        n.fetch_add(1, AcqRel);
    });
    total(target).fetch_add(1, AcqRel);
    let first = FREE.load(Relaxed);
    let mut all = (first..PLACES).chain(0..first.min(PLACES));
    let Some(at) = all.find(|at| claims(&area.places[*at])) else {
        uncount(area, instance, number, target);
        return None;
    };
    USED.fetch_max(at + 1, AcqRel);
    let _ = FREE.compare_exchange(first, at + 1, Relaxed, Relaxed);
    if let Some(number) = area.numbers.get(number as usize) {
        number.place.store(at as u16 + 1, Relaxed);
    }
    Some(&area.places[at])
}

fn uncount(area: &Area, instance: u32, number: u32, target: Target) {
    count(area, number, instance, target, |n| {
        n.fetch_sub(1, AcqRel);
    });
    total(target).fetch_sub(1, AcqRel);
}

/// Which place this is.
fn at_of(area: &Area, place: &Registration) -> usize {
    let first = std::ptr::from_ref(&area.places[0]).addr();
    (std::ptr::from_ref(place).addr() - first) / size_of::<Registration>()
}

/// Notes that a registration has left its place.
pub fn left(place: &Registration, instance: u32, number: u32, target: Target) {
    let Some(area) = area() else { return };
    uncount(area, instance, number, target);
    FREE.fetch_min(at_of(area, place), Relaxed);
    changed();
}

/// Notes that something about a registration has changed.
#[inline]
pub fn changed() {
    EPOCH.fetch_add(1, AcqRel);
}

/// How often something has.
pub fn epoch() -> u64 {
    EPOCH.load(Acquire)
}

/// Bits of the words of [`Area::data`] that are 1 + a place; the others are those of an epoch.
const PLACE: u64 = 0xffff;

fn word_of_data(instance: u32, data: u64) -> Option<&'static AtomicU64> {
    let mixed = (data ^ (instance as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Some(&area()?.data[(mixed >> 52) as usize % DATA])
}

/// Notes that this registration alone had this datum in its instance, at this epoch.
pub fn is_alone_with(place: &Registration, instance: u32, data: u64, epoch: u64) {
    if let (Some(area), Some(word)) = (area(), word_of_data(instance, data)) {
        word.store(epoch << 16 | (at_of(area, place) as u64 + 1), Relaxed);
    }
}

/// Returns a registration that may have this datum in this instance; where it has, no other one
/// does.
pub fn alone_with(instance: u32, data: u64) -> Option<&'static Registration> {
    let word = word_of_data(instance, data)?.load(Relaxed);
    if word & PLACE == 0 || word >> 16 != epoch() & u64::MAX >> 16 {
        return None;
    }
    area()?.places.get((word & PLACE) as usize - 1)
}

/// Notes that at this moment no registration of an instance needed care.
pub fn is_plain(number: u32, moment: u64) {
    if let Some(instance) = instance(number) {
        instance.plain.store(moment, Relaxed);
    }
}

/// Was this moment noted?
pub fn is_still_plain(number: u32, moment: u64) -> bool {
    instance(number).is_some_and(|i| i.plain.load(Relaxed) == moment)
}
