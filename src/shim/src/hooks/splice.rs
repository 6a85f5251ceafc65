//! Calls that move data from one descriptor to another inside the kernel.

use crate::foreign::is_tunnel;
use crate::inet::calls::sent;
use crate::inet::pushing::{has_sent, sends_more, More};
use crate::real::{hooks, real};
use crate::table::{any, any_marked};
use crate::{errno, inet, ops, view};
use libc::{c_int, c_uint, iovec, off64_t, off_t, size_t, ssize_t};
use memtun_calls::control::{self, Misfit};

fn answer(call: Misfit) -> isize {
    errno::give(call.answer().map(|()| 0))
}

/// The answer to a call that moves bytes, where one of the two is a tunnel.
#[cold]
fn moved(from: c_int, to: c_int) -> isize {
    let answer = control::moves(ops::open_flags(from), ops::open_flags(to));
    errno::give(answer.map(|()| 0))
}

/// The same for those calls that return before they look at the descriptors.
#[cold]
fn moved_or_none(from: c_int, to: c_int, n: size_t) -> isize {
    if n == 0 {
        0
    } else {
        moved(from, to)
    }
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

/// What a call that moves data to a socket of TCP over an interface has in place of SPLICE_F_MORE.
#[inline]
fn without_more(to: c_int, flags: c_uint, n: size_t) -> (c_uint, Option<More>) {
    if flags & libc::SPLICE_F_MORE == 0 || !inet::is_active() {
        return (flags, None);
    }
    match sends_more(to, n, false) {
        None => (flags, None),
        more => (flags & !libc::SPLICE_F_MORE, more),
    }
}

hooks! {
    fn splice(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, n: size_t, flags: c_uint) -> ssize_t => my_splice {
        if either(from, to) { return moved_or_none(from, to, n); }
        if let Some(refused) = refused(from) { return refused; }
        let (flags, more) = without_more(to, flags, n);
        let answer = real!(splice(from, from_at, to, to_at, n, flags));
        sent(to, more.map_or(answer, |more| has_sent(to, more, answer)))
    }
    fn tee(from: c_int, to: c_int, n: size_t, flags: c_uint) -> ssize_t => my_tee {
        if either(from, to) { moved_or_none(from, to, n) } else { real!(tee(from, to, n, flags)) }
    }
    fn vmsplice(fd: c_int, array: *const iovec, n: size_t, flags: c_uint) -> ssize_t => my_vmsplice {
        if is_tunnel(fd) { answer(Misfit::Vmsplice) } else { real!(vmsplice(fd, array, n, flags)) }
    }
    fn sendfile(to: c_int, from: c_int, at: *mut off_t, n: size_t) -> ssize_t => my_sendfile {
        if either(from, to) { return moved(from, to); }
        refused(from).unwrap_or_else(|| sent(to, real!(sendfile(to, from, at, n))))
    }
    fn sendfile64(to: c_int, from: c_int, at: *mut off64_t, n: size_t) -> ssize_t => my_sendfile64 {
        if either(from, to) { return moved(from, to); }
        refused(from).unwrap_or_else(|| sent(to, real!(sendfile64(to, from, at, n))))
    }
    fn copy_file_range(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, n: size_t, flags: c_uint) -> ssize_t => my_copy_file_range {
        if either(from, to) { answer(Misfit::Copy) } else { real!(copy_file_range(from, from_at, to, to_at, n, flags)) }
    }
}
