//! What a program says of when its bytes leave (TCP_CORK, MSG_MORE, SPLICE_F_MORE): over an
//! interface the host process does that, and the machine's kernel is not told.
#![forbid(unsafe_code)]
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::calls::quietly;
use crate::errno;
use crate::uaccess::OwnMemory;
use libc::{c_int, c_void, socklen_t, ssize_t};
use memtun_calls::Memory as _;

/// Called before setsockopt(2) of TCP_CORK. `None` leaves the call to the kernel, which also says
/// what is wrong with it.
#[cold]
#[inline(never)]
pub extern "C" fn set_cork(fd: c_int, value: *const c_void, length: socklen_t) -> Option<c_int> {
    let mut bytes = [0; 4];
    if !(bytes.len() as socklen_t..=c_int::MAX as socklen_t).contains(&length) {
        return None;
    }
    errno::keep(|| OwnMemory.read(value as usize, &mut bytes)).ok()?;
    let corked = i32::from_ne_bytes(bytes) != 0;
    quietly(fd, |call| call.cork(corked)?.ok())?;
    Some(0)
}

/// A call with MSG_MORE that is under way.
#[derive(Clone, Copy)]
pub struct More {
    sent: u64,
    bytes: u64,
}

/// Called before a call that sends so many bytes with MSG_MORE, or as a `record` (MSG_EOR). `None`
/// leaves it to the kernel; else the call is made without that flag, and [`has_sent`] follows.
#[cold]
#[inline(never)]
pub extern "C" fn sends_more(fd: c_int, bytes: usize, record: bool) -> Option<More> {
    let bytes = bytes as u64;
    let sent = quietly(fd, |call| call.sends_more(bytes, record))?;
    Some(More { sent, bytes })
}

/// Called after it, with its answer.
#[cold]
#[inline(never)]
pub extern "C" fn has_sent(fd: c_int, more: More, answer: ssize_t) -> ssize_t {
    let taken = answer.max(0) as u64;
    if taken < more.bytes {
        quietly(fd, |call| {
            call.sent_less(more.sent, taken);
            Some(())
        });
    }
    answer
}
