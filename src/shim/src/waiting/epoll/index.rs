//! How a registration is found without a look at each: by its number, by its datum, by its
//! instance.
//!
//! Beside the places stand counts, which are never too low, and hints, which are to be checked.
//! What is found by neither is looked for in all places that were ever used. Places are named by
//! their numbers here; what stands in them is `registrations`'.

use super::zeroed::{Zeroed, Zeroes};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize};

/// The greatest number of registrations that are kept.
pub const PLACES: usize = 1 << 14;
/// Numbers of descriptors and of instances that have counts of their own.
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

/// What is known of one instance.
struct Instance {
    /// How many tunnels are registered in it.
    tunnels: AtomicU16,
    /// How many other instances are.
    nested: AtomicU16,
    /// The moment of [`is_plain`].
    plain: AtomicU64,
}

struct Index {
    numbers: [Number; NUMBERS],
    instances: [Instance; NUMBERS],
    /// How many registrations are of a tunnel whose inode falls here.
    inodes: [AtomicU16; INODES],
    /// For data that fall here, the place of one that had it alone: see [`is_alone_with`].
    data: [AtomicU64; DATA],
}

// SAFETY: it is made of atomic numbers.
unsafe impl Zeroes for Index {}

static INDEX: Zeroed<Index> = Zeroed::new();
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

/// Whose registration it is: in which instance, with which number, and of which tunnel, by its
/// inode, if it is one of a tunnel.
#[derive(Clone, Copy)]
pub struct Whose {
    pub instance: u32,
    pub number: u32,
    pub inode: Option<u64>,
}

/// How many places have ever been used: those with the lowest numbers.
pub fn used() -> usize {
    USED.load(Acquire).min(PLACES)
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

/// What is known of an instance; `None` for one whose number is too large.
fn instance(number: u32) -> Option<&'static Instance> {
    INDEX.get()?.instances.get(number as usize)
}

/// May a tunnel be registered in this instance? The answer is exact but for an instance whose
/// number is too large.
#[inline]
pub fn any_tunnel_in(number: u32) -> bool {
    any() && instance(number).is_none_or(|i| i.tunnels.load(Relaxed) != 0)
}

/// May another epoll instance be registered in this one? The answer is as exact.
#[inline]
pub fn any_nested_in(number: u32) -> bool {
    any_nested() && instance(number).is_none_or(|i| i.nested.load(Relaxed) != 0)
}

/// May a tunnel with this inode be registered?
pub fn may_have(inode: u64) -> bool {
    INDEX
        .get()
        .is_some_and(|index| index.inodes[inode as usize % INODES].load(Relaxed) != 0)
}

/// Where a registration may be.
pub enum Places {
    Nowhere,
    /// In this place, or, if it is another number's, anywhere.
    At(usize),
    Anywhere,
}

/// Says where a registration may be that was made with this number.
pub fn with_number(number: u32) -> Places {
    let Some(index) = INDEX.get() else {
        return Places::Nowhere;
    };
    let Some(known) = index.numbers.get(number as usize) else {
        return Places::Anywhere;
    };
    match (known.count.load(Acquire), known.place.load(Relaxed)) {
        (0, _) => Places::Nowhere,
        (1, place @ 1..) => Places::At(place as usize - 1),
        _ => Places::Anywhere,
    }
}

/// Changes the counts of a registration.
fn count(index: &Index, whose: Whose, by: impl Fn(&AtomicU16)) {
    if let Some(number) = index.numbers.get(whose.number as usize) {
        by(&number.count);
    }
    let instance = index.instances.get(whose.instance as usize);
    match whose.inode {
        Some(inode) => {
            by(&index.inodes[inode as usize % INODES]);
            if let Some(instance) = instance {
                by(&instance.tunnels);
            }
        }
        None => {
            if let Some(instance) = instance {
                by(&instance.nested);
            }
        }
    }
}

fn total(whose: Whose) -> &'static AtomicUsize {
    match whose.inode {
        Some(_) => &TUNNELS,
        None => &NESTED,
    }
}

/// Finds a free place for a registration. `claims` takes one, unless another thread was quicker.
/// It is `None` when there is no room.
pub fn enter(whose: Whose, claims: impl Fn(usize) -> bool) -> Option<usize> {
    let index = INDEX.make()?;
    count(index, whose, |n| {
        n.fetch_add(1, AcqRel);
    });
    total(whose).fetch_add(1, AcqRel);
    let first = FREE.load(Relaxed).min(PLACES);
    let Some(at) = (first..PLACES).chain(0..first).find(|at| claims(*at)) else {
        uncount(index, whose);
        return None;
    };
    USED.fetch_max(at + 1, AcqRel);
    let _ = FREE.compare_exchange(first, at + 1, Relaxed, Relaxed);
    if let Some(number) = index.numbers.get(whose.number as usize) {
        number.place.store(at as u16 + 1, Relaxed);
    }
    Some(at)
}

fn uncount(index: &Index, whose: Whose) {
    count(index, whose, |n| {
        n.fetch_sub(1, AcqRel);
    });
    total(whose).fetch_sub(1, AcqRel);
}

/// Notes that a registration has left its place.
pub fn left(at: usize, whose: Whose) {
    if let Some(index) = INDEX.get() {
        uncount(index, whose);
        FREE.fetch_min(at, Relaxed);
        changed();
    }
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

/// Bits of the words of [`Index::data`] that are 1 + a place; the others are those of an epoch.
const PLACE: u64 = 0xffff;

fn word_of_data(instance: u32, data: u64) -> Option<&'static AtomicU64> {
    let mixed = (data ^ (instance as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    INDEX.get()?.data.get((mixed >> 52) as usize)
}

/// Notes that the registration in this place alone had this datum in its instance, at this epoch.
pub fn is_alone_with(at: usize, instance: u32, data: u64, epoch: u64) {
    if let Some(word) = word_of_data(instance, data) {
        word.store(epoch << 16 | (at as u64 + 1), Relaxed);
    }
}

/// Returns the place of a registration that may have this datum in this instance; where it has, no
/// other one does.
pub fn alone_with(instance: u32, data: u64) -> Option<usize> {
    let word = word_of_data(instance, data)?.load(Relaxed);
    let is_now = word >> 16 == epoch() & u64::MAX >> 16;
    (is_now && word & PLACE != 0).then(|| (word & PLACE) as usize - 1)
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
