//! Options for putting a packet into a program's queue.
#![forbid(unsafe_code)]

use crate::Timeout;
use std::net::SocketAddr;

/// Options of [`Interface::inject_with`](crate::Interface::inject_with) and its relatives. Each
/// option has a default:
///
/// ```
/// use memtun::{Sending, Timeout};
/// let how = Sending::new().source("10.0.0.9:4000".parse::<std::net::SocketAddr>().unwrap()).within(Timeout::NOW);
/// assert_ne!(how, Sending::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    pub(super) ethertype: Option<u16>,
    pub(super) source: Option<SocketAddr>,
    pub(super) timeout: Timeout,
}

impl Sending {
    /// The default options.
    pub fn new() -> Sending {
        Sending::default()
    }

    /// Ethertype in host byte order for the packet information that the program of a TUN reads. By
    /// default (`None`) it is taken from the packet.
    pub fn ethertype(mut self, ethertype: impl Into<Option<u16>>) -> Sending {
        self.ethertype = ethertype.into();
        self
    }

    /// Source address of a datagram. By default (`None`) it is 10.1.2.3:21345, or fd00:1:2::3 for
    /// IPv6, as in Twisted's `MemoryIOSystem.sendUDP`. Port 0 means 21345.
    pub fn source(mut self, source: impl Into<Option<SocketAddr>>) -> Sending {
        self.source = source.into();
        self
    }

    /// How long the call waits while the queue is full or the capturer is behind. The default is
    /// five seconds.
    pub fn within(mut self, timeout: impl Into<Timeout>) -> Sending {
        self.timeout = timeout.into();
        self
    }
}
