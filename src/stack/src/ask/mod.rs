//! Questions to the host process, and its answers: packets over a socket of SOCK_SEQPACKET in the
//! net, `.memtun-host-EPOCH`.
//!
//! Asking allocates nothing, and ends within its patience whatever the host process does. A host
//! process that is not there is started ([`Start`]). One that does not answer because it is stopped
//! is replaced: its place in the net is taken by another one.
#![forbid(unsafe_code)]

mod client;
mod kept;
mod obstacle;
pub mod place;
mod starter;

pub use client::{ask, forbidden, is_answering, is_stopped, stopped, Start};
pub use obstacle::Obstacle;
pub use starter::Command;

use crate::wire::{u16_at, u32_at};
use memtun_sys::quiet;

/// Called in a child of fork(2): closes what it has of its parent's connection to the host process,
/// which may have been made by a user whom the child is about to leave. A thread that asks on it
/// has forked in a signal handler, and asks anew.
pub fn forked() {
    // A sandbox may allow less than what that needs.
    if quiet::may_all() {
        kept::KEPT.end();
    }
}

/// First number of every question and answer, which changes with this module.
pub const VERSION: u32 = 7;

/// Longest payload of one packet in bytes.
pub const LONGEST: usize = 64 << 10;

/// Length in bytes of the head of a question.
pub const QUESTION: usize = 40;
/// Length in bytes of the head of an answer.
pub const ANSWER: usize = 24;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum What {
    /// Messages of rtnetlink(7). The payload is what the program sent; the answer is datagrams for
    /// the program's socket.
    Netlink = 1,
    /// A request of ioctl(2) on a socket. The payload is the argument; the answer's payload is
    /// what is stored there.
    Ioctl = 2,
    /// Take into account what the links are now. No payload; the answer comes when that is done.
    Links = 3,
    /// The groups of a netlink socket have changed. The payload is a listener: its inode in 8
    /// bytes, the bits of its groups in 8 bytes, 0 when it has left all, and its seal.
    Listen = 4,
    /// A file of /proc/sys/net or /sys/class/net is written. The payload is its path below /, a
    /// NUL, and what is written.
    Write = 5,
    /// A socket gets a name. The payload is a [`SocketQuestion`], the answer's a
    /// [`SocketAnswer`], as for the next three.
    ///
    /// [`SocketQuestion`]: crate::sockets::question::SocketQuestion
    /// [`SocketAnswer`]: crate::sockets::question::SocketAnswer
    Bind = 6,
    /// A socket connects. The answer may take a while.
    Connect = 7,
    /// A socket listens.
    ListenOn = 8,
    /// A socket sends datagrams to a name.
    Path = 9,
    /// The host process sends a packet for the program. The payload is a
    /// [`PacketQuestion`](crate::sockets::question::PacketQuestion) and the packet.
    Packet = 10,
    /// A socket joins a group (`name`) at an interface (`out`), or leaves it
    /// ([`set::LEAVES`](crate::sockets::question::set::LEAVES)).
    Join = 11,
    /// Something about a packet socket or a raw one. The payload is an
    /// [`Order`](crate::sockets::raw::Order).
    Raw = 12,
    /// A program has set something on a socket of TCP. The payload is a [`SocketQuestion`], whose
    /// name is the native one of the other end, or none for a socket that listens.
    ///
    /// [`SocketQuestion`]: crate::sockets::question::SocketQuestion
    Tune = 13,
    /// What TCP_INFO says of a connection. The payload is as of [`What::Tune`], the answer's a
    /// `struct tcp_info`. Without a payload nothing is asked but that the packets of tunnels are
    /// taken that were written before.
    Info = 14,
    /// Is what came from this native name from a socket of the net? The payload is a
    /// [`SocketQuestion`] about the one that received it; the answer is
    /// [`SocketAnswer::Done`](crate::sockets::question::SocketAnswer::Done) or
    /// [`SocketAnswer::Machine`](crate::sockets::question::SocketAnswer::Machine).
    ///
    /// [`SocketQuestion`]: crate::sockets::question::SocketQuestion
    Speaks = 15,
    /// Of which sources a socket hears a group (`name`) at an interface (`out`). The payload is a
    /// [`SocketQuestion`], the answer's [`Sources`](crate::sockets::filter::Sources).
    ///
    /// [`SocketQuestion`]: crate::sockets::question::SocketQuestion
    Sources = 16,
}

impl What {
    /// Is the answer a [`SocketAnswer`](crate::sockets::question::SocketAnswer)?
    pub(crate) fn is_about_socket(self) -> bool {
        use What::*;
        matches!(
            self,
            Bind | Connect | ListenOn | Path | Packet | Join | Tune | Speaks
        )
    }

    fn of(number: u16) -> Option<What> {
        use What::*;
        [
            Netlink, Ioctl, Links, Listen, Write, Bind, Connect, ListenOn, Path, Packet, Join, Raw,
            Tune, Info, Speaks, Sources,
        ]
        .into_iter()
        .find(|what| *what as u16 == number)
    }
}

/// Bits of [`Question::options`]: options of the program's netlink socket, and who asks.
pub mod option {
    /// NETLINK_EXT_ACK is set.
    pub const EXT_ACK: u16 = 1;
    /// NETLINK_CAP_ACK is set.
    pub const CAP_ACK: u16 = 2;
    /// NETLINK_GET_STRICT_CHK is set.
    pub const STRICT: u16 = 4;
    /// No program asks but a driver, whom the net's permissions do not concern.
    pub const DRIVER: u16 = 8;
    /// The messages are those of generic netlink, to the family "ethtool".
    pub const GENERIC: u16 = 16;
    /// The connection stays after the answer: the asker may put another question on it.
    pub const STAYS: u16 = 32;
}

/// The head of a question; the payload follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// What is asked.
    pub what: What,
    /// Options of the socket on which the program asks, see [`option`].
    pub options: u16,
    /// Number of the question, which no other has. Whoever repeats a question repeats its number.
    pub id: u64,
    /// Port of the program's netlink socket, 0 for none.
    pub port: u32,
    /// Family of the program's socket (AF_*), for an ioctl.
    pub family: u32,
    /// Number of the request, for an ioctl.
    pub request: u32,
    /// The program's effective user.
    pub uid: u32,
    /// The program's process id.
    pub pid: u32,
    /// What tells the net from another one at the same path ([`NetDir::mark`]). [`ask`] fills it
    /// in.
    ///
    /// [`NetDir::mark`]: memtun_kernel::net::NetDir::mark
    pub net: u32,
}

impl Question {
    /// Returns the bytes of the head.
    pub fn to_bytes(&self) -> [u8; QUESTION] {
        let mut bytes = [0; QUESTION];
        bytes[..4].copy_from_slice(&VERSION.to_ne_bytes());
        bytes[4..6].copy_from_slice(&(self.what as u16).to_ne_bytes());
        bytes[6..8].copy_from_slice(&self.options.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.id.to_ne_bytes());
        let words = [
            self.port,
            self.family,
            self.request,
            self.uid,
            self.pid,
            self.net,
        ];
        for (to, word) in bytes[16..].chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads the head of a question. None means that the asker is of another version.
    pub fn of_bytes(bytes: &[u8]) -> Option<(Question, &[u8])> {
        let (head, payload) = bytes.split_at_checked(QUESTION)?;
        if u32_at(head, 0)? != VERSION {
            return None;
        }
        let question = Question {
            what: What::of(u16_at(head, 4)?)?,
            options: u16_at(head, 6)?,
            id: u64::from_ne_bytes(head[8..16].try_into().ok()?),
            port: u32_at(head, 16)?,
            family: u32_at(head, 20)?,
            request: u32_at(head, 24)?,
            uid: u32_at(head, 28)?,
            pid: u32_at(head, 32)?,
            net: u32_at(head, 36)?,
        };
        Some((question, payload))
    }
}

/// The head of one packet of an answer; the payload follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Number of the question.
    pub id: u64,
    /// What the call fails with, 0 for success.
    pub errno: i32,
    /// Does another packet follow?
    pub more: bool,
    /// Number of datagrams in the payload, each with its length in 4 bytes in front; 0 where the
    /// payload is one as it is.
    pub datagrams: u16,
}

impl Answer {
    /// Returns the bytes of the head.
    pub fn to_bytes(&self) -> [u8; ANSWER] {
        let mut bytes = [0; ANSWER];
        bytes[..4].copy_from_slice(&VERSION.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.errno.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.id.to_ne_bytes());
        bytes[16] = self.more.into();
        bytes[18..20].copy_from_slice(&self.datagrams.to_ne_bytes());
        bytes
    }

    /// Reads the head of a packet. None means that it is no answer.
    pub fn of_bytes(bytes: &[u8]) -> Option<(Answer, &[u8])> {
        let (head, payload) = bytes.split_at_checked(ANSWER)?;
        if u32_at(head, 0)? != VERSION {
            return None;
        }
        let answer = Answer {
            errno: u32_at(head, 4)? as i32,
            id: u64::from_ne_bytes(head[8..16].try_into().ok()?),
            more: head[16] != 0,
            datagrams: u16_at(head, 18)?,
        };
        Some((answer, payload))
    }
}

/// Returns the datagrams of a packet's payload; None for one that is not whole.
fn datagrams<'p>(answer: &Answer, payload: &'p [u8]) -> impl Iterator<Item = Option<&'p [u8]>> {
    let (as_it_is, mut rest) = (answer.datagrams == 0, payload);
    (0..answer.datagrams.max(1)).map(move |_| {
        if as_it_is {
            return Some(rest);
        }
        let (datagram, behind) = rest.get(4..)?.split_at_checked(u32_at(rest, 0)? as usize)?;
        rest = behind;
        Some(datagram)
    })
}
