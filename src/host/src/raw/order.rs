//! What programs ask of their packet sockets and raw sockets.
#![forbid(unsafe_code)]

use super::send::send;
use super::socket::Socket;
use super::sockets::{forget, Raw, MOST};
use crate::engine::route::lookup::Flow;
use crate::inet::stack::Output;
use memtun_abi::Errno;
use memtun_kernel::bpf::Instruction;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw::{octets_of, of_octets, Action, Order};
use std::net::IpAddr;

const EINVAL: Errno = Errno(libc::EINVAL);

impl Raw {
    /// Carries out an order. Returns what is answered.
    ///
    /// # Errors
    ///
    /// - EINVAL for an order that is none.
    /// - ENODEV for an interface that is none of the net's.
    /// - ENOBUFS when there are too many sockets.
    /// - What connecting with the program's socket fails with, and what sending fails with.
    pub fn answer(&self, out: &mut Output<'_, '_>, payload: &[u8]) -> Result<Vec<u8>, Errno> {
        let (order, rest) = Order::of_bytes(payload).ok_or(EINVAL)?;
        match order.action {
            Action::Bind => self.bind(out.service.net(), &order)?,
            Action::Send => {
                let names = self.with(&order, |socket| [socket.own, socket.peer]);
                send(out, &order, names.unwrap_or_default(), rest)?;
            }
            Action::Filter => {
                let program = Instruction::each(rest).collect();
                self.with(&order, |socket| socket.program = program)?;
            }
            Action::Types => {
                let mut unwanted = [0; 8];
                for (to, from) in unwanted.iter_mut().zip(rest.chunks_exact(4)) {
                    *to = u32::from_ne_bytes(from.try_into().map_err(|_| EINVAL)?);
                }
                self.with(&order, |socket| socket.unwanted = unwanted)?;
            }
            Action::Connect => {
                let peer = of_octets(rest.try_into().map_err(|_| EINVAL)?);
                // Where there is no own address yet it gets that of the way.
                let own = match peer {
                    None => None,
                    Some(to) => Some(source_towards(out, &order, to)?),
                };
                self.with(&order, |socket| {
                    socket.peer = peer;
                    socket.own = if peer.is_some() {
                        socket.own.or(own)
                    } else {
                        None
                    };
                })?;
            }
            Action::Own => {
                let own = of_octets(rest.try_into().map_err(|_| EINVAL)?);
                let view = out.view();
                let of_net = |own: &IpAddr| view.addresses.iter().any(|it| it.local == *own);
                if !own.iter().all(of_net) {
                    return Err(Errno(libc::EADDRNOTAVAIL));
                }
                self.with(&order, |socket| socket.own = own)?;
            }
            Action::Names => {
                let names = self.with(&order, |socket| [socket.own, socket.peer])?;
                return Ok(names.map(octets_of).concat());
            }
            Action::Frame => self.send_frame(out, &order, rest)?,
            Action::Statistics => {
                let counts = self.with(&order, |socket| std::mem::take(&mut socket.counts))?;
                return Ok(counts.map(u32::to_ne_bytes).concat());
            }
        }
        if !matches!(order.action, Action::Send | Action::Frame) {
            self.keep(out.service.net());
        }
        Ok(Vec::new())
    }

    /// Sends a frame of a packet socket that hears everything, and so would hear itself.
    fn send_frame(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        frame: &[u8],
    ) -> Result<(), Errno> {
        self.lock().expect(order.inode, frame);
        let sent = out.transmit(order.bound.ifindex, frame);
        if sent.is_err() {
            self.lock().take_origin(frame);
        }
        match sent {
            // A device drops what its queue has no room for.
            Err(Errno(libc::EAGAIN | libc::ENOTCONN)) => Ok(()),
            sent => sent,
        }
    }

    fn with<T>(&self, order: &Order, run: impl FnOnce(&mut Socket) -> T) -> Result<T, Errno> {
        let mut all = self.lock();
        let mut sockets = all.sockets.iter_mut();
        let socket = sockets.find(|socket| socket.inode == order.inode);
        socket.map(run).ok_or(Errno(libc::ENOENT))
    }

    fn bind(&self, net: &NetDir, order: &Order) -> Result<(), Errno> {
        let index = order.bound.ifindex;
        if index != 0 && !net.knows_index(index) {
            return Err(Errno(libc::ENODEV));
        }
        let known = self.with(order, |socket| socket.bound = order.bound);
        if known.is_err() {
            self.strike_off(net);
            if self.lock().sockets.len() >= MOST {
                forget(net, order.inode);
                return Err(Errno(libc::ENOBUFS));
            }
            let mut socket = Socket::new(net, order.inode, order.kind)?;
            socket.bound = order.bound;
            self.lock().sockets.push(socket);
        }
        self.follow(net);
        Ok(())
    }
}

/// Returns the address from which packets to another one are sent.
fn source_towards(out: &mut Output<'_, '_>, order: &Order, to: IpAddr) -> Result<IpAddr, Errno> {
    let way = out.find(&Flow {
        oif: order.bound.ifindex,
        protocol: order.bound.protocol as u8,
        ..Flow::to(to)
    })?;
    Ok(way.source)
}
