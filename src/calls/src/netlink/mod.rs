//! Sockets of rtnetlink(7), of generic netlink and of sock_diag(7).
//!
//! The program's socket is a real netlink socket of another protocol, NETLINK_USERSOCK, on which a
//! program without privileges may send. What it sends is answered by the machine's kernel or by the
//! host process of the net, and each datagram of the answer is sent to the socket's own port. So
//! the port, the queue, poll, the options and what happens to a copy of the descriptor are the
//! kernel's, and nothing about the socket is kept in a process.
//!
//! | module | what it is |
//! |---|---|
//! | [`mark`] | how such a socket is recognised, wherever it came from |
//! | [`seal`] | how the kernel keeps from it what others send |
//! | [`send`] | a request, and who answers it |
//! | [`answer`] | the answer on its way into the socket's queue |
//! | [`receive`] | what a receive shows of a datagram besides its bytes |
//! | [`groups`] | multicast groups, names and options |
//! | `generic` | sockets of NETLINK_GENERIC |
//! | `diag` | sockets of NETLINK_SOCK_DIAG |
#![forbid(unsafe_code)]

pub mod answer;
mod diag;
mod generic;
pub mod groups;
pub mod mark;
pub mod receive;
pub mod seal;
pub mod send;

use crate::host::Host;
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::policy::Policy;
use memtun_kernel::Permission;
use memtun_sys as sys;

/// Level of the options of netlink sockets.
pub const SOL_NETLINK: i32 = 270;

/// A netlink socket on which the program makes a call.
pub struct Netlink<'c, H: Host, M: Memory> {
    /// The host of the program's net.
    pub host: &'c H,
    /// The memory of the program.
    pub memory: &'c M,
    /// The socket, which [`mark::of`] knows.
    pub fd: i32,
    /// What [`mark::of`] returned when the call began.
    pub state: i32,
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The kernel has to make the program's own call.
    Kernel,
    /// The descriptor has to become the machine's socket first, and then as above.
    Machine,
    /// The call is done, and returns this.
    Done(usize),
}

impl<H: Host, M: Memory> Netlink<'_, H, M> {
    /// Returns the socket's port. One that has none gets one, as for the first send.
    pub(super) fn port(&self) -> Result<u32, Errno> {
        port(self.fd)
    }

    /// Does the socket stand for one of NETLINK_GENERIC?
    pub(super) fn is_generic(&self) -> bool {
        self.protocol() == libc::NETLINK_GENERIC
    }

    /// Returns the protocol of the socket that this one stands for.
    pub(super) fn protocol(&self) -> i32 {
        mark::protocol(self.state)
    }

    /// May the program administrate the network? Where the machine answers alone, it decides.
    pub(super) fn is_administrator(&self) -> bool {
        match crate::host::asked(self.host) {
            Ok(Some(net)) => net.permit_check(Permission::NetAdmin).is_ok(),
            _ => false,
        }
    }
}

/// Returns the port of a netlink socket, which gets one if it has none.
pub(super) fn port(fd: i32) -> Result<u32, Errno> {
    let name = sys::netlink_name(fd)?;
    if name.port != 0 {
        return Ok(name.port);
    }
    // Another thread may have been faster, and then the socket has a port, too.
    let _ = sys::bind_port(fd, 0);
    sys::netlink_name(fd).map(|name| name.port)
}
