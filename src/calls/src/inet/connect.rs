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
use memtun_stack::sockets::{flag, Protocol};
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

    /// Gives a socket of datagrams a port, as it has one before a connect(2) that fails looks for a
    /// way (`inet_dgram_connect`).
    #[cold]
    fn named_before_it_failed(&self) {
        let kind = self.kind().filter(|kind| kind.protocol == Protocol::Udp);
        let question = kind.and_then(|kind| Some((kind, self.question(kind, None).ok()?)));
        if let Some((kind, question)) = question.filter(|(_, asked)| asked.native.is_none()) {
            let _ = self.autobind(kind, &question);
        }
    }

    fn way_of_connect(&self, name: SocketAddr, pending: &Pending) -> Result<Step, Errno> {
        let name = self.reached(name, None);
        if is_any(&name) {
            return Ok(Step::Machine);
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
        {
            return Ok(Step::Machine);
        }
        if name.is_ipv6() && kind.family == libc::AF_INET {
            return Ok(Step::Machine);
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
        name.ip() == Ipv6Addr::LOCALHOST && self.sends_by_v6(source)
    }

    /// Returns the name that a socket reaches by this one: by any address, ::1, where it sends from
    /// one of IPv6 of the net's.
    pub(super) fn reached(&self, name: SocketAddr, source: Option<IpAddr>) -> SocketAddr {
        match name.ip() == Ipv6Addr::UNSPECIFIED && self.sends_by_v6(source) {
            true => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), name.port()),
            false => name,
        }
    }

    /// Does it send from an address of IPv6 of the net's?
    fn sends_by_v6(&self, source: Option<IpAddr>) -> bool {
        let entry = || {
            self.entry()
                .filter(|entry| entry.flags & flag::ADDRESS_GIVEN != 0)
        };
        let own = source.or_else(|| entry().map(|entry| entry.local.ip()));
        own.is_some_and(|own| {
            let is_v6 = !own.is_unspecified() && own.to_canonical().is_ipv6();
            is_v6 && !own.is_loopback() && self.table.alias_of(own, 0).is_some()
        })
    }

    /// Can the socket send to this address: is it bound to none of IPv6 where that is one of IPv4,
    /// which is mapped?
    ///
    /// # Errors
    ///
    /// ENETUNREACH where it cannot.
    pub(super) fn is_of_family(&self, name: &SocketAddr) -> Result<(), Errno> {
        let is_mapped = name.is_ipv6() && name.ip().to_canonical().is_ipv4();
        let native = || self.socket.own_name().ok();
        let bound = || self.entry().map(|entry| entry.local).or_else(native);
        let is_of_v6 = |own: IpAddr| !own.is_unspecified() && own.to_canonical().is_ipv6();
        match is_mapped && bound().is_some_and(|own| is_of_v6(own.ip())) {
            true => Err(Errno(libc::ENETUNREACH)),
            false => Ok(()),
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
