//! Names of raw sockets and of sockets of echo requests: own address and identifier, and the other
//! end (`raw_bind`, `ping_bind`, `ping_get_port`, `ip4_datagram_connect`).
#![forbid(unsafe_code)]

use super::socket::{Socket, ADDRESS, IDENTIFIER};
use super::sockets::{All, Raw};
use crate::engine::route::lookup::Flow;
use crate::inet::stack::Output;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::address::Address;
use memtun_stack::sockets::raw::{octets_of, set, Kind, Order};
use memtun_sys as sys;
use std::net::IpAddr;

const EINVAL: Errno = Errno(libc::EINVAL);

impl All {
    /// Returns an identifier that no socket of echo requests has.
    fn free_id(&mut self, kind: Kind) -> Result<u16, Errno> {
        let before = self.last_id.unwrap_or_else(|| sys::random() as u16);
        let free = |id: &u16| {
            let mut sockets = self.sockets.iter();
            *id != 0 && !sockets.any(|it| it.kind == kind && it.id == *id && !it.closed)
        };
        let mut ids = (1..=u16::MAX).map(|step| before.wrapping_add(step));
        let id = ids.find(free).ok_or(Errno(libc::EAGAIN))?;
        self.last_id = Some(id);
        Ok(id)
    }
}

impl Socket {
    /// Returns both addresses, and both ports.
    pub(super) fn names(&self) -> Vec<u8> {
        let own = match self.kind.is_ping() {
            true => self.id,
            false => self.bound.protocol,
        };
        let mut bytes = [octets_of(self.own), octets_of(self.peer)].concat();
        bytes.extend([own, self.port].map(u16::to_ne_bytes).as_flattened());
        bytes
    }
}

impl Raw {
    /// Gives a socket of echo requests an identifier, if it has none yet. Returns it.
    pub(super) fn identify(&self, net: &NetDir, order: &Order) -> Result<u16, Errno> {
        let known = self.with(order, |socket| socket.id)?;
        if known != 0 {
            return Ok(known);
        }
        let id = self.lock().free_id(order.kind)?;
        self.with(order, |socket| socket.id = id)?;
        // The next host process must not give it another one.
        self.keep(net);
        Ok(id)
    }

    /// Gives a socket its own address, and the identifier that it wants.
    pub(super) fn name(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        (own, id): (Option<IpAddr>, u16),
    ) -> Result<(), Errno> {
        let is_ping = order.kind.is_ping();
        if let Some(own) = own {
            if !may_be_own(out, own, order.bound.ifindex, !is_ping) {
                return Err(Errno(libc::EADDRNOTAVAIL));
            }
        }
        if !is_ping {
            return self.with(order, |socket| match socket.peer {
                Some(_) => Err(EINVAL),
                None => {
                    socket.own = own;
                    Ok(())
                }
            })?;
        }
        if self.with(order, |socket| socket.id)? != 0 {
            return Err(EINVAL);
        }
        let mut all = self.lock();
        let is_shared = |set: u16| set & set::NOT_SHARED == 0;
        let mut others = all.sockets.iter();
        let is_taken = id != 0
            && others.any(|it| {
                it.kind == order.kind
                    && it.id == id
                    && it.inode != order.inode
                    && !it.closed
                    && !(is_shared(it.bound.set) && is_shared(order.bound.set))
            });
        if is_taken {
            return Err(Errno(libc::EADDRINUSE));
        }
        let (given, chosen) = match id {
            0 => (all.free_id(order.kind)?, 0),
            id => (id, IDENTIFIER),
        };
        drop(all);
        self.with(order, |socket| {
            (socket.own, socket.id) = (own, given);
            socket.chosen = chosen | own.map_or(0, |_| ADDRESS);
        })
    }

    /// Connects a socket with another end, or with nobody.
    pub(super) fn connect(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        (peer, port): (Option<IpAddr>, u16),
    ) -> Result<(), Errno> {
        let Some(to) = peer else {
            return self.with(order, |socket| {
                (socket.peer, socket.port) = (None, 0);
                if socket.chosen & ADDRESS == 0 {
                    socket.own = None;
                }
                if socket.chosen & IDENTIFIER == 0 {
                    socket.id = 0;
                }
            });
        };
        if order.kind.is_ping() {
            self.identify(out.service.net(), order)?;
        }
        let own = self.with(order, |socket| socket.own)?;
        let flow = Flow::to(to);
        let way = out.find(&Flow {
            from: own.unwrap_or(flow.from),
            oif: order.bound.ifindex,
            protocol: order.bound.protocol as u8,
            ..flow
        });
        let way = way.inspect_err(|e| out.count_no_route(*e, to.is_ipv6()))?;
        if way.is_broadcast() && order.bound.set & set::BROADCAST == 0 {
            return Err(Errno(libc::EACCES));
        }
        self.with(order, |socket| {
            (socket.peer, socket.port) = (peer, port);
            // Where there is no own address yet it gets that of the way.
            socket.own = socket.own.or(Some(way.source));
        })
    }
}

/// May a socket have this address as its own? One of a group is heard, and never a source.
fn may_be_own(out: &mut Output<'_, '_>, own: IpAddr, index: u32, groups_too: bool) -> bool {
    let view = out.view();
    let of_link = matches!(own, IpAddr::V6(own) if own.is_unicast_link_local());
    let is_it = |it: &Address| it.local == own && (!of_link || it.index == index);
    if of_link || view.addresses.iter().any(is_it) {
        return view.addresses.iter().any(is_it);
    }
    if own.is_multicast() {
        return groups_too;
    }
    match out.find(&Flow::to(own)) {
        Ok(way) => way.is_local() || groups_too && way.is_broadcast(),
        Err(_) => false,
    }
}
