//! Ways that drivers' datagrams have taken, so that the host process is not asked again for each of
//! them.
#![forbid(unsafe_code)]

use memtun_shm::layout::NetState;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{Flow, Table};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// Number of ways that are kept.
const KEPT: usize = 64;

/// The ways that are kept, the youngest first.
#[derive(Default)]
pub(crate) struct Ways(Mutex<VecDeque<Way>>);

/// The way of datagrams from one socket to one name.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    /// SO_COOKIE of the socket.
    pub(crate) cookie: u64,
    /// The name.
    pub(crate) to: SocketAddr,
    /// The table's generation for which it counts.
    pub(crate) generation: u32,
    /// The flow that the native name stands for.
    pub(crate) flow: Flow,
    /// The machine's name.
    pub(crate) native: SocketAddr,
}

impl Ways {
    /// Returns the native name for a socket's datagrams, if it still stands for the same flow.
    pub(crate) fn find(
        &self,
        table: &Table,
        net: &NetState,
        cookie: u64,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        let generation = table.generation(net);
        let ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |way: &&Way| {
            let stands_for = || table.flow(native_v4(way.native.ip())?);
            (way.cookie, way.to, way.generation) == (cookie, to, generation)
                && stands_for() == Some(way.flow)
        };
        ways.iter().find(same).map(|way| way.native)
    }

    /// Keeps a way, in place of the oldest one.
    pub(crate) fn keep(&self, way: Way) {
        let mut ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ways.retain(|old| (old.cookie, old.to) != (way.cookie, way.to));
        ways.truncate(KEPT - 1);
        ways.push_front(way);
    }
}
