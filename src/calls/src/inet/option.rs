//! getsockopt(2): what the machine's kernel says of the carrier and not of the net.
#![forbid(unsafe_code)]

use super::call::{Inet, Native};
use crate::host::Host;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::{flag, Protocol};
use memtun_sys as sys;
use std::time::Duration;

/// Bytes of the timestamps in a segment of TCP.
const TIMESTAMPS: i32 = 12;

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
            | (libc::IPPROTO_TCP, libc::TCP_MAXSEG)
            | (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
            | (libc::IPPROTO_IP, libc::IP_MTU)
            | (libc::IPPROTO_IPV6, libc::IPV6_MTU)
    )
}

/// How long the reset of a native socket may take whose connection has ended in the net.
const RESET: Duration = Duration::from_millis(20);
/// How long the naps in between are.
const NAP: Duration = Duration::from_micros(50);

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Returns what has happened to a connection in the net, for which the native socket is reset.
    fn end_of_connection(&self, native: i32) -> Option<i32> {
        let flow = self.entry()?.flow?;
        let error = self.table.flow(flow)?.error;
        if error == 0 {
            return None;
        }
        if native == 0 {
            if self.is_closed() {
                return None;
            }
            // The reset is on its way. What it says is taken here, so that nobody is told twice.
            let is_reset =
                || !matches!(self.socket.option(libc::SOL_SOCKET, libc::SO_ERROR), Ok(0));
            for _ in 0..RESET.as_micros() / NAP.as_micros() {
                if is_reset() {
                    break;
                }
                sys::nap(NAP);
            }
        }
        Some(error.into())
    }

    /// Returns the value of such an option in place of this native one; None for the native one.
    pub fn option(&self, level: i32, option: i32, native: i32) -> Option<i32> {
        let kind = self.kind()?;
        match (level, option) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => match kind.protocol {
                Protocol::Tcp => self.end_of_connection(native),
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
                let flags = self.entry()?.flags;
                Some(i32::from(flags & flag::V6ONLY != 0))
            }
            _ => None,
        }
    }
}
