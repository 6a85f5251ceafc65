//! Calls for terminals and sockets that libc makes with requests of ioctl(2). On a tunnel they get
//! the driver's error for a request that it does not know, which is EBADFD while the tunnel is
//! unattached.

use crate::errno;
use crate::foreign::is_tunnel;
use crate::ops::no_terminal;
use crate::real::{hooks, real};
use libc::{c_char, c_int, pid_t, size_t, termios};
use memtun_abi::Errno;

/// Length of glibc's shortest name of a terminal: "/dev/pts/" and its NUL.
const SHORTEST_NAME: size_t = 10;

/// The error number itself, which the functions with `_r` return.
fn number(fd: c_int) -> c_int {
    no_terminal(fd);
    errno::get()
}

fn nameless(fd: c_int) -> *mut c_char {
    no_terminal(fd);
    std::ptr::null_mut()
}

fn name_number(fd: c_int, room: size_t) -> c_int {
    if room < SHORTEST_NAME {
        errno::set(libc::ERANGE);
        libc::ERANGE
    } else {
        number(fd)
    }
}

fn set_attributes(fd: c_int, when: c_int) -> c_int {
    match when {
        libc::TCSANOW | libc::TCSADRAIN | libc::TCSAFLUSH => no_terminal(fd),
        _ => errno::give::<c_int>(Err(Errno(libc::EINVAL))) as c_int,
    }
}

hooks! {
    fn isatty(fd: c_int) -> c_int => my_isatty {
        if is_tunnel(fd) {
            no_terminal(fd);
            0
        } else {
            real!(isatty(fd))
        }
    }
    fn tcgetattr(fd: c_int, attributes: *mut termios) -> c_int => my_tcgetattr {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(tcgetattr(fd, attributes)) }
    }
    fn tcsetattr(fd: c_int, when: c_int, attributes: *const termios) -> c_int => my_tcsetattr {
        if is_tunnel(fd) { set_attributes(fd, when) } else { real!(tcsetattr(fd, when, attributes)) }
    }
    fn tcdrain(fd: c_int) -> c_int => my_tcdrain {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(tcdrain(fd)) }
    }
    fn tcflush(fd: c_int, which: c_int) -> c_int => my_tcflush {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(tcflush(fd, which)) }
    }
    fn tcflow(fd: c_int, action: c_int) -> c_int => my_tcflow {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(tcflow(fd, action)) }
    }
    fn tcsendbreak(fd: c_int, duration: c_int) -> c_int => my_tcsendbreak {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(tcsendbreak(fd, duration)) }
    }
    fn tcgetpgrp(fd: c_int) -> pid_t => my_tcgetpgrp {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(tcgetpgrp(fd)) }
    }
    fn tcsetpgrp(fd: c_int, group: pid_t) -> c_int => my_tcsetpgrp {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(tcsetpgrp(fd, group)) }
    }
    fn tcgetsid(fd: c_int) -> pid_t => my_tcgetsid {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(tcgetsid(fd)) }
    }
    fn ttyname(fd: c_int) -> *mut c_char => my_ttyname {
        if is_tunnel(fd) { nameless(fd) } else { real!(ttyname(fd)) }
    }
    fn ttyname_r(fd: c_int, buf: *mut c_char, n: size_t) -> c_int => my_ttyname_r {
        if is_tunnel(fd) { name_number(fd, n) } else { real!(ttyname_r(fd, buf, n)) }
    }
    fn __ttyname_r_chk(fd: c_int, buf: *mut c_char, n: size_t, room: size_t) -> c_int => my_ttyname_r_chk {
        if is_tunnel(fd) && n <= room { name_number(fd, n) } else { real!(__ttyname_r_chk(fd, buf, n, room)) }
    }
    fn ptsname(fd: c_int) -> *mut c_char => my_ptsname {
        if is_tunnel(fd) { nameless(fd) } else { real!(ptsname(fd)) }
    }
    fn ptsname_r(fd: c_int, buf: *mut c_char, n: size_t) -> c_int => my_ptsname_r {
        if is_tunnel(fd) { number(fd) } else { real!(ptsname_r(fd, buf, n)) }
    }
    fn __ptsname_r_chk(fd: c_int, buf: *mut c_char, n: size_t, room: size_t) -> c_int => my_ptsname_r_chk {
        if is_tunnel(fd) && n <= room { number(fd) } else { real!(__ptsname_r_chk(fd, buf, n, room)) }
    }
    fn grantpt(fd: c_int) -> c_int => my_grantpt {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(grantpt(fd)) }
    }
    fn unlockpt(fd: c_int) -> c_int => my_unlockpt {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(unlockpt(fd)) }
    }
    fn sockatmark(fd: c_int) -> c_int => my_sockatmark {
        if is_tunnel(fd) { no_terminal(fd) } else { real!(sockatmark(fd)) }
    }
}
