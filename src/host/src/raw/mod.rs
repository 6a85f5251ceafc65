//! Packet sockets and raw sockets on the net's interfaces (net/packet/af_packet.c, net/ipv4/raw.c,
//! net/ipv6/raw.c): who gets a copy of which packet, and what raw sockets send.
//!
//! | module | what it is |
//! |---|---|
//! | `sockets` | all of them, and copies on their way |
//! | `socket` | one socket: what it wants, and its queue |
//! | `reading` | an interface that is read, and how packet sockets see what goes over it |
//! | `follow` | which interfaces are read, each by a thread of its own |
//! | `end` | the host process's end of a program's socket |
//! | `errors` | errors about what was sent |
//! | `names`, `option` | own address, identifier and other end; options and groups |
//! | `kept` | what the next host process needs to know |
//! | `order` | what programs ask |
//! | `send` | what raw sockets send |
#![forbid(unsafe_code)]

mod end;
mod errors;
mod follow;
mod kept;
mod names;
mod option;
mod order;
mod reading;
mod send;
mod socket;
mod sockets;

pub use sockets::Raw;
