//! TCP of the host process: one connection as a value. Packets go in, packets come out, bytes go
//! in and come out, and the time is an argument: nothing here looks at a clock, a socket or a
//! random number that was not given to it.
//!
//! The engine of the handshake, of the states and of the order of what comes is smoltcp, one
//! interface and one socket for each connection, so that a connection costs nothing while another
//! one works. What is sent and when is ours, in Linux's way:
//!
//! | module | what it is |
//! |---|---|
//! | [`segment`] | a TCP segment with its IP header, read and built; RST for a port nobody has |
//! | `engine` | smoltcp behind five functions |
//! | `offer`, `stamps` | what a SYN says, and timestamps |
//! | `wire` | what leaves, made Linux's: options, windows, identification |
//! | `arriving`, `answers` | what a segment brings, and what is said of it: acknowledgements, SACK |
//! | `sender` | what is written: Nagle, losses, congestion, probes, urgent data |
//! | `keepalive` | whether a silent peer is still there |
//! | `info`, `telling` | what TCP_INFO says |
//! | [`connection`] | all of these together |
//! | [`wait`] | what remains of a connection for a minute |
//! | [`demux`] | which connection a packet belongs to, and whose turn it is |
//!
//! # What is not Linux's on the wire
//!
//! - No ECN, no Fast Open (data in a SYN is not taken), no SYN cookies, no MD5.
//! - A window is at most 256 KiB. It grows with what is read; where the program's buffer decides
//!   it (SO_RCVBUF), bytes are counted and not the memory that a kernel needs for them; memory is
//!   never short.
//! - A segment is never longer than the path takes, whatever the tunnel could cut by itself.
//! - PSH ends what is written so far, not each write; MSG_EOR keeps nothing apart.
//! - What is held back by TCP_CORK and MSG_MORE waits in the program's own socket, whole segments
//!   too, for at most 200 ms.
//! - A program can write more before it blocks, because two buffers lie in the way.
//! - Challenges are limited for each connection (net.ipv4.tcp_invalid_ratelimit), not for the host.
//! - An error by ICMP is believed whatever sequence number it quotes.
//! - FIN_WAIT2 ends by itself only where the caller says so.
//! - TCP_INFO knows no rates and counts no retransmissions; SIOCOUTQ, SO_MEMINFO and timestamps of
//!   what was sent (SO_TIMESTAMPING, MSG_ZEROCOPY) are those of the program's own socket.

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
