//! To whom a name or an index of an interface belongs, and the lists of <net/if.h>. The host is
//! never asked about a name that the net knows or knew, because it may have another interface of
//! that name.
#![forbid(unsafe_code)]

use memtun_abi::{Errno, Name};
use memtun_kernel::net::{Local, NetDir};
use memtun_shm::layout::InterfaceState;
use memtun_shm::{load_name, Mapped};
use memtun_stack::brief::{self, By, Link};
use std::sync::atomic::Ordering::Relaxed;

/// Says to whom a name or an index of an interface belongs.
pub enum Whose {
    /// It belongs to this interface of the net.
    Ours(Mapped<InterfaceState>),
    /// It belonged to an interface of the net that is gone.
    Gone,
    /// The net does not know it, so only the host can.
    Host,
}

/// Says to whom this name belongs. The caller holds the net's lock.
///
/// # Errors
///
/// What opening the interface's file fails with, so that an interface that cannot be looked at for
/// want of a descriptor is not taken for one that is gone.
pub fn by_name(net: &NetDir, name: &Name, local: &dyn Local) -> Result<Whose, Errno> {
    Ok(match net.find_interface(name, local)? {
        Some(interface) => Whose::Ours(interface),
        None if net.knows(name) => Whose::Gone,
        None => Whose::Host,
    })
}

/// Says to whom this index belongs. The caller holds the net's lock.
///
/// # Errors
///
/// What reading the net's directory fails with.
pub fn by_index(net: &NetDir, index: u32, local: &dyn Local) -> Result<Whose, Errno> {
    Ok(match net.find_by_index(index, local)? {
        Some(interface) => Whose::Ours(interface),
        None if net.knows_index(index) => Whose::Gone,
        None => Whose::Host,
    })
}

/// Returns the interface's name in a name that may be the label of an alias: the part before the
/// colon.
pub fn without_alias(name: &Name) -> Name {
    let bytes = name.as_bytes();
    let end = bytes.iter().position(|b| *b == b':');
    Name::new(&bytes[..end.unwrap_or(bytes.len())]).unwrap_or_default()
}

/// Does a name of an interface of the host belong to the net? The label of an alias counts as its
/// interface.
pub fn is_known(net: &NetDir, name: &[u8]) -> bool {
    Name::new(name).is_some_and(|name| net.knows(&without_alias(&name)))
}

/// What the state of the host says about a name that the driver does not know: another name of one
/// of the net's interfaces, or a link that the net declares.
fn in_state(net: &NetDir, by: By<'_>) -> Result<Option<Link>, Errno> {
    let found = brief::link(net, by)?;
    Ok(found.filter(|link| link.declared || net.knows_index(link.index)))
}

/// What the net answers about a name or an index.
pub enum Answer<T> {
    /// The net has the interface, and this is the answer.
    Is(T),
    /// The net had it; an interface of the host is another one.
    Gone,
    /// The net does not know it, so the host must be asked.
    Ask,
}

/// Answers if_nametoindex(3).
///
/// # Errors
///
/// What locking the net fails with.
pub fn index_of(net: &NetDir, name: &[u8], local: &dyn Local) -> Result<Answer<u32>, Errno> {
    // libc itself refuses longer names.
    let Some(name) = Name::new(name) else {
        return Ok(Answer::Ask);
    };
    let _lock = net.lock()?;
    Ok(match by_name(net, &without_alias(&name), local)? {
        Whose::Ours(interface) => Answer::Is(interface.ifindex.load(Relaxed)),
        Whose::Gone => Answer::Gone,
        Whose::Host => match in_state(net, By::Name(without_alias(&name).as_bytes()))? {
            Some(link) => Answer::Is(link.index),
            None => Answer::Ask,
        },
    })
}

/// Answers if_indextoname(3).
///
/// # Errors
///
/// What locking the net or reading its directory fails with.
pub fn name_of(net: &NetDir, index: u32, local: &dyn Local) -> Result<Answer<Name>, Errno> {
    let _lock = net.lock()?;
    Ok(match by_index(net, index, local)? {
        Whose::Ours(interface) => Answer::Is(load_name(&interface.name)),
        Whose::Gone => Answer::Gone,
        Whose::Host => match in_state(net, By::Index(index))? {
            Some(link) if link.declared => Answer::Is(link.name),
            _ => Answer::Ask,
        },
    })
}

/// Returns the interfaces of the net by ascending index, for if_nameindex(3), and among them the
/// links that it declares.
///
/// # Errors
///
/// What locking the net or reading its directory fails with.
pub fn all(net: &NetDir, local: &dyn Local) -> Result<Vec<(u32, Name)>, Errno> {
    let _lock = net.lock()?;
    let (mut names, mut found) = (Vec::new(), Vec::new());
    net.each_name(|name| {
        names.push(name);
        true
    })?;
    for name in names {
        if let Ok(Some(interface)) = net.find_interface(&name, local) {
            found.push((interface.ifindex.load(Relaxed), name));
        }
    }
    brief::each_link(net, |link| {
        if link.declared {
            found.push((link.index, link.name));
        }
        true
    })?;
    found.sort_unstable_by_key(|(index, _)| *index);
    Ok(found)
}
