//! What can be known of a program before it starts: does it start at all, would it touch the machine itself, and will the
//! library see what it does? One guard with one set of sentences: the command, [`UnderShim`](crate::UnderShim), Python and C
//! ask it, and the preloaded library asks a part of it about what the program executes in its turn.

use super::elf::{self, Entry, Image, Kind, Machine};
use super::program::{self, Start, Step};
use super::raw;
use crate::{sys, Error, Result};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why a program runs without the library, or past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bypass {
    /// Another user's set-uid bit.
    SetUid,
    /// Another group's set-gid bit.
    SetGid,
    /// File capabilities.
    Capabilities,
    /// No dynamic linker.
    Static,
    /// Go's own system calls.
    Go,
    /// Another C library.
    Musl,
    /// Another dynamic linker.
    Linker,
    /// Another architecture.
    Architecture(Machine),
}

impl Bypass {
    /// Would it have rights on the machine that its caller does not have? Such a program is not started.
    pub fn touches_host(self) -> bool {
        matches!(self, Bypass::SetUid | Bypass::SetGid | Bypass::Capabilities)
    }
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let without = "so the system starts it without the library, on the machine's own devices; run a copy of it that";
        match self {
            Bypass::SetUid => write!(f, "is set-uid, {without} is not"),
            Bypass::SetGid => write!(f, "is set-gid, {without} is not"),
            Bypass::Capabilities => write!(f, "has file capabilities, {without} has none"),
            Bypass::Static => f.write_str(
                "is linked statically, so no library can be loaded into it; link it dynamically, against glibc",
            ),
            Bypass::Go => f.write_str(
                "is a Go program, which makes its system calls without libc, where no library sees them; build it with \
                 gccgo, or hand it a tunnel's descriptor that another program opened",
            ),
            Bypass::Musl => f.write_str(
                "is linked with musl, which this library does not serve; build it for glibc (a -gnu target)",
            ),
            Bypass::Linker => {
                f.write_str("is started by a dynamic linker that is not glibc's; build it for glibc")
            }
            Bypass::Architecture(theirs) => {
                let ours = Machine::OURS;
                write!(f, "is built for {theirs}, so this {ours} library cannot be loaded into it; build it for {ours}, or memtun for {theirs}")
            }
        }
    }
}

/// Does the file that is open here run past the library? `name` is its last path component, `start` its first bytes.
/// Allocates nothing, so that it can be asked between fork and exec.
pub fn bypass(fd: i32, name: &[u8], start: &[u8]) -> Option<Bypass> {
    privileges(fd).or_else(|| of_kind(&elf::kind(fd, start), name))
}

fn is_linker(name: &[u8]) -> bool {
    let known = [b"ld-linux".as_slice(), b"ld.so", b"ld-2"];
    known.iter().any(|known| name.starts_with(known))
}

fn of_kind(kind: &Kind<'_>, name: &[u8]) -> Option<Bypass> {
    let image = match kind {
        Kind::Other => return None,
        Kind::Foreign(machine) => return Some(Bypass::Architecture(*machine)),
        Kind::Ours(image) => image,
    };
    if !image.is_program() {
        return None;
    }
    if image.is_go() {
        return Some(Bypass::Go);
    }
    let mut buf = [0; 256];
    let Some(linker) = image.interpreter(&mut buf) else {
        // The dynamic linker itself can be run with a program as its argument.
        return (!is_linker(name)).then_some(Bypass::Static);
    };
    let has = |part: &[u8]| linker.windows(part.len()).any(|w| w == part);
    if has(b"ld-musl") {
        return Some(Bypass::Musl);
    }
    let glibc = [
        b"/ld-linux".as_slice(),
        b"/ld64",
        b"/ld.so",
        b"/ld-2",
        b"/nix/",
    ];
    let known = linker.is_empty() || glibc.iter().any(|part| has(part));
    (!known).then_some(Bypass::Linker)
}

/// Will the system start it in secure-execution mode, ld.so(8)? As security/commoncap.c decides that.
fn privileges(fd: i32) -> Option<Bypass> {
    let st = sys::fstat(fd).ok()?;
    // SAFETY: these ask for numbers only.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let found = if st.st_mode & libc::S_ISUID != 0 && st.st_uid != uid {
        Bypass::SetUid
    } else if st.st_mode & 0o2010 == 0o2010 && st.st_gid != gid {
        Bypass::SetGid
    } else if uid != 0 && has_capabilities(fd) {
        Bypass::Capabilities
    } else {
        return None;
    };
    (!gains_nothing() && !has_mount_flag(fd, libc::ST_NOSUID)).then_some(found)
}

fn has_capabilities(fd: i32) -> bool {
    let name = c"security.capability";
    // SAFETY: a NUL-terminated name; with a size of 0 nothing is written.
    unsafe { libc::fgetxattr(fd, name.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}

/// Has this process promised that nothing it executes gains privileges?
fn gains_nothing() -> bool {
    // SAFETY: asks for a number only.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

fn has_mount_flag(fd: i32, flag: libc::c_ulong) -> bool {
    let mut st = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: room for one statvfs, for which zeroes are a value.
    unsafe { libc::fstatvfs(fd, st.as_mut_ptr()) == 0 && st.assume_init().f_flag & flag != 0 }
}

/// Is the file on a file system from which nothing can be executed, nor mapped as code?
pub fn is_noexec(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| has_mount_flag(file.as_raw_fd(), libc::ST_NOEXEC))
}

/// What a look at a program gives.
#[derive(Debug, Default)]
pub struct Examined {
    /// The file that runs in the end.
    pub file: PathBuf,
    /// Why it must not be started, with the remedy: it would touch the machine itself.
    pub refusal: Option<String>,
    /// Why the library will not see what it does, each with its remedy.
    pub warnings: Vec<String>,
    /// What may be of interest.
    pub notes: Vec<String>,
    /// Sanitizers' runtimes that it is linked with, which must stand in front of the library in LD_PRELOAD.
    pub runtimes: Vec<String>,
}

impl Examined {
    /// What makes a program not be started: EPERM, unless it is forced.
    pub fn permit(&mut self, force: bool) -> Result<()> {
        match self.refusal.take() {
            Some(text) if force => self.warnings.push(text),
            Some(text) => return Err(Error::new(libc::EPERM, format!("{text}, or force it"))),
            None => (),
        }
        Ok(())
    }
}

/// Looks at a program and at what it takes to start it.
///
/// Errors: as execve(2) would give them, with a sentence.
pub fn examine(start: Start<'_>) -> Result<Examined> {
    let steps = program::steps(start)?;
    let mut examined = Examined::default();
    let last = steps.len().saturating_sub(1);
    for (i, step) in steps.iter().enumerate() {
        look(step, i == last, &mut examined)?;
    }
    if let Some(step) = steps.into_iter().next_back() {
        examined.file = step.file;
    }
    Ok(examined)
}

fn look(step: &Step, last: bool, examined: &mut Examined) -> Result<()> {
    // What cannot be read can be executed all the same; its mode can be seen without reading.
    let Ok(file) = File::open(&step.file).or_else(|_| path_only(&step.file)) else {
        return Ok(());
    };
    let fd = file.as_raw_fd();
    let mut buf = [0; 1024];
    let len = sys::pread(fd, &mut buf, 0).unwrap_or(0);
    let start = &buf[..len];
    // A script's own bits count for nothing.
    if start.starts_with(b"#!") {
        return Ok(());
    }
    let name = step.file.file_name().unwrap_or(OsStr::new("")).as_bytes();
    let shown = step.shown();
    if let Kind::Ours(image) = elf::kind(fd, start) {
        has_its_linker(&image, &shown)?;
    }
    match bypass(fd, name, start) {
        Some(why) if why.touches_host() => {
            examined
                .refusal
                .get_or_insert_with(|| format!("{shown}: {why}"));
        }
        Some(why) => examined.warnings.push(format!("{shown}: {why}")),
        // The dynamic linker's system calls come before any library's.
        None if is_linker(name) => (),
        None => {
            if let (true, Kind::Ours(image)) = (last, elf::kind(fd, start)) {
                closer(&image, step, &file, &shown, examined);
            }
        }
    }
    Ok(())
}

/// The system says of a program without its dynamic linker that the program does not exist.
fn has_its_linker(image: &Image<'_>, shown: &str) -> Result<()> {
    let mut buf = [0; 256];
    match image.interpreter(&mut buf) {
        Some(linker) if !linker.is_empty() => {
            let linker = Path::new(OsStr::from_bytes(linker));
            match std::fs::metadata(linker) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::new(
                    libc::ENOENT,
                    format!(
                        "{shown}: cannot be executed: its dynamic linker {} does not exist; build it for this system, or \
                         install what it was built for",
                        linker.display()
                    ),
                )),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn path_only(file: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(file)
}

/// A program that loads the library: what it does past it all the same.
fn closer(image: &Image<'_>, step: &Step, file: &File, shown: &str, examined: &mut Examined) {
    image.each_name(|entry, name| {
        if entry == Entry::Needed && elf::is_sanitizer(name) {
            examined
                .runtimes
                .push(String::from_utf8_lossy(name).into_owned());
        }
        true
    });
    for (library, calls) in raw::calls_of(image, &step.file, file) {
        if library.is_some() && calls.iter().all(|call| call.starts_with("io_uring")) {
            // A library for that, which most of those who link it use for other files.
            let library = library.unwrap_or_default();
            examined.notes.push(format!(
                "{shown}: its library {} is for io_uring, by which no library sees what becomes of a tunnel",
                library.display()
            ));
            continue;
        }
        let whose = match library {
            Some(library) => format!("its library {} makes", library.display()),
            None => "makes".to_owned(),
        };
        examined.warnings.push(format!(
            "{shown}: {whose} raw system calls ({}), and what becomes of the device by them no library sees; build it so \
             that it calls libc (the crate rustix: with its feature use-libc)",
            calls.join(", ")
        ));
    }
}
