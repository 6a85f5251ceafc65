//! Searching directories: glob(3), ftw(3). libc looks into directories with calls of its own, past
//! the hooks.

use super::directory::my_opendir;
use super::stat::{my_lstat, my_stat};
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::{errno, uaccess, view};
use libc::{c_char, c_int, c_void};
use std::ffi::{CStr, CString};

const HERE: c_int = libc::AT_FDCWD;

/// GLOB_ALTDIRFUNC of glob.h: the functions in the caller's struct are used.
const OWN_FUNCTIONS: c_int = 1 << 9;

/// `glob_t` of glob.h.
#[repr(C)]
pub struct Glob {
    count: usize,
    paths: *mut *mut c_char,
    reserved: usize,
    flags: c_int,
    closedir: Option<unsafe extern "C" fn(*mut c_void)>,
    readdir: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    opendir: Option<unsafe extern "C" fn(*const c_char) -> *mut c_void>,
    lstat: Option<unsafe extern "C" fn(*const c_char, *mut libc::stat) -> c_int>,
    stat: Option<unsafe extern "C" fn(*const c_char, *mut libc::stat) -> c_int>,
}

unsafe extern "C" fn close_directory(directory: *mut c_void) {
    // SAFETY: glob(3) closes what it opened.
    unsafe { libc::closedir(directory.cast()) };
}

unsafe extern "C" fn read_directory(directory: *mut c_void) -> *mut c_void {
    // SAFETY: glob(3) reads what it opened.
    unsafe { libc::readdir(directory.cast()).cast() }
}

unsafe extern "C" fn open_directory(path: *const c_char) -> *mut c_void {
    // SAFETY: the path is glob(3)'s own.
    unsafe { my_opendir(path) }
}

unsafe extern "C" fn look(path: *const c_char, st: *mut libc::stat) -> c_int {
    // SAFETY: the arguments are glob(3)'s own.
    unsafe { my_lstat(path, st) }
}

unsafe extern "C" fn look_behind(path: *const c_char, st: *mut libc::stat) -> c_int {
    // SAFETY: the arguments are glob(3)'s own.
    unsafe { my_stat(path, st) }
}

/// glob(3) with this library's own functions, where the pattern may lead into the view.
fn globbing(
    pattern: *const c_char,
    flags: c_int,
    found: *mut Glob,
    host: impl FnOnce(c_int) -> c_int,
) -> c_int {
    // libc reads the pattern itself.
    let text = uaccess::c_string_that_was_read(pattern).unwrap_or_default();
    let is_odd = |b: &u8| matches!(b, b'*' | b'?' | b'[' | b'{' | b'\\');
    let first = text
        .get(1..)
        .unwrap_or_default()
        .split(|b| *b == b'/')
        .next();
    let may_lead_there = text.starts_with(b"/sys/")
        || text.starts_with(b"/proc/")
        || first.is_some_and(|first| first.iter().any(is_odd))
        || text.first() != Some(&b'/') && view::works_there();
    if flags & OWN_FUNCTIONS != 0 || found.is_null() || !may_lead_there {
        return host(flags);
    }
    // SAFETY: the struct is the caller's for this call; glob(3) writes it, too.
    unsafe {
        (*found).closedir = Some(close_directory);
        (*found).readdir = Some(read_directory);
        (*found).opendir = Some(open_directory);
        (*found).lstat = Some(look);
        (*found).stat = Some(look_behind);
        let answer = host(flags | OWN_FUNCTIONS);
        (*found).flags &= !OWN_FUNCTIONS;
        answer
    }
}

/// What nftw(3) tells of where it is.
#[repr(C)]
struct Place {
    base: c_int,
    level: c_int,
}

/// A function that is called with each thing that is found: of ftw(3), or of nftw(3).
#[derive(Clone, Copy)]
enum Each {
    Simple(unsafe extern "C" fn(*const c_char, *const libc::stat, c_int) -> c_int),
    Full(unsafe extern "C" fn(*const c_char, *const libc::stat, c_int, *mut c_void) -> c_int),
}

type Simple = Option<unsafe extern "C" fn(*const c_char, *const libc::stat, c_int) -> c_int>;
type Full =
    Option<unsafe extern "C" fn(*const c_char, *const libc::stat, c_int, *mut c_void) -> c_int>;

// Flags and types of ftw.h.
const FTW_PHYS: c_int = 1;
const FTW_DEPTH: c_int = 8;
const FTW_ACTIONRETVAL: c_int = 16;
const FTW_F: c_int = 0;
const FTW_D: c_int = 1;
const FTW_NS: c_int = 3;
const FTW_SL: c_int = 4;
const FTW_DP: c_int = 5;
const FTW_SLN: c_int = 6;
const FTW_SKIP_SUBTREE: c_int = 2;
const FTW_SKIP_SIBLINGS: c_int = 3;

/// ftw(3) and nftw(3) of a tree in the view. Where it has to change the working directory
/// (FTW_CHDIR) it does not; the paths are the same.
struct Walk {
    each: Each,
    flags: c_int,
}

impl Walk {
    /// Walks from here on. Returns what the walk ends with, or 0 when it goes on.
    fn go(&self, path: &CStr, level: c_int, above: &[(u64, u64)]) -> c_int {
        // SAFETY: zeroes are a valid struct stat, which the hooks fill.
        let mut st: libc::stat = unsafe { std::mem::zeroed() };
        let physical = self.flags & FTW_PHYS != 0;
        // SAFETY: the path is NUL-terminated, and the struct is our own.
        let (linked, followed) = unsafe {
            let linked = my_lstat(path.as_ptr(), &raw mut st) == 0;
            let is_link = linked && st.st_mode & libc::S_IFMT == libc::S_IFLNK;
            let followed = is_link && !physical && my_stat(path.as_ptr(), &raw mut st) == 0;
            (linked, is_link && !physical && !followed)
        };
        let kind = match st.st_mode & libc::S_IFMT {
            _ if !linked => FTW_NS,
            _ if followed => FTW_SLN,
            libc::S_IFLNK => FTW_SL,
            libc::S_IFDIR => FTW_D,
            _ => FTW_F,
        };
        let id = (st.st_dev, st.st_ino);
        if kind == FTW_NS && level == 0 {
            // Where the walk begins, there must be something.
            return -1;
        }
        if kind != FTW_D {
            return self.tell(path, &st, kind, level);
        }
        if above.contains(&id) {
            // A link leads back to a directory above.
            return 0;
        }
        if self.flags & FTW_DEPTH == 0 {
            match self.tell(path, &st, FTW_D, level) {
                FTW_SKIP_SUBTREE if self.flags & FTW_ACTIONRETVAL != 0 => return 0,
                0 => {}
                answer => return answer,
            }
        }
        let mut above = above.to_vec();
        above.push(id);
        for name in entries(path) {
            let slash: &[u8] = if path.to_bytes().ends_with(b"/") {
                b""
            } else {
                b"/"
            };
            let inner = [path.to_bytes(), slash, name.to_bytes()].concat();
            let Ok(inner) = CString::new(inner) else {
                continue;
            };
            match self.go(&inner, level + 1, &above) {
                0 => {}
                FTW_SKIP_SIBLINGS if self.flags & FTW_ACTIONRETVAL != 0 => break,
                answer => return answer,
            }
        }
        if self.flags & FTW_DEPTH != 0 {
            return self.tell(path, &st, FTW_DP, level);
        }
        0
    }

    fn tell(&self, path: &CStr, st: &libc::stat, kind: c_int, level: c_int) -> c_int {
        let slash = path.to_bytes().iter().rposition(|b| *b == b'/');
        let mut place = Place {
            base: slash.map_or(0, |slash| slash as c_int + 1),
            level,
        };
        // SAFETY: the function is the caller's, and gets what it asks for.
        unsafe {
            match self.each {
                Each::Simple(each) => each(path.as_ptr(), st, kind),
                Each::Full(each) => each(path.as_ptr(), st, kind, (&raw mut place).cast()),
            }
        }
    }
}

/// The names in a directory, without `.` and `..`.
fn entries(path: &CStr) -> Vec<CString> {
    let mut names = Vec::new();
    // SAFETY: the path is NUL-terminated; what is opened is read and closed here.
    unsafe {
        let directory: *mut libc::DIR = my_opendir(path.as_ptr()).cast();
        if directory.is_null() {
            return names;
        }
        loop {
            let entry = libc::readdir(directory);
            if entry.is_null() {
                break;
            }
            let name = CStr::from_ptr((*entry).d_name.as_ptr());
            if name != c"." && name != c".." {
                names.push(name.to_owned());
            }
        }
        libc::closedir(directory);
    }
    names
}

/// Walks a tree that may be in the view; `host` walks every other one.
fn walking(
    path: *const c_char,
    each: Option<Each>,
    flags: c_int,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let Some(each) = each else { return host() };
    // libc reads the path itself.
    if route::afterwards(HERE, path) != Route::View {
        return host();
    }
    let Ok(text) = uaccess::c_string(path) else {
        return host();
    };
    let trimmed = text
        .iter()
        .rposition(|b| *b != b'/')
        .map_or(1, |end| end + 1);
    match CString::new(&text[..trimmed]) {
        Ok(path) => match errno::keep(|| Walk { each, flags }.go(&path, 0, &[])) {
            // The look at its beginning has failed, or the program's function has said so.
            -1 => {
                // SAFETY: the path is NUL-terminated, and zeroes are a valid struct stat.
                unsafe {
                    let mut st: libc::stat = std::mem::zeroed();
                    my_lstat(path.as_ptr(), &raw mut st);
                }
                -1
            }
            answer => answer,
        },
        Err(_) => host(),
    }
}

hooks! {
    fn glob(pattern: *const c_char, flags: c_int, error: *mut c_void, found: *mut Glob) -> c_int => my_glob {
        globbing(pattern, flags, found, |flags| real!(glob(pattern, flags, error, found)))
    }
    fn glob64(pattern: *const c_char, flags: c_int, error: *mut c_void, found: *mut Glob) -> c_int => my_glob64 {
        globbing(pattern, flags, found, |flags| real!(glob64(pattern, flags, error, found)))
    }
    fn ftw(path: *const c_char, each: Simple, most: c_int) -> c_int => my_ftw {
        walking(path, each.map(Each::Simple), 0, || real!(ftw(path, each, most)))
    }
    fn ftw64(path: *const c_char, each: Simple, most: c_int) -> c_int => my_ftw64 {
        walking(path, each.map(Each::Simple), 0, || real!(ftw64(path, each, most)))
    }
    fn nftw(path: *const c_char, each: Full, most: c_int, flags: c_int) -> c_int => my_nftw {
        walking(path, each.map(Each::Full), flags, || real!(nftw(path, each, most, flags)))
    }
    fn nftw64(path: *const c_char, each: Full, most: c_int, flags: c_int) -> c_int => my_nftw64 {
        walking(path, each.map(Each::Full), flags, || real!(nftw64(path, each, most, flags)))
    }
}
