//! What can be seen to be wrong before a program starts, cheaply. `memtun doctor` looks closer.

use super::variable;
use crate::{sys, Error, Result};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

const S_ISUID: u32 = 0o4000;

/// The program exists, is executable, and the dynamic linker will look at LD_PRELOAD when it starts.
pub fn check(command: &Command) -> Result<()> {
    let program = find(command)?;
    let shown = program.display();
    let set_uid = fs::metadata(&program)
        .is_ok_and(|meta| meta.mode() & S_ISUID != 0 && meta.uid() != sys::effective_uid());
    if set_uid && !gains_nothing() {
        let text = format!("{shown}: is set-uid, so the system starts it without the library; run a copy of it that is not");
        return Err(Error::new(libc::EPERM, text));
    }
    if is_static(&program) {
        let text = format!("{shown}: is statically linked, so no library can be preloaded; link it dynamically, against glibc");
        return Err(Error::new(libc::ENOEXEC, text));
    }
    Ok(())
}

/// Has this process promised that nothing it executes gains privileges (prctl(2), PR_SET_NO_NEW_PRIVS)?
fn gains_nothing() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line == "NoNewPrivs:\t1")
}

/// The file that the command will execute, as `Command` finds it.
fn find(command: &Command) -> Result<PathBuf> {
    let program = command.get_program();
    let shown = program.to_string_lossy();
    if program.as_bytes().contains(&b'/') {
        // The child changes its directory first.
        let path = match command.get_current_dir() {
            Some(dir) => dir.join(program),
            None => PathBuf::from(program),
        };
        return match fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.mode() & 0o111 != 0 => Ok(path),
            Ok(_) => Err(Error::new(
                libc::EACCES,
                format!("{shown}: is not an executable file"),
            )),
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(libc::ENOENT);
                let text = format!(
                    "{shown}: {}; build it, or give its path",
                    crate::Errno(errno)
                );
                Err(Error::new(errno, text))
            }
        };
    }
    let path = Some(variable(command, "PATH")).filter(|path| !path.is_empty());
    let path = path.unwrap_or_else(|| "/bin:/usr/bin".into());
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|path| executable(path));
    found.ok_or_else(|| {
        let text = format!("{shown}: not found in PATH; give its path, or install it");
        Error::new(libc::ENOENT, text)
    })
}

fn executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

/// An ELF program without PT_INTERP, elf(5). False for anything that cannot be read.
fn is_static(path: &Path) -> bool {
    const PT_INTERP: u32 = 3;
    let mut header = [0u8; 64];
    let Ok(file) = File::open(path) else {
        return false;
    };
    let read = file.read_exact_at(&mut header, 0).is_ok();
    // 64 bits, this machine's byte order: what libmemtun.so is built for.
    if !read || !header.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (size, count) = (half(54), half(56));
    let mut start = [0u8; 8];
    start.copy_from_slice(&header[32..40]);
    let start = u64::from_le_bytes(start);
    for i in 0..u64::from(count) {
        let mut kind = [0u8; 4];
        let at = start.saturating_add(i * u64::from(size));
        if file.read_exact_at(&mut kind, at).is_err() {
            return false;
        }
        if u32::from_le_bytes(kind) == PT_INTERP {
            return false;
        }
    }
    count > 0
}
