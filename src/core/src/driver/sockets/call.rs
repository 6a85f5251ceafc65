//! The calls that give a socket a name, or show it.
#![forbid(unsafe_code)]

use super::why::{self, Why};
use super::Sockets;
use crate::driver::joined::Joined;
use crate::launch::host::{starter, Starter};
use crate::{sys, Errno};
use memtun_abi::error::Result;
use memtun_calls::host::Host;
use memtun_calls::inet::bind::{is_refusal_of_machine, TRIES};
use memtun_calls::inet::call::Step;
use memtun_calls::inet::connect::is_replaced;
use memtun_calls::inet::name::{is_any, is_loopback};
use memtun_calls::inet::names::Accepted;
use memtun_calls::inet::{Inet, Native};
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{option, Start};
use memtun_stack::sockets::Protocol;
use std::fmt::Display;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The host of a net as a driver asks it.
pub(super) struct DriversHost<'n> {
    net: &'n Joined,
    starter: Starter,
}

impl Host for DriversHost<'_> {
    fn existing(&self) -> Option<&NetDir> {
        Some(self.net.dir())
    }
    fn make(&self) -> std::result::Result<&NetDir, Errno> {
        Ok(self.net.dir())
    }
    fn is_isolated(&self) -> bool {
        false
    }
    fn start(&self) -> &dyn Start {
        &self.starter
    }
    fn program(&self) -> (u32, u32) {
        (sys::effective_uid(), sys::getpid() as u32)
    }
    fn options(&self) -> u16 {
        option::DRIVER
    }
}

/// A call on a socket of the net.
pub(super) type Call<'c> = Inet<'c, BorrowedFd<'c>, DriversHost<'c>>;

/// What a native call is made with.
enum Target {
    /// What the caller gave.
    Given,
    /// This name of the machine's.
    Native(SocketAddr),
}

impl Sockets {
    /// The net.
    pub(super) fn joined(&self) -> &Joined {
        &self.0
    }

    /// Runs a call on a socket. `what` begins the sentence of an error.
    pub(super) fn run<T>(
        &self,
        socket: BorrowedFd<'_>,
        what: impl Display,
        call: impl FnOnce(&Call<'_>) -> std::result::Result<T, Why>,
    ) -> Result<T> {
        let failed = |why: Why| why.error(&self.0, &what);
        let table = self.0.sockets().map_err(Why::Errno).map_err(failed)?;
        let table = table.ok_or(Why::NoAddress).map_err(failed)?;
        let host = DriversHost {
            net: &self.0,
            starter: starter(),
        };
        let inet = Inet {
            net: self.0.dir(),
            table,
            host: &host,
            socket: &socket,
        };
        call(&inet).map_err(failed)
    }

    /// Gives a socket a name (bind(2)). Port 0 stands for any that is free in the net.
    ///
    /// # Errors
    ///
    /// - EADDRINUSE: a socket of the net has the name.
    /// - EADDRNOTAVAIL: no interface of the net has the address.
    /// - EINVAL: the socket has a name already.
    /// - ENOSYS: no host process can be started; the sentence says what is missing.
    pub fn bind(&self, socket: impl AsFd, name: SocketAddr) -> Result<()> {
        let socket = socket.as_fd();
        self.run(socket, why::bind(name), |inet| {
            let mut failed = 0;
            let has_name = || socket.own_name().is_ok_and(|own| own.port() != 0);
            for _ in 0..TRIES {
                let step = inet.bind(name, failed)?;
                if step == Step::Done {
                    return Ok(());
                }
                let to = match target(inet, &name, step, has_name)? {
                    Target::Given => return Ok(inet.socket.bind(&name)?),
                    Target::Native(to) => to,
                };
                match inet.socket.bind(&to) {
                    Err(e) if is_refusal_of_machine(e) => failed = e.0,
                    bound => return Ok(bound?),
                }
            }
            Err(Errno(libc::EADDRINUSE).into())
        })
    }

    /// Connects a socket (connect(2)): one of TCP with a listener, one of UDP with the end that it
    /// sends to and receives from.
    ///
    /// # Errors
    ///
    /// - EINPROGRESS: the socket does not wait (O_NONBLOCK). When it is writable,
    ///   [`Sockets::take_error`] says what has become of it.
    /// - ECONNREFUSED: nobody listens there.
    /// - ENETUNREACH: no route of the net leads there.
    /// - ENOSYS: no host process can be started; the sentence says what is missing.
    pub fn connect(&self, socket: impl AsFd, to: SocketAddr) -> Result<()> {
        let socket = socket.as_fd();
        self.run(socket, why::connect(to), |inet| {
            let native = match target(inet, &to, inet.connect(to, &self.0.pending)?, || {
                is_begun(inet)
            })? {
                Target::Given => to,
                Target::Native(native) => native,
            };
            let done = sys::inet::connect_name(socket, &native);
            if done == Err(Errno(libc::EINPROGRESS)) {
                inet.is_pending(&self.0.pending);
            }
            let end = |e: Errno| is_replaced(e).then(|| inet.end(true)).flatten();
            Ok(done.map_err(|e| end(e).unwrap_or(e))?)
        })
    }

    /// The name of the machine's with which the caller makes connect(2) himself, because his
    /// language does more in it than the kernel. When the call has failed with ECONNREFUSED or
    /// ECONNRESET, [`Sockets::refusal`] says why it has.
    ///
    /// # Errors
    ///
    /// The same as [`Sockets::connect`].
    pub fn native_target(&self, socket: impl AsFd, to: SocketAddr) -> Result<SocketAddr> {
        self.run(socket.as_fd(), why::connect(to), |inet| {
            let step = inet.connect(to, &self.0.pending)?;
            let native = match target(inet, &to, step, || is_begun(inet))? {
                Target::Given => return Ok(to),
                Target::Native(native) => native,
            };
            if inet.socket.is_nonblocking() {
                inet.is_pending(&self.0.pending);
            }
            Ok(native)
        })
    }

    /// The errno with which a connection has ended in the net, of a socket whose native connect(2)
    /// has failed with ECONNREFUSED or ECONNRESET. None: with that one.
    pub fn refusal(&self, socket: impl AsFd) -> Option<Errno> {
        let refusal = self.run(socket.as_fd(), "", |inet| Ok(inet.end(true)));
        refusal.ok().flatten()
    }

    /// Lets others connect to a socket of TCP (listen(2)). A socket without a name gets one.
    ///
    /// # Errors
    ///
    /// - EADDRINUSE: another socket of the net listens there.
    /// - ENOSYS: no host process can be started; the sentence says what is missing.
    pub fn listen(&self, socket: impl AsFd, backlog: i32) -> Result<()> {
        let socket = socket.as_fd();
        self.run(socket, "listen", |inet| {
            inet.before_listen(&self.0.pending)?;
            sys::listen(socket, backlog)?;
            Ok(inet.after_listen()?)
        })
    }

    /// Takes the next connection (accept4(2)), with the name of its other end. The new socket waits
    /// (it has no O_NONBLOCK) and is closed on exec.
    ///
    /// # Errors
    ///
    /// EAGAIN when nobody waits, and the socket does not wait or not any longer.
    pub fn accept(&self, socket: impl AsFd) -> Result<(OwnedFd, SocketAddr)> {
        loop {
            let accepted = sys::inet::accept_from(socket.as_fd(), libc::SOCK_CLOEXEC);
            let failed = |e| Why::Errno(e).error(&self.0, &"accept");
            let (new, native) = accepted.map_err(failed)?;
            let native = native.ok_or_else(|| failed(Errno(libc::EAFNOSUPPORT)))?;
            if let Some(name) = self.accepted(new.as_fd(), native)? {
                return Ok((new.into(), name));
            }
        }
    }

    /// The name of the other end of a connection that the caller's accept(2) has given, with this
    /// name of the machine's. None: a process of the machine that is not in the net has connected
    /// to an address of the net's, and the connection is to be closed.
    ///
    /// # Errors
    ///
    /// EUCLEAN when the net is damaged.
    pub fn accepted(
        &self,
        connection: impl AsFd,
        native: SocketAddr,
    ) -> Result<Option<SocketAddr>> {
        // A hook of the caller's process may have translated the name.
        if !is_loopback(&native) {
            return Ok(Some(native));
        }
        self.run(connection.as_fd(), "accept", |inet| {
            Ok(match inet.accepted(&native) {
                Accepted::Machine => Some(native),
                Accepted::Net(name) => Some(name),
                Accepted::Foreign => None,
            })
        })
    }

    /// Is it a socket of SOCK_STREAM?
    ///
    /// # Errors
    ///
    /// ENOTSOCK when it is none.
    pub fn is_stream(&self, socket: impl AsFd) -> Result<bool> {
        let kind = socket.as_fd().option(libc::SOL_SOCKET, libc::SO_TYPE);
        let failed = |e| Why::Errno(e).error(&self.0, &"the socket's type");
        Ok(kind.map_err(failed)? == libc::SOCK_STREAM)
    }

    /// The own name of a socket in the net (getsockname(2)).
    ///
    /// # Errors
    ///
    /// EUCLEAN when the net is damaged.
    pub fn local_addr(&self, socket: impl AsFd) -> Result<SocketAddr> {
        self.run(socket.as_fd(), "the socket's name", |inet| {
            let native = inet.socket.own_name()?;
            Ok(inet.own_name(&native).unwrap_or(native))
        })
    }

    /// The name of the other end of a socket in the net (getpeername(2)).
    ///
    /// # Errors
    ///
    /// - ENOTCONN: the socket is not connected.
    /// - EUCLEAN when the net is damaged.
    pub fn peer_addr(&self, socket: impl AsFd) -> Result<SocketAddr> {
        self.run(socket.as_fd(), "the other end's name", |inet| {
            let native = inet.socket.peer_name()?;
            Ok(inet.remote_name(&native).unwrap_or(native))
        })
    }

    /// What has gone wrong on a socket (SO_ERROR), once.
    ///
    /// # Errors
    ///
    /// EUCLEAN when the net is damaged.
    pub fn take_error(&self, socket: impl AsFd) -> Result<Option<Errno>> {
        self.run(socket.as_fd(), "the socket's error", |inet| {
            let (level, option) = (libc::SOL_SOCKET, libc::SO_ERROR);
            let native = inet.socket.option(level, option)?;
            let errno = inet.option(level, option, native).unwrap_or(native);
            Ok((errno != 0).then_some(Errno(errno)))
        })
    }
}

/// Has a socket of TCP been connected before?
fn is_begun(inet: &Call<'_>) -> bool {
    let is_tcp = inet
        .kind()
        .is_some_and(|kind| kind.protocol == Protocol::Tcp);
    is_tcp && !inet.is_closed()
}

/// Says what a native call is made with. `is_over` says that the machine's kernel refuses the call
/// whatever the name is, because it was made before.
fn target(
    inet: &Call<'_>,
    name: &SocketAddr,
    step: Step,
    is_over: impl FnOnce() -> bool,
) -> std::result::Result<Target, Why> {
    match step {
        Step::To(native) => Ok(Target::Native(native)),
        Step::Done => Ok(Target::Given),
        Step::Machine if is_over() => Ok(Target::Given),
        Step::Machine => machine(inet, name).map(|()| Target::Given),
    }
}

/// Fails unless a call with this name is the machine's own: with an address of its loopback, or
/// with what its kernel refuses.
pub(super) fn machine(inet: &Call<'_>, name: &SocketAddr) -> std::result::Result<(), Why> {
    let kind = inet.kind().ok_or(Errno(libc::EPROTONOSUPPORT))?;
    let is_misfit = name.is_ipv6() != (kind.family == libc::AF_INET6);
    match () {
        () if is_loopback(name) || is_misfit => Ok(()),
        () if !inet.table.is_active() => Err(Why::NoAddress),
        () if is_any(name) => Ok(()),
        () => Err(Why::Elsewhere),
    }
}
