//! Finds `libmemtun.so`.
#![forbid(unsafe_code)]

use super::bypass::is_noexec;
use super::elf::{self, Kind};
use super::preload::{entries, PRELOAD};
use crate::{sys, Error, Result};
use memtun_kernel::settings::LIBRARY;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const NAME: &str = "libmemtun.so";

/// Places of the library, relative to the directory of an installed command.
const BESIDE: &[&str] = &["", "../lib", "../lib/memtun", "../libexec/memtun"];

/// Places where cargo puts the library, relative to a directory above one of its executables, or to
/// a checkout.
const BUILT: &[&str] = &[
    "release",
    "quick",
    "debug",
    "target/release",
    "target/quick",
    "target/debug",
];

const INSTALLED: &[&str] = &[
    "/usr/local/lib",
    "/usr/local/lib/memtun",
    "/usr/lib",
    "/usr/lib/memtun",
    "/usr/lib64",
    "/usr/lib64/memtun",
    #[cfg(target_arch = "x86_64")]
    "/usr/lib/x86_64-linux-gnu",
    #[cfg(target_arch = "aarch64")]
    "/usr/lib/aarch64-linux-gnu",
];

/// The library's path: `MEMTUN_LIBRARY` if that is set, else the first of these places that has a
/// library:
///
/// 1. the copy that this process itself was preloaded with;
/// 2. the directory of this executable, unless cargo built it there, and `../lib` from it;
/// 3. `target/release`, `target/quick` and `target/debug` of the directories above this executable,
///    which for an integration test in `target/debug/deps` are its own, and then of the checkout
///    that this crate was compiled in; of these the file that was built last;
/// 4. the directory of a `memtun` command in `PATH`, and `../lib` from it;
/// 5. `/usr/local/lib`, `/usr/lib` and their like.
///
/// What another user could have put into such a place is passed over.
///
/// # Errors
/// - ENOENT: none of the places has it; the sentence names them and the remedy.
/// - EINVAL: the library's path has a space or a colon in it, which LD_PRELOAD cannot express.
pub fn find() -> Result<PathBuf> {
    let library = match std::env::var_os(LIBRARY).filter(|given| !given.is_empty()) {
        Some(given) => given_by_name(Path::new(&given))?,
        None => look_around()?,
    };
    check(&library)?;
    Ok(library)
}

/// The library's path for a process that has loaded the library already, as `own`:
/// `MEMTUN_LIBRARY`, else the copy that the process was preloaded with, else `own`.
///
/// # Errors
/// The same as [`find`].
pub fn of(own: Result<PathBuf>) -> Result<PathBuf> {
    let library = match std::env::var_os(LIBRARY).filter(|given| !given.is_empty()) {
        Some(given) => given_by_name(Path::new(&given))?,
        None => match preloaded() {
            Some(path) => path,
            None => own.map(|path| fs::canonicalize(&path).unwrap_or(path))?,
        },
    };
    check(&library)?;
    Ok(library)
}

/// Can LD_PRELOAD express this path?
///
/// # Errors
/// - EINVAL: the path has a space or a colon in it.
fn check(library: &Path) -> Result<()> {
    let bytes = library.as_os_str().as_bytes();
    if bytes.iter().any(|b| b": \t\n".contains(b)) {
        let text = format!("{}: LD_PRELOAD takes no path with a space or ':' in it; copy the library elsewhere and set MEMTUN_LIBRARY", library.display());
        return Err(Error::new(libc::EINVAL, text));
    }
    Ok(())
}

/// Why the system will not load the library from where it is, with the remedy; `None` if it will.
pub fn obstacle(library: &Path) -> Option<String> {
    is_noexec(library).then(|| {
        let shown = library.display();
        format!("{shown}: is on a file system that is mounted noexec, from which no library can be loaded; copy it elsewhere and set MEMTUN_LIBRARY")
    })
}

fn given_by_name(given: &Path) -> Result<PathBuf> {
    match fs::canonicalize(given) {
        Ok(path) if path.is_file() && !is_it(&path) => Err(Error::new(
            libc::EINVAL,
            format!(
                "MEMTUN_LIBRARY={}: is not {NAME} for this machine, and programs would run without it, on the machine's own \
                 devices; name the one that cargo build --release -p memtun-shim makes",
                given.display()
            ),
        )),
        Ok(path) if path.is_file() => Ok(path),
        _ => Err(Error::new(
            libc::ENOENT,
            format!("{LIBRARY}={}: no such file; name {NAME}", given.display()),
        )),
    }
}

/// Is this file memtun's library, under whatever name? The loader starts a program even when it
/// preloads another file.
fn is_it(path: &Path) -> bool {
    let Ok(file) = fs::File::open(path) else {
        // A missing file is reported by the caller that wants it.
        return true;
    };
    let mut start = [0; 1024];
    let len = sys::pread(file.as_raw_fd(), &mut start, 0).unwrap_or(0);
    matches!(elf::kind(file.as_raw_fd(), &start[..len]), Kind::Ours(image) if image.exports(b"memtun_active"))
}

fn look_around() -> Result<PathBuf> {
    if let Some(path) = preloaded() {
        return Ok(path);
    }
    let mut search = Search::new();
    let executable = std::env::current_exe().and_then(fs::canonicalize);
    if let Some(dir) = executable.as_deref().ok().and_then(Path::parent) {
        if !is_cargos(dir) {
            search.first_of(dir, BESIDE, "in {} and ../lib from there");
        }
        let above = dir.ancestors();
        above.for_each(|dir| search.newest_of(dir, BUILT));
        search.note(
            dir,
            "in target/release, target/quick and target/debug above {}",
        );
    }
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    search.newest_of(checkout, BUILT);
    search.note(
        checkout,
        "in target/release, target/quick and target/debug of {}",
    );
    match command_in_path() {
        Some(dir) => search.first_of(&dir, BESIDE, "in {} and ../lib from there"),
        None => search
            .looked_at
            .push("beside a memtun in PATH, where there is none".into()),
    }
    for dir in INSTALLED {
        search.first_of(Path::new(dir), &[""], "in {}");
    }
    search.end()
}

fn preloaded() -> Option<PathBuf> {
    let list = std::env::var_os(PRELOAD)?;
    let mut paths = entries(list.as_bytes()).map(|entry| PathBuf::from(OsStr::from_bytes(entry)));
    paths.find(|path| path.file_name() == Some(OsStr::new(NAME)) && path.is_file())
}

/// Is this a directory of cargo's? It may hold a copy that was built long before another profile's.
fn is_cargos(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default();
    ["deps", "examples", "release", "quick", "debug"]
        .iter()
        .any(|known| name == *known)
}

fn command_in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let command = std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("memtun"))
        .find(|command| command.is_file())?;
    Some(fs::canonicalize(command).ok()?.parent()?.to_owned())
}

/// A search through places, which keeps their names for the error.
struct Search {
    found: Option<PathBuf>,
    looked_at: Vec<String>,
    trusted: Vec<u32>,
}

impl Search {
    fn new() -> Search {
        // The executable's owner could have put anything there: a container's root trusts the
        // checkout of the user who owns the executable.
        let executable = fs::metadata("/proc/self/exe").map(|meta| meta.uid());
        let trusted = [Some(0), Some(sys::effective_uid()), executable.ok()];
        Search {
            found: None,
            looked_at: Vec::new(),
            trusted: trusted.into_iter().flatten().collect(),
        }
    }

    /// Looks into the places of an installation in their order. `what` says for the error where the
    /// directory comes from.
    fn first_of(&mut self, dir: &Path, places: &[&str], what: &str) {
        let places = places.iter();
        places.for_each(|place| self.newest_of(dir, &[place]));
        self.note(dir, what);
    }

    /// Looks into the places of a build and takes the library that was built last.
    fn newest_of(&mut self, dir: &Path, places: &[&str]) {
        if self.found.is_some() {
            return;
        }
        let there = places
            .iter()
            .filter_map(|place| self.library_in(&dir.join(place)));
        self.found = there.max_by_key(|(built, _)| *built).map(|(_, path)| path);
    }

    fn note(&mut self, dir: &Path, what: &str) {
        let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let dir = dir.to_string_lossy();
        self.looked_at.push(what.replace("{}", &dir));
    }

    fn library_in(&self, dir: &Path) -> Option<(SystemTime, PathBuf)> {
        let path = fs::canonicalize(dir.join(NAME)).ok()?;
        let meta = fs::metadata(&path).ok()?;
        let usable = meta.is_file() && self.trusted.contains(&meta.uid());
        usable.then_some((meta.modified().ok()?, path))
    }

    fn end(self) -> Result<PathBuf> {
        let looked_at = self.looked_at.join(", ");
        self.found.ok_or_else(|| {
            let text = format!("no {NAME}: not {looked_at}; build it with cargo build --release -p memtun-shim, or set MEMTUN_LIBRARY");
            Error::new(libc::ENOENT, text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nowhere_is_an_error_with_the_places_and_the_remedy() {
        let mut search = Search::new();
        search.first_of(
            Path::new("/nowhere/bin"),
            BESIDE,
            "in {} and ../lib from there",
        );
        search.newest_of(Path::new("/nowhere"), BUILT);
        search.note(Path::new("/nowhere"), "above {}");
        let error = search.end().expect_err("nothing is there");
        assert_eq!(error.errno().0, libc::ENOENT);
        assert_eq!(
            error.to_string(),
            "no libmemtun.so: not in /nowhere/bin and ../lib from there, above /nowhere; \
             build it with cargo build --release -p memtun-shim, or set MEMTUN_LIBRARY"
        );
    }
}
