//! Multicast groups that sockets have joined: IGMP and MLD as a host (net/ipv4/igmp.c,
//! net/ipv6/mcast.c). Nothing is said of a group that nobody has joined.
#![forbid(unsafe_code)]

use super::stack::Output;
use memtun_ip::group::{self, Message, Query, Record};
use memtun_ip::Packet;
use memtun_stack::counters;
use std::net::IpAddr;

impl Output<'_, '_> {
    /// Joins a group at an interface for one socket. The first one is reported.
    ///
    /// # Errors
    ///
    /// ENOBUFS when there are too many.
    pub fn join(&mut self, index: u32, group: IpAddr) -> Result<(), memtun_abi::Errno> {
        let groups = &mut self.stack.groups.0;
        if groups.len() >= super::groups::MOST && !groups.contains_key(&(index, group)) {
            return Err(memtun_abi::Errno(libc::ENOBUFS));
        }
        let count = groups.entry((index, group)).or_default();
        *count += 1;
        if *count == 1 {
            self.report(index, group, Message::Version3(Record::ToExclude));
        }
        Ok(())
    }

    /// Leaves a group for one socket. The last one is reported.
    pub fn leave(&mut self, index: u32, group: IpAddr) {
        let groups = &mut self.stack.groups.0;
        let Some(count) = groups.get_mut(&(index, group)) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            groups.remove(&(index, group));
            self.report(index, group, Message::Version3(Record::ToInclude));
        }
    }

    /// Answers a router that asks which groups are wanted.
    pub(super) fn queried(&mut self, index: u32, packet: &Packet<'_>) {
        let Some(query) = Query::parse(packet) else {
            return;
        };
        let newest = if packet.is_v6() { 2 } else { 3 };
        let message = match query.version < newest {
            true => Message::Report,
            false => Message::Version3(Record::IsExclude),
        };
        let view = self.view();
        let wanted = self.stack.groups.of_link(&view, index);
        for group in wanted {
            let asked = query.group.is_none_or(|asked| asked == group);
            if asked && group.is_ipv6() == packet.is_v6() {
                self.report(index, group, message);
            }
        }
    }

    fn report(&mut self, index: u32, group: IpAddr, message: Message) {
        let view = self.view();
        let source = match group {
            IpAddr::V4(_) => {
                let mut own = view.addresses.iter().filter(|own| own.index == index);
                own.find(|own| own.local.is_ipv4()).map(|own| own.local)
            }
            IpAddr::V6(_) => view.link_local(index).map(IpAddr::V6),
        };
        let Some(source) = source else {
            return;
        };
        let mut room = [0; 128];
        let Ok(length) = group::write(&mut room, source, group, message) else {
            return;
        };
        let to = match group {
            group if message == Message::Report => group,
            IpAddr::V4(_) => IpAddr::V4(group::ROUTERS_V4),
            IpAddr::V6(_) => IpAddr::V6(group::ROUTERS_V6),
        };
        self.counted(|table| counters::requested(table, &room[..length]));
        let way = super::route::Way::on_link(index, source, to);
        let _ = self.give(&room[..length], &way);
    }
}
