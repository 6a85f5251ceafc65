//! What stands in a directory.
#![forbid(unsafe_code)]

use super::first::{self, First};
use super::links;
use super::node::Directory;
use super::place;
use super::tree::{Sort, Tree};
use crate::state::{self, View};
use memtun_abi::Name;
use memtun_sys::{self as sys, PathBuf};
use std::os::fd::AsFd;

impl Tree<'_> {
    /// Calls `each` with the names in a directory, without `.` and `..`.
    pub fn list(&self, directory: &Directory, each: &mut dyn FnMut(&[u8], Sort<'_>)) {
        match directory {
            Directory::Class => {
                self.list_machines(place::CLASS, each);
                self.each_link(&mut |seen| {
                    let parts = [b"../../devices/virtual/net/", seen.name.as_bytes()];
                    if let Ok(target) = PathBuf::concat(&parts) {
                        each(seen.name.as_bytes(), Sort::Link(target.bytes()));
                    }
                    true
                });
            }
            Directory::Virtual => {
                self.list_machines(place::VIRTUAL, each);
                self.each_link(&mut |seen| {
                    each(seen.name.as_bytes(), Sort::Directory(0o755));
                    true
                });
            }
            Directory::Inner(seen, inner) => inner.list(seen, each),
            Directory::Settings(settings) => {
                let parts = [place::SETTINGS, settings.directory().as_bytes()];
                if let Ok(path) = PathBuf::concat(&parts) {
                    self.list_machines(path.bytes(), each);
                }
                self.each_link(&mut |seen| {
                    if !settings.is_v6() || seen.has_ipv6() {
                        each(seen.name.as_bytes(), Sort::Directory(0o555));
                    }
                    true
                });
            }
            Directory::Counters => {
                if let Ok(path) = PathBuf::concat(&[b"/proc/self/net/", place::COUNTERS]) {
                    self.list_machines(path.bytes(), each);
                }
                self.each_link(&mut |seen| {
                    if seen.has_ipv6() {
                        each(seen.name.as_bytes(), Sort::File(0o444));
                    }
                    true
                });
            }
            Directory::Wide(rest) => {
                if let Ok(path) = PathBuf::concat(&[place::SETTINGS, rest.bytes()]) {
                    list_all(path.bytes(), &mut |name, sort| {
                        let slash: &[u8] = if rest.bytes().is_empty() { b"" } else { b"/" };
                        let whole = PathBuf::concat(&[rest.bytes(), slash, name]);
                        let is_firsts =
                            whole.is_ok_and(|whole| first::of(whole.bytes()) == Some(First::Alone));
                        if !is_firsts {
                            each(name, sort);
                        }
                    });
                }
            }
            // The directory that stands for this one is listed backwards.
            Directory::SettingsOf(settings) => {
                for entry in settings.entries().rev() {
                    each(entry.name.as_bytes(), Sort::File(entry.mode()));
                }
            }
        }
    }

    /// Calls `each` with the names of the machine's links in a directory, and with what is no link
    /// there.
    fn list_machines(&self, path: &[u8], each: &mut dyn FnMut(&[u8], Sort<'_>)) {
        let merged = self.view() == View::Merged;
        let is_neigh = path.ends_with(b"/neigh");
        list_all(path, &mut |name, sort| {
            let of_no_link = matches!(name, b"all" | b"default" | b"bonding_masters");
            let is_shown = of_no_link && (merged || !is_neigh)
                || merged && Name::new(name).is_none_or(|name| !self.is_hidden(&name));
            if is_shown {
                each(name, sort);
            }
        });
    }

    /// Is a link of the machine's of this name left out?
    fn is_hidden(&self, name: &Name) -> bool {
        if self.net.knows(name) {
            return true;
        }
        let mut hidden = false;
        let _ = state::each_message(self.net, |message| {
            hidden = state::hidden_of(message).is_some_and(|hidden| links::is_named(&hidden, name));
            !hidden
        });
        hidden
    }
}

/// Calls `each` with the names in a directory of the machine's, without `.` and `..`.
fn list_all(path: &[u8], each: &mut dyn FnMut(&[u8], Sort<'_>)) {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let opened = PathBuf::concat(&[path]).and_then(|path| sys::open(path.cstr(), flags, 0));
    let Ok(dir) = opened else { return };
    let _ = sys::each_entry(dir.as_fd(), |entry| {
        let name = entry.to_bytes();
        if name == b"." || name == b".." {
            return true;
        }
        let Ok(st) = sys::fstatat(dir.raw(), entry, libc::AT_SYMLINK_NOFOLLOW) else {
            return true;
        };
        match st.st_mode & libc::S_IFMT {
            libc::S_IFLNK => {
                let mut room = [0; 512];
                if let Ok(target) = sys::readlinkat(dir.raw(), entry, &mut room) {
                    each(name, Sort::Link(target));
                }
            }
            libc::S_IFDIR => each(name, Sort::Directory(st.st_mode & 0o7777)),
            _ => each(name, Sort::File(st.st_mode & 0o7777)),
        }
        true
    });
}
