//! Closing descriptors of tunnels, and what ends with them.

use crate::asking::OwnHost;
use crate::errno::{self, fence};
use crate::process;
use crate::table::{self, Held, OwnTunnels};
use crate::waiting::{epoll, stale};
use memtun_calls::host::links_changed;
use memtun_kernel::policy::Policy;
use memtun_kernel::Operation;
use memtun_sys as sys;
use std::ffi::c_int;

/// Closes a tunnel's descriptor with `real`.
pub fn close(fd: c_int, real: impl FnOnce() -> c_int) -> c_int {
    // Nobody finds the bell by this number afterwards.
    stale::settle_one(fd);
    let tunnel = table::unbind(fd);
    if tunnel.is_some() {
        epoll::tunnel_closed(fd);
    }
    let answer = real();
    let Some(tunnel) = tunnel else { return answer };
    let before = errno::get();
    let fault = fence(|| {
        closed(&tunnel);
        tunnel.net().call_fault(Operation::Close)
    });
    errno::set(before);
    match fault {
        Err(e) if answer == 0 => errno::give::<i32>(Err(e)) as c_int,
        _ => answer,
    }
}

/// Called after a descriptor of this tunnel was closed, which perhaps was the last one.
pub fn closed(tunnel: &Held) {
    if tunnel.closed(&OwnTunnels) {
        epoll::tunnel_ended(tunnel.inode());
        links_changed(&OwnHost, tunnel.net());
    }
}

/// Called when a descriptor was closed or replaced unseen: its tunnel may have ended with it.
pub fn lost(fd: c_int, tunnel: &Held) {
    epoll::tunnel_closed(fd);
    closed(tunnel);
}

/// Closes a range of descriptors with `real`; the tunnels in it end only if that succeeds.
pub fn close_range(first: u32, last: u32, flags: c_int, real: impl FnOnce() -> c_int) -> c_int {
    if !process::owns_memory() {
        return real();
    }
    // The tunnels are unbound here and bound again if the call fails, so nothing is forgotten. A
    // range seldom has more than a few tunnels.
    let mut tunnels: [Option<(c_int, Held)>; 32] = [const { None }; 32];
    let mut more = false;
    for (n, fd) in table::bound_in(first, last).enumerate() {
        stale::settle_one(fd);
        match tunnels.get_mut(n) {
            Some(place) => *place = table::unbind(fd).map(|t| (fd, t)),
            None => more = true,
        }
    }
    let answer = if more { 0 } else { real() };
    errno::keep(|| {
        for (fd, tunnel) in tunnels.into_iter().flatten() {
            if answer < 0 {
                let _ = table::bind(fd, &tunnel);
            } else {
                if more {
                    // SAFETY: the program closes this descriptor, so nothing of it uses the
                    // descriptor any more.
                    let _ = unsafe { sys::close(fd) };
                }
                epoll::tunnel_closed(fd);
                closed(&tunnel);
            }
        }
    });
    if more {
        // The next turn closes the rest of a range with many tunnels, and the last turn the range
        // itself.
        return close_range(first, last, flags, real_again(first, last, flags));
    }
    answer
}

fn real_again(first: u32, last: u32, flags: c_int) -> impl FnOnce() -> c_int {
    move || {
        // SAFETY: close_range(2) touches no memory.
        let answer = unsafe {
            sys::syscall(
                libc::SYS_close_range,
                [first as usize, last as usize, flags as usize, 0, 0, 0],
            )
        };
        if answer < 0 {
            errno::set(-answer as i32);
            return -1;
        }
        0
    }
}
