//! What the program finds in its environment.

use super::{LinkState, RunArgs};
use memtun::Net;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

/// Sets LD_PRELOAD and the variables of memtun's. `sanitizer`: the program has AddressSanitizer in a library.
pub fn set(command: &mut Command, args: &RunArgs, net: &Net, library: &Path, sanitizer: bool) {
    command.env("LD_PRELOAD", preload(library, inherited("LD_PRELOAD")));
    command.env("MEMTUN_NET", net.path());
    if net.is_private() {
        // A process that outlives the net, and opens the device then, makes one that goes with it again.
        command.env("MEMTUN_TREE", net.path());
    }
    if let Some(uid) = args.net.owner() {
        command.env("MEMTUN_NET_OWNER", uid.to_string());
    }
    if !args.devices.is_empty() {
        let paths: Vec<&[u8]> = args
            .devices
            .iter()
            .map(|d| d.as_os_str().as_bytes())
            .collect();
        command.env("MEMTUN_DEVICES", OsStr::from_bytes(&paths.join(&b':')));
    }
    match args.link {
        Some(LinkState::Up) => command.env("MEMTUN_LINK", "up"),
        Some(LinkState::Down) => command.env("MEMTUN_LINK", "down"),
        None => command,
    };
    if sanitizer {
        // It stops a program in which another library comes first, unless told not to look.
        command.env(
            "ASAN_OPTIONS",
            options(inherited("ASAN_OPTIONS"), "verify_asan_link_order=0"),
        );
    }
}

fn inherited(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_default()
}

/// An existing list with the library in front, once.
fn preload(library: &Path, list: OsString) -> OsString {
    let library = library.as_os_str().as_bytes();
    let mut entries = vec![library];
    let list = list.into_vec();
    entries.extend(
        list.split(|b| b": ".contains(b))
            .filter(|e| !e.is_empty() && *e != library),
    );
    OsString::from_vec(entries.join(&b':'))
}

/// An option in front of those that there are, which may say otherwise.
fn options(given: OsString, option: &str) -> OsString {
    let mut all = OsString::from(option);
    if !given.is_empty() {
        all.push(":");
        all.push(given);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_preload_list_is_kept_behind_the_library() {
        let list = |text: &str| {
            preload(Path::new("/x/libmemtun.so"), text.into())
                .into_string()
                .unwrap()
        };
        assert_eq!(list(""), "/x/libmemtun.so");
        assert_eq!(list("/a.so /b.so"), "/x/libmemtun.so:/a.so:/b.so");
        assert_eq!(list("/a.so:/x/libmemtun.so"), "/x/libmemtun.so:/a.so");
    }

    #[test]
    fn given_options_come_last_and_so_win() {
        assert_eq!(options("a=1".into(), "b=0"), "b=0:a=1");
        assert_eq!(options("".into(), "b=0"), "b=0");
    }
}
