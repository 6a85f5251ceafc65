//! The directory of a net: the files in it, who is alive, and what is removed when somebody dies.
//!
//! ```text
//! DIR/.memtun-net-state         NetState; every process of the net holds a lock on a byte of it, see `life`
//! DIR/.memtun-net-private       the mark of a net that goes with its last member; its maker leaves it
//! DIR/NAME                      InterfaceState, one per interface; no interface may be called `.memtun-...`
//! DIR/.memtun-tunnel-INODE      TunnelState
//! DIR/.memtun-bell-INODE        FIFO of that inode; every open description holds a shared flock(2) on it
//! DIR/.memtun-filter-NUMBER     the packet filter of a tunnel, as `struct sock_filter`s; only while it has one
//! DIR/.memtun-link-INDEX        FIFO, readable while the link of that interface is up; only once somebody waited for it
//! DIR/.memtun-capturer          whoever captures holds an exclusive flock(2) on it
//! DIR/.memtun-gone-NUMBER       InterfaceState of one that was deleted, until the capturer has read it
//! DIR/.memtun-said-NUMBER       empty: a program of that number was told of, see [`says_first`]
//! DIR/.memtun-host-EPOCH        socket at which the host process of that epoch answers, see `host`
//! DIR/.memtun-stack-EPOCH       what the host of the net knows: addresses, routes and so on
//! DIR/.memtun-sockets           what programs have set on sockets about interfaces of the net
//! DIR/.memtun-inet              InetState, the table of sockets; once an interface has had an address
//! DIR/.memtun-packet-INODE      the name of a packet socket or a raw one of a program
//! DIR/.memtun-packets           what these sockets are for, so that another host process goes on
//! DIR/.memtun-groups            the multicast groups that sockets have joined
//! DIR/.memtun-view              directories that stand for those of /sys and /proc in which the net's links are
//! DIR/.memtun-new-...           being made; its maker holds a shared flock(2) on it
//! ```
//! Whoever can take the exclusive lock on a bell knows that the last descriptor of the tunnel is
//! gone, even if by SIGKILL, and clears up. No process has to run for that. A private net is
//! removed with its last member.

mod captured;
mod directory;
mod files;
mod filters;
mod history;
mod host;
mod images;
mod inet;
mod interfaces;
mod known;
mod life;
mod moved;
mod place;
mod received;
mod sockets;
mod sweep;
pub mod temporary;
mod tunnels;

pub use directory::{Directory, Inner, Refusal};
pub use received::Received;
pub use sockets::Kept;
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
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// First index that is given to an interface, unless [`NetDir::number_from`] sets another one. It
/// is above those of a host's own interfaces, which stay visible to the program.
pub const FIRST_IFINDEX: u32 = 1001;

/// First index that is given to an interface where programs do not see the machine's: that behind
/// the loopback's, as in a new network namespace.
pub const ISOLATED_IFINDEX: u32 = 2;

/// What the calling process knows about its own descriptors. A tunnel that it holds is known to be
/// alive without a system call.
pub trait Local {
    /// Returns a descriptor of the tunnel whose bell has this inode. None means that this process
    /// holds none, or cannot tell.
    fn descriptor(&self, inode: u64) -> Option<i32>;
    /// Is this still a descriptor of the tunnel whose bell has this inode, as
    /// [`Local::descriptor`] once said?
    fn is_descriptor(&self, _fd: i32, _inode: u64) -> bool {
        false
    }
    /// Has the net a link of this name that is not the driver's, such as an uplink?
    fn is_declared(&self, _net: &NetDir, _name: &Name) -> bool {
        false
    }
}

/// The [`Local`] of a process that holds no tunnels, such as a driver.
pub struct NoTunnels;

impl Local for NoTunnels {
    fn descriptor(&self, _: u64) -> Option<i32> {
        None
    }
}

/// What [`NetDir::join`] does where there is no net.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Create {
    /// Fails with ENOENT.
    Never,
    /// Makes a net that stays until it is removed. The directory itself is made, but not its
    /// parents.
    Named,
    /// Makes a private net, which goes with its last member.
    Private,
}

/// How a net is joined.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    /// What is done where there is no net.
    pub create: Create,
    /// User who must own the net; None means the caller. Only root may name another user.
    pub owner: Option<u32>,
    /// Does the process become a member, which keeps a private net in being?
    pub member: bool,
}

/// The directory of a net that this process has joined.
pub struct NetDir {
    path: PathBuf,
    id: Identity,
    private: bool,
    owner: Option<u32>,
    /// Who and where the process was when it joined the net.
    place: Place,
    state: Mapped<NetState>,
    life: Life,
}

/// That the last member of a net has gone, however it did, see [`NetDir::desertion`].
pub struct Desertion(Fd);

impl Desertion {
    /// Waits until there is no member.
    ///
    /// # Errors
    ///
    /// EINTR when a signal came.
    pub fn wait(&self) -> Result<(), Errno> {
        life::wait_for_members(&self.0)
    }
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
    /// Joins the net in the directory `dir`.
    ///
    /// # Errors
    ///
    /// The message names the directory and the remedy.
    ///
    /// - ENOENT when there is no net and `how` does not make one, or a parent directory is missing.
    /// - EPERM or ENOTDIR when the directory is not one that the caller may trust, see [`Refusal`].
    /// - EUCLEAN when the state of the net is damaged or of another version.
    /// - EAGAIN when somebody is removing the net and does not go on.
    /// - What a system call on the directory fails with otherwise.
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
        /// Number of attempts that follow each other at once, before those with a pause in between.
        const AT_ONCE: usize = 20;
        /// For so long somebody may be about to remove the net, or look whether it is to be:
        /// whoever does that may have lost the processor with the lock on the net's mark.
        const PATIENCE: Duration = Duration::from_secs(2);
        const PAUSE: Duration = Duration::from_micros(500);
        let plain = |e: Errno| (Refusal::Errno(e), "");
        let mut end = None;
        for round in 0.. {
            if round > AT_ONCE {
                let now = sys::now_ns(libc::CLOCK_MONOTONIC);
                if now >= *end.get_or_insert(now + PATIENCE.as_nanos() as u64) {
                    break;
                }
                sys::nap(PAUSE);
            }
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
                        // The process has arrived in its new image, and its lock says that it
                        // lives.
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
                // Somebody else removed or made the net in between.
                Err(Errno(libc::ENOENT | libc::EEXIST)) => sys::yield_now(),
                Err(e) => return Err(plain(e)),
            }
        }
        Err(plain(Errno(libc::EAGAIN)))
    }

    /// Returns the directory's path.
    pub fn path(&self) -> &[u8] {
        self.path.bytes()
    }

    /// Returns the path of the directory in which the directories of the net's view are made: each
    /// under the path that it stands for.
    ///
    /// # Errors
    ///
    /// ENAMETOOLONG when the net's own path is too long.
    pub fn view_path(&self) -> Result<PathBuf, Errno> {
        PathBuf::concat(&[self.path.bytes(), b"/", VIEW.to_bytes()])
    }

    /// Opens the directory of the view, see [`NetDir::view_path`], which is made if it is missing.
    ///
    /// # Errors
    ///
    /// What [`Directory::open_inner`] fails with.
    pub fn open_view(&self) -> Result<Inner, Errno> {
        self.open_dir()?.open_inner(VIEW)
    }

    /// Returns the user whose net it is, if whoever joined it named one.
    pub fn owner(&self) -> Option<u32> {
        self.owner
    }

    /// Does the net go with its last member?
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Returns a number that tells the net from another one that is made at its path later.
    pub fn mark(&self) -> u32 {
        self.id.mark()
    }

    /// Returns the user to whom the net's directory belonged when it was joined.
    pub fn uid(&self) -> u32 {
        self.id.uid
    }

    /// Opens the directory for one operation.
    ///
    /// # Errors
    ///
    /// ENOENT when the directory was removed or another one is at its path, and what opening it
    /// fails with otherwise.
    pub fn open_dir(&self) -> Result<Directory, Errno> {
        Directory::again(self.path.cstr(), &self.id)
    }

    /// Has the directory been removed, or replaced?
    pub fn is_gone(&self) -> bool {
        let state = self.open_dir().and_then(|dir| dir.inode(STATE));
        matches!(state, Err(Errno(libc::ENOENT))) && Place::here().root == self.place.root
    }

    /// Does a member live in the net? This process counts, too.
    pub fn has_members(&self) -> bool {
        let asked = self
            .open_dir()
            .and_then(|dir| dir.open(STATE, libc::O_RDWR, libc::S_IFREG));
        asked.is_ok_and(|(state, _)| life::has_members(&state))
    }

    /// Returns what waits until the net has no member. It is for a thread that may wait for as long
    /// as its process runs.
    ///
    /// # Errors
    ///
    /// ENOENT when the net is gone, and what opening its state fails with.
    pub fn desertion(&self) -> Result<Desertion, Errno> {
        let (state, _) = self.open_dir()?.open(STATE, libc::O_RDWR, libc::S_IFREG)?;
        Ok(Desertion(state))
    }

    /// Begins a life of its own in the net for this process, the child of a fork(2).
    pub fn forked(&self) {
        let member = self.life.forget();
        if let Ok(dir) = self.open_dir() {
            let _ = self.life.begin(&dir, member);
        }
    }

    /// Says that this process is about to execute another program. It is not a member until that
    /// has been loaded; the net is kept for it for a moment. Allocates nothing.
    pub fn before_exec(&self) {
        if self.private && self.life.is_member() {
            images::leaving(&self.state.between_images);
        }
    }

    /// Takes the net's lock. Names and lifetimes stand still while it is held, unless a holder does
    /// not go on and loses it.
    ///
    /// # Errors
    ///
    /// EAGAIN when the lock is not released in time, see [`Patience::Program`].
    pub fn lock(&self) -> Result<Guard<'_>, Errno> {
        self.lock_for(Patience::Program)
    }

    /// Does the same as [`NetDir::lock`], with another patience.
    ///
    /// # Errors
    ///
    /// EAGAIN when the lock is not released in time.
    pub fn lock_for(&self, patience: Patience) -> Result<Guard<'_>, Errno> {
        self.state.lock_in_turn(self, patience)
    }

    /// Takes an interface's lock, which protects its outbound log and its list of queues.
    ///
    /// # Errors
    ///
    /// EAGAIN when the calling thread holds it already, or when it is not released in time.
    #[inline]
    pub fn lock_interface<'i>(
        &self,
        interface: &'i Mapped<InterfaceState>,
        patience: Patience,
    ) -> Result<InterfaceGuard<'i>, Errno> {
        // Each change under this lock is complete with one store, so nothing has to be repaired.
        let locked = interface.lock(self, patience, || {});
        if locked.is_err() {
            self.complain(patience, &interface.name, interface.is_lock_mine());
        }
        locked
    }

    /// Logs why a call of the program's fails that should not fail, unless the very thread that
    /// makes the call holds the lock. The message is not repeated at once, because the program may
    /// try again at once.
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

    /// Makes something that gets its name only at the end. It is made again when somebody who
    /// clears up took it for left behind.
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

    /// Opens a tunnel's bell to ring it. Never blocks. The caller owns the descriptor.
    ///
    /// # Errors
    ///
    /// - EUCLEAN when the file is not the bell of that inode.
    /// - ENOENT when the tunnel is gone.
    pub fn open_bell(&self, inode: u64) -> Result<Fd, Errno> {
        let (fd, st) =
            self.open_dir()?
                .open(numbered(BELL, inode)?.cstr(), libc::O_RDWR, libc::S_IFIFO)?;
        if st.st_ino != inode {
            return Err(Errno(libc::EUCLEAN));
        }
        Ok(fd)
    }

    /// Splits the path of a bell into its directory and the bell's inode, whatever directory the
    /// path names. None means that the path is not a bell's.
    pub fn inode_of_bell_path(path: &[u8]) -> Option<(&[u8], u64)> {
        let at = path.iter().rposition(|b| *b == b'/')?;
        let digits = path[at + 1..].strip_prefix(BELL)?;
        let inode = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some((&path[..at], inode))
    }

    /// Calls `each` with the names of the interfaces, in the directory's order, until `each`
    /// returns false.
    ///
    /// # Errors
    ///
    /// What opening or reading the directory fails with.
    pub fn each_name(&self, mut each: impl FnMut(Name) -> bool) -> Result<(), Errno> {
        self.open_dir()?
            .each_entry(|entry| match Name::new(entry.to_bytes()) {
                Some(name) if name.is_valid() => each(name),
                _ => true,
            })
    }
}

/// Makes the state of a net under its name. EEXIST says that somebody else made it first, ENOENT
/// that somebody cleared up meanwhile.
fn create_state(dir: &Directory, create: Create) -> Result<Mapped<NetState>, Errno> {
    // The mark is locked until the state is there, so that nobody takes a net that is being made
    // for one that was left behind.
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

/// Does the directory look like a private net's? The answer is a hint that costs one system call,
/// for processes that may have nothing to do with the net.
pub fn seems_private(dir: &[u8]) -> bool {
    PathBuf::concat(&[dir, b"/", PRIVATE.to_bytes()])
        .is_ok_and(|path| sys::access(path.cstr(), 0).is_ok())
}

/// Removes from the end of a directory's path what would make it lead through a link: slashes and
/// dots.
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

/// Makes the name of a file of this kind with a number.
fn numbered(kind: &[u8], number: u64) -> Result<PathBuf, Errno> {
    let mut name = PathBuf::concat(&[kind])?;
    name.push_number(number)?;
    Ok(name)
}

/// Returns the number in a file's name, if the file is of this kind.
fn number_of(kind: &[u8], entry: &CStr) -> Option<u64> {
    let digits = entry.to_bytes().strip_prefix(kind)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns the name of an interface's file. EUCLEAN says that the name is not valid: it stands in
/// damaged memory and may lead out of the directory.
fn interface_file(name: &Name) -> Result<PathBuf, Errno> {
    if !name.is_valid() {
        return Err(Errno(libc::EUCLEAN));
    }
    PathBuf::concat(&[name.as_bytes()])
}

/// Takes the exclusive flock(2) on a file of this kind, so that nobody holds a lock on it; the lock
/// lives as long as the descriptor. None means that there is no such file or one of another kind,
/// which nobody can hold. An error means that somebody holds it, or that nobody can tell.
fn claim(dir: &Directory, name: &CStr, kind: u32) -> Result<Option<Fd>, Errno> {
    match dir.open(name, libc::O_RDONLY, kind) {
        Ok((fd, _)) => sys::flock(fd.as_fd(), libc::LOCK_EX | libc::LOCK_NB).map(|()| Some(fd)),
        Err(Errno(libc::ENOENT | libc::EUCLEAN)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Makes a name of the form `.memtun-new-PID-TID-COUNTER`.
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

/// Is this the first process of the net at `path` to report something that has this number? The
/// answer is yes where there is no such net.
pub fn says_first(path: &[u8], number: u64) -> bool {
    let make = || {
        let name = numbered(SAID, number).ok()?;
        let path = PathBuf::concat(&[path, b"/", name.bytes()]).ok()?;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
        sys::open_internal(path.cstr(), flags, 0o600).err()
    };
    make() != Some(Errno(libc::EEXIST))
}
