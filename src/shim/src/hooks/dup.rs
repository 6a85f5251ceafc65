//! Duplicating descriptors, and fcntl(2).

use crate::real::{hooks, real};
use crate::table::{any_marked, is_datagrams, is_netlink, is_ours, is_tunnel};
use crate::view;
use crate::waiting::epoll;
use crate::{errno, foreign, inet, netlink, ops};
use libc::{c_int, c_void};
use memtun_abi::Errno;
use memtun_calls::control::{self, Control};

/// fcntl(2) on a tunnel.
fn controlling(fd: c_int, command: c_int, arg: *mut c_void, host: impl FnOnce() -> c_int) -> c_int {
    match control::fcntl(command, arg as usize) {
        Control::Host => host(),
        Control::Duplicates => {
            let new = host();
            if new >= 0 {
                ops::duplicated(fd, new);
            }
            new
        }
        Control::StatusFlags => match host() {
            flags if flags < 0 => flags,
            flags => ops::status_flags(fd, flags),
        },
        Control::ChangesStatusFlags => {
            let answer = host();
            if answer == 0 {
                errno::keep(|| ops::flags_changed(fd));
            }
            answer
        }
        Control::Refused(e) => refuse(e.0),
    }
}

fn refuse(e: c_int) -> c_int {
    errno::give::<c_int>(Err(Errno(e))) as c_int
}

/// Called after `new` was made another descriptor of `old`, if the call succeeded.
#[inline]
fn done(old: c_int, new: c_int) -> c_int {
    if new >= 0 {
        epoll::duplicated(old, new);
        if is_ours(old) || is_ours(new) {
            ours_duplicated(old, new);
        }
    }
    new
}

/// Does what follows from a new descriptor where the table knows one of the two.
#[cold]
#[inline(never)]
extern "C" fn ours_duplicated(old: c_int, new: c_int) {
    // What `new` was is forgotten before it is entered as what it is.
    let was_tunnel = is_tunnel(new);
    if was_tunnel {
        ops::duplicated(old, new);
    }
    if any_marked() {
        view::duplicated(old, new);
    }
    if is_netlink(old) {
        netlink::duplicated(new);
    }
    if is_datagrams(old) {
        inet::notes::note(new);
    }
    if !was_tunnel && is_tunnel(old) {
        ops::duplicated(old, new);
    }
}

/// Does the same for a descriptor that is no tunnel.
#[cold]
#[inline(never)]
extern "C" fn others_duplicated(old: c_int, new: c_int) {
    if any_marked() {
        view::duplicated(old, new);
    }
    if is_netlink(old) {
        netlink::duplicated(new);
    }
    if is_datagrams(old) {
        inet::notes::note(new);
    }
}

/// Called before `new` may become another file's: what was written into a file of the view past the
/// hooks is carried out.
#[inline]
fn about_to_replace(old: c_int, new: c_int) {
    if old != new {
        crate::waiting::stale::settle_one(new);
    }
    if any_marked() && old != new && crate::table::marks(new).is_some() {
        view::replacing(new);
    }
}

/// The answer of fcntl(2) for a descriptor that is no tunnel. The registrations of epoll instances
/// are told of a new descriptor in it.
#[inline]
fn controlled(fd: c_int, command: c_int, arg: *mut c_void, host: impl FnOnce() -> c_int) -> c_int {
    if any_marked() {
        if let Some(e) = view::controls(fd, command, arg as usize) {
            return refuse(e.0);
        }
    }
    let answer = host();
    if answer >= 0 && matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        epoll::duplicated(fd, answer);
        if is_ours(fd) {
            others_duplicated(fd, answer);
        }
    }
    answer
}

hooks! {
    fn dup(fd: c_int) -> c_int => my_dup {
        done(fd, real!(dup(fd)))
    }
    fn dup2(old: c_int, new: c_int) -> c_int => my_dup2 {
        about_to_replace(old, new);
        done(old, real!(dup2(old, new)))
    }
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int => my_dup3 {
        about_to_replace(old, new);
        done(old, real!(dup3(old, new, flags)))
    }
    fn fcntl(fd: c_int, command: c_int, arg: *mut c_void) -> c_int => my_fcntl {
        if foreign::is_tunnel(fd) {
            controlling(fd, command, arg, || real!(fcntl(fd, command, arg)))
        } else {
            controlled(fd, command, arg, || real!(fcntl(fd, command, arg)))
        }
    }
    fn fcntl64(fd: c_int, command: c_int, arg: *mut c_void) -> c_int => my_fcntl64 {
        if foreign::is_tunnel(fd) {
            controlling(fd, command, arg, || real!(fcntl64(fd, command, arg)))
        } else {
            controlled(fd, command, arg, || real!(fcntl64(fd, command, arg)))
        }
    }
    fn __dup2(old: c_int, new: c_int) -> c_int => my_dup2_alias {
        about_to_replace(old, new);
        done(old, real!(__dup2(old, new)))
    }
    fn __fcntl(fd: c_int, command: c_int, arg: *mut c_void) -> c_int => my_fcntl_alias {
        if foreign::is_tunnel(fd) {
            controlling(fd, command, arg, || real!(__fcntl(fd, command, arg)))
        } else {
            controlled(fd, command, arg, || real!(__fcntl(fd, command, arg)))
        }
    }
}
