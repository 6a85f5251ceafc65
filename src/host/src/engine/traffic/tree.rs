//! Which discipline and which class hangs where.
#![forbid(unsafe_code)]

use super::kinds::{self, Classes};
use super::numbers::{is_multi, MAJOR, MINOR, RECEIVES};
use memtun_stack::traffic::{INGRESS, ROOT};
use memtun_stack::{Link, State, Traffic};

/// Returns the disciplines of a link, in the order in which they were made.
pub fn disciplines(state: &State, index: u32) -> impl DoubleEndedIterator<Item = &Traffic> {
    let all = state.traffic.iter();
    all.filter(move |it| it.index == index && !it.is_class)
}

/// Is this a class of a link's discipline that somebody made?
fn is_class_of(it: &Traffic, of: &Traffic) -> bool {
    it.index == of.index && it.is_class && it.handle & MAJOR == of.handle
}

/// Returns the classes of a link's discipline that somebody made, in that order.
pub fn classes<'s>(
    state: &'s State,
    of: &'s Traffic,
) -> impl DoubleEndedIterator<Item = &'s Traffic> {
    state.traffic.iter().filter(|it| is_class_of(it, of))
}

/// Returns the discipline that hangs at a place of a link.
pub fn at(state: &State, index: u32, parent: u32) -> Option<&Traffic> {
    disciplines(state, index).find(|it| it.parent == parent)
}

/// Returns the link's own discipline; None for one that has none (`noop`).
pub fn root(state: &State, index: u32) -> Option<&Traffic> {
    at(state, index, ROOT)
}

/// Returns the discipline of a number (`qdisc_lookup`).
pub fn find(state: &State, index: u32, handle: u32) -> Option<&Traffic> {
    let mut all = disciplines(state, index);
    all.find(|it| handle != 0 && it.handle == handle)
}

/// What hangs at a class.
pub enum Leaf<'s> {
    /// There is no such class.
    NoClass,
    /// Nothing.
    Nothing,
    /// What the kernel has put there by itself, where it is not in the state.
    Implied,
    /// This discipline.
    Is(&'s Traffic),
}

/// Returns what hangs at a class of a discipline (`qdisc_leaf`). None for a discipline that is not
/// classful.
pub fn leaf<'s>(state: &'s State, link: &Link, of: &Traffic, class: u32) -> Option<Leaf<'s>> {
    let index = link.extra.index;
    let minor = class & MINOR;
    let here = |class: u32| match at(state, index, of.handle | class & MINOR) {
        Some(it) => Leaf::Is(it),
        None => Leaf::Nothing,
    };
    Some(match kinds::find(&of.kind)?.classes {
        Classes::None => return None,
        Classes::Flows => Leaf::NoClass,
        Classes::Directions => Leaf::Nothing,
        Classes::One => child(state, of).map_or(Leaf::Nothing, Leaf::Is),
        Classes::Bands if (1..=bands(of)).contains(&minor) => here(minor),
        Classes::Queues if (1..=queues(link)).contains(&minor) => match here(minor) {
            Leaf::Nothing => Leaf::Implied,
            it => it,
        },
        Classes::Made => match class_of(state, of, class) {
            None => Leaf::NoClass,
            Some(class) => here(class.handle),
        },
        Classes::Bands | Classes::Queues => Leaf::NoClass,
    })
}

/// Returns the first discipline below one; that is the only one of those that have one class,
/// whatever number that was given.
pub fn child<'s>(state: &'s State, of: &Traffic) -> Option<&'s Traffic> {
    let mut all = disciplines(state, of.index);
    all.find(|it| it.parent & MAJOR == of.handle && it.parent < INGRESS)
}

/// Returns a class that somebody made.
pub fn class_of<'s>(state: &'s State, of: &'s Traffic, number: u32) -> Option<&'s Traffic> {
    classes(state, of).find(|class| class.handle == number)
}

/// Returns how many bands a discipline of the kind `prio` has.
pub fn bands(of: &Traffic) -> u32 {
    let options = of.options.as_deref().unwrap_or_default();
    memtun_stack::wire::u32_at(options, 0).unwrap_or(0)
}

/// Returns how many queues a link may have.
pub fn queues(link: &Link) -> u32 {
    if is_multi(link) {
        256
    } else {
        1
    }
}

/// Returns the disciplines below the link's own in the order in which the kernel lists them: that
/// of a hash of 16 places, the newest first in each.
pub fn listed<'s>(state: &'s State, index: u32) -> Vec<&'s Traffic> {
    let place = |it: &&Traffic| it.handle.wrapping_mul(0x61c8_8647) >> 28;
    let below = |it: &&'s Traffic| !matches!(it.parent, ROOT | INGRESS);
    let mut all: Vec<&Traffic> = disciplines(state, index).rev().filter(below).collect();
    all.sort_by_key(place);
    all
}

/// Returns the classes that somebody made in the order in which the kernel lists them: that of a
/// hash which grows with their number (`qdisc_class_hash_grow`), the newest first in each place.
pub fn listed_classes<'s>(state: &'s State, of: &'s Traffic) -> Vec<&'s Traffic> {
    fn place(id: u32, places: usize) -> usize {
        let id = id ^ (id >> 8);
        (id ^ (id >> 4)) as usize & (places - 1)
    }
    let mut table: Vec<Vec<&Traffic>> = vec![Vec::new(); 4];
    for (n, class) in classes(state, of).enumerate() {
        let places = table.len();
        table[place(class.handle, places)].insert(0, class);
        if (n + 1) * 4 > table.len() * 3 {
            let mut larger = vec![Vec::new(); table.len() * 2];
            for class in table.into_iter().flatten() {
                let places = larger.len();
                larger[place(class.handle, places)].insert(0, class);
            }
            table = larger;
        }
    }
    table.into_iter().flatten().collect()
}

/// Returns a number from 8001 on that no discipline has, behind the last of them
/// (`qdisc_alloc_handle`). None when all are taken.
pub fn free_handle(state: &State) -> Option<u32> {
    const STEP: u32 = 0x1_0000;
    const FIRST: u32 = 0x8000_0000 + STEP;
    let numbers = || disciplines_of_all(state).map(|it| it.handle);
    let last = numbers().filter(|handle| (FIRST..RECEIVES).contains(handle));
    let next = last.max().map_or(FIRST, |last| last + STEP);
    let mut tried = (next..RECEIVES).chain(FIRST..next).step_by(STEP as usize);
    tried.find(|handle| !numbers().any(|taken| taken == *handle))
}

fn disciplines_of_all(state: &State) -> impl Iterator<Item = &Traffic> {
    state.traffic.iter().filter(|it| !it.is_class)
}

/// Takes a discipline out, with its classes and all that hangs at them.
pub fn take_out(state: &mut State, of: &Traffic) {
    let at = |it: &Traffic| it.index == of.index && !it.is_class && it.parent == of.parent;
    state.traffic.retain(|it| !at(it));
    if of.handle == 0 {
        return;
    }
    while let Some(next) = child(state, of).cloned() {
        take_out(state, &next);
    }
    state.traffic.retain(|it| !is_class_of(it, of));
}
