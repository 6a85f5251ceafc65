//! The table of hooks against what the library exports, and against the names that libc has for the same calls.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_int, CStr, CString};
use std::process::Command;

use shim_tests::build;

/// Names of libc that look like siblings of a hook but need none.
const NOT_NEEDED: &[(&str, &str)] = &[
    ("__close_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__fcntl64_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__libc_fcntl64", "GLIBC_PRIVATE: libc's own"),
    ("__libc_pread", "GLIBC_PRIVATE: libc's own"),
    ("__libc_pwrite", "GLIBC_PRIVATE: libc's own"),
    ("__open64_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__open_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__openat64_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__openat_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__pread64_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__read_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__write_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__fstat64", "GLIBC_PRIVATE: libc's own"),
    ("exit", "runs destructors, and so the library's"),
];

/// Dynamic symbols that a library defines.
fn exports(library: &str) -> BTreeSet<String> {
    let listed = Command::new("nm")
        .args(["-D", "--defined-only", library])
        .output();
    let listed = listed.expect("the command nm, of Debian's binutils");
    assert!(
        listed.status.success(),
        "nm {library}: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let text = String::from_utf8(listed.stdout).expect("ASCII names");
    text.lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .collect()
}

/// The table of hooks, as the library tells it.
fn table(library: &str) -> BTreeSet<String> {
    let path = CString::new(library).expect("a path");
    // SAFETY: RTLD_LOCAL, so that this process is not interposed; the function is asked for by its exact type.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null(), "{library} cannot be loaded");
        let found = libc::dlsym(handle, c"memtun_hook_name".as_ptr());
        assert!(!found.is_null());
        let name: extern "C" fn(c_int) -> *const c_char = std::mem::transmute(found);
        (0..)
            .map(|index| name(index))
            .take_while(|n| !n.is_null())
            .map(|n| CStr::from_ptr(n).to_string_lossy().into_owned())
            .collect()
    }
}

/// `__open64_2` and its like without what they add to the plain name.
fn plain(name: &str) -> &str {
    let mut name = name.trim_start_matches('_');
    for suffix in ["_chk", "_2", "v2", "_time64", "_nocancel", "64"] {
        name = name.strip_suffix(suffix).unwrap_or(name);
    }
    name
}

fn library() -> String {
    build::shim()
        .library
        .to_str()
        .expect("a UTF-8 path")
        .to_owned()
}

#[test]
fn the_library_exports_its_hooks_and_its_c_interface_and_nothing_else() {
    let library = library();
    let exported = exports(&library);
    let (ours, hooks): (BTreeSet<String>, BTreeSet<String>) = exported
        .into_iter()
        .partition(|name| name.starts_with("memtun_"));
    assert_eq!(hooks, table(&library));
    let header =
        std::fs::read_to_string(build::crate_dir().join("../src/shim/memtun.h")).expect("memtun.h");
    for name in ours.iter().filter(|n| *n != "memtun_hook_name") {
        assert!(
            header.contains(&format!("{name}(")),
            "{name} is exported but not declared in memtun.h"
        );
    }
}

#[test]
fn every_name_that_libc_has_for_a_hooked_call_is_hooked() {
    let hooks = table(&library());
    let stems: BTreeSet<&str> = hooks
        .iter()
        .map(|h| plain(h))
        .filter(|s| !s.is_empty())
        .collect();
    // SAFETY: an address in libc and room for one Dl_info.
    let libc_path = unsafe {
        let mut info = std::mem::zeroed::<libc::Dl_info>();
        assert_ne!(libc::dladdr(libc::open as *const _, &mut info), 0);
        CStr::from_ptr(info.dli_fname)
            .to_string_lossy()
            .into_owned()
    };
    let missing: Vec<String> = exports(&libc_path)
        .into_iter()
        .filter(|name| stems.contains(plain(name)) && !hooks.contains(name))
        .filter(|name| !NOT_NEEDED.iter().any(|(known, _)| known == name))
        .collect();
    assert!(
        missing.is_empty(),
        "libc has names for hooked calls that pass us: {missing:?}"
    );
}
