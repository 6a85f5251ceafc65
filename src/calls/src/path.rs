//! Does a path lead to a special device? Paths are resolved as the kernel would resolve them, even
//! where /dev/net does not exist.
#![forbid(unsafe_code)]

use crate::device::Device;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_sys::PathBuf;
use std::ffi::CStr;

/// The file system as the program sees it. Nothing here changes it.
pub trait Paths {
    /// Reads the target of the symbolic link at `path` into `room`, as readlinkat(2) reads it for
    /// the program; a longer target is cut.
    ///
    /// # Errors
    ///
    /// What readlinkat(2) fails with, for example EINVAL where there is something else than a link.
    fn link<'r>(&self, dir: i32, path: &CStr, room: &'r mut [u8]) -> Result<&'r [u8], Errno>;
    /// Reads the path of the directory in which a relative path begins into `room`: the one of the
    /// program's descriptor `dir`, or its working directory for AT_FDCWD.
    ///
    /// # Errors
    ///
    /// EBADF when the descriptor is not open.
    fn directory<'r>(&self, dir: i32, room: &'r mut [u8]) -> Result<&'r [u8], Errno>;
    /// May the program hold a tunnel? Where it holds none, nothing under /proc leads to one of its
    /// own.
    fn may_hold_tunnels(&self) -> bool;
    /// May a relative path that begins at the program's descriptor `dir`, or in its working
    /// directory for AT_FDCWD, lead to a file of the net's view? This makes no system call.
    fn may_begin_in_view(&self, dir: i32) -> bool;
}

/// Says to whom a path belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The path leads to a special device.
    Device,
    /// The path leads to a special device and has a slash behind it, which only a directory may
    /// have.
    NotADirectory,
    /// The path may lead to a file or a directory in which the net's links stand, under /sys or
    /// /proc; only following it can tell.
    View,
    /// The path belongs to the host.
    Host,
}

impl Route {
    /// Returns what a call fails with that makes something at this path (mknod); None where the
    /// host makes it.
    pub fn refuses_to_make(self) -> Option<Errno> {
        match self {
            Route::Device => Some(Errno(libc::EEXIST)),
            Route::NotADirectory => Some(Errno(libc::ENOTDIR)),
            Route::View | Route::Host => None,
        }
    }
}

/// Says where a path leads, before the call is made. Only paths that end in a device's name, or
/// that may be a descriptor's, are resolved. A symbolic link of another name is found by [`after`].
#[inline]
pub fn before(paths: &impl Paths, devices: &[Device], dir: i32, path: &[u8]) -> Route {
    if may_lead_into_view(paths, dir, path) {
        return Route::View;
    }
    past_view(paths, devices, dir, path)
}

/// The same as [`before`] for a path that does not lead into the view.
#[inline]
pub fn past_view(paths: &impl Paths, devices: &[Device], dir: i32, path: &[u8]) -> Route {
    let trimmed = match path.iter().rposition(|b| *b != b'/') {
        Some(last) => &path[..last + 1],
        None => return Route::Host,
    };
    let name = match trimmed.iter().rposition(|b| *b == b'/') {
        Some(slash) => &trimmed[slash + 1..],
        None => trimmed,
    };
    let may_lead_there = devices.iter().any(|d| d.name() == name)
        || paths.may_hold_tunnels() && looks_like_descriptor(path);
    if !may_lead_there {
        return Route::Host;
    }
    match leads_to_device(paths, devices, dir, trimmed) {
        true if trimmed.len() < path.len() => Route::NotADirectory,
        true => Route::Device,
        false => Route::Host,
    }
}

/// May the path lead into the net's view? Of other paths only the first bytes are looked at.
#[inline]
fn may_lead_into_view(paths: &impl Paths, dir: i32, path: &[u8]) -> bool {
    match path {
        [b'/', b's' | b'p' | b'/' | b'.', ..] => may_name_view(path),
        [b'/', ..] | [] => false,
        _ => paths.may_begin_in_view(dir),
    }
}

/// Does this absolute path look like one in the net's view? All of those have `/net` in them, and
/// begin in /sys or /proc.
fn may_name_view(path: &[u8]) -> bool {
    let odd = path[1] == b'/' || path[1] == b'.';
    (odd || path.starts_with(b"/sys/") || path.starts_with(b"/proc/"))
        && path.windows(4).any(|w| w == b"/net")
}

/// Says where a path leads, after the host's call failed: a symbolic link of any name may lead to a
/// device that the host does not have, and any other one to something in the net's view.
#[cold]
pub fn after(paths: &impl Paths, devices: &[Device], dir: i32, path: &[u8]) -> Route {
    let mut room = [0u8; 1024];
    let is_link = PathBuf::concat(&[path])
        .and_then(|path| paths.link(dir, path.cstr(), &mut room).map(drop))
        .is_ok();
    match is_link {
        true if leads_to_device(paths, devices, dir, path) => Route::Device,
        true => Route::View,
        false => Route::Host,
    }
}

/// Did the host's open(2) fail because the device is not there or not allowed? After such an error
/// [`after`] has to be asked.
pub fn is_missing(failed: Errno) -> bool {
    [
        libc::ENOENT,
        libc::EACCES,
        libc::ENXIO,
        libc::ENODEV,
        libc::EPERM,
    ]
    .contains(&failed.0)
}

/// Returns the path of the device to which a path leads, given that it leads to one.
pub fn canonical<'d>(devices: &'d [Device], path: &[u8]) -> Option<&'d [u8]> {
    let same_name = devices.iter().find(|d| path.ends_with(d.name()));
    same_name.or(devices.first()).map(|d| d.path.as_slice())
}

/// Returns what readlink(2) shows instead of a link's target: the device's path instead of a
/// bell's. None means that it shows the target itself.
pub fn shown<'d>(devices: &'d [Device], target: &[u8]) -> Option<&'d [u8]> {
    NetDir::inode_of_bell_path(target)?;
    devices.first().map(|d| d.path.as_slice())
}

/// Does the path look like /proc/self/fd/N or a relative of it? Such a path may lead to a bell, and
/// opening it makes a new tunnel.
fn looks_like_descriptor(path: &[u8]) -> bool {
    (path.starts_with(b"/proc/") || path.starts_with(b"/dev/"))
        && path.last().is_some_and(u8::is_ascii_digit)
        && path.windows(4).any(|w| w == b"/fd/")
}

/// Does the path name one of the devices when all symbolic links are followed? Components that do
/// not exist are accepted where a device's own path leads through them.
fn leads_to_device(paths: &impl Paths, devices: &[Device], dir: i32, path: &[u8]) -> bool {
    resolve(paths, devices, dir, path).unwrap_or(false)
}

fn resolve(paths: &impl Paths, devices: &[Device], dir: i32, path: &[u8]) -> Result<bool, Errno> {
    /// Number of links that the kernel follows at most (MAXSYMLINKS).
    const MOST_LINKS: usize = 40;
    let equal = |p: &[u8]| devices.iter().any(|d| d.path == p);
    if equal(path) {
        return Ok(true);
    }
    let mut link = [0u8; 1024];
    let mut done = PathBuf::concat(&[])?;
    if path.first() != Some(&b'/') {
        let start = paths.directory(dir, &mut link)?;
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
                match paths.link(libc::AT_FDCWD, done.cstr(), &mut link) {
                    Ok(target) => {
                        links += 1;
                        if links > MOST_LINKS {
                            return Ok(false);
                        }
                        // This may be a descriptor's link: its target is final, and may be a bell.
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

/// Is this path a device's, or that of a directory above one?
fn on_the_way(path: &[u8], devices: &[Device]) -> bool {
    devices.iter().any(|d| {
        d.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    })
}
