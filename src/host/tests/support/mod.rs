//! A tun driver of values, and the real kernel in a namespace of its own.
#![allow(dead_code)]

pub mod devices;
pub mod engine;
pub mod kernel;
pub mod net;
pub mod requests;
