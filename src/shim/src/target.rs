//! The program that an exec is about to start: does it run past the library, and does it want a
//! sanitizer's runtime in front of the library?
//!
//! An exec may come in a vfork child, or between fork and exec of a threaded program, so nothing
//! here allocates or locks. The look costs an open and a few reads, and it never makes an exec
//! fail.

use crate::{config, uaccess};
use libc::{c_char, c_int};
use memtun_core::launch::bypass::bypass;
use memtun_core::launch::elf::{self, Entry, Kind};
use memtun_core::launch::preload::is_sanitizer;
use memtun_core::launch::script::{FirstLine, DEFAULT_PATH, SCRIPT_DEPTH};
use memtun_kernel::net as netdir;
use memtun_sys::{self as sys, Fd};
use std::ffi::CStr;

/// Names of the libraries that must stand in front of this one.
#[derive(Clone, Copy)]
pub struct Target {
    names: [[u8; 48]; 2],
    count: usize,
}

impl Target {
    const UNKNOWN: Target = Target {
        names: [[0; 48]; 2],
        count: 0,
    };

    /// Looks at the program behind a path, as execveat(2) finds it.
    pub fn at(dir: c_int, path: *const c_char) -> Target {
        let Ok(name) = uaccess::c_string(path) else {
            return Target::UNKNOWN;
        };
        if name.is_empty() {
            return Target::of_fd(dir);
        }
        let Some(path) = terminated(name) else {
            return Target::UNKNOWN;
        };
        open(dir, path).map_or(Target::UNKNOWN, |fd| look(fd, name))
    }

    /// Looks at the program that execvp(3) finds by this name.
    pub fn in_path(file: *const c_char) -> Target {
        let Ok(name) = uaccess::c_string(file) else {
            return Target::UNKNOWN;
        };
        if name.is_empty() || name.contains(&b'/') {
            return Target::at(libc::AT_FDCWD, file);
        }
        // SAFETY: libc's own search reads the environment in the same unsynchronised way.
        let path = unsafe { libc::getenv(c"PATH".as_ptr()) };
        let path = match path.is_null() {
            true => DEFAULT_PATH.as_bytes(),
            // SAFETY: the value is a NUL-terminated string of the environment.
            false => unsafe { CStr::from_ptr(path) }.to_bytes(),
        };
        for dir in path.split(|b| *b == b':') {
            let dir = if dir.is_empty() { b"." } else { dir };
            let Ok(path) = sys::PathBuf::concat(&[dir, b"/", name]) else {
                continue;
            };
            if sys::access(path.cstr(), libc::X_OK).is_err() {
                continue;
            }
            if let Some(fd) = open(libc::AT_FDCWD, path.cstr()) {
                return look(fd, path.bytes());
            }
        }
        Target::UNKNOWN
    }

    /// Looks at the program that is open as `fd`.
    pub fn of_fd(fd: c_int) -> Target {
        let mut target = Target::UNKNOWN;
        let mut buf = [0; 128];
        let name = sys::path_of_fd(fd, &mut buf).unwrap_or(b"a program");
        examine(fd, name, &mut target, &mut [0; 256]);
        target
    }

    /// Names of the sanitizers' runtimes that the program is linked with.
    pub fn runtimes(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let named = |name: &'_ [u8; 48]| name.iter().position(|b| *b == 0).unwrap_or(name.len());
        self.names[..self.count]
            .iter()
            .map(move |name| &name[..named(name)])
    }
}

/// The C string that these bytes were taken from.
fn terminated(bytes: &[u8]) -> Option<&CStr> {
    // SAFETY: `uaccess::c_string` has seen the NUL behind the bytes.
    let whole = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len() + 1) };
    CStr::from_bytes_with_nul(whole).ok()
}

/// Opens a program. One that may be executed but not read shows at least its mode. A FIFO is not
/// waited for.
fn open(dir: c_int, path: &CStr) -> Option<Fd> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = sys::openat(dir, path, flags | libc::O_RDONLY, 0);
    opened
        .or_else(|_| sys::openat(dir, path, flags | libc::O_PATH, 0))
        .ok()
}

fn look(first: Fd, name: &[u8]) -> Target {
    let mut target = Target::UNKNOWN;
    let mut interpreter = [0; 256];
    let mut len = examine(first.raw(), name, &mut target, &mut interpreter);
    drop(first);
    for _ in 0..SCRIPT_DEPTH {
        let path = interpreter;
        let Some(path) = len.and_then(|len| CStr::from_bytes_until_nul(path.get(..len + 1)?).ok())
        else {
            break;
        };
        let Some(fd) = open(libc::AT_FDCWD, path) else {
            break;
        };
        len = examine(fd.raw(), path.to_bytes(), &mut target, &mut interpreter);
    }
    target
}

/// Looks at one file. If it is a script, the path of its interpreter is put into `interpreter`, and
/// the length of that path is returned.
#[inline(never)]
fn examine(
    fd: c_int,
    name: &[u8],
    target: &mut Target,
    interpreter: &mut [u8; 256],
) -> Option<usize> {
    let st = sys::fstat(fd).ok()?;
    if st.st_mode & libc::S_IFMT != libc::S_IFREG || st.st_mode & 0o111 == 0 {
        return None;
    }
    let mut buf = [0; 1024];
    let len = sys::pread(fd, &mut buf, 0).unwrap_or(0);
    let start = &buf[..len];
    if let Some(line) = FirstLine::parse(start) {
        let path = line.interpreter;
        *interpreter = [0; 256];
        interpreter.get_mut(..path.len())?.copy_from_slice(path);
        return (!path.is_empty() && path.len() < 255).then_some(path.len());
    }
    let last = name.rsplit(|b| *b == b'/').next().unwrap_or_default();
    if let Some(why) = bypass(fd, last, start) {
        // Valgrind's tools are static, and put the library into their program themselves.
        let tool = name.windows(10).any(|part| part == b"/valgrind/");
        if !tool && log::log_enabled!(log::Level::Warn) && is_first(&st) {
            log::warn!("{}: {why}", name.escape_ascii());
        }
        return None;
    }
    if let Kind::Ours(image) = elf::kind(fd, start) {
        image.each_name(|entry, library| {
            if entry == Entry::Needed && is_sanitizer(library) {
                let place = target.names.get_mut(target.count);
                if let Some(place) = place.and_then(|place| place.get_mut(..library.len())) {
                    place.copy_from_slice(library);
                    target.count += 1;
                }
            }
            target.count < target.names.len()
        });
    }
    None
}

/// Is this the first look at this file in this net? One warning for both is enough.
fn is_first(st: &libc::stat) -> bool {
    let number = st.st_ino.rotate_left(24) ^ st.st_dev;
    config::get().is_none_or(|config| netdir::says_first(&config.net, number))
}
