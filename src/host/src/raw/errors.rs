//! Errors about what raw sockets and sockets of echo requests have sent (`raw_err`, `rawv6_err`,
//! `ping_err`, `ip_local_error`).
#![forbid(unsafe_code)]

use super::socket::Socket;
use super::sockets::Raw;
use crate::inet::meta::Meta;
use memtun_abi::Errno;
use memtun_ip::icmp::{v4, v6};
use memtun_ip::{protocol, Embedded, IcmpError};
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw::{set, Element};
use memtun_stack::sockets::report::{Report, LOCAL};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Most elements of a queue.
const MOST: usize = 64;

impl Raw {
    /// Tells sockets of an error that has come by ICMP.
    pub fn failed(
        &self,
        net: &NetDir,
        meta: &Meta,
        offender: IpAddr,
        of: &Embedded<'_>,
        kind: &IcmpError,
    ) {
        let mut all = self.lock();
        for socket in all.sockets.iter_mut().rev() {
            if socket.has_sent(meta, of, kind.v6) {
                socket.fails(net, meta, offender, of, kind);
                if socket.kind.is_ping() {
                    return;
                }
            }
        }
    }
}

impl Socket {
    /// Has it sent the packet that an error quotes?
    fn has_sent(&self, meta: &Meta, of: &Embedded<'_>, v6: bool) -> bool {
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
        let bound = self.bound.ifindex;
        let is_own = self.kind.family == family
            && !self.closed
            && self.bound.protocol == u16::from(of.protocol)
            && (bound == 0 || bound == meta.ifindex)
            && self.own.is_none_or(|own| own == of.local.ip());
        if !self.kind.is_ping() {
            return is_own && self.peer.is_none_or(|peer| peer == of.remote.ip());
        }
        let request = match of.protocol {
            protocol::ICMP6 => v6::ECHO,
            _ => v4::ECHO,
        };
        is_own && of.payload.starts_with(&[request, 0]) && self.id == of.local.port()
    }

    fn fails(
        &mut self,
        net: &NetDir,
        meta: &Meta,
        offender: IpAddr,
        of: &Embedded<'_>,
        kind: &IcmpError,
    ) {
        let Some((errno, mut is_hard)) = kind.errno() else {
            return;
        };
        if kind.mtu().is_some() {
            is_hard = match (kind.v6, self.kind.is_ping()) {
                (true, true) => false,
                (true, false) => self.discovery() == libc::IPV6_PMTUDISC_DO,
                (false, _) => self.discovery() != libc::IP_PMTUDISC_DONT,
            };
            if !is_hard && self.kind.is_ping() && !kind.v6 {
                return;
            }
        }
        let asks = self.asks_for_errors();
        let hears = asks || self.peer.is_some() && is_hard;
        if !hears {
            return;
        }
        if asks {
            let report = Report {
                scope: meta.ifindex,
                ..meta.report(errno, kind, offender)
            };
            let element = Element {
                report,
                to: SocketAddr::new(of.remote.ip(), 0),
                at: of.local.ip(),
                ifindex: meta.ifindex,
            };
            let whole = self.bound.set & set::HEADER_INCLUDED != 0;
            self.queue(&element, if whole { of.quoted } else { of.payload });
        }
        self.error = errno;
        self.tell(net);
    }

    /// Appends an element to the queue of errors.
    fn queue(&mut self, element: &Element, payload: &[u8]) {
        if self.errors.len() < MOST {
            let bytes = [&element.to_bytes(), payload].concat();
            self.errors.push_back(bytes);
        }
    }

    /// Notes that a packet is too long for its path, whose MTU is this (`ip_local_error`).
    pub(super) fn too_long(&mut self, net: &NetDir, to: SocketAddr, mtu: u32) {
        if !self.asks_for_errors() {
            return;
        }
        let nobody = Ipv4Addr::UNSPECIFIED.into();
        let report = Report {
            errno: libc::EMSGSIZE as u32,
            origin: LOCAL,
            kind: 0,
            code: 0,
            hops: 0,
            info: mtu,
            offender: nobody,
            scope: 0,
            number: 0,
        };
        let element = Element {
            report,
            to,
            at: nobody,
            ifindex: 0,
        };
        self.queue(&element, &[]);
        self.tell(net);
    }

    /// Lets the program's socket know that there is an error.
    fn tell(&mut self, net: &NetDir) {
        if let Err(Errno(e)) = self.end.raise(net, self.inode) {
            log::debug!("an error could not be told to a socket: errno {e}");
        }
    }

    /// Takes the error that waits. Returns its errno, and whether elements wait.
    pub(super) fn take_error(&mut self) -> [u8; 8] {
        let error = std::mem::take(&mut self.error);
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&error.to_ne_bytes());
        bytes[4] = u8::from(!self.errors.is_empty());
        bytes
    }

    /// Takes the oldest element of the queue. The error that waits is that of the next one then
    /// (`sock_dequeue_err_skb`).
    pub(super) fn take_element(&mut self) -> Result<Vec<u8>, Errno> {
        let bytes = self.errors.pop_front().ok_or(Errno(libc::EAGAIN))?;
        let of = |bytes: &[u8]| Element::of_bytes(bytes).map(|(element, _)| element.report);
        let by_icmp = |report: &Report| !report.is_local();
        let next = self.errors.front().and_then(|next| of(next));
        match next.filter(by_icmp) {
            Some(next) => self.error = next.errno as i32,
            None if of(&bytes).as_ref().is_some_and(by_icmp) => self.error = 0,
            None => {}
        }
        Ok(bytes)
    }

    /// Tells again that something waits, if it does.
    pub(super) fn tell_again(&mut self, net: &NetDir) {
        if self.error != 0 || !self.errors.is_empty() {
            self.tell(net);
        }
    }
}
