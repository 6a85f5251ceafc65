//! Which socket gets what comes, and how it is reached.
#![forbid(unsafe_code)]

use super::alive::{is_of, FRESH};
use super::names::{is_any, own_of, score};
use super::open::Open;
use super::Sockets;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{flag, Entry, Flow, Protocol};
use memtun_sys as sys;
use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket that listens, and where a leg connects to reach it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listener {
    /// What the net knows of it.
    pub entry: Entry,
    /// Where a leg connects to.
    pub native: SocketAddr,
    /// Must the leg come from ::1, because the socket hears nothing of IPv4? Its port is told by
    /// [`Sockets::name_v6_leg`] before it connects.
    pub from_loopback: bool,
}

impl Sockets {
    /// Returns the socket of TCP that listens at a name and hears of what comes by an interface:
    /// that of the address before that of any, and that of the interface before that of any; of
    /// several that share a port, any one.
    pub fn listener(&mut self, to: SocketAddr, ifindex: u32) -> Option<Listener> {
        let open = self.open.as_mut()?;
        if let Some(there) = open.of_machine(Protocol::Tcp, to) {
            return Some(there);
        }
        loop {
            let rows = open.writer.of_port(Protocol::Tcp, to.port()).iter();
            let known = rows.filter_map(|row| Some((*row, open.writer.at(*row)?)));
            let listening = known.filter(|(_, known)| known.entry.flags & flag::LISTENS != 0);
            let scored = listening.filter_map(|(row, known)| {
                let shares = known.entry.flags & flag::REUSE_PORT != 0;
                Some((score(&known.entry, to, None, ifindex)?, row, shares))
            });
            let scored: Vec<_> = scored.collect();
            let best = *scored.iter().max()?;
            let sharing = scored.iter().filter(|it| it.0 == best.0 && it.2);
            let row = match best.2 && sharing.clone().nth(1).is_some() {
                true => chosen(sharing.map(|it| it.1), sys::random())?,
                false => best.1,
            };
            if open.is_alive(row, FRESH) {
                let entry = open.writer.at(row)?.entry;
                return open.reach(&entry, to, ifindex);
            }
        }
    }

    /// Returns the socket of datagrams that suits a flow best, with its row; of several that share
    /// a port, the one that the number chooses.
    pub fn receiver(&mut self, flow: &Flow, number: u64) -> Option<(Option<usize>, Listener)> {
        let open = self.open.as_mut()?;
        if let Some(there) = open.of_machine(flow.protocol, flow.local) {
            return Some((None, there));
        }
        let rows = open.writer.of_port(flow.protocol, flow.local.port()).iter();
        let known = rows.filter_map(|row| Some((*row, open.writer.at(*row)?)));
        let scored = known.filter_map(|(row, known)| {
            let entry = &known.entry;
            let score = score(entry, flow.local, Some(flow.remote), flow.ifindex)?;
            let shares = entry.flags & flag::REUSE_PORT != 0;
            Some((score, known.since, row, shares))
        });
        let mut scored: Vec<_> = scored.collect();
        let best = scored.iter().map(|it| it.0).max()?;
        scored.retain(|it| it.0 == best);
        scored.sort_by_key(|it| it.1);
        let last = *scored.last()?;
        let row = match last.3 {
            true => chosen(scored.iter().filter(|it| it.3).map(|it| it.2), number)?,
            false => last.2,
        };
        let entry = open.writer.at(row)?.entry;
        Some((Some(row), open.reach(&entry, flow.local, flow.ifindex)?))
    }

    /// Returns the cookies of all of the machine's sockets of datagrams that have a port.
    pub fn bound_datagrams(&mut self) -> HashSet<u64> {
        let Some(open) = &mut self.open else {
            return HashSet::new();
        };
        let natives = open.diag.of_port(Protocol::Udp, 0);
        natives.iter().map(|native| native.cookie).collect()
    }

    /// Returns the aliases of the flows that sockets are connected by.
    pub fn connected_flows(&self) -> HashSet<Ipv4Addr> {
        let open = self.open.iter();
        let known = open.flat_map(|open| open.writer.all());
        known.filter_map(|(_, known)| known.entry.flow).collect()
    }

    /// Returns all sockets of datagrams that hear a flow to a group or to all, with their rows.
    pub fn receivers(&mut self, flow: &Flow) -> Vec<(usize, Listener)> {
        let Some(open) = self.open.as_mut() else {
            return Vec::new();
        };
        let rows = open
            .writer
            .of_port(flow.protocol, flow.local.port())
            .to_vec();
        let heard = rows.into_iter().filter_map(|row| {
            let entry = open.writer.at(row)?.entry;
            score(&entry, flow.local, Some(flow.remote), flow.ifindex)?;
            Some((row, open.reach(&entry, flow.local, flow.ifindex)?))
        });
        heard.collect()
    }

    /// Would the socket of a row get what is sent to its native name from an alias? It was looked
    /// at a moment ago, or is looked at now.
    pub fn gets(&mut self, row: usize, native: SocketAddr, from: (Ipv4Addr, u16)) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let Some(known) = open.writer.at(row).copied() else {
            return false;
        };
        if known.seen.elapsed() < FRESH {
            return true;
        }
        let from = SocketAddr::new(from.0.into(), from.1);
        let found = open.diag.exact(Protocol::Udp, native, from);
        let gets = found.is_some_and(|found| is_of(&found, &known.entry));
        if gets {
            open.writer.seen(row);
        }
        gets
    }

    /// Looks whether a socket is still there that did not get something.
    pub fn gone(&mut self, row: usize) {
        if let Some(open) = &mut self.open {
            if !open.is_there(row) {
                open.writer.remove(row);
            }
        }
    }

    /// Returns the socket of this net that gets what another one sends to a name.
    pub fn target(
        &mut self,
        protocol: Protocol,
        to: SocketAddr,
        from: SocketAddr,
        index: u32,
    ) -> Option<Listener> {
        if protocol == Protocol::Tcp {
            return self.listener(to, index);
        }
        let open = self.open.as_mut()?;
        if let Some(there) = open.of_machine(protocol, to) {
            return Some(there);
        }
        loop {
            let rows = open.writer.of_port(protocol, to.port()).iter();
            let known = rows.filter_map(|row| Some((*row, open.writer.at(*row)?)));
            let scored = known.filter_map(|(row, known)| {
                Some((
                    score(&known.entry, to, Some(from), index)?,
                    known.since,
                    row,
                ))
            });
            let (.., row) = scored.max()?;
            if open.is_alive(row, FRESH) {
                let entry = open.writer.at(row)?.entry;
                return open.reach(&entry, to, index);
            }
        }
    }
}

/// Returns the one of several that a number chooses, as `reciprocal_scale`.
fn chosen(mut rows: impl Iterator<Item = usize> + Clone, number: u64) -> Option<usize> {
    let count = rows.clone().count() as u64;
    rows.nth(((u64::from(number as u32) * count) >> 32) as usize)
}

impl Open {
    /// Returns the machine's socket of this user's that stands at a name of its loopback of IPv6,
    /// and is not in the table: it hears what comes from an address of the net by a leg.
    fn of_machine(&mut self, protocol: Protocol, to: SocketAddr) -> Option<Listener> {
        if to.ip() != Ipv6Addr::LOCALHOST || !matches!(protocol, Protocol::Tcp | Protocol::Udp) {
            return None;
        }
        let from = SocketAddr::new(to.ip(), 0);
        let found = self.diag.exact(protocol, to, from)?;
        let hears = found.own.ip() == to.ip() && found.other.port() == 0;
        let ours = found.uid == self.owner || found.uid == 0;
        let is_known = self.writer.socket(found.cookie).is_some();
        (hears && ours && !is_known).then_some(Listener {
            entry: Entry {
                cookie: found.cookie,
                inode: found.inode,
                uid: found.uid,
                protocol,
                family: libc::AF_INET6 as u16,
                local: to,
                native: to,
                remote: None,
                flow: None,
                device: 0,
                flags: flag::ADDRESS_GIVEN | flag::PORT_GIVEN,
            },
            native: to,
            from_loopback: true,
        })
    }

    /// Returns where a leg connects to, to reach a socket by one of the net's addresses.
    pub fn reach(&mut self, entry: &Entry, to: SocketAddr, ifindex: u32) -> Option<Listener> {
        let any = is_any(entry.native.ip());
        let only_v6 = any && entry.native.is_ipv6() && entry.flags & flag::V6ONLY != 0;
        let from_loopback = only_v6 || entry.native.ip() == Ipv6Addr::LOCALHOST;
        let port = entry.native.port();
        let native = match (any, from_loopback) {
            (_, true) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
            (true, false) => {
                let alias = self.writer.own_alias(own_of(to.ip(), ifindex)).ok()?;
                SocketAddr::new(alias.into(), port)
            }
            (false, _) => SocketAddr::new(native_v4(entry.native.ip())?.into(), port),
        };
        Some(Listener {
            entry: *entry,
            native,
            from_loopback,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn each_of_those_that_share_a_port_is_chosen() {
        let rows = [5, 7, 9].into_iter();
        let by = |number: u64| chosen(rows.clone(), number);
        assert_eq!(by(0), Some(5));
        assert_eq!(by(1 << 31), Some(7));
        assert_eq!(by(u64::from(u32::MAX)), Some(9));
        assert_eq!(chosen(std::iter::empty(), 3), None);
    }
}
