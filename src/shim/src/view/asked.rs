//! What descriptors of the view answer to calls that ask what kind of file they are: what a file of
//! /sys or /proc says, and not what a memory file, or a directory of the net, says.
#![forbid(unsafe_code)]

use super::names::{self, path_of};
use crate::errno;
use crate::table::{self, mark};
use libc::{c_int, c_ulong};
use memtun_abi::Errno;
use memtun_stack::view::Node;
use memtun_sys::{self as sys, PathBuf};

/// What is behind a descriptor of the view.
struct Behind {
    in_sys: bool,
    is_directory: bool,
    is_setting: bool,
    /// Is it a setting, or a directory of them, that nobody may write?
    is_fixed: bool,
    /// May it be written by this descriptor?
    writes: bool,
}

/// Finds out what is behind a descriptor, unless it only names a path.
#[cold]
fn behind(fd: c_int) -> Option<Behind> {
    let marks = table::marks(fd)?;
    errno::keep(|| {
        let flags = sys::status_flags(fd).ok()?;
        if flags & libc::O_PATH != 0 {
            return None;
        }
        let is_directory = marks & mark::DIRECTORY != 0;
        let path = if is_directory {
            let mut room = [0; 1024];
            let path = sys::path_of_fd(fd, &mut room).ok()?;
            PathBuf::concat(&[names::stands_for(path)?]).ok()?
        } else {
            path_of(fd)?
        };
        let is_setting = path.bytes().starts_with(b"/proc/sys/");
        let is_writable = || {
            let (_, node) = names::tree()?.walk(path.bytes(), true).ok()?;
            Some(matches!(node, Node::File(file) if file.mode & 0o200 != 0))
        };
        Some(Behind {
            in_sys: path.bytes().starts_with(b"/sys"),
            is_directory,
            is_setting,
            is_fixed: is_setting && !is_writable().unwrap_or(false),
            writes: flags & libc::O_ACCMODE != libc::O_RDONLY,
        })
    })
}

/// What fsync(2) and fdatasync(2) fail with; `None` where the kernel answers.
pub fn syncs(fd: c_int) -> Option<Errno> {
    let behind = behind(fd)?;
    let has_none = behind.is_directory || !behind.in_sys;
    has_none.then_some(Errno(libc::EINVAL))
}

/// What fcntl(2) fails with; `None` where the kernel answers.
pub fn controls(fd: c_int, command: c_int, argument: usize) -> Option<Errno> {
    let no = match command {
        libc::F_GET_SEALS => libc::EINVAL,
        libc::F_ADD_SEALS if behind(fd)?.writes => libc::EINVAL,
        libc::F_ADD_SEALS => libc::EPERM,
        libc::F_SETFL if argument as c_int & libc::O_DIRECT != 0 => libc::EINVAL,
        _ => return None,
    };
    behind(fd).map(|_| Errno(no))
}

/// What ioctl(2) answers; `None` where the kernel does. A number is what it stores.
pub fn requested(fd: c_int, request: c_ulong) -> Option<Result<c_int, Errno>> {
    // Of linux/fs.h: the size of a block, and flags of an inode.
    const FIGETBSZ: u32 = 2;
    const GETFLAGS: u32 = 0x8008_6601;
    const SETFLAGS: u32 = 0x4008_6602;
    const FSGETXATTR: u32 = 0x801c_581f;
    const FSSETXATTR: u32 = 0x401c_5820;
    match request as u32 {
        FIGETBSZ => behind(fd).map(|behind| Ok(if behind.in_sys { 4096 } else { 1024 })),
        GETFLAGS | SETFLAGS | FSGETXATTR | FSSETXATTR => {
            behind(fd).map(|_| Err(Errno(libc::ENOTTY)))
        }
        _ => None,
    }
}

/// What allocating room fails with; `None` where the kernel answers. `itself` says that it is
/// fallocate(2), else it is what libc does where that fails, by writing.
pub fn allocates(fd: c_int, itself: bool) -> Option<Errno> {
    let behind = behind(fd).filter(|behind| behind.writes)?;
    match itself {
        true => Some(Errno(libc::EOPNOTSUPP)),
        false => (!behind.in_sys).then_some(Errno(libc::EINVAL)),
    }
}

/// What reading an extended attribute of a file of /sys or /proc fails with. `is_hidden` says that
/// nobody may read what it is of.
pub fn lacks(in_sys: bool, is_hidden: bool, name: &[u8]) -> Errno {
    let is_kept = |spaces: &[&[u8]]| spaces.iter().any(|space| name.starts_with(space));
    if is_hidden && !is_kept(&[b"trusted.", b"security.", b"system."]) {
        return Errno(libc::EACCES);
    }
    let is_known = match in_sys {
        true => is_kept(&[b"user.", b"security.", b"trusted."]),
        false => is_kept(&[b"trusted."]),
    };
    Errno(if is_known {
        libc::ENODATA
    } else {
        libc::EOPNOTSUPP
    })
}

/// The same of a descriptor; `None` where the kernel answers.
pub fn lacks_behind(fd: c_int, name: &[u8]) -> Option<Errno> {
    behind(fd).map(|behind| lacks(behind.in_sys, false, name))
}

/// What setting or removing an extended attribute of this name fails with. `is_fixed` says that
/// nobody may write what it is of.
pub fn changing(is_fixed: bool, name: &[u8]) -> Errno {
    let is_kept = |space: &[u8]| name.starts_with(space);
    Errno(match () {
        () if is_kept(b"trusted.") || is_kept(b"security.") => libc::EPERM,
        () if is_fixed && !is_kept(b"system.") => libc::EACCES,
        () => libc::EOPNOTSUPP,
    })
}

/// What setting or removing an extended attribute of a descriptor fails with; `None` where the
/// kernel answers.
pub fn changes_attribute(fd: c_int, name: &[u8]) -> Option<Errno> {
    behind(fd).map(|behind| changing(behind.is_fixed, name))
}

/// What changing the owner or the permissions of a descriptor comes to, of which `changes` says
/// whether the call really asks for that; `None` where the kernel answers. A setting refuses that,
/// and everything else grants it without any effect.
pub fn changes_owner(fd: c_int, changes: bool) -> Option<Result<(), Errno>> {
    let behind = behind(fd)?;
    Some(match behind.is_setting && changes {
        true => Err(Errno(libc::EPERM)),
        false => Ok(()),
    })
}
