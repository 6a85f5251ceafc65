//! Making, changing and taking away a class (`__tc_ctl_tclass`), of which only htb's can be made
//! (net/sched/sch_htb.c).
#![forbid(unsafe_code)]

use super::kinds::{self, Classes};
use super::numbers::{MAJOR, MINOR};
use super::options::shaping::HIERARCHY;
use super::options::Given;
use super::rate::{Rate, SPEC};
use super::{change, told, tree};
use crate::netlink::policy::Mode;
use crate::{Failure, World};
use memtun_stack::traffic::ROOT;
use memtun_stack::wire::{u32_at, Attribute, Writer, HEADER as MESSAGE};
use memtun_stack::{Link, Traffic};

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Make or change the class.
    New,
    /// Take it away.
    Delete,
    /// Tell it.
    Get,
}

/// What a request wants of a class.
pub struct Wanted<'r, 'b> {
    /// What is to be done.
    pub what: What,
    /// The class's number (`tcm_handle`).
    pub handle: u32,
    /// Where it hangs (`tcm_parent`).
    pub parent: u32,
    /// Its options, if there are some.
    pub given: Option<Given<'r, 'b>>,
    /// Does the request name a block of filters that is shared?
    pub has_block: bool,
    /// Does it want an estimate of the rate?
    pub has_rate: bool,
    /// NLM_F_CREATE.
    pub creates: bool,
    /// NLM_F_EXCL.
    pub is_exclusive: bool,
}

/// Carries out a request of one class.
///
/// # Errors
///
/// What the kernel says of the request.
pub fn carry_out(
    world: &mut World<'_>,
    link: &Link,
    wanted: &Wanted<'_, '_>,
) -> Result<(), Failure> {
    let index = link.extra.index;
    let mut parent = wanted.parent;
    let mut major = wanted.handle & MAJOR;
    let root = tree::root(world.state, index).map_or(0, |root| root.handle);
    if parent != ROOT {
        let of_parent = parent & MAJOR;
        if major != 0 && of_parent != 0 && major != of_parent {
            return Err(Failure::new(libc::EINVAL));
        }
        major = [major, of_parent, root]
            .into_iter()
            .find(|major| *major != 0)
            .unwrap_or(0);
        if parent != 0 {
            parent = major | parent & MINOR;
        }
    } else if major == 0 {
        major = root;
    }
    let of = tree::find(world.state, index, major).cloned();
    let of = of.ok_or(Failure::new(libc::ENOENT))?;
    let classes = kinds::find(&of.kind).map_or(Classes::None, |kind| kind.classes);
    if classes == Classes::None {
        return Err(Failure::new(libc::EINVAL));
    }
    let number = match wanted.handle {
        0 if parent == ROOT => major,
        0 => 0,
        handle => major | handle & MINOR,
    };
    let leaf = tree::leaf(world.state, link, &of, number);
    let is_there = number != 0 && !matches!(leaf, None | Some(tree::Leaf::NoClass));
    match (wanted.what, is_there) {
        (What::New, false) if wanted.creates => {}
        (_, false) => return Err(Failure::new(libc::ENOENT)),
        (What::New, true) if wanted.is_exclusive => return Err(Failure::new(libc::EEXIST)),
        (What::New, true) => {}
        (What::Delete, true) => return delete(world, link, &of, classes, number),
        (What::Get, true) => {
            let told = told::class(world.state, link, &of, number);
            let told = told.ok_or(Failure::new(libc::EINVAL))?;
            told::tell_one(world, libc::RTM_NEWTCLASS, &told);
            return Ok(());
        }
    }
    if wanted.has_block {
        let text = "Shared blocks are not supported for classes";
        return Err(Failure::said(libc::EOPNOTSUPP, text));
    }
    if number == ROOT {
        let text = "Cannot create traffic class with classid TC_H_ROOT";
        return Err(Failure::said(libc::EINVAL, text));
    }
    if classes != Classes::Made {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    let said = set(world, link, &of, (number, parent), wanted)?;
    if let Some(mut told) = told::class(world.state, link, &of, number) {
        told.said = said;
        told::tell_one(world, libc::RTM_NEWTCLASS, &told);
    }
    Ok(())
}

fn delete(
    world: &mut World<'_>,
    link: &Link,
    of: &Traffic,
    classes: Classes,
    number: u32,
) -> Result<(), Failure> {
    let told = told::class(world.state, link, of, number);
    let class = tree::class_of(world.state, of, number).cloned();
    let (Classes::Made, Some(class)) = (classes, class) else {
        return Err(Failure::new(libc::EOPNOTSUPP));
    };
    if has_children(world, of, number) {
        return Err(Failure::said(libc::EBUSY, "HTB class in use"));
    }
    let index = link.extra.index;
    if let Some(leaf) = tree::at(world.state, index, number).cloned() {
        tree::take_out(world.state, &leaf);
    }
    world.state.traffic.retain(|it| *it != class);
    // The last child is gone: its parent has packets again.
    let above = tree::class_of(world.state, of, class.parent).cloned();
    if let Some(above) = above.filter(|_| !has_children(world, of, class.parent)) {
        let queue = change::packets(link, above.handle);
        world.state.traffic.push(queue);
    }
    if let Some(told) = told {
        told::tell_one(world, libc::RTM_DELTCLASS, &told);
    }
    Ok(())
}

/// Are there classes below the class of a number?
fn has_children(world: &World<'_>, of: &Traffic, number: u32) -> bool {
    tree::classes(world.state, of).any(|other| other.parent == number)
}

/// Makes or changes a class (`htb_change_class`). Returns what is said of it.
fn set(
    world: &mut World<'_>,
    link: &Link,
    of: &Traffic,
    (number, parent): (u32, u32),
    wanted: &Wanted<'_, '_>,
) -> Result<Option<String>, Failure> {
    /// Length in bytes of `struct tc_htb_opt`.
    const LENGTH: usize = 44;
    const PRIORITIES: u32 = 8;
    let invalid = || Failure::new(libc::EINVAL);
    let given = wanted.given.as_ref().ok_or_else(invalid)?;
    let request = given.request;
    let tb = request.parse_nested(given.attribute, &HIERARCHY, Mode::Liberal)?;
    let own = tb.get(1).and_then(|a| a.value.get(..LENGTH));
    let own = own.ok_or_else(invalid)?;
    let word = |at| u32_at(own, at).unwrap_or(0);
    if word(8) == 0 || word(SPEC + 8) == 0 {
        return Err(invalid());
    }
    let more = |kind| tb.get(kind).and_then(|a: Attribute<'_>| a.u64());
    let rate = Rate::read(&own[..SPEC], more(6));
    let ceil = Rate::read(&own[SPEC..2 * SPEC], more(7));
    let (buffer, cbuffer, quantum, priority) = (word(24), word(28), word(32), word(40));
    let index = link.extra.index;
    let class = tree::class_of(world.state, of, number).cloned();
    let above = match parent {
        ROOT => None,
        _ => tree::class_of(world.state, of, parent).cloned(),
    };
    if class.is_none() {
        if number & MAJOR != of.handle {
            return Err(invalid());
        }
        let higher = above.as_ref();
        let higher = higher.and_then(|above| tree::class_of(world.state, of, above.parent));
        if higher.is_some_and(|higher| told::level(world.state, of, higher) < 2) {
            return Err(Failure::said(libc::EINVAL, "sch_htb: tree is too deep"));
        }
    }
    if wanted.has_rate {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    // A class with others below it keeps what it had as one without.
    let kept = class
        .as_ref()
        .filter(|class| has_children(world, of, class.handle));
    let kept = kept.and_then(|class| class.options.clone());
    let number_of = |options: &[u8], at| u32_at(options, at).unwrap_or(0);
    let mut said = None;
    let (quantum, priority) = match &kept {
        // `quantum` and `prio`, behind the head of the attribute.
        Some(options) => (number_of(options, 36), number_of(options, 44)),
        None => {
            let by_rate = rate.bytes / u64::from(told::quantum_divisor(of));
            let by_rate = u32::try_from(by_rate)
                .unwrap_or(u32::MAX)
                .min(i32::MAX as u32);
            let chosen = match quantum {
                0 => by_rate.clamp(1000, 200_000),
                quantum => quantum,
            };
            if quantum == 0 && chosen != by_rate {
                let size = if by_rate < chosen { "small" } else { "big" };
                let text =
                    format!("sch_htb: quantum of class {number:X} is {size}. Consider r2q change.");
                request.say(text.clone());
                said = Some(text);
            }
            (chosen, priority.min(PRIORITIES - 1))
        }
    };
    let mut bytes = rate.to_bytes().to_vec();
    bytes.extend(ceil.to_bytes());
    let numbers = [buffer, cbuffer, quantum, 0, priority];
    bytes.extend(numbers.map(u32::to_ne_bytes).concat());
    let mut to = Writer::default();
    to.message(0, 0, 0, 0).attribute(1, &bytes);
    for (kind, rate) in [(6, rate), (7, ceil)] {
        if rate.bytes > u64::from(u32::MAX) {
            to.u64(kind, rate.bytes);
        }
    }
    let options = Some(to.bytes()[MESSAGE..].to_vec());
    match class {
        Some(class) => {
            let mut all = world.state.traffic.iter_mut();
            if let Some(kept) = all.find(|it| **it == class) {
                kept.options = options;
            }
        }
        None => {
            if let Some(above) = &above {
                // It has no packets of its own any more.
                if let Some(leaf) = tree::at(world.state, index, above.handle).cloned() {
                    tree::take_out(world.state, &leaf);
                }
            }
            let leaf = change::packets(link, number);
            let class = Traffic {
                index,
                handle: number,
                parent: above.map_or(ROOT, |above| above.handle),
                kind: of.kind.clone(),
                options,
                is_class: true,
                is_hidden: false,
                base: [buffer.into(), cbuffer.into()],
            };
            world.state.traffic.extend([class, leaf]);
        }
    }
    Ok(said)
}
