//! Multicast groups that sockets have joined: IGMP and MLD as a host (net/ipv4/igmp.c,
//! net/ipv6/mcast.c). Nothing is said of a group that nobody has joined.
#![forbid(unsafe_code)]

use super::groups::{Group, Holder, Wish};
use super::stack::Output;
use memtun_abi::Errno;
use memtun_ip::group::{self, Message, Query, Record};
use memtun_ip::Packet;
use memtun_kernel::net::NetDir;
use memtun_stack::counters;
use memtun_stack::sockets::filter::Sources;
use std::net::IpAddr;

impl Output<'_, '_> {
    /// Changes a group at an interface, and tells routers what has become of it.
    fn change<T>(
        &mut self,
        (index, group): (u32, IpAddr),
        change: impl FnOnce(&mut Group) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let groups = &mut self.stack.groups.all;
        if groups.len() >= super::groups::MOST && !groups.contains_key(&(index, group)) {
            return Err(Errno(libc::ENOBUFS));
        }
        let joined = groups.entry((index, group)).or_default();
        let before = joined.filter();
        let changed = change(joined);
        let now = joined.filter();
        if joined.is_empty() {
            groups.remove(&(index, group));
        }
        for (record, sources) in before.changed_to(&now) {
            self.report(index, group, Message::Version3(record), &sources);
        }
        changed
    }

    /// Joins a group for a socket, which may name sources then.
    ///
    /// # Errors
    ///
    /// ENOBUFS when there are too many.
    pub fn enter(&mut self, index: u32, group: IpAddr, holder: Holder) -> Result<(), Errno> {
        self.change((index, group), |joined| {
            joined.enter(holder);
            Ok(())
        })
    }

    /// Leaves a group for a socket.
    pub fn exit(&mut self, index: u32, group: IpAddr, cookie: u64) {
        let _ = self.change((index, group), |joined| {
            joined.exit(cookie);
            Ok(())
        });
    }

    /// Names a source of a group for a socket. Returns whether it has left the group with that.
    ///
    /// # Errors
    ///
    /// EINVAL for a socket that is not here, or has wished for the opposite; EADDRNOTAVAIL for a
    /// source that it has named, or has not; ENOBUFS for too many groups or sources.
    pub fn wish(
        &mut self,
        index: u32,
        group: IpAddr,
        holder: Holder,
        wish: Wish,
    ) -> Result<bool, Errno> {
        self.change((index, group), |joined| joined.wish(holder, wish))
    }

    /// Sets all sources of a group for a socket.
    ///
    /// # Errors
    ///
    /// EINVAL for a socket that is not here.
    pub fn set_sources(
        &mut self,
        (index, group): (u32, IpAddr),
        cookie: u64,
        sources: &Sources,
    ) -> Result<(), Errno> {
        self.change((index, group), |joined| joined.set(cookie, sources))
    }

    /// Strikes those off all groups that are gone.
    pub fn strike_off(&mut self, is_there: &dyn Fn(&Holder) -> bool) {
        let all: Vec<_> = self.stack.groups.all.keys().copied().collect();
        for at in all {
            let _ = self.change(at, |joined| {
                joined.strike_off(is_there);
                Ok(())
            });
        }
        self.stack.groups.struck_off();
    }

    /// Keeps who has joined what for the next host process.
    pub fn keep_groups(&self) {
        let net: &NetDir = self.service.net();
        if let Err(e) = net.keep_groups(&self.stack.groups.to_bytes()) {
            log::warn!("the groups that sockets have joined cannot be kept: {e}");
        }
    }

    /// Answers a router that asks which groups are wanted.
    pub(super) fn queried(&mut self, index: u32, packet: &Packet<'_>) {
        let Some(query) = Query::parse(packet) else {
            return;
        };
        let newest = if packet.is_v6() { 2 } else { 3 };
        let view = self.view();
        let wanted = self.stack.groups.of_link(&view, index);
        for (group, filter) in wanted {
            let asked = query.group.is_none_or(|asked| asked == group);
            if !asked || group.is_ipv6() != packet.is_v6() {
                continue;
            }
            if query.version < newest {
                self.report(index, group, Message::Report, &[]);
            } else {
                let (record, sources) = filter.as_before();
                self.report(index, group, Message::Version3(record), &sources);
            }
        }
    }

    fn report(&mut self, index: u32, group: IpAddr, message: Message, sources: &[IpAddr]) {
        // What excludes sources is cut, because a second record would take back the first
        // (RFC 3376, 4.2.16).
        let excludes = [Record::IsExclude, Record::ToExclude].map(Message::Version3);
        if sources.len() <= group::MOST_SOURCES || excludes.contains(&message) {
            return self.report_once(index, group, message, sources);
        }
        for part in sources.chunks(group::MOST_SOURCES) {
            self.report_once(index, group, message, part);
        }
    }

    fn report_once(&mut self, index: u32, group: IpAddr, message: Message, sources: &[IpAddr]) {
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
        let mut room = [0; group::LONGEST_REPORT];
        let Ok(length) = group::write(&mut room, source, group, message, sources) else {
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
