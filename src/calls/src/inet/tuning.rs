//! What a program has set on a socket of TCP: the host process does it where the segments are.
#![forbid(unsafe_code)]

use super::call::{Inet, Native};
use crate::host::{self, Host};
use memtun_abi::Errno;
use memtun_stack::ask::{self, What};
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::tuning::{tune, Tuning};
use memtun_stack::sockets::{flag, Protocol};

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

    /// Returns how much of `info` is filled with what TCP_INFO says of the connection in the net;
    /// None for what the machine's kernel says.
    pub fn info(&self, info: &mut [u8]) -> Option<usize> {
        let kind = self.kind().filter(|_| self.table.is_active());
        let kind = kind.filter(|kind| kind.protocol == Protocol::Tcp)?;
        let peer = self.socket.peer_name().ok()?;
        self.flow_at(kind.protocol, &peer)?;
        let question = self.question(kind, Some(peer)).ok()?;
        let mut length = 0;
        self.ask_info(&question.to_bytes(), &mut |answer| {
            let some = answer.len().min(info.len() - length);
            info[length..length + some].copy_from_slice(&answer[..some]);
            length += some;
        })
        .ok()?;
        (length > 0).then_some(length)
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
        if let (libc::IPPROTO_TCP, libc::TCP_NODELAY, Some(alias)) = (level, option, alias) {
            let no_delay = self.socket.option(level, option)? != 0;
            self.table.say_no_delay(alias, no_delay);
            // Nothing is held back yet that has to leave now. Most programs set this first.
            if !no_delay || self.socket.segments_sent() == Ok(0) {
                return Ok(());
            }
        }
        let question = self.question(kind, peer)?;
        self.ask(What::Tune, &question).map(drop)
    }
}
