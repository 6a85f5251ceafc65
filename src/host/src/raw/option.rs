//! Options of IP that programs have set on raw sockets and sockets of echo requests, and the groups
//! that they have joined.
#![forbid(unsafe_code)]

use super::socket::Socket;
use super::sockets::Raw;
use crate::engine::route::lookup::Flow;
use crate::inet::groups::{Holder, Wish};
use crate::inet::stack::Output;
use memtun_abi::Errno;
use memtun_ip::{options, protocol, Options};
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::filter::Sources;
use memtun_stack::sockets::raw::{Membership, Order, Setting, BY_ADDRESS};
use std::net::{IpAddr, Ipv4Addr};

/// IPV6_CHECKSUM.
const CHECKSUM: i32 = 7;
/// IPV6_AUTOFLOWLABEL.
const AUTO_FLOW_LABEL: i32 = 70;
/// By how many bits the number of a word of IP_OPTIONS stands above that of the option.
const OF_WORDS: i32 = 16;
/// Most groups of a socket (`igmp_max_memberships`).
const MOST_GROUPS: usize = 20;

const V4: i32 = libc::IPPROTO_IP;
const V6: i32 = libc::IPPROTO_IPV6;

impl Socket {
    fn is_v6(&self) -> bool {
        self.kind.family == libc::AF_INET6
    }

    fn set_value(&self, level: i32, option: i32) -> Option<i32> {
        self.options.get(&(level, option)).copied()
    }

    /// Returns the option of this number, of IPv4 or IPv6 as the socket is.
    fn either(&self, v4: i32, v6: i32) -> Option<i32> {
        match self.is_v6() {
            true => self.set_value(V6, v6),
            false => self.set_value(V4, v4),
        }
    }

    /// Does the program want to hear of errors?
    pub(super) fn asks_for_errors(&self) -> bool {
        self.either(libc::IP_RECVERR, libc::IPV6_RECVERR)
            .is_some_and(|on| on != 0)
    }

    /// How the MTU of a path is found out.
    pub(super) fn discovery(&self) -> i32 {
        let set = self.either(libc::IP_MTU_DISCOVER, libc::IPV6_MTU_DISCOVER);
        set.unwrap_or(libc::IP_PMTUDISC_WANT)
    }

    /// May packets of IPv6 not be sent in pieces by this host?
    pub(super) fn keeps_whole(&self) -> bool {
        self.is_v6()
            && self
                .set_value(V6, libc::IPV6_DONTFRAG)
                .is_some_and(|on| on != 0)
    }

    /// Hop limit of what is sent, None for the usual one.
    pub(super) fn hops(&self, group: bool) -> Option<u8> {
        let hops = match group {
            true => self.either(libc::IP_MULTICAST_TTL, libc::IPV6_MULTICAST_HOPS),
            false => self.either(libc::IP_TTL, libc::IPV6_UNICAST_HOPS),
        };
        let usual = if group { Some(1) } else { None };
        hops.filter(|hops| *hops >= 0)
            .map_or(usual, |hops| Some(hops as u8))
    }

    /// Type of service of what is sent.
    pub(super) fn tos(&self) -> u8 {
        self.either(libc::IP_TOS, libc::IPV6_TCLASS)
            .unwrap_or(0)
            .max(0) as u8
    }

    /// The interface that packets leave by, 0 for any.
    pub(super) fn out(&self, group: bool) -> u32 {
        let of_groups = match group {
            true => self.either(libc::IP_MULTICAST_IF, libc::IPV6_MULTICAST_IF),
            false => None,
        };
        let index = of_groups.or_else(|| self.either(libc::IP_UNICAST_IF, libc::IPV6_UNICAST_IF));
        match (index.unwrap_or(0) as u32, self.bound.ifindex) {
            (0, bound) => bound,
            (index, _) => index,
        }
    }

    /// Does it hear groups that others have joined?
    pub(super) fn hears_all_groups(&self) -> bool {
        self.either(libc::IP_MULTICAST_ALL, libc::IPV6_MULTICAST_ALL) != Some(0)
    }

    /// Keeps options of IPv4 as a program has set them, word by word.
    fn keep_ip_options(&mut self, bytes: &[u8]) {
        let key = |number: usize| (V4, libc::IP_OPTIONS | (number as i32 + 1) << OF_WORDS);
        for number in 0..options::LONGEST / 4 {
            self.options.remove(&key(number));
        }
        for (number, word) in bytes.chunks_exact(4).enumerate() {
            let word = word.try_into().map_or(0, i32::from_ne_bytes);
            self.options.insert(key(number), word);
        }
    }

    /// Returns the options of IPv4 of what is sent.
    pub(super) fn ip_options(&self) -> Vec<u8> {
        let key = |number: i32| (V4, libc::IP_OPTIONS | number << OF_WORDS);
        let words = (1..).map_while(|number| self.set_value(V4, key(number).1));
        words.flat_map(i32::to_ne_bytes).collect()
    }

    /// The mark of what is sent (SO_MARK).
    pub(super) fn mark(&self) -> u32 {
        self.set_value(libc::SOL_SOCKET, libc::SO_MARK).unwrap_or(0) as u32
    }

    /// Where the checksum is that the kernel completes, counted from behind the header of IPv6.
    pub(super) fn checksum(&self) -> Option<usize> {
        let set = self.set_value(V6, CHECKSUM);
        match self.bound.protocol as u8 {
            protocol::ICMP6 => Some(2),
            _ => set.and_then(|at| usize::try_from(at).ok()),
        }
    }

    /// Returns the value of an option.
    fn value(&self, of: Setting) -> i32 {
        let set = self.set_value(of.level, of.option);
        let usual = match (of.level, of.option) {
            (V4, libc::IP_TTL) | (V6, libc::IPV6_UNICAST_HOPS) => 64,
            (V4, libc::IP_MULTICAST_TTL) | (V6, libc::IPV6_MULTICAST_HOPS) => 1,
            (V4, libc::IP_MULTICAST_LOOP | libc::IP_MTU_DISCOVER | libc::IP_MULTICAST_ALL) => 1,
            (
                V6,
                libc::IPV6_MULTICAST_LOOP | libc::IPV6_MTU_DISCOVER | libc::IPV6_MULTICAST_ALL,
            ) => 1,
            (V6, AUTO_FLOW_LABEL) => 1,
            (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE) => -1,
            (V6 | libc::SOL_RAW, CHECKSUM) => self.checksum().map_or(-1, |at| at as i32),
            _ => 0,
        };
        match set {
            Some(-1) if of.level == V6 => usual,
            Some(-1) if matches!(of.option, libc::IP_TTL | libc::IP_MULTICAST_TTL) => usual,
            set => set.unwrap_or(usual),
        }
    }
}

impl Raw {
    /// Sets an option.
    pub(super) fn set(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        setting: Setting,
    ) -> Result<(), Errno> {
        let Setting {
            level,
            mut option,
            mut value,
        } = setting;
        if option & BY_ADDRESS != 0 {
            option &= !BY_ADDRESS;
            let at = IpAddr::from(Ipv4Addr::from(value.to_ne_bytes()));
            value = index_of(out, at).ok_or(Errno(libc::EADDRNOTAVAIL))? as i32;
        }
        self.with(order, |socket| {
            socket.options.insert((level, option), value);
            if !socket.asks_for_errors() {
                socket.errors.clear();
            }
        })
    }

    /// Returns an option.
    pub(super) fn get(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        of: Setting,
    ) -> Result<i32, Errno> {
        let is_mtu = matches!(
            (of.level, of.option),
            (V4, libc::IP_MTU) | (V6, libc::IPV6_MTU)
        );
        if !is_mtu {
            return self.with(order, |socket| socket.value(of));
        }
        let (peer, from) = self.with(order, |socket| (socket.peer, socket.own))?;
        let peer = peer.ok_or(Errno(libc::ENOTCONN))?;
        let flow = Flow::to(peer);
        let way = out.find(&Flow {
            from: from.unwrap_or(flow.from),
            ..flow
        })?;
        Ok(way.mtu as i32)
    }

    /// Sets the options of IPv4 that the socket's packets have.
    pub(super) fn set_ip_options(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        let view = out.view();
        let is_own = |address: Ipv4Addr| view.owns(address.into(), 0);
        let options = Options::set(bytes, &is_own).map_err(|_| Errno(libc::EINVAL))?;
        let undone = options.undone();
        self.with(order, |socket| socket.keep_ip_options(undone.bytes()))
    }

    /// Joins a group.
    pub(super) fn join(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        of: &Membership,
    ) -> Result<(), Errno> {
        let index = interface_of(out, order, of)?;
        let key = (index, of.group);
        self.with(order, |socket| match socket.groups.len() {
            _ if socket.groups.contains(&key) => Err(Errno(libc::EADDRINUSE)),
            MOST_GROUPS.. => Err(Errno(libc::ENOBUFS)),
            _ => Ok(()),
        })??;
        out.enter(index, of.group, Holder::raw(order.inode))?;
        out.keep_groups();
        self.with(order, |socket| socket.groups.push(key))
    }

    /// Hears a source of a group, or does so no more (`ip_mc_source`).
    pub(super) fn wish(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        of: &Membership,
        wish: Wish,
    ) -> Result<(), Errno> {
        let index = interface_of(out, order, of)?;
        let key = (index, of.group);
        let left = out.wish(index, of.group, Holder::raw(order.inode), wish)?;
        out.keep_groups();
        self.with(order, |socket| match left {
            true => socket.groups.retain(|it| *it != key),
            false if socket.groups.contains(&key) => {}
            false => socket.groups.push(key),
        })
    }

    /// Sets all sources of a group (`ip_mc_msfilter`).
    pub(super) fn set_sources(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        of: &Membership,
        sources: &Sources,
    ) -> Result<(), Errno> {
        let index = interface_of(out, order, of)?;
        if !sources.excludes && sources.iter().next().is_none() {
            return self.leave(out, order, &Membership { index, ..*of });
        }
        let cookie = Holder::raw(order.inode).cookie;
        out.set_sources((index, of.group), cookie, sources)?;
        out.keep_groups();
        Ok(())
    }

    /// Returns the sources of a group that it has joined.
    pub(super) fn sources(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        of: &Membership,
    ) -> Result<Sources, Errno> {
        let not_joined = Errno(libc::EADDRNOTAVAIL);
        let index = match (of.index, of.at) {
            (0, Some(_)) => interface_of(out, order, of)?,
            (index, _) => index,
        };
        let cookie = Holder::raw(order.inode).cookie;
        let sources = out.stack.groups.sources(cookie, index, of.group);
        sources.ok_or(not_joined)
    }

    /// Leaves a group.
    pub(super) fn leave(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        of: &Membership,
    ) -> Result<(), Errno> {
        let left = self.with(order, |socket| {
            let is_it = |(index, group): &(u32, IpAddr)| {
                *group == of.group && (of.index == 0 || of.index == *index)
            };
            let at = socket.groups.iter().position(is_it)?;
            Some(socket.groups.remove(at))
        })?;
        let (index, group) = left.ok_or(Errno(libc::EADDRNOTAVAIL))?;
        out.exit(index, group, Holder::raw(order.inode).cookie);
        out.keep_groups();
        Ok(())
    }

    /// Leaves the groups of sockets that are closed.
    pub fn leave_closed(&self, out: &mut Output<'_, '_>) {
        let has_groups = self.lock().sockets.iter().any(|it| !it.groups.is_empty());
        if has_groups {
            let net: &NetDir = out.service.net();
            self.strike_off(net);
        }
        let left = std::mem::take(&mut self.lock().left);
        if left.is_empty() {
            return;
        }
        for (inode, index, group) in left {
            out.exit(index, group, Holder::raw(inode).cookie);
        }
        out.keep_groups();
    }
}

/// Returns the interface that has an address.
fn index_of(out: &mut Output<'_, '_>, at: IpAddr) -> Option<u32> {
    let view = out.view();
    let own = view.addresses.iter().find(|own| own.local == at);
    own.map(|own| own.index)
}

fn interface_of(out: &mut Output<'_, '_>, order: &Order, of: &Membership) -> Result<u32, Errno> {
    let none = Errno(libc::ENODEV);
    if !of.group.is_multicast() {
        return Err(Errno(libc::EINVAL));
    }
    if of.index != 0 {
        let is_there = out.view().interface(of.index).is_some();
        return is_there.then_some(of.index).ok_or(none);
    }
    if let Some(at) = of.at {
        return index_of(out, at).ok_or(none);
    }
    let way = out.find(&Flow {
        oif: order.bound.ifindex,
        ..Flow::to(of.group)
    });
    way.map(|way| way.ifindex).map_err(|_| none)
}
