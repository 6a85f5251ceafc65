//! Where packets go: to another socket of this net, out of an interface of the net's own, or the
//! machine's way.
#![forbid(unsafe_code)]

use crate::inet::route::Way;
use std::net::IpAddr;

/// Where packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The machine's way.
    Machine,
    /// To an address of this net, from this one.
    Local(IpAddr),
    /// Out of an interface of the net.
    Away(Out),
}

/// A way out of an interface of the net.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Out {
    /// The interface.
    pub index: u32,
    /// The source address.
    pub source: IpAddr,
    /// Longest packet in bytes.
    pub mtu: u32,
    /// Is it for all of a network?
    pub broadcast: bool,
    /// Is it for a group?
    pub multicast: bool,
    /// The way itself.
    pub way: Way,
}
