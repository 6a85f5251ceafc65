//! A socket connects: `tcp_v4_connect`, `__ip4_datagram_connect` and theirs of IPv6.
#![forbid(unsafe_code)]

use super::asker::Asker;
use super::manner::Manner;
use super::names::{is_any, native, own_of, plain, talks_by, with_port};
use super::open::Open;
use super::ports::Range;
use super::target::Listener;
use super::verdict::Verdict;
use super::Sockets;
use crate::inet::route::Way;
use memtun_abi::Errno;
use memtun_stack::sockets::question::{set, SocketAnswer};
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{flag, Entry, Flow, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What becomes of a connect.
#[allow(clippy::large_enum_variant, reason = "it lives for one call")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connected {
    /// It is answered at once.
    Answer(SocketAnswer),
    /// TCP has to begin the connection.
    Opening(Opening),
    /// The native socket, one of ::1, connects to the leg of this flow of datagrams.
    ByLeg(Ipv4Addr),
}

/// A connection that a program begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The flow.
    pub flow: Flow,
    /// The alias that stands for it.
    pub alias: Ipv4Addr,
    /// What the program's socket is to be bound to before it connects; None where it is bound.
    pub bind: Option<SocketAddr>,
    /// The native name from which the program's socket will connect: one of IPv4, or of ::1.
    pub native: SocketAddr,
    /// Is the program's socket one of AF_INET6, which needs mapped addresses?
    pub v6: bool,
    /// The mtu of the way.
    pub mtu: u32,
    /// What the table is to know of the socket if the connection fails late: its flow, by which the
    /// program finds why.
    pub entry: Entry,
    /// The process that asks.
    pub asker: u32,
    /// Does the program go on with other work at once (O_NONBLOCK)?
    pub nonblocking: bool,
    /// What the program has set.
    pub manner: Manner,
}

impl Opening {
    /// Returns the answer that makes the program's socket connect to this port of the alias.
    pub fn answer(&self, port: u16) -> SocketAnswer {
        SocketAnswer::Carried(self.bind, native(self.alias, port, self.v6))
    }
}

/// The ports that a socket may get that connects.
pub struct Ports<'p> {
    /// The settings.
    pub range: &'p Range,
    /// Is there a connection of TCP with these names, and be it in TIME_WAIT?
    pub is_used: &'p dyn Fn(&Flow) -> bool,
}

impl Sockets {
    /// Returns the name from which a socket connects or sends, as far as it has one: its address,
    /// where that is given, and its port.
    pub(super) fn own_end(&self, asker: &Asker<'_>) -> (Option<Entry>, Option<IpAddr>) {
        let open = self.open.as_ref();
        let known = open.and_then(|open| open.writer.socket(asker.question.cookie));
        let entry = known.map(|known| known.entry);
        let entry = entry.or_else(|| self.of_machine(asker));
        // A socket that is connected keeps its address when it connects anew, and be it to one of
        // the machine's between.
        let has = |entry: &Entry| {
            let is_connected = entry.remote.is_some() || entry.protocol == Protocol::Udp;
            entry.flags & flag::ADDRESS_GIVEN != 0
                || is_connected && !entry.local.ip().is_unspecified()
        };
        let given = entry.filter(has);
        (entry, given.map(|entry| entry.local.ip()))
    }

    /// Ends the connection of a socket of datagrams (connect(2) with AF_UNSPEC).
    pub fn disconnect(&mut self, asker: &Asker<'_>) -> Result<SocketAnswer, Errno> {
        let (entry, _) = self.own_end(asker);
        let Some(open) = &mut self.open else {
            return Ok(SocketAnswer::Machine);
        };
        let Some(mut entry) = entry.filter(|entry| entry.remote.is_some()) else {
            return Ok(SocketAnswer::Machine);
        };
        entry.remote = None;
        if let Some(alias) = entry.flow.take() {
            open.writer.end_flow(alias);
        }
        if entry.local.ip().is_loopback() && asker.question.native.is_none() {
            // Its name was one that the machine's kernel had chosen for the connection.
            open.forget(asker.question.cookie);
            return Ok(SocketAnswer::Done);
        }
        if entry.flags & flag::ADDRESS_GIVEN == 0 {
            let any: IpAddr = match entry.family as i32 == libc::AF_INET6 {
                true => Ipv6Addr::UNSPECIFIED.into(),
                false => Ipv4Addr::UNSPECIFIED.into(),
            };
            entry.local = SocketAddr::new(any, entry.local.port());
            // The kernel gives a socket that was bound to no address none again.
            if entry.flags & flag::FALLBACK == 0 {
                let unbound = SocketAddr::new(any, entry.native.port());
                entry.native = asker.question.native.unwrap_or(unbound);
            }
        }
        open.put(&entry, asker.pid)?;
        Ok(SocketAnswer::Done)
    }

    /// Notes that a socket of datagrams, which was connected, connects to the machine.
    fn leaves_peer(&mut self, asker: &Asker<'_>) -> Result<(), Errno> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let known = open.writer.socket(asker.question.cookie);
        let known = known.map(|known| known.entry);
        let left = |entry: &Entry| entry.protocol == Protocol::Udp && entry.remote.is_some();
        let Some(mut entry) = known.filter(left) else {
            return Ok(());
        };
        entry.remote = None;
        if let Some(alias) = entry.flow.take() {
            open.writer.end_flow(alias);
        }
        open.put(&entry, asker.pid)
    }

    /// Answers a socket that connects, by where its packets would go.
    ///
    /// # Errors
    ///
    /// What connect(2) fails with.
    pub fn connect(
        &mut self,
        asker: &Asker<'_>,
        to: SocketAddr,
        verdict: Verdict,
        ports: &Ports<'_>,
    ) -> Result<Connected, Errno> {
        let question = asker.question;
        let (to, tcp) = (plain(to), question.protocol == Protocol::Tcp);
        let way = match verdict {
            Verdict::Machine => {
                self.leaves_peer(asker)?;
                return Ok(Connected::Answer(SocketAnswer::Machine));
            }
            Verdict::Local(source) => return self.connect_here(asker, to, source, ports),
            Verdict::Away(way) => way,
        };
        if tcp && (way.broadcast || way.multicast) {
            return Err(Errno(libc::ENETUNREACH));
        }
        if way.broadcast && question.flags & set::BROADCAST == 0 {
            return Err(Errno(libc::EACCES));
        }
        let (known, _) = self.own_end(asker);
        let entry = known.filter(|entry| is_named_so(asker, entry));
        let (local, bind) = self.own_name(asker, entry, way.source, way.index, to, ports)?;
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        let flow = Flow {
            protocol: question.protocol,
            local,
            remote: with_port(to, to.port(), way.index),
            ifindex: question.device,
            mss: 0,
            error: 0,
        };
        if !tcp {
            return open.connect_by_flow(asker, &flow, entry, bind);
        }
        if let (Some(mut known), Some(bind)) = (known, bind) {
            // What it was before says nothing any more of the port that it has now.
            (known.local, known.native) = (local, bind);
            (known.remote, known.flow) = (None, None);
            open.put(&known, asker.pid)?;
        }
        self.begin(asker, flow, (entry, bind), way.mtu)
    }

    /// Begins a connection of TCP that goes by packets, by what was known of the socket, and what
    /// it is bound to natively before.
    fn begin(
        &mut self,
        asker: &Asker<'_>,
        flow: Flow,
        (entry, bind): (Option<Entry>, Option<SocketAddr>),
        mtu: u32,
    ) -> Result<Connected, Errno> {
        let question = asker.question;
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        open.natives.fill()?;
        let alias = open.new_flow(&flow).ok_or(Errno(libc::EADDRNOTAVAIL))?;
        let v6 = asker.is_v6();
        let from = match (bind, entry) {
            (Some(bind), _) => bind,
            (None, Some(entry)) => connected_name(entry.native),
            (None, None) => connected_name(question.native.ok_or(Errno(libc::EINVAL))?),
        };
        let from_v4 = native_v4(from.ip()).map_or(from.ip(), IpAddr::V4);
        self.note_opening(question.cookie, alias);
        let mut entry = entry.unwrap_or_else(|| asker.entry(flow.local, from));
        entry.flow = Some(alias);
        Ok(Connected::Opening(Opening {
            flow,
            alias,
            bind,
            native: SocketAddr::new(from_v4, from.port()),
            v6,
            mtu,
            entry,
            asker: asker.pid,
            nonblocking: question.flags & set::NONBLOCK != 0,
            manner: Manner::of(question),
        }))
    }

    /// Returns the own name of a socket that connects, and what its native socket has to be bound
    /// to first if it has no name yet.
    fn own_name(
        &mut self,
        asker: &Asker<'_>,
        entry: Option<Entry>,
        source: IpAddr,
        index: u32,
        to: SocketAddr,
        ports: &Ports<'_>,
    ) -> Result<(SocketAddr, Option<SocketAddr>), Errno> {
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        let tcp = asker.question.protocol == Protocol::Tcp;
        if let Some(entry) = entry {
            // One that is connected keeps the address that it has for that.
            let connected = !tcp && !entry.local.ip().is_unspecified() && !self.is_of_all(&entry);
            let connected = connected && entry.local.is_ipv4() == source.is_ipv4();
            let source = if connected { entry.local.ip() } else { source };
            let local = SocketAddr::new(source, entry.local.port());
            return Ok((with_port(local, local.port(), index), None));
        }
        if asker.question.flags & set::BOUND != 0 {
            // It was bound before the net had an address.
            let port = asker.question.native.map_or(0, |native| native.port());
            return Ok((with_port(SocketAddr::new(source, port), port, index), None));
        }
        let name = asker.name(source);
        let alias = open.writer.own_alias(own_of(source, index))?;
        let tcp = asker.question.protocol == Protocol::Tcp;
        let any = native(alias, 0, asker.is_v6()).ip();
        let ahead = if tcp { open.ahead.take(any) } else { None };
        let ahead = ahead.filter(|port| ports.range.has(*port));
        // Where they begin, the kernel is asked, which is not needed for the one that is known.
        let others = std::iter::once(()).flat_map(|()| ports.range.candidates(true));
        for port in ahead.into_iter().chain(others) {
            let local = with_port(SocketAddr::new(source, port), port, index);
            let flow = Flow {
                protocol: asker.question.protocol,
                local,
                remote: with_port(to, to.port(), index),
                ifindex: asker.question.device,
                mss: 0,
                error: 0,
            };
            let bind = native(alias, port, asker.is_v6());
            let taken = open.is_port_taken(&name, port, asker.question.cookie, true)
                || tcp && (open.writer.alias_of(&flow).is_some() || (ports.is_used)(&flow));
            let protocol = asker.question.protocol;
            let is_free = |open: &mut Open| match ahead == Some(port) {
                true => open.stands_for(protocol, port, port),
                false => open.is_free_for(protocol, port, &bind),
            };
            if !taken && is_free(open) {
                return Ok((local, Some(bind)));
            }
        }
        Err(Errno(libc::EADDRNOTAVAIL))
    }

    /// Finds out a name for the next socket that connects, where they follow one another. This one
    /// was given that name.
    pub fn look_ahead(&mut self, given: &SocketAddr, range: &Range) {
        let Some(open) = &mut self.open else { return };
        if !open.ahead.is_wanted() {
            return;
        }
        let port = range.candidates(true).next();
        let name = port.map(|port| SocketAddr::new(given.ip(), port));
        if let Some(name) = name.filter(|name| open.is_free_for(Protocol::Tcp, name.port(), name)) {
            open.ahead.note(name);
        }
    }

    /// Answers a socket that connects to a socket of this net.
    fn connect_here(
        &mut self,
        asker: &Asker<'_>,
        to: SocketAddr,
        source: IpAddr,
        ports: &Ports<'_>,
    ) -> Result<Connected, Errno> {
        let question = asker.question;
        let index = talks_by(question.device, to);
        let to = with_port(to, to.port(), index);
        let (entry, _) = self.own_end(asker);
        let is_gone =
            |entry: &Entry| question.protocol == Protocol::Tcp && !is_named_so(asker, entry);
        let entry = entry.filter(|entry| !is_gone(entry));
        let (local, bind) = self.own_name(asker, entry, source, index, to, ports)?;
        let target = self.target(question.protocol, to, local, index);
        let v6 = asker.is_v6();
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        let flow = Flow {
            protocol: question.protocol,
            local,
            remote: to,
            ifindex: question.device,
            mss: 0,
            error: 0,
        };
        // What is bound to ::1 reaches no alias, which is one of IPv4, and the other way round.
        let own = question.native;
        let own = own.filter(|own| bind.is_none() && !is_any(own.ip()));
        let of_loopback = own.is_some_and(|own| own.ip() == Ipv6Addr::LOCALHOST);
        // Natively it is known by the address of IPv6 that it keeps.
        let by_v4 = entry.is_some_and(|entry| keeps_name(&entry, &flow));
        let by_host = of_loopback || by_v4 || is_by_host(target.as_ref(), entry.as_ref(), bind);
        if question.protocol == Protocol::Udp && by_host {
            return open.connect_by_flow(asker, &flow, entry, bind);
        }
        let by_leg = target.is_some_and(|target| target.from_loopback);
        if question.protocol == Protocol::Tcp && own.is_some() && (of_loopback || by_leg) {
            let mtu = Way::within(source, to.ip()).mtu;
            return self.begin(asker, flow, (entry, bind), mtu);
        }
        let Some(target) = target else {
            let alias = open.writer.own_alias(own_of(to.ip(), index))?;
            let shut = open.natives.ports.shut;
            let native_to = native(alias, shut, v6);
            return Ok(Connected::Answer(SocketAnswer::Local(bind, native_to)));
        };
        let reach = target.native;
        let native_to = match (v6, reach.ip()) {
            (true, IpAddr::V4(alias)) => native(alias, reach.port(), true),
            _ => reach,
        };
        let tcp = question.protocol == Protocol::Tcp;
        let is_plain = !target.from_loopback && target.entry.flags & flag::FALLBACK == 0;
        let mut bind = bind;
        if !is_plain && bind.is_some() && tcp {
            // Whoever accepts knows by the flow both ends.
            let flow = Flow {
                protocol: question.protocol,
                local: to,
                remote: local,
                ifindex: question.device,
                mss: 0,
                error: 0,
            };
            let alias = open.new_flow(&flow).ok_or(Errno(libc::EADDRNOTAVAIL))?;
            let port = local.port();
            bind = Some(match target.from_loopback {
                true => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
                false => native(alias, port, v6),
            });
            open.writer.end_flow(alias);
            if target.from_loopback {
                self.name_v6_leg(question.protocol, port, Some(alias));
            }
        }
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        put_connected(open, asker, (local, to), (entry, bind))?;
        Ok(Connected::Answer(SocketAnswer::Local(bind, native_to)))
    }
}

/// Has the socket that asks the native port that is known of it? A connection that has ended may
/// have left it another one, or none.
fn is_named_so(asker: &Asker<'_>, entry: &Entry) -> bool {
    let native = asker.question.native;
    native.is_some_and(|native| native.port() == entry.native.port())
}

/// Does a socket keep its name for this flow: does it send by IPv4 now, and was connected to a name
/// of IPv6 before?
fn keeps_name(entry: &Entry, flow: &Flow) -> bool {
    let own = entry.local.ip();
    own.is_ipv6() && !own.is_unspecified() && flow.local.is_ipv4()
}

/// Do datagrams to a socket of this net go through the host process, as they do to another host?
/// They do where nobody is there yet, because who comes later is to hear them, and where one of
/// both has its end there; natively a connected socket hears nobody but the other end.
pub(super) fn is_by_host(
    target: Option<&Listener>,
    own: Option<&Entry>,
    bind: Option<SocketAddr>,
) -> bool {
    let Some(target) = target else { return true };
    // What is bound to an address of IPv4, and be it mapped, does not reach ::1, and the other way
    // round.
    let of_v6_alone = bind.is_none() && own.is_some_and(is_of_v6_alone);
    let own = bind.or(own.map(|own| own.native));
    let apart = own.filter(|own| !is_any(own.ip())).is_some_and(|own| {
        native_v4(own.ip()).is_some() != native_v4(target.native.ip()).is_some()
    });
    // From any address the machine would send from ::1 there, whatever address of the net it is.
    let from_any = own.is_none_or(|own| is_any(own.ip())) && !of_v6_alone;
    apart || is_at_alias(target) || target.entry.flow.is_some() || target.from_loopback && from_any
}

/// Is a socket of any address bound to one natively, because the machine has given its port to
/// somebody else? All that it hears is sent to that one, so only the host process can tell it where
/// a datagram was sent to.
fn is_at_alias(target: &Listener) -> bool {
    is_any(target.entry.local.ip()) && !is_any(target.entry.native.ip())
}

/// Does a socket reach nothing of IPv4 natively, because it is one of IPv6 alone?
pub(super) fn is_of_v6_alone(entry: &Entry) -> bool {
    let native = entry.native.ip();
    native.is_ipv6() && is_any(native) && entry.flags & flag::V6ONLY != 0
}

impl Open {
    /// Connects a socket of datagrams to the alias of a flow, by what was known of it, and what it
    /// is bound to natively before.
    fn connect_by_flow(
        &mut self,
        asker: &Asker<'_>,
        flow: &Flow,
        entry: Option<Entry>,
        bind: Option<SocketAddr>,
    ) -> Result<Connected, Errno> {
        let alias = self.new_flow(flow).ok_or(Errno(libc::EADDRNOTAVAIL))?;
        let native_name = match (bind, entry) {
            (Some(bind), _) => bind,
            (None, Some(entry)) => connected_name(entry.native),
            (None, None) => connected_name(asker.question.native.ok_or(Errno(libc::EINVAL))?),
        };
        let mut entry = entry.unwrap_or_else(|| asker.entry(flow.local, native_name));
        if let Some(old) = entry.flow.filter(|old| *old != alias) {
            self.writer.end_flow(old);
        }
        if !keeps_name(&entry, flow) {
            entry.local = flow.local;
        }
        entry.native = native_name;
        (entry.remote, entry.flow) = (Some(flow.remote), Some(alias));
        self.put(&entry, asker.pid)?;
        if native_name.ip() == Ipv6Addr::LOCALHOST {
            return Ok(Connected::ByLeg(alias));
        }
        let to = native(alias, self.natives.ports.datagram, asker.is_v6());
        Ok(Connected::Answer(SocketAnswer::Carried(bind, to)))
    }
}

/// Notes a socket that connects to another one of this net, by its ends, what was known of it, and
/// what it is bound to natively before. By this the other end knows that what comes is not another
/// user's.
fn put_connected(
    open: &mut Open,
    asker: &Asker<'_>,
    (local, to): (SocketAddr, SocketAddr),
    (entry, bind): (Option<Entry>, Option<SocketAddr>),
) -> Result<(), Errno> {
    let native_name = match (bind, entry) {
        (Some(bind), _) => bind,
        (None, Some(entry)) => connected_name(entry.native),
        (None, None) => asker.question.native.unwrap_or(local),
    };
    let mut entry = entry.unwrap_or_else(|| asker.entry(local, native_name));
    if let Some(old) = entry.flow.take() {
        open.writer.end_flow(old);
    }
    (entry.local, entry.native) = (local, native_name);
    entry.remote = Some(to);
    open.put(&entry, asker.pid)
}

/// Returns the native name that a bound socket has once it is connected to an alias: the kernel
/// gives one of any address that of the loopback.
fn connected_name(name: SocketAddr) -> SocketAddr {
    let port = name.port();
    match is_any(name.ip()) {
        true => native(Ipv4Addr::LOCALHOST, port, name.is_ipv6()),
        false => name,
    }
}
