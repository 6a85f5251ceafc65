//! The host process of the program's net, as a call of the program reaches it.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{self, Question, Start, What};
use memtun_stack::wire::{Attributes, Messages};
use memtun_stack::{route, state};
use memtun_sys as sys;
use std::net::IpAddr;

/// What a back end knows of the host of the program's net.
pub trait Host {
    /// Returns the program's net if it exists already.
    fn existing(&self) -> Option<&NetDir>;
    /// Returns the program's net, which is made if need be.
    ///
    /// # Errors
    ///
    /// What making or joining the net fails with.
    fn make(&self) -> Result<&NetDir, Errno>;
    /// Does the program see nothing of the machine, even in a net without an interface?
    fn is_isolated(&self) -> bool;
    /// Returns how a host process is started.
    fn start(&self) -> &dyn Start;
    /// Returns the program's effective user and its process id.
    fn program(&self) -> (u32, u32);
    /// Returns bits of [`option`](memtun_stack::ask::option) that say who asks.
    fn options(&self) -> u16 {
        0
    }
}

/// Returns the net whose host has to be asked about links, addresses and routes. None means that
/// the machine knows all there is.
///
/// # Errors
///
/// What making the net of an isolated program fails with.
pub fn asked(host: &impl Host) -> Result<Option<&NetDir>, Errno> {
    if host.is_isolated() {
        return host.make().map(Some);
    }
    let has_host = |net: &&NetDir| net.had_interfaces() || state::is_there(net);
    Ok(host.existing().filter(has_host))
}

/// Has the first host process of an isolated program make the state of the net, from which others
/// than itself read what there is in place of the machine's links.
///
/// # Errors
///
/// What asking fails with, see [`ask::ask`].
pub fn need_state(host: &impl Host, net: &NetDir) -> Result<(), Errno> {
    if state::is_there(net) {
        return Ok(());
    }
    let question = question(host, What::Links);
    ask::ask(net, host.start(), &question, &[], &mut |_| {})
}

/// Begins a question, with a number that no other question has.
pub fn question(host: &impl Host, what: What) -> Question {
    numbered(host, what, sys::random())
}

/// Begins a question with a number of the caller's, which no other question has unless it is the
/// same one.
pub fn numbered(host: &impl Host, what: What, id: u64) -> Question {
    let (uid, pid) = host.program();
    Question {
        what,
        options: host.options(),
        id,
        port: 0,
        family: 0,
        request: 0,
        uid,
        pid,
        net: 0,
    }
}

/// Makes a request of ioctl(2) on a socket of this family to the host of the net. `parts` is the
/// argument, with what it points to behind it. What the answer stores is put into `room`; returns
/// how many bytes that are.
///
/// # Errors
///
/// - The errno of the answer.
/// - What asking fails with, see [`ask::ask`].
pub fn ioctl(
    host: &impl Host,
    net: &NetDir,
    family: i32,
    request: u32,
    parts: &[&[u8]],
    room: &mut [u8],
) -> Result<usize, Errno> {
    let question = Question {
        family: family as u32,
        request,
        ..question(host, What::Ioctl)
    };
    let mut length = 0;
    ask::ask(net, host.start(), &question, parts, &mut |answer| {
        let n = answer.len().min(room.len() - length);
        room[length..length + n].copy_from_slice(&answer[..n]);
        length += n;
    })?;
    Ok(length)
}

/// Returns the index of the link by which a route leads to an address. None leaves it to the
/// machine's kernel: there is nobody to ask, or no route that is known where the machine is seen.
///
/// # Errors
///
/// - ENODEV where there is no route, and the machine is not seen; there also what asking fails
///   with.
/// - What making the net of an isolated program fails with.
pub fn link_towards(host: &impl Host, address: IpAddr) -> Result<Option<u32>, Errno> {
    let Some(net) = asked(host)? else {
        return Ok(None);
    };
    let mut request = [0u8; 16 + route::HEADER + 20];
    let (family, octets, length) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, &v4.octets()[..], 4),
        IpAddr::V6(v6) => (libc::AF_INET6, &v6.octets()[..], 16),
    };
    let destination = 16 + route::HEADER;
    let all = destination + 4 + length;
    request[..4].copy_from_slice(&(all as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&libc::RTM_GETROUTE.to_ne_bytes());
    request[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    request[16] = family as u8;
    request[17] = 8 * length as u8;
    request[destination..][..2].copy_from_slice(&(4 + length as u16).to_ne_bytes());
    request[destination + 2..][..2].copy_from_slice(&libc::RTA_DST.to_ne_bytes());
    request[destination + 4..all].copy_from_slice(octets);
    let question = question(host, What::Netlink);
    let mut found = Err(Errno(libc::ENODEV));
    let asked = ask::ask(
        net,
        host.start(),
        &question,
        &[&request[..all]],
        &mut |answer| {
            for message in Messages(answer).filter(|m| m.kind == libc::RTM_NEWROUTE) {
                let attributes = message.body.get(route::HEADER..).unwrap_or_default();
                let mut attributes = Attributes::new(attributes);
                let index = attributes.find(|a| a.kind == libc::RTA_OIF);
                found = index.and_then(|a| a.u32()).ok_or(Errno(libc::ENODEV));
            }
        },
    );
    match (asked, found) {
        (Ok(()), Ok(index)) => Ok(Some(index)),
        (Ok(()), Err(e)) if host.is_isolated() => Err(e),
        // Nobody says that it is not one of the machine's networks.
        (Err(e), _) if host.is_isolated() => Err(e),
        _ => Ok(None),
    }
}

/// Tells the host of the net that links have changed, if it has one: addresses and routes follow
/// before this returns.
pub fn links_changed(host: &impl Host, net: &NetDir) {
    if state::is_there(net) {
        let question = question(host, What::Links);
        if let Err(e) = ask::ask(net, host.start(), &question, &[], &mut |_| {}) {
            log::warn!("the host of the net does not follow a change of a link: {e}");
        }
    }
}
