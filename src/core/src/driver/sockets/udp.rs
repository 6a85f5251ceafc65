//! Datagrams, as std's sockets.
#![forbid(unsafe_code)]

use super::kind::{let_wait, make};
use super::why::{self, Why};
use super::Sockets;
use crate::{Errno, Net};
use memtun_abi::error::Result;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Net {
    /// Makes a socket of UDP with a name of the net's: an address of one of its interfaces, or
    /// 0.0.0.0 or :: for all of them. Port 0 stands for any that is free in the net.
    ///
    /// # Errors
    ///
    /// The same as [`Sockets::bind`].
    pub fn bind_udp(&self, at: SocketAddr) -> Result<UdpSocket> {
        let sockets = self.socket_calls();
        let failed = |e: Errno| Why::Errno(e).error(self.joined(), &why::bind(at));
        let socket = make(&at, libc::SOCK_DGRAM).map_err(failed)?;
        sockets.bind(&socket, at)?;
        let_wait(&socket).map_err(failed)?;
        let std = std::net::UdpSocket::from(OwnedFd::from(socket));
        Ok(UdpSocket { sockets, std })
    }
}

/// A socket of UDP in a net, see [`Net::bind_udp`].
#[derive(Debug)]
pub struct UdpSocket {
    sockets: Sockets,
    std: std::net::UdpSocket,
}

impl UdpSocket {
    /// Sends a datagram to a name of the net's.
    ///
    /// # Errors
    ///
    /// The same as [`Sockets::send_to`].
    pub fn send_to(&self, data: &[u8], to: SocketAddr) -> Result<usize> {
        self.sockets.send_to(&self.std, data, to, 0)
    }

    /// The length of the next datagram, as much of which is in `room` as fits, and the name of its
    /// sender in the net.
    ///
    /// # Errors
    ///
    /// The same as [`Sockets::recv_from`]. `set_read_timeout` of [`UdpSocket::std`] sets how long
    /// it waits.
    pub fn recv_from(&self, room: &mut [u8]) -> Result<(usize, SocketAddr)> {
        loop {
            if let (length, Some(from)) = self.sockets.recv_from(&self.std, room, 0)? {
                return Ok((length, from));
            }
        }
    }

    /// Sends to, and receives from, this end only.
    ///
    /// # Errors
    ///
    /// The same as [`Sockets::connect`].
    pub fn connect(&self, to: SocketAddr) -> Result<()> {
        self.sockets.connect(&self.std, to)
    }

    /// Sends a datagram to the end that the socket is connected with.
    ///
    /// # Errors
    ///
    /// EDESTADDRREQ: it is connected with none; others as for [`Sockets::send_to`].
    pub fn send(&self, data: &[u8]) -> Result<usize> {
        if let Some(sent) = self.sockets.send(&self.std, data)? {
            return Ok(sent);
        }
        let failed = |e: std::io::Error| {
            let errno = Errno(e.raw_os_error().unwrap_or(libc::EIO));
            Why::Errno(errno).error(self.sockets.joined(), &"send")
        };
        self.std.send(data).map_err(failed)
    }

    /// The length of the next datagram, as much of which is in `room` as fits.
    ///
    /// # Errors
    ///
    /// The same as [`UdpSocket::recv_from`].
    pub fn recv(&self, room: &mut [u8]) -> Result<usize> {
        self.recv_from(room).map(|(length, _)| length)
    }

    /// Its own name in the net.
    ///
    /// # Errors
    ///
    /// EUCLEAN when the net is damaged.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.sockets.local_addr(&self.std)
    }

    /// The name of the end that it is connected with.
    ///
    /// # Errors
    ///
    /// ENOTCONN: it is connected with none.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.sockets.peer_addr(&self.std)
    }

    /// The socket as std has it, for options and timeouts. Names that its own methods take and give
    /// are the machine's.
    pub fn std(&self) -> &std::net::UdpSocket {
        &self.std
    }

    /// The same, given away.
    pub fn into_std(self) -> std::net::UdpSocket {
        self.std
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}
