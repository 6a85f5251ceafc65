//! The directory of a net: the files in it, who is alive, and what goes when somebody dies.
//!
//! ```text
//! DIR/.memtun-net-state         NetState
//! DIR/NAME                      InterfaceState, one per interface (names are at most 15 bytes, ours are longer)
//! DIR/.memtun-tunnel-INODE      TunnelState
//! DIR/.memtun-bell-INODE        FIFO of that inode; every open description holds a shared flock(2) on it
//! DIR/.memtun-link-INDEX        FIFO, readable while the link of that interface is up; only once somebody waited for it
//! DIR/.memtun-capturer          whoever captures holds an exclusive flock(2) on it
//! DIR/.memtun-gone-NUMBER       InterfaceState of one that was deleted, until the capturer has read it
//! DIR/.memtun-new-...           being made
//! ```
//! Whoever can take the exclusive lock on a bell knows that the last descriptor of the tunnel is gone, also by SIGKILL,
//! and clears up; nobody has to run for that.

mod captured;
mod interfaces;
mod sweep;
mod tunnels;

pub use sweep::remove_directory;

use crate::shm::layout::NetState;
use crate::shm::lock::{Guard, Level};
use crate::shm::Mapped;
use crate::sys::{self, Fd, PathBuf};
use crate::{Errno, Error, Name};
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const STATE: &[u8] = b"/.memtun-net-state";
const TUNNEL: &[u8] = b"/.memtun-tunnel-";
const BELL: &[u8] = b"/.memtun-bell-";
const LINK: &[u8] = b"/.memtun-link-";
const NEW: &[u8] = b"/.memtun-new-";
const CAPTURER: &[u8] = b"/.memtun-capturer";
const GONE: &[u8] = b"/.memtun-gone-";

/// First index that is given out: above those of a host's own interfaces, which stay visible to the program.
const FIRST_IFINDEX: u32 = 1001;

/// What the calling process knows of itself. A tunnel that it holds needs no system call to be known alive.
pub trait Local {
    /// Does this process hold a descriptor of the tunnel? None when it cannot tell.
    fn descriptor(&self, inode: u64) -> Option<i32>;
}

/// A process that holds no tunnels: a driver.
pub struct NoTunnels;

impl Local for NoTunnels {
    fn descriptor(&self, _: u64) -> Option<i32> {
        None
    }
}

/// A net's directory, open.
pub struct NetDir {
    dir: PathBuf,
    state: Mapped<NetState>,
    /// Whose files the net's are, where the caller is root and the directory is not: a program that runs as that user must
    /// be able to use what root makes in it.
    owner: Option<(u32, u32)>,
}

impl std::ops::Deref for NetDir {
    type Target = NetState;
    fn deref(&self) -> &NetState {
        &self.state
    }
}

impl NetDir {
    /// Opens a net, makes it if there is none (the directory itself, mode 0700, but not its parents).
    pub fn open_or_create(dir: &[u8]) -> Result<NetDir, Error> {
        let shown = String::from_utf8_lossy(dir).into_owned();
        let fail = |e: Errno, remedy: &str| Error::new(e.0, format!("net {shown}: {e}{remedy}"));
        let mut end = dir.len();
        while end > 1 && dir[end - 1] == b'/' {
            end -= 1;
        }
        let path = PathBuf::concat(&[&dir[..end]])
            .and_then(|p| {
                if p.bytes().contains(&0) || end == 0 {
                    Err(Errno(libc::ENOENT))
                } else {
                    Ok(p)
                }
            })
            .map_err(|e| fail(e, "; give the path of a directory"))?;
        match sys::mkdir(path.cstr(), 0o700) {
            Ok(()) | Err(Errno(libc::EEXIST)) => {}
            Err(e @ Errno(libc::ENOENT)) => {
                return Err(fail(e, "; make its parent directory first"))
            }
            Err(e) => {
                return Err(fail(
                    e,
                    "; choose a directory that you may write to (MEMTUN_NET)",
                ))
            }
        }
        Self::attach(path, true).map_err(|(e, why)| match e {
            Errno(libc::EUCLEAN) => Error::new(
                e.0,
                format!("net {shown}: its state {why}; remove the directory"),
            ),
            Errno(libc::ENOSPC) => fail(e, "; its file system is full"),
            Errno(libc::ENOTDIR) => fail(e, "; it is not a directory"),
            e => fail(e, "; the directory must belong to you and be writable"),
        })
    }

    /// Opens a net that exists. ENOENT when there is none.
    pub fn open(dir: &[u8]) -> Result<NetDir, Error> {
        let shown = String::from_utf8_lossy(dir).into_owned();
        let path =
            PathBuf::concat(&[dir]).map_err(|e| Error::new(e.0, format!("net {shown}: {e}")))?;
        Self::attach(path, false).map_err(|(e, why)| match e {
            Errno(libc::ENOENT) => Error::new(
                e.0,
                format!("net {shown}: there is no net; a program under the shim makes it"),
            ),
            Errno(libc::EUCLEAN) => Error::new(
                e.0,
                format!("net {shown}: its state {why}; remove the directory"),
            ),
            e => Error::new(e.0, format!("net {shown}: {e}")),
        })
    }

    fn attach(dir: PathBuf, create: bool) -> Result<NetDir, (Errno, &'static str)> {
        let plain = |e| (e, "");
        let mut path = dir.clone();
        path.push(STATE).map_err(plain)?;
        let owner = match sys::fstatat(libc::AT_FDCWD, dir.cstr(), 0) {
            Ok(st) if st.st_uid != 0 && sys::effective_uid() == 0 => Some((st.st_uid, st.st_gid)),
            _ => None,
        };
        loop {
            match Mapped::open(path.cstr()) {
                Ok(state) => return Ok(NetDir { dir, state, owner }),
                Err((Errno(libc::ENOENT), _)) if create => {}
                Err(e) => return Err(e),
            }
            let temporary = temporary_name(&dir).map_err(plain)?;
            let state = Mapped::<NetState>::create(temporary.cstr()).map_err(plain)?;
            state.next_ifindex.store(FIRST_IFINDEX, Relaxed);
            give_to(owner, &temporary);
            let linked = state
                .lock
                .init()
                .and_then(|()| sys::link(temporary.cstr(), path.cstr()));
            let _ = sys::unlink(temporary.cstr(), 0);
            match linked {
                Ok(()) => return Ok(NetDir { dir, state, owner }),
                Err(Errno(libc::EEXIST)) => {}
                Err(e) => return Err(plain(e)),
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &[u8] {
        self.dir.bytes()
    }

    /// The net's lock: names and lifetimes stand still while it is held.
    pub fn lock(&self) -> Result<Guard<'_>, Errno> {
        // Every change under this lock is complete after each file operation; nothing is to be repaired.
        self.state.lock.lock(Level::Net, || {})
    }

    fn file(&self, kind: &[u8], number: u64) -> Result<PathBuf, Errno> {
        let mut path = PathBuf::concat(&[self.dir.bytes(), kind])?;
        path.push_number(number)?;
        Ok(path)
    }

    fn interface_file(&self, name: &Name) -> Result<PathBuf, Errno> {
        PathBuf::concat(&[self.dir.bytes(), b"/", name.as_bytes()])
    }

    /// The path of a tunnel's bell.
    pub fn bell_path(&self, inode: u64) -> Result<PathBuf, Errno> {
        self.file(BELL, inode)
    }

    /// Opens a tunnel's bell to ring it; never blocks.
    pub fn open_bell(&self, inode: u64) -> Result<Fd, Errno> {
        sys::open_internal(
            self.file(BELL, inode)?.cstr(),
            libc::O_RDWR | libc::O_NONBLOCK,
            0,
        )
    }

    /// The number behind BELL in a path of this net, whatever directory the path names.
    pub fn inode_of_bell_path(path: &[u8]) -> Option<(&[u8], u64)> {
        let at = path.windows(BELL.len()).rposition(|w| w == BELL)?;
        let inode = std::str::from_utf8(&path[at + BELL.len()..])
            .ok()?
            .parse()
            .ok()?;
        Some((&path[..at], inode))
    }

    /// Calls `each` with the names of the interfaces, in the directory's order, until it answers false.
    pub fn each_name(&self, mut each: impl FnMut(Name) -> bool) -> Result<(), Errno> {
        let dir = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        sys::each_entry(dir.raw(), |entry| match Name::new(entry.to_bytes()) {
            Some(name) if name.is_valid() => each(name),
            _ => true,
        })
    }
}

/// Gives a new file to the net's owner. Failing that, it is root's.
fn give_to(owner: Option<(u32, u32)>, path: &PathBuf) {
    if let Some((uid, gid)) = owner {
        let _ = sys::lchown(path.cstr(), uid, gid);
    }
}

fn is_unlocked(path: &CStr) -> bool {
    match sys::open_internal(path, libc::O_RDONLY | libc::O_NONBLOCK, 0) {
        Ok(fd) => sys::flock(fd.raw(), libc::LOCK_EX | libc::LOCK_NB).is_ok(),
        Err(e) => e.0 == libc::ENOENT,
    }
}

/// `DIR/.memtun-new-PID-TID-COUNTER`
fn temporary_name(dir: &PathBuf) -> Result<PathBuf, Errno> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut path = PathBuf::concat(&[dir.bytes(), NEW])?;
    path.push_number(sys::getpid() as u64)?;
    path.push(b"-")?;
    path.push_number(sys::gettid() as u64)?;
    path.push(b"-")?;
    path.push_number(sys::now_ns(libc::CLOCK_MONOTONIC) ^ COUNTER.fetch_add(1, Relaxed) << 48)?;
    Ok(path)
}
