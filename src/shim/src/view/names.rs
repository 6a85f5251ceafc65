//! What a path in the net, or that of a memory file, stands for.
#![forbid(unsafe_code)]

use crate::asking::{self, OwnHost};
use crate::table::{self, OwnTunnels};
use crate::{config, net, process, uaccess};
use libc::{c_char, c_int};
use memtun_abi::Errno;
use memtun_calls::host::{self, need_state, Host};
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{self, What};
use memtun_stack::view::Tree;
use memtun_sys::quiet::{may, Extra};
use memtun_sys::{self as sys, PathBuf};

/// The files of this process's net; `None` where everything is the machine's.
pub fn tree() -> Option<Tree<'static>> {
    if !asking::is_there() {
        return None;
    }
    let net = match OwnHost.is_isolated() {
        // The host process has to say what is there instead of the machine's links.
        true => {
            let net = net::join().ok()?;
            need_state(&OwnHost, net).ok()?;
            net
        }
        false => net::existing()?,
    };
    Tree::new(net, &OwnTunnels)
}

/// Is this process in a net that has had interfaces? A net that others may have made is joined for
/// that if it is there.
#[cold]
pub fn is_filled() -> bool {
    if !asking::is_there() {
        return false;
    }
    let is_own = config::get().is_none_or(|config| config.chosen);
    let net = match is_own || !may(Extra::Files) {
        true => net::current(),
        false => net::existing(),
    };
    net.is_some_and(NetDir::had_interfaces)
}

/// Puts a question to the host process of the net, which is started where there is none.
pub fn question(what: What, payload: &[&[u8]]) -> Result<(), Errno> {
    let net = net::existing().ok_or(Errno(libc::ENODEV))?;
    let question = host::question(&OwnHost, what);
    ask::ask(net, OwnHost.start(), &question, payload, &mut |_| {})
}

/// What the name of the memory file behind such a descriptor begins with; the index of the link
/// whose file it is, a colon and the path follow.
pub const NAME: &[u8] = b"memtun:";
/// The same as /proc shows it, with what follows the name there.
const SHOWN: &[u8] = b"/memfd:memtun:";
const DELETED: &[u8] = b" (deleted)";

/// The path of the file of the view behind a memory file, whose path in /proc is given.
pub fn named(path: &[u8]) -> Option<&[u8]> {
    indexed(path).map(|(_, path)| path)
}

/// The same, with the index of the link whose file it is, 0 for none.
pub fn indexed(path: &[u8]) -> Option<(u32, &[u8])> {
    let text = path.strip_prefix(SHOWN)?.strip_suffix(DELETED)?;
    let colon = text.iter().position(|b| *b == b':')?;
    let index = std::str::from_utf8(&text[..colon]).ok()?.parse().ok()?;
    Some((index, &text[colon + 1..]))
}

/// The path that a directory in the net stands for; `None` for any other path.
pub fn stands_for(path: &[u8]) -> Option<&[u8]> {
    // A program that was started in such a directory has not joined the net yet.
    const VIEW: &[u8] = b"/.memtun-view";
    if !path.windows(VIEW.len()).any(|part| part == VIEW) {
        return None;
    }
    let root = net::existing()?.view_path().ok()?;
    let rest = path.strip_prefix(root.bytes())?;
    match rest.first() {
        None => Some(b"/"),
        Some(b'/') => Some(rest),
        Some(_) => None,
    }
}

/// The path to show to the program instead of this one, which the kernel has given.
pub fn shown(path: &[u8]) -> Option<&[u8]> {
    stands_for(path).or_else(|| named(path))
}

/// The path to show of what a link leads to that the kernel keeps for a descriptor, at a path of
/// the program's.
pub fn behind_link(path: *const c_char, room: &mut [u8]) -> Option<&[u8]> {
    let path = PathBuf::concat(&[uaccess::c_string(path).ok()?]).ok()?;
    named(sys::readlinkat(libc::AT_FDCWD, path.cstr(), room).ok()?)
}

/// The path of the file of the view behind a descriptor. A descriptor that is none any more is
/// forgotten.
pub fn path_of(fd: c_int) -> Option<PathBuf> {
    let mut room = [0; 512];
    let path = sys::path_of_fd(fd, &mut room).ok();
    let found = path.and_then(named_now);
    if found.is_none() && process::owns_memory() {
        table::unmark(fd);
    }
    found
}

/// The path of the file behind a memory file now: its link may have another name than it had when
/// the file was opened.
fn named_now(path: &[u8]) -> Option<PathBuf> {
    let (index, path) = indexed(path)?;
    let link = path
        .strip_prefix(b"/sys/devices/virtual/net/")
        .filter(|_| index != 0);
    let name = link.and_then(|_| tree()?.name_of(index));
    match (link, name) {
        (Some(rest), Some(name)) => {
            let slash = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            let parts = [
                b"/sys/devices/virtual/net/",
                name.as_bytes(),
                &rest[slash..],
            ];
            PathBuf::concat(&parts).ok()
        }
        _ => PathBuf::concat(&[path]).ok(),
    }
}
