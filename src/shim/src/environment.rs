//! The environment of a new program image. Even when it was made by hand (openvpn's scripts,
//! `env={}`), the image must load the library and find the net. Only [`init`] allocates here,
//! because exec may be called in a vfork child or after fork.

use crate::config::{self, Config};
use crate::target::Target;
use libc::c_char;
use memtun_core::launch::preload::{self, PRELOAD};
use memtun_sys as sys;
use std::ffi::CString;

/// Number of entries that fit without a mapping.
const SMALL: usize = 256;
/// The first bytes of the entry of [`PRELOAD`].
const ENTRY: &[u8] = b"LD_PRELOAD=";

/// Puts this process's own LD_PRELOAD right. It logs a warning where another library stands in
/// front of this one and `is_in_force` finds that calls do not come here. It is called once, in the
/// constructor, after [`config::init`].
pub fn init(is_in_force: impl FnOnce() -> bool) {
    let Some(library) = config::get().and_then(|config| config.library.as_ref()) else {
        return;
    };
    let list = config::variable(PRELOAD).unwrap_or_default();
    // A sanitizer's runtime in front of this library was for this program. Programs that it starts
    // in ways that have no hook, such as system(3), must not get it.
    if let Some(rest) = preload::for_children(&list).and_then(|rest| CString::new(rest).ok()) {
        config::export(PRELOAD, &rest);
    }
    if let Some(other) = preload::in_front(&list, library.to_bytes()).filter(|_| !is_in_force()) {
        log::warn!(
            "{} stands in front of this library in LD_PRELOAD and opens files past it: the program gets the machine's own \
             device; put libmemtun.so first",
            other.escape_ascii()
        );
    }
}

/// An environment to which the missing entries were added. It lives until the call that takes it
/// returns (or never returns).
pub struct Environment {
    entries: [*const c_char; SMALL],
    preload: [u8; 4096],
    large: Option<(*mut u8, usize)>,
}

/// The bytes of a C string.
///
/// # Safety
/// The string must be NUL-terminated and readable.
unsafe fn bytes<'a>(s: *const c_char) -> &'a [u8] {
    // SAFETY: the caller's contract.
    unsafe { std::ffi::CStr::from_ptr(s) }.to_bytes()
}

/// The entries of an environment that concern memtun.
struct Contents<'a> {
    /// Number of entries in the environment.
    count: usize,
    /// Index of the LD_PRELOAD entry, and its list.
    preload: Option<(usize, &'a [u8])>,
    /// One bit for each of the settings that is there.
    present: u32,
}

/// # Safety
/// `given` is a NULL-terminated array of C strings.
unsafe fn contents<'a>(config: &Config, given: *const *const c_char) -> Contents<'a> {
    let mut found = Contents {
        count: 0,
        preload: None,
        present: 0,
    };
    // SAFETY: the caller's contract, up to the terminating NULL.
    unsafe {
        while !(*given.add(found.count)).is_null() {
            let entry = bytes(*given.add(found.count));
            if let Some(list) = entry.strip_prefix(ENTRY) {
                found.preload = Some((found.count, list));
            }
            for (i, ours) in config.environment.iter().enumerate() {
                let name = ours
                    .to_bytes()
                    .split_inclusive(|b| *b == b'=')
                    .next()
                    .unwrap_or_default();
                if entry.starts_with(name) {
                    found.present |= 1 << i;
                }
            }
            found.count += 1;
        }
    }
    found
}

/// Is nothing missing in this environment?
///
/// # Safety
/// `given` is NULL or a NULL-terminated array of C strings, as execve(2) wants it.
pub unsafe fn is_complete(given: *const *const c_char, target: &Target) -> bool {
    let Some(config) = config::get() else {
        return true;
    };
    let Some(library) = &config.library else {
        return true;
    };
    if given.is_null() {
        return true;
    }
    // SAFETY: the caller's contract.
    let found = unsafe { contents(config, given) };
    let all = (1u32 << config.environment.len()) - 1;
    found.present == all
        && found.preload.is_some_and(|(_, list)| {
            preload::is_in_order(list, library.to_bytes(), target.runtimes())
        })
}

/// Adds the missing entries to the process's own environment, with libc's functions.
pub fn put_back() {
    let Some(config) = config::get() else { return };
    let Some(library) = &config.library else {
        return;
    };
    // SAFETY: the arguments are C strings, and the settings live as long as the process, as
    // putenv(3) demands.
    unsafe {
        let list = libc::getenv(c"LD_PRELOAD".as_ptr());
        let list = if list.is_null() { b"" } else { bytes(list) };
        if preload::find(list, library.to_bytes()).is_none() {
            let between: &[u8] = if list.is_empty() { b"" } else { b":" };
            if let Ok(joined) = sys::PathBuf::concat(&[library.to_bytes(), between, list]) {
                libc::setenv(c"LD_PRELOAD".as_ptr(), joined.cstr().as_ptr(), 1);
            }
        }
        for entry in &config.environment {
            let mut name = [0u8; 64];
            let bare = entry.to_bytes().split(|b| *b == b'=').next();
            let Some(place) = bare.and_then(|bare| Some((name.get_mut(..bare.len())?, bare)))
            else {
                continue;
            };
            place.0.copy_from_slice(place.1);
            if libc::getenv(name.as_ptr().cast()).is_null() {
                libc::putenv(entry.as_ptr().cast_mut());
            }
        }
    }
}

impl Environment {
    /// An empty environment, in which a complete one can be built.
    #[allow(
        clippy::new_without_default,
        reason = "large: to be made only where it is used"
    )]
    pub fn new() -> Environment {
        Environment {
            entries: [std::ptr::null(); SMALL],
            preload: [0; 4096],
            large: None,
        }
    }

    /// `given` if nothing is missing in it (the usual case), else a copy to which the library and
    /// the settings are added.
    ///
    /// # Safety
    /// `given` is NULL or a NULL-terminated array of C strings, as execve(2) wants it.
    pub unsafe fn complete(
        &mut self,
        given: *const *const c_char,
        target: &Target,
    ) -> *const *const c_char {
        let Some(config) = config::get() else {
            return given;
        };
        let Some(library) = &config.library else {
            return given;
        };
        if given.is_null() {
            return given;
        }
        // SAFETY: the caller's contract.
        let Contents {
            count,
            preload,
            present,
        } = unsafe { contents(config, given) };
        let loaded = preload.is_some_and(|(_, list)| {
            preload::is_in_order(list, library.to_bytes(), target.runtimes())
        });
        let all = (1u32 << config.environment.len()) - 1;
        if loaded && present == all {
            return given;
        }
        let Some(room) = self.room(count + config.environment.len() + 2) else {
            return given;
        };
        // SAFETY: `room` has room for that many pointers, and `given` has `count` entries.
        unsafe { std::ptr::copy_nonoverlapping(given, room, count) };
        let mut end = count;
        let put = |at: usize, entry: *const c_char| {
            // SAFETY: at most `count + settings + 1` entries are stored, and one more for the NULL.
            unsafe { *room.add(at) = entry };
        };
        if !loaded {
            let list = preload.map_or(&b""[..], |(_, list)| list);
            if let Some(entry) = self.preload_entry(list, library.to_bytes(), target) {
                put(preload.map_or(end, |(at, _)| at), entry);
                end += preload.is_none() as usize;
            }
        }
        for (i, ours) in config.environment.iter().enumerate() {
            if present & 1 << i == 0 {
                put(end, ours.as_ptr());
                end += 1;
            }
        }
        put(end, std::ptr::null());
        room
    }

    fn room(&mut self, count: usize) -> Option<*mut *const c_char> {
        if count <= SMALL {
            return Some(self.entries.as_mut_ptr());
        }
        let size = count * size_of::<*const c_char>();
        let place = sys::map_private(size, libc::PROT_READ | libc::PROT_WRITE).ok()?;
        self.large = Some((place, size));
        Some(place.cast())
    }

    /// The LD_PRELOAD entry: the runtimes that the program wants, other runtimes that somebody has
    /// put there, this library, and the rest of the list. It is `None` when the list would be
    /// longer than any sensible one.
    fn preload_entry(
        &mut self,
        list: &[u8],
        library: &[u8],
        target: &Target,
    ) -> Option<*const c_char> {
        let named = preload::find(list, library).unwrap_or(library);
        let all = preload::in_order(list, named, target.runtimes());
        let mut at = ENTRY.len();
        self.preload[..at].copy_from_slice(ENTRY);
        for entry in all {
            let end = at + entry.len();
            self.preload.get_mut(at..end)?.copy_from_slice(entry);
            *self.preload.get_mut(end)? = b':';
            at = end + 1;
        }
        self.preload[at - 1] = 0;
        Some(self.preload.as_ptr().cast())
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Some((place, size)) = self.large {
            // SAFETY: the mapping is our own, and the call that used it has returned.
            unsafe { sys::unmap(place, size) };
        }
    }
}
