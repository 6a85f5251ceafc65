//! TCP of the host process: one connection as a value. Packets go in, packets come out, bytes go
//! in and come out, and the time is an argument: nothing here looks at a clock, a socket or a
//! random number that was not given to it.
//!
//! The engine is smoltcp, one interface and one socket for each connection, so that a connection
//! costs nothing while another one works. It has the handshake, the order of what comes, and the
//! states. What is sent and when, and what is answered, is decided beside it, as Linux does: the
//! engine's clock stands still, it never has data to send, and its own acknowledgements do not
//! leave.
//!
//! | module | what it is |
//! |---|---|
//! | [`segment`] | a TCP segment with its IP header, read and built; RST for a port nobody has |
//! | `engine` | smoltcp behind a few functions |
//! | `sender` | what this side says: bytes, losses, congestion, timers |
//! | `answers` | what is answered to what comes, with SACK and DSACK |
//! | `arriving` | what a packet brings |
//! | `cookies` | what SYN cookies leave of a SYN |
//! | `ecn` | marks of routers that tell of congestion |
//! | `fastopen` | data in a SYN |
//! | `info`, `telling` | what TCP_INFO says |
//! | `keepalive` | whether a silent peer is still there |
//! | `offer` | what a SYN says |
//! | `stamps` | timestamps |
//! | `wire` | packets as they leave: options of SYN, identification, windows |
//! | `stream` | the bytes that are written and read |
//! | `turn` | what is sent, and when |
//! | [`connection`] | all of these together |
//! | [`wait`] | what remains of a connection for a minute |
//! | [`demux`] | which connection a packet belongs to, and whose turn it is |
//!
//! # What is not Linux's on the wire
//!
//! - SYN cookies are those of net.ipv4.tcp_syncookies of 2. Where a kernel's queue is full and it
//!   sends others, the host process remembers what each SYN said, of the last 32768.
//! - No MD5, no probing for the path's MTU (RFC 4821).
//! - Data in a SYN is taken and answered, and a cookie is asked for where the program wants one
//!   (MSG_FASTOPEN, TCP_FASTOPEN_CONNECT), but none is kept, so that no data leaves with a SYN. Who
//!   answers without a cookie is not asked by the option of experiments next. TCP_FASTOPEN allows
//!   any number of such connections, and TCP_FASTOPEN_KEY of a socket is that of the net.
//! - A window is at most 256 KiB beyond what is read, and a megabyte where there are gaps. It grows
//!   with what is read; where the program's buffer decides it (SO_RCVBUF), bytes are counted and
//!   not the memory that a kernel needs for them; memory is never short. As much is kept of what is
//!   written.
//! - A segment is never longer than the path takes, whatever the tunnel could cut by itself.
//! - PSH ends what is written so far, not each write, and what a device would cut from one piece;
//!   such a piece is as long as Linux's, but begins where the last one ended, not with a write.
//! - A program can write more before it blocks, because two buffers lie in the way.
//! - Congestion is CUBIC's, or BBR's where the machine, or the net, is set to that; what else a net
//!   is set to, and TCP_CONGESTION of a socket, is CUBIC, too. CUBIC ends slow start by the delay,
//!   not by trains of acknowledgements; BBR paces only below 100 Mbit/s, in steps of a millisecond,
//!   and does not look for policers.
//! - Of a segment that was sent again timestamps do not say which of the two was answered (Eifel):
//!   an undo needs DSACK, or F-RTO.
//! - In a recovery in which nothing new can be sent, the first segment is sent once more after two
//!   round trips; Linux waits for its timer.
//! - Where nothing was lost lately, the segments that one turn of the host process takes have one
//!   answer, as if they had come in one piece; Linux answers every second one.
//! - Challenges are limited for each connection (net.ipv4.tcp_invalid_ratelimit), not for the host.
//! - An error by ICMP is believed whatever sequence number it quotes.
//! - FIN_WAIT2 ends by itself only where the caller says so.
//! - TCP_INFO knows no rates; SO_MEMINFO and timestamps of what was sent (SO_TIMESTAMPING,
//!   MSG_ZEROCOPY) are those of the program's own socket.

#![forbid(unsafe_code)]

mod answers;
mod arriving;
mod buffers;
pub mod connection;
mod cookies;
pub mod demux;
mod ecn;
mod engine;
mod fastopen;
mod info;
mod keepalive;
mod offer;
pub mod segment;
mod sender;
mod stamps;
mod stream;
mod telling;
mod turn;
pub mod wait;
mod wire;

pub use connection::{Connection, End, Settings, State};
pub use demux::{Demux, Pair};
pub use fastopen::FastOpen;
pub use info::INFO;
pub use offer::Offer;
pub use segment::{reset_for, Segment};
pub use sender::Hold;
pub use wait::{Verdict, Wait};

/// What is done with each packet that leaves.
pub type Emit<'a> = dyn FnMut(&[u8]) + 'a;
