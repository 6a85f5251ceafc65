//! How a packet is put into a program's queue, where it is not as usual.
#![forbid(unsafe_code)]

use crate::Timeout;
use std::net::SocketAddr;

/// Options of [`Interface::inject_with`](crate::Interface::inject_with) and its relatives. Each has a usual value:
///
/// ```
/// use memtun::{Sending, Timeout};
/// let how = Sending::new().source("10.0.0.9:4000".parse().unwrap()).within(Timeout::NOW);
/// assert_ne!(how, Sending::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    pub(super) ethertype: Option<u16>,
    pub(super) source: Option<SocketAddr>,
    pub(super) timeout: Timeout,
}

impl Sending {
    /// As usual.
    pub fn new() -> Sending {
        Sending::default()
    }

    /// Ethertype of the packet information that a tun's program reads, host byte order; usually taken from the packet.
    pub fn ethertype(mut self, ethertype: u16) -> Sending {
        self.ethertype = Some(ethertype);
        self
    }

    /// Where a datagram comes from; usually 10.1.2.3:21345, or fd00:1:2::3 for IPv6, as in the seed. Port 0 means 21345.
    pub fn source(mut self, source: SocketAddr) -> Sending {
        self.source = Some(source);
        self
    }

    /// How long to wait while the queue is full or whoever captures is behind; usually five seconds.
    pub fn within(mut self, timeout: impl Into<Timeout>) -> Sending {
        self.timeout = timeout.into();
        self
    }
}
