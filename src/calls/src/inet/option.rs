//! getsockopt(2): what the machine's kernel says of the carrier and not of the net.
#![forbid(unsafe_code)]

use super::call::{Inet, Kind, Native};
use super::connect::is_replaced;
use crate::host::Host;
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::{flag, Protocol};
use memtun_sys::inet::SocketName;

/// Bytes of the timestamps in a segment of TCP.
const TIMESTAMPS: i32 = 12;

/// The option's number in `linux/tcp.h`.
const TCP_NOTSENT_LOWAT: i32 = 25;

/// The option's number in `linux/in6.h`, and where the number stands in its struct.
const IPV6_PATHMTU: i32 = 61;
const MTU_IN_STRUCT: usize = size_of::<libc::sockaddr_in6>();

/// SO_BUF_LOCK of asm-generic/socket.h, and its bit for a buffer that the program has chosen.
const SO_BUF_LOCK: i32 = 72;
const SENDS_LOCKED: i32 = 1;

/// What a segment costs in a send buffer beside its bytes, as `tcp_sndbuf_expand` counts: the
/// headers and `struct skb_shared_info`, and `struct sk_buff`.
const HEAD_OF_SEGMENT: i32 = 256 + 320;
const SEGMENT: i32 = 256;
/// The control of congestion that has three windows in its buffer; others have two.
const BBR: i32 = i32::from_ne_bytes(*b"bbr\0");
/// Segments that are sent before the first acknowledgement (TCP_INIT_CWND).
const FIRST_SEGMENTS: i32 = 10;

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
        ) | (libc::IPPROTO_IP, libc::IP_RECVERR | libc::IP_MULTICAST_ALL)
            | (
                libc::IPPROTO_IPV6,
                libc::IPV6_RECVERR | libc::IPV6_MULTICAST_ALL
            )
    )
}

/// May this option have another value in the net?
#[inline]
pub fn is_translated(level: i32, option: i32) -> bool {
    matches!(
        (level, option),
        (
            libc::SOL_SOCKET,
            libc::SO_ERROR | libc::SO_SNDBUF | libc::SO_PEERNAME
        ) | (
            libc::IPPROTO_TCP,
            libc::TCP_MAXSEG | TCP_NOTSENT_LOWAT | libc::TCP_CORK | libc::TCP_WINDOW_CLAMP
        ) | (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
            | (libc::IPPROTO_IP, libc::IP_MTU)
            | (libc::IPPROTO_IPV6, libc::IPV6_MTU | IPV6_PATHMTU)
    )
}

/// Is this the other end's name (SO_PEERNAME)?
const fn is_peer_name(level: i32, option: i32) -> bool {
    level == libc::SOL_SOCKET && option == libc::SO_PEERNAME
}

/// Is this the size of packets in a struct (`struct ip6_mtuinfo`)?
const fn is_path_mtu(level: i32, option: i32) -> bool {
    level == libc::IPPROTO_IPV6 && option == IPV6_PATHMTU
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Called after getsockopt(2) has stored a value of which [`is_translated`]: stores the net's
    /// in its place, where that is another one. The length stands at `length`.
    ///
    /// # Errors
    ///
    /// EFAULT where the memory cannot be used, and what asking the machine's kernel fails with.
    pub fn show_option(
        &self,
        memory: &impl Memory,
        (level, option): (i32, i32),
        value: usize,
        length: usize,
    ) -> Result<(), Errno> {
        let mut stored = [0; 4];
        memory.read(length, &mut stored)?;
        let stored = u32::from_ne_bytes(stored) as usize;
        if is_peer_name(level, option) {
            let native = self.socket.peer_name()?;
            let Some(shown) = self.peer_name(&native) else {
                return Ok(());
            };
            let name = SocketName::new(&shown);
            let bytes = name.bytes();
            return memory.write(value, &bytes[..bytes.len().min(stored)]);
        }
        if is_path_mtu(level, option) {
            let Some(mtu) = self.kind().and_then(|kind| self.path_mtu(kind)) else {
                return Ok(());
            };
            let some = stored.clamp(MTU_IN_STRUCT, MTU_IN_STRUCT + 4) - MTU_IN_STRUCT;
            return memory.write(value + MTU_IN_STRUCT, &mtu.to_ne_bytes()[..some]);
        }
        // Of a value that is stored in part the rest counts as well.
        let native = match stored {
            4 => {
                let mut native = [0; 4];
                memory.read(value, &mut native)?;
                i32::from_ne_bytes(native)
            }
            _ => self.socket.option(level, option)?,
        };
        let Some(shown) = self.option(level, option, native) else {
            return Ok(());
        };
        // Of this level a small number is one byte where there is no room for an int.
        let is_byte = level == libc::IPPROTO_IP && (1..4).contains(&stored) && shown <= 255;
        let some = if is_byte { 1 } else { stored.min(4) };
        memory.write(value, &shown.to_ne_bytes()[..some])?;
        memory.write(length, &(some as u32).to_ne_bytes())
    }

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
                self.path_mtu(kind)
            }
            (libc::SOL_SOCKET, libc::SO_SNDBUF) => {
                let mss = self.mss_of_connection(kind)?;
                let chosen = self.socket.option(libc::SOL_SOCKET, SO_BUF_LOCK).ok()?;
                (chosen & SENDS_LOCKED == 0).then_some(native.min(self.send_buffer(mss)))
            }
            (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP) => {
                // Natively the segments are too large for the room that is kept for one more
                // (`tcp_init_buffer_space`). What the program has set is another number.
                let mss = self.mss_of_connection(kind)?;
                let room = self.socket.option(libc::SOL_SOCKET, libc::SO_RCVBUF).ok()?;
                (native == room / 2 && native > 2 * mss).then_some((native - mss).max(2 * mss))
            }
            (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => {
                let entry = self.entry()?;
                let given = entry.flags & flag::ADDRESS_GIVEN != 0 && entry.local.is_ipv6();
                Some(i32::from(given || entry.flags & flag::V6ONLY != 0))
            }
            _ => None,
        }
    }

    /// Returns the bytes of the largest packet on the way to the socket's other end (IP_MTU); None
    /// where it has none in the net.
    pub fn path_mtu(&self, kind: Kind) -> Option<i32> {
        let peer = self.socket.peer_name().ok()?;
        let remote = self.flow_at(kind.protocol, &peer)?.remote;
        let question = self.question(kind, Some(remote)).ok()?;
        match self.ask(What::Path, &question).ok()? {
            SocketAnswer::Path(path) => i32::try_from(path.mtu).ok(),
            _ => None,
        }
    }

    /// Returns the bytes of the largest segment of a connection of the net.
    fn mss_of_connection(&self, kind: Kind) -> Option<i32> {
        if kind.protocol != Protocol::Tcp {
            return None;
        }
        let peer = self.socket.peer_name().ok()?;
        let mss = self.flow_at(kind.protocol, &peer)?.mss;
        (mss != 0).then_some(mss.into())
    }

    /// Returns how large the kernel makes the send buffer of a connection with segments of this
    /// size (`tcp_sndbuf_expand`).
    fn send_buffer(&self, mss: i32) -> i32 {
        let whole = (mss + HEAD_OF_SEGMENT).unsigned_abs().next_power_of_two() as i32;
        // The first letters of the name are asked for.
        let control = self.socket.option(libc::IPPROTO_TCP, libc::TCP_CONGESTION);
        let windows = if control == Ok(BBR) { 3 } else { 2 };
        windows * FIRST_SEGMENTS * (whole + SEGMENT)
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
