//! Closing descriptors, and the ways to end a process that run no destructors.

use super::stream;
use crate::closing;
use crate::foreign::is_tunnel;
use crate::inet::calls::close_of_both;
use crate::inet::known::plays_both;
use crate::real::{hooks, real};
use crate::table::{self, any, any_marked, is_ours};
use crate::view;
use crate::waiting::epoll;
use libc::{c_int, c_uint, FILE};

const CLOSE_RANGE_UNSHARE: c_int = 2;

/// The descriptor of a stream that libc reads and writes itself, if it is a tunnel. (A stream that
/// this library made closes itself.)
fn tunnel_of(file: *mut FILE) -> Option<c_int> {
    if file.is_null() || !any() || stream::descriptor(file).is_some() {
        return None;
    }
    // SAFETY: the stream is the caller's, which is about to close it.
    let fd = crate::errno::keep(|| unsafe { libc::fileno(file) });
    is_tunnel(fd).then_some(fd)
}

/// Closes a descriptor that is a tunnel or one of the view.
#[cold]
fn special(fd: c_int, host: impl FnOnce() -> c_int) -> c_int {
    if is_tunnel(fd) {
        return closing::close(fd, host);
    }
    epoll::closed(fd);
    // Before the number is free for another thread's socket.
    table::forget_datagrams(fd);
    // close(2) never says that something was not written.
    let _ = view::closing(fd);
    host()
}

/// Closes a stream that may be on a descriptor of the view.
#[cold]
fn viewed(file: *mut FILE, host: impl FnOnce() -> c_int) -> c_int {
    if file.is_null() || stream::descriptor(file).is_some() {
        return host();
    }
    // SAFETY: the stream is the caller's, which is about to close it.
    let fd = crate::errno::keep(|| unsafe {
        let fd = libc::fileno(file);
        if crate::table::marks(fd).is_some() {
            libc::fflush(file);
        }
        fd
    });
    if crate::table::marks(fd).is_none() {
        return host();
    }
    let written = view::closing(fd);
    match (host(), written) {
        (0, Err(e)) => crate::errno::give::<i32>(Err(e)) as c_int,
        (answer, _) => answer,
    }
}

hooks! {
    fn close(fd: c_int) -> c_int => my_close {
        if is_ours(fd) {
            special(fd, || real!(close(fd)))
        } else {
            epoll::closed(fd);
            if plays_both() { return close_of_both(fd, || real!(close(fd))); }
            real!(close(fd))
        }
    }
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int => my_close_range {
        // With flags that the kernel does not know nothing is closed.
        if flags & !CLOSE_RANGE_UNSHARE == 0 {
            epoll::closed_range(first, last);
        }
        if any() && flags & !CLOSE_RANGE_UNSHARE == 0 && first <= last {
            closing::close_range(first, last, flags, || real!(close_range(first, last, flags)))
        } else {
            real!(close_range(first, last, flags))
        }
    }
    fn closefrom(first: c_int) -> () => my_closefrom {
        epoll::closed_range(first.max(0) as c_uint, c_uint::MAX);
        if any() {
            closing::close_range(first.max(0) as c_uint, c_uint::MAX, 0, || {
                real!(closefrom(first));
                0
            });
        } else {
            real!(closefrom(first))
        }
    }
    fn fclose(file: *mut FILE) -> c_int => my_fclose {
        match tunnel_of(file) {
            Some(fd) => closing::close(fd, || real!(fclose(file))),
            None if any_marked() => viewed(file, || real!(fclose(file))),
            None => real!(fclose(file)),
        }
    }
    fn fflush(file: *mut FILE) -> c_int => my_fflush {
        let answer = real!(fflush(file));
        if any_marked() { view::flushed(file, answer) } else { answer }
    }
    fn _exit(status: c_int) -> () => my_exit {
        crate::leave::leave();
        real!(_exit(status))
    }
    fn _Exit(status: c_int) -> () => my_exit_now {
        crate::leave::leave();
        real!(_Exit(status))
    }
    fn __close(fd: c_int) -> c_int => my_close_alias {
        if is_ours(fd) {
            special(fd, || real!(__close(fd)))
        } else {
            epoll::closed(fd);
            if plays_both() { return close_of_both(fd, || real!(__close(fd))); }
            real!(__close(fd))
        }
    }
}
