//! connect(2). The host process begins the connection, and says to which address of the loopback
//! the native socket connects: there it waits, is refused or succeeds as the net's end does.
#![forbid(unsafe_code)]

use super::bind::{is_refusal_of_machine, TRIES};
use super::call::{Inet, Kind, Native, Step};
use super::name::{is_any, is_loopback, of_family};
use super::pending::Pending;
use crate::host::Host;
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::table::Alias;
use memtun_stack::sockets::{flag, Entry, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// State of a socket of TCP that is neither connected nor about to be (TCP_CLOSE).
const CLOSED: u8 = 7;

/// May a native socket say this in place of why its connection has ended in the net?
pub fn is_replaced(errno: Errno) -> bool {
    matches!(errno.0, libc::ECONNRESET | libc::ECONNREFUSED)
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Called when connect(2) of a socket of TCP has returned before the connection was there.
    pub fn is_pending(&self, pending: &Pending) {
        if let Ok(cookie) = self.socket.cookie() {
            pending.note(cookie);
        }
    }

    /// Says where the native socket connects to for connect(2) with this name, and gives it a name
    /// of its own where it needs one.
    ///
    /// # Errors
    ///
    /// What connect(2) fails with at once, and what asking fails with.
    pub fn connect(&self, name: SocketAddr, pending: &Pending) -> Result<Step, Errno> {
        if !self.table.is_active() {
            return Ok(Step::Machine);
        }
        let step = self.way_of_connect(name, pending);
        if step.is_err() {
            self.named_before_it_failed();
        }
        step
    }

    /// Gives a socket of datagrams a port, as it has one before a connect(2) or a send(2) that
    /// fails looks for a way (`inet_dgram_connect`, `inet_send_prepare`).
    #[cold]
    pub fn named_before_it_failed(&self) {
        if self.socket.own_name().map(|own| own.port()) != Ok(0) {
            return;
        }
        let kind = self.kind().filter(|kind| kind.protocol == Protocol::Udp);
        let question = kind.and_then(|kind| Some((kind, self.question(kind, None).ok()?)));
        if let Some((kind, question)) = question.filter(|(_, asked)| asked.native.is_none()) {
            let _ = self.autobind(kind, &question);
        }
    }

    fn way_of_connect(&self, name: SocketAddr, pending: &Pending) -> Result<Step, Errno> {
        let name = self.reached(name, None);
        if is_any(&name) {
            return self.is_of_family(&name).map(|()| Step::Machine);
        }
        let Some(kind) = self.told_kind()? else {
            return self.uncarried(&name).map(|()| Step::Machine);
        };
        let tcp = kind.protocol == Protocol::Tcp;
        // That the last connection has failed is told before the name is looked at.
        if tcp
            && !pending.is_empty()
            && self.state()? == CLOSED
            && pending.take(self.socket.cookie()?)
        {
            return Ok(Step::To(self.shut(kind)));
        }
        self.is_of_family(&name)?;
        if is_loopback(&name)
            && !self.table.is_apart(kind.protocol, name.port())
            && !self.crosses(&name, None)
            && !self.has_peer()
        {
            return Ok(Step::Machine);
        }
        if name.is_ipv6() && kind.family == libc::AF_INET {
            return Ok(Step::Machine);
        }
        let names_v4 = kind.family == libc::AF_INET6 && name.is_ipv4();
        if names_v4 && !tcp && (self.hears_only_v6(kind) || self.is_of_v6_alone()) {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        if self.hears_only_v6(kind) && name.ip().to_canonical().is_ipv4() {
            return Err(Errno(libc::ENETUNREACH));
        }
        if tcp && self.state()? != CLOSED {
            // It connects or is connected, and the machine's kernel says so.
            return Ok(Step::Machine);
        }
        let mut question = self.question(kind, Some(name))?;
        if tcp {
            // What nobody has asked for is not that of the next connection.
            self.table.error(question.cookie, true);
        }
        for _ in 0..TRIES {
            let (bind, to) = match self.ask(What::Connect, &question)? {
                SocketAnswer::Local(bind, to) => (bind, to),
                SocketAnswer::Carried(bind, to) => {
                    self.bound_what_waits(kind);
                    if tcp {
                        self.cork_flow(to.ip());
                    }
                    (bind, to)
                }
                _ => return Ok(Step::Machine),
            };
            match bind.filter(|_| question.native.is_none()) {
                None => return Ok(Step::To(to)),
                Some(bind) => match self.bind_natively(kind, &bind) {
                    Err(e) if is_refusal_of_machine(e) => question.failed = e.0 as u32,
                    bound => return bound.map(|()| Step::To(to)),
                },
            }
        }
        Err(Errno(libc::EADDRNOTAVAIL))
    }

    /// Does the socket send to the machine's ::1 from an address of the net, which is natively one
    /// of IPv4? `source` is the address that the program has given with the call.
    pub(super) fn crosses(&self, name: &SocketAddr, source: Option<IpAddr>) -> bool {
        let is_v6 = name.ip() == Ipv6Addr::LOCALHOST;
        is_v6 && (self.sends_by_v6(source) || self.stands_for_any())
    }

    /// Has a socket of datagrams any address in the net, and natively one of IPv4, as one has that
    /// was connected?
    fn stands_for_any(&self) -> bool {
        let of_v4 = |native: IpAddr| native.to_canonical().is_ipv4() && !native.is_unspecified();
        self.entry().is_some_and(|entry| {
            let any = entry.local.ip() == Ipv6Addr::UNSPECIFIED;
            entry.protocol == Protocol::Udp && any && of_v4(entry.native.ip())
        })
    }

    /// Has the net another end for it, as a socket of datagrams? It has to know of the next one.
    fn has_peer(&self) -> bool {
        let entry = self.entry();
        entry.is_some_and(|entry| entry.protocol == Protocol::Udp && entry.remote.is_some())
    }

    /// Returns the name that a socket reaches by this one: by any address, ::1, where it sends from
    /// one of IPv6 of the net's; by any of IPv4, the address of IPv4 of the net's from which it
    /// sends (`ip_route_output_key_hash_rcu`).
    pub(super) fn reached(&self, name: SocketAddr, source: Option<IpAddr>) -> SocketAddr {
        if !is_any(&name) {
            return name;
        }
        if name.ip() == Ipv6Addr::UNSPECIFIED && self.sends_by_v6(source) {
            return SocketAddr::new(Ipv6Addr::LOCALHOST.into(), name.port());
        }
        let entry = || self.entry().filter(|entry| entry.protocol == Protocol::Udp);
        let own = source.or_else(|| entry().map(|entry| entry.local.ip()));
        let own = own.map(|own| own.to_canonical());
        let of_v4 = own.filter(|own| own.is_ipv4() && !own.is_unspecified() && !own.is_loopback());
        let of_net = of_v4.filter(|own| self.table.alias_of(*own, 0).is_some());
        match (of_net, name) {
            (Some(IpAddr::V4(own)), SocketAddr::V6(name))
                if name.ip().to_ipv4_mapped().is_some() =>
            {
                SocketAddr::new(own.to_ipv6_mapped().into(), name.port())
            }
            (Some(own), SocketAddr::V4(name)) => SocketAddr::new(own, name.port()),
            _ => name,
        }
    }

    /// Does it send from an address of IPv6 of the net's?
    fn sends_by_v6(&self, source: Option<IpAddr>) -> bool {
        // Who is connected keeps the address that it has for that.
        let has = |entry: &Entry| {
            entry.flags & flag::ADDRESS_GIVEN != 0 || entry.protocol == Protocol::Udp
        };
        let entry = || self.entry().filter(has);
        let own = source.or_else(|| entry().map(|entry| entry.local.ip()));
        own.is_some_and(|own| {
            let is_v6 = !own.is_unspecified() && own.to_canonical().is_ipv6();
            is_v6 && !own.is_loopback() && self.table.alias_of(own, 0).is_some()
        })
    }

    /// Can the socket send to this address: is it bound to none of IPv6 where that is one of IPv4,
    /// which is mapped? Who has such an address only because it is connected can (`sk_ipv6only`).
    ///
    /// # Errors
    ///
    /// ENETUNREACH where it cannot.
    pub(super) fn is_of_family(&self, name: &SocketAddr) -> Result<(), Errno> {
        let is_mapped = name.is_ipv6() && name.ip().to_canonical().is_ipv4();
        match is_mapped && self.is_of_v6_alone() {
            true => Err(Errno(libc::ENETUNREACH)),
            false => Ok(()),
        }
    }

    /// Is the socket bound to an address of IPv6?
    fn is_of_v6_alone(&self) -> bool {
        let is_of_v6 = |own: IpAddr| !own.is_unspecified() && own.to_canonical().is_ipv6();
        match self.entry() {
            Some(entry) => entry.flags & flag::ADDRESS_GIVEN != 0 && is_of_v6(entry.local.ip()),
            None => {
                let only = || self.socket.option(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
                let own = self.socket.own_name();
                own.is_ok_and(|own| is_of_v6(own.ip())) && only() == Ok(1)
            }
        }
    }

    /// Called after connect(2) with AF_UNSPEC has ended the connection of a socket, or shutdown(2)
    /// one of TCP that was not there yet.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn disconnected(&self, pending: &Pending) -> Result<(), Errno> {
        let Some(kind) = self.kind() else {
            return Ok(());
        };
        // That a socket of TCP does not wait any more, nobody else tells the host process.
        let matters = match kind.protocol {
            Protocol::Tcp => pending.take(self.socket.cookie()?),
            _ => self.entry().is_some(),
        };
        if !matters {
            return Ok(());
        }
        let question = self.question(kind, None)?;
        self.ask(What::Connect, &question).map(drop)
    }

    /// Is it neither connected nor about to be, as a socket of TCP?
    pub fn is_closed(&self) -> bool {
        self.state() == Ok(CLOSED)
    }

    /// Returns the state of a socket of TCP.
    fn state(&self) -> Result<u8, Errno> {
        // It is the first byte of struct tcp_info.
        let info = self.socket.option(libc::IPPROTO_TCP, libc::TCP_INFO)?;
        Ok(info.to_ne_bytes()[0])
    }

    /// Returns a native name at which the machine refuses connections.
    fn shut(&self, kind: Kind) -> SocketAddr {
        let own = self.table.address_of(Alias::AnyV4);
        let own = own.unwrap_or(Ipv4Addr::LOCALHOST);
        let to = SocketAddr::from((own, self.table.ports().shut));
        of_family(kind.family, to)
    }

    /// Returns why the connection of a socket of TCP has ended, in place of what its native socket
    /// says of that; None where that is right. `take` says that the program is told now.
    pub fn end(&self, take: bool) -> Option<Errno> {
        let protocol = self.socket.option(libc::SOL_SOCKET, libc::SO_PROTOCOL);
        match protocol {
            Ok(libc::IPPROTO_TCP) => self.table.error(self.socket.cookie().ok()?, take),
            _ => None,
        }
    }

    /// Can it begin a connection, and has had no part of one since it could? So is a socket that
    /// was refused, once the program knows, and one that was disconnected.
    pub fn is_disconnected(&self) -> bool {
        self.is_closed() && self.socket.segments_received() == Ok(0)
    }
}
