//! A net's directory, open and verified. Everything in it is reached from its descriptor: no path
//! is resolved anew, no link is followed, and the kind and the owner of each file are read from the
//! descriptor that is used.
//!
//! The descriptor lives for one operation. A program may close every number that it does not know,
//! so none is kept. The directory is opened again by its path, and device and inode must be those
//! of the directory that was verified.
#![forbid(unsafe_code)]

use crate::shm::layout::State;
use crate::shm::Mapped;
use crate::sys::{self, Fd, PathBuf};
use crate::Errno;
use std::ffi::CStr;
use std::os::fd::AsFd;

/// Identifies a directory, and says who owns its files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// User who owns the directory and its files.
    pub uid: u32,
    gid: u32,
}

impl Identity {
    /// Returns a number that other directories seldom have.
    pub(super) fn mark(&self) -> u32 {
        let word = self.inode ^ self.device.rotate_left(32);
        (word ^ word >> 32) as u32
    }
}

/// A directory in a net, open. What is in it is reached from its descriptor, and no link is
/// followed.
pub struct Inner {
    fd: Fd,
    id: Identity,
}

/// Directories below one another that are removed at most.
const DEEPEST: usize = 32;

impl Inner {
    /// Returns the descriptor, which this value keeps.
    pub fn raw(&self) -> i32 {
        self.fd.raw()
    }

    /// Opens the directory `name` in this one, which is made if it is missing; something else at
    /// its place is removed first. It belongs to the net's owner.
    ///
    /// # Errors
    ///
    /// - EUCLEAN when it belongs to somebody else.
    /// - What openat(2) or mkdirat(2) fails with otherwise.
    pub fn enter(&self, name: &CStr) -> Result<Inner, Errno> {
        enter(self.raw(), self.id, name)
    }

    /// Removes a file of this directory, or a directory with all that is in it.
    ///
    /// # Errors
    ///
    /// What unlinkat(2) or openat(2) fails with.
    pub fn remove(&self, name: &CStr) -> Result<(), Errno> {
        remove_tree(self.raw(), name, DEEPEST)
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// What symlinkat(2) fails with, for example EEXIST.
    pub fn make_link(&self, name: &CStr, target: &CStr) -> Result<(), Errno> {
        sys::symlinkat(target, self.raw(), name)
    }

    /// Makes an empty file.
    ///
    /// # Errors
    ///
    /// What openat(2) fails with, for example EEXIST.
    pub fn make_file(&self, name: &CStr) -> Result<(), Errno> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | FILE;
        let file = sys::openat_internal(self.raw(), name, flags, 0o600)?;
        give(&file, self.id)?;
        // Reading nothing is no event for who watches it.
        sys::write(file.raw(), b"\n").map(drop)
    }
}

fn enter(parent: i32, id: Identity, name: &CStr) -> Result<Inner, Errno> {
    /// Number of others that may make and remove it while this tries.
    const TRIES: usize = 8;
    for _ in 0..TRIES {
        match sys::openat_internal(parent, name, OPEN | libc::O_NONBLOCK, 0) {
            Ok(fd) => {
                let st = sys::fstat(fd.raw())?;
                return match st.st_uid == id.uid {
                    true => Ok(Inner { fd, id }),
                    false => Err(Errno(libc::EUCLEAN)),
                };
            }
            Err(Errno(libc::ENOTDIR | libc::ELOOP)) => {
                let _ = sys::unlinkat(parent, name, 0);
            }
            Err(Errno(libc::ENOENT)) => match sys::mkdirat(parent, name, 0o755) {
                // Nobody else can have put a directory of this user's there.
                Ok(()) => give(
                    &sys::openat_internal(parent, name, OPEN | libc::O_NONBLOCK, 0)?,
                    id,
                )?,
                Err(Errno(libc::EEXIST)) => {}
                Err(e) => return Err(e),
            },
            Err(e) => return Err(e),
        }
    }
    Err(Errno(libc::EAGAIN))
}

/// Makes the net's owner the owner of what the caller has just made.
fn give(fd: &Fd, id: Identity) -> Result<(), Errno> {
    let own = sys::effective_uid();
    if id.uid != own && sys::fstat(fd.raw())?.st_uid == own {
        sys::fchown(fd.as_fd(), id.uid, id.gid)?;
    }
    Ok(())
}

fn remove_tree(parent: i32, name: &CStr, deep: usize) -> Result<(), Errno> {
    match sys::unlinkat(parent, name, 0) {
        Err(Errno(libc::EISDIR | libc::EPERM)) if deep > 0 => {}
        removed => return removed,
    }
    let dir = sys::openat_internal(parent, name, OPEN | libc::O_NONBLOCK, 0)?;
    sys::each_entry(dir.as_fd(), |entry| {
        let _ = remove_tree(dir.raw(), entry, deep - 1);
        true
    })?;
    sys::unlinkat(parent, name, libc::AT_REMOVEDIR)
}

/// Why a directory is not joined as a net.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The system call failed.
    Errno(Errno),
    /// The path is a symbolic link.
    Link,
    /// The path is not a directory.
    NoDirectory,
    /// The directory belongs to this other user.
    Owner(u32),
    /// Others than its owner may write in the directory, which has this mode.
    Open(u32),
    /// An owner was named by somebody else than root, who alone may do that.
    NotRoot,
}

impl From<Errno> for Refusal {
    fn from(e: Errno) -> Refusal {
        Refusal::Errno(e)
    }
}

impl Refusal {
    /// Returns the errno that a call fails with for this reason.
    pub fn errno(self) -> Errno {
        match self {
            Refusal::Errno(e) => e,
            Refusal::Link | Refusal::NoDirectory => Errno(libc::ENOTDIR),
            Refusal::Owner(_) | Refusal::Open(_) | Refusal::NotRoot => Errno(libc::EPERM),
        }
    }

    /// Returns the reason and the remedy as one sentence, for a net at the path `shown`.
    pub fn sentence(self, shown: &str) -> String {
        let me = sys::effective_uid();
        let why = match self {
            Refusal::Errno(e) => format!("{e}"),
            Refusal::Link => {
                "it is a symbolic link, which may lead elsewhere at any time; give the directory itself".into()
            }
            Refusal::NoDirectory => "it is not a directory; give the path of one".into(),
            Refusal::Owner(uid) if me == 0 => format!(
                "it belongs to user {uid}, not to root; to join that user's net say so: --owner {uid}, or MEMTUN_NET_OWNER={uid}"
            ),
            Refusal::Owner(uid) => format!(
                "it belongs to user {uid}, not to you (user {me}); choose a directory of your own (MEMTUN_NET)"
            ),
            Refusal::Open(mode) => format!(
                "others may write in it (mode {:03o}); close it: chmod go-w {shown}",
                mode & 0o777
            ),
            Refusal::NotRoot => {
                format!("only root may join another user's net, and you are user {me}; leave the owner out")
            }
        };
        format!("net {shown}: {why}")
    }
}

/// A verified directory, open for the time of one operation.
pub struct Directory {
    fd: Fd,
    id: Identity,
}

const OPEN: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
/// How files of a net are opened: no link is followed, opening does not block, and no terminal
/// becomes the controlling one.
const FILE: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;

impl Directory {
    /// Opens a directory that nobody has verified yet. `owner` is the user to whom it must belong;
    /// None means the caller.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] that says why the directory cannot be used.
    pub fn verify(path: &CStr, owner: Option<u32>) -> Result<Directory, Refusal> {
        Directory::verify_at(libc::AT_FDCWD, path, owner)
    }

    /// Does the same as [`Directory::verify`], relative to the directory of the descriptor
    /// `parent`.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] that says why the directory cannot be used.
    pub fn verify_at(parent: i32, name: &CStr, owner: Option<u32>) -> Result<Directory, Refusal> {
        let me = sys::effective_uid();
        let wanted = owner.unwrap_or(me);
        if wanted != me && me != 0 {
            return Err(Refusal::NotRoot);
        }
        let fd = match sys::openat_internal(parent, name, OPEN, 0) {
            Ok(fd) => fd,
            Err(e) => return Err(Directory::why_not(parent, name, wanted, e)),
        };
        let st = sys::fstat(fd.raw())?;
        Directory::check(&st, wanted)?;
        let id = Identity {
            device: st.st_dev,
            inode: st.st_ino,
            uid: st.st_uid,
            gid: st.st_gid,
        };
        Ok(Directory { fd, id })
    }

    fn check(st: &libc::stat, owner: u32) -> Result<(), Refusal> {
        const OTHERS_WRITE: u32 = 0o022;
        if st.st_uid != owner {
            Err(Refusal::Owner(st.st_uid))
        } else if st.st_mode & OTHERS_WRITE != 0 {
            Err(Refusal::Open(st.st_mode))
        } else {
            Ok(())
        }
    }

    /// Finds out why a directory could not be opened: its attributes can be read even then.
    fn why_not(parent: i32, name: &CStr, owner: u32, failed: Errno) -> Refusal {
        let Ok(st) = sys::fstatat(parent, name, libc::AT_SYMLINK_NOFOLLOW) else {
            return Refusal::Errno(failed);
        };
        if sys::is_kind(&st, libc::S_IFLNK) {
            return Refusal::Link;
        }
        if !sys::is_kind(&st, libc::S_IFDIR) {
            return Refusal::NoDirectory;
        }
        match failed.0 {
            libc::EACCES => Directory::check(&st, owner)
                .err()
                .unwrap_or(Refusal::Errno(failed)),
            _ => Refusal::Errno(failed),
        }
    }

    /// Opens the directory that was verified before, by its path.
    ///
    /// # Errors
    ///
    /// - ENOENT when no directory, or another one, is at that path now.
    /// - EPERM when it has another owner now or others may write in it.
    pub fn again(path: &CStr, id: &Identity) -> Result<Directory, Errno> {
        let fd = match sys::open_internal(path, OPEN, 0) {
            Err(Errno(libc::ENOTDIR | libc::ELOOP)) => return Err(Errno(libc::ENOENT)),
            opened => opened?,
        };
        let st = sys::fstat(fd.raw())?;
        if (st.st_dev, st.st_ino) != (id.device, id.inode) {
            return Err(Errno(libc::ENOENT));
        }
        // In another user namespace the same owner has another number, which is the caller's own
        // there.
        let owner = match sys::effective_uid() {
            me if me == st.st_uid => me,
            _ => id.uid,
        };
        Directory::check(&st, owner).map_err(Refusal::errno)?;
        let id = Identity {
            uid: st.st_uid,
            gid: st.st_gid,
            ..*id
        };
        Ok(Directory { fd, id })
    }

    /// Returns which directory this is.
    pub fn id(&self) -> Identity {
        self.id
    }

    /// Returns the descriptor, which this value keeps.
    pub fn raw(&self) -> i32 {
        self.fd.raw()
    }

    /// Does `name` in the directory `parent` lead to this directory?
    fn is_at(&self, parent: i32, name: &CStr) -> bool {
        sys::fstatat(parent, name, libc::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|st| (st.st_dev, st.st_ino) == (self.id.device, self.id.inode))
    }

    /// Opens a file of the net, of the kind S_IFREG or S_IFIFO. The caller owns the descriptor.
    ///
    /// # Errors
    ///
    /// - EUCLEAN when the file is of another kind, has another owner, or others may write to it.
    /// - What openat(2) fails with otherwise.
    pub fn open(&self, name: &CStr, flags: i32, kind: u32) -> Result<(Fd, libc::stat), Errno> {
        let unlike = Errno(libc::EUCLEAN);
        let fd = match sys::openat_internal(self.raw(), name, flags | FILE, 0) {
            Err(Errno(libc::ELOOP | libc::ENXIO | libc::EISDIR)) => return Err(unlike),
            opened => opened?,
        };
        let st = sys::fstat(fd.raw())?;
        if !sys::is_kind(&st, kind) || st.st_uid != self.id.uid || st.st_mode & 0o022 != 0 {
            return Err(unlike);
        }
        Ok((fd, st))
    }

    /// Maps a state file.
    ///
    /// # Errors
    ///
    /// The errno and the reason, as the end of a sentence that begins with the file. EUCLEAN says
    /// that the file is not what it should be.
    pub fn map<S: State>(&self, name: &CStr) -> Result<Mapped<S>, (Errno, &'static str)> {
        let (fd, st) = self
            .open(name, libc::O_RDWR, libc::S_IFREG)
            .map_err(|e| match e.0 {
                libc::EUCLEAN => (e, "is not a regular file of its owner"),
                _ => (e, ""),
            })?;
        Mapped::map(&fd, st.st_size as u64)
    }

    /// Makes and maps a state file under a name that must not exist yet. The file has a shared
    /// flock(2) as long as it is mapped.
    ///
    /// # Errors
    ///
    /// EEXIST when the name exists, and what making, locking or mapping the file fails with.
    pub fn create<S: State>(&self, name: &CStr) -> Result<Mapped<S>, Errno> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | FILE;
        let fd = sys::openat_internal(self.raw(), name, flags, 0o600)?;
        let made = sys::flock(fd.as_fd(), libc::LOCK_SH | libc::LOCK_NB)
            .and_then(|()| self.adopt(&fd))
            .and_then(|()| Mapped::create(&fd));
        if made.is_err() {
            let _ = self.unlink(name);
        }
        made
    }

    /// Makes an empty file if there is none.
    ///
    /// # Errors
    ///
    /// What openat(2), fchmod(2) or fchown(2) fails with; an existing file is no error.
    pub fn create_plain(&self, name: &CStr) -> Result<(), Errno> {
        match self.create_new(name) {
            Ok(_) | Err(Errno(libc::EEXIST)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Makes an empty regular file, and opens it. The caller owns the descriptor.
    ///
    /// # Errors
    ///
    /// EEXIST when the name exists, and what openat(2), fchmod(2) or fchown(2) fails with.
    pub fn create_new(&self, name: &CStr) -> Result<Fd, Errno> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | FILE;
        let fd = sys::openat_internal(self.raw(), name, flags, 0o600)?;
        self.adopt(&fd).map(|()| fd)
    }

    /// Makes a FIFO under a name that nobody else uses, and opens it with `flags`. Returns its
    /// descriptor, which the caller owns, and its inode.
    ///
    /// # Errors
    ///
    /// - EEXIST when the name exists.
    /// - ENOENT or EAGAIN when somebody who clears up was faster than the lock.
    /// - EUCLEAN when the name leads to something else than the new FIFO.
    pub fn create_fifo(&self, name: &CStr, flags: i32) -> Result<(Fd, u64), Errno> {
        sys::mkfifoat(self.raw(), name, 0o600)?;
        // In the caller's own directory nobody else can have put a link there. F_GETFL would show
        // the flag O_NOFOLLOW to the program, so it is used only where it is needed.
        let own = self.id.uid == sys::effective_uid();
        let flags = flags | if own { 0 } else { libc::O_NOFOLLOW };
        let made = match sys::openat_internal_as(self.raw(), name, flags) {
            // The umask forbids even the owner to open the FIFO that was just made.
            Err(Errno(libc::EACCES)) if own => sys::fchmodat(self.raw(), name, 0o600)
                .and_then(|()| sys::openat_internal_as(self.raw(), name, flags)),
            opened => opened,
        };
        let made = made.and_then(|fd| {
            let st = sys::fstat(fd.raw())?;
            if st.st_nlink == 0 {
                // Somebody who clears up removed the file before it was locked.
                return Err(Errno(libc::ENOENT));
            }
            let fresh = sys::is_kind(&st, libc::S_IFIFO)
                && st.st_nlink == 1
                && st.st_uid == sys::effective_uid();
            if !fresh {
                return Err(Errno(libc::EUCLEAN));
            }
            if flags & libc::O_PATH == 0 {
                sys::flock(fd.as_fd(), libc::LOCK_SH | libc::LOCK_NB)?;
            }
            self.adopt(&fd)?;
            Ok((fd, st.st_ino))
        });
        if made.is_err() {
            let _ = self.unlink(name);
        }
        made
    }

    /// Opens the directory `name` of the net, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// The same as [`Inner::enter`].
    pub fn open_inner(&self, name: &CStr) -> Result<Inner, Errno> {
        enter(self.raw(), self.id, name)
    }

    /// Gives a new socket its mode, and makes the net's owner its owner.
    ///
    /// # Errors
    ///
    /// What fchmodat(2) or fchownat(2) fails with.
    pub fn adopt_socket(&self, name: &CStr) -> Result<(), Errno> {
        sys::fchmodat(self.raw(), name, 0o600)?;
        if self.id.uid != sys::effective_uid() {
            let flags = libc::O_PATH | libc::O_NOFOLLOW;
            let socket = sys::openat_internal(self.raw(), name, flags, 0)?;
            sys::fchown(socket.as_fd(), self.id.uid, self.id.gid)?;
        }
        Ok(())
    }

    /// Gives a new file its mode, whatever the umask is, and makes the net's owner its owner.
    fn adopt(&self, fd: &Fd) -> Result<(), Errno> {
        match sys::fchmod(fd.as_fd(), 0o600) {
            // EBADF says that the file was opened with O_PATH, which fchmod(2) does not take.
            Ok(()) | Err(Errno(libc::EBADF)) => {}
            Err(e) => return Err(e),
        }
        if self.id.uid != sys::effective_uid() {
            sys::fchown(fd.as_fd(), self.id.uid, self.id.gid)?;
        }
        Ok(())
    }

    /// Gives a file a second name.
    ///
    /// # Errors
    ///
    /// EEXIST when the new name exists: nothing is replaced.
    pub fn link(&self, from: &CStr, to: &CStr) -> Result<(), Errno> {
        sys::linkat(self.raw(), from, to)
    }

    /// Gives a file another name.
    ///
    /// # Errors
    ///
    /// EEXIST when the new name exists: nothing is replaced.
    pub fn rename(&self, from: &CStr, to: &CStr) -> Result<(), Errno> {
        sys::renameat(self.raw(), from, to)
    }

    /// Gives a file another name, in place of whatever had that name.
    ///
    /// # Errors
    ///
    /// What renameat(2) fails with.
    pub fn replace(&self, from: &CStr, to: &CStr) -> Result<(), Errno> {
        sys::replaceat(self.raw(), from, to)
    }

    /// Removes a name from the directory.
    ///
    /// # Errors
    ///
    /// What unlinkat(2) fails with, for example ENOENT.
    pub fn unlink(&self, name: &CStr) -> Result<(), Errno> {
        sys::unlinkat(self.raw(), name, 0)
    }

    /// Returns the inode behind a name. No link is followed.
    ///
    /// # Errors
    ///
    /// ENOENT when there is no such name, and what fstatat(2) fails with otherwise.
    pub fn inode(&self, name: &CStr) -> Result<u64, Errno> {
        sys::fstatat(self.raw(), name, libc::AT_SYMLINK_NOFOLLOW).map(|st| st.st_ino)
    }

    /// Is there a FIFO of this name?
    pub fn is_fifo(&self, name: &CStr) -> bool {
        sys::fstatat(self.raw(), name, libc::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|st| sys::is_kind(&st, libc::S_IFIFO))
    }

    /// Calls `each` with every name, until `each` returns false.
    ///
    /// # Errors
    ///
    /// What reading the directory fails with.
    pub fn each_entry(&self, each: impl FnMut(&CStr) -> bool) -> Result<(), Errno> {
        sys::rewind(self.fd.as_fd())?;
        sys::each_entry(self.fd.as_fd(), each)
    }

    /// Removes the directory itself, which must be empty and still at this path.
    ///
    /// # Errors
    ///
    /// - ENOENT when another directory is at this path now.
    /// - ENOTEMPTY when something is in it.
    pub fn remove(&self, path: &[u8]) -> Result<(), Errno> {
        let (above, name) = split(path)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let parent = sys::open_internal(above.cstr(), flags, 0)?;
        self.remove_at(parent.raw(), name.cstr())
    }

    /// Does the same as [`Directory::remove`], from the directory above, whose descriptor is
    /// `parent`.
    ///
    /// # Errors
    ///
    /// - ENOENT when `name` does not lead to this directory.
    /// - ENOTEMPTY when something is in it.
    pub fn remove_at(&self, parent: i32, name: &CStr) -> Result<(), Errno> {
        if !self.is_at(parent, name) {
            return Err(Errno(libc::ENOENT));
        }
        sys::unlinkat(parent, name, libc::AT_REMOVEDIR)
    }
}

/// Splits a path into the directory above and the last name.
fn split(path: &[u8]) -> Result<(PathBuf, PathBuf), Errno> {
    let cut = path.iter().rposition(|b| *b == b'/');
    let name = PathBuf::concat(&[&path[cut.map_or(0, |at| at + 1)..]])?;
    let above = match cut {
        None => PathBuf::concat(&[b"."])?,
        Some(at) => PathBuf::concat(&[&path[..at.max(1)]])?,
    };
    Ok((above, name))
}
