//! A discipline or a class as it is told.
#![forbid(unsafe_code)]

use super::kinds::{self, Classes};
use super::numbers::place;
use super::tree;
use crate::message::traffic::{self as message, Told};
use crate::World;
use memtun_stack::traffic::{INGRESS, ROOT};
use memtun_stack::wire::{u32_at, Attributes, Writer};
use memtun_stack::{Link, State, Traffic};

/// RTNLGRP_TC.
const GROUP: u32 = 4;

/// How often a discipline is referred to (`refcnt`).
pub fn references(link: &Link, it: &Traffic) -> u32 {
    match it.parent {
        ROOT if it.kind == b"mq" => 1,
        ROOT => tree::queues(link) + 1,
        _ => 1,
    }
}

/// Returns a discipline as it is told.
pub fn discipline(now: u32, link: &Link, it: &Traffic) -> Told {
    let kind = kinds::find(&it.kind);
    let counts = matches!(it.parent, ROOT) && !matches!(&it.kind[..], b"noqueue" | b"blackhole");
    let since = |now: u64, before: u64| {
        if counts {
            now.saturating_sub(before)
        } else {
            0
        }
    };
    let mut own = vec![0; kind.map_or(0, |kind| kind.counters)];
    if it.kind == b"fq" {
        // Until the next flow may send: there is none, which is at the end of all times.
        let next = 9999u64.wrapping_sub(u64::from(now) * 10_000_000);
        own[56..64].copy_from_slice(&next.to_ne_bytes());
    }
    Told {
        index: it.index,
        handle: it.handle,
        parent: it.parent,
        info: references(link, it),
        kind: it.kind.clone(),
        options: it.options.clone(),
        sent: Some([
            since(link.counters.tx_packets, it.base[0]),
            since(link.counters.tx_bytes, it.base[1]),
        ]),
        own,
        said: None,
        is_class: false,
        is_hidden: it.is_hidden,
    }
}

/// Returns what the kernel has put at a queue of a link by itself.
pub fn of_queue(link: &Link, root: &Traffic, queue: u32) -> Traffic {
    let kind = kinds::find(b"pfifo_fast");
    let place = place(link, root.handle | queue);
    let options = kind.and_then(|kind| kind.options(&place, None, None).ok().flatten());
    Traffic {
        handle: 0,
        parent: root.handle | queue,
        kind: b"pfifo_fast".to_vec(),
        options,
        ..root.clone()
    }
}

/// Returns the disciplines of a link in the kernel's order: its own, those below, that of what it
/// receives.
pub fn disciplines(world: &World<'_>, link: &Link) -> Vec<Told> {
    let (state, index) = (&**world.state, link.extra.index);
    let tell = |it: &Traffic| discipline(world.now, link, it);
    let mut all = Vec::new();
    if let Some(root) = tree::root(state, index) {
        all.push(tell(root));
        let mut below: Vec<Told> = tree::listed(state, index).into_iter().map(tell).collect();
        if root.kind == b"mq" {
            // One that nobody has attached counts one queue.
            let queues = link.driver.map_or(1, |driver| driver.queues.max(1));
            let free = (1..=queues).rev();
            let free = free.filter(|queue| tree::at(state, index, root.handle | queue).is_none());
            let implied = free.map(|queue| {
                let mut told = tell(&of_queue(link, root, queue));
                told.sent = Some([0, 0]);
                told
            });
            below.splice(0..0, implied);
        }
        all.extend(below);
    }
    let receives = tree::at(state, index, INGRESS).filter(|it| it.handle != 0);
    all.extend(receives.map(tell));
    all
}

/// Returns the classes of a discipline in the kernel's order (`walk`).
pub fn classes(state: &State, link: &Link, of: &Traffic) -> Vec<Told> {
    match kinds::find(&of.kind).map_or(Classes::None, |kind| kind.classes) {
        Classes::None | Classes::Flows | Classes::Directions => Vec::new(),
        Classes::One => class(state, link, of, of.handle | 1).into_iter().collect(),
        Classes::Bands => {
            let bands = 1..=tree::bands(of);
            let all = bands.map(|band| class(state, link, of, of.handle | band));
            all.flatten().collect()
        }
        Classes::Queues => {
            let queues = 1..=tree::queues(link);
            let all = queues.map(|queue| class(state, link, of, of.handle | queue));
            all.flatten().collect()
        }
        Classes::Made => {
            let all = tree::listed_classes(state, of).into_iter();
            all.flat_map(|it| class(state, link, of, it.handle))
                .collect()
        }
    }
}

/// Returns a class as it is told (`tc_fill_tclass`). None where there is none, or where the kernel
/// tells nothing of it.
pub fn class(state: &State, link: &Link, of: &Traffic, number: u32) -> Option<Told> {
    let classes = kinds::find(&of.kind)?.classes;
    let leaf = match tree::leaf(state, link, of, number)? {
        tree::Leaf::NoClass => return None,
        tree::Leaf::Nothing | tree::Leaf::Implied => None,
        tree::Leaf::Is(leaf) => Some(leaf),
    };
    let mut told = Told {
        index: of.index,
        handle: number,
        parent: of.handle,
        info: leaf.map_or(0, |leaf| leaf.handle),
        kind: of.kind.clone(),
        options: None,
        sent: None,
        own: Vec::new(),
        said: None,
        is_class: true,
        is_hidden: false,
    };
    match classes {
        // A discipline that has no other below it does not tell its class.
        Classes::One if of.kind == b"netem" && leaf.is_none() => return None,
        Classes::One => told.handle = of.handle | 1,
        Classes::Bands => told.sent = Some([0, 0]),
        Classes::Queues => {
            told.parent = ROOT;
            told.sent = Some([0, 0]);
        }
        Classes::Made => {
            let class = tree::class_of(state, of, number)?;
            told.parent = class.parent;
            told.options = class.options.clone();
            let level = level(state, of, class);
            if level != 0 {
                told.info = 0;
            }
            if let Some(at) = told.options.as_mut().and_then(|all| all.get_mut(40..44)) {
                // `level` in struct tc_htb_opt, behind the head of the attribute.
                at.copy_from_slice(&level.to_ne_bytes());
            }
            told.sent = Some([0, 0]);
            // struct tc_htb_xstats: lends, borrows, giants, and what it may send at once.
            let tokens = class.base.map(|tokens| tokens as u32);
            let own = [0, 0, 0, tokens[0], tokens[1]];
            told.own = own.map(u32::to_ne_bytes).concat();
        }
        Classes::Directions => told.handle = of.handle,
        Classes::None | Classes::Flows => return None,
    }
    Some(told)
}

/// Returns the level of a class of htb: 0 for one without others below it, 7 for the first that has
/// some.
pub fn level(state: &State, of: &Traffic, class: &Traffic) -> u32 {
    let has_children = |class: &Traffic| {
        let mut all = tree::classes(state, of);
        all.any(|other| other.parent == class.handle)
    };
    if !has_children(class) {
        return 0;
    }
    let mut level = 7;
    let mut at = class;
    while let Some(above) = tree::class_of(state, of, at.parent) {
        level -= 1;
        at = above;
    }
    level
}

/// Tells the listeners that one discipline is gone and that another is there (`qdisc_notify`), in
/// one datagram. `had` says that something was there, whether it is told or not.
pub fn tell(world: &mut World<'_>, had: bool, old: Option<&Told>, new: Option<&Told>) {
    let mut to = Writer::default();
    if let Some(old) = old.filter(|old| !old.is_hidden) {
        message::write(&mut to, world.caused(libc::RTM_DELQDISC, 0), old);
    }
    if let Some(new) = new {
        let flags = if had { libc::NLM_F_REPLACE as u16 } else { 0 };
        message::write(&mut to, world.caused(libc::RTM_NEWQDISC, flags), new);
    }
    if !to.is_empty() {
        world.tell(GROUP, to.take());
    }
}

/// Tells the listeners about a class, or about a discipline that somebody has asked for.
pub fn tell_one(world: &mut World<'_>, kind: u16, told: &Told) {
    let mut to = Writer::default();
    message::write(&mut to, world.caused(kind, 0), told);
    world.tell(GROUP, to.take());
}

/// Returns a number of the options of htb's discipline: how it makes a quantum out of a rate.
pub fn quantum_divisor(of: &Traffic) -> u32 {
    let options = of.options.as_deref().unwrap_or_default();
    let glob = Attributes::new(options).get(2);
    glob.and_then(|a| u32_at(a.value, 4)).unwrap_or(10).max(1)
}
