//! Programs that a driver is about to start.

use super::net::{net_of, NetHandle};
use super::{give_text, length, Answer};
use crate::{config, uaccess};
use libc::{c_char, c_int, size_t, ssize_t};
use memtun_abi::{Errno, Error};
use memtun_core::json;
use memtun_core::launch::{self, settings, Start};
use serde::Serialize;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct DescribedProgram {
    file: String,
    warnings: Vec<String>,
    notes: Vec<String>,
    waits_unseen: bool,
    preload: String,
}

/// The path of the library for LD_PRELOAD: MEMTUN_LIBRARY, else what this process was preloaded
/// with, else this very library. -ENOENT: MEMTUN_LIBRARY names no file. -EINVAL: LD_PRELOAD cannot
/// express the path. A text that is returned.
#[no_mangle]
pub extern "C" fn memtun_library_path(buf: *mut c_char, buf_len: size_t) -> ssize_t {
    length(|| give_text(library()?.as_os_str().as_bytes(), buf, buf_len))
}

/// The variables that put a program into the net and under the library: NAME=VALUE, each with a NUL
/// behind it, as in /proc/self/environ. They are LD_PRELOAD, where preloaded (or NULL) would be the
/// list without memtun, MEMTUN_NET and others of memtun's. link: "up" or "down" for new interfaces;
/// NULL: as the program inherits it. devices: special devices in place of /dev/net/tun, ended by a
/// NULL; NULL: as the program inherits them. A variable without a value takes back what is said of
/// another net; it has to be set where the program would inherit one. -EINVAL: link is another
/// word, or a device is no absolute path or has ".." or ':' in it. Bytes that are returned as a
/// text is, with NULs among them. Otherwise this is as memtun_library_path.
#[no_mangle]
pub extern "C" fn memtun_net_environment(
    net: *const NetHandle,
    link: *const c_char,
    devices: *const *const c_char,
    preloaded: *const c_char,
    buf: *mut c_char,
    buf_len: size_t,
) -> ssize_t {
    length(|| {
        let library = library()?;
        let environment = launch::Environment {
            net: net_of(net)?,
            library: &library,
            runtimes: &[],
            preloaded: given(preloaded)?.unwrap_or_default(),
            exact_bell: None,
            link_up: given(link)?.map(link_word).transpose()?,
        };
        let mut variables = environment.variables()?;
        if !devices.is_null() {
            variables.push(launch::devices(paths(devices)?)?);
        }
        let entries = variables
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        give_text(entries.collect::<Vec<u8>>(), buf, buf_len)
    })
}

fn link_word(word: &OsStr) -> Answer<bool> {
    let up = settings::link(word.as_bytes()).filter(|_| !word.is_empty());
    up.ok_or_else(|| {
        let shown = word.as_bytes().escape_ascii();
        Error::new(libc::EINVAL, format!("link '{shown}': give up or down"))
    })
}

/// The paths of an array that a NULL pointer ends.
fn paths<'a>(list: *const *const c_char) -> Answer<Vec<&'a Path>> {
    let mut paths = Vec::new();
    loop {
        let at = list.wrapping_add(paths.len());
        // SAFETY: any bit pattern is a valid pointer value; it is not followed here.
        let path = unsafe { uaccess::read(at) }.map_err(super::bad_memory)?;
        match given(path)? {
            Some(path) => paths.push(Path::new(path)),
            None => return Ok(paths),
        }
    }
}

/// Looks at a program before it is started under the library. It is looked for in PATH (path, NULL:
/// this process's) and from a directory (dir, NULL: this process's). The answer is a JSON object:
/// file; warnings, sentences about what the library will not see of it (static, Go, raw system
/// calls); notes; waits_unseen, whether it should be started with MEMTUN_BELL=exact; preload, its
/// LD_PRELOAD, where preloaded (or NULL) would be the list without memtun. -EPERM, unless force is
/// 1: it is set-uid, set-gid or has file capabilities, so that the system would start it
/// without the library, on the machine's own devices. -ENOENT, -EACCES, -ELOOP, -ENOEXEC: it, or an
/// interpreter of it, cannot be executed. Otherwise this is as memtun_net_describe.
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
        let mut examined = launch::examine(start)?;
        examined.permit(force != 0)?;
        let library = library()?;
        examined.warnings.extend(launch::library_obstacle(&library));
        let list = given(preloaded)?.map(OsStr::to_owned).unwrap_or_default();
        let list = launch::preload_list(&examined.runtimes, &library, &list);
        let described = DescribedProgram {
            file: examined.file.to_string_lossy().into_owned(),
            warnings: examined.warnings,
            notes: examined.notes,
            waits_unseen: examined.waits_unseen,
            preload: list.to_string_lossy().into_owned(),
        };
        give_text(json::line(&described), buf, buf_len)
    })
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
    launch::library_of(own.map(|path| PathBuf::from(OsStr::from_bytes(path.to_bytes()))))
}
