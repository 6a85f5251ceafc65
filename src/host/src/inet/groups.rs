//! The multicast groups that sockets have joined.
#![forbid(unsafe_code)]

use super::view::View;
use memtun_ip::ethernet::{solicited_node, ALL_NODES, ALL_SYSTEMS};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most groups of a net.
pub(super) const MOST: usize = 1024;

/// The groups, and how often each was joined.
#[derive(Default)]
pub struct Groups(pub(super) BTreeMap<(u32, IpAddr), u32>);

impl Groups {
    /// Does a packet to the group that comes by the interface reach this host?
    pub(super) fn has(&self, view: &View, index: u32, group: IpAddr) -> bool {
        if self.0.contains_key(&(index, group)) {
            return true;
        }
        let mut own = view.addresses.iter().filter(|own| own.index == index);
        match group {
            IpAddr::V4(group) => group == ALL_SYSTEMS,
            IpAddr::V6(group) => {
                group == ALL_NODES
                    || view.has_neighbours(index)
                        && own.any(|own| match own.local {
                            IpAddr::V6(local) => solicited_node(local) == group,
                            IpAddr::V4(_) => false,
                        })
                    || view.is_router_group(index, group)
            }
        }
    }
}
