//! The directory of a net: the files in it, who is alive, and what goes when somebody dies.
//!
//! ```text
//! DIR/.memtun-net-state         NetState; every process of the net holds a lock on a byte of it, see `life`
//! DIR/.memtun-net-private       the mark of a net that goes with its last member; its maker leaves it
//! DIR/NAME                      InterfaceState, one per interface; no interface may be called `.memtun-...`
//! DIR/.memtun-tunnel-INODE      TunnelState
//! DIR/.memtun-bell-INODE        FIFO of that inode; every open description holds a shared flock(2) on it
//! DIR/.memtun-link-INDEX        FIFO, readable while the link of that interface is up; only once somebody waited for it
//! DIR/.memtun-capturer          whoever captures holds an exclusive flock(2) on it
//! DIR/.memtun-gone-NUMBER       InterfaceState of one that was deleted, until the capturer has read it
//! DIR/.memtun-said-NUMBER       empty: a program of that number was told of, see [`says_first`]
//! DIR/.memtun-new-...           being made; its maker holds a shared flock(2) on it
//! ```
//! Whoever can take the exclusive lock on a bell knows that the last descriptor of the tunnel is
//! gone, also by SIGKILL, and clears up; nobody has to run for that. A net that was made private
//! goes with its last member.

mod captured;
mod directory;
mod files;
mod history;
mod images;
mod interfaces;
mod known;
mod life;
mod moved;
mod place;
mod sweep;
pub mod temporary;
mod tunnels;

pub use directory::{Directory, Refusal};
pub use sweep::sweep_base;

use crate::cause::Cause;
use crate::shm::layout::{InterfaceState, NetState};
use crate::shm::lock::{Guard, Patience, Peers};
use crate::shm::{InterfaceGuard, Mapped};
use crate::sys::quiet::{may, Extra};
use crate::sys::{self, Fd, PathBuf};
use crate::{Errno, Error, Name};
use directory::Identity;
use files::*;
use life::Life;
pub use moved::Refused;
use place::Place;
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// First index that is given out: above those of a host's own interfaces, which stay visible to the
/// program.
const FIRST_IFINDEX: u32 = 1001;

/// What the calling process knows of itself. A tunnel that it holds needs no system call to be
/// known alive.
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

/// What to do where there is no net.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Create {
    /// ENOENT.
    Never,
    /// Make one that stays until it is removed. The directory itself is made, but not its parents.
    Named,
    /// Make one that goes with its last member.
    Private,
}

/// How a net is joined.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    /// Where there is none.
    pub create: Create,
    /// Whose it is to be, where that is not the caller; for root.
    pub owner: Option<u32>,
    /// A member keeps a private net in being.
    pub member: bool,
}

/// A net's directory, joined.
pub struct NetDir {
    path: PathBuf,
    id: Identity,
    private: bool,
    owner: Option<u32>,
    /// Who and where the process was when it joined.
    place: Place,
    state: Mapped<NetState>,
    life: Life,
}

impl std::ops::Deref for NetDir {
    type Target = NetState;
    fn deref(&self) -> &NetState {
        &self.state
    }
}

impl Peers for NetDir {
    #[inline]
    fn token(&self) -> u32 {
        self.life.token()
    }
    fn is_alive(&self, token: u32) -> Option<bool> {
        if !may(Extra::Files) {
            return None;
        }
        life::is_alive(&self.open_dir().ok()?, token)
    }
}

impl NetDir {
    /// Joins a net. Errors name the directory and the remedy.
    pub fn join(dir: &[u8], how: Join) -> Result<NetDir, Error> {
        let shown = String::from_utf8_lossy(dir).into_owned();
        let fail =
            |e: i32, remedy: &str| Error::new(e, format!("net {shown}: {}{remedy}", Errno(e)));
        let path =
            normal_path(dir).ok_or_else(|| fail(libc::ENOENT, "; give the path of a directory"))?;
        NetDir::attach(path, how).map_err(|(refusal, why)| match (refusal, why) {
            (Refusal::Errno(Errno(libc::EUCLEAN)), why) if !why.is_empty() => Error::new(
                libc::EUCLEAN,
                format!("net {shown}: its state {why}; remove the directory"),
            ),
            (Refusal::Errno(Errno(e)), _) => match e {
                libc::ENOENT if how.create == Create::Never => Error::new(
                    e,
                    format!("net {shown}: there is no net; a program under the shim makes it"),
                ),
                libc::ENOENT if how.owner.is_some() => {
                    fail(e, "; its owner makes the directory, root does not")
                }
                libc::ENOENT => fail(e, "; make its parent directory first"),
                _ if Cause(Errno(e)).is_known() => fail(e, &format!("; {}", Cause(Errno(e)))),
                libc::EAGAIN => fail(
                    e,
                    "; somebody who does not go on is removing it: end that process",
                ),
                libc::EEXIST => fail(e, "; the directory is there already"),
                _ => fail(e, "; choose a directory that you may write to (MEMTUN_NET)"),
            },
            (refusal, _) => Error::new(refusal.errno().0, refusal.sentence(&shown)),
        })
    }

    fn attach(path: PathBuf, how: Join) -> Result<NetDir, (Refusal, &'static str)> {
        /// Somebody may remove the net at the same moment, but not for ever.
        const TRIES: usize = 100;
        let plain = |e: Errno| (Refusal::Errno(e), "");
        for _ in 0..TRIES {
            let dir = match Directory::verify(path.cstr(), how.owner) {
                Ok(dir) => dir,
                Err(Refusal::Errno(Errno(libc::ENOENT))) => {
                    let others = how.owner.is_some_and(|uid| uid != sys::effective_uid());
                    if how.create == Create::Never || others {
                        return Err(plain(Errno(libc::ENOENT)));
                    }
                    match sys::mkdir(path.cstr(), 0o700) {
                        Ok(()) | Err(Errno(libc::EEXIST)) => {}
                        Err(e) => return Err(plain(e)),
                    }
                    continue;
                }
                Err(refusal) => return Err((refusal, "")),
            };
            let state = match dir.map::<NetState>(STATE) {
                Ok(state) => Ok(state),
                Err((Errno(libc::ENOENT), _)) if how.create == Create::Never => {
                    return Err(plain(Errno(libc::ENOENT)))
                }
                Err((Errno(libc::ENOENT), _)) => create_state(&dir, how.create),
                Err((e, why)) => return Err((Refusal::Errno(e), why)),
            };
            let life = Life::default();
            let begun = state.and_then(|state| {
                life.begin(&dir, how.member)?;
                Ok(state)
            });
            match begun {
                Ok(state) => {
                    let id = dir.id();
                    let private = dir.inode(PRIVATE).is_ok();
                    if private && how.member {
                        // Its lock says the rest.
                        images::arrived(&state.between_images);
                    }
                    return Ok(NetDir {
                        path,
                        id,
                        private,
                        owner: how.owner,
                        place: Place::here(),
                        state,
                        life,
                    });
                }
                // Removed, or made, by somebody else in between.
                Err(Errno(libc::ENOENT | libc::EEXIST)) => sys::yield_now(),
                Err(e) => return Err(plain(e)),
            }
        }
        Err(plain(Errno(libc::EAGAIN)))
    }

    /// The directory's path.
    pub fn path(&self) -> &[u8] {
        self.path.bytes()
    }

    /// Whose net it is, where whoever joined it said so.
    pub fn owner(&self) -> Option<u32> {
        self.owner
    }

    /// Does the net go with its last member?
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The directory, for one operation. ENOENT when it was removed, or another one is at its path.
    pub fn open_dir(&self) -> Result<Directory, Errno> {
        Directory::again(self.path.cstr(), &self.id)
    }

    /// Has the directory been removed, or replaced?
    pub fn is_gone(&self) -> bool {
        let state = self.open_dir().and_then(|dir| dir.inode(STATE));
        matches!(state, Err(Errno(libc::ENOENT))) && Place::here().root == self.place.root
    }

    /// Does a member live in the net, this process included?
    pub fn has_members(&self) -> bool {
        let asked = self
            .open_dir()
            .and_then(|dir| dir.open(STATE, libc::O_RDWR, libc::S_IFREG));
        asked.is_ok_and(|(state, _)| life::has_members(&state))
    }

    /// The process is the child of a fork(2), and begins a life of its own in the net.
    pub fn forked(&self) {
        let member = self.life.forget();
        if let Ok(dir) = self.open_dir() {
            let _ = self.life.begin(&dir, member);
        }
    }

    /// The process is about to execute another program, and is no member until that has been
    /// loaded. The net is kept for it for a moment. Allocates nothing.
    pub fn before_exec(&self) {
        if self.private && self.life.is_member() {
            images::leaving(&self.state.between_images);
        }
    }

    /// The net's lock: names and lifetimes stand still while it is held, unless a holder does not
    /// go on.
    pub fn lock(&self) -> Result<Guard<'_>, Errno> {
        self.lock_for(Patience::Program)
    }

    /// [`NetDir::lock`] with another patience.
    pub fn lock_for(&self, patience: Patience) -> Result<Guard<'_>, Errno> {
        self.state.lock_in_turn(self, patience)
    }

    /// An interface's lock: its outbound log and its list of queues.
    #[inline]
    pub fn lock_interface<'i>(
        &self,
        interface: &'i Mapped<InterfaceState>,
        patience: Patience,
    ) -> Result<InterfaceGuard<'i>, Errno> {
        // Each change is complete with one store: nothing is to be repaired.
        let locked = interface.lock(self, patience, || {});
        if locked.is_err() {
            self.complain(patience, &interface.name, interface.is_lock_mine());
        }
        locked
    }

    /// Says why a call of the program's fails that should not, unless it is held up by the very
    /// thread that makes it. Once in a while: the program may try again at once.
    #[cold]
    pub fn complain(
        &self,
        patience: Patience,
        name: &[std::sync::atomic::AtomicU8; 16],
        by_itself: bool,
    ) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        if patience != Patience::Program || by_itself || !crate::seldom::is_due(&LAST) {
            return;
        }
        log::warn!(
            "{}: another process or thread is in the middle of a call on it and does not go on (stopped?); calls fail with EAGAIN until it continues or is killed",
            crate::shm::load_name(name)
        );
    }

    /// Makes something that has its name only at the end: again when somebody who clears up took it
    /// for left behind.
    fn make<T>(&self, mut make: impl FnMut(&Directory) -> Result<T, Errno>) -> Result<T, Errno> {
        const TRIES: usize = 16;
        let dir = self.open_dir()?;
        for _ in 0..TRIES {
            match make(&dir) {
                Err(Errno(libc::ENOENT | libc::EAGAIN)) if !self.is_gone() => {}
                made => return made,
            }
        }
        Err(Errno(libc::EAGAIN))
    }

    /// Opens a tunnel's bell to ring it; never blocks.
    pub fn open_bell(&self, inode: u64) -> Result<Fd, Errno> {
        let (fd, st) =
            self.open_dir()?
                .open(numbered(BELL, inode)?.cstr(), libc::O_RDWR, libc::S_IFIFO)?;
        if st.st_ino != inode {
            return Err(Errno(libc::EUCLEAN));
        }
        Ok(fd)
    }

    /// The number behind BELL in a path of this net, whatever directory the path names.
    pub fn inode_of_bell_path(path: &[u8]) -> Option<(&[u8], u64)> {
        let at = path.iter().rposition(|b| *b == b'/')?;
        let digits = path[at + 1..].strip_prefix(BELL)?;
        let inode = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some((&path[..at], inode))
    }

    /// Calls `each` with the names of the interfaces, in the directory's order, until it answers
    /// false.
    pub fn each_name(&self, mut each: impl FnMut(Name) -> bool) -> Result<(), Errno> {
        self.open_dir()?
            .each_entry(|entry| match Name::new(entry.to_bytes()) {
                Some(name) if name.is_valid() => each(name),
                _ => true,
            })
    }
}

/// Makes the state of a net under its name. EEXIST when somebody was faster, ENOENT when somebody
/// cleared up meanwhile.
fn create_state(dir: &Directory, create: Create) -> Result<Mapped<NetState>, Errno> {
    // Held until the state is there: nobody takes the mark of a net that is being made for one that
    // was left behind.
    let _mark = match create {
        Create::Private => Some(hold_mark(dir)?),
        _ => None,
    };
    let temporary = temporary_name()?;
    let state = dir.create::<NetState>(temporary.cstr())?;
    state.next_ifindex.store(FIRST_IFINDEX, Relaxed);
    let linked = dir.link(temporary.cstr(), STATE);
    let _ = dir.unlink(temporary.cstr());
    linked.map(|()| state)
}

/// Makes the mark of a private net if there is none, and locks it.
fn hold_mark(dir: &Directory) -> Result<Fd, Errno> {
    dir.create_plain(PRIVATE)?;
    let (mark, _) = dir.open(PRIVATE, libc::O_RDONLY, libc::S_IFREG)?;
    let locked = sys::flock(mark.as_fd(), libc::LOCK_SH | libc::LOCK_NB);
    if locked.is_err() || sys::fstat(mark.raw())?.st_nlink == 0 {
        return Err(Errno(libc::ENOENT));
    }
    Ok(mark)
}

/// Does a path look like a private net's? A hint that costs one system call, for processes that may
/// have nothing to do with it.
pub fn seems_private(dir: &[u8]) -> bool {
    PathBuf::concat(&[dir, b"/", PRIVATE.to_bytes()])
        .is_ok_and(|path| sys::access(path.cstr(), 0).is_ok())
}

/// A directory's path without what may lead through a link: slashes and dots at the end.
fn normal_path(dir: &[u8]) -> Option<PathBuf> {
    let mut end = dir.len();
    loop {
        if end > 1 && dir[end - 1] == b'/' {
            end -= 1;
        } else if end > 2 && dir[..end].ends_with(b"/.") {
            end -= 2;
        } else {
            break;
        }
    }
    let dir = &dir[..end];
    if dir.is_empty() || dir.contains(&0) {
        return None;
    }
    PathBuf::concat(&[dir]).ok()
}

/// The name of a file with a number.
fn numbered(kind: &[u8], number: u64) -> Result<PathBuf, Errno> {
    let mut name = PathBuf::concat(&[kind])?;
    name.push_number(number)?;
    Ok(name)
}

/// The number in a file's name, if it is of this kind.
fn number_of(kind: &[u8], entry: &CStr) -> Option<u64> {
    let digits = entry.to_bytes().strip_prefix(kind)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The name of an interface's file. EUCLEAN for one that stands in damaged memory: it may lead out
/// of the directory.
fn interface_file(name: &Name) -> Result<PathBuf, Errno> {
    if !name.is_valid() {
        return Err(Errno(libc::EUCLEAN));
    }
    PathBuf::concat(&[name.as_bytes()])
}

/// Takes the exclusive flock(2) on a file of this kind, which nobody holds then; it is held with
/// the descriptor. None for a file of another kind, or none at all: that is nobody's. An error when
/// somebody holds it, or nobody can tell.
fn claim(dir: &Directory, name: &CStr, kind: u32) -> Result<Option<Fd>, Errno> {
    match dir.open(name, libc::O_RDONLY, kind) {
        Ok((fd, _)) => sys::flock(fd.as_fd(), libc::LOCK_EX | libc::LOCK_NB).map(|()| Some(fd)),
        Err(Errno(libc::ENOENT | libc::EUCLEAN)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// `.memtun-new-PID-TID-COUNTER`
fn temporary_name() -> Result<PathBuf, Errno> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut name = PathBuf::concat(&[NEW])?;
    name.push_number(sys::getpid() as u64)?;
    name.push(b"-")?;
    name.push_number(sys::gettid() as u64)?;
    name.push(b"-")?;
    name.push_number(sys::now_ns(libc::CLOCK_MONOTONIC) ^ COUNTER.fetch_add(1, Relaxed) << 48)?;
    Ok(name)
}

/// Is this the first process of a net to tell of something that has this number? Yes where there is
/// no such net.
pub fn says_first(path: &[u8], number: u64) -> bool {
    let make = || {
        let name = numbered(SAID, number).ok()?;
        let path = PathBuf::concat(&[path, b"/", name.bytes()]).ok()?;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
        sys::open_internal(path.cstr(), flags, 0o600).err()
    };
    make() != Some(Errno(libc::EEXIST))
}
