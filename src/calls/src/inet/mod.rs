//! Calls on ordinary sockets of AF_INET and AF_INET6 in a net that has addresses.
//!
//! The socket is one of the machine's, on the loopback's addresses. What the program says and hears
//! are names of the net; they are translated by the net's table, which holds for every process
//! that has the socket. So nothing here is state of a process, and a socket of the machine is left
//! alone.
//!
//! | module | subject |
//! |---|---|
//! | [`call`] | a socket as a back end has it, and the questions about it |
//! | [`bind`], [`connect`] | bind(2) and listen(2); connect(2) |
//! | [`names`] | getsockname(2), getpeername(2), and what accept(2) finds |
//! | [`pending`] | connections of which the program waits to be told |
//! | [`option`] | getsockopt(2) |
//! | [`datagram`] | what a socket of UDP sends and receives |
//! | [`nameserver`] | where libc's resolver sends to |
//! | [`name`] | names in the program's memory |
//! | [`descriptor`] | a socket of the calling process |
#![forbid(unsafe_code)]

pub mod bind;
pub mod call;
pub mod connect;
pub mod datagram;
pub mod descriptor;
pub mod name;
pub mod names;
pub mod nameserver;
pub mod option;
pub mod pending;
pub mod tuning;

pub use call::{Inet, Kind, Native};
