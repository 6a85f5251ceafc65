//! What the host process answers programs about their sockets, and what those then get: seen from
//! both ends, the native sockets and the tunnel.

#[path = "../hosting/mod.rs"]
mod hosting;

mod binding;
mod datagrams;
mod kernel;
mod support;
