//! Calls that move data from one descriptor to another inside the kernel.

use crate::errno;
use crate::foreign::is_tunnel;
use crate::real::{hooks, real};
use crate::table::{any, any_marked};
use crate::view;
use libc::{c_int, c_uint, iovec, off64_t, off_t, size_t, ssize_t};
use memtun_calls::control::Misfit;

fn answer(call: Misfit) -> isize {
    errno::give(call.answer().map(|()| 0))
}

#[inline]
fn either(one: c_int, other: c_int) -> bool {
    any() && (is_tunnel(one) || is_tunnel(other))
}

/// The answer where data is to be moved out of a descriptor of the view from which none can be.
#[inline]
fn refused(from: c_int) -> Option<isize> {
    let refused = any_marked().then(|| view::moves(from)).flatten()?;
    Some(errno::give::<isize>(Err(refused)))
}

hooks! {
    fn splice(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, n: size_t, flags: c_uint) -> ssize_t => my_splice {
        if either(from, to) { return answer(Misfit::Splice); }
        refused(from).unwrap_or_else(|| real!(splice(from, from_at, to, to_at, n, flags)))
    }
    fn tee(from: c_int, to: c_int, n: size_t, flags: c_uint) -> ssize_t => my_tee {
        if either(from, to) { answer(Misfit::Splice) } else { real!(tee(from, to, n, flags)) }
    }
    fn vmsplice(fd: c_int, array: *const iovec, n: size_t, flags: c_uint) -> ssize_t => my_vmsplice {
        if is_tunnel(fd) { answer(Misfit::Vmsplice) } else { real!(vmsplice(fd, array, n, flags)) }
    }
    fn sendfile(to: c_int, from: c_int, at: *mut off_t, n: size_t) -> ssize_t => my_sendfile {
        if either(from, to) { return answer(Misfit::Splice); }
        refused(from).unwrap_or_else(|| real!(sendfile(to, from, at, n)))
    }
    fn sendfile64(to: c_int, from: c_int, at: *mut off64_t, n: size_t) -> ssize_t => my_sendfile64 {
        if either(from, to) { return answer(Misfit::Splice); }
        refused(from).unwrap_or_else(|| real!(sendfile64(to, from, at, n)))
    }
    fn copy_file_range(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, n: size_t, flags: c_uint) -> ssize_t => my_copy_file_range {
        if either(from, to) { answer(Misfit::Splice) } else { real!(copy_file_range(from, from_at, to, to_at, n, flags)) }
    }
}
