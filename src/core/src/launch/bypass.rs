//! Reasons why the system would start a program without the library, or why the library would not
//! see what the program does. Nothing here allocates, so that the preloaded library can ask between
//! fork and exec.

use super::elf::{self, Kind, Machine};
use crate::sys;
use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The reason why a program runs without the library, or past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bypass {
    /// It has the set-uid bit of another user.
    SetUid,
    /// It has the set-gid bit of another group.
    SetGid,
    /// It has file capabilities.
    Capabilities,
    /// It is static: no dynamic linker starts it.
    Static,
    /// It is a Go program, which makes system calls of its own.
    Go,
    /// It uses musl, another C library.
    Musl,
    /// It is started by another dynamic linker.
    Linker,
    /// It is built for another architecture.
    Architecture(Machine),
}

impl Bypass {
    /// Would the program have rights on the machine that its caller does not have? Such a program
    /// is not started.
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

/// The reason why the file behind `fd` runs past the library; `None` if it does not. `name` is the
/// last component of its path, and `start` the file's first bytes. This allocates nothing, so that
/// it can be asked between fork and exec.
pub fn bypass(fd: i32, name: &[u8], start: &[u8]) -> Option<Bypass> {
    privileges(fd).or_else(|| of_kind(&elf::kind(fd, start), name))
}

pub(super) fn is_linker(name: &[u8]) -> bool {
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

/// Will the system start the file in secure-execution mode (ld.so(8))? This follows the rules of
/// the kernel's security/commoncap.c.
fn privileges(fd: i32) -> Option<Bypass> {
    let st = sys::fstat(fd).ok()?;
    // SAFETY: these calls have no arguments and return numbers.
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
    // SAFETY: the name is NUL-terminated; with a size of 0 the call writes nothing.
    unsafe { libc::fgetxattr(fd, name.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}

/// Has this process promised (with PR_SET_NO_NEW_PRIVS) that nothing it executes gains privileges?
fn gains_nothing() -> bool {
    // SAFETY: this request only returns a number.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

fn has_mount_flag(fd: i32, flag: libc::c_ulong) -> bool {
    let mut st = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `st` has room for one statvfs, for which zeroes are a valid value.
    unsafe { libc::fstatvfs(fd, st.as_mut_ptr()) == 0 && st.assume_init().f_flag & flag != 0 }
}

/// Is the file on a file system that is mounted noexec, from which nothing can be executed or
/// mapped as code?
pub fn is_noexec(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| has_mount_flag(file.as_raw_fd(), libc::ST_NOEXEC))
}
