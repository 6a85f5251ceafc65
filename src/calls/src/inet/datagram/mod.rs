//! Datagrams: what a program sends is a packet in the interface's queue when the call returns, and
//! what it receives comes from the host process.
#![forbid(unsafe_code)]

pub mod control;
pub mod local;
pub mod receive;
pub mod send;
pub mod shown;
pub mod ways;

pub use local::{Given, Natively, Sent};
pub use send::Transmits;
pub use ways::Ways;
