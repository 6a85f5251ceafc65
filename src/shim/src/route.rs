//! Does a path lead to a special device? As the kernel would resolve it, also where /dev/net does not exist.
#![forbid(unsafe_code)]

use crate::config::{self, Device};
use crate::user;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_sys::{self as sys, PathBuf};
use std::ffi::c_char;

/// Whose path it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Route {
    /// A special device's.
    Device,
    /// A special device's with a slash behind it, which only a directory may have.
    NotADirectory,
    /// Not ours.
    Host,
}

/// Looks at a path before the call is made. Only paths whose last component is a device's name are resolved; a symbolic
/// link of another name is found by [`after`]. NULL and unreadable paths are the kernel's to refuse.
#[inline]
pub fn before(dir: i32, path: *const c_char) -> Route {
    of(dir, || user::c_string(path))
}

/// The same after the host has made a call that changes nothing, and has not said EFAULT.
#[inline]
pub fn afterwards(dir: i32, path: *const c_char) -> Route {
    of(dir, || user::c_string_that_was_read(path))
}

fn of<'a>(dir: i32, path: impl FnOnce() -> Result<&'a [u8], Errno>) -> Route {
    let Some(config) = config::get() else {
        return Route::Host;
    };
    let Ok(path) = path() else {
        return Route::Host;
    };
    let trimmed = match path.iter().rposition(|b| *b != b'/') {
        Some(last) => &path[..last + 1],
        None => return Route::Host,
    };
    let name = match trimmed.iter().rposition(|b| *b == b'/') {
        Some(slash) => &trimmed[slash + 1..],
        None => trimmed,
    };
    if !config.devices.iter().any(|d| d.name() == name) && !looks_like_descriptor(path) {
        return Route::Host;
    }
    match resolve(dir, trimmed, &config.devices) {
        true if trimmed.len() < path.len() => Route::NotADirectory,
        true => Route::Device,
        false => Route::Host,
    }
}

/// /proc/self/fd/N and its relatives may lead to a bell: a new open of it is a new tunnel.
fn looks_like_descriptor(path: &[u8]) -> bool {
    crate::table::any()
        && (path.starts_with(b"/proc/") || path.starts_with(b"/dev/"))
        && path.last().is_some_and(u8::is_ascii_digit)
        && path.windows(4).any(|w| w == b"/fd/")
}

/// Looks again after the host's call failed: a symbolic link of any name to a device that does not exist.
#[cold]
pub fn after(dir: i32, path: *const c_char) -> Route {
    let Some(config) = config::get() else {
        return Route::Host;
    };
    let Ok(bytes) = user::c_string_that_was_read(path) else {
        return Route::Host;
    };
    let mut buf = [0u8; 1024];
    let is_link = PathBuf::concat(&[bytes])
        .and_then(|p| sys::readlinkat(dir, p.cstr(), &mut buf).map(drop))
        .is_ok();
    if is_link && resolve(dir, bytes, &config.devices) {
        Route::Device
    } else {
        Route::Host
    }
}

/// Does the path, all symbolic links followed, name one of the devices? Components that do not exist are accepted where a
/// device's own path leads through them.
fn resolve(dir: i32, path: &[u8], devices: &[Device]) -> bool {
    resolve_or_fail(dir, path, devices).unwrap_or(false)
}

fn resolve_or_fail(dir: i32, path: &[u8], devices: &[Device]) -> Result<bool, Errno> {
    let equal = |p: &[u8]| devices.iter().any(|d| d.path == p);
    if equal(path) {
        return Ok(true);
    }
    let mut link = [0u8; 1024];
    let mut done = PathBuf::concat(&[])?;
    if path.first() != Some(&b'/') {
        let start = if dir == libc::AT_FDCWD {
            sys::readlinkat(dir, c"/proc/self/cwd", &mut link)
        } else {
            sys::path_of_fd(dir, &mut link)
        }?;
        done.push(if start == b"/" { b"" } else { start })?;
    }
    let mut rest = PathBuf::concat(&[path])?;
    let mut links = 0;
    loop {
        let bytes = rest.bytes();
        let Some(begin) = bytes.iter().position(|b| *b != b'/') else {
            break;
        };
        let end = bytes[begin..]
            .iter()
            .position(|b| *b == b'/')
            .map_or(bytes.len(), |n| begin + n);
        let component = &bytes[begin..end];
        let remaining = PathBuf::concat(&[&bytes[end..]])?;
        match component {
            b"." => {}
            b".." => {
                let parent = done.bytes().iter().rposition(|b| *b == b'/').unwrap_or(0);
                done.truncate(parent);
            }
            name => {
                let parent = done.bytes().len();
                done.push(b"/")?;
                done.push(name)?;
                match sys::readlinkat(libc::AT_FDCWD, done.cstr(), &mut link) {
                    Ok(target) => {
                        links += 1;
                        if links > 40 {
                            return Ok(false);
                        }
                        // A descriptor's link: its target is final, and may be a bell.
                        if NetDir::inode_of_bell_path(target).is_some()
                            && remaining.bytes().is_empty()
                        {
                            return Ok(true);
                        }
                        done.truncate(if target.first() == Some(&b'/') {
                            0
                        } else {
                            parent
                        });
                        rest = PathBuf::concat(&[target, remaining.bytes()])?;
                        continue;
                    }
                    Err(Errno(libc::ENOENT)) if !on_the_way(done.bytes(), devices) => {
                        return Ok(false)
                    }
                    Err(_) => {}
                }
            }
        }
        rest = remaining;
    }
    Ok(equal(done.bytes()))
}

/// Is this path a device's, or a directory above one?
fn on_the_way(path: &[u8], devices: &[Device]) -> bool {
    devices.iter().any(|d| {
        d.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    })
}
