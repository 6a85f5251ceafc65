//! Making, changing and taking away a queueing discipline, in the kernel's order of checks.
#![forbid(unsafe_code)]

use super::kinds::{self, Classes, Kind};
use super::numbers::{made, place, MAJOR, MINOR, RECEIVES};
use super::options::Given;
use super::{default, told, tree};
use crate::failure::refuse;
use crate::{Failure, World};
use memtun_stack::traffic::{INGRESS, ROOT};
use memtun_stack::wire::u32_at;
use memtun_stack::{Link, Traffic};

/// What a request wants of a discipline.
pub struct Wanted<'r, 'b> {
    /// The number that it gives (`tcm_handle`).
    pub handle: u32,
    /// Where it hangs, or is to hang (`tcm_parent`); 0 where only the number is given.
    pub parent: u32,
    /// Its kind, if the request names one.
    pub kind: Option<&'b [u8]>,
    /// Its options, if there are some.
    pub given: Option<Given<'r, 'b>>,
    /// Does the request want something of which nothing is here: a table of sizes, an estimate of
    /// the rate, or a block of filters that is shared?
    pub wants_more: bool,
    /// NLM_F_CREATE.
    pub creates: bool,
    /// NLM_F_EXCL.
    pub is_exclusive: bool,
    /// NLM_F_REPLACE.
    pub replaces: bool,
}

const ANOTHER_KIND: &str = "Invalid qdisc name: must match existing qdisc";

/// Makes or changes a discipline of a link (`__tc_modify_qdisc`).
///
/// # Errors
///
/// What the kernel says of the request.
pub fn modify(world: &mut World<'_>, link: &Link, wanted: &Wanted<'_, '_>) -> Result<(), Failure> {
    let index = link.extra.index;
    let differs = |it: &Traffic| wanted.kind.is_some_and(|kind| kind != it.kind);
    let mut above = None;
    let found = match wanted.parent {
        0 => {
            if wanted.handle == 0 {
                return refuse(libc::EINVAL, "Handle cannot be zero");
            }
            tree::find(world.state, index, wanted.handle).cloned()
        }
        parent => {
            let there = match parent {
                ROOT => tree::root(world.state, index).cloned(),
                INGRESS => Some(receiving(world, link)),
                _ => {
                    let of = tree::find(world.state, index, parent & MAJOR).cloned();
                    let Some(of) = of else {
                        return refuse(libc::ENOENT, "Failed to find specified qdisc");
                    };
                    if of.parent == INGRESS {
                        let text = "Cannot add children to ingress/clsact qdisc";
                        return refuse(libc::EOPNOTSUPP, text);
                    }
                    let there = hanging(world, link, &of, parent)?;
                    above = Some(of);
                    there
                }
            };
            // What the kernel has put there by itself is as good as nothing.
            let there = there.filter(|it| it.handle != 0);
            let is_it = |it: &Traffic| wanted.handle != 0 && it.handle == wanted.handle;
            match there {
                Some(it) if is_it(&it) => Some(it),
                there if wanted.handle != 0 => {
                    if there.is_some() && !wanted.replaces {
                        return refuse(libc::EEXIST, "NLM_F_REPLACE needed to override");
                    }
                    if wanted.handle & MINOR != 0 {
                        return refuse(libc::EINVAL, "Invalid minor handle");
                    }
                    match tree::find(world.state, index, wanted.handle) {
                        None => return create(world, link, above.as_ref(), wanted, false),
                        Some(it) => return moved(it, wanted),
                    }
                }
                None => return create(world, link, above.as_ref(), wanted, false),
                Some(it) if differs(&it) => {
                    let anew = wanted.creates && (wanted.replaces || wanted.is_exclusive);
                    let changes = !wanted.creates && !wanted.replaces && !wanted.is_exclusive;
                    if anew || changes {
                        return create(world, link, above.as_ref(), wanted, changes);
                    }
                    Some(it)
                }
                it => it,
            }
        }
    };
    let Some(it) = found else {
        return refuse(libc::ENOENT, "Specified qdisc not found");
    };
    if wanted.is_exclusive {
        return refuse(libc::EEXIST, "Exclusivity flag on, cannot modify");
    }
    if differs(&it) {
        return refuse(libc::EINVAL, ANOTHER_KIND);
    }
    change(world, link, &it, wanted)
}

/// What is said of a discipline whose number is given for another place.
fn moved(it: &Traffic, wanted: &Wanted<'_, '_>) -> Result<(), Failure> {
    if it.parent != wanted.parent {
        let text = "Cannot move an existing qdisc to a different parent";
        return refuse(libc::EINVAL, text);
    }
    if wanted.is_exclusive {
        return refuse(libc::EEXIST, "Exclusivity flag on, cannot override");
    }
    if wanted.kind.is_some_and(|kind| kind != it.kind) {
        return refuse(libc::EINVAL, ANOTHER_KIND);
    }
    refuse(libc::EINVAL, "Cannot regraft ingress or clsact Qdiscs")
}

/// Returns the discipline of what the link receives. The first who asks for it makes the queue, at
/// which nothing hangs yet (`dev_ingress_queue_create`).
fn receiving(world: &mut World<'_>, link: &Link) -> Traffic {
    let index = link.extra.index;
    if let Some(it) = tree::at(world.state, index, INGRESS) {
        return it.clone();
    }
    let new = Traffic {
        kind: b"noop".to_vec(),
        is_hidden: true,
        ..nothing(link, INGRESS)
    };
    world.state.traffic.push(new.clone());
    new
}

fn nothing(link: &Link, parent: u32) -> Traffic {
    Traffic {
        index: link.extra.index,
        handle: 0,
        parent,
        kind: Vec::new(),
        options: None,
        is_class: false,
        is_hidden: true,
        base: [0, 0],
    }
}

/// Returns what hangs at a class (`qdisc_leaf`).
fn hanging(
    world: &World<'_>,
    link: &Link,
    of: &Traffic,
    class: u32,
) -> Result<Option<Traffic>, Failure> {
    match tree::leaf(world.state, link, of, class) {
        None => refuse(libc::EOPNOTSUPP, "Parent qdisc is not classful"),
        Some(tree::Leaf::NoClass) => refuse(libc::ENOENT, "Specified class not found"),
        Some(tree::Leaf::Nothing) => Ok(None),
        Some(tree::Leaf::Implied) => Ok(Some(told::of_queue(link, of, class & MINOR))),
        Some(tree::Leaf::Is(it)) => Ok(Some(it.clone())),
    }
}

/// Makes a discipline and puts it in the place of what is there (`qdisc_create`, `qdisc_graft`).
fn create(
    world: &mut World<'_>,
    link: &Link,
    above: Option<&Traffic>,
    wanted: &Wanted<'_, '_>,
    by_change: bool,
) -> Result<(), Failure> {
    if !wanted.creates && !by_change {
        let text = "Qdisc not found. To create specify NLM_F_CREATE flag";
        return refuse(libc::ENOENT, text);
    }
    let Some(kind) = kinds::find(wanted.kind.unwrap_or_default()) else {
        return refuse(libc::ENOENT, "Specified qdisc kind is unknown");
    };
    let for_ingress = wanted.parent == INGRESS;
    let handle = match wanted.handle {
        _ if for_ingress && kind.is_ingress => RECEIVES,
        INGRESS if kind.is_ingress => RECEIVES,
        _ if for_ingress || wanted.handle == INGRESS => {
            let text = "Specified parent ID is reserved for ingress and clsact Qdiscs";
            return refuse(libc::EINVAL, text);
        }
        0 => match tree::free_handle(world.state) {
            Some(handle) => handle,
            None => {
                let text = "Maximum number of qdisc handles was exceeded";
                return refuse(libc::ENOSPC, text);
            }
        },
        handle => handle,
    };
    if wanted.wants_more {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    let own = place(link, wanted.parent);
    let options = kind.options(&own, None, wanted.given.as_ref())?;
    let mut new = made(link, wanted.parent, kind, options);
    new.handle = handle;
    graft(world, link, above, wanted.parent, Some((new, kind)))
}

/// Puts a discipline, or nothing, in the place of what is there, and tells that
/// (`qdisc_graft`).
fn graft(
    world: &mut World<'_>,
    link: &Link,
    above: Option<&Traffic>,
    parent: u32,
    new: Option<(Traffic, &Kind)>,
) -> Result<(), Failure> {
    let index = link.extra.index;
    let mut had = true;
    if let Some(of) = above {
        let classes = kinds::find(&of.kind).map_or(Classes::None, |kind| kind.classes);
        if matches!(classes, Classes::None | Classes::Flows) {
            return Err(Failure::new(libc::EOPNOTSUPP));
        }
        if new.as_ref().is_some_and(|new| new.0.kind == b"noqueue") {
            return refuse(libc::EINVAL, "Cannot assign noqueue to a class");
        }
        if new.is_some() && depth(world, of) >= 7 {
            return refuse(libc::E2BIG, "Qdisc hierarchy is too deep");
        }
        let there = hanging(world, link, of, parent)?;
        had = there.is_some() || of.kind != b"netem";
        let class = tree::class_of(world.state, of, parent);
        if class.is_some_and(|class| told::level(world.state, of, class) != 0) {
            return Err(Failure::new(libc::EINVAL));
        }
    }
    let old = match above {
        Some(of) if matches!(&of.kind[..], b"tbf" | b"netem") => tree::child(world.state, of),
        _ => tree::at(world.state, index, parent),
    };
    let old = old.cloned();
    let tell = |world: &World<'_>, it: &Traffic| {
        let mut told = told::discipline(world.now, link, it);
        told.parent = parent;
        told
    };
    let mut old_told = old.as_ref().map(|old| tell(world, old));
    let attaches = new.as_ref().is_some_and(|(_, kind)| kind.attaches);
    if let Some(old) = old_told.as_mut().filter(|_| !attaches) {
        // The link's queues have let go of it.
        old.info = u32::from(parent != INGRESS);
    }
    if let Some(old) = &old {
        tree::take_out(world.state, old);
    }
    let new_told = match new {
        Some((new, kind)) => {
            put(world, link, &new);
            let mut told = tell(world, &new);
            if kind.attaches {
                told.info = 1;
            }
            Some(told)
        }
        None => {
            match above {
                Some(of) if matches!(&of.kind[..], b"prio" | b"htb") => {
                    let queue = packets(link, parent);
                    world.state.traffic.push(queue);
                }
                None if parent & MAJOR == RECEIVES && parent != ROOT => {
                    receiving(world, link);
                }
                _ => {}
            }
            None
        }
    };
    told::tell(world, had, old_told.as_ref(), new_told.as_ref());
    if above.is_none() && link.is_up() {
        default::link_is_up(world, index);
    }
    Ok(())
}

/// How many disciplines are above one.
fn depth(world: &World<'_>, of: &Traffic) -> usize {
    let mut depth = 0;
    let mut at = of.parent;
    while at != ROOT && depth < 8 {
        depth += 1;
        match tree::find(world.state, of.index, at & MAJOR) {
            Some(above) => at = above.parent,
            None => break,
        }
    }
    depth
}

/// Returns what the kernel puts at a class by itself: a queue of packets.
pub(super) fn packets(link: &Link, parent: u32) -> Traffic {
    Traffic {
        kind: b"pfifo".to_vec(),
        options: Some(link.extra.txqueuelen.to_ne_bytes().to_vec()),
        ..nothing(link, parent)
    }
}

/// Notes a new discipline, behind what its kind puts below it.
fn put(world: &mut World<'_>, link: &Link, new: &Traffic) {
    fill(world, link, new);
    world.state.traffic.push(new.clone());
}

/// Puts below a discipline what its kind puts there, or takes away what is too much.
fn fill(world: &mut World<'_>, link: &Link, of: &Traffic) {
    let index = link.extra.index;
    match &of.kind[..] {
        b"prio" => {
            let bands = tree::bands(of);
            for band in 1..=16 {
                let here = of.handle | band;
                let there = tree::at(world.state, index, here).cloned();
                match there {
                    Some(there) if band > bands => tree::take_out(world.state, &there),
                    None if band <= bands => world.state.traffic.push(packets(link, here)),
                    _ => {}
                }
            }
        }
        b"tbf" => {
            // `limit` in struct tc_tbf_qopt, behind the head of the attribute.
            let options = of.options.as_deref().unwrap_or_default();
            let limit = u32_at(options, 28).unwrap_or(0).to_ne_bytes().to_vec();
            let child = tree::child(world.state, of).cloned();
            let mut all = world.state.traffic.iter_mut();
            match all.find(|it| child.as_ref() == Some(it)) {
                Some(it) if matches!(&it.kind[..], b"pfifo" | b"bfifo") => {
                    it.options = Some(limit);
                }
                Some(_) => {}
                None if limit == [0; 4] => {}
                None => world.state.traffic.push(Traffic {
                    kind: b"bfifo".to_vec(),
                    options: Some(limit),
                    ..nothing(link, of.handle | 1)
                }),
            }
        }
        _ => {}
    }
}

/// Changes a discipline (`qdisc_change`).
fn change(
    world: &mut World<'_>,
    link: &Link,
    it: &Traffic,
    wanted: &Wanted<'_, '_>,
) -> Result<(), Failure> {
    let mut new = it.clone();
    let kind = kinds::find(&it.kind);
    if let (Some(given), Some(kind)) = (&wanted.given, kind) {
        if !kind.can_change {
            let text = "Change operation not supported by specified qdisc";
            return refuse(libc::EINVAL, text);
        }
        let own = place(link, it.parent);
        new.options = kind.options(&own, it.options.as_deref(), Some(given))?;
    }
    if wanted.wants_more {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    let mut all = world.state.traffic.iter_mut();
    if let Some(kept) = all.find(|other| **other == *it) {
        *kept = new.clone();
    }
    fill(world, link, &new);
    let mut told = told::discipline(world.now, link, &new);
    told.parent = wanted.parent;
    told::tell(world, false, None, Some(&told));
    Ok(())
}

/// What a request of one discipline has found (`__tc_get_qdisc`).
pub struct Found {
    it: Traffic,
    above: Option<Traffic>,
}

/// Finds the discipline that a request means.
///
/// # Errors
///
/// What the kernel says of the request.
pub fn find(world: &World<'_>, link: &Link, wanted: &Wanted<'_, '_>) -> Result<Found, Failure> {
    let index = link.extra.index;
    let mut above = None;
    let it = match wanted.parent {
        0 => match tree::find(world.state, index, wanted.handle) {
            Some(it) => it.clone(),
            None => {
                let text = "Failed to find qdisc with specified handle";
                return refuse(libc::ENOENT, text);
            }
        },
        parent => {
            let noop = Traffic {
                kind: b"noop".to_vec(),
                ..nothing(link, parent)
            };
            let there = match parent {
                ROOT => Some(tree::root(world.state, index).cloned().unwrap_or(noop)),
                _ if parent & MAJOR == RECEIVES => tree::at(world.state, index, INGRESS).cloned(),
                _ => {
                    let of = tree::find(world.state, index, parent & MAJOR).cloned();
                    let Some(of) = of else {
                        let text = "Failed to find qdisc with specified classid";
                        return refuse(libc::ENOENT, text);
                    };
                    let there = hanging(world, link, &of, parent)?;
                    let is_noop = there.is_none() && of.kind == b"tbf";
                    above = Some(of);
                    there.or(is_noop.then_some(noop))
                }
            };
            let Some(it) = there else {
                let text = "Cannot find specified qdisc on specified device";
                return refuse(libc::ENOENT, text);
            };
            if wanted.handle != 0 && it.handle != wanted.handle {
                return refuse(libc::EINVAL, "Invalid handle");
            }
            it
        }
    };
    if wanted.kind.is_some_and(|kind| kind != it.kind) {
        return refuse(libc::EINVAL, ANOTHER_KIND);
    }
    Ok(Found { it, above })
}

/// Takes a discipline away.
///
/// # Errors
///
/// What the kernel says of the request.
pub fn delete(world: &mut World<'_>, link: &Link, wanted: &Wanted<'_, '_>) -> Result<(), Failure> {
    let Found { it, above } = find(world, link, wanted)?;
    if wanted.parent == 0 {
        return refuse(libc::EINVAL, "Classid cannot be zero");
    }
    if it.handle == 0 {
        return refuse(libc::ENOENT, "Cannot delete qdisc with handle of zero");
    }
    let parent = match above {
        None if wanted.parent != ROOT => INGRESS,
        _ => wanted.parent,
    };
    graft(world, link, above.as_ref(), parent, None)
}

/// Tells the discipline that a request means.
///
/// # Errors
///
/// What the kernel says of the request.
pub fn get(world: &mut World<'_>, link: &Link, wanted: &Wanted<'_, '_>) -> Result<(), Failure> {
    let it = find(world, link, wanted)?.it;
    if it.kind != b"noop" && !it.is_hidden {
        let mut told = told::discipline(world.now, link, &it);
        told.parent = wanted.parent;
        told::tell_one(world, libc::RTM_NEWQDISC, &told);
    }
    Ok(())
}
