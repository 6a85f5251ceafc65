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
    /// Returns the groups of a link that a router is told of when it asks.
    pub(super) fn of_link(&self, view: &View, index: u32) -> Vec<IpAddr> {
        let joined = self.0.keys().filter(|(at, _)| *at == index);
        let mut groups: Vec<IpAddr> = joined.map(|(_, group)| *group).collect();
        let own = view.addresses.iter().filter(|own| own.index == index);
        for own in own.filter(|_| view.has_neighbours(index)) {
            if let IpAddr::V6(local) = own.local {
                let group = IpAddr::V6(solicited_node(local));
                if !groups.contains(&group) {
                    groups.push(group);
                }
            }
        }
        groups
    }

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
