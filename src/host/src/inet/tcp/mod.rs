//! Connections: on one side the packets of the net, on the other a native socket of this process,
//! the **leg**, whose other end is the program's socket.
//!
//! | module | what it is |
//! |---|---|
//! | `links` | all connections, `live` one of them |
//! | `carry` | packets, errors and the time are taken, and carried on |
//! | `connect` | a program connects: the SYN, and what its native socket is told |
//! | `accept` | a SYN comes for a socket that listens |
//! | `halves` | what is known of connections that are not open yet, when there are many |
//! | `rooms` | what is known of the queues of sockets that listen |
//! | `refuse` | a connect that hangs fails |
//! | `control` | which way of controlling congestion they have |
//! | `leg` | the native socket |
//! | `door` | where programs connect to that are bound to the machine's ::1 |
//! | `relay` | bytes from one side to the other, and how each end of one becomes one of the other |
//! | [`legs`] | what waits for legs and for the time, [`serve`] the thread that does |
//!
//! Bytes are kept in the buffers of [`memtun_tcp`] and of the kernel and nowhere else: what a leg
//! does not take stays where it is, and the other side's window closes.
#![forbid(unsafe_code)]

mod accept;
mod carry;
mod connect;
mod control;
mod door;
mod halves;
mod leg;
pub mod legs;
mod links;
mod live;
mod refuse;
mod relay;
mod rooms;
pub mod serve;

pub use links::Tcp;
