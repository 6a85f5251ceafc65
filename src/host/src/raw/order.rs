//! What programs ask of their packet sockets and raw sockets.
#![forbid(unsafe_code)]

use super::socket::Socket;
use super::{forget, Raw, EINVAL, MOST};
use crate::engine::route::lookup::Flow;
use crate::inet::output::Output;
use memtun_abi::Errno;
use memtun_ip::head::Head;
use memtun_ip::{checksum, protocol, Packet};
use memtun_kernel::bpf::Instruction;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw::{octets_of, of_octets, set, Action, Order, Sending};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPPROTO_RAW.
const RAW: u16 = 255;

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

/// Sends a packet of a raw socket (`raw_sendmsg`, `rawv6_sendmsg`).
fn send(
    out: &mut Output<'_, '_>,
    order: &Order,
    [own, peer]: [Option<IpAddr>; 2],
    rest: &[u8],
) -> Result<(), Errno> {
    let (sending, bytes) = Sending::of_bytes(rest).ok_or(EINVAL)?;
    let v6 = order.kind.family == libc::AF_INET6;
    let included = order.bound.set & set::HEADER_INCLUDED != 0 || order.bound.protocol == RAW;
    let to = sending.to.or(peer).ok_or(Errno(libc::EDESTADDRREQ))?;
    if to.is_ipv6() != v6 {
        return Err(EINVAL);
    }
    let mut packet;
    let (from, carried) = match included {
        true => {
            packet = bytes.to_vec();
            match v6 {
                false => source_of(&packet)?,
                true => (Ipv6Addr::UNSPECIFIED.into(), order.bound.protocol as u8),
            }
        }
        false => {
            packet = Vec::new();
            let any = match v6 {
                true => Ipv6Addr::UNSPECIFIED.into(),
                false => Ipv4Addr::UNSPECIFIED.into(),
            };
            (
                sending.from.or(own).unwrap_or(any),
                order.bound.protocol as u8,
            )
        }
    };
    let way = out.find(&Flow {
        from,
        oif: match sending.scope {
            0 => order.bound.ifindex,
            index => index,
        },
        tos: sending.tos,
        protocol: carried,
        ..Flow::to(to)
    })?;
    if way.is_broadcast() && order.bound.set & set::BROADCAST == 0 {
        return Err(Errno(libc::EACCES));
    }
    if included {
        if !v6 {
            complete(&mut packet, way.source, out.next_id() as u16)?;
        }
    } else {
        let source = sending.from.or(own).unwrap_or(way.source);
        let mut head = Head::new(source, to, carried);
        head.traffic_class = sending.tos;
        head.hop_limit = match sending.hops {
            0 if to.is_multicast() => 1,
            0 => way.hops,
            hops => hops,
        };
        if !v6 {
            head.id = out.next_id() as u16;
        }
        let length = head.length();
        packet = vec![0; length];
        packet.extend_from_slice(bytes);
        let written = head.write(&mut packet, bytes.len());
        written.map_err(|_| Errno(libc::EMSGSIZE))?;
        let at = match (v6, carried) {
            (true, protocol::ICMP6) => Some(2),
            _ => usize::try_from(sending.checksum).ok(),
        };
        if let (true, Some(at)) = (v6, at) {
            let payload = &mut packet[length..];
            payload.get_mut(at..at + 2).ok_or(EINVAL)?.fill(0);
            let sum = checksum::with_pseudo_header(source, to, carried, payload);
            let sum = if sum == 0 { 0xffff } else { sum };
            payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
    }
    out.send(&packet, Some(&way))
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

/// Returns the source and the protocol in a header that the program has made.
fn source_of(packet: &[u8]) -> Result<(IpAddr, u8), Errno> {
    let header = packet.first_chunk::<20>().ok_or(EINVAL)?;
    if usize::from(header[0] & 15) * 4 > packet.len() {
        return Err(EINVAL);
    }
    let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
    Ok((source.into(), header[9]))
}

/// Completes the header of IPv4 that a program has made (`raw_send_hdrinc`): the source and the
/// identification where they are 0, the length and the checksum always.
fn complete(packet: &mut [u8], source: IpAddr, id: u16) -> Result<(), Errno> {
    let length = u16::try_from(packet.len()).map_err(|_| Errno(libc::EMSGSIZE))?;
    let header = usize::from(packet[0] & 15) * 4;
    if header < 20 {
        return Err(EINVAL);
    }
    if let (IpAddr::V4(source), [0, 0, 0, 0]) = (source, &packet[12..16]) {
        packet[12..16].copy_from_slice(&source.octets());
    }
    if packet[4..6] == [0, 0] {
        packet[4..6].copy_from_slice(&id.to_be_bytes());
    }
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[10..12].fill(0);
    let sum = checksum::of(&packet[..header]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    Packet::parse(packet).map(drop).map_err(|_| EINVAL)
}
