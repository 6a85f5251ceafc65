//! Finds raw system calls in a program and its libraries.

use super::code::{self, OVERLAP};
use super::elf::{self, Entry, Image, Kind};
use crate::sys;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Names of libraries whose system calls are not counted: the C library and its companions, whose
/// calls are the ones behind the hooks, and runtimes that make their own on purpose where no
/// program should notice.
const OF_SYSTEM: &[&str] = &[
    "libc.",
    "ld-linux",
    "libm.",
    "libpthread.",
    "libdl.",
    "librt.",
    "libresolv.",
    "libgcc_s.",
    "libstdc++.",
    "libasan.",
    "libtsan.",
    "libubsan.",
    "liblsan.",
    "libhwasan.",
    "libclang_rt.",
    "libmemtun.",
    "linux-vdso",
];

/// The note by which a program is recognised that has this crate linked in (elf(5)): two lengths,
/// the type and the owner.
#[used]
#[link_section = ".note.memtun"]
static NOTE: ([u32; 3], [u8; 8]) = ([7, 0, 1], *b"memtun\0\0");

/// Number of libraries that are looked at: more than programs have.
const LIBRARIES: usize = 128;

/// The names of the calls by which a program or one of its libraries could use a tunnel past the
/// hooks. A library is named with them, `None` stands for the program itself.
pub fn calls_of(
    image: &Image<'_>,
    path: &Path,
    file: &File,
) -> Vec<(Option<PathBuf>, Vec<&'static str>)> {
    let mut found = Vec::new();
    let mut note = |library: Option<&Path>, calls: Vec<&'static str>| {
        if !calls.is_empty() {
            found.push((library.map(Path::to_owned), calls));
        }
    };
    note(None, of_file(image, file));
    let mut places = Places::new();
    let mut seen = HashSet::new();
    let mut waiting: VecDeque<PathBuf> = places.wanted(image, path).into();
    while let Some(library) = waiting.pop_front().filter(|_| seen.len() < LIBRARIES) {
        let Ok(file) = File::open(&library) else {
            continue;
        };
        if !seen.insert(library.clone()) {
            continue;
        }
        let mut start = [0; 1024];
        let len = sys::pread(file.as_raw_fd(), &mut start, 0).unwrap_or(0);
        if let Kind::Ours(image) = elf::kind(file.as_raw_fd(), &start[..len]) {
            note(Some(&library), of_file(&image, &file));
            waiting.extend(places.wanted(&image, &library));
        }
    }
    found
}

/// The names of the calls that were found in a file, by the file's identity: a test starts its
/// program again and again, and the file is read only once.
static KNOWN: Mutex<Option<HashMap<[i64; 5], Vec<&'static str>>>> = Mutex::new(None);

fn of_file(image: &Image<'_>, file: &File) -> Vec<&'static str> {
    let Ok(meta) = file.metadata() else {
        return Vec::new();
    };
    let key = [
        meta.dev() as i64,
        meta.ino() as i64,
        meta.size() as i64,
        meta.ctime(),
        meta.ctime_nsec(),
    ];
    // The lock is not waited for: another thread may hold it for long, or a thread that a fork has
    // cut off for ever.
    if let Ok(known) = KNOWN.try_lock() {
        if let Some(calls) = known.as_ref().and_then(|known| known.get(&key)) {
            return calls.clone();
        }
    }
    let calls = scan(image, file.as_raw_fd());
    if let Ok(mut known) = KNOWN.try_lock() {
        known.get_or_insert_default().insert(key, calls.clone());
    }
    calls
}

fn scan(image: &Image<'_>, fd: i32) -> Vec<&'static str> {
    let mut names = BTreeSet::new();
    if image.has_note(b"memtun\0\0") {
        // The program is a driver that is built with this crate, and has these calls from it.
        return Vec::new();
    }
    let mut unknown = false;
    each_call(image, fd, |call| {
        unknown |= call.number.is_none();
        names.extend(code::name(call));
    });
    if unknown {
        // Without optimisation the call's number is an argument of a function of rustix, so the
        // calls are recognised by the symbols of that crate.
        image.each_defined(|symbol| names.extend(of_rustix(symbol)));
    }
    // A program that makes only raw writes makes them to report a crash.
    if names.iter().all(|name| ["write", "writev"].contains(name)) {
        names.clear();
    }
    // A sanitizer in the program itself makes raw calls that cannot be told from the program's. It
    // is found by its symbols, which are many, so they are read only when there are calls.
    if !names.is_empty() && image.has_sanitizer() {
        names.clear();
    }
    names.into_iter().collect()
}

/// The system call that a function of rustix makes. The function is known by its symbol, such as
/// `rustix::backend::io::syscalls::read`.
fn of_rustix(symbol: &[u8]) -> Option<&'static str> {
    let after = |text: &'static [u8], in_: &'_ [u8]| {
        let at = in_.windows(text.len()).position(|part| part == text)?;
        Some(at + text.len())
    };
    let rest = &symbol[after(b"6rustix7backend", symbol)?..];
    let rest = &rest[after(b"8syscalls", rest)?..];
    let calls: &[(&[u8], &'static str)] = &[
        (b"4read", "read"),
        (b"5write", "write"),
        (b"5readv", "readv"),
        (b"6writev", "writev"),
        (b"7preadv2", "preadv2"),
        (b"8pwritev2", "pwritev2"),
        (b"4open", "open"),
        (b"6openat", "openat"),
        (b"7openat2", "openat2"),
        (b"4poll", "poll"),
        (b"6select", "select"),
        (b"9epoll_add", "epoll_ctl"),
        (b"9epoll_mod", "epoll_ctl"),
        (b"10epoll_wait", "epoll_wait"),
        (b"14io_uring_setup", "io_uring_setup"),
        (b"14io_uring_enter", "io_uring_enter"),
    ];
    // A symbol has the length in front of each name, so no name is the beginning of another.
    let found = calls.iter().find(|(name, _)| rest.starts_with(name));
    found.map(|(_, call)| *call)
}

fn each_call(image: &Image<'_>, fd: i32, mut each: impl FnMut(code::Call)) {
    const PIECE: usize = 1 << 18;
    let mut buf = vec![0; OVERLAP + PIECE];
    for (offset, size) in image.code() {
        let (mut at, end) = (offset, offset.saturating_add(size));
        let mut kept = 0;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let got = sys::pread(fd, &mut buf[kept..kept + want], at).unwrap_or(0);
            if got == 0 {
                break;
            }
            // The search begins one byte back, because the two bytes of a call may lie on both
            // sides of the cut.
            code::each_call(&buf[..kept + got], kept.saturating_sub(1), &mut each);
            at += got as u64;
            let len = kept + got;
            kept = len.min(OVERLAP);
            buf.copy_within(len - kept..len, 0);
        }
    }
}

/// The directories in which libraries are looked for (ld.so(8)).
struct Places(Vec<PathBuf>);

impl Places {
    fn new() -> Places {
        let mut places: Vec<PathBuf> = Vec::new();
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            places.extend(std::env::split_paths(&path));
        }
        configured(Path::new("/etc/ld.so.conf"), &mut places, 0);
        let usual = [
            "/lib/x86_64-linux-gnu",
            "/usr/lib/x86_64-linux-gnu",
            "/lib/aarch64-linux-gnu",
        ];
        let more = [
            "/usr/lib/aarch64-linux-gnu",
            "/lib64",
            "/usr/lib64",
            "/lib",
            "/usr/lib",
        ];
        places.extend(usual.iter().chain(&more).map(PathBuf::from));
        Places(places)
    }

    /// The files of the libraries that an image needs, without those of the system.
    fn wanted(&mut self, image: &Image<'_>, path: &Path) -> Vec<PathBuf> {
        let (mut names, mut own) = (Vec::new(), Vec::new());
        let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
        image.each_name(|entry, name| {
            let text = String::from_utf8_lossy(name);
            match entry {
                Entry::Needed => names.push(text.into_owned()),
                Entry::SearchPath => own.extend(text.split(':').map(|dir| {
                    PathBuf::from(
                        dir.replace("$ORIGIN", &origin)
                            .replace("${ORIGIN}", &origin),
                    )
                })),
            }
            true
        });
        names.retain(|name| !OF_SYSTEM.iter().any(|system| name.starts_with(system)));
        let find = |name: &String| {
            if name.contains('/') {
                return Some(PathBuf::from(name));
            }
            let mut candidates = own.iter().chain(&self.0).map(|dir| dir.join(name));
            candidates.find(|file| file.is_file())
        };
        names.iter().filter_map(find).collect()
    }
}

/// Adds the directories that ld.so.conf names, and those of the files that it includes.
fn configured(file: &Path, places: &mut Vec<PathBuf>, depth: usize) {
    let text = fs::read_to_string(file).unwrap_or_default();
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("include ") {
            Some(pattern) if depth < 3 => {
                // The pattern is a directory and *.conf wherever this file is in use.
                let dir = Path::new(pattern.trim()).parent().unwrap_or(Path::new("/"));
                let entries = fs::read_dir(dir).into_iter().flatten().flatten();
                let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
                files.retain(|file| file.extension() == Some(OsStr::from_bytes(b"conf")));
                files.sort();
                files
                    .iter()
                    .for_each(|file| configured(file, places, depth + 1));
            }
            _ if line.starts_with('/') => places.push(line.into()),
            _ => (),
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
#[allow(dead_code)]
#[path = "../../../../shim-tests/src/not_run.rs"]
mod not_run;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::process::Command;

    /// The library is full of system calls, and of constants and jump tables that look like system
    /// calls.
    #[test]
    fn as_many_instructions_are_found_as_a_disassembler_finds() {
        let maps = fs::read_to_string("/proc/self/maps").expect("of this process");
        let mut paths = maps
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().nth(5));
        let libc = paths
            .find(|path| path.contains("/libc.so"))
            .expect("it is loaded");
        let Ok(listing) = Command::new("objdump").args(["-d", libc]).output() else {
            return not_run::not_run("the comparison with a disassembler", "no objdump here");
        };
        let listing = String::from_utf8_lossy(&listing.stdout);
        let is_call = |line: &&str| {
            line.split('\t')
                .nth(2)
                .is_some_and(|i| i.trim() == "syscall")
        };
        let expected = listing.lines().filter(is_call).count();
        let file = File::open(libc).expect("readable");
        let mut start = [0; 1024];
        let len = sys::pread(file.as_raw_fd(), &mut start, 0).expect("readable");
        let Kind::Ours(image) = elf::kind(file.as_raw_fd(), &start[..len]) else {
            panic!("libc is an ELF file of ours");
        };
        let mut found = 0;
        each_call(&image, file.as_raw_fd(), |_| found += 1);
        assert!(expected > 100, "{expected}");
        assert_eq!(found, expected);
    }
}
