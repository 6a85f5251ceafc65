//! Whose interface a name or an index is, and the lists of <net/if.h>. A name that the net knows,
//! or knew, is never asked of the host, which may have another interface of that name.
#![forbid(unsafe_code)]

use memtun_abi::{Errno, Name};
use memtun_kernel::net::{Local, NetDir};
use memtun_shm::layout::InterfaceState;
use memtun_shm::{load_name, Mapped};
use std::sync::atomic::Ordering::Relaxed;

/// Whose interface a name or index is.
pub enum Whose {
    /// The net's.
    Ours(Mapped<InterfaceState>),
    /// It was the net's.
    Gone,
    /// Only the host can know.
    Host,
}

/// Whose interface has this name? Wants the net's lock.
pub fn by_name(net: &NetDir, name: &Name, local: &dyn Local) -> Whose {
    match net.find_interface(name, local) {
        Ok(Some(interface)) => Whose::Ours(interface),
        _ if net.knows(name) => Whose::Gone,
        _ => Whose::Host,
    }
}

/// Whose interface has this index? Wants the net's lock.
pub fn by_index(net: &NetDir, index: u32, local: &dyn Local) -> Result<Whose, Errno> {
    Ok(match net.find_by_index(index, local)? {
        Some(interface) => Whose::Ours(interface),
        None if net.knows_index(index) => Whose::Gone,
        None => Whose::Host,
    })
}

/// The interface's name in one that may be of an alias of its address: up to the colon.
pub fn without_alias(name: &Name) -> Name {
    let bytes = name.as_bytes();
    let end = bytes.iter().position(|b| *b == b':');
    Name::new(&bytes[..end.unwrap_or(bytes.len())]).unwrap_or_default()
}

/// Is a name that the host has the net's? The label of an alias counts as its interface.
pub fn is_known(net: &NetDir, name: &[u8]) -> bool {
    Name::new(name).is_some_and(|name| net.knows(&without_alias(&name)))
}

/// What the net says of a name or an index.
pub enum Answer<T> {
    /// It is this.
    Is(T),
    /// There was one; the host's is another.
    Gone,
    /// The host knows.
    Ask,
}

/// if_nametoindex(3)
pub fn index_of(net: &NetDir, name: &[u8], local: &dyn Local) -> Result<Answer<u32>, Errno> {
    // Longer ones libc refuses itself.
    let Some(name) = Name::new(name) else {
        return Ok(Answer::Ask);
    };
    let _lock = net.lock()?;
    Ok(match by_name(net, &without_alias(&name), local) {
        Whose::Ours(interface) => Answer::Is(interface.ifindex.load(Relaxed)),
        Whose::Gone => Answer::Gone,
        Whose::Host => Answer::Ask,
    })
}

/// if_indextoname(3)
pub fn name_of(net: &NetDir, index: u32, local: &dyn Local) -> Result<Answer<Name>, Errno> {
    let _lock = net.lock()?;
    Ok(match by_index(net, index, local)? {
        Whose::Ours(interface) => Answer::Is(load_name(&interface.name)),
        Whose::Gone => Answer::Gone,
        Whose::Host => Answer::Ask,
    })
}

/// if_nameindex(3): the interfaces of the net, by index.
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
    found.sort_unstable_by_key(|(index, _)| *index);
    Ok(found)
}
