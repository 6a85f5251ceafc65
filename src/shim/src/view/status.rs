//! stat(2) and access(2) of what is in the view.
#![forbid(unsafe_code)]

use super::file::may_configure;
use super::{names, paths};
use crate::table::{self, mark};
use libc::{c_char, c_int};
use memtun_abi::Errno;
use memtun_calls::device::FileStat;
use memtun_stack::view::{Node, Tree};
use memtun_sys::{self as sys, PathBuf};

/// What stat(2) says of a path; `None` where the machine answers the program's own call.
pub fn of_path(dir: c_int, path: *const c_char, follow: bool) -> Option<Result<FileStat, Errno>> {
    paths::find(dir, path, follow, |tree, found| {
        let found = found?;
        status(tree, &found.path, &found.node, follow)
    })
}

/// What fstat(2) says of a descriptor that is marked; `None` where the kernel answers.
#[cold]
pub fn of_descriptor(fd: c_int) -> Option<Result<FileStat, Errno>> {
    let marks = table::marks(fd)?;
    let answer = crate::errno::fence(|| {
        let path = if marks & mark::DIRECTORY != 0 {
            let mut room = [0; 1024];
            let path = sys::path_of_fd(fd, &mut room)?;
            match names::stands_for(path) {
                Some(path) => PathBuf::concat(&[path])?,
                None => return Ok(None),
            }
        } else {
            match names::path_of(fd) {
                Some(path) => path,
                None => return Ok(None),
            }
        };
        let Some(tree) = names::tree() else {
            return Ok(None);
        };
        let found = tree.walk(path.bytes(), false);
        let shown = found.and_then(|(path, node)| status(&tree, &path, &node, false));
        // Otherwise it was removed while the descriptor is open; nothing is in a directory then.
        shown.map(Some).or_else(|_| {
            let mut left = FileStat::of(&sys::fstat(fd)?);
            left.links = if marks & mark::DIRECTORY != 0 { 2 } else { 1 };
            Ok(Some(left))
        })
    });
    answer.transpose()
}

/// The root of the file system that a descriptor of the view is in; `None` for any other one.
pub fn root_of_descriptor(fd: c_int) -> Option<&'static std::ffi::CStr> {
    let marks = table::marks(fd)?;
    crate::errno::keep(|| {
        let mut room = [0; 1024];
        let path = sys::path_of_fd(fd, &mut room).ok()?;
        let path = match marks & mark::DIRECTORY {
            0 => names::named(path)?,
            _ => names::stands_for(path)?,
        };
        Some(paths::root(path))
    })
}

/// Bytes that are best read at once from a file of /sys, and of /proc.
const PAGE: i64 = 4096;
const PROC: i64 = 1024;

fn status(tree: &Tree<'_>, path: &PathBuf, node: &Node, follow: bool) -> Result<FileStat, Errno> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let machines = sys::fstatat(libc::AT_FDCWD, path.cstr(), flags);
    let in_sys = path.bytes().starts_with(b"/sys/");
    let (mode, links, size) = match node {
        Node::Machine => return machines.map(|st| FileStat::of(&st)),
        // What both have is shown as the machine shows it, with the links of both.
        Node::Directory(directory) if machines.is_ok() => {
            let mut stat = machines.map(|st| FileStat::of(&st))?;
            stat.links = stat.links.max(directory.links(tree));
            return Ok(stat);
        }
        Node::File(file) if machines.is_ok() => {
            let mut stat = machines.map(|st| FileStat::of(&st))?;
            stat.mode = libc::S_IFREG | file.mode;
            return Ok(stat);
        }
        Node::Directory(directory) => (libc::S_IFDIR | directory.mode(), directory.links(tree), 0),
        Node::Link(_) => (libc::S_IFLNK | 0o777, 1, 0),
        Node::File(file) => (libc::S_IFREG | file.mode, 1, file.size()),
    };
    let root = if in_sys { c"/sys" } else { c"/proc" };
    let mut stat = match sys::fstatat(libc::AT_FDCWD, root, 0) {
        Ok(st) => FileStat::of(&st),
        Err(_) => FileStat::imagined(),
    };
    stat.inode = inode(path.bytes());
    // It was made, and then neither changed nor read.
    stat.times = [stat.times[1]; 3];
    (stat.mode, stat.links, stat.size) = (mode, links, size);
    stat.block = if in_sys { PAGE } else { PROC };
    Ok(stat.without_device())
}

/// The inode that a path is shown to have: the same at every call, and above those that the
/// kernel gives out.
fn inode(path: &[u8]) -> u64 {
    // FNV-1a.
    let hash = path.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    1 << 31 | hash & 0x7fff_ffff
}

/// access(2) of a path; `None` where the machine answers the program's own call.
pub fn access(dir: c_int, path: *const c_char, mode: c_int) -> Option<Result<(), Errno>> {
    paths::find(dir, path, true, |_, found| {
        let found = found?;
        if mode & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let permissions = match found.node {
            Node::Machine => return sys::access(found.path.cstr(), mode),
            Node::Directory(directory) => directory.mode(),
            Node::Link(_) => 0o777,
            Node::File(file) => file.mode,
        };
        let has = |bit: u32| permissions & bit != 0;
        // Whoever may configure is the owner of the network's files: permissions do not bind that
        // one, but for settings, which have rules of their own.
        let is_setting = found.path.bytes().starts_with(b"/proc/sys/");
        let writes = may_configure() && (has(0o200) || !is_setting);
        let denied = mode & libc::W_OK != 0 && !writes
            || mode & libc::R_OK != 0 && !(has(0o004) || has(0o400) && may_configure())
            || mode & libc::X_OK != 0 && !has(0o111);
        if denied {
            return Err(Errno(libc::EACCES));
        }
        Ok(())
    })
}
