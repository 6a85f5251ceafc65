//! Waiting for requests: aio_suspend(3), and lists of lio_listio(3).
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding: a thread may be cancelled in these waits; no C code calls them"
)]

use super::notify::{notify, start, Event};
use super::requests::{any, error_place, in_progress, is_ours, refuse, Control};
use super::waiters::{begin_wait, FREE};
use crate::{errno, uaccess};
use libc::{c_int, c_void, sem_t, timespec};
use memtun_sys as sys;
use std::sync::atomic::Ordering::{Acquire, Release};

/// The result of a look at a list.
#[derive(PartialEq)]
enum Look {
    /// A request is done, or there is nothing to wait for.
    Done,
    /// All that is left is carried out here.
    Ours,
    /// Some requests are carried out here and some by libc.
    Mixed,
    /// All that is left is carried out by libc.
    Theirs,
}

/// The list that aio_suspend was given.
#[derive(Clone, Copy)]
struct List {
    array: *const *const Control,
    count: c_int,
}

impl List {
    fn each(self) -> impl Iterator<Item = *const Control> {
        let count = self.count.max(0) as usize;
        // SAFETY: the caller gave an array of `count` pointers.
        (0..count).map(move |i| unsafe { *self.array.add(i) })
    }
}

#[inline(never)]
extern "C" fn look(list: List, all: bool) -> Look {
    let (mut ours, mut theirs) = (0, 0);
    for control in list.each().filter(|c| !c.is_null()) {
        if in_progress(control) {
            if is_ours(control) {
                ours += 1;
            } else if in_progress(control) {
                theirs += 1;
            }
        } else if !all {
            return Look::Done;
        }
    }
    match (ours, theirs) {
        (0, 0) => Look::Done,
        (0, _) => Look::Theirs,
        (_, 0) => Look::Ours,
        _ => Look::Mixed,
    }
}

/// Time in nanoseconds between the looks of a waiter that cannot be woken.
const MOMENT: u64 = 2_000_000;

/// Calls the real aio_suspend for libc's requests; without any it sleeps.
type Host = extern "C" fn(*const *const Control, c_int, *const timespec) -> c_int;

/// aio_suspend(3) for a list that may have a request that is carried out here. No frame here has
/// anything to clean up, because the thread may be cancelled while it waits.
pub extern "C" fn suspend(
    array: *const *const Control,
    count: c_int,
    time: *const timespec,
    host: Host,
) -> c_int {
    wait(List { array, count }, time, false, host)
}

/// Is a request of the list carried out here?
pub extern "C" fn concerns(array: *const *const Control, count: c_int) -> bool {
    any() && List { array, count }.each().any(is_ours)
}

/// Waits until one request of the list is done, or all of them if `all` is true.
extern "C" fn wait(list: List, time: *const timespec, all: bool, host: Host) -> c_int {
    let end = end_of(time);
    let waiter = begin_wait();
    let answer = loop {
        let left = left_of(end);
        match (look(list, all), waiter) {
            (Look::Done, _) => break 0,
            (Look::Ours, Some(waiter)) => {
                // SAFETY: `begin_wait` initialised the semaphore.
                let answer = unsafe {
                    let semaphore = waiter.semaphore.get().cast::<sem_t>();
                    match end {
                        0 => libc::sem_wait(semaphore),
                        _ => libc::sem_timedwait(semaphore, &on_the_clock(left)),
                    }
                };
                if answer < 0 && errno::get() == libc::EINTR && look(list, all) != Look::Done {
                    break -1;
                }
            }
            (what, _) => {
                let mut theirs = [std::ptr::null::<Control>(); 64];
                let count = gather(list, what, &mut theirs);
                let moment = timespec {
                    tv_sec: 0,
                    tv_nsec: MOMENT.min(left.max(1)) as libc::c_long,
                };
                if host(theirs.as_ptr(), count, &moment) < 0 && errno::get() == libc::EINTR {
                    break -1;
                }
            }
        }
        if end != 0 && left_of(end) == 0 && look(list, all) != Look::Done {
            errno::set(libc::EAGAIN);
            break -1;
        }
    };
    if let Some(waiter) = waiter {
        waiter.state.store(FREE, Release);
    }
    answer
}

/// Gathers the requests that libc may be asked to wait for, which are its own. Those that are
/// carried out here would look done to libc.
#[inline(never)]
extern "C" fn gather(list: List, what: Look, theirs: &mut [*const Control; 64]) -> c_int {
    let mut count = 0;
    if what == Look::Theirs || what == Look::Mixed {
        let others = list
            .each()
            .filter(|c| !c.is_null() && in_progress(*c) && !is_ours(*c));
        for (place, control) in theirs.iter_mut().zip(others) {
            *place = control;
            count += 1;
        }
    }
    count
}

/// The end of a wait in nanoseconds of the monotonic clock; 0 when the wait has no end.
#[inline(never)]
extern "C" fn end_of(time: *const timespec) -> u64 {
    // SAFETY: the pointer is NULL or the caller's time, which is plain numbers.
    match (!time.is_null()).then(|| unsafe { uaccess::read(time) }.ok()) {
        Some(Some(t)) => (t.tv_sec.max(0) as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(t.tv_nsec.max(0) as u64)
            .saturating_add(sys::now_ns(libc::CLOCK_MONOTONIC)),
        _ => 0,
    }
}

#[inline(never)]
extern "C" fn left_of(end: u64) -> u64 {
    match end {
        0 => u64::MAX,
        end => end.saturating_sub(sys::now_ns(libc::CLOCK_MONOTONIC)),
    }
}

#[inline(never)]
extern "C" fn on_the_clock(left: u64) -> timespec {
    let end = sys::now_ns(libc::CLOCK_REALTIME).saturating_add(left);
    timespec {
        tv_sec: (end / 1_000_000_000) as libc::time_t,
        tv_nsec: (end % 1_000_000_000) as libc::c_long,
    }
}

/// A list of lio_listio whose end is to be told to the program. It comes from libc's allocator,
/// with the list behind it.
#[repr(C)]
struct Group {
    event: Event,
    host: Host,
    count: c_int,
}

/// Waits until every request of the list is done: for lio_listio(3) with LIO_WAIT, or in a thread
/// that waits for it.
pub fn wait_for_list(array: *const *const Control, count: c_int, host: Host) -> c_int {
    let list = List { array, count };
    if wait(list, std::ptr::null(), true, host) < 0 {
        return -1;
    }
    let failed = list
        .each()
        .any(|c| !c.is_null() && error_place(c).load(Acquire) != 0);
    if failed {
        refuse(libc::EIO)
    } else {
        0
    }
}

/// Arranges that the program is told when every request of the list is done. Returns false when no
/// thread is to be had.
pub fn tell_of_list(
    array: *const *const Control,
    count: c_int,
    event: *const Event,
    host: Host,
) -> bool {
    // SAFETY: the pointer is NULL or the caller's event, which is plain data.
    let event = match unsafe { uaccess::read(event) } {
        Ok(event) if event.notify != libc::SIGEV_NONE => event,
        _ => return true,
    };
    let room = size_of::<Group>() + count.max(0) as usize * size_of::<*const Control>();
    // SAFETY: the memory comes from libc's allocator, with room for the group and its list.
    unsafe {
        let group = libc::malloc(room).cast::<Group>();
        if group.is_null() {
            return false;
        }
        group.write(Group { event, host, count });
        let list = group.add(1).cast::<*const Control>();
        std::ptr::copy_nonoverlapping(array, list, count.max(0) as usize);
        let started = start(tell, group.cast());
        if !started {
            libc::free(group.cast());
        }
        started
    }
}

extern "C" fn tell(group: *mut c_void) -> *mut c_void {
    let group = group.cast::<Group>();
    // SAFETY: `tell_of_list` made this pointer, and it is freed here.
    unsafe {
        let Group { event, host, count } = group.read();
        let array = group.add(1).cast::<*const Control>();
        while wait(List { array, count }, std::ptr::null(), true, host) < 0 {}
        libc::free(group.cast());
        notify(&event, libc::SI_ASYNCIO);
    }
    std::ptr::null_mut()
}
