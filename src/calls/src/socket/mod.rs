//! ioctl(2) and setsockopt(2) about an interface, on an ordinary socket. A third of all tun
//! programs ask for the mtu, the flags or the index of their interface, and exit without an answer.
#![forbid(unsafe_code)]

mod address;
mod addresses;
pub mod bind;
mod call;
mod elsewhere;
pub(crate) mod filter;
mod ioctl;
mod link;
mod membership;
mod option;
mod owner;
pub(crate) mod shape;
mod stack;
mod verdict;

pub use call::{Socket, SocketCall};
pub use elsewhere::{Left, LOOKED_AT};
pub use option::{Joining, OptionCall};
pub use shape::joins_group;
pub use verdict::{After, Verdict};
