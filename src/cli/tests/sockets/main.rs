//! What the host process answers programs about their sockets, and what those then get: seen from
//! both ends, the native sockets and the tunnel.

#[path = "../hosting/mod.rs"]
mod hosting;

mod binding;
mod connections;
mod datagrams;
mod kernel;
mod lives;
#[path = "../../../../shim-tests/src/not_run.rs"]
mod not_run;
mod support;
