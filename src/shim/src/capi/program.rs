//! Programs that a driver is about to start.

use super::{give_text, length, Answer};
use crate::{config, uaccess};
use libc::{c_char, c_int, size_t, ssize_t};
use memtun_abi::{Errno, Error};
use memtun_core::json::Json;
use memtun_core::launch::{self as command, Start};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The path of the library for LD_PRELOAD: MEMTUN_LIBRARY, what this process was preloaded with, or this very
/// library. -ENOENT: MEMTUN_LIBRARY names no file. -EINVAL: LD_PRELOAD cannot express it. A text that is
/// returned.
#[no_mangle]
pub extern "C" fn memtun_library_path(buf: *mut c_char, buf_len: size_t) -> ssize_t {
    length(|| give_text(library()?.as_os_str().as_bytes(), buf, buf_len))
}

/// Looks at a program before it is started under the library, in PATH (path, NULL: this process's) and from a
/// directory (dir, NULL: this process's). A JSON object: file; warnings, sentences about what the library
/// will not see of it (static, Go, raw system calls); notes; preload, its LD_PRELOAD, where preloaded (or
/// NULL) would be the list without memtun. -EPERM, unless force is 1: it is set-uid, set-gid or has file
/// capabilities, so that the system would start it without the library, on the machine's own devices.
/// -ENOENT, -EACCES, -ELOOP, -ENOEXEC: it, or an interpreter of it, cannot be executed. Else as
/// memtun_net_describe.
#[no_mangle]
pub extern "C" fn memtun_program_examine(
    program: *const c_char,
    path: *const c_char,
    dir: *const c_char,
    preloaded: *const c_char,
    force: c_int,
    buf: *mut c_char,
    buf_len: size_t,
) -> ssize_t {
    length(|| {
        let start = Start {
            program: given(program)?.ok_or_else(|| super::bad_memory(Errno(libc::EFAULT)))?,
            path: given(path)?,
            dir: given(dir)?.map(Path::new),
        };
        let mut examined = command::examine(start)?;
        examined.permit(force != 0)?;
        let library = library()?;
        examined
            .warnings
            .extend(command::library_obstacle(&library));
        let list = given(preloaded)?.map(OsStr::to_owned).unwrap_or_default();
        let list = command::preload(&examined.runtimes, &library, list);
        let members = vec![
            ("file", lossy(examined.file.into_os_string())),
            ("warnings", Json::list(examined.warnings)),
            ("notes", Json::list(examined.notes)),
            ("preload", lossy(list)),
        ];
        give_text(Json::Object(members).to_string(), buf, buf_len)
    })
}

fn lossy(text: OsString) -> Json {
    text.to_string_lossy().into_owned().into()
}

fn given<'a>(text: *const c_char) -> Answer<Option<&'a OsStr>> {
    if text.is_null() {
        return Ok(None);
    }
    let bytes = uaccess::c_string(text).map_err(super::bad_memory)?;
    Ok(Some(OsStr::from_bytes(bytes)))
}

fn library() -> Answer<PathBuf> {
    let own = config::own_path().ok_or_else(|| {
        Error::new(
            libc::ENOENT,
            "the dynamic linker does not know this library",
        )
    });
    command::library_of(own.map(|path| PathBuf::from(OsStr::from_bytes(path.to_bytes()))))
}
