//! ioctl(2) and setsockopt(2) about an interface, on an ordinary socket. A third of all tun
//! programs ask for the mtu, the flags or the index of their interface, and exit without an answer.
#![forbid(unsafe_code)]

mod address;
mod addresses;
pub mod bind;
mod call;
mod ioctl;
mod link;
mod option;
mod owner;
mod stack;
mod verdict;

pub use call::{Socket, SocketCall};
pub use option::{is_anycast, joins_group, Joining, OptionCall};
pub use verdict::{After, Verdict};
