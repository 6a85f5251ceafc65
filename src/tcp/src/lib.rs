//! TCP of the host process: one connection as a value. Packets go in, packets come out, bytes go
//! in and come out, and the time is an argument: nothing here looks at a clock, a socket or a
//! random number that was not given to it.
//!
//! The engine is smoltcp, one interface and one socket for each connection, so that a connection
//! costs nothing while another one works. What smoltcp does otherwise than Linux, and what can be
//! mended from outside, is mended around it:
//!
//! | module | what it is |
//! |---|---|
//! | [`segment`] | a TCP segment with its IP header, read and built; RST for a port nobody has |
//! | `engine` | smoltcp behind five functions |
//! | `clock` | the engine's time, which stands still during the handshake and then runs faster |
//! | `info`, `telling` | what TCP_INFO says |
//! | `keepalive` | whether a silent peer is still there |
//! | `offer` | what a SYN says |
//! | `stamps` | timestamps |
//! | `wire` | what leaves the engine, made Linux's: options of SYN, identification, PMTU |
//! | `loss` | what was sent and when: SACK, RACK, tail loss probes, which the engine has not |
//! | [`connection`] | all of these together, with the rules for segments that do not fit |
//! | [`wait`] | what remains of a connection for a minute |
//! | [`demux`] | which connection a packet belongs to, and whose turn it is |
//!
//! # What is not Linux's on the wire
//!
//! - No timestamps (RFC 7323), no ECN, no Fast Open, no urgent data: what is sent as urgent arrives
//!   as data.
//! - The window scale is 3, because a window is at most 256 KiB; it does not grow by itself.
//! - The initial congestion window is 2 KiB, not ten segments; the last piece that a window takes
//!   may be shorter than a segment. CUBIC is the engine's; it halves again for each segment that is
//!   found lost, where Linux does so once in a round trip.
//! - One block of SACK is said, not up to four. Of what the peer says all is heard; one lost
//!   segment is sent again in a round trip.
//! - Retransmission timers grow to 12 s, not to 120 s.
//! - Challenges are limited for each connection (two in a second), not for the host.
//! - A zero window is probed with one byte, a silent peer as well.
//! - FIN_WAIT2 ends by itself only where the caller says so.

#![forbid(unsafe_code)]

mod answers;
mod arriving;
pub mod connection;
pub mod demux;
mod engine;
mod info;
mod keepalive;
mod offer;
pub mod segment;
mod sender;
mod stamps;
mod telling;
pub mod wait;
mod wire;

pub use connection::{Connection, End, Settings, State};
pub use demux::{Demux, Pair};
pub use info::INFO;
pub use offer::Offer;
pub use segment::{reset_for, Segment};
pub use wait::{Verdict, Wait};

/// What is done with each packet that leaves.
pub type Emit<'a> = dyn FnMut(&[u8]) + 'a;
