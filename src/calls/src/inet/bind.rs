//! bind(2) and listen(2). The net decides whether a name is free; the machine's kernel keeps
//! another one where it is asked to.
#![forbid(unsafe_code)]

use super::call::{Inet, Kind, Native, Step, IP_BIND_ADDRESS_NO_PORT};
use super::name::{family_of, is_any, is_loopback, of_family};
use super::pending::Pending;
use crate::host::Host;
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::{set, SocketAnswer, SocketQuestion};
use memtun_stack::sockets::{flag, Protocol};
use std::net::SocketAddr;

/// Number of native names that are tried for one name of the net.
pub const TRIES: usize = 8;

/// May the machine refuse a native name for a reason that has nothing to do with the net?
pub fn is_refusal_of_machine(errno: Errno) -> bool {
    matches!(errno.0, libc::EADDRINUSE | libc::EACCES)
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Says what the native socket is bound to for bind(2) with this name. `failed` is the errno
    /// with which the machine has refused what this function has said before, or 0.
    ///
    /// # Errors
    ///
    /// What bind(2) fails with, and what asking fails with.
    pub fn bind(&self, name: SocketAddr, failed: i32) -> Result<Step, Errno> {
        if !self.table.is_active() {
            return Ok(Step::Machine);
        }
        let Some(kind) = self.told_kind()?.filter(|kind| fits(kind, &name)) else {
            return Ok(Step::Machine);
        };
        // Only beside one that the machine does not know of the net says who has it.
        if is_loopback(&name) && !self.table.is_apart(kind.protocol, name.port()) {
            return Ok(Step::Machine);
        }
        let mut question = SocketQuestion {
            failed: failed as u32,
            ..self.question(kind, Some(name))?
        };
        if self.may_have_any(kind) {
            question.flags |= set::FREEBIND;
        }
        if question.native.is_some() {
            // It has a name already. The machine's kernel says so, unless it does not know the
            // address, which it looks at first.
            let own = self.table.alias_of(name.ip().to_canonical(), scope(&name));
            return own.map_or(Ok(Step::Machine), |_| Err(Errno(libc::EINVAL)));
        }
        let answer = match self.ask(What::Bind, &question) {
            Err(_) if self.is_of_no_link(&name) => return Ok(Step::Machine),
            answer => answer?,
        };
        match answer {
            SocketAnswer::Bind(to) => {
                let is_chosen = kind.protocol == Protocol::Tcp && name.port() == 0 && failed == 0;
                self.hears_ipv4(kind, &to);
                match is_chosen && self.bind_as_choice(&to) {
                    true => Ok(Step::Done),
                    false => Ok(Step::To(to)),
                }
            }
            _ => Ok(Step::Machine),
        }
    }

    /// Is it an address of a link that neither the net nor the machine can have? The machine's
    /// kernel refuses that, and remembers the link that was named (`__inet6_bind`).
    fn is_of_no_link(&self, name: &SocketAddr) -> bool {
        /// Indexes that a kernel gives are counted up from 1, so it has none beyond.
        const BEYOND: u32 = 1 << 20;
        let SocketAddr::V6(v6) = name else {
            return false;
        };
        let link = v6.scope_id();
        let is_nobodys = link == 0 || link > BEYOND && !self.net.knows_index(link);
        v6.ip().is_unicast_link_local() && is_nobodys
    }

    /// May it be bound to an address that is nobody's?
    fn may_have_any(&self, kind: Kind) -> bool {
        /// IPV6_FREEBIND of linux/in6.h.
        const IPV6_FREEBIND: i32 = 78;
        let is_set = |level, option| self.socket.option(level, option).is_ok_and(|it| it != 0);
        is_set(libc::IPPROTO_IP, libc::IP_FREEBIND)
            || is_set(libc::IPPROTO_IP, libc::IP_TRANSPARENT)
            || kind.family == libc::AF_INET6 && is_set(libc::IPPROTO_IPV6, IPV6_FREEBIND)
    }

    /// Gives a socket that has no name one of the net's, because it is about to send, to connect or
    /// to listen.
    ///
    /// # Errors
    ///
    /// The same as [`Inet::bind`].
    pub fn autobind(&self, kind: Kind, question: &SocketQuestion) -> Result<(), Errno> {
        let mut question = SocketQuestion {
            flags: question.flags | set::AUTOBIND,
            name: None,
            failed: 0,
            ..*question
        };
        for _ in 0..TRIES {
            match self.ask(What::Bind, &question)? {
                SocketAnswer::Bind(to) if question.native.is_none() => {
                    match self.bind_natively(kind, &to) {
                        Err(e) if is_refusal_of_machine(e) => question.failed = e.0 as u32,
                        bound => return bound,
                    }
                }
                _ => return Ok(()),
            }
        }
        Err(Errno(libc::EADDRINUSE))
    }

    /// Binds the native socket to a name with a port that the net has chosen.
    pub(super) fn bind_natively(&self, kind: Kind, to: &SocketAddr) -> Result<(), Errno> {
        self.hears_ipv4(kind, to);
        match kind.protocol == Protocol::Tcp && self.bind_as_choice(to) {
            true => Ok(()),
            false => self.socket.bind(to),
        }
    }

    /// Binds a native socket of TCP as if the machine's kernel had chosen the port: a port that it
    /// was asked for stays the socket's when its connection has ended, and one that was chosen is
    /// given up then, so that the socket can be bound anew. Returns false where that cannot be had,
    /// as before Linux 6.3, and nothing has become of it.
    fn bind_as_choice(&self, to: &SocketAddr) -> bool {
        /// IP_LOCAL_PORT_RANGE of linux/in.h.
        const IP_LOCAL_PORT_RANGE: i32 = 51;
        let option = (libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE);
        // With this option of the program's the kernel would choose none yet.
        let puts_off = || {
            self.socket
                .option(libc::IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)
                != Ok(0)
        };
        if !self.table.is_choice(to.port()) || puts_off() {
            return false;
        }
        let port = u32::from(to.port());
        let only = (port | port << 16) as i32;
        let Ok(was) = self.socket.option(option.0, option.1) else {
            return false;
        };
        if self.socket.set_option(option.0, option.1, only).is_err() {
            return false;
        }
        let bound = self.socket.bind(&SocketAddr::new(to.ip(), 0));
        let _ = self.socket.set_option(option.0, option.1, was);
        // The machine may choose from other ports since the host process has asked: then what
        // comes next is refused, because the socket has a port.
        bound.is_ok()
            && self
                .socket
                .own_name()
                .is_ok_and(|own| own.port() == to.port())
    }

    /// Returns the name that the native socket holds. One of TCP whose port was chosen has none any
    /// more once its connection has ended, though getsockname(2) still shows it.
    pub(super) fn held(&self, kind: Kind, native: SocketAddr, given: bool) -> Option<SocketAddr> {
        if native.port() == 0 {
            return None;
        }
        let stays = given || kind.protocol != Protocol::Tcp || !self.is_closed();
        (stays || !self.has_given_up(&native)).then_some(native)
    }

    /// Has a native socket, which is not connected, no port any more? Then a port is refused to it
    /// because somebody listens there, else because it has one.
    fn has_given_up(&self, native: &SocketAddr) -> bool {
        // The asker's own cannot end meanwhile, and is on all devices; another one's may be on one
        // that this socket is not on, which then would be bound.
        let Ok((_listener, heard)) = memtun_sys::inet::listener() else {
            return false;
        };
        let heard = of_family(family_of(native), heard);
        self.socket.bind(&heard) == Err(Errno(libc::EADDRINUSE))
    }

    /// Lets a socket of AF_INET6 be bound to a carrier's address, which is one of IPv4: what the
    /// program has set stands in the net's table.
    fn hears_ipv4(&self, kind: Kind, to: &SocketAddr) {
        let SocketAddr::V6(v6) = to else { return };
        if kind.family == libc::AF_INET6 && v6.ip().to_ipv4_mapped().is_some() {
            let only = (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
            if self.socket.option(only.0, only.1) == Ok(1) {
                let _ = self.socket.set_option(only.0, only.1, 0);
            }
        }
    }

    /// Called before listen(2): a socket without a name gets one.
    ///
    /// # Errors
    ///
    /// The same as [`Inet::bind`].
    pub fn before_listen(&self, pending: &Pending) -> Result<(), Errno> {
        let Some(kind) = self.kind().filter(|kind| kind.protocol == Protocol::Tcp) else {
            return Ok(());
        };
        if !self.table.is_active() {
            return Ok(());
        }
        // Connections that are accepted have it, too.
        self.bound_what_waits(kind);
        let question = self.question(kind, None)?;
        match question.native {
            // One whose connection has failed, which was not told yet, cannot listen.
            None if pending.has(question.cookie) => Err(Errno(libc::EINVAL)),
            None => self.autobind(kind, &question),
            Some(_) => Ok(()),
        }
    }

    /// Called after listen(2) has succeeded: the net hears of it.
    ///
    /// # Errors
    ///
    /// What the net refuses, and what asking fails with.
    pub fn after_listen(&self) -> Result<(), Errno> {
        let Some(kind) = self.kind().filter(|kind| kind.protocol == Protocol::Tcp) else {
            return Ok(());
        };
        if !self.table.is_active() {
            return Ok(());
        }
        let question = self.question(kind, None)?;
        let is_carried = question.native.is_some_and(|native| {
            is_any(&native) || self.table.name_of(Protocol::Tcp, native).is_some()
        });
        if !is_carried || self.is_known_listener(question.cookie) {
            return Ok(());
        }
        self.ask(What::ListenOn, &question).map(drop)
    }

    fn is_known_listener(&self, cookie: u64) -> bool {
        let entry = self.table.socket(cookie);
        entry.is_some_and(|entry| entry.flags & flag::LISTENS != 0)
    }
}

fn scope(name: &SocketAddr) -> u32 {
    match name {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    }
}

/// Is it a name of the socket's family?
fn fits(kind: &Kind, name: &SocketAddr) -> bool {
    name.is_ipv6() == (kind.family == libc::AF_INET6)
}
