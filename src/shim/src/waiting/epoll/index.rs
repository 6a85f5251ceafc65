//! How a registration is found without a look at each: by its number, by its datum, by its tunnel,
//! and because it needs care.
//!
//! Beside the places stand counts, which are never too low, and hints, which are to be checked.
//! What is found by neither is looked for in all places that were ever used. Places are named by
//! their numbers here; what stands in them is `registrations`'.

use super::marks::Marks;
pub use super::marks::PLACES;
pub use crate::cells::Places;
use crate::cells::{Cells, Entered};
use crate::zeroed::{Zeroed, Zeroes};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU16, AtomicUsize};

/// Numbers of descriptors and of instances that have counts of their own.
const NUMBERS: usize = 1 << 16;

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
    /// In how many other instances it is registered.
    within: AtomicU16,
    /// 1 + the place of one that was ready.
    ready: AtomicU16,
}

struct Index {
    numbers: [Number; NUMBERS],
    instances: [Instance; NUMBERS],
    /// By instance and number.
    keys: Cells,
    /// By the tunnel's inode.
    inodes: Cells,
    /// By instance and datum.
    data: Cells,
    /// The places that a thread looks at before it waits in their instance.
    cares: Marks,
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

/// Whose registration it is: in which instance, with which number, and of what.
#[derive(Clone, Copy)]
pub struct Whose {
    pub instance: u32,
    pub number: u32,
    pub target: Target,
}

/// What is registered in an epoll instance.
#[derive(Clone, Copy, PartialEq)]
pub enum Target {
    /// A tunnel, by its inode.
    Tunnel(u64),
    /// Another epoll instance, as [`super::instances::of`] names it.
    Epoll(u32),
}

/// By what the place of a registration is entered besides its number.
pub struct Keys {
    inode: Entered,
    data: Entered,
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

/// Is this instance registered in another one? The answer is as exact.
pub fn is_within(number: u32) -> bool {
    any_nested() && instance(number).is_none_or(|i| i.within.load(Relaxed) != 0)
}

/// Is this instance what some registration is of? The answer is exact but for an instance whose
/// number is too large.
pub fn is_named(number: u32) -> bool {
    instance(number).is_some_and(|i| i.within.load(Relaxed) != 0)
}

/// How many registrations an instance has; `None` where its number is too large.
pub fn count_in(number: u32) -> Option<usize> {
    let instance = instance(number)?;
    let (tunnels, nested) = (&instance.tunnels, &instance.nested);
    Some(usize::from(tunnels.load(Relaxed)) + usize::from(nested.load(Relaxed)))
}

/// The place of the registration of [`is_ready_in`], which may be another one's by now.
pub fn ready_in(number: u32) -> Option<usize> {
    let place = instance(number)?.ready.load(Relaxed);
    usize::from(place).checked_sub(1)
}

/// Notes that the registration in this place, of this instance, was ready.
pub fn is_ready_in(number: u32, at: usize) {
    if let Some(instance) = instance(number) {
        instance.ready.store(at as u16 + 1, Relaxed);
    }
}

/// Says where a registration may be that was made with this number. A place that is another one's
/// means anywhere.
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

/// A key for the cells, which is never 0.
fn mixed(instance: u32, with: u64) -> u64 {
    (with ^ u64::from(instance).wrapping_mul(0xd6e8_feb8_6659_fd93)) | 1 << 63
}

/// Says where a registration may be that was made with this number in this instance.
pub fn with_key(instance: u32, number: u32) -> Places {
    let key = mixed(instance, number.into());
    INDEX.get().map_or(Places::Nowhere, |i| i.keys.find(key))
}

/// Says where a registration of the tunnel with this inode may be.
pub fn with_inode(inode: u64) -> Places {
    let key = mixed(0, inode);
    INDEX.get().map_or(Places::Nowhere, |i| i.inodes.find(key))
}

/// Says where a registration with this datum may be in this instance.
pub fn with_datum(instance: u32, data: u64) -> Places {
    let key = mixed(instance, data);
    INDEX.get().map_or(Places::Nowhere, |i| i.data.find(key))
}

impl Keys {
    /// Enters a place under the inode of a tunnel; `None` is for an epoll instance.
    pub fn set_inode(&self, inode: Option<u64>, at: usize) {
        if let Some(index) = INDEX.get() {
            let key = inode.map_or(0, |inode| mixed(0, inode));
            self.inode.change(&index.inodes, key, at);
        }
    }
    /// Enters a place under the datum with which it is registered in an instance.
    pub fn set_datum(&self, instance: u32, data: u64, at: usize) {
        if let Some(index) = INDEX.get() {
            let key = mixed(instance, data);
            if self.data.key() != key {
                self.data.change(&index.data, key, at);
            }
        }
    }
    /// Takes out what was entered.
    pub fn nothing(&self, at: usize) {
        if let Some(index) = INDEX.get() {
            self.inode.change(&index.inodes, 0, at);
            self.data.change(&index.data, 0, at);
        }
    }
}

/// Changes the counts of a registration.
fn count(index: &Index, whose: Whose, by: impl Fn(&AtomicU16)) {
    if let Some(number) = index.numbers.get(whose.number as usize) {
        by(&number.count);
    }
    let instance = index.instances.get(whose.instance as usize);
    match whose.target {
        Target::Tunnel(_) => {
            if let Some(instance) = instance {
                by(&instance.tunnels);
            }
        }
        Target::Epoll(inner) => {
            if let Some(instance) = instance {
                by(&instance.nested);
            }
            if let Some(inner) = index.instances.get(inner as usize) {
                by(&inner.within);
            }
        }
    }
}

fn total(whose: Whose) -> &'static AtomicUsize {
    match whose.target {
        Target::Tunnel(_) => &TUNNELS,
        Target::Epoll(_) => &NESTED,
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
    index.keys.enter(key_of(whose), at);
    let _ = FREE.compare_exchange(first, at + 1, Relaxed, Relaxed);
    if let Some(number) = index.numbers.get(whose.number as usize) {
        number.place.store(at as u16 + 1, Relaxed);
    }
    Some(at)
}

fn key_of(whose: Whose) -> u64 {
    mixed(whose.instance, whose.number.into())
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
        index.keys.remove(key_of(whose), at);
        uncount(index, whose);
        FREE.fetch_min(at, Relaxed);
    }
}

/// Notes that something about the registration in this place has changed, so that whoever waits in
/// its instance next looks at it.
#[inline]
pub fn changed(at: usize) {
    if let Some(index) = INDEX.get() {
        index.cares.set(at);
    }
}

/// Notes that something may have changed about each.
pub fn all_changed() {
    if let Some(index) = INDEX.get() {
        index.cares.set_below(used());
    }
}

/// Calls `needs_care` with each place that has changed, or needed care at the last look. It is
/// called again the next time only where it returns true, or something has changed since.
pub fn look_at_cares(needs_care: impl FnMut(usize) -> bool) {
    if let Some(index) = INDEX.get() {
        index.cares.sift(needs_care);
    }
}

/// Is there no place that a thread would look at?
#[inline]
pub fn is_nothing_cared_for() -> bool {
    INDEX.get().is_none_or(|i| i.cares.is_none_below(used()))
}

/// The places that a thread looks at.
pub fn cares() -> impl Iterator<Item = usize> {
    INDEX.get().into_iter().flat_map(|index| index.cares.each())
}
