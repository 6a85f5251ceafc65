//! The table of the net's sockets: which addresses of the machine's loopback stand for what.
//!
//! The host process alone writes it; programs read it without a lock. Behind the head are rows of
//! words, of five kinds ([`Rows`]).

use super::{state, Header, Kind, State};
use crate::lock::Lock;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Number of slices of the loopback's addresses that a net can have.
pub const SLICES: usize = 4;

/// Rows of flows for each slice: all of its addresses but those that are the net's own.
pub const FLOWS_OF_SLICE: usize = (1 << 14) - 256;

/// A kind of rows in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// The net's own addresses: row K is that of the alias with number K of the first slice.
    Own,
    /// Ports that stand for others, in a hash table: one word each.
    Ports,
    /// Where the row of a socket is, in a hash table by its cookie: one word each.
    Index,
    /// Sockets.
    Sockets,
    /// Flows: row K is that of flow K modulo [`FLOWS_OF_SLICE`] of slice K / [`FLOWS_OF_SLICE`].
    Flows,
}

/// Words of a row of [`Rows::Own`].
pub const OWN_WORDS: usize = 4;
/// Words of a row of [`Rows::Sockets`].
pub const SOCKET_WORDS: usize = 24;
/// Words of a row of [`Rows::Flows`].
pub const FLOW_WORDS: usize = 9;

const WORD: usize = 8;

impl Rows {
    /// Returns how many rows there are.
    pub const fn count(self) -> usize {
        match self {
            Rows::Own => 256,
            Rows::Ports => 4096,
            Rows::Index => 1 << 14,
            Rows::Sockets => 1 << 13,
            Rows::Flows => SLICES * FLOWS_OF_SLICE,
        }
    }

    /// Returns how many words a row has.
    pub const fn words(self) -> usize {
        match self {
            Rows::Own => OWN_WORDS,
            Rows::Ports | Rows::Index => 1,
            Rows::Sockets => SOCKET_WORDS,
            Rows::Flows => FLOW_WORDS,
        }
    }

    const fn bytes(self) -> usize {
        self.count() * self.words() * WORD
    }

    /// Returns where the rows begin in the area behind the head.
    pub(crate) const fn start(self) -> usize {
        match self {
            Rows::Own => 0,
            Rows::Ports => Rows::Own.bytes(),
            Rows::Index => Rows::Ports.start() + Rows::Ports.bytes(),
            Rows::Sockets => FIXED,
            Rows::Flows => FIXED + Rows::Sockets.bytes(),
        }
    }
}

/// Bytes of the rows that have memory behind them from the beginning.
const FIXED: usize =
    (Rows::Own.bytes() + Rows::Ports.bytes() + Rows::Index.bytes()).next_multiple_of(UNIT);

/// The length of an area is a multiple of this, see [`truncated`](crate::truncated).
const UNIT: usize = 1 << 14;

const TABLE_AREA: usize =
    (FIXED + Rows::Sockets.bytes() + Rows::Flows.bytes()).next_multiple_of(UNIT);

/// The head of the table, in the file `.memtun-inet`.
#[repr(C)]
pub struct InetState {
    /// Identifies the file, see [`Header`].
    pub(crate) header: Header,
    /// Belongs to every file of a net; nobody takes it.
    pub(crate) lock: Lock,
    /// 1 while an address stands on one of the net's own interfaces.
    pub active: AtomicU32,
    /// Rises when the ways of packets may have changed.
    pub generation: AtomicU32,
    /// The native ports of the host process, 16 bits each: plug, open, shut, datagram.
    pub ports: AtomicU64,
    /// The first port and the last one that the machine's kernel chooses, 16 bits each; 0 for none.
    pub machine_range: AtomicU32,
    /// First addresses of the slices, as numbers; 0 for none.
    pub slices: [AtomicU32; SLICES],
    /// SO_COOKIE of the sockets by which the slices were claimed.
    pub claims: [AtomicU64; SLICES],
    /// What a datagram begins with that no other end has sent, but the host process.
    pub secret: [AtomicU64; 2],
    /// Number of rows of [`Rows::Own`] that may be in use.
    pub own_rows: AtomicU32,
    /// Number of rows of [`Rows::Sockets`] that may be in use.
    pub socket_rows: AtomicU32,
    /// Number of sockets that stand for any address, and are bound to an alias natively.
    pub fallbacks: AtomicU32,
    /// Number of errors that were raised for sockets.
    pub raises: AtomicU32,
    /// Bytes of [`Rows::Sockets`] that have memory behind them.
    pub kept_sockets: AtomicU64,
    /// Bytes of [`Rows::Flows`] that have memory behind them.
    pub kept_flows: AtomicU64,
    /// What IP and the protocols above it have counted.
    pub counters: [AtomicU64; COUNTERS],
}

/// Number of counters of IP and the protocols above it.
pub const COUNTERS: usize = 128;

impl InetState {
    /// Returns the word that says how many bytes of the rows have memory behind them; None for
    /// rows that have it from the beginning.
    pub(crate) fn kept(&self, rows: Rows) -> Option<&AtomicU64> {
        match rows {
            Rows::Own | Rows::Ports | Rows::Index => None,
            Rows::Sockets => Some(&self.kept_sockets),
            Rows::Flows => Some(&self.kept_flows),
        }
    }
}

state!(InetState, Kind::Inet, area TABLE_AREA, at least TABLE_AREA, first FIXED, |_| None);
