//! Which port a socket gets, in the net and natively.
#![forbid(unsafe_code)]

use super::diag::{Native, TIME_WAIT};
use super::names::{native_protocol, own_of, port_kind, scope_of};
use super::native::ends_of;
use super::open::Open;
use super::rules::{says, Name, Says};
use memtun_abi::Errno;
use memtun_stack::sockets::table::{native_v4, Alias};
use memtun_stack::sockets::Protocol;
use memtun_stack::State;
use memtun_sys::{self as sys, inet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

/// By how much a native port is higher than one below 1024 that the machine refuses.
const ABOVE: u16 = 64512;
/// Number of native ports that are tried where the machine has refused one.
const TRIES: usize = 64;

/// The settings about ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first port and the last one that are chosen for a socket.
    pub ends: (u16, u16),
    /// Ports that are not chosen.
    pub reserved: Vec<(u16, u16)>,
}

impl Range {
    /// Reads the settings of the net.
    pub fn of(state: &State) -> Range {
        let setting = |path: &[u8]| {
            let set = state.sysctls.iter().find(|set| set.path == path)?;
            std::str::from_utf8(&set.value).ok()
        };
        let ends = setting(b"ipv4/ip_local_port_range").and_then(ends_of);
        let ends = ends.filter(|(low, high)| (1..=*high).contains(low));
        let reserved = setting(b"ipv4/ip_local_reserved_ports").unwrap_or_default();
        let reserved = reserved.split(',').filter_map(|part| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
        });
        Range {
            ends: ends.unwrap_or((32768, 60999)),
            reserved: reserved.collect(),
        }
    }

    fn is_reserved(&self, port: u16) -> bool {
        let mut all = self.reserved.iter();
        all.any(|(low, high)| (*low..=*high).contains(&port))
    }

    /// May a socket get this port?
    pub(super) fn has(&self, port: u16) -> bool {
        (self.ends.0..=self.ends.1).contains(&port) && !self.is_reserved(port)
    }

    /// Returns the ports in the order in which they are tried: from any on, first those that are
    /// odd, or even, as the lowest is or is not.
    pub(super) fn candidates(&self, like_lowest: bool) -> impl Iterator<Item = u16> + '_ {
        let (low, high) = (u32::from(self.ends.0), u32::from(self.ends.1));
        let count = high - low + 1;
        let start = sys::random() as u32 % count;
        let start = start & !1 | u32::from(!like_lowest);
        let half = count.div_ceil(2);
        let from = move |offset: u32| (0..half).map(move |at| low + (offset + at * 2) % (half * 2));
        let all = from(start).chain(from(start + 1));
        all.filter(move |port| *port <= high)
            .map(|port| port as u16)
            .filter(|port| !self.is_reserved(*port))
    }
}

/// What the machine refuses without a try.
fn first_unprivileged() -> u16 {
    let read = || {
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    read().unwrap_or(1024)
}

impl Open {
    /// Is a port of the net taken for a socket of this name? `chosen` says that the net chooses it.
    pub fn is_port_taken(&mut self, name: &Name, port: u16, cookie: u64, chosen: bool) -> bool {
        let rows = self.writer.of_port(name.protocol, port).iter();
        let known = rows.filter_map(|row| Some((self.writer.at(*row)?, *row)));
        let others = known.filter(|(known, _)| known.entry.cookie != cookie);
        let others = others.map(|(known, row)| (Name::of(&known.entry), known.since, row));
        let mut others: Vec<_> = others
            .filter(|(other, ..)| says(name, other, chosen) != Says::Nothing)
            .collect();
        others.sort_by(|(one, since, _), (other, than, _)| {
            // The youngest is asked first, but those that share their port as ones of AF_INET6
            // stand at the end (`sk_add_node_rcu`).
            let is_last = |name: &Name| name.v6 && name.reuse_port;
            match (is_last(one), is_last(other)) {
                (true, true) => since.cmp(than),
                (false, false) => than.cmp(since),
                (last, _) => last.cmp(&!last),
            }
        });
        for (other, _, row) in others {
            if self.is_alive(row, Duration::ZERO) {
                return says(name, &other, chosen) == Says::No;
            }
        }
        false
    }

    /// Does the table have a socket that a port is taken by, alive or not?
    fn is_port_known(&self, name: &Name, port: u16, cookie: u64) -> bool {
        let rows = self.writer.of_port(name.protocol, port).iter();
        let mut known = rows.filter_map(|row| self.writer.at(*row));
        known.any(|known| {
            known.entry.cookie != cookie
                && says(name, &Name::of(&known.entry), true) != Says::Nothing
        })
    }

    /// Chooses a port of the net.
    ///
    /// # Errors
    ///
    /// EADDRINUSE when all are taken.
    pub fn choose_port(
        &mut self,
        name: &Name,
        cookie: u64,
        range: &Range,
        connects: bool,
    ) -> Result<u16, Errno> {
        // Sockets that share ports get one of their own nevertheless, while there is one.
        let alone = Name {
            reuse: false,
            reuse_port: false,
            ..*name
        };
        // Whether a socket of TCP that has a name only is alive says a list of all, so while there
        // are ports that nobody has had nobody is asked.
        let mut all = range.candidates(connects);
        if let Some(port) = all.find(|port| !self.is_port_known(&alone, *port, cookie)) {
            return Ok(port);
        }
        for port in range.candidates(connects) {
            if !self.is_port_taken(&alone, port, cookie, true) {
                return Ok(port);
            }
        }
        let mut all = range.candidates(connects);
        all.find(|port| !self.is_port_taken(name, *port, cookie, true))
            .ok_or(Errno(libc::EADDRINUSE))
    }

    /// Does a native socket that the table does not know have this port of an address of the net:
    /// one that was accepted, or that is being closed? Beside those a socket with SO_REUSEADDR may
    /// be bound, because they do not listen.
    pub fn is_native_taken(&mut self, name: &Name, port: u16) -> bool {
        if name.protocol == Protocol::Tcp && name.reuse {
            return false;
        }
        let mut ports = self.writer.standing_for(port_kind(name.protocol), port);
        ports.push(port);
        let of_port = |port| self.diag.of_port(native_protocol(name.protocol), port);
        let natives: Vec<Native> = ports.into_iter().flat_map(of_port).collect();
        natives.iter().any(|native| {
            let is_known = native.cookie != 0 && self.writer.socket(native.cookie).is_some();
            let is_known = is_known && native.state != TIME_WAIT;
            !is_known
                && self.net_address(native).is_some_and(|address| {
                    name.address.is_unspecified() && address.is_ipv4() == name.address.is_ipv4()
                        || address == name.address
                })
        })
    }

    /// Returns the own address of the net that a native socket has.
    fn net_address(&self, native: &Native) -> Option<IpAddr> {
        let other = native_v4(native.other.ip()).and_then(|alias| self.writer.flow(alias));
        if let Some(flow) = other {
            return Some(flow.local.ip());
        }
        let own = native_v4(native.own.ip())?;
        Some(self.writer.table().own(own)?.address)
    }

    /// Returns the native name for a socket of the net with this name.
    ///
    /// # Errors
    ///
    /// EADDRINUSE when none can be had.
    pub fn native_name(
        &mut self,
        name: &Name,
        net: SocketAddr,
        (uid, cookie): (u32, u64),
        failed: bool,
    ) -> Result<SocketAddr, Errno> {
        let v6 = name.v6;
        let any = net.ip().is_unspecified();
        let mapped = |address: std::net::Ipv4Addr| -> IpAddr {
            match v6 {
                true => address.to_ipv6_mapped().into(),
                false => address.into(),
            }
        };
        let shares = self.shares(name, net.port(), cookie);
        let stays = any && !failed && !shares && !self.is_foreign(name, net.port());
        let address: IpAddr = match (any, stays) {
            (true, true) => match net.ip() {
                IpAddr::V4(any) => mapped(any),
                any => any,
            },
            (true, false) => {
                let alias = match net.is_ipv6() {
                    true => Alias::AnyV6,
                    false => Alias::AnyV4,
                };
                let alias = self.writer.table().address_of(alias);
                mapped(alias.ok_or(Errno(libc::ENOBUFS))?)
            }
            (false, _) => {
                let own = own_of(net.ip(), name.device.max(scope_of(net)));
                mapped(self.writer.own_alias(own)?)
            }
        };
        let low = net.port() < 1024 && (failed || uid != 0 && net.port() < first_unprivileged());
        let first = if low { net.port() + ABOVE } else { net.port() };
        let first = match name.protocol {
            Protocol::Tcp | Protocol::Udp => first,
            _ => 0,
        };
        if first != 0 && !failed && !shares && self.stands_for(name.protocol, first, net.port()) {
            // A wildcard that cannot have its port is bound to the alias.
            if !(stays && low) {
                return self.moved(name.protocol, SocketAddr::new(address, first), net.port());
            }
        }
        let address = match stays {
            true => {
                let alias = if v6 { Alias::AnyV6 } else { Alias::AnyV4 };
                let alias = self.writer.table().address_of(alias);
                mapped(alias.ok_or(Errno(libc::ENOBUFS))?)
            }
            false => address,
        };
        let any_port = |_| 16384 + (sys::random() % 16384) as u16;
        // The identifier of echo requests is no native port.
        let ports = [net.port().min(first), first].into_iter();
        let ports = ports.chain((0..TRIES).map(any_port));
        let mut why = Errno(libc::EADDRINUSE);
        for port in ports.filter(|port| *port != 0) {
            let native = SocketAddr::new(address, port);
            if self.stands_for(name.protocol, port, net.port()) && is_free(name.protocol, &native) {
                // Where one port finds no place among those that stand for others, another may.
                match self.moved(name.protocol, native, net.port()) {
                    Ok(native) => return Ok(native),
                    Err(e) => why = e,
                }
            }
        }
        Err(why)
    }

    /// Must a socket have a native port of its own, because several of UDP share one of the net's
    /// or might share one of the machine's?
    fn shares(&mut self, name: &Name, port: u16, cookie: u64) -> bool {
        if name.protocol == Protocol::Tcp || !(name.reuse || name.reuse_port) {
            return false;
        }
        let rows = self.writer.of_port(name.protocol, port).to_vec();
        let others = rows.into_iter().filter(|row| {
            let known = self.writer.at(*row);
            known.is_some_and(|known| known.entry.cookie != cookie)
        });
        let others: Vec<usize> = others.collect();
        others
            .into_iter()
            .any(|row| self.is_alive(row, Duration::ZERO))
            || !self.diag.of_port(Protocol::Udp, port).is_empty()
    }

    /// Does a socket of TCP that is not of the net stand for any address natively, and would share
    /// the port with one of this name? The kernel would give each what is for the other.
    fn is_foreign(&mut self, name: &Name, port: u16) -> bool {
        /// States of sockets that have a name and no connection: TCP_CLOSE, TCP_LISTEN and
        /// TCP_BOUND_INACTIVE.
        const NAMED: [u8; 3] = [7, 10, 13];
        if name.protocol != Protocol::Tcp || !(name.reuse || name.reuse_port) {
            return false;
        }
        let natives = self.diag.of_port(Protocol::Tcp, port);
        natives.iter().any(|native| {
            let any = native.own.ip().to_canonical().is_unspecified();
            any && NAMED.contains(&native.state)
                && native.cookie != 0
                && self.writer.socket(native.cookie).is_none()
        })
    }

    /// Can this native port stand for that port of the net? It can stand for one only.
    pub(super) fn stands_for(&mut self, protocol: Protocol, native: u16, net: u16) -> bool {
        match self.writer.translated(port_kind(protocol), native) {
            None => true,
            Some(known) if known == u32::from(net) => true,
            Some(_) => {
                // What was moved may be gone.
                let mut all = self.writer.all();
                let used = all.any(|(_, known)| known.entry.native.port() == native);
                !used
            }
        }
    }

    /// Can a socket have this port in the net and natively, under this native name?
    pub fn is_free_for(&mut self, protocol: Protocol, port: u16, native: &SocketAddr) -> bool {
        self.stands_for(protocol, port, port) && is_free(protocol, native)
    }

    fn moved(
        &mut self,
        protocol: Protocol,
        native: SocketAddr,
        net: u16,
    ) -> Result<SocketAddr, Errno> {
        let stands_for = (native.port() != net).then_some(u32::from(net));
        if matches!(protocol, Protocol::Tcp | Protocol::Udp) {
            self.writer
                .translate(port_kind(protocol), native.port(), stands_for)?;
        }
        Ok(native)
    }
}

/// Can a socket be bound to this native name now?
fn is_free(protocol: Protocol, name: &SocketAddr) -> bool {
    let kind = match protocol {
        Protocol::Tcp => libc::SOCK_STREAM,
        _ => libc::SOCK_DGRAM,
    };
    let family = match name {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let socket = sys::socket(family, kind, 0);
    socket.is_ok_and(|socket| inet::bind_name(socket.as_fd(), name).is_ok())
}
