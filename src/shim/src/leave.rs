//! The end of the process.

use crate::table::{self, OwnTunnels};
use crate::{foreign, net, process};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};

/// The process ends: its tunnels go now, not when somebody looks, and with the last process its
/// private net. What cannot be done now, or is forbidden in a sandbox, is left to the next process
/// that makes a net. May be called in a signal handler or after fork: nothing is allocated.
pub fn leave() {
    if net::current().is_none() && !table::any() || !may(Extra::Files) || !process::owns_memory() {
        return;
    }
    // What took a tunnel's place stays open: libc may still have something to write to it.
    foreign::look_at(0, i32::MAX);
    process::leaves();
    for fd in table::bound_in(0, u32::MAX) {
        if let Some(tunnel) = table::hold(fd) {
            tunnel.is_alone_soon();
            // SAFETY: a descriptor of the program's, which ends.
            let _ = unsafe { sys::close(fd) };
            tunnel.closed(&OwnTunnels);
        }
    }
    if let Some(net) = net::current().filter(|net| net.is_private()) {
        net.leave_private();
    }
}
