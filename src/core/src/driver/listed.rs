//! The sockets of a net's programs, as ss(8) lists them.
#![forbid(unsafe_code)]

use crate::driver::net::Net;
use crate::{sys, Errno};
use memtun_abi::error::{Context, Result};
use memtun_stack::sockets::diag::{self, Answer};
use memtun_stack::sockets::shown::{Names, Shown};
use memtun_stack::sockets::{Protocol, Table};
use memtun_stack::wire::Messages;
use serde::Serialize;
use std::net::SocketAddr;

/// A snapshot of a socket of one of the net's programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SocketInfo {
    /// `tcp`, `udp` or `icmp`.
    pub protocol: &'static str,
    /// `LISTEN`, `ESTAB`, `UNCONN` and the other words of ss(8).
    pub state: &'static str,
    /// The own address and port.
    pub local: SocketAddr,
    /// The other end; None for a socket that is not connected.
    pub remote: Option<SocketAddr>,
    /// The interface that it is bound to.
    pub interface: Option<String>,
    /// Bytes that wait to be received, or connections to be accepted.
    pub receive_queue: u32,
    /// Bytes that wait to be sent.
    pub send_queue: u32,
    /// The user who has made it.
    pub uid: u32,
    /// Its inode, as in the links of /proc/PID/fd; 0 for none.
    pub inode: u32,
}

/// The words for the states of a socket (TCP_ESTABLISHED and the others).
const STATES: [&str; 13] = [
    "UNKNOWN",
    "ESTAB",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "UNCONN",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
    "NEW-SYN-RECV",
];

impl Net {
    /// The sockets of the net's programs that are bound to an address of the net, or connected over
    /// it. Nothing of the machine's is among them.
    ///
    /// # Errors
    /// EUCLEAN when the net is damaged, and what asking the machine's kernel fails with.
    pub fn sockets(&self) -> Result<Vec<SocketInfo>> {
        let fail = |e: Errno| format!("{}: sockets: {e}", self.path().display());
        let Some(table) = Table::open(self.dir()).context(fail)? else {
            return Ok(Vec::new());
        };
        let interfaces = self.interfaces()?;
        let name = |index: u32| {
            let found = interfaces.iter().find(|link| link.index == index);
            found.map(|link| link.name.to_string())
        };
        let mut sockets = Vec::new();
        for (protocol, family) in [
            (Protocol::Udp, libc::AF_INET),
            (Protocol::Udp, libc::AF_INET6),
            (Protocol::Tcp, libc::AF_INET),
            (Protocol::Tcp, libc::AF_INET6),
        ] {
            each_socket(family, protocol, &mut |answer| {
                if let Shown::Net(names) = table.shown(&answer.listed(protocol)) {
                    sockets.push(SocketInfo::of(answer, &names, name(names.device)));
                }
            })
            .context(fail)?;
        }
        Ok(sockets)
    }
}

impl SocketInfo {
    fn of(answer: &Answer, names: &Names, interface: Option<String>) -> SocketInfo {
        SocketInfo {
            protocol: match names.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                _ => "icmp",
            },
            state: STATES.get(usize::from(answer.state)).unwrap_or(&STATES[0]),
            local: names.local,
            remote: Some(names.remote).filter(|remote| remote.port() != 0),
            interface,
            receive_queue: answer.receive_queue,
            send_queue: answer.send_queue,
            uid: answer.uid,
            inode: answer.inode,
        }
    }
}

/// Calls `each` with what the machine's kernel tells of each socket of a protocol.
fn each_socket(
    family: i32,
    protocol: Protocol,
    each: &mut dyn FnMut(&Answer),
) -> std::result::Result<(), Errno> {
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_SOCK_DIAG)?;
    sys::send_netlink(socket.raw(), 0, &[&diag::request(family, protocol)])?;
    let mut room = vec![0; 64 << 10];
    loop {
        let (length, _) = sys::receive_netlink(socket.raw(), &mut room, 0)?;
        for message in Messages(&room[..length.min(room.len())]) {
            match i32::from(message.kind) {
                libc::NLMSG_DONE => return Ok(()),
                libc::NLMSG_ERROR => {
                    let errno = message.body.first_chunk().copied().map(i32::from_ne_bytes);
                    return match errno {
                        // The machine's kernel knows no such sockets.
                        Some(e) if e == -libc::ENOENT => Ok(()),
                        Some(e @ ..0) => Err(Errno(-e)),
                        _ => Ok(()),
                    };
                }
                _ => Answer::read(message.body).iter().for_each(&mut *each),
            }
        }
    }
}
