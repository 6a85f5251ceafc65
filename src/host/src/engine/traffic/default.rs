//! The disciplines that links have when nobody has chosen one (`attach_default_qdiscs`).
#![forbid(unsafe_code)]

use super::numbers::{is_multi, made, place};
use super::{kinds, tree};
use crate::World;
use memtun_stack::traffic::ROOT;

/// The kind of discipline that a link gets when nobody has chosen one, as the kernel has it built
/// in.
const DEFAULT: &[u8] = b"pfifo_fast";

/// Gives a link that is up the discipline that it has when nobody has chosen one, if it has none
/// (`attach_default_qdiscs`).
pub fn link_is_up(world: &mut World<'_>, index: u32) {
    let Some(link) = world.link(index) else {
        return;
    };
    if world.is_of_machine(index) || tree::root(world.state, index).is_some() {
        return;
    }
    let wanted = match () {
        () if link.is_loopback() => b"noqueue",
        () if is_multi(link) => &b"mq"[..],
        () => default(world),
    };
    let make = |name: &[u8]| {
        let kind = kinds::find(name)?;
        let options = kind.options(&place(link, ROOT), None, None).ok()?;
        let mut new = made(link, ROOT, kind, options);
        new.base = [0, 0];
        Some(new)
    };
    // What cannot be made, because the link has no queue, is none.
    if let Some(new) = make(wanted).or_else(|| make(b"noqueue")) {
        world.state.traffic.push(new);
    }
}

/// Returns the kind that a link gets when nobody has chosen one: that of the machine, where it is
/// seen.
fn default<'w>(world: &'w World<'_>) -> &'w [u8] {
    let set = world.state.sysctls.iter();
    let set = set.rev().find(|set| set.path == b"core/default_qdisc");
    let name = set.map_or(&world.machine.queueing, |set| &set.value);
    match kinds::find(name) {
        Some(kind) => kind.name,
        None => DEFAULT,
    }
}

/// Forgets all of a link that is gone.
pub fn link_is_gone(world: &mut World<'_>, index: u32) {
    if world.state.traffic.iter().any(|it| it.index == index) {
        world.state.traffic.retain(|it| it.index != index);
    }
}
