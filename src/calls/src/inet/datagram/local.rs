//! Datagrams to sockets of this net, which the machine's kernel carries: what goes with the call.
#![forbid(unsafe_code)]

use super::ways::{From, Pieces, Way, Ways};
use crate::host::Host;
use crate::inet::call::{Inet, Kind, Native};
use crate::inet::name::is_loopback;
use memtun_abi::Errno;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::Protocol;
use std::net::{IpAddr, SocketAddr};

/// What the program says with one datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Given {
    /// The source address (IP_PKTINFO).
    pub source: Option<IpAddr>,
    /// The interface (IP_PKTINFO), 0 for any.
    pub out: u32,
    /// Hop limit (IP_TTL).
    pub hops: Option<u8>,
    /// Type of service (IP_TOS).
    pub class: Option<u8>,
    /// Length in bytes of each datagram (UDP_SEGMENT).
    pub segment: Option<u16>,
    /// Another part of the datagram follows (MSG_MORE).
    pub more: bool,
    /// Nothing is sent, and only the way is looked for (MSG_PROBE).
    pub probes: bool,
    /// Has the program said anything at all? To the machine's kernel that is not what it is to the
    /// net.
    pub told: bool,
}

/// What has become of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// It is not the net's: the program's call is made.
    Machine,
    /// The call is made natively, with this name and what goes with it.
    Natively(Natively),
    /// It was sent.
    Done(usize),
}

/// A datagram to a socket of this net. The receiver's control messages say what the native packet
/// had, so what the program has said goes with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Natively {
    /// The native name; None for a connected socket's other end.
    pub to: Option<SocketAddr>,
    /// The source address.
    pub source: Option<IpAddr>,
    /// Hop limit; None for the native socket's.
    pub hops: Option<u8>,
    /// Type of service; None for the native socket's.
    pub class: Option<u8>,
    /// Length in bytes of each datagram (UDP_SEGMENT).
    pub segment: Option<u16>,
}

/// Returns what the header of a datagram to a socket of this net says.
pub(super) fn of_header(way: &Way, given: &Given) -> Natively {
    // IPv6 is carried by IPv4, and the kernel does not look at options of IPv6 for that.
    let is_v6 = way.from.to.ip().to_canonical().is_ipv6();
    let of_socket = |value: u8| (is_v6 && value != 0).then_some(value);
    Natively {
        hops: given.hops.or(of_socket(way.hops)),
        class: given.class.or(of_socket(way.class)),
        segment: given.segment,
        ..Natively::default()
    }
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Says how a connected socket sends to its other end, which is a socket of this net, `peer`
    /// natively. A call that says nothing of the header is the machine's as it is.
    pub(super) fn send_to_own_peer(
        &self,
        peer: &SocketAddr,
        given: &Given,
        ways: &Ways,
    ) -> Result<Sent, Errno> {
        if peer.ip().to_canonical().is_ipv6() {
            return Ok(Sent::Machine);
        }
        let source = self.native_source(peer, given)?;
        // A socket of IPv4 has these options natively, too, and so has one that is natively
        // connected by IPv6.
        if !peer.is_ipv6() {
            return Ok(match source {
                None => Sent::Machine,
                source => Sent::Natively(Natively {
                    source,
                    hops: given.hops,
                    class: given.class,
                    segment: given.segment,
                    to: None,
                }),
            });
        }
        let from = From {
            cookie: self.socket.cookie()?,
            to: *peer,
            source: None,
            out: 0,
        };
        let generation = self.table.generation(self.net);
        let way = match ways.find(&from, generation) {
            Some(way) => way,
            None => match self.own_peer_way(&from, generation, ways)? {
                Some(way) => way,
                None => return Ok(Sent::Machine),
            },
        };
        let natively = Natively {
            source,
            segment: given.segment,
            hops: given.hops.or((way.hops != 0).then_some(way.hops)),
            class: given.class.or((way.class != 0).then_some(way.class)),
            ..Natively::default()
        };
        Ok(match natively {
            // The program's call says how long a segment is.
            Natively {
                hops: None,
                class: None,
                ..
            } if !given.told => Sent::Machine,
            natively => Sent::Natively(natively),
        })
    }

    /// Says how a datagram goes to the machine's loopback, where the net's names of what the
    /// program has said are none of the machine's. It has `length` bytes.
    ///
    /// # Errors
    ///
    /// ENETUNREACH and EINVAL for ::1 by an interface of the net and for a source of IPv4 that is
    /// nobody's, as from the kernel.
    pub(super) fn send_to_loopback(
        &self,
        to: SocketAddr,
        given: &Given,
        length: usize,
    ) -> Result<Sent, Errno> {
        let by_net = given.out != 0 && self.net.knows_index(given.out);
        if by_net && to.ip().to_canonical().is_ipv6() {
            return Err(Errno(match given.source {
                Some(source) if source.is_loopback() => libc::EINVAL,
                _ => libc::ENETUNREACH,
            }));
        }
        if let Some(IpAddr::V4(v4)) = given.source.map(|source| source.to_canonical()) {
            if v4.is_broadcast() || v4.is_multicast() {
                return Err(Errno(libc::EINVAL));
            }
            let is_nobodys = || self.table.alias_of(v4.into(), given.out).is_none();
            if by_net && !v4.is_loopback() && is_nobodys() {
                return Err(Errno(libc::ENETUNREACH));
            }
        }
        let alias = given
            .source
            .filter(|source| !source.is_loopback() && to.ip().to_canonical().is_ipv4())
            .and_then(|source| self.table.alias_of(source, given.out));
        if alias.is_some() && self.entry().is_none() {
            // Who hears it finds by that whose it is.
            if let Some(kind) = self.told_kind()? {
                let question = self.question(kind, Some(to))?;
                self.autobind(kind, &question)?;
            }
        }
        Ok(match alias {
            Some(alias) => Sent::Natively(Natively {
                to: Some(to),
                source: Some(alias.into()),
                hops: given.hops,
                class: given.class,
                segment: given.segment,
            }),
            // It leaves by the interface, where it is nobody's.
            None if by_net => Sent::Done(length),
            None => Sent::Machine,
        })
    }

    /// Returns the native source address of a datagram to the other end, `peer` natively, as far as
    /// the program names one. What is not the net's is left to the machine's kernel.
    ///
    /// # Errors
    ///
    /// EINVAL for one of IPv6 that is nobody's.
    fn native_source(&self, peer: &SocketAddr, given: &Given) -> Result<Option<IpAddr>, Errno> {
        let Some(source) = given.source.filter(|_| is_loopback(peer)) else {
            return Ok(None);
        };
        match self.table.alias_of(source, given.out) {
            Some(alias) => Ok(Some(alias.into())),
            None if source.is_ipv6() && !source.is_loopback() => Err(Errno(libc::EINVAL)),
            None => Ok(None),
        }
    }

    /// Looks what the options of a socket of IPv6 say of the header, and keeps it. None where it is
    /// not carried.
    fn own_peer_way(
        &self,
        from: &From,
        generation: u32,
        ways: &Ways,
    ) -> Result<Option<Way>, Errno> {
        let options = ways.options();
        let carried = |kind: &Kind| kind.protocol == Protocol::Udp;
        let Some(kind) = self.told_kind()?.filter(carried) else {
            return Ok(None);
        };
        let peer = self.peer_name(&from.to).map(|name| name.ip());
        let about = match peer.is_some_and(|peer| peer.to_canonical().is_ipv6()) {
            true => Some(self.question(kind, None)?),
            // IPv4 by a socket of IPv6 has the options of IPv4, natively too.
            false => None,
        };
        let way = Way {
            from: *from,
            answer: SocketAnswer::Local(None, from.to),
            port: 0,
            class: about.as_ref().map_or(0, |about| about.tos),
            hops: about.as_ref().map_or(0, |about| about.hops),
            pieces: Pieces::BySender,
            may_broadcast: false,
            segment: 0,
            corked: false,
            unchecked: false,
            has_ip_options: false,
            buffer: 0,
            connected: true,
            generation,
            options,
        };
        ways.keep(way);
        Ok(Some(way))
    }
}
