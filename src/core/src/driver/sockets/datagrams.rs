//! Datagrams from and to a socket.
#![forbid(unsafe_code)]

use super::call::{machine, Call};
use super::why;
use super::Sockets;
use crate::driver::outward::Sender;
use crate::{sys, Errno};
use memtun_abi::error::Result;
use memtun_calls::inet::datagram::receive::Heard;
use memtun_calls::inet::datagram::{Given, Natively, Sent};
use memtun_calls::inet::Native;
use memtun_stack::sockets::report::HEAD;
use memtun_stack::sockets::table::native_v4;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use sys::inet::Datagram;

/// UDP_SEGMENT of linux/udp.h.
const UDP_SEGMENT: i32 = 103;

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
    /// sendto(2), of which MSG_DONTWAIT counts. The packet is in the queue of its interface when
    /// this returns; what the interface drops is lost, as on a wire.
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
            let (native, said) = match self.carried(inet, data, Some(to))? {
                Sent::Done(sent) => return Ok(sent),
                Sent::Natively(said) => (said.to.unwrap_or(to), said),
                Sent::Machine => machine(inet, &to).map(|()| (to, Natively::default()))?,
            };
            let datagram = Datagram {
                to: native,
                from: said.source.and_then(native_v4),
                hops: said.hops.unwrap_or(0),
                tos: said.class,
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

    /// Sends a datagram of a connected socket (send(2)). None leaves the call to the caller: the
    /// socket is connected with nobody, or on the machine.
    ///
    /// # Errors
    ///
    /// The same as [`Sockets::send_to`].
    pub fn send(&self, socket: impl AsFd, data: &[u8]) -> Result<Option<usize>> {
        self.run(socket.as_fd(), "send", |inet| {
            Ok(match self.carried(inet, data, None)? {
                Sent::Done(sent) => Some(sent),
                Sent::Natively(..) | Sent::Machine => None,
            })
        })
    }

    /// Puts a datagram into the queue of its interface, if that is where it goes.
    fn carried(
        &self,
        inet: &Call<'_>,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> std::result::Result<Sent, Errno> {
        let net = self.joined();
        let by = Sender {
            net: net.dir(),
            local: net.local(),
            outward: &net.outward,
        };
        // Nobody says that an option was set, and a way is kept with what the options were.
        if let Some(kind) = inet.kind() {
            let about = inet.question(kind, None)?;
            let more = [
                (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
                (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
                (libc::IPPROTO_UDP, UDP_SEGMENT),
            ];
            let more = more.map(|(level, option)| inet.socket.option(level, option).ok());
            let mut hasher = DefaultHasher::new();
            (about.to_bytes(), more).hash(&mut hasher);
            by.outward.note_options(about.cookie, hasher.finish());
        }
        inet.send(to, &data, &Given::default(), &by)
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
    match inet.heard(&native, data) {
        Heard::Machine => Received::Give(Some(native)),
        Heard::From(name, _) => Received::Give(Some(name)),
        Heard::Skipped => Received::Skip,
        Heard::Report(..) => {
            let cookie = inet.socket.cookie().ok();
            let error = cookie.and_then(|cookie| inet.table.error(cookie, true));
            error.map_or(Received::Skip, Received::Refused)
        }
    }
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
