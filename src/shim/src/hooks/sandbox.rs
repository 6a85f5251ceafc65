//! prctl(2), by which a program forbids itself system calls. It is variadic in C; five words are
//! right on x86-64 and aarch64, as for the system call.

use crate::real::{hooks, real};
use crate::sandbox;
use libc::{c_int, c_ulong};

hooks! {
    fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int => my_prctl {
        if option == libc::PR_SET_SECCOMP {
            sandbox::enter(a, b as usize, || real!(prctl(option, a, b, c, d)))
        } else {
            real!(prctl(option, a, b, c, d))
        }
    }
}
