//! What a program has set on a socket of TCP: the host process does it where the segments are.
#![forbid(unsafe_code)]

use super::call::{Inet, Kind, Native};
use crate::host::{self, Host};
use memtun_abi::Errno;
use memtun_stack::ask::{self, What};
use memtun_stack::sockets::pushing::Pushing;
use memtun_stack::sockets::question::SocketQuestion;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::tuning::{tune, Tuning};
use memtun_stack::sockets::{flag, Protocol};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What TCP_MAXSEG says of a socket that is not connected and on which nothing was set.
const NO_MAXIMUM: i32 = 536;

/// Do segments show this option?
#[inline]
pub fn is_shown(level: i32, option: i32) -> bool {
    match level {
        libc::IPPROTO_TCP => matches!(
            option,
            libc::TCP_NODELAY
                | libc::TCP_MAXSEG
                | libc::TCP_KEEPIDLE
                | libc::TCP_KEEPINTVL
                | libc::TCP_KEEPCNT
                | libc::TCP_USER_TIMEOUT
                | libc::TCP_LINGER2
                | libc::TCP_DEFER_ACCEPT
                | libc::TCP_FASTOPEN
        ),
        libc::SOL_SOCKET => matches!(option, libc::SO_KEEPALIVE | libc::SO_RCVBUF),
        libc::IPPROTO_IP => matches!(option, libc::IP_TOS | libc::IP_TTL),
        libc::IPPROTO_IPV6 => matches!(option, libc::IPV6_TCLASS | libc::IPV6_UNICAST_HOPS),
        _ => false,
    }
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Returns what the program has set.
    pub(super) fn tuning(&self) -> Tuning {
        let value = |level, option| self.socket.option(level, option).unwrap_or(0);
        let tcp = |option| value(libc::IPPROTO_TCP, option);
        let positive = |value: i32| value.max(0) as u32;
        let mut tuning = Tuning {
            maximum: match tcp(libc::TCP_MAXSEG) {
                NO_MAXIMUM => 0,
                maximum => positive(maximum),
            },
            user_timeout: tcp(libc::TCP_USER_TIMEOUT) as u32,
            defer: positive(tcp(libc::TCP_DEFER_ACCEPT)),
            linger: positive(tcp(libc::TCP_LINGER2)),
            fast_open: positive(tcp(libc::TCP_FASTOPEN)),
            buffer: positive(value(libc::SOL_SOCKET, libc::SO_RCVBUF)),
            ..Tuning::default()
        };
        if tcp(libc::TCP_NODELAY) != 0 {
            tuning.flags |= tune::NO_DELAY;
        }
        if tcp(libc::TCP_FASTOPEN_CONNECT) != 0 {
            tuning.flags |= tune::OPENS_EARLY;
        }
        if value(libc::SOL_SOCKET, libc::SO_KEEPALIVE) != 0 {
            tuning.flags |= tune::KEEPALIVE;
            tuning.idle = positive(tcp(libc::TCP_KEEPIDLE));
            tuning.interval = positive(tcp(libc::TCP_KEEPINTVL));
            tuning.count = positive(tcp(libc::TCP_KEEPCNT));
        }
        tuning
    }

    fn ask_info(&self, payload: &[u8], each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        let head = host::question(self.host, What::Info);
        ask::ask(self.net, self.host.start(), &head, &[payload], each)
    }

    /// Returns the native name of the other end, if the socket has a connection over an interface.
    pub fn far_end(&self) -> Option<SocketAddr> {
        let peer = self.socket.peer_name().ok()?;
        let is_carried = self.flow_at(Protocol::Tcp, &peer).is_some();
        let protocol = || self.socket.option(libc::SOL_SOCKET, libc::SO_PROTOCOL);
        (is_carried && protocol() == Ok(libc::IPPROTO_TCP)).then_some(peer)
    }

    /// Waits until the host process has taken what was written to the socket with this other end.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn deliver(&self, end: SocketAddr) -> Result<(), Errno> {
        self.ask_info(
            &SocketQuestion::about(Protocol::Tcp, end).to_bytes(),
            &mut |_| {},
        )
    }

    /// Returns how much of `info` is filled with what TCP_INFO says of the connection in the net;
    /// None for what the machine's kernel says.
    pub fn info(&self, info: &mut [u8]) -> Option<usize> {
        let question = SocketQuestion::about(Protocol::Tcp, self.far_end()?);
        let mut length = 0;
        self.ask_info(&question.to_bytes(), &mut |answer| {
            let some = answer.len().min(info.len() - length);
            info[length..length + some].copy_from_slice(&answer[..some]);
            length += some;
        })
        .ok()?;
        (length > 0).then_some(length)
    }

    /// Returns how many bytes of the connection the host process has that were not acknowledged, or
    /// not sent.
    pub fn rest(&self, only_unsent: bool) -> Option<i32> {
        /// Places in `struct tcp_info`.
        const ACKNOWLEDGED: usize = 120;
        const UNSENT: usize = 144;
        const SENT: usize = 200;
        const AGAIN: usize = 208;
        let mut info = [0; 248];
        let filled = self.info(&mut info)?;
        let word = |at: usize| {
            let bytes = info[..filled].get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_ne_bytes(bytes))
        };
        let unsent = word(UNSENT)?;
        let under_way = word(SENT)?.wrapping_sub(word(AGAIN)?);
        let under_way = under_way.wrapping_sub(word(ACKNOWLEDGED)?);
        Some(match only_unsent {
            true => unsent as i32,
            false => unsent.wrapping_add(under_way) as i32,
        })
    }

    /// Waits until the host process has taken what this process has written to its tunnels.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn settle(&self) -> Result<(), Errno> {
        self.ask_info(&[], &mut |_| {})
    }

    /// Called when an option was set that segments show. What is neither connected nor listens is
    /// told of when it does.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn tuned(&self, level: i32, option: i32) -> Result<(), Errno> {
        let kind = self.kind().filter(|_| self.table.is_active());
        let Some(kind) = kind.filter(|kind| kind.protocol == Protocol::Tcp) else {
            return Ok(());
        };
        let peer = self.socket.peer_name().ok();
        let is_carried = match peer {
            Some(peer) => self.flow_at(kind.protocol, &peer).is_some(),
            None => {
                let entry = self.entry();
                entry.is_some_and(|entry| entry.flags & flag::LISTENS != 0)
            }
        };
        if !is_carried {
            return Ok(());
        }
        let alias = peer.and_then(|peer| native_v4(peer.ip()));
        let mut pushes = 0;
        if let (libc::IPPROTO_TCP, libc::TCP_NODELAY, Some(alias)) = (level, option, alias) {
            let no_delay = self.socket.option(level, option)? != 0;
            self.table.say_pushing(alias, |said| Pushing {
                no_delay: Some(no_delay),
                ..said
            });
            // Nothing is held back yet that has to leave now. Most programs set this first.
            if !no_delay || self.socket.bytes_written() == Ok(0) {
                return Ok(());
            }
            pushes = tune::PUSHES;
        }
        let mut question = self.question(kind, peer)?;
        question.tuning.flags |= pushes;
        self.ask(What::Tune, &question).map(drop)
    }

    /// Returns the alias of the connection that the socket has over an interface, if it has one.
    fn alias(&self) -> Option<(Kind, SocketAddr, Ipv4Addr)> {
        let kind = self.kind().filter(|_| self.table.is_active())?;
        let peer = self.socket.peer_name().ok()?;
        let is_carried =
            kind.protocol == Protocol::Tcp && self.flow_at(kind.protocol, &peer).is_some();
        Some((kind, peer, native_v4(peer.ip())?)).filter(|_| is_carried)
    }

    /// Sets TCP_CORK for a connection over an interface, whose native socket has none: it would
    /// hold back whole segments, because those of the loopback are larger. None where it is no such
    /// connection.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn cork(&self, corked: bool) -> Option<Result<(), Errno>> {
        let (kind, peer, alias) = self.alias()?;
        let sent = self.socket.bytes_written().ok()?;
        let was = self.table.pushing(alias).is_some_and(|said| said.corked);
        self.table
            .say_pushing(alias, |said| said.cork(corked, sent));
        if corked || !was {
            return Some(Ok(()));
        }
        let question = self.question(kind, Some(peer));
        Some(question.and_then(|question| self.ask(What::Tune, &question).map(drop)))
    }

    /// Returns what the program has set TCP_CORK to for a connection over an interface.
    pub(super) fn is_corked(&self) -> Option<bool> {
        let (_, _, alias) = self.alias()?;
        Some(self.table.pushing(alias).is_some_and(|said| said.corked))
    }

    /// A socket that begins to connect takes its cork with it.
    pub(super) fn cork_flow(&self, alias: IpAddr) {
        let is_corked = self.socket.option(libc::IPPROTO_TCP, libc::TCP_CORK) == Ok(1);
        if let Some(alias) = native_v4(alias).filter(|_| is_corked) {
            self.table.say_pushing(alias, |said| said.cork(true, 0));
            let _ = self.socket.set_option(libc::IPPROTO_TCP, libc::TCP_CORK, 0);
        }
    }

    /// Says that so many bytes follow with MSG_MORE, which the machine's kernel is not told then,
    /// or as a `record` (MSG_EOR). Returns how many were sent before; None where it is no
    /// connection over an interface.
    pub fn sends_more(&self, bytes: u64, record: bool) -> Option<u64> {
        let (_, _, alias) = self.alias()?;
        let sent = self.socket.bytes_written().ok()?;
        self.table.say_pushing(alias, |said| match record {
            true => said.record(sent, bytes),
            false => said.more(sent, bytes),
        });
        Some(sent)
    }

    /// Says that of those the kernel has taken only so many.
    pub fn sent_less(&self, sent: u64, bytes: u64) {
        if let Some((_, _, alias)) = self.alias() {
            self.table
                .say_pushing(alias, |said| said.taken(sent, bytes));
        }
    }
}
