//! getsockopt(2): what the machine's kernel says of the carrier and not of the net.
#![forbid(unsafe_code)]

use super::call::{Inet, Kind, Native};
use super::connect::is_replaced;
use crate::host::Host;
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::{flag, Protocol};

/// Bytes of the timestamps in a segment of TCP.
const TIMESTAMPS: i32 = 12;

/// The option's number in `linux/tcp.h`.
const TCP_NOTSENT_LOWAT: i32 = 25;

/// How many bytes a carrier keeps that are not on the way to the host process: about as many as a
/// socket over an interface does. By itself it would keep megabytes, because a segment of the
/// loopback is large, and what a program has sent would be far ahead of what has arrived. No
/// program sets just this number.
const UNSENT: i32 = (256 << 10) - 1;

/// Does the net's table have something of this option?
#[inline]
pub fn is_noted(level: i32, option: i32) -> bool {
    matches!(
        (level, option),
        (
            libc::SOL_SOCKET,
            libc::SO_REUSEADDR | libc::SO_REUSEPORT | libc::SO_BINDTODEVICE
        ) | (libc::IPPROTO_IP, libc::IP_RECVERR)
            | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    )
}

/// May this option have another value in the net?
#[inline]
pub fn is_translated(level: i32, option: i32) -> bool {
    matches!(
        (level, option),
        (libc::SOL_SOCKET, libc::SO_ERROR)
            | (
                libc::IPPROTO_TCP,
                libc::TCP_MAXSEG | TCP_NOTSENT_LOWAT | libc::TCP_CORK
            )
            | (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
            | (libc::IPPROTO_IP, libc::IP_MTU)
            | (libc::IPPROTO_IPV6, libc::IPV6_MTU)
    )
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Returns the value of such an option in place of this native one; None for the native one.
    pub fn option(&self, level: i32, option: i32, native: i32) -> Option<i32> {
        let kind = self.kind()?;
        match (level, option) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => match kind.protocol {
                Protocol::Tcp => {
                    let end = is_replaced(Errno(native)).then(|| self.end(true));
                    end.flatten().map(|errno| errno.0)
                }
                _ if native == 0 => {
                    let error = self.table.error(self.socket.cookie().ok()?, true)?;
                    Some(error.0)
                }
                _ => None,
            },
            (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => {
                let peer = self.socket.peer_name().ok()?;
                let mss = self.flow_at(kind.protocol, &peer)?.mss;
                // What the program has set counts in both, natively less the timestamps that every
                // segment has.
                (mss != 0).then_some(native.saturating_add(TIMESTAMPS).min(mss.into()))
            }
            (libc::IPPROTO_TCP, libc::TCP_CORK) => self.is_corked().map(i32::from),
            (libc::IPPROTO_TCP, TCP_NOTSENT_LOWAT) => (native == UNSENT).then_some(0),
            (libc::IPPROTO_IP, libc::IP_MTU) | (libc::IPPROTO_IPV6, libc::IPV6_MTU) => {
                let peer = self.socket.peer_name().ok()?;
                let remote = self.flow_at(kind.protocol, &peer)?.remote;
                let question = self.question(kind, Some(remote)).ok()?;
                match self.ask(What::Path, &question).ok()? {
                    SocketAnswer::Path(path) => i32::try_from(path.mtu).ok(),
                    _ => None,
                }
            }
            (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => {
                let entry = self.entry()?;
                let given = entry.flags & flag::ADDRESS_GIVEN != 0 && entry.local.is_ipv6();
                Some(i32::from(given || entry.flags & flag::V6ONLY != 0))
            }
            _ => None,
        }
    }

    /// Bounds what a carrier of TCP keeps, unless the program has done so itself.
    pub(super) fn bound_what_waits(&self, kind: Kind) {
        let unsent = (libc::IPPROTO_TCP, TCP_NOTSENT_LOWAT);
        if kind.protocol == Protocol::Tcp && self.socket.option(unsent.0, unsent.1) == Ok(0) {
            // Where it is refused, as in a sandbox, more waits.
            let _ = self.socket.set_option(unsent.0, unsent.1, UNSENT);
        }
    }
}
