//! The native sockets of the host process: its ports.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_stack::sockets::Ports;
use memtun_sys::{self as sys, inet, Fd};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

/// Connections that fill the queue of the plug.
const FILLERS: usize = 3;
/// How many connections wait to be accepted at the port `open`.
const BACKLOG: i32 = 4096;

/// The sockets of the host process that have a port of their own.
pub struct Natives {
    /// The ports.
    pub ports: Ports,
    /// A listener whose queue is full, see [`Natives::fill`].
    pub plug: Fd,
    /// A listener that accepts.
    pub open: Fd,
    /// UDP.
    pub datagram: Fd,
    _shut: Fd,
    fillers: Vec<Fd>,
}

/// Binds a socket to a port on the loopback, for itself alone: to `wished` if that is free, else,
/// and for 0, to one of the kernel's choice.
fn bind(socket: &Fd, wished: u16) -> Result<u16, Errno> {
    inet::set_option(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_BINDTODEVICE,
        b"lo\0",
    )?;
    let bind = |port: u16| {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        inet::bind_name(socket.as_fd(), &any)
    };
    bind(wished).or_else(|_| bind(0))?;
    Ok(inet::own_name(socket.raw())?.port())
}

/// Has the machine no way to its own loopback, as a new network namespace has none?
pub fn is_loopback_down() -> bool {
    let name = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let socket = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
    let connected = socket.and_then(|it| inet::connect_name(it.as_fd(), &name));
    connected == Err(Errno(libc::ENETUNREACH))
}

fn tcp() -> Result<Fd, Errno> {
    sys::socket(libc::AF_INET, libc::SOCK_STREAM, 0)
}

impl Natives {
    /// Opens all of them. `datagram` is the port of the host process before, 0 for none: what it
    /// has sent may wait in the buffers of programs, and sockets are connected to it.
    ///
    /// # Errors
    ///
    /// What a system call fails with.
    pub fn open(datagram: u16) -> Result<Natives, Errno> {
        let plug = tcp()?;
        sys::set_int_option(plug.raw(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        let plug_port = bind(&plug, 0)?;
        sys::listen(plug.as_fd(), 0)?;
        let open = tcp()?;
        let open_port = bind(&open, 0)?;
        sys::listen(open.as_fd(), BACKLOG)?;
        let shut = tcp()?;
        let shut_port = bind(&shut, 0)?;
        let before = datagram;
        let datagram = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        let on = |level, name| sys::set_int_option(datagram.raw(), level, name, 1);
        on(libc::IPPROTO_IP, libc::IP_RECVERR)?;
        on(libc::IPPROTO_IP, libc::IP_PKTINFO)?;
        const BUFFER: i32 = 4 << 20;
        for name in [libc::SO_RCVBUF, libc::SO_SNDBUF] {
            sys::set_int_option(datagram.raw(), libc::SOL_SOCKET, name, BUFFER)?;
        }
        let datagram_port = bind(&datagram, before)?;
        Ok(Natives {
            ports: Ports {
                plug: plug_port,
                open: open_port,
                shut: shut_port,
                datagram: datagram_port,
            },
            plug,
            open,
            datagram,
            _shut: shut,
            fillers: Vec::new(),
        })
    }

    /// Fills the queue of the plug, if that has not been done. Until somebody connects, nothing
    /// goes over the machine's loopback, whose counters everybody sees.
    ///
    /// # Errors
    ///
    /// What a system call fails with.
    pub fn fill(&mut self) -> Result<(), Errno> {
        while self.fillers.len() < FILLERS {
            let filler = tcp()?;
            let to = (Ipv4Addr::LOCALHOST, self.ports.plug).into();
            match inet::connect_name(filler.as_fd(), &to) {
                Ok(()) | Err(Errno(libc::EINPROGRESS)) => self.fillers.push(filler),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Returns the first port and the last one that the machine's kernel chooses.
pub(super) fn machine_range() -> Option<(u16, u16)> {
    ends_of(&std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

/// Reads the first port and the last one of a range, as the setting has it.
pub(super) fn ends_of(range: &str) -> Option<(u16, u16)> {
    let mut words = range.split_ascii_whitespace().map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?))
}
