//! Does a path of this program lead to a special device?
#![forbid(unsafe_code)]

use crate::config::{self, Config};
use crate::{table, uaccess};
use memtun_abi::Errno;
use memtun_calls::path::{self, Paths};
use memtun_sys as sys;
use std::ffi::{c_char, CStr};

pub use memtun_calls::path::Route;

/// What this process sees of the file system.
struct Own;

impl Paths for Own {
    fn link<'r>(&self, dir: i32, path: &CStr, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        sys::readlinkat(dir, path, room)
    }
    fn directory<'r>(&self, dir: i32, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        if dir == libc::AT_FDCWD {
            sys::readlinkat(dir, c"/proc/self/cwd", room)
        } else {
            sys::path_of_fd(dir, room)
        }
    }
    fn may_hold_tunnels(&self) -> bool {
        table::any()
    }
    fn may_begin_in_view(&self, dir: i32) -> bool {
        crate::view::may_begin_in(dir)
    }
}

/// Looks at a path before the call is made. [`after`] finds a symbolic link that has another name
/// than the device. The kernel refuses NULL and unreadable paths.
#[inline]
pub fn before(dir: i32, path: *const c_char) -> Route {
    look(
        || uaccess::c_string(path),
        |config, path| path::before(&Own, &config.devices, dir, path),
    )
}

/// The same as [`before`], but after the host has made a call that changes nothing and has not
/// failed with EFAULT, so that the path is known to be readable.
#[inline]
pub fn afterwards(dir: i32, path: *const c_char) -> Route {
    look(
        || uaccess::c_string_that_was_read(path),
        |config, path| path::before(&Own, &config.devices, dir, path),
    )
}

/// Is this path itself a symbolic link?
#[cold]
pub fn is_link(dir: i32, path: *const c_char) -> bool {
    let link = |path: &[u8]| {
        let path = sys::PathBuf::concat(&[path]).ok()?;
        sys::readlinkat(dir, path.cstr(), &mut [0; 16])
            .ok()
            .map(drop)
    };
    uaccess::c_string(path).is_ok_and(|path| link(path).is_some())
}

/// The same as [`before`] for a path that may lead into the view and does not.
#[cold]
pub fn past_view(dir: i32, path: *const c_char) -> Route {
    look(
        || uaccess::c_string(path),
        |config, path| path::past_view(&Own, &config.devices, dir, path),
    )
}

/// Looks again after the host's call failed. This finds a symbolic link of any name to a device
/// that does not exist, or into the view. In a process whose net has interfaces a directory on the
/// way may be such a link, too.
#[cold]
pub fn after(dir: i32, path: *const c_char) -> Route {
    look(
        || uaccess::c_string_that_was_read(path),
        |config, path| match path::after(&Own, &config.devices, dir, path) {
            Route::Host if crate::view::is_filled() => Route::View,
            route => route,
        },
    )
}

fn look<'p>(
    path: impl FnOnce() -> Result<&'p [u8], Errno>,
    look: impl FnOnce(&Config, &[u8]) -> Route,
) -> Route {
    let Some(config) = config::get() else {
        return Route::Host;
    };
    path().map_or(Route::Host, |path| look(config, path))
}
