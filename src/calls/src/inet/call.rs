//! A socket of AF_INET or AF_INET6 as a back end has it, and the questions about it.
#![forbid(unsafe_code)]

use super::name::{is_any, is_loopback};
use crate::host::{self, Host};
use crate::socket::Joining;
use memtun_abi::Errno;
use memtun_kernel::net::{Kept, NetDir};
use memtun_stack::ask::{self, What};
use memtun_stack::sockets::filter::Sources;
use memtun_stack::sockets::question::{set, SocketAnswer, SocketQuestion, ANSWER};
use memtun_stack::sockets::tuning::Tuning;
use memtun_stack::sockets::{flag, Entry, Protocol, Table};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// IP_BIND_ADDRESS_NO_PORT of linux/in.h.
pub(super) const IP_BIND_ADDRESS_NO_PORT: i32 = 24;
/// SO_BINDTOIFINDEX of asm-generic/socket.h.
const SO_BINDTOIFINDEX: i32 = 62;
/// Was it said that a socket is not carried?
static SAID: AtomicBool = AtomicBool::new(false);
/// Hop limit of a socket for which none was set.
const USUAL_HOPS: i32 = 64;

/// The program's socket, as the machine's kernel has it.
pub trait Native {
    /// Returns its own name (getsockname(2)).
    ///
    /// # Errors
    ///
    /// ENOTSOCK, EBADF, and EAFNOSUPPORT for a socket of another family.
    fn own_name(&self) -> Result<SocketAddr, Errno>;
    /// Returns the name of the other end (getpeername(2)).
    ///
    /// # Errors
    ///
    /// ENOTCONN, and as above.
    fn peer_name(&self) -> Result<SocketAddr, Errno>;
    /// Returns an option whose value is an int.
    ///
    /// # Errors
    ///
    /// What getsockopt(2) fails with.
    fn option(&self, level: i32, option: i32) -> Result<i32, Errno>;
    /// Sets an option whose value is an int.
    ///
    /// # Errors
    ///
    /// What setsockopt(2) fails with.
    fn set_option(&self, level: i32, option: i32, value: i32) -> Result<(), Errno>;
    /// Returns the number that no other socket of the machine has (SO_COOKIE).
    ///
    /// # Errors
    ///
    /// What getsockopt(2) fails with.
    fn cookie(&self) -> Result<u64, Errno>;
    /// Returns its inode.
    ///
    /// # Errors
    ///
    /// What fstat(2) fails with.
    fn inode(&self) -> Result<u64, Errno>;
    /// Returns the number of segments that a socket of TCP has got for its last connection.
    ///
    /// # Errors
    ///
    /// What getsockopt(2) fails with.
    fn segments_received(&self) -> Result<u32, Errno>;
    /// Returns how many bytes the program has written to it, as a socket of TCP.
    ///
    /// # Errors
    ///
    /// What getsockopt(2) fails with, and ENOPROTOOPT.
    fn bytes_written(&self) -> Result<u64, Errno>;
    /// Returns how many bytes of options of IPv4 the program has set, which are stored in `room`.
    ///
    /// # Errors
    ///
    /// What getsockopt(2) fails with.
    fn ip_options(&self, room: &mut [u8; 40]) -> Result<usize, Errno>;
    /// Has it O_NONBLOCK?
    fn is_nonblocking(&self) -> bool;
    /// Gives it a name (bind(2)).
    ///
    /// # Errors
    ///
    /// What bind(2) fails with.
    fn bind(&self, name: &SocketAddr) -> Result<(), Errno>;
}

/// What kind of socket it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// AF_INET or AF_INET6.
    pub family: i32,
    /// SOCK_STREAM or SOCK_DGRAM.
    pub kind: i32,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// What becomes of a call that gives a socket a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It is made with what the program gave.
    Machine,
    /// It is made with this name of the machine's.
    To(SocketAddr),
    /// It has been made.
    Done,
}

/// A call on a socket, in a net that has addresses.
pub struct Inet<'c, N: Native, H: Host> {
    /// The net of the program.
    pub net: &'c NetDir,
    /// The table of its sockets.
    pub table: &'c Table,
    /// The host of the net.
    pub host: &'c H,
    /// The socket.
    pub socket: &'c N,
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Returns what kind of socket it is; None where it is none that the net carries, or that
    /// cannot be told.
    pub fn kind(&self) -> Option<Kind> {
        self.told_kind().ok().flatten()
    }

    /// Does the same for a call that goes to the machine's network where the net does not carry it.
    ///
    /// # Errors
    ///
    /// What getsockopt(2) fails with: that of the call on a descriptor that is none or no socket,
    /// and what a sandbox of the program's says.
    pub fn told_kind(&self) -> Result<Option<Kind>, Errno> {
        let of = |option| self.socket.option(libc::SOL_SOCKET, option);
        let family = of(libc::SO_DOMAIN)?;
        if family != libc::AF_INET && family != libc::AF_INET6 {
            return Ok(None);
        }
        let (kind, protocol) = (of(libc::SO_TYPE)?, of(libc::SO_PROTOCOL)?);
        let protocol = match (kind, protocol) {
            (libc::SOCK_STREAM, libc::IPPROTO_TCP) => Protocol::Tcp,
            (libc::SOCK_DGRAM, libc::IPPROTO_UDP) => Protocol::Udp,
            _ => return Ok(None),
        };
        // What is bound to an interface of the machine is the machine's.
        Ok(match of(SO_BINDTOIFINDEX) {
            Err(_) | Ok(0) => Some(Kind {
                family,
                kind,
                protocol,
            }),
            Ok(_) => None,
        })
    }

    /// Says what becomes of sending to a name on a socket that the net does not carry, as
    /// [`Inet::told_kind`] has told: Ok leaves it to the machine.
    ///
    /// # Errors
    ///
    /// ENETUNREACH where the program has no other network than the net, and what asking the
    /// machine's kernel about the socket fails with.
    pub fn uncarried(&self, name: &SocketAddr) -> Result<(), Errno> {
        let stays = is_loopback(name) || is_any(name);
        if stays || !self.host.is_isolated() {
            return Ok(());
        }
        match self.socket.option(libc::SOL_SOCKET, libc::SO_DOMAIN)? {
            libc::AF_INET | libc::AF_INET6 => {
                if !SAID.swap(true, Relaxed) {
                    log::warn!(
                        "a socket that is neither of TCP nor of UDP, or bound to an interface of the machine, reaches \
                         nothing in an isolated net"
                    );
                }
                Err(Errno(libc::ENETUNREACH))
            }
            _ => Ok(()),
        }
    }

    /// Returns what the net knows of the socket.
    pub fn entry(&self) -> Option<Entry> {
        self.table.socket(self.socket.cookie().ok()?)
    }

    /// Has the program set IPV6_V6ONLY?
    pub(super) fn hears_only_v6(&self, kind: Kind) -> bool {
        kind.family == libc::AF_INET6
            && match self.entry() {
                Some(entry) => entry.flags & flag::V6ONLY != 0,
                None => self.socket.option(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) == Ok(1),
            }
    }

    /// Begins a question about the socket, about a name that the program gave.
    ///
    /// # Errors
    ///
    /// What asking the machine's kernel about the socket fails with.
    pub fn question(&self, kind: Kind, name: Option<SocketAddr>) -> Result<SocketQuestion, Errno> {
        let (cookie, inode) = (self.socket.cookie()?, self.socket.inode()?);
        let known = self.table.socket(cookie);
        let has_port = known.is_some_and(|entry| entry.flags & flag::PORT_GIVEN != 0);
        let native = self.held(kind, self.socket.own_name()?, has_port);
        let v6 = kind.family == libc::AF_INET6;
        let value = |level, option| self.socket.option(level, option).unwrap_or(0);
        let by_v6 = v6 && !name.is_some_and(|name| self.is_by_v4(kind, name));
        let by_family = |v4, v6_option| match by_v6 {
            true => value(libc::IPPROTO_IPV6, v6_option),
            false => value(libc::IPPROTO_IP, v4),
        };
        let kept = |kept| self.net.kept_of(inode, kept).ok().flatten();
        let mut flags = 0;
        let mut set = |bit: u32, is_set: bool| flags |= if is_set { bit } else { 0 };
        // What means nothing to a socket of TCP is not asked for.
        let datagrams = kind.protocol != Protocol::Tcp;
        let general = [
            (set::REUSE_ADDRESS, libc::SO_REUSEADDR),
            (set::REUSE_PORT, libc::SO_REUSEPORT),
            (set::BROADCAST, libc::SO_BROADCAST),
        ];
        for (bit, option) in general {
            let asks = datagrams || bit != set::BROADCAST;
            set(bit, asks && value(libc::SOL_SOCKET, option) != 0);
        }
        let in_ip = |option| value(libc::IPPROTO_IP, option) != 0;
        let in_ipv6 = |option| v6 && value(libc::IPPROTO_IPV6, option) != 0;
        let errors = || in_ip(libc::IP_RECVERR) || in_ipv6(libc::IPV6_RECVERR);
        set(set::RECEIVES_ERRORS, datagrams && errors());
        let v6only = match known {
            Some(entry) => entry.flags & flag::V6ONLY != 0,
            None => in_ipv6(libc::IPV6_V6ONLY),
        };
        set(set::V6ONLY, v6only);
        set(set::NONBLOCK, self.socket.is_nonblocking());
        set(set::BOUND, native.is_some());
        let to_group = name.is_some_and(|name| name.ip().to_canonical().is_multicast());
        let (out, source) = match (by_v6, to_group) {
            (true, true) => (kept(Kept::Multicast6), None),
            (true, false) => (kept(Kept::Unicast6), None),
            (false, true) => {
                let address = kept(Kept::Multicast).map(Ipv4Addr::from);
                let address = address.filter(|address| !address.is_unspecified());
                (kept(Kept::MulticastIndex), address.map(IpAddr::V4))
            }
            (false, false) => (kept(Kept::Unicast), None),
        };
        if datagrams {
            let looped = by_family(libc::IP_MULTICAST_LOOP, libc::IPV6_MULTICAST_LOOP);
            set(set::MULTICAST_LOOP, looped != 0);
            let off = |level, option| self.socket.option(level, option) == Ok(0);
            set(
                set::JOINED_ONLY,
                off(libc::IPPROTO_IP, libc::IP_MULTICAST_ALL),
            );
            let off = v6 && off(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL);
            set(set::JOINED_ONLY_V6, off);
        }
        let hops = match to_group {
            true => by_family(libc::IP_MULTICAST_TTL, libc::IPV6_MULTICAST_HOPS),
            false => {
                let hops = by_family(libc::IP_TTL, libc::IPV6_UNICAST_HOPS);
                if hops == USUAL_HOPS {
                    0
                } else {
                    hops
                }
            }
        };
        Ok(SocketQuestion {
            cookie,
            inode,
            family: kind.family as u16,
            kind: kind.kind as u16,
            protocol: kind.protocol,
            tos: by_family(libc::IP_TOS, libc::IPV6_TCLASS) as u8,
            hops: hops.clamp(0, 255) as u8,
            flags,
            device: kept(Kept::Device).unwrap_or(0),
            out: out.unwrap_or(0),
            mark: kept(Kept::Mark).unwrap_or(0),
            failed: 0,
            source,
            native,
            name,
            tuning: match kind.protocol {
                Protocol::Tcp => self.tuning(),
                _ => Tuning::default(),
            },
        })
    }

    /// Does what is sent to a name on a socket of IPv6 leave by IPv4? Then the options of IPv4
    /// count (`udpv6_sendmsg`, `tcp_v6_connect`). An alias of the net's stands for either.
    fn is_by_v4(&self, kind: Kind, name: SocketAddr) -> bool {
        name.ip().to_canonical().is_ipv4()
            && self
                .flow_at(kind.protocol, &name)
                .is_none_or(|flow| flow.remote.ip().to_canonical().is_ipv4())
    }

    /// Called when an option of a socket was set of which the net's table has something.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn changed(&self) -> Result<(), Errno> {
        let Some(kind) = self.kind().filter(|_| self.table.is_active()) else {
            return Ok(());
        };
        let question = self.question(kind, None)?;
        match question.native {
            Some(_) => self.ask(What::Bind, &question).map(drop),
            // What has no name yet is told of with its name.
            None => Ok(()),
        }
    }

    /// Called when an option of IPv6 was set that says what is told with a datagram: natively it
    /// comes in one of IPv4, with which the same has to be told.
    pub fn tell_too(&self, option: i32) {
        let Some(with) = told_with_v4(option) else {
            return;
        };
        let value = self.socket.option(libc::IPPROTO_IPV6, option);
        if let (Some(_), Ok(value)) = (self.kind(), value) {
            let _ = self.socket.set_option(libc::IPPROTO_IP, with, value);
        }
    }

    /// Called when the socket joins a group at an interface of the net, or leaves it. Returns
    /// whether it has left the group.
    ///
    /// # Errors
    ///
    /// What is wrong with a source, and what asking fails with.
    pub fn joined(&self, joining: &Joining) -> Result<bool, Errno> {
        let Some(kind) = self.kind().filter(|_| self.table.is_active()) else {
            return Ok(!joining.joins);
        };
        let question = self.question(kind, Some(SocketAddr::new(joining.group, 0)))?;
        let mut flags = question.flags;
        if !joining.joins {
            flags |= set::LEAVES;
        }
        match joining.source {
            Some((_, true)) => flags |= set::BLOCKS,
            Some((_, false)) => flags |= set::OF_SOURCE,
            None => {}
        }
        let question = SocketQuestion {
            out: joining.index,
            source: joining.source.map(|(source, _)| source),
            flags,
            ..question
        };
        let answer = self.ask(What::Join, &question)?;
        Ok(answer == SocketAnswer::Left)
    }

    /// Called when the socket sets all sources of a group at an interface of the net.
    ///
    /// # Errors
    ///
    /// EINVAL for a group that it has not joined, and what asking fails with.
    pub fn filtered(&self, joining: &Joining, sources: &Sources) -> Result<(), Errno> {
        let Some(kind) = self.kind().filter(|_| self.table.is_active()) else {
            return Err(Errno(libc::EINVAL));
        };
        let question = self.question(kind, Some(SocketAddr::new(joining.group, 0)))?;
        let question = SocketQuestion {
            out: joining.index,
            flags: question.flags | set::SOURCES,
            ..question
        };
        let bytes = question.to_bytes();
        self.ask_with(What::Join, &[&bytes, sources.bytes()])
            .map(drop)
    }

    /// Returns the sources of a group that it has joined at an interface of the net.
    ///
    /// # Errors
    ///
    /// EADDRNOTAVAIL for a group that it has not joined, and what asking fails with.
    pub fn sources(&self, joining: &Joining) -> Result<Sources, Errno> {
        let not_joined = Errno(libc::EADDRNOTAVAIL);
        let kind = self.kind().filter(|_| self.table.is_active());
        let name = SocketAddr::new(joining.group, 0);
        let question = self.question(kind.ok_or(not_joined)?, Some(name))?;
        let question = SocketQuestion {
            out: joining.index,
            ..question
        };
        let head = host::question(self.host, What::Sources);
        let (mut told, bytes) = (None, question.to_bytes());
        ask::ask(
            self.net,
            self.host.start(),
            &head,
            &[&bytes],
            &mut |answer| {
                told = Sources::of_bytes(answer);
            },
        )?;
        told.ok_or(not_joined)
    }

    /// Puts a question about a socket to the host process of the net.
    ///
    /// # Errors
    ///
    /// The errno of the answer, and what asking fails with, see [`ask::ask`].
    pub fn ask(&self, what: What, about: &SocketQuestion) -> Result<SocketAnswer, Errno> {
        self.ask_with(what, &[&about.to_bytes()])
    }

    /// Does the same with what follows the question.
    fn ask_with(&self, what: What, parts: &[&[u8]]) -> Result<SocketAnswer, Errno> {
        let question = host::question(self.host, what);
        let (mut room, mut length) = ([0; ANSWER], 0);
        ask::ask(
            self.net,
            self.host.start(),
            &question,
            parts,
            &mut |answer| {
                let some = answer.len().min(ANSWER - length);
                room[length..length + some].copy_from_slice(&answer[..some]);
                length += some;
            },
        )?;
        SocketAnswer::of_bytes(&room[..length])
    }
}

/// Returns the option of IPv4 that says the same of a datagram as this one of IPv6.
#[inline]
pub fn told_with_v4(option: i32) -> Option<i32> {
    match option {
        libc::IPV6_RECVHOPLIMIT => Some(libc::IP_RECVTTL),
        libc::IPV6_RECVTCLASS => Some(libc::IP_RECVTOS),
        libc::IPV6_RECVORIGDSTADDR => Some(libc::IP_RECVORIGDSTADDR),
        _ => None,
    }
}

/// IPPROTO_MPTCP of linux/in.h.
const IPPROTO_MPTCP: i32 = 262;

/// Returns the protocol of the machine's socket that stands for one of this type and protocol,
/// which is not raw. `is_isolated` says that the program has no other network than the net.
///
/// # Errors
///
/// EPROTONOSUPPORT: the protocol is not carried, and would reach the machine's network.
pub fn carrier(kind: i32, protocol: i32, is_isolated: bool) -> Result<i32, Errno> {
    let kind = kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    match (kind, protocol) {
        // A peer without paths of its own makes the same of it.
        (libc::SOCK_STREAM, IPPROTO_MPTCP) => Ok(libc::IPPROTO_TCP),
        (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)
        | (libc::SOCK_STREAM | libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP)
        | (libc::SOCK_DCCP, _)
            if is_isolated =>
        {
            log::warn!("a socket of protocol {protocol} is not carried over interfaces of a net");
            Err(Errno(libc::EPROTONOSUPPORT))
        }
        _ => Ok(protocol),
    }
}
