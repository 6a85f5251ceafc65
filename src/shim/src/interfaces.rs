//! The net's interfaces for the functions of <net/if.h> and <ifaddrs.h>.
#![forbid(unsafe_code)]

use crate::errno::fence;
use crate::net;
use crate::table::OwnTunnels;
use memtun_abi::{Errno, Name};
use memtun_calls::interfaces;
use memtun_kernel::net::NetDir;

pub use memtun_calls::interfaces::Answer;

fn ask<T>(run: impl FnOnce(&NetDir) -> Result<T, Errno>) -> Option<T> {
    fence(|| net::existing().map(run).transpose()).unwrap_or(None)
}

/// if_nametoindex(3): the index of the interface of this name.
pub fn index_of(name: &[u8]) -> Answer<u32> {
    ask(|net| interfaces::index_of(net, name, &OwnTunnels)).unwrap_or(Answer::Ask)
}

/// if_indextoname(3): the name of the interface with this index.
pub fn name_of(index: u32) -> Answer<Name> {
    ask(|net| interfaces::name_of(net, index, &OwnTunnels)).unwrap_or(Answer::Ask)
}

/// The interfaces of the net, ordered by index.
pub fn all() -> Vec<(u32, Name)> {
    ask(|net| interfaces::all(net, &OwnTunnels)).unwrap_or_default()
}

/// Is a name that the host has also the name of one of the net's interfaces? The label of an alias
/// counts as its interface.
pub fn is_known(name: &[u8]) -> bool {
    net::existing().is_some_and(|net| interfaces::is_known(net, name))
}
