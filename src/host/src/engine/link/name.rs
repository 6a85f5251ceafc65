//! Names of links (net/core/dev.c).
#![forbid(unsafe_code)]

use super::known::{change, get};
use super::look::{change_and_tell, look};
use crate::{Failure, World};
use memtun_abi::Name;

/// Sets the name, or that for which a pattern stands (`netif_change_name`).
///
/// # Errors
///
/// EINVAL for a bad name, EEXIST for one that is taken, ENFILE when each number of a pattern is.
pub fn rename(world: &mut World<'_>, index: u32, wanted: &[u8]) -> Result<(), Failure> {
    let link = get(world, index)?;
    if link.extra.name.as_bytes() == wanted {
        return Ok(());
    }
    let invalid = || Failure::new(libc::EINVAL);
    let name = Name::new(wanted)
        .filter(Name::is_valid)
        .ok_or_else(invalid)?;
    let name = match name.pattern()? {
        None if world.link_named(name.as_bytes()).is_some() => {
            return Err(Failure::new(libc::EEXIST));
        }
        None => name,
        Some((prefix, suffix)) => {
            let numbered = |number| Name::numbered(prefix, number, suffix);
            let free = |name: &Name| world.link_named(name.as_bytes()).is_none();
            let mut names = (0..u32::from(u16::MAX)).map_while(numbered);
            let found = names.find(free).filter(Name::is_valid);
            found.ok_or(Failure::new(libc::ENFILE))?
        }
    };
    if link.driver.is_none() {
        return change_and_tell(world, index, |extra| extra.name = name);
    }
    world.devices.rename(index, &name)?;
    Ok(look(world)?)
}

/// Sets the description, up to its first NUL.
///
/// # Errors
///
/// EINVAL when it is longer than 255 bytes.
pub fn set_alias(world: &mut World<'_>, index: u32, alias: &[u8]) -> Result<(), Failure> {
    if alias.len() > 255 {
        return Err(Failure::new(libc::EINVAL));
    }
    let end = alias.iter().position(|b| *b == 0).unwrap_or(alias.len());
    change(world, index, |extra| extra.alias = alias[..end].to_vec())
}

/// Gives the link another name beside its own (`netdev_name_node_alt_create`).
///
/// # Errors
///
/// EEXIST when the name is taken.
pub fn add_name(world: &mut World<'_>, index: u32, name: &[u8]) -> Result<(), Failure> {
    if world.link_named(name).is_some() {
        return Err(Failure::new(libc::EEXIST));
    }
    change(world, index, |extra| extra.other_names.push(name.to_vec()))
}

/// Takes another name away (`netdev_name_node_alt_destroy`).
///
/// # Errors
///
/// ENOENT when there is no such name, EINVAL when it is a link's own or another link's.
pub fn remove_name(world: &mut World<'_>, index: u32, name: &[u8]) -> Result<(), Failure> {
    let link = get(world, index)?;
    if !link.extra.other_names.iter().any(|other| other == name) {
        let taken = world.link_named(name).is_some();
        let errno = if taken { libc::EINVAL } else { libc::ENOENT };
        return Err(Failure::new(errno));
    }
    change(world, index, |extra| {
        extra.other_names.retain(|other| other != name);
    })
}
