//! The way of a socket's packets (`ip_route_output_flow`, `udp_sendmsg`).
#![forbid(unsafe_code)]

use super::asker::Asker;
use super::connect::{is_by_host, is_of_v6_alone};
use super::names::{is_any, native, native_protocol, own_of, plain, score, talks_by, with_port};
use super::target::Listener;
use super::verdict::{Out, Verdict};
use super::{Address, Sockets};
use crate::engine::route::lookup::{Flow as Query, LOOPBACK};
use crate::inet::output::Output;
use memtun_abi::Errno;
use memtun_stack::sockets::question::{set, Path, SocketAnswer, SocketQuestion, Wire};
use memtun_stack::sockets::{flag, Entry, Flow, Protocol};
use memtun_stack::state::View;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest packet that goes through the host process: the MTU of a loopback.
const LONGEST: u32 = 65_536;

/// Returns what is looked up for a socket.
fn query(question: &SocketQuestion, to: SocketAddr, from: Option<IpAddr>, uid: u32) -> Query {
    let oif = [question.out, talks_by(question.device, to)];
    let none = Query::to(to.ip());
    Query {
        from: from.unwrap_or(none.from),
        oif: oif.into_iter().find(|index| *index != 0).unwrap_or(0),
        tos: question.tos,
        mark: question.mark,
        uid: Some(uid),
        protocol: question.protocol as u8,
        ports: (0, to.port()),
        ..none
    }
}

/// Returns the address of the machine's loopback that a socket of datagrams keeps, of which the net
/// knows nothing else: it had a port, and was connected to the machine then.
fn connected_to_machine(asker: &Asker<'_>, entry: &Entry) -> Option<IpAddr> {
    let has_none = entry.remote.is_none() && entry.local.ip().is_unspecified();
    if entry.protocol != Protocol::Udp || !has_none || !is_any(entry.native.ip()) {
        return None;
    }
    let own = asker.question.native?.ip().to_canonical();
    let of_machine = own == Ipv4Addr::LOCALHOST || own == Ipv6Addr::LOCALHOST;
    of_machine.then_some(own)
}

impl Sockets {
    /// Is a socket of datagrams bound to a group, or to an address of all of a network?
    pub(super) fn is_of_all(&self, entry: &Entry) -> bool {
        let IpAddr::V4(own) = entry.local.ip() else {
            return false;
        };
        let is_of_network = |it: &Address| match it.local {
            IpAddr::V4(local) if it.prefix < 31 => {
                let hosts = u32::MAX.checked_shr(it.prefix.into()).unwrap_or(0);
                it.broadcast == Some(own) || u32::from(own) == u32::from(local) | hosts
            }
            _ => false,
        };
        let is_of_all = || own.is_broadcast() || own.is_multicast();
        entry.protocol == Protocol::Udp && (is_of_all() || self.own.iter().any(is_of_network))
    }

    /// Says where the packets of a socket to a name go.
    ///
    /// # Errors
    ///
    /// What sending fails with.
    pub fn verdict(
        &mut self,
        out: &mut Output<'_, '_>,
        asker: &Asker<'_>,
        to: SocketAddr,
        connects: bool,
    ) -> Result<Verdict, Errno> {
        let view = out.service.state().view;
        let to = plain(to);
        if !self.active || to.ip().is_unspecified() {
            return Ok(Verdict::Machine);
        }
        let question = asker.question;
        let of_link = matches!(to, SocketAddr::V6(to) if to.ip().is_unicast_link_local());
        let group_of_link =
            matches!(to, SocketAddr::V6(to) if to.ip().segments()[0] & 0xff0f == 0xff02);
        let (entry, given) = self.own_end(asker);
        let bound = entry.is_some_and(|entry| entry.flags & flag::ADDRESS_GIVEN != 0);
        // What is bound to an address of all sends from that of the way (`__inet_bind`).
        let given = given.filter(|_| !entry.is_some_and(|entry| self.is_of_all(&entry)));
        let given = given.or_else(|| entry.and_then(|entry| connected_to_machine(asker, &entry)));
        // The address of IPv6 that a socket has because it is connected, IPv4 does not see.
        let given = given.filter(|given| bound || given.is_ipv4() || to.is_ipv6());
        let from = question.source.map(|source| source.to_canonical());
        let from = from.filter(|source| !source.is_unspecified()).or(given);
        let same = from.filter(|from| from.is_ipv4() == to.is_ipv4());
        // One that is bound to any address of IPv4 is not one of IPv6.
        let of_v4 = entry.is_some_and(|entry| asker.is_v6() && entry.local.is_ipv4());
        if from.is_some_and(|from| from.is_ipv6()) && to.is_ipv4() {
            return Err(Errno(libc::ENETUNREACH));
        }
        let of_v4 = from.map_or(of_v4, |from| from.is_ipv4());
        // The way comes first (`ip6_dst_lookup_tail`).
        let wrong = (of_v4 && to.is_ipv6()).then_some(Errno(libc::EAFNOSUPPORT));
        if let Some(wrong) = wrong.filter(|_| to.ip().is_loopback()) {
            return Err(wrong);
        }
        if to.ip().is_loopback() {
            // What has an address of the net is natively one of IPv4, and does not reach ::1.
            let natively = entry.map(|entry| entry.native.ip().to_canonical());
            let of_v4 = natively.is_some_and(|own| own.is_ipv4() && !own.is_unspecified());
            let crosses = match same {
                Some(from) => !from.is_loopback(),
                None => question.protocol == Protocol::Udp && of_v4,
            };
            let crosses = crosses && to.is_ipv6();
            return Ok(match crosses || self.is_apart(question.protocol, to) {
                true => Verdict::Local(same.unwrap_or(to.ip())),
                false => Verdict::Machine,
            });
        }
        let query = query(question, to, same, asker.uid);
        if connects && (of_link || group_of_link) && query.oif == 0 {
            return Err(Errno(libc::EINVAL));
        }
        let way = match out.find(&query) {
            Ok(way) => way,
            // The machine says the same, or knows a way that the net does not.
            Err(_)
                if wrong.is_none()
                    && view == View::Merged
                    && from.is_none_or(|from| from.is_loopback()) =>
            {
                return Ok(Verdict::Machine)
            }
            Err(e) => return Err(e),
        };
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        let is_own = |index: u32| out_has(&self.own, index);
        let own_to = self.own.iter().any(|own| {
            own.local == to.ip() && (!of_link || own.index == query.oif || query.oif == 0)
        });
        // What is sent to the loopback by its index comes in there.
        if way.is_local() || way.ifindex == LOOPBACK && own_to {
            return Ok(match own_to {
                true => Verdict::Local(way.source),
                false => Verdict::Machine,
            });
        }
        let multicast = to.ip().is_multicast();
        let sends = out.view().interface(way.ifindex).is_some();
        if !sends && !is_own(way.ifindex) {
            return Ok(Verdict::Machine);
        }
        if matches!(from, Some(IpAddr::V4(from)) if from.is_loopback()) {
            return Err(Errno(libc::EINVAL));
        }
        Ok(Verdict::Away(Out {
            index: way.ifindex,
            source: way.source,
            mtu: way.mtu,
            broadcast: way.is_broadcast(),
            multicast,
            way,
        }))
    }

    /// Does an address of the loopback lead to a socket of this net that stands for any address,
    /// and is bound to an alias because the machine has refused its port? What has the very address
    /// on the machine comes first.
    fn is_apart(&mut self, protocol: Protocol, to: SocketAddr) -> bool {
        let from = SocketAddr::new(to.ip(), 0);
        let target = self.target(protocol, to, from, 0);
        if target.is_none_or(|target| target.entry.flags & flag::FALLBACK == 0) {
            return false;
        }
        let Some(open) = &mut self.open else {
            return false;
        };
        let there = open.diag.exact(native_protocol(protocol), to, from);
        !there.is_some_and(|there| there.own.ip() == to.ip() && there.other.port() == 0)
    }

    /// Answers a socket that sends datagrams to a name.
    ///
    /// # Errors
    ///
    /// What sendto(2) fails with.
    pub fn path(
        &mut self,
        out: &mut Output<'_, '_>,
        asker: &Asker<'_>,
        to: SocketAddr,
        generation: u32,
        verdict: Verdict,
    ) -> Result<SocketAnswer, Errno> {
        let (question, to) = (asker.question, plain(to));
        if question.cookie == 0 {
            return Ok(self.unseen_path(asker, to, verdict));
        }
        let (entry, _) = self.own_end(asker);
        // One of TCP that is connected only wants to know about its way.
        let unnamed = || match (question.protocol, question.native) {
            (Protocol::Tcp, Some(native)) => Some(asker.entry(native, native)),
            _ => None,
        };
        let entry = entry.or_else(unnamed).ok_or(Errno(libc::EDESTADDRREQ))?;
        let way = match verdict {
            Verdict::Machine => return Ok(SocketAnswer::Machine),
            Verdict::Local(source) => return self.path_here(asker, &entry, source, to, generation),
            Verdict::Away(way) => way,
        };
        if way.broadcast && question.flags & set::BROADCAST == 0 {
            return Err(Errno(libc::EACCES));
        }
        let group = way.broadcast || way.multicast;
        let loops = way.broadcast || question.flags & set::MULTICAST_LOOP != 0;
        let copy = group && loops && self.is_heard(&entry, to, way.index);
        let wire = out.wire(way.index, way.way.next_hop);
        let alias = match question.flags & set::NEEDS_ALIAS != 0 || wire == Wire::Unknown {
            true => self.alias_for(asker, &entry, way.source, to, way.index),
            false => None,
        };
        let first = if way.multicast { 1 } else { way.way.hops };
        let hops = if question.hops != 0 {
            question.hops
        } else {
            first
        };
        Ok(SocketAnswer::Path(Path {
            ifindex: way.index,
            source: way.source,
            next_hop: way.way.next_hop,
            wire,
            mtu: way.mtu,
            hops,
            broadcast: way.broadcast,
            copy,
            generation,
            alias,
        }))
    }

    /// Returns the native name of the flow to a name.
    fn alias_for(
        &mut self,
        asker: &Asker<'_>,
        entry: &Entry,
        source: IpAddr,
        to: SocketAddr,
        index: u32,
    ) -> Option<SocketAddr> {
        let local = SocketAddr::new(source, entry.local.port());
        let open = self.open.as_mut()?;
        let alias = open.new_flow(&Flow {
            protocol: asker.question.protocol,
            local: with_port(local, local.port(), index),
            remote: with_port(to, to.port(), index),
            ifindex: asker.question.device,
            mss: 0,
            error: 0,
        })?;
        let port = open.natives.ports.datagram;
        Some(native(alias, port, asker.is_v6()))
    }

    /// Does another socket of this net hear what is sent to a group or to all?
    fn is_heard(&self, sender: &Entry, to: SocketAddr, index: u32) -> bool {
        let Some(open) = &self.open else { return false };
        let from = Some(sender.local);
        let rows = open.writer.of_port(Protocol::Udp, to.port()).iter();
        let mut known = rows.filter_map(|row| open.writer.at(*row));
        known.any(|known| score(&known.entry, to, from, index).is_some())
    }

    /// Answers a socket that sends to a socket of this net.
    fn path_here(
        &mut self,
        asker: &Asker<'_>,
        entry: &Entry,
        source: IpAddr,
        to: SocketAddr,
        generation: u32,
    ) -> Result<SocketAnswer, Errno> {
        let question = asker.question;
        let from = SocketAddr::new(source, entry.local.port());
        let index = talks_by(question.device, to);
        let target = self.target(question.protocol, to, from, index);
        let v6 = asker.is_v6();
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        if open.writer.row_of(entry.cookie).is_none() {
            // Who hears it finds by that whose it is.
            open.put(entry, asker.pid)?;
        }
        // What is sent to nobody is another user's to read once that one has the port natively.
        let apart = target.is_some_and(|target| target.from_loopback && !source.is_loopback());
        // Natively only what the socket is bound to is known as its name.
        let bound = entry.local.ip();
        let is_other = !bound.is_unspecified() && bound != source;
        let by_host = apart
            || is_other
            || is_of_v6_alone(entry)
            || entry.flow.is_some()
            || is_by_host(target.as_ref(), Some(entry), None);
        if question.protocol == Protocol::Udp && by_host {
            return Ok(SocketAnswer::Path(Path {
                ifindex: LOOPBACK,
                source,
                next_hop: to.ip(),
                wire: Wire::Unknown,
                mtu: LONGEST,
                hops: 64,
                broadcast: false,
                copy: false,
                generation,
                alias: None,
            }));
        }
        let port = entry.native.port();
        let from = match source {
            own if own == bound && own.is_loopback() => None,
            own => Some(native(open.writer.own_alias(own_of(own, index))?, port, v6)),
        };
        let there = self.native_of(target, to, index, v6)?;
        Ok(SocketAnswer::Local(from, there))
    }

    /// Returns the native name to which a socket sends to reach another one, or nobody.
    fn native_of(
        &mut self,
        target: Option<Listener>,
        to: SocketAddr,
        index: u32,
        v6: bool,
    ) -> Result<SocketAddr, Errno> {
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        Ok(match target.map(|target| target.native) {
            Some(SocketAddr::V4(name)) => native(*name.ip(), name.port(), v6),
            Some(name) => name,
            None => {
                let alias = open.writer.own_alias(own_of(to.ip(), index))?;
                native(alias, open.natives.ports.shut, v6)
            }
        })
    }
}

fn out_has(own: &[super::Address], index: u32) -> bool {
    own.iter().any(|own| own.index == index)
}
