//! Entering a sandbox: seccomp(2) may forbid every system call but read(2) and write(2), and kill the program for another
//! one. What the driver's own calls need there is made ready before.

use crate::real::{hooks, real};
use crate::table;
use crate::{errno, errno::fence};
use libc::{c_int, c_uint};
use memtun_core::sys;

/// The program is about to enter a sandbox, if the call succeeds.
pub fn before() {
    if !crate::process::owns_memory() {
        return;
    }
    errno::keep(|| {
        let _ = fence(|| {
            for fd in table::bound_in(0, c_uint::MAX) {
                if let Some(tunnel) = table::hold(fd) {
                    tunnel.before_sandbox();
                }
            }
            Ok(())
        });
        sys::enter_sandbox();
        crate::foreign::sandboxed();
    });
}

/// Is this a call of prctl(2) that enters one?
pub fn is_entry(option: c_int) -> bool {
    option == libc::PR_SET_SECCOMP
}

hooks! {
    fn prctl(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int => my_prctl {
        if is_entry(option) {
            before();
        }
        real!(prctl(option, a, b, c, d))
    }
}
