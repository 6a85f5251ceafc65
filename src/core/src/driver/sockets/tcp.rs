//! Connections, as std's sockets.
#![forbid(unsafe_code)]

use super::kind::{let_wait, make};
use super::why::{self, Why};
use super::Sockets;
use crate::deadline::{Deadline, Timeout};
use crate::{sys, Errno, Net};
use memtun_abi::error::Result;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Longest queue of connections that nobody has accepted, as of std's listener.
const BACKLOG: i32 = 128;

impl Net {
    /// The calls on sockets of this net.
    pub fn socket_calls(&self) -> Sockets {
        Sockets(self.joined().clone())
    }
}

impl Net {
    /// Connects with a listener that the net reaches: through one of its interfaces, or a program
    /// of the net's own. The stream's `local_addr` and `peer_addr` are names of the machine's;
    /// [`Sockets::local_addr`] and [`Sockets::peer_addr`] have those of the net.
    ///
    /// # Errors
    ///
    /// The same as [`Sockets::connect`]; ETIMEDOUT when nobody answers, as the net's settings say.
    pub fn connect(&self, to: SocketAddr) -> Result<TcpStream> {
        self.connect_until(to, Deadline::NEVER)
    }

    /// The same as [`Net::connect`] with a limit.
    ///
    /// # Errors
    ///
    /// The same as [`Net::connect`]; ETIMEDOUT when the time is over.
    pub fn connect_timeout(&self, to: SocketAddr, time: impl Into<Timeout>) -> Result<TcpStream> {
        self.connect_until(to, Deadline::after(time))
    }

    fn connect_until(&self, to: SocketAddr, end: Deadline) -> Result<TcpStream> {
        let sockets = self.socket_calls();
        let failed = |e: Errno| Why::Errno(e).error(self.joined(), &why::connect(to));
        let socket = make(&to, libc::SOCK_STREAM).map_err(failed)?;
        match sockets.connect(&socket, to) {
            Err(e) if e.errno().0 == libc::EINPROGRESS => {
                await_writable(socket.as_fd(), end).map_err(failed)?;
                if let Some(e) = sockets.take_error(&socket)? {
                    return Err(failed(e));
                }
            }
            done => done?,
        }
        let_wait(&socket).map_err(failed)?;
        Ok(TcpStream::from(OwnedFd::from(socket)))
    }

    /// Listens at a name of the net's: an address of one of its interfaces, or 0.0.0.0 or :: for
    /// all of them. Port 0 stands for any that is free in the net. The name can be used again at
    /// once when a listener was closed, as with std's.
    ///
    /// # Errors
    ///
    /// The same as [`Sockets::bind`].
    pub fn listen(&self, at: SocketAddr) -> Result<TcpListener> {
        let sockets = self.socket_calls();
        let failed = |e: Errno| Why::Errno(e).error(self.joined(), &why::bind(at));
        let socket = make(&at, libc::SOCK_STREAM).map_err(failed)?;
        let reused = (libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
        sys::set_socket_option(socket.as_fd(), reused.0, reused.1, reused.2).map_err(failed)?;
        sockets.bind(&socket, at)?;
        sockets.listen(&socket, BACKLOG)?;
        let_wait(&socket).map_err(failed)?;
        let std = std::net::TcpListener::from(OwnedFd::from(socket));
        Ok(TcpListener { sockets, std })
    }
}

/// Waits until a connection has been made or refused.
fn await_writable(socket: BorrowedFd<'_>, end: Deadline) -> std::result::Result<(), Errno> {
    loop {
        let mut fds = [libc::pollfd {
            fd: socket.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        }];
        match sys::poll(&mut fds, end.left()) {
            Ok(0) if end.is_over() => return Err(Errno(libc::ETIMEDOUT)),
            Ok(0) | Err(Errno(libc::EINTR)) => {}
            done => return done.map(drop),
        }
    }
}

/// A listener of a net, see [`Net::listen`].
#[derive(Debug)]
pub struct TcpListener {
    sockets: Sockets,
    std: std::net::TcpListener,
}

impl TcpListener {
    /// The next connection, and the name of its other end in the net.
    ///
    /// # Errors
    ///
    /// EAGAIN when nobody waits, and the listener does not wait either.
    pub fn accept(&self) -> Result<(TcpStream, SocketAddr)> {
        loop {
            match self.sockets.accept(&self.std) {
                Err(e) if e.errno().0 == libc::EINTR => {}
                accepted => return accepted.map(|(socket, from)| (TcpStream::from(socket), from)),
            }
        }
    }

    /// Its own name in the net.
    ///
    /// # Errors
    ///
    /// EUCLEAN when the net is damaged.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.sockets.local_addr(&self.std)
    }

    /// The listener as std has it. Its names, and those of the connections that its own `accept`
    /// gives, are the machine's.
    pub fn std(&self) -> &std::net::TcpListener {
        &self.std
    }

    /// The same, given away.
    pub fn into_std(self) -> std::net::TcpListener {
        self.std
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}
