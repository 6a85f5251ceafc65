//! The net's interfaces for the functions of <net/if.h> and <ifaddrs.h>.
#![forbid(unsafe_code)]

use crate::asking::OwnHost;
use crate::errno::fence;
use crate::net;
use crate::table::OwnTunnels;
use memtun_abi::{Errno, Name};
use memtun_calls::host::{asked, need_state, Host};
use memtun_calls::ifaddrs::{self, Entry};
use memtun_calls::interfaces;
use memtun_kernel::net::NetDir;

pub use memtun_calls::interfaces::Answer;

fn ask<T>(run: impl FnOnce(&NetDir) -> Result<T, Errno>) -> Option<T> {
    fence(|| known()?.map(run).transpose()).unwrap_or(None)
}

/// The net of this process with all links that it has. An isolated one has the loopback before its
/// first interface, and the host process has to be asked for that.
fn known() -> Result<Option<&'static NetDir>, Errno> {
    if !OwnHost.is_isolated() {
        return Ok(net::existing());
    }
    let net = net::join()?;
    // Without a host process there are the interfaces that programs have made.
    let _ = need_state(&OwnHost, net);
    Ok(Some(net))
}

/// The answer about what the net does not know: an isolated program has nobody else to ask.
fn or_machine<T>(answer: Option<Answer<T>>) -> Answer<T> {
    match answer.unwrap_or(Answer::Ask) {
        Answer::Ask if OwnHost.is_isolated() => Answer::Gone,
        answer => answer,
    }
}

/// if_nametoindex(3): the index of the interface of this name.
pub fn index_of(name: &[u8]) -> Answer<u32> {
    or_machine(ask(|net| interfaces::index_of(net, name, &OwnTunnels)))
}

/// if_indextoname(3): the name of the interface with this index.
pub fn name_of(index: u32) -> Answer<Name> {
    or_machine(ask(|net| interfaces::name_of(net, index, &OwnTunnels)))
}

/// The interfaces of the net, ordered by index.
pub fn all() -> Vec<(u32, Name)> {
    ask(|net| interfaces::all(net, &OwnTunnels)).unwrap_or_default()
}

/// The list of getifaddrs(3) as the host of the net has it; `None` where the machine is to be
/// asked.
pub fn addresses() -> Option<Vec<Entry>> {
    let listed = fence(|| match asked(&OwnHost)? {
        Some(net) => ifaddrs::list(&OwnHost, net).map(Some),
        None => Ok(None),
    });
    listed.unwrap_or_else(|e| {
        log::warn!("getifaddrs: the host of the net does not answer ({e}), so the machine does");
        None
    })
}

/// Does the program see nothing of the machine?
pub fn are_all() -> bool {
    OwnHost.is_isolated()
}

/// Is a name that the host has also the name of one of the net's interfaces? The label of an alias
/// counts as its interface.
pub fn is_known(name: &[u8]) -> bool {
    net::existing().is_some_and(|net| interfaces::is_known(net, name))
}
