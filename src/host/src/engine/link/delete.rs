//! The end of a link that somebody deletes.
#![forbid(unsafe_code)]

use super::known::get;
use super::look::{is_gone, look};
use crate::{Failure, World};
use memtun_stack::wire::Messages;
use memtun_stack::Link;

/// Can the link be deleted (`rtnl_link_ops.dellink`)? The tun driver's can; of the machine's those
/// can that somebody made.
pub fn is_deletable(world: &World<'_>, index: u32) -> bool {
    if world.link(index).is_some_and(|link| link.driver.is_some()) {
        return true;
    }
    let mut machine = world.machine.links.iter();
    machine.any(|own| {
        let info = |whole: memtun_stack::wire::Message<'_>| {
            let header = memtun_stack::link::HEADER;
            let all = memtun_stack::wire::Attributes::behind(whole.body, header);
            all.get(libc::IFLA_LINKINFO)
                .is_some_and(|info| info.attributes().get(libc::IFLA_INFO_KIND).is_some())
        };
        own.item.extra.index == index && Messages(&own.message).next().is_some_and(info)
    })
}

/// Deletes a link. A link of the machine's is hidden.
///
/// # Errors
///
/// EOPNOTSUPP where it cannot be deleted, see [`is_deletable`].
pub fn delete(world: &mut World<'_>, index: u32) -> Result<(), Failure> {
    let link = get(world, index)?.clone();
    if !is_deletable(world, index) {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    if link.driver.is_some() {
        world.devices.delete(index)?;
        // What it was at the last moment is what is told of its end.
        is_gone(world, link);
        return Ok(look(world)?);
    }
    let own = |own: &&crate::world::Own<Link>| own.item.extra.index == index;
    if let Some(own) = world.machine.links.iter().find(own) {
        let hidden = own.message.clone();
        world.state.hidden.push(hidden);
    }
    is_gone(world, link);
    let machine = &mut world.machine.links;
    machine.retain(|own| own.item.extra.index != index);
    Ok(())
}
