//! Calls in which libc closes or replaces descriptors itself.

use crate::real::{hooks, real};
use crate::{foreign, ops};
use libc::{c_char, c_int, pid_t, termios, winsize};

/// The descriptors of standard input, output and error: the first and the last.
const STANDARD: (c_int, c_int) = (0, 2);

/// Looks at these descriptors if the call succeeded, because it has put something else in their
/// place.
fn replaced(answer: c_int, (first, last): (c_int, c_int)) -> c_int {
    if answer >= 0 {
        foreign::look_at(first, last);
    }
    answer
}

hooks! {
    fn daemon(keep_directory: c_int, keep_descriptors: c_int) -> c_int => my_daemon {
        replaced(real!(daemon(keep_directory, keep_descriptors)), STANDARD)
    }
    fn login_tty(fd: c_int) -> c_int => my_login_tty {
        if foreign::is_tunnel(fd) {
            // libc makes this call first, and its second step is refused.
            // SAFETY: the call touches no memory.
            unsafe { libc::setsid() };
            return ops::no_terminal(fd);
        }
        replaced(real!(login_tty(fd)), STANDARD)
    }
    fn forkpty(parent: *mut c_int, name: *mut c_char, settings: *const termios, size: *const winsize) -> pid_t => my_forkpty {
        match real!(forkpty(parent, name, settings, size)) {
            0 => replaced(0, STANDARD),
            child => child,
        }
    }
    fn mq_close(queue: c_int) -> c_int => my_mq_close {
        replaced(real!(mq_close(queue)), (queue, queue))
    }
}
