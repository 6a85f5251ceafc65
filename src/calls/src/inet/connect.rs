//! connect(2). The host process begins the connection, and says to which address of the loopback
//! the native socket connects: there it waits, is refused or succeeds as the net's end does.
#![forbid(unsafe_code)]

use super::bind::{is_refusal_of_machine, TRIES};
use super::call::{Inet, Native, Step};
use super::name::{is_any, is_loopback};
use crate::host::Host;
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::Protocol;
use std::net::SocketAddr;

/// State of a socket of TCP that is neither connected nor about to be (TCP_CLOSE).
const CLOSED: u8 = 7;

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Says where the native socket connects to for connect(2) with this name, and gives it a name
    /// of its own where it needs one.
    ///
    /// # Errors
    ///
    /// What connect(2) fails with at once, and what asking fails with.
    pub fn connect(&self, name: SocketAddr) -> Result<Step, Errno> {
        if is_loopback(&name) || is_any(&name) || !self.table.is_active() {
            return Ok(Step::Machine);
        }
        let Some(kind) = self.kind() else {
            return Ok(Step::Machine);
        };
        if name.is_ipv6() && kind.family == libc::AF_INET {
            return Ok(Step::Machine);
        }
        if kind.protocol == Protocol::Tcp && !self.is_closed() {
            // It connects or is connected, and the machine's kernel says so.
            return Ok(Step::Machine);
        }
        let mut question = self.question(kind, Some(name))?;
        for _ in 0..TRIES {
            let (bind, to) = match self.ask(What::Connect, &question)? {
                SocketAnswer::Local(bind, to) | SocketAnswer::Carried(bind, to) => (bind, to),
                _ => return Ok(Step::Machine),
            };
            match bind.filter(|_| question.native.is_none()) {
                None => return Ok(Step::To(to)),
                Some(bind) => match self.bind_natively(kind, &bind) {
                    Err(e) if is_refusal_of_machine(e) => question.failed = e.0 as u32,
                    bound => return bound.map(|()| Step::To(to)),
                },
            }
        }
        Err(Errno(libc::EADDRNOTAVAIL))
    }

    /// Is it neither connected nor about to be, as a socket of TCP?
    pub fn is_closed(&self) -> bool {
        // The first byte of struct tcp_info is the state.
        let info = self.socket.option(libc::IPPROTO_TCP, libc::TCP_INFO);
        info.is_ok_and(|info| info.to_ne_bytes()[0] == CLOSED)
    }

    /// Returns what connect(2) fails with although the native socket is connected: the refusal came
    /// after the call had begun. `to` is what the native socket was connected to.
    pub fn late_refusal(&self, to: &SocketAddr) -> Option<Errno> {
        let flow = self.table.flow(native_v4(to.ip())?)?;
        (flow.error != 0).then_some(Errno(flow.error.into()))
    }
}
