//! The driver's side for C. cbindgen makes `memtun.h` from these files, so their documentation is
//! the contract.
//!
//! | module | subject |
//! |---|---|
//! | `net` | nets, permissions, faults, settings |
//! | `interface` | packets and datagrams toward the program, link settings |
//! | `receive` | what the program wrote |
//! | `many` | many packets in one call, in both directions |
//! | `socket` | sockets of a net |
//! | `describe` | snapshots as JSON, packets in words |
//! | `program` | programs that a driver is about to start |
//! | `last_error` | the sentence and the kind of an error |
//!
//! An error is a negative errno; a function that returns a handle returns NULL and sets errno. Each
//! error leaves its sentence and its kind for `memtun_error_text` and `memtun_error_kind`.

mod describe;
mod dotted;
mod interface;
mod last_error;
mod many;
mod net;
mod program;
mod receive;
mod socket;

use crate::errno::{self, fence};
use crate::real::Hook;
use crate::{config, uaccess};
use libc::{c_char, c_int, c_void, size_t, ssize_t};
use memtun_abi::{Errno, Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

type Answer<T> = Result<T, Error>;

/// How long in milliseconds a call waits that names no time, in the other languages' interfaces.
#[expect(dead_code, reason = "for memtun.h")]
pub const MEMTUN_TIMEOUT_DEFAULT: c_int = 5000;

/// A time in milliseconds that never ends. Every negative time means the same.
#[expect(dead_code, reason = "for memtun.h")]
pub const MEMTUN_TIMEOUT_FOREVER: c_int = -1;

/// Size in bytes of a buffer for any IP address as text, with its NUL.
pub const MEMTUN_HOST_LEN: size_t = 64;

/// Is this process under the shim? 1 when the library was preloaded, 0 when it was only linked or
/// loaded. With weak declarations (MEMTUN_WEAK) the address of this function says whether the
/// library is there at all.
#[no_mangle]
pub extern "C" fn memtun_active() -> c_int {
    config::get().is_some_and(|c| c.library.is_some()) as c_int
}

/// The library's version, as "0.1.0". The text is valid as long as the library is loaded.
#[no_mangle]
pub extern "C" fn memtun_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The name of a hook by its index in the table, NULL beyond the last one, so that a test can
/// compare the table with what the library exports. It is not part of memtun.h.
#[no_mangle]
pub extern "C" fn memtun_hook_name(index: c_int) -> *const c_char {
    of_hook(index, |hook| hook.name.as_ptr()).unwrap_or(std::ptr::null())
}

/// Is the function behind a hook, given by its index in the table, the one that dlsym(3) finds (1
/// or 0)? This is for a test, too.
#[no_mangle]
pub extern "C" fn memtun_hook_is_next(index: c_int) -> c_int {
    of_hook(index, Hook::is_next).unwrap_or(false).into()
}

/// Asks something of the hook with this number.
fn of_hook<T>(index: c_int, ask: impl Fn(&Hook) -> T) -> Option<T> {
    let (mut left, mut answer) = (index, None);
    crate::hooks::each(&mut |hook| {
        if left == 0 {
            answer = Some(ask(hook));
        }
        left = left.wrapping_sub(1);
    });
    answer
}

/// Runs a driver's call, and keeps the sentence of its error for this thread.
fn answered<T>(ours: impl FnOnce() -> Answer<T>) -> Result<T, Errno> {
    match fence(|| Ok(ours())) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => {
            log::info!("{e}");
            last_error::keep(&e);
            Err(e.errno())
        }
        Err(e) => {
            let sentence = "a bug in memtun; please report it, with what MEMTUN_LOG=error says";
            last_error::keep(&Error::new(e.0, sentence).of_kind(ErrorKind::Other));
            Err(e)
        }
    }
}

fn status(ours: impl FnOnce() -> Answer<()>) -> c_int {
    errno::keep(|| answered(ours).map_or_else(|e| -e.0, |()| 0))
}

/// Runs a call that answers yes (1) or no (0).
fn verdict(ours: impl FnOnce() -> Answer<bool>) -> c_int {
    errno::keep(|| answered(ours).map_or_else(|e| -e.0, c_int::from))
}

fn length(ours: impl FnOnce() -> Answer<usize>) -> ssize_t {
    errno::keep(|| answered(ours).map_or_else(|e| -e.0 as ssize_t, |n| n as ssize_t))
}

fn handle<T>(ours: impl FnOnce() -> Answer<T>) -> *mut T {
    match answered(ours) {
        Ok(value) => Box::into_raw(Box::new(value)),
        Err(e) => {
            errno::set(e.0);
            std::ptr::null_mut()
        }
    }
}

/// Frees the value behind a handle.
///
/// # Safety
/// `handle` is NULL or a pointer that [`handle`] made, and is not used afterwards.
unsafe fn close<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the caller's contract.
        status(|| unsafe {
            drop(Box::from_raw(handle));
            Ok(())
        });
    }
}

/// The value behind a handle; EINVAL for NULL.
fn behind<'a, T>(handle: *const T) -> Answer<&'a T> {
    // SAFETY: the pointer is NULL, or a handle that this interface made and that is not closed yet,
    // as memtun.h demands.
    unsafe { handle.as_ref() }.ok_or_else(|| Error::new(libc::EINVAL, "the handle is NULL"))
}

/// A waiting time in milliseconds; `None`, which means for ever, for every negative number.
fn time(timeout_ms: c_int) -> Option<Duration> {
    (timeout_ms >= 0).then(|| Duration::from_millis(timeout_ms as u64))
}

fn bad_memory(e: Errno) -> Error {
    Error::new(e.0, format!("{e}: the pointer leads nowhere"))
}

/// The values that an array of texts has, which a NULL pointer ends.
fn items<T: FromStr<Err = Error>>(list: *const *const c_char) -> Answer<Vec<T>> {
    let mut values = Vec::new();
    loop {
        let at = list.wrapping_add(values.len());
        // SAFETY: any bit pattern is a valid pointer value; it is not followed here.
        let item = unsafe { uaccess::read(at) }.map_err(bad_memory)?;
        if item.is_null() {
            return Ok(values);
        }
        values.push(text(item)?.parse()?);
    }
}

fn text<'a>(s: *const c_char) -> Answer<&'a str> {
    let bytes = uaccess::c_string(s).map_err(|e| match e.0 {
        libc::ENAMETOOLONG => Error::new(libc::EINVAL, "the text is longer than 4095 bytes"),
        _ => bad_memory(e),
    })?;
    std::str::from_utf8(bytes).map_err(|_| {
        let shown = bytes.escape_ascii();
        Error::new(libc::EINVAL, format!("\"{shown}\" is not UTF-8"))
    })
}

fn host(s: *const c_char) -> Answer<IpAddr> {
    if let Some(address) = uaccess::c_string(s).ok().and_then(dotted::parse) {
        return Ok(address.into());
    }
    let text = text(s)?;
    text.parse().map_err(|_| {
        let remedy = "give one as 10.0.0.1 or fd00::1, names are not looked up";
        Error::new(libc::EINVAL, format!("{text:?} is no IP address; {remedy}"))
    })
}

fn address(host_text: *const c_char, port: u16) -> Answer<SocketAddr> {
    Ok(SocketAddr::new(host(host_text)?, port))
}

/// The bytes that a caller gave.
///
/// # Safety
/// `data` points to `len` readable bytes, as memtun.h demands, or is NULL with `len` 0.
unsafe fn bytes<'a>(data: *const c_void, len: size_t) -> Answer<&'a [u8]> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(bad_memory(Errno(libc::EFAULT))),
        // SAFETY: the caller's contract.
        _ => Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) }),
    }
}

/// Copies as many bytes as fit into the caller's buffer. Returns the number of bytes in `data`.
fn give_bytes(data: &[u8], buf: *mut c_void, len: size_t) -> Answer<usize> {
    uaccess::copy_out(buf as usize, &data[..data.len().min(len)]).map_err(bad_memory)?;
    Ok(data.len())
}

/// Stores a number for the caller, unless the caller gave NULL.
fn give<T: Copy>(value: T, to: *mut T) -> Answer<()> {
    if to.is_null() {
        return Ok(());
    }
    uaccess::write(to, &value).map_err(bad_memory)
}

/// Copies text into the caller's buffer as snprintf(3) does: cut to the buffer and NUL-terminated.
/// Returns the length of the whole text without the NUL.
fn give_text(text: impl AsRef<[u8]>, buf: *mut c_char, len: size_t) -> Answer<usize> {
    let text = text.as_ref();
    if len > 0 {
        let kept = text.len().min(len - 1);
        uaccess::copy_out(buf as usize, &text[..kept]).map_err(bad_memory)?;
        uaccess::copy_out(buf as usize + kept, &[0]).map_err(bad_memory)?;
    }
    Ok(text.len())
}
