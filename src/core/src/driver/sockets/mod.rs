//! Sockets of a net for a process that is not under the shim.
//!
//! A socket is one of the machine's, made by socket(2) as any other. What gives it a name, and what
//! shows one, goes through this module, because the machine's kernel knows the socket by other
//! names than the net ([`memtun_stack::sockets`]); everything else is the kernel's: data, poll,
//! options, shutdown.
//!
//! | module | subject |
//! |---|---|
//! | `call` | what bind(2), connect(2), listen(2), accept(2) and the names are in the net |
//! | `datagrams` | sendto(2) and recvfrom(2) |
//! | `tcp`, `udp` | std's sockets |
//! | `kind` | how a socket is made |
//! | `why` | what is wrong, in words |
#![forbid(unsafe_code)]

mod call;
mod datagrams;
mod kind;
mod tcp;
mod udp;
mod why;

pub use tcp::TcpListener;
pub use udp::UdpSocket;

use super::joined::Joined;
use std::sync::Arc;

/// The calls that give a socket of the machine a name of the net's, and show it. A socket is
/// whatever has a descriptor of AF_INET or AF_INET6: one of std, of the crate `socket2`, or of
/// another language's.
///
/// Names of the machine's loopback (127.0.0.0/8 and ::1) are the machine's own, as for a program
/// under the shim. A name that no interface of the net has, and to which no route of the net leads,
/// is refused, though a program under the shim may reach it by the machine's own interfaces.
#[derive(Clone, Debug)]
pub struct Sockets(Arc<Joined>);
