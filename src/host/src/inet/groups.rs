//! The multicast groups that sockets have joined, and of which sources they hear them.
#![forbid(unsafe_code)]

use super::view::View;
use memtun_abi::Errno;
use memtun_ip::ethernet::{solicited_node, ALL_NODES, ALL_SYSTEMS};
use memtun_ip::group::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Most groups of a net.
pub(super) const MOST: usize = 1024;
/// From so many members of a group on it is looked which of them are still there.
const MANY: usize = 16;
/// Most sources that a socket names of a group (`igmp_max_msf`).
const MOST_SOURCES: usize = 10;

/// Of which sources something is heard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Is everything heard but of these sources? Otherwise only these are.
    pub excludes: bool,
    /// The sources.
    pub sources: BTreeSet<IpAddr>,
}

impl Filter {
    fn lets(&self, source: IpAddr) -> bool {
        self.excludes != self.sources.contains(&source)
    }

    /// Returns what routers are told when this becomes another one.
    pub(super) fn changed_to(&self, now: &Filter) -> Vec<(Record, Vec<IpAddr>)> {
        let less =
            |a: &Filter, b: &Filter| Vec::from_iter(a.sources.difference(&b.sources).copied());
        let whole = || Vec::from_iter(now.sources.iter().copied());
        match (self.excludes, now.excludes) {
            (false, true) => vec![(Record::ToExclude, whole())],
            (true, false) => vec![(Record::ToInclude, whole())],
            (excludes, _) => {
                let (more, fewer) = (less(now, self), less(self, now));
                let (allowed, blocked) = if excludes {
                    (fewer, more)
                } else {
                    (more, fewer)
                };
                let both = [(Record::Allow, allowed), (Record::Block, blocked)];
                both.into_iter().filter(|it| !it.1.is_empty()).collect()
            }
        }
    }

    /// Returns what is told to who asks.
    pub(super) fn as_before(&self) -> (Record, Vec<IpAddr>) {
        let record = match self.excludes {
            true => Record::IsExclude,
            false => Record::IsInclude,
        };
        (record, Vec::from_iter(self.sources.iter().copied()))
    }
}

/// A socket that has joined a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// SO_COOKIE of the socket.
    pub cookie: u64,
    /// Its inode.
    pub inode: u64,
    /// The process that has asked for it.
    pub pid: u32,
}

/// What one socket hears of a group.
struct Member {
    holder: Holder,
    filter: Filter,
    /// Has it ever named a source? Only before that it may change its mind (`ip_mc_source`).
    has_named: bool,
}

/// What a socket wants of a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Is it about one that is blocked, and not about one that is heard?
    pub blocks: bool,
    /// Is it put to the others, and not taken away?
    pub adds: bool,
    /// The source.
    pub source: IpAddr,
}

/// A group at an interface.
#[derive(Default)]
pub struct Group {
    /// How many have joined it who hear everything.
    pub(super) all: u32,
    /// Sockets that may hear some sources only, by their cookies.
    members: BTreeMap<u64, Member>,
    /// How many members there may be before it is looked which of them are there.
    bound: usize,
}

impl Group {
    /// Returns what the interface hears of it.
    pub(super) fn filter(&self) -> Filter {
        if self.all > 0 {
            return Filter {
                excludes: true,
                sources: BTreeSet::new(),
            };
        }
        let members = || self.members.values().map(|member| &member.filter);
        let included = members().filter(|filter| !filter.excludes);
        let included: BTreeSet<IpAddr> = included.flat_map(|it| it.sources.clone()).collect();
        let mut excluding = members().filter(|filter| filter.excludes);
        let Some(first) = excluding.next() else {
            return Filter {
                excludes: false,
                sources: included,
            };
        };
        let mut sources = first.sources.clone();
        excluding.for_each(|other| sources.retain(|source| other.sources.contains(source)));
        sources.retain(|source| !included.contains(source));
        Filter {
            excludes: true,
            sources,
        }
    }

    /// Does the interface hear the source, as its [`filter`](Group::filter) says?
    fn lets(&self, source: IpAddr) -> bool {
        let mut members = self.members.values();
        self.all > 0 || members.any(|member| member.filter.lets(source))
    }

    /// Is there nobody?
    pub(super) fn is_empty(&self) -> bool {
        self.all == 0 && self.members.is_empty()
    }

    fn member(&mut self, holder: Holder) -> &mut Member {
        self.members.entry(holder.cookie).or_insert(Member {
            holder,
            filter: Filter::default(),
            has_named: false,
        })
    }

    /// Has it so many members that some of them may be gone?
    pub(super) fn is_crowded(&self) -> bool {
        self.members.len() >= self.bound.max(MANY)
    }

    /// Strikes off those that are gone: a socket that is closed tells nobody.
    pub(super) fn strike_off(&mut self, is_there: &dyn Fn(&Holder) -> bool) {
        self.members.retain(|_, member| is_there(&member.holder));
        self.bound = 2 * self.members.len();
    }

    /// A socket joins it, for all sources.
    pub(super) fn enter(&mut self, holder: Holder) {
        self.member(holder).filter.excludes = true;
    }

    /// A socket leaves it.
    pub(super) fn exit(&mut self, cookie: u64) {
        self.members.remove(&cookie);
    }

    /// A socket hears a source, or does so no more (`ip_mc_source`). Returns whether it has left
    /// the group with that.
    ///
    /// # Errors
    ///
    /// - EINVAL for a socket that is not here, or has wished for the opposite.
    /// - EADDRNOTAVAIL for a source that it has named, or has not.
    /// - ENOBUFS for one too many.
    pub(super) fn wish(&mut self, holder: Holder, wish: Wish) -> Result<bool, Errno> {
        let cookie = holder.cookie;
        if wish.adds && !wish.blocks {
            self.member(holder);
        }
        let member = self.members.get_mut(&cookie).ok_or(Errno(libc::EINVAL))?;
        if member.filter.excludes != wish.blocks {
            if member.has_named {
                return Err(Errno(libc::EINVAL));
            }
            member.filter.excludes = wish.blocks;
        }
        let sources = &mut member.filter.sources;
        if sources.contains(&wish.source) == wish.adds {
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        if !wish.adds {
            sources.remove(&wish.source);
            let leaves = sources.is_empty() && !wish.blocks;
            if leaves {
                self.exit(cookie);
            }
            return Ok(leaves);
        }
        if sources.len() >= MOST_SOURCES {
            return Err(Errno(libc::ENOBUFS));
        }
        sources.insert(wish.source);
        member.has_named = true;
        Ok(false)
    }
}

/// The groups, by the interfaces.
#[derive(Default)]
pub struct Groups(pub(super) BTreeMap<(u32, IpAddr), Group>);

impl Groups {
    /// Returns the groups of a link that a router is told of when it asks.
    pub(super) fn of_link(&self, view: &View, index: u32) -> Vec<(IpAddr, Filter)> {
        let joined = self.0.iter().filter(|((at, _), _)| *at == index);
        let mut groups: Vec<_> = joined
            .map(|((_, group), it)| (*group, it.filter()))
            .collect();
        let own = view.addresses.iter().filter(|own| own.index == index);
        for own in own.filter(|_| view.has_neighbours(index)) {
            if let IpAddr::V6(local) = own.local {
                let group = IpAddr::V6(solicited_node(local));
                if !groups.iter().any(|(it, _)| *it == group) {
                    let all = Filter {
                        excludes: true,
                        sources: BTreeSet::new(),
                    };
                    groups.push((group, all));
                }
            }
        }
        groups
    }

    /// Has a group so many members that some of them may be gone?
    pub(super) fn is_crowded(&self, index: u32, group: IpAddr) -> bool {
        let joined = self.0.get(&(index, group));
        joined.is_some_and(Group::is_crowded)
    }

    /// Does a packet from a source to the group that comes by the interface reach this host?
    pub(super) fn has(&self, view: &View, index: u32, group: IpAddr, source: IpAddr) -> bool {
        if let Some(joined) = self.0.get(&(index, group)) {
            return joined.lets(source);
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

    /// Does a socket hear the source? One that has not joined the group hears everything of it
    /// that reaches this host (IP_MULTICAST_ALL).
    pub(super) fn hears(&self, cookie: u64, index: u32, group: IpAddr, source: IpAddr) -> bool {
        let joined = self.0.get(&(index, group));
        let member = joined.and_then(|group| group.members.get(&cookie));
        member.is_none_or(|member| member.filter.lets(source))
    }
}

#[cfg(test)]
mod tests {
    use super::{Group, Holder, MANY};

    #[test]
    fn members_that_are_gone_are_struck_off() {
        let mut group = Group::default();
        let holder = |cookie| Holder {
            cookie,
            inode: cookie,
            pid: 1,
        };
        let mut most = 0;
        for cookie in 0..1000 {
            if group.is_crowded() {
                group.strike_off(&|it| it.cookie == 3);
            }
            group.enter(holder(cookie));
            most = most.max(group.members.len());
        }
        assert_eq!(most, MANY);
        assert!(group.members.contains_key(&3));
    }
}
