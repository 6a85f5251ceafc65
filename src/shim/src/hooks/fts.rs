//! fts(3) over a tree of which a part may be in the view. libc walks with calls of its own, past
//! the hooks, so such a tree is walked here, as libc does with FTS_NOCHDIR: the paths are the same,
//! and the working directory stays. What is found lives until fts_close(3).

use super::directory::my_opendir;
use super::stat::{my_lstat, my_stat};
use crate::errno;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use libc::{c_char, c_int, c_long, c_short, c_ushort, c_void};
use std::ffi::{CStr, CString};

// Options of fts_open(3).
const COMFOLLOW: c_int = 1;
const LOGICAL: c_int = 2;
const NOSTAT: c_int = 8;
const PHYSICAL: c_int = 0x10;
const SEEDOT: c_int = 0x20;
const XDEV: c_int = 0x40;
const OPTIONS: c_int = 0xff;
/// The only instruction of fts_children(3).
const NAMEONLY: c_int = 0x100;

// What an entry is (`fts_info`).
const D: c_ushort = 1;
const DC: c_ushort = 2;
const DEFAULT: c_ushort = 3;
const DNR: c_ushort = 4;
const DOT: c_ushort = 5;
const DP: c_ushort = 6;
const ERR: c_ushort = 7;
const F: c_ushort = 8;
const INIT: c_ushort = 9;
const NS: c_ushort = 10;
const NSOK: c_ushort = 11;
const SL: c_ushort = 12;
const SLNONE: c_ushort = 13;

// What fts_set(3) asks for (`fts_instr`).
const AGAIN: c_ushort = 1;
const FOLLOW: c_ushort = 2;
const NOINSTR: c_ushort = 3;
const SKIP: c_ushort = 4;

/// `FTSENT` of fts.h; the name follows it in memory.
#[repr(C)]
pub struct Entry {
    cycle: *mut Entry,
    parent: *mut Entry,
    link: *mut Entry,
    number: c_long,
    pointer: *mut c_void,
    accpath: *mut c_char,
    path: *mut c_char,
    errno: c_int,
    symfd: c_int,
    pathlen: c_ushort,
    namelen: c_ushort,
    ino: libc::ino_t,
    dev: libc::dev_t,
    nlink: libc::nlink_t,
    level: c_short,
    info: c_ushort,
    flags: c_ushort,
    instr: c_ushort,
    statp: *mut libc::stat,
    name: [c_char; 256],
}

type Compare = Option<unsafe extern "C" fn(*mut *const Entry, *mut *const Entry) -> c_int>;

/// Whose address stands where libc's `FTS` has its current entry.
static OURS: u8 = 0;

/// A walk.
#[repr(C)]
struct Walk {
    is_ours: *const u8,
    compare: Compare,
    options: c_int,
    current: *mut Entry,
    /// The root's, and those of each directory that is walked, with the place of the next one.
    levels: Vec<(Vec<*mut Entry>, usize)>,
    /// What fts_children(3) has listed of the current entry.
    listed: Option<Vec<*mut Entry>>,
    /// All entries with what they point to.
    #[allow(clippy::vec_box, reason = "their addresses are given out")]
    kept: Vec<Box<(Entry, CString, libc::stat)>>,
    /// The parent of those where the walk begins.
    above: *mut Entry,
    device: libc::dev_t,
}

impl Walk {
    /// Makes an entry.
    fn entry(
        &mut self,
        parent: *mut Entry,
        level: c_short,
        path: CString,
        name: &[u8],
    ) -> *mut Entry {
        // SAFETY: zeroes are a valid value of both structs.
        let (entry, st) = unsafe { (std::mem::zeroed::<Entry>(), std::mem::zeroed()) };
        self.kept.push(Box::new((entry, path, st)));
        let Some(kept) = self.kept.last_mut() else {
            return std::ptr::null_mut();
        };
        let (entry, path, st) = &mut **kept;
        entry.parent = parent;
        entry.level = level;
        entry.instr = NOINSTR;
        entry.info = INIT;
        entry.path = path.as_ptr().cast_mut();
        entry.accpath = entry.path;
        entry.pathlen = path.as_bytes().len() as c_ushort;
        entry.statp = st;
        let n = name.len().min(255);
        entry.namelen = n as c_ushort;
        for (to, from) in entry.name.iter_mut().zip(&name[..n]) {
            *to = *from as c_char;
        }
        entry
    }

    /// Looks at an entry (`fts_stat`).
    ///
    /// # Safety
    /// The entry is one of this walk's.
    unsafe fn look(&self, entry: *mut Entry, follow: bool) -> c_ushort {
        // SAFETY: the entry and what it points to live as long as the walk, of which only this
        // thread knows.
        unsafe {
            let e = &mut *entry;
            let follows = follow || self.options & LOGICAL != 0;
            let answer = match follows {
                true => my_stat(e.accpath, e.statp),
                false => my_lstat(e.accpath, e.statp),
            };
            if answer != 0 {
                let failed = errno::get();
                if follows && my_lstat(e.accpath, e.statp) == 0 {
                    errno::set(0);
                    return SLNONE;
                }
                e.errno = failed;
                *e.statp = std::mem::zeroed();
                return NS;
            }
            let st = &*e.statp;
            match st.st_mode & libc::S_IFMT {
                libc::S_IFDIR => {
                    (e.dev, e.ino, e.nlink) = (st.st_dev, st.st_ino, st.st_nlink);
                    let name = CStr::from_ptr(e.name.as_ptr());
                    if name == c"." || name == c".." {
                        return DOT;
                    }
                    let mut above = e.parent;
                    while !above.is_null() && (*above).level >= 0 {
                        if ((*above).dev, (*above).ino) == (e.dev, e.ino) {
                            e.cycle = above;
                            return DC;
                        }
                        above = (*above).parent;
                    }
                    D
                }
                libc::S_IFLNK => SL,
                libc::S_IFREG => F,
                _ => DEFAULT,
            }
        }
    }

    /// Lists a directory (`fts_build`); None when it cannot be read.
    ///
    /// # Safety
    /// The entry is one of this walk's.
    unsafe fn list(&mut self, of: *mut Entry, only_names: bool) -> Option<Vec<*mut Entry>> {
        // SAFETY: the entries are this walk's, and the directory is read and closed here.
        unsafe {
            let directory: *mut libc::DIR = my_opendir((*of).accpath).cast();
            if directory.is_null() {
                if !only_names {
                    (*of).info = DNR;
                    (*of).errno = errno::get();
                }
                return None;
            }
            let above = CStr::from_ptr((*of).path).to_bytes().to_vec();
            let above = above.strip_suffix(b"/").unwrap_or(&above);
            let seen_dots = self.options & SEEDOT != 0;
            let is_short = self.options & NOSTAT != 0 && self.options & PHYSICAL != 0;
            let mut found = Vec::new();
            loop {
                let next = libc::readdir(directory);
                if next.is_null() {
                    break;
                }
                let name = CStr::from_ptr((*next).d_name.as_ptr()).to_bytes();
                if !seen_dots && (name == b"." || name == b"..") {
                    continue;
                }
                let Ok(path) = CString::new([above, b"/", name].concat()) else {
                    continue;
                };
                let entry = self.entry(of, (*of).level + 1, path, name);
                let kind = (*next).d_type;
                (*entry).info = match kind {
                    _ if only_names => NSOK,
                    libc::DT_DIR | libc::DT_UNKNOWN => self.look(entry, false),
                    _ if is_short => NSOK,
                    _ => self.look(entry, false),
                };
                found.push(entry);
            }
            libc::closedir(directory);
            self.arrange(&mut found);
            Some(found)
        }
    }

    /// Sorts entries and links them.
    fn arrange(&self, entries: &mut [*mut Entry]) {
        if let Some(compare) = self.compare {
            entries.sort_by(|one, other| {
                let (mut one, mut other) = (one.cast_const(), other.cast_const());
                // SAFETY: the function is the program's, and gets what it asks for.
                unsafe { compare(&raw mut one, &raw mut other) }.cmp(&0)
            });
        }
        for two in entries.windows(2) {
            // SAFETY: both are entries of this walk.
            unsafe { (*two[0]).link = two[1] };
        }
    }

    /// fts_read(3).
    ///
    /// # Safety
    /// Nobody else uses the walk.
    unsafe fn next(&mut self) -> *mut Entry {
        // SAFETY: the entries are this walk's.
        unsafe {
            let current = self.current;
            if !current.is_null() {
                let e = &mut *current;
                let asked = std::mem::replace(&mut e.instr, NOINSTR);
                match asked {
                    AGAIN => {
                        e.info = self.look(current, false);
                        return current;
                    }
                    FOLLOW if matches!(e.info, SL | SLNONE) => {
                        e.info = self.look(current, true);
                        return current;
                    }
                    _ => {}
                }
                if e.info == D {
                    let is_left = asked == SKIP || self.options & XDEV != 0 && e.dev != self.device;
                    let listed = self.listed.take();
                    let inside = match is_left {
                        true => Some(Vec::new()),
                        false => listed.or_else(|| self.list(current, false)),
                    };
                    match inside {
                        None => return current,
                        Some(inside) if inside.is_empty() => {
                            e.info = DP;
                            return current;
                        }
                        Some(inside) => self.levels.push((inside, 0)),
                    }
                }
            }
            self.listed = None;
            while let Some((entries, at)) = self.levels.last_mut() {
                let Some(&entry) = entries.get(*at) else {
                    self.levels.pop();
                    // The directory whose entries these were.
                    let Some((above, at)) = self.levels.last() else {
                        break;
                    };
                    let directory = above[at - 1];
                    (*directory).info = if (*directory).errno != 0 { ERR } else { DP };
                    self.current = directory;
                    return directory;
                };
                *at += 1;
                let e = &mut *entry;
                if e.level == 0 {
                    self.device = e.dev;
                    shorten(e);
                }
                match e.instr {
                    SKIP if e.level > 0 => continue,
                    FOLLOW if e.level > 0 => {
                        e.info = self.look(entry, true);
                        e.instr = NOINSTR;
                    }
                    _ => {}
                }
                self.current = entry;
                return entry;
            }
            errno::set(0);
            self.current = std::ptr::null_mut();
            std::ptr::null_mut()
        }
    }

    /// fts_children(3).
    ///
    /// # Safety
    /// Nobody else uses the walk.
    unsafe fn children(&mut self, instruction: c_int) -> *mut Entry {
        if instruction != 0 && instruction != NAMEONLY {
            errno::set(libc::EINVAL);
            return std::ptr::null_mut();
        }
        errno::set(0);
        // SAFETY: the entries are this walk's.
        unsafe {
            if self.current.is_null() {
                // Nothing has been read yet.
                let roots = self.levels.first();
                return roots
                    .and_then(|r| r.0.first().copied())
                    .unwrap_or(std::ptr::null_mut());
            }
            if (*self.current).info != D {
                return std::ptr::null_mut();
            }
            let listed = self.list(self.current, instruction == NAMEONLY);
            let first = listed.as_ref().and_then(|listed| listed.first().copied());
            self.listed = listed.filter(|_| instruction == 0);
            first.unwrap_or(std::ptr::null_mut())
        }
    }
}

/// Leaves the last part of a path as the name of where a walk begins (`fts_load`).
fn shorten(root: &mut Entry) {
    let name = &mut root.name[..usize::from(root.namelen)];
    let slash = name.iter().rposition(|b| *b as u8 == b'/');
    if let Some(slash) = slash.filter(|slash| *slash > 0 || name.len() > 1) {
        let length = name.len() - slash - 1;
        name.rotate_left(slash + 1);
        name[length..].fill(0);
        root.namelen = length as c_ushort;
    }
}

/// May one of these paths lead into the view?
///
/// # Safety
/// The array is the caller's for fts_open(3).
unsafe fn concern(paths: *const *const c_char) -> bool {
    // SAFETY: the array ends with NULL; the paths are looked at with care.
    unsafe {
        let mut at = paths;
        while !at.is_null() && !(*at).is_null() {
            if route::before(libc::AT_FDCWD, *at) == Route::View {
                return true;
            }
            at = at.add(1);
        }
    }
    false
}

/// Begins a walk.
///
/// # Safety
/// The arguments are the caller's for fts_open(3).
unsafe fn begin(paths: *const *const c_char, options: c_int, compare: Compare) -> *mut c_void {
    let fail = |e| {
        errno::set(e);
        std::ptr::null_mut()
    };
    if options & !OPTIONS != 0 {
        return fail(libc::EINVAL);
    }
    let mut walk = Box::new(Walk {
        is_ours: &raw const OURS,
        compare,
        options,
        current: std::ptr::null_mut(),
        levels: Vec::new(),
        listed: None,
        kept: Vec::new(),
        above: std::ptr::null_mut(),
        device: 0,
    });
    walk.above = walk.entry(std::ptr::null_mut(), -1, CString::default(), b"");
    let above = walk.above;
    let mut roots = Vec::new();
    let mut at = paths;
    // SAFETY: the array ends with NULL, and the paths are NUL-terminated.
    unsafe {
        while !(*at).is_null() {
            let path = CStr::from_ptr(*at);
            if path.is_empty() {
                return fail(libc::ENOENT);
            }
            let bytes = path.to_bytes();
            let root = walk.entry(above, 0, path.to_owned(), bytes);
            (*root).info = match walk.look(root, options & COMFOLLOW != 0) {
                DOT => D,
                info => info,
            };
            roots.push(root);
            at = at.add(1);
        }
    }
    walk.arrange(&mut roots);
    walk.levels.push((roots, 0));
    Box::into_raw(walk).cast()
}

/// The walk behind a handle; None for one of libc's.
///
/// # Safety
/// The handle is one of fts_open(3), and nobody else uses it.
unsafe fn ours<'w>(handle: *mut c_void) -> Option<&'w mut Walk> {
    // SAFETY: what libc's begins with is a pointer, and never to that byte.
    unsafe {
        let is_ours = !handle.is_null() && *handle.cast::<*const u8>() == &raw const OURS;
        is_ours.then(|| &mut *handle.cast::<Walk>())
    }
}

/// fts_open(3); `host` walks what is not in the view.
fn open(
    paths: *const *const c_char,
    options: c_int,
    compare: Compare,
    host: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    // SAFETY: these are the caller's arguments for that very call.
    unsafe {
        match concern(paths) {
            true => begin(paths, options, compare),
            false => host(),
        }
    }
}

/// fts_read(3).
fn read(walk: *mut c_void, host: impl FnOnce() -> *mut Entry) -> *mut Entry {
    // SAFETY: the handle is the caller's for that very call, and the walk its thread's.
    unsafe { ours(walk).map_or_else(host, |walk| walk.next()) }
}

/// fts_children(3).
fn children(
    walk: *mut c_void,
    instruction: c_int,
    host: impl FnOnce() -> *mut Entry,
) -> *mut Entry {
    // SAFETY: the handle is the caller's for that very call, and the walk its thread's.
    unsafe { ours(walk).map_or_else(host, |walk| walk.children(instruction)) }
}

/// fts_close(3).
fn close(walk: *mut c_void, host: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the handle is the caller's for that very call; a walk of ours was given out by
    // `begin`, and is given back only here.
    unsafe {
        if ours(walk).is_none() {
            return host();
        }
        drop(Box::from_raw(walk.cast::<Walk>()));
    }
    0
}

hooks! {
    fn fts_open(paths: *const *const c_char, options: c_int, compare: Compare) -> *mut c_void => my_fts_open {
        open(paths, options, compare, || real!(fts_open(paths, options, compare)))
    }
    fn fts_read(walk: *mut c_void) -> *mut Entry => my_fts_read {
        read(walk, || real!(fts_read(walk)))
    }
    fn fts_children(walk: *mut c_void, instruction: c_int) -> *mut Entry => my_fts_children {
        children(walk, instruction, || real!(fts_children(walk, instruction)))
    }
    fn fts_close(walk: *mut c_void) -> c_int => my_fts_close {
        close(walk, || real!(fts_close(walk)))
    }
    fn fts64_open(paths: *const *const c_char, options: c_int, compare: Compare) -> *mut c_void => my_fts64_open {
        open(paths, options, compare, || real!(fts64_open(paths, options, compare)))
    }
    fn fts64_read(walk: *mut c_void) -> *mut Entry => my_fts64_read {
        read(walk, || real!(fts64_read(walk)))
    }
    fn fts64_children(walk: *mut c_void, instruction: c_int) -> *mut Entry => my_fts64_children {
        children(walk, instruction, || real!(fts64_children(walk, instruction)))
    }
    fn fts64_close(walk: *mut c_void) -> c_int => my_fts64_close {
        close(walk, || real!(fts64_close(walk)))
    }
}
