//! What programs ask of their packet sockets and raw sockets.
#![forbid(unsafe_code)]

use super::end::End;
use super::socket::Socket;
use super::sockets::{forget, Raw, MOST};
use crate::inet::groups::Wish;
use crate::inet::stack::Output;
use memtun_abi::Errno;
use memtun_kernel::bpf::Instruction;
use memtun_stack::sockets::filter::Sources;
use memtun_stack::sockets::raw::{of_octets, Action, Membership, Order, Setting};
use memtun_stack::wire::u16_at;
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
        let net = out.service.net();
        let repairs = matches!(order.action, Action::Bind | Action::Errors);
        if !repairs && self.with(&order, |socket| socket.end.is_deaf())? {
            return Err(Errno(libc::ESTALE));
        }
        let mut answer = Vec::new();
        match order.action {
            Action::Bind => answer = self.bind(out, &order)?,
            Action::Send => answer = self.send(out, &order, rest)?,
            Action::Filter => {
                let program: Vec<_> = Instruction::each(rest).collect();
                let had_none = self.with(&order, |socket| {
                    std::mem::replace(&mut socket.program, program).is_empty()
                })?;
                if rest.is_empty() && had_none {
                    return Err(Errno(libc::ENOENT));
                }
            }
            Action::Types => {
                let mut unwanted = [0; 8];
                for (to, from) in unwanted.iter_mut().zip(rest.chunks_exact(4)) {
                    *to = u32::from_ne_bytes(from.try_into().map_err(|_| EINVAL)?);
                }
                self.with(&order, |socket| socket.unwanted = unwanted)?;
            }
            Action::Connect => self.connect(out, &order, name_of(rest)?)?,
            Action::Own => self.name(out, &order, name_of(rest)?)?,
            Action::Names => return self.with(&order, |socket| socket.names()),
            Action::Frame => self.send_frame(out, &order, rest)?,
            Action::Statistics => {
                let counts = self.with(&order, |socket| std::mem::take(&mut socket.counts))?;
                answer = counts.map(u32::to_ne_bytes).concat();
            }
            Action::Errors => {
                let end = End::with_errors(net, order.inode)?;
                self.with(&order, |socket| {
                    socket.end = end;
                    socket.bound = order.bound;
                })?;
            }
            Action::Error => return self.with(&order, |socket| socket.take_error().to_vec()),
            Action::Queued => return self.with(&order, Socket::take_element)?,
            Action::Again => self.with(&order, |socket| socket.tell_again(net))?,
            Action::Set => self.set(out, &order, Setting::of_bytes(rest))?,
            Action::Get => {
                let value = self.get(out, &order, Setting::of_bytes(rest))?;
                return Ok(value.to_ne_bytes().to_vec());
            }
            Action::GetTypes => {
                let unwanted = self.with(&order, |socket| socket.unwanted)?;
                return Ok(unwanted.map(u32::to_ne_bytes).concat());
            }
            Action::Options => self.set_ip_options(out, &order, rest)?,
            Action::GetOptions => return self.with(&order, |socket| socket.ip_options()),
            Action::Source => {
                let of = Membership::of_bytes(rest).ok_or(EINVAL)?;
                let wish = wish_of(rest).ok_or(EINVAL)?;
                self.wish(out, &order, &of, wish)?;
            }
            Action::Sources => {
                let of = Membership::of_bytes(rest).ok_or(EINVAL)?;
                let behind = rest.get(Membership::LENGTH..).unwrap_or(&[]);
                let sources = Sources::of_bytes(behind).ok_or(EINVAL)?;
                self.set_sources(out, &order, &of, &sources)?;
            }
            Action::GetSources => {
                let of = Membership::of_bytes(rest).ok_or(EINVAL)?;
                return Ok(self.sources(out, &order, &of)?.bytes().to_vec());
            }
            Action::Join | Action::Leave => {
                let of = Membership::of_bytes(rest).ok_or(EINVAL)?;
                match order.action {
                    Action::Join => self.join(out, &order, &of)?,
                    _ => self.leave(out, &order, &of)?,
                }
            }
        }
        if !matches!(order.action, Action::Send | Action::Frame | Action::Again) {
            self.keep(out.service.net());
        }
        Ok(answer)
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

    pub(super) fn with<T>(
        &self,
        order: &Order,
        run: impl FnOnce(&mut Socket) -> T,
    ) -> Result<T, Errno> {
        let mut all = self.lock();
        let mut sockets = all.sockets.iter_mut();
        let socket = sockets.find(|socket| socket.inode == order.inode);
        socket.map(run).ok_or(Errno(libc::ENOENT))
    }

    /// Takes a new socket, or one that is bound to something else. One of echo requests is told
    /// which groups of users may have such a one.
    fn bind(&self, out: &mut Output<'_, '_>, order: &Order) -> Result<Vec<u8>, Errno> {
        let net = out.service.net();
        let index = order.bound.ifindex;
        // A raw socket may be bound to any index, also one of nobody.
        if order.kind.is_packet() && index != 0 && !net.knows_index(index) {
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
        Ok(match order.kind.is_ping() {
            true => groups_of_users(out),
            false => Vec::new(),
        })
    }
}

/// Returns the first and the last group of users that may send echo requests, as `ping_group_range`
/// says it; nothing where nobody has written it.
fn groups_of_users(out: &mut Output<'_, '_>) -> Vec<u8> {
    let mut sysctls = out.service.state().sysctls.iter();
    let set = sysctls.find(|it| it.path == b"ipv4/ping_group_range");
    let text = set.and_then(|set| std::str::from_utf8(&set.value).ok());
    let numbers = text.unwrap_or_default().split_ascii_whitespace();
    let numbers = numbers.filter_map(|number| number.parse::<u32>().ok());
    numbers.flat_map(u32::to_ne_bytes).collect()
}

/// Reads what is wished of a source, behind a group.
fn wish_of(rest: &[u8]) -> Option<Wish> {
    let behind = rest.get(Membership::LENGTH..)?;
    let (head, source) = behind.split_first_chunk::<2>()?;
    Some(Wish {
        adds: head[0] != 0,
        blocks: head[1] != 0,
        source: of_octets(*source.first_chunk()?)?,
    })
}

/// Reads a name: address and port.
fn name_of(bytes: &[u8]) -> Result<(Option<IpAddr>, u16), Errno> {
    let octets: [u8; 16] = bytes
        .get(..16)
        .ok_or(EINVAL)?
        .try_into()
        .map_err(|_| EINVAL)?;
    Ok((of_octets(octets), u16_at(bytes, 16).ok_or(EINVAL)?))
}
