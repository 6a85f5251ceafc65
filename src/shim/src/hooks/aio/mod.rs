//! POSIX asynchronous I/O on tunnels (aio(7)).
//!
//! libc carries requests out in helper threads, which make system calls inside libc, past every
//! hook. For a tunnel this is done here in the same way: a program that asks for asynchronous I/O
//! asks for helper threads, so here, and only here, the library has some. As in libc, they carry
//! out the requests on one descriptor one after the other, and live while there are any.
//!
//! | module | subject |
//! |---|---|
//! | `requests` | the requests, and the helpers that carry them out |
//! | `wait` | aio_suspend, and lists of lio_listio |
//! | `waiters` | who waits |
//! | `notify` | the threads, and how the program is told |
//!
//! libc handles what concerns no tunnel, also in lists of both.

mod notify;
mod requests;
mod wait;
mod waiters;

use crate::foreign::is_tunnel;
use crate::real::{hooks, real};
use crate::{errno, table};
use libc::{c_int, timespec};
use memtun_abi::Errno;
pub use notify::{notify, Event};
use requests::Control;

type List = *const *const Control;

/// Is the request for a tunnel?
#[inline]
fn is_for_tunnel(control: *const Control) -> bool {
    // SAFETY: the pointer is NULL or the caller's request, which is plain data.
    table::any()
        && !control.is_null()
        && unsafe { crate::uaccess::read(std::ptr::addr_of!((*control).descriptor)) }
            .is_ok_and(is_tunnel)
}

/// Calls libc's aio_suspend for libc's requests; without any it sleeps.
extern "C" fn host_suspend(list: List, count: c_int, time: *const timespec) -> c_int {
    if count > 0 {
        real!(aio_suspend(list, count, time))
    } else {
        // SAFETY: the time is the caller's argument.
        unsafe { libc::nanosleep(time, std::ptr::null_mut()) }
    }
}

fn list_has_tunnel(list: List, count: c_int) -> bool {
    // SAFETY: the caller gave an array of `count` pointers.
    table::any()
        && !list.is_null()
        && (0..count.max(0) as usize).any(|i| is_for_tunnel(unsafe { *list.add(i) }))
}

/// lio_listio(3) for a list with a tunnel in it.
fn listio(mode: c_int, list: List, count: c_int, event: *const Event) -> c_int {
    let refuse = |e: c_int| errno::give::<c_int>(Err(Errno(e))) as c_int;
    if mode != libc::LIO_WAIT && mode != libc::LIO_NOWAIT {
        return refuse(libc::EINVAL);
    }
    let mut refused = false;
    for i in 0..count.max(0) as usize {
        // SAFETY: the caller gave an array of `count` requests.
        let (control, operation) = unsafe {
            let control = (*list.add(i)).cast_mut();
            match crate::uaccess::read(control) {
                Ok(given) => (control, given.operation),
                Err(_) => continue,
            }
        };
        let ours = is_for_tunnel(control);
        refused |= match operation {
            requests::READ if ours => requests::submit(control, operation),
            requests::WRITE if ours => requests::submit(control, operation),
            requests::READ => real!(aio_read64(control)),
            requests::WRITE => real!(aio_write64(control)),
            _ => 0,
        } < 0;
    }
    if mode == libc::LIO_NOWAIT {
        refused |= !wait::tell_of_list(list, count, event, host_suspend);
        return if refused { refuse(libc::EIO) } else { 0 };
    }
    match wait::wait_for_list(list, count, host_suspend) {
        0 if refused => refuse(libc::EIO),
        answer => answer,
    }
}

hooks! {
    fn aio_read(control: *mut Control) -> c_int => my_aio_read {
        if is_for_tunnel(control) { requests::submit(control, requests::READ) } else { real!(aio_read(control)) }
    }
    fn aio_read64(control: *mut Control) -> c_int => my_aio_read64 {
        if is_for_tunnel(control) { requests::submit(control, requests::READ) } else { real!(aio_read64(control)) }
    }
    fn aio_write(control: *mut Control) -> c_int => my_aio_write {
        if is_for_tunnel(control) { requests::submit(control, requests::WRITE) } else { real!(aio_write(control)) }
    }
    fn aio_write64(control: *mut Control) -> c_int => my_aio_write64 {
        if is_for_tunnel(control) { requests::submit(control, requests::WRITE) } else { real!(aio_write64(control)) }
    }
    fn aio_fsync(how: c_int, control: *mut Control) -> c_int => my_aio_fsync {
        if is_for_tunnel(control) { requests::submit_sync(how, control) } else { real!(aio_fsync(how, control)) }
    }
    fn aio_fsync64(how: c_int, control: *mut Control) -> c_int => my_aio_fsync64 {
        if is_for_tunnel(control) { requests::submit_sync(how, control) } else { real!(aio_fsync64(how, control)) }
    }
    fn aio_cancel(fd: c_int, control: *mut Control) -> c_int => my_aio_cancel {
        match requests::cancel(fd, control) {
            Some(answer) => answer,
            None => real!(aio_cancel(fd, control)),
        }
    }
    fn aio_cancel64(fd: c_int, control: *mut Control) -> c_int => my_aio_cancel64 {
        match requests::cancel(fd, control) {
            Some(answer) => answer,
            None => real!(aio_cancel64(fd, control)),
        }
    }
    fn aio_suspend(list: List, count: c_int, time: *const timespec) -> c_int => my_aio_suspend {
        if wait::concerns(list, count) { wait::suspend(list, count, time, host_suspend) } else { real!(aio_suspend(list, count, time)) }
    }
    fn aio_suspend64(list: List, count: c_int, time: *const timespec) -> c_int => my_aio_suspend64 {
        if wait::concerns(list, count) { wait::suspend(list, count, time, host_suspend) } else { real!(aio_suspend64(list, count, time)) }
    }
    fn lio_listio(mode: c_int, list: List, count: c_int, event: *const Event) -> c_int => my_lio_listio {
        if list_has_tunnel(list, count) { listio(mode, list, count, event) } else { real!(lio_listio(mode, list, count, event)) }
    }
    fn lio_listio64(mode: c_int, list: List, count: c_int, event: *const Event) -> c_int => my_lio_listio64 {
        if list_has_tunnel(list, count) { listio(mode, list, count, event) } else { real!(lio_listio64(mode, list, count, event)) }
    }
}
