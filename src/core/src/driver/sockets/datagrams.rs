//! Datagrams from and to a socket. What a driver sends goes natively to the address that stands for
//! the flow, and the host process builds the packet.
#![forbid(unsafe_code)]

use super::call::{machine, Call};
use super::why::{self, Why};
use super::Sockets;
use crate::driver::ways::Way;
use crate::{sys, Errno};
use memtun_abi::error::Result;
use memtun_calls::inet::name::is_loopback;
use memtun_calls::inet::Native;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::{set, SocketAnswer};
use memtun_stack::sockets::report::{Report, HEAD};
use memtun_stack::sockets::table::{native_v4, Alias};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use sys::inet::Datagram;

/// Where a datagram goes natively, and from which address.
struct Hop {
    to: SocketAddr,
    from: Option<Ipv4Addr>,
}

/// What is done with a datagram that came.
enum Received {
    /// It is the caller's, from this end.
    Give(Option<SocketAddr>),
    /// It is nobody's.
    Skip,
    /// It says that an earlier datagram was refused.
    Refused(Errno),
}

impl Sockets {
    /// Sends a datagram (sendto(2)). A socket without a name gets one. `flags` are those of
    /// sendto(2), of which MSG_DONTWAIT counts.
    ///
    /// # Errors
    ///
    /// - ENETUNREACH: no route of the net leads there.
    /// - EACCES: it is a broadcast address, and SO_BROADCAST is not set.
    /// - EMSGSIZE: the datagram is too long.
    /// - ECONNREFUSED: nobody has listened for an earlier datagram.
    /// - ENOSYS: no host process can be started; the sentence says what is missing.
    pub fn send_to(
        &self,
        socket: impl AsFd,
        data: &[u8],
        to: SocketAddr,
        flags: i32,
    ) -> Result<usize> {
        let socket = socket.as_fd();
        self.run(socket, why::send(to), |inet| {
            let native = self.way(inet, to)?;
            let datagram = Datagram {
                to: native.to,
                from: native.from,
                hops: 0,
                tos: None,
            };
            loop {
                match sys::inet::send_datagram(socket, &datagram, &[data]) {
                    Err(Errno(libc::EAGAIN)) if waits(socket, flags) => {
                        wait(socket, libc::POLLOUT)?;
                    }
                    sent => return Ok(sent?),
                }
            }
        })
    }

    fn way(&self, inet: &Call<'_>, to: SocketAddr) -> std::result::Result<Hop, Why> {
        let plain = |to| Hop { to, from: None };
        if is_loopback(&to) || !inet.table.is_active() {
            return machine(inet, &to).map(|()| plain(to));
        }
        let cookie = inet.socket.cookie()?;
        let ways = &self.joined().ways;
        if let Some(native) = ways.find(inet.table, inet.net, cookie, to) {
            return Ok(plain(native));
        }
        let kind = inet.kind().ok_or(Errno(libc::EPROTONOSUPPORT))?;
        let question = |inet: &Call<'_>| {
            let mut question = inet.question(kind, Some(to))?;
            question.flags |= set::NEEDS_ALIAS;
            Ok::<_, Errno>(question)
        };
        let mut about = question(inet)?;
        if about.native.is_none() {
            inet.autobind(kind, &about)?;
            about = question(inet)?;
        }
        match inet.ask(What::Path, &about)? {
            SocketAnswer::Path(path) => {
                if path.broadcast && about.flags & set::BROADCAST == 0 {
                    return Err(Errno(libc::EACCES).into());
                }
                let native = path.alias.ok_or(Errno(libc::EPROTO))?;
                let flow = native_v4(native.ip()).and_then(|alias| inet.table.flow(alias));
                if let Some(flow) = flow.filter(|_| !path.broadcast) {
                    ways.keep(Way {
                        cookie,
                        to,
                        generation: path.generation,
                        flow,
                        native,
                    });
                }
                Ok(plain(native))
            }
            SocketAnswer::Local(from, to) => Ok(Hop {
                to,
                from: from.and_then(|from| native_v4(from.ip())),
            }),
            _ => machine(inet, &to).map(|()| plain(to)),
        }
    }

    /// Receives a datagram (recvfrom(2)), and says who has sent it. `flags` are those of
    /// recvfrom(2). Datagrams of processes of the machine that are not in the net, to an address of
    /// the net's, are passed over.
    ///
    /// # Errors
    ///
    /// - EAGAIN: there is none, and the socket does not wait or not any longer.
    /// - ECONNREFUSED and others: an earlier datagram was refused.
    pub fn recv_from(
        &self,
        socket: impl AsFd,
        room: &mut [u8],
        flags: i32,
    ) -> Result<(usize, Option<SocketAddr>)> {
        let socket = socket.as_fd();
        self.run(socket, "receive", |inet| loop {
            // A report is longer than the room of some callers.
            let mut small = [0; HEAD];
            let is_small = room.len() < HEAD;
            let bytes = if is_small { &mut small[..] } else { &mut *room };
            let (length, native) = sys::inet::receive_from(socket, bytes, flags | libc::MSG_TRUNC)?;
            let data = &bytes[..length.min(bytes.len())];
            match received(inet, native, data) {
                Received::Give(from) => {
                    if is_small {
                        let some = length.min(room.len());
                        room[..some].copy_from_slice(&small[..some]);
                    }
                    let shown = match flags & libc::MSG_TRUNC {
                        0 => length.min(room.len()),
                        _ => length,
                    };
                    return Ok((shown, from));
                }
                Received::Skip => take(socket, flags),
                Received::Refused(errno) => {
                    take(socket, flags);
                    return Err(errno.into());
                }
            }
        })
    }

    /// Who has sent a datagram that the caller's own call has received, with this name of the
    /// machine's. `data` is the datagram, or its first bytes. Ok(None): the datagram is not the
    /// caller's, who receives again.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED and others: it was no datagram, but an earlier one was refused.
    pub fn sender(
        &self,
        socket: impl AsFd,
        native: SocketAddr,
        data: &[u8],
    ) -> Result<Option<SocketAddr>> {
        self.run(socket.as_fd(), "receive", |inet| {
            match received(inet, Some(native), data) {
                Received::Give(from) => Ok(from),
                Received::Skip => Ok(None),
                Received::Refused(errno) => Err(errno.into()),
            }
        })
    }
}

/// Takes a datagram out that was only looked at.
fn take(socket: BorrowedFd<'_>, flags: i32) {
    if flags & libc::MSG_PEEK != 0 {
        let _ = sys::inet::receive_from(socket, &mut [], libc::MSG_DONTWAIT);
    }
}

/// Says whose datagram this is.
fn received(inet: &Call<'_>, native: Option<SocketAddr>, data: &[u8]) -> Received {
    let Some(native) = native else {
        return Received::Give(None);
    };
    let alias = native_v4(native.ip()).and_then(|alias| inet.table.what(alias));
    if let Some(Alias::Flow(_)) = alias {
        // Programs of the machine can have any address of the loopback, but not the port.
        if native.port() != inet.table.ports().datagram {
            return Received::Skip;
        }
        if Report::of_bytes(inet.table.secret(), data).is_some() {
            let cookie = inet.socket.cookie();
            let error = cookie
                .ok()
                .and_then(|cookie| inet.table.error(cookie, true));
            return error.map_or(Received::Skip, Received::Refused);
        }
    }
    Received::Give(Some(inet.remote_name(&native).unwrap_or(native)))
}

/// Does a call on the socket wait?
fn waits(socket: BorrowedFd<'_>, flags: i32) -> bool {
    flags & libc::MSG_DONTWAIT == 0 && !socket.is_nonblocking()
}

/// Waits for an event of a socket.
fn wait(socket: BorrowedFd<'_>, events: i16) -> std::result::Result<(), Errno> {
    let mut fds = [libc::pollfd {
        fd: socket.as_raw_fd(),
        events,
        revents: 0,
    }];
    sys::poll(&mut fds, None).map(drop)
}
