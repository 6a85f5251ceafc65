//! What a program hears of a datagram that its native socket has received.
#![forbid(unsafe_code)]

use crate::host::Host;
use crate::inet::call::{Inet, Native};
use crate::inet::name::{is_for, of_family, of_loopback};
use memtun_stack::sockets::table::{native_v4, Alias};
use memtun_stack::sockets::{Flow, Protocol, Report};
use std::net::SocketAddr;

/// What becomes of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It came from the machine, and is the program's as it is.
    Machine,
    /// It is the program's, from this sender; of this flow, unless a socket of this net has sent
    /// it.
    From(SocketAddr, Option<Flow>),
    /// The program must not see it.
    Skipped,
    /// It says that an error of this flow has come, and is not the program's. Behind its head
    /// ([`report::HEAD`](memtun_stack::sockets::report::HEAD)) is what was sent.
    Report(Report, Flow),
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Says what becomes of a datagram from this native sender that begins with these bytes.
    pub fn heard(&self, sender: &SocketAddr, begin: &[u8]) -> Heard {
        let flow = match native_v4(sender.ip()) {
            Some(alias) => match self.table.what(alias) {
                Some(Alias::Flow(at)) => self.table.flow_at(at),
                Some(_) => return self.heard_locally(sender),
                None => return self.heard_of_machine(sender),
            },
            None => match self.flow_at(Protocol::Udp, sender) {
                Some(flow) => Some(flow),
                None => return Heard::Machine,
            },
        };
        let from_host = match sender {
            SocketAddr::V6(v6) if v6.ip().is_loopback() => true,
            _ => sender.port() == self.table.ports().datagram,
        };
        let Some(flow) = flow.filter(|_| from_host) else {
            return Heard::Skipped;
        };
        if let Some((report, _)) = Report::of_bytes(self.table.secret(), begin) {
            return Heard::Report(report, flow);
        }
        let family = match sender {
            SocketAddr::V4(_) => libc::AF_INET,
            SocketAddr::V6(_) => libc::AF_INET6,
        };
        match is_for(family, &flow.remote) {
            true => Heard::From(of_family(family, flow.remote), Some(flow)),
            false => Heard::Skipped,
        }
    }

    fn heard_locally(&self, sender: &SocketAddr) -> Heard {
        let family = match sender {
            SocketAddr::V4(_) => libc::AF_INET,
            SocketAddr::V6(_) => libc::AF_INET6,
        };
        let name = self.table.name_of(Protocol::Udp, *sender).map(of_loopback);
        let name = name.filter(|name| is_for(family, name));
        match name.filter(|_| self.speaks_for_net(Protocol::Udp, sender)) {
            Some(name) => Heard::From(of_family(family, name), None),
            None => Heard::Skipped,
        }
    }

    /// Only a socket that hears any address hears the machine, though natively it may be bound to
    /// the alias that stands for that. A socket of the net that stood for any address when it was
    /// connected speaks from there, too.
    fn heard_of_machine(&self, sender: &SocketAddr) -> Heard {
        let family = match sender {
            SocketAddr::V4(_) => libc::AF_INET,
            SocketAddr::V6(_) => libc::AF_INET6,
        };
        let name = self.connected_from(Protocol::Udp, *sender);
        let name = name.filter(|name| is_for(family, name));
        if let Some(name) = name.filter(|_| self.speaks_for_net(Protocol::Udp, sender)) {
            return Heard::From(of_family(family, name), None);
        }
        let own = self.socket.own_name().ok();
        let alias = own.and_then(|own| native_v4(own.ip()));
        match alias.and_then(|alias| self.table.what(alias)) {
            Some(Alias::Own(_) | Alias::Flow(_)) => Heard::Skipped,
            Some(Alias::AnyV4 | Alias::AnyV6) | None => Heard::Machine,
        }
    }
}
