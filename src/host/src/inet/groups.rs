//! The multicast groups that sockets have joined, and of which sources they hear them.
#![forbid(unsafe_code)]

use super::view::View;
use memtun_abi::Errno;
use memtun_ip::ethernet::{solicited_node, ALL_NODES, ALL_SYSTEMS};
use memtun_ip::group::Record;
use memtun_stack::sockets::filter::{most, Sources};
use memtun_stack::sockets::raw::{octets_of, of_octets};
use memtun_stack::wire::u32_at;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Most groups of a net.
pub(super) const MOST: usize = 1024;
/// From so many members of all groups on it is looked which of them are still there.
const MANY: usize = 16;
/// Length in bytes of a member that is kept, without its sources.
const KEPT: usize = 48;
/// Bit of the number of a holder that is a raw socket: its inode is the rest of it.
const RAW: u64 = 1 << 63;

/// Of which sources something is heard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Is everything heard but of these sources? Otherwise only these are.
    pub excludes: bool,
    /// The sources.
    pub sources: BTreeSet<IpAddr>,
}

impl Filter {
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
    /// SO_COOKIE of the socket; of a raw socket another number that nobody else has.
    pub cookie: u64,
    /// Its inode.
    pub inode: u64,
    /// The process that has asked for it.
    pub pid: u32,
}

impl Holder {
    /// A raw socket.
    pub fn raw(inode: u64) -> Holder {
        Holder {
            cookie: inode | RAW,
            inode,
            pid: 0,
        }
    }

    /// Is it a raw socket?
    pub fn is_raw(&self) -> bool {
        self.cookie & RAW != 0
    }
}

/// What one socket hears of a group.
struct Member {
    holder: Holder,
    /// Does it hear everything but of these sources? Otherwise it hears only these.
    excludes: bool,
    /// The sources, in the order in which it has named them.
    sources: Vec<IpAddr>,
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

impl Member {
    fn lets(&self, source: IpAddr) -> bool {
        self.excludes != self.sources.contains(&source)
    }

    /// Returns what the next host process needs to know of it.
    fn to_bytes(&self, index: u32, group: IpAddr) -> Vec<u8> {
        let holder = &self.holder;
        let flags = u32::from(self.excludes) | u32::from(self.has_named) << 1;
        let count = self.sources.len() as u32;
        let mut bytes = Vec::with_capacity(KEPT + 16 * self.sources.len());
        bytes.extend(holder.cookie.to_ne_bytes());
        bytes.extend(holder.inode.to_ne_bytes());
        let words = [holder.pid, index, flags, count].map(u32::to_ne_bytes);
        bytes.extend(words.as_flattened());
        bytes.extend(octets_of(Some(group)));
        let sources = self.sources.iter();
        bytes.extend(sources.flat_map(|source| octets_of(Some(*source))));
        bytes
    }

    /// Reads a member, the group, and the bytes of the next one.
    fn of_bytes(bytes: &[u8]) -> Option<((u32, IpAddr), Member, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<KEPT>()?;
        let word = |at| u32_at(head, at);
        let long = |at: usize| Some(u64::from_ne_bytes(*head[at..].first_chunk()?));
        let ip = |octets: &[u8]| of_octets(octets.try_into().ok()?);
        let (index, flags, count) = (word(20)?, word(24)?, word(28)?);
        let (sources, rest) = rest.split_at_checked((count as usize).checked_mul(16)?)?;
        let member = Member {
            holder: Holder {
                cookie: long(0)?,
                inode: long(8)?,
                pid: word(16)?,
            },
            excludes: flags & 1 != 0,
            sources: sources.chunks_exact(16).filter_map(ip).collect(),
            has_named: flags & 2 != 0,
        };
        Some(((index, ip(&head[32..])?), member, rest))
    }
}

/// A group at an interface.
#[derive(Default)]
pub struct Group {
    /// Sockets that have joined it, by their cookies.
    members: BTreeMap<u64, Member>,
}

impl Group {
    /// Returns what the interface hears of it.
    pub(super) fn filter(&self) -> Filter {
        let members = || self.members.values();
        let included = members().filter(|member| !member.excludes);
        let included = included.flat_map(|it| it.sources.iter().copied());
        let included: BTreeSet<IpAddr> = included.collect();
        let mut excluding = members().filter(|member| member.excludes);
        let Some(first) = excluding.next() else {
            return Filter {
                excludes: false,
                sources: included,
            };
        };
        let mut sources: BTreeSet<_> = first.sources.iter().copied().collect();
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
        members.any(|member| member.lets(source))
    }

    /// Is there nobody?
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn member(&mut self, holder: Holder) -> &mut Member {
        self.members.entry(holder.cookie).or_insert(Member {
            holder,
            excludes: false,
            sources: Vec::new(),
            has_named: false,
        })
    }

    /// Strikes off those that are gone: a socket that is closed tells nobody.
    pub(super) fn strike_off(&mut self, is_there: &dyn Fn(&Holder) -> bool) {
        self.members.retain(|_, member| is_there(&member.holder));
    }

    /// A socket joins it, for all sources.
    pub(super) fn enter(&mut self, holder: Holder) {
        self.member(holder).excludes = true;
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
        if member.excludes != wish.blocks {
            if member.has_named {
                return Err(Errno(libc::EINVAL));
            }
            member.excludes = wish.blocks;
        }
        let sources = &mut member.sources;
        let known = sources.iter().position(|it| *it == wish.source);
        if known.is_some() == wish.adds {
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        if let Some(at) = known {
            sources.remove(at);
            let leaves = sources.is_empty() && !wish.blocks;
            if leaves {
                self.exit(cookie);
            }
            return Ok(leaves);
        }
        if sources.len() >= most(wish.source) {
            return Err(Errno(libc::ENOBUFS));
        }
        sources.push(wish.source);
        member.has_named = true;
        Ok(false)
    }

    /// A socket sets all its sources at once (`ip_mc_msfilter`).
    ///
    /// # Errors
    ///
    /// EINVAL for a socket that is not here.
    pub(super) fn set(&mut self, cookie: u64, sources: &Sources) -> Result<(), Errno> {
        let member = self.members.get_mut(&cookie).ok_or(Errno(libc::EINVAL))?;
        member.excludes = sources.excludes;
        member.sources = sources.iter().collect();
        member.has_named = !member.sources.is_empty();
        Ok(())
    }
}

/// The groups, by the interfaces.
#[derive(Default)]
pub struct Groups {
    /// What is heard of each.
    pub(super) all: BTreeMap<(u32, IpAddr), Group>,
    /// How many members there may be before it is looked which of them are there.
    bound: usize,
}

impl Groups {
    /// Returns the groups of a link that a router is told of when it asks.
    pub(super) fn of_link(&self, view: &View, index: u32) -> Vec<(IpAddr, Filter)> {
        let joined = self.all.iter().filter(|((at, _), _)| *at == index);
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

    /// Are there so many groups, or members of them, that some of these may be gone? A program may
    /// have joined another one each time.
    pub(super) fn is_crowded(&self) -> bool {
        self.all.len() >= MOST || self.members() >= self.bound.max(MANY)
    }

    /// Called when those that were gone have been struck off.
    pub(super) fn struck_off(&mut self) {
        self.bound = 2 * self.members();
    }

    /// Returns what the next host process needs to know of the members.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let each = |((index, group), joined): (&(u32, IpAddr), &Group)| -> Vec<u8> {
            let members = joined.members.values();
            members.flat_map(|it| it.to_bytes(*index, *group)).collect()
        };
        self.all.iter().flat_map(each).collect()
    }

    /// Goes on with what the last host process has kept. Routers know of it.
    pub(super) fn resume(&mut self, mut bytes: &[u8]) {
        while let Some((at, member, rest)) = Member::of_bytes(bytes) {
            let members = &mut self.all.entry(at).or_default().members;
            members.insert(member.holder.cookie, member);
            bytes = rest;
        }
    }

    fn members(&self) -> usize {
        self.all.values().map(|group| group.members.len()).sum()
    }

    /// Does a packet from a source to the group that comes by the interface reach this host? Of
    /// IPv6 the source does not count yet, because raw sockets get it anyhow (`ip6_mc_input`).
    pub(super) fn has(&self, view: &View, index: u32, group: IpAddr, source: IpAddr) -> bool {
        if let Some(joined) = self.all.get(&(index, group)) {
            return group.is_ipv6() || joined.lets(source);
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

    /// Does anybody hear the source of a packet to a group that was let in?
    pub(super) fn lets(&self, index: u32, group: IpAddr, source: IpAddr) -> bool {
        let joined = self.all.get(&(index, group));
        joined.is_none_or(|joined| joined.lets(source))
    }

    /// Does a socket hear the source? None for one that has not joined the group at this
    /// interface: it hears everything of it that reaches this host, unless it does not want that
    /// (IP_MULTICAST_ALL).
    pub fn hears(&self, cookie: u64, index: u32, group: IpAddr, source: IpAddr) -> Option<bool> {
        let member = self.member(cookie, index, group)?;
        Some(member.lets(source))
    }

    fn member(&self, cookie: u64, index: u32, group: IpAddr) -> Option<&Member> {
        self.all.get(&(index, group))?.members.get(&cookie)
    }

    /// Returns the sources of a group that a socket has joined.
    pub fn sources(&self, cookie: u64, index: u32, group: IpAddr) -> Option<Sources> {
        let member = self.member(cookie, index, group)?;
        let mut sources = Sources::new(member.excludes);
        member.sources.iter().for_each(|it| {
            sources.push(*it);
        });
        Some(sources)
    }

    /// Forgets the raw sockets that are gone. Routers are not told.
    pub(super) fn keep_raw(&mut self, is_there: &dyn Fn(&Holder) -> bool) {
        self.all.retain(|_, group| {
            group.strike_off(&|it| !it.is_raw() || is_there(it));
            !group.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Groups, Holder, Wish, MANY};
    use memtun_abi::Errno;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    #[test]
    fn members_that_are_gone_are_struck_off_also_of_other_groups() {
        let mut groups = Groups::default();
        let holder = |cookie| Holder {
            cookie,
            inode: cookie,
            pid: 1,
        };
        let mut most = 0;
        for cookie in 0..1000u64 {
            if groups.is_crowded() {
                for group in groups.all.values_mut() {
                    group.strike_off(&|it| it.cookie == 3);
                }
                groups.struck_off();
            }
            let group = Ipv4Addr::from(0xef00_0000 + cookie as u32 / 3);
            let joined = groups.all.entry((1, group.into())).or_default();
            joined.enter(holder(cookie));
            most = most.max(groups.members());
        }
        assert_eq!(most, MANY);
        let first = &groups.all[&(1, Ipv4Addr::from(0xef00_0001).into())];
        assert!(first.members.contains_key(&3));
    }

    #[test]
    fn what_is_kept_of_groups_is_read_again() {
        let mut groups = Groups::default();
        let [one, other] = [1, 2].map(|cookie| Holder {
            cookie,
            inode: 10 + cookie,
            pid: 20,
        });
        let wish = |source: IpAddr| Wish {
            blocks: false,
            adds: true,
            source,
        };
        let four: IpAddr = Ipv4Addr::new(239, 1, 2, 3).into();
        let six: IpAddr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 1).into();
        let source: IpAddr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into();
        groups.all.entry((4, four)).or_default().enter(one);
        groups.all.entry((4, four)).or_default().enter(other);
        let heard = groups.all.entry((5, six)).or_default();
        assert_eq!(heard.wish(other, wish(source)), Ok(false));
        let mut next = Groups::default();
        next.resume(&groups.to_bytes());
        assert_eq!(next.to_bytes(), groups.to_bytes());
        assert_eq!(
            next.all[&(4, four)].filter(),
            groups.all[&(4, four)].filter()
        );
        assert_eq!(next.all[&(5, six)].filter(), groups.all[&(5, six)].filter());
        // One that has named a source may not change its mind.
        let blocks = Wish {
            blocks: true,
            ..wish(source)
        };
        let heard = next.all.entry((5, six)).or_default();
        assert_eq!(heard.wish(other, blocks), Err(Errno(libc::EINVAL)));
        // What is cut short is no member.
        let bytes = groups.to_bytes();
        for length in 0..bytes.len() {
            Groups::default().resume(&bytes[..length]);
        }
    }
}
