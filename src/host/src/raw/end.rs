//! The host process's end of a program's socket: by it copies go, and it tells of errors.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::place;
use memtun_sys::{self as sys, Fd};
use std::os::fd::AsFd;

/// Room for what one program does not read.
const ROOM: i32 = 1 << 20;

/// The host process's end of a program's socket.
pub(super) struct End {
    /// The socket that copies are sent by. None while the program's socket is connected to that of
    /// a host process that has ended, and so takes nothing from this one.
    socket: Option<Fd>,
    /// Keeps something in the queue of the other one: only so the machine's kernel tells the
    /// program's socket that its connection has ended.
    feeder: Option<Fd>,
}

/// Does something with a name in the net's directory.
fn at(
    net: &NetDir,
    name: &sys::PathBuf,
    call: impl Fn(&[u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let dir = net.open_dir()?;
    place::in_directory(dir.raw(), net.path(), name, call)
}

fn new_socket() -> Result<Fd, Errno> {
    let socket = sys::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?;
    let _ = sys::set_int_option(socket.raw(), libc::SOL_SOCKET, libc::SO_SNDBUF, ROOM);
    Ok(socket)
}

fn connect(net: &NetDir, socket: &Fd, inode: u64) -> Result<(), Errno> {
    let name = NetDir::packet_socket(inode)?;
    at(net, &name, |path| sys::connect_path(socket.as_fd(), path))
}

impl End {
    /// Connects with the socket of a program.
    pub(super) fn new(net: &NetDir, inode: u64) -> Result<End, Errno> {
        let socket = new_socket()?;
        let connected = connect(net, &socket, inode);
        // It hears its own end only.
        let is_deaf = connected == Err(Errno(libc::EPERM));
        if !is_deaf {
            connected?;
        }
        Ok(End {
            socket: (!is_deaf).then_some(socket),
            feeder: None,
        })
    }

    /// Makes an end that can tell of errors. The program's socket has to be connected to the name
    /// that this one gets.
    pub(super) fn with_errors(net: &NetDir, inode: u64) -> Result<End, Errno> {
        let socket = new_socket()?;
        let name = NetDir::errors_socket(inode)?;
        let dir = net.open_dir()?;
        let _ = dir.unlink(name.cstr());
        at(net, &name, |path| sys::bind_path(socket.as_fd(), path))?;
        dir.adopt_socket(name.cstr())?;
        let feeder = new_socket()?;
        at(net, &name, |path| sys::connect_path(feeder.as_fd(), path))?;
        let end = End {
            socket: Some(socket),
            feeder: Some(feeder),
        };
        end.arm(net, inode)?;
        Ok(end)
    }

    fn arm(&self, net: &NetDir, inode: u64) -> Result<(), Errno> {
        let (Some(socket), Some(feeder)) = (&self.socket, &self.feeder) else {
            return Ok(());
        };
        sys::send(feeder.as_fd(), &[b"."])?;
        connect(net, socket, inode)
    }

    /// Does the program's socket take nothing from this end?
    pub(super) fn is_deaf(&self) -> bool {
        self.socket.is_none()
    }

    /// Lets an error wait at the program's socket.
    pub(super) fn raise(&self, net: &NetDir, inode: u64) -> Result<(), Errno> {
        let (Some(socket), Some(_)) = (&self.socket, &self.feeder) else {
            return Ok(());
        };
        sys::disconnect(socket.raw())?;
        self.arm(net, inode)
    }

    /// Sends a copy.
    pub(super) fn send(&self, parts: &[&[u8]]) -> Result<usize, Errno> {
        let socket = self.socket.as_ref().ok_or(Errno(libc::EAGAIN))?;
        sys::send(socket.as_fd(), parts)
    }

    /// Returns the number of the descriptor by which copies go.
    pub(super) fn descriptor(&self) -> Option<i32> {
        self.socket.as_ref().map(Fd::raw)
    }
}
