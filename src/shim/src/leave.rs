//! The end of the process.

use crate::table::{self, OwnTunnels};
use crate::{foreign, net, process};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};

/// Called when the process ends: its tunnels end now, not when somebody looks, and with the last
/// process its private net is removed. What cannot be done now, or is forbidden in a sandbox, is
/// left to the next process that makes a net. This may be called in a signal handler or after fork,
/// so nothing is allocated.
pub fn leave() {
    if net::current().is_none() && !table::any() || !may(Extra::Files) || !process::owns_memory() {
        return;
    }
    // Descriptors that have taken a tunnel's place are forgotten and stay open: libc may still have
    // something to write to them.
    foreign::look_at(0, i32::MAX);
    process::leaves();
    for fd in table::bound_in(0, u32::MAX) {
        if let Some(tunnel) = table::hold(fd) {
            tunnel.is_alone_soon();
            // SAFETY: the descriptor is the program's, which ends and does not use it any more.
            let _ = unsafe { sys::close(fd) };
            tunnel.closed(&OwnTunnels);
        }
    }
    if let Some(net) = net::current().filter(|net| net.is_private()) {
        net.leave_private();
    }
}
