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

use crate::shm::layout::{Attachment, InterfaceState, NetState, TunnelState};
use crate::shm::lock::{Guard, Level};
use crate::shm::{load_name, store_name, Mapped};
use crate::sys::{self, Fd, PathBuf};
use crate::{bell, Errno, Error, Name};
use std::ffi::CStr;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};

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

    /// Makes a tunnel: its bell opened with `flags` (access mode replaced by O_RDWR), locked, published; its state.
    pub fn create_tunnel(&self, flags: i32) -> Result<(Fd, u64, Mapped<TunnelState>), Errno> {
        let temporary = temporary_name(&self.dir)?;
        let state = Mapped::<TunnelState>::create(temporary.cstr())?;
        give_to(self.owner, &temporary);
        let made = self.create_bell(flags).and_then(|(bell, inode)| {
            state.lock.init()?;
            state.open_flags.store(flags as u32, Relaxed);
            sys::link(temporary.cstr(), self.file(TUNNEL, inode)?.cstr()).inspect_err(|_| {
                if let Ok(path) = self.file(BELL, inode) {
                    let _ = sys::unlink(path.cstr(), 0);
                }
            })?;
            Ok((bell, inode))
        });
        let _ = sys::unlink(temporary.cstr(), 0);
        let (bell, inode) = made?;
        Ok((bell, inode, state))
    }

    fn create_bell(&self, flags: i32) -> Result<(Fd, u64), Errno> {
        const LARGEFILE: i32 = 0o100000;
        let dropped = libc::O_ACCMODE | libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC;
        let flags = flags & !dropped
            | libc::O_RDWR
            | if cfg!(target_arch = "aarch64") {
                0o400000
            } else {
                LARGEFILE
            };
        loop {
            let temporary = temporary_name(&self.dir)?;
            sys::mkfifo(temporary.cstr(), 0o600)?;
            sys::chmod(temporary.cstr(), 0o600)?;
            give_to(self.owner, &temporary);
            let locked = sys::open(temporary.cstr(), flags, 0).and_then(|fd| {
                if flags & libc::O_PATH == 0 {
                    sys::flock(fd.raw(), libc::LOCK_SH | libc::LOCK_NB)?;
                }
                Ok(fd)
            });
            let published = locked.and_then(|fd| {
                let inode = sys::fstat(fd.raw())?.st_ino;
                sys::rename(temporary.cstr(), self.file(BELL, inode)?.cstr())?;
                Ok((fd, inode))
            });
            match published {
                // Somebody who clears up saw the new FIFO before it was locked, and removed it.
                Err(Errno(libc::ENOENT | libc::EAGAIN)) => continue,
                Err(e) => {
                    let _ = sys::unlink(temporary.cstr(), 0);
                    return Err(e);
                }
                made => return made,
            }
        }
    }

    /// The state of a tunnel of this net.
    pub fn tunnel(&self, inode: u64) -> Result<Mapped<TunnelState>, Errno> {
        Mapped::open(self.file(TUNNEL, inode)?.cstr()).map_err(|(e, _)| e)
    }

    /// Locks a tunnel; a bell that a dead process left wrong is put right.
    #[inline]
    pub fn lock_tunnel<'t>(
        &self,
        inode: u64,
        tunnel: &'t Mapped<TunnelState>,
    ) -> Result<Guard<'t>, Errno> {
        tunnel.lock.lock(Level::Tunnel, || {
            if let Ok(fd) = self.open_bell(inode) {
                bell::repair(tunnel, fd.raw());
            }
        })
    }

    /// Is the last descriptor of this tunnel gone? Ask with the net's lock held: the answer is got by taking the
    /// exclusive lock for a moment.
    pub fn is_dead(&self, inode: u64, local: &dyn Local) -> bool {
        if local.descriptor(inode).is_some() {
            return false;
        }
        let Ok(path) = self.file(BELL, inode) else {
            return false;
        };
        is_unlocked(path.cstr())
    }

    /// Clears up after a tunnel if its last descriptor is gone. Wants the net's lock.
    pub fn reap_tunnel(&self, inode: u64, local: &dyn Local) -> bool {
        if !self.is_dead(inode, local) {
            return false;
        }
        if let Ok(tunnel) = self.tunnel(inode) {
            let name = load_name(&tunnel.name);
            if tunnel.attachment.load(Relaxed) != Attachment::None as u32 {
                if let Ok(Some(interface)) = self.open_interface(&name) {
                    if interface.ifindex.load(Relaxed) == tunnel.ifindex.load(Relaxed) {
                        self.leave(&interface, inode, &tunnel, local);
                    }
                }
            }
        }
        for kind in [TUNNEL, BELL] {
            if let Ok(path) = self.file(kind, inode) {
                let _ = sys::unlink(path.cstr(), 0);
            }
        }
        true
    }

    /// Takes a dead tunnel off its interface, which ends with its last one unless it is persistent.
    fn leave(
        &self,
        interface: &Mapped<InterfaceState>,
        inode: u64,
        tunnel: &Mapped<TunnelState>,
        local: &dyn Local,
    ) {
        if let Ok(_interface_lock) = interface.lock.lock(Level::Interface, || {}) {
            interface.remove_queue(inode);
            if let Ok(_lock) = self.lock_tunnel(inode, tunnel) {
                tunnel.attachment.store(Attachment::None as u32, Release);
                self.discard(interface, tunnel);
            }
        }
        if interface.attached.load(Relaxed) + interface.detached.load(Relaxed) == 0 {
            if interface.is_persistent() {
                interface.carrier.store(0, Relaxed);
            } else {
                self.delete_interface(interface, local);
            }
        }
    }

    /// Drops what is queued in a tunnel and counts it.
    pub fn discard(&self, interface: &InterfaceState, tunnel: &Mapped<TunnelState>) {
        let lost = tunnel.clear() as u64;
        interface.stats.tx_dropped.fetch_add(lost, Relaxed);
        self.discarded.fetch_add(lost, Relaxed);
        if tunnel.room_waiters.load(SeqCst) != 0 {
            tunnel.room_event.fetch_add(1, SeqCst);
            sys::futex_wake_all(&tunnel.room_event);
        }
    }

    /// An interface by name, dead or alive. EUCLEAN when a file of that name is not an interface.
    pub fn open_interface(&self, name: &Name) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        if !name.is_valid() {
            return Ok(None);
        }
        match Mapped::open(self.interface_file(name)?.cstr()) {
            Ok(interface) => Ok(Some(interface)),
            Err((Errno(libc::ENOENT), _)) => Ok(None),
            Err((e, _)) => Err(e),
        }
    }

    /// An interface by name, after clearing up after its dead tunnels. Wants the net's lock.
    pub fn find_interface(
        &self,
        name: &Name,
        local: &dyn Local,
    ) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        let Some(interface) = self.open_interface(name)? else {
            return Ok(None);
        };
        if load_name(&interface.name) != *name {
            // Somebody died in the middle of a rename: the file's name is the truth.
            store_name(&interface.name, name);
        }
        for inode in interface.queue_inodes() {
            if self.reap_tunnel(inode, local) {
                // Also one that died before it was attached, or is attached under another name.
                let _lock = interface.lock.lock(Level::Interface, || {})?;
                interface.remove_queue(inode);
            }
        }
        if interface.is_orphan() {
            // Its maker died between publishing the name and attaching, or with the detachment half done.
            self.delete_interface(&interface, local);
        }
        Ok((interface.deleted.load(Acquire) == 0).then_some(interface))
    }

    /// The interface that has this index. Wants the net's lock.
    pub fn find_by_index(
        &self,
        ifindex: u32,
        local: &dyn Local,
    ) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        let mut found = None;
        self.each_name(|name| {
            if let Ok(Some(interface)) = self.find_interface(&name, local) {
                if interface.ifindex.load(Relaxed) == ifindex {
                    found = Some(interface);
                }
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// Publishes a new interface under its name. Wants the net's lock.
    pub fn create_interface(
        &self,
        name: &Name,
        fill: impl FnOnce(&Mapped<InterfaceState>),
    ) -> Result<Mapped<InterfaceState>, Errno> {
        let temporary = temporary_name(&self.dir)?;
        let interface = Mapped::<InterfaceState>::create(temporary.cstr())?;
        give_to(self.owner, &temporary);
        store_name(&interface.name, name);
        fill(&interface);
        let linked = interface
            .lock
            .init()
            .and_then(|()| sys::link(temporary.cstr(), self.interface_file(name)?.cstr()));
        let _ = sys::unlink(temporary.cstr(), 0);
        linked?;
        Ok(interface)
    }

    /// Says that the set of interfaces, or a link's state, has changed.
    pub fn announce(&self) {
        self.changes.fetch_add(1, SeqCst);
        if self.waiters.load(SeqCst) != 0 {
            sys::futex_wake_all(&self.changes);
        }
        self.ring_capturer();
    }

    /// Numbers of the default patterns have to be looked for from the beginning again.
    pub fn forget_numbers(&self) {
        for taken in &self.numbers_taken {
            taken.store(0, Relaxed);
        }
    }

    /// Deletes an interface: its name goes at once, its tunnels are unattached again, whoever waits is woken. Wants the
    /// net's lock.
    pub fn delete_interface(&self, interface: &Mapped<InterfaceState>, local: &dyn Local) {
        let name = load_name(&interface.name);
        let captured = self.is_captured();
        if let Ok(path) = self.interface_file(&name) {
            if !(captured && self.keep_gone(interface, &path)) {
                let _ = sys::unlink(path.cstr(), 0);
            }
        }
        {
            // Nobody writes into a log that the capturer has read to its end.
            let _lock = captured.then(|| interface.lock.lock(Level::Interface, || {}));
            interface.deleted.store(1, Release);
        }
        for inode in interface.queue_inodes() {
            let Ok(tunnel) = self.tunnel(inode) else {
                continue;
            };
            let Ok(_lock) = self.lock_tunnel(inode, &tunnel) else {
                continue;
            };
            tunnel.attachment.store(Attachment::None as u32, Release);
            tunnel.deletions.fetch_add(1, Release);
            self.discard(interface, &tunnel);
            self.with_bell(inode, local, |fd| bell::alarm(&tunnel, fd));
        }
        self.ring_link(interface);
        if let Ok(path) = self.file(LINK, interface.ifindex.load(Relaxed) as u64) {
            let _ = sys::unlink(path.cstr(), 0);
        }
        interface.log_event.fetch_add(1, SeqCst);
        interface.log_ring();
        self.forget_numbers();
        self.announce();
    }

    /// Gives an interface another name. Wants the net's lock. EEXIST when it is taken.
    pub fn rename_interface(
        &self,
        interface: &Mapped<InterfaceState>,
        name: &Name,
        local: &dyn Local,
    ) -> Result<(), Errno> {
        if !name.is_valid() {
            return Err(Errno(libc::EINVAL));
        }
        let old = load_name(&interface.name);
        if old == *name {
            return Ok(());
        }
        if name.as_bytes() == b"lo" || self.find_interface(name, local)?.is_some() {
            return Err(Errno(libc::EEXIST));
        }
        sys::rename(
            self.interface_file(&old)?.cstr(),
            self.interface_file(name)?.cstr(),
        )?;
        store_name(&interface.name, name);
        for inode in interface.queue_inodes() {
            if let Ok(tunnel) = self.tunnel(inode) {
                store_name(&tunnel.name, name);
            }
        }
        self.forget_numbers();
        self.announce();
        Ok(())
    }

    /// The FIFO on which somebody can wait for the link of an interface to come up or the interface to go.
    pub fn open_link_bell(&self, interface: &InterfaceState) -> Result<Fd, Errno> {
        let path = self.file(LINK, interface.ifindex.load(Relaxed) as u64)?;
        match sys::mkfifo(path.cstr(), 0o600) {
            Ok(()) => give_to(self.owner, &path),
            Err(Errno(libc::EEXIST)) => {}
            Err(e) => return Err(e),
        }
        let fd = sys::open_internal(path.cstr(), libc::O_RDWR | libc::O_NONBLOCK, 0)?;
        interface.link_bell.store(1, SeqCst);
        Ok(fd)
    }

    /// Makes the link's FIFO agree with the link. Wants the net's lock.
    pub fn ring_link(&self, interface: &InterfaceState) {
        if interface.link_bell.load(SeqCst) == 0 {
            return;
        }
        let Ok(fd) = self.open_link_bell(interface) else {
            return;
        };
        let awake = interface.is_up() || interface.deleted.load(Acquire) != 0;
        match sys::readable_bytes(fd.raw()) {
            Ok(0) if awake => drop(sys::write(fd.raw(), b"!")),
            Ok(n) if n > 0 && !awake => drop(sys::read(fd.raw(), &mut [0u8; 64])),
            _ => {}
        }
    }

    /// Runs something with a descriptor of a tunnel's bell: the process's own if it has one.
    pub fn with_bell(&self, inode: u64, local: &dyn Local, run: impl FnOnce(i32)) {
        match local.descriptor(inode) {
            Some(fd) => run(fd),
            None => {
                if let Ok(fd) = self.open_bell(inode) {
                    run(fd.raw());
                }
            }
        }
    }

    /// The link of an interface came up: who waits for it is woken.
    pub fn link_is_up(&self, interface: &InterfaceState, local: &dyn Local) {
        for inode in interface.queue_inodes() {
            let Ok(tunnel) = self.tunnel(inode) else {
                continue;
            };
            if let Ok(_lock) = self.lock_tunnel(inode, &tunnel) {
                self.with_bell(inode, local, |fd| bell::link_is_up(&tunnel, fd));
            };
        }
    }

    /// Calls `each` with the names of the interfaces, in the directory's order, until it answers false.
    pub fn each_name(&self, mut each: impl FnMut(Name) -> bool) -> Result<(), Errno> {
        let dir = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        sys::each_entry(dir.raw(), |entry| match Name::new(entry.to_bytes()) {
            Some(name) if name.is_valid() => each(name),
            _ => true,
        })
    }

    /// Clears up after everything that is dead in the net. Wants the net's lock. Inodes of the living tunnels.
    pub fn sweep(&self, local: &dyn Local) -> Result<Vec<u64>, Errno> {
        let captured = self.capturer_lives();
        let mut entries: Vec<Vec<u8>> = Vec::new();
        let dir = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        sys::each_entry(dir.raw(), |entry| {
            entries.push([b"/", entry.to_bytes()].concat());
            true
        })?;
        let mut living = Vec::new();
        for entry in &entries {
            let number = |kind: &[u8]| {
                std::str::from_utf8(entry.strip_prefix(kind)?)
                    .ok()?
                    .parse::<u64>()
                    .ok()
            };
            if let Some(inode) = number(BELL) {
                if !self.reap_tunnel(inode, local) {
                    living.push(inode);
                }
            } else if let Some(inode) = number(TUNNEL) {
                // Its bell is gone when a process died while it cleared up.
                if self.bell_path(inode).is_ok_and(|p| {
                    matches!(
                        sys::fstatat(libc::AT_FDCWD, p.cstr(), 0),
                        Err(Errno(libc::ENOENT))
                    )
                }) {
                    let _ = sys::unlink(PathBuf::concat(&[self.dir.bytes(), entry])?.cstr(), 0);
                }
            } else if entry.starts_with(NEW) {
                let path = PathBuf::concat(&[self.dir.bytes(), entry])?;
                if maker_is_gone(entry) {
                    let _ = sys::unlink(path.cstr(), 0);
                }
            } else if !captured && (entry == CAPTURER || entry.starts_with(GONE)) {
                let _ = sys::unlink(PathBuf::concat(&[self.dir.bytes(), entry])?.cstr(), 0);
            }
        }
        for entry in &entries {
            if let Some(name) = Name::new(&entry[1..]).filter(Name::is_valid) {
                let _ = self.find_interface(&name, local);
            }
        }
        living.sort_unstable();
        Ok(living)
    }

    /// Removes the net if there is nothing in it but its state. Allocates nothing: for a process that ends in any way.
    pub fn remove_if_empty(&self) -> bool {
        let Ok(_lock) = self.lock() else { return false };
        let Ok(fd) = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)
        else {
            return false;
        };
        let mut empty = true;
        let listed = sys::each_entry(fd.raw(), |entry| {
            empty = entry.to_bytes() == &STATE[1..];
            empty
        });
        listed.is_ok() && empty && remove_directory(&self.dir).is_ok()
    }

    /// Removes the net if nothing in it lives: no tunnel, no persistent interface, nothing that is still to be captured.
    /// True when it is gone.
    pub fn remove_if_idle(&self, local: &dyn Local) -> bool {
        let Ok(_lock) = self.lock() else { return false };
        let mut interfaces = 0;
        let idle = self.sweep(local).is_ok_and(|living| living.is_empty())
            && !self.has_gone()
            && self
                .each_name(|_| {
                    interfaces += 1;
                    true
                })
                .is_ok()
            && interfaces == 0;
        idle && remove_directory(&self.dir).is_ok()
    }
}

/// What capturing leaves in the directory; see [`crate::Capture`].
impl NetDir {
    /// Is there a capturer, or was there one that did not say that it ended?
    #[inline]
    pub fn is_captured(&self) -> bool {
        self.capturing.load(Relaxed) != 0
    }

    /// Is there a capturer? One that was killed is struck off. Wants the net's lock.
    pub fn capturer_lives(&self) -> bool {
        if !self.is_captured() {
            return false;
        }
        let lives = PathBuf::concat(&[self.dir.bytes(), CAPTURER]).map(|path| {
            match sys::open_internal(path.cstr(), libc::O_RDONLY | libc::O_NONBLOCK, 0) {
                Ok(fd) => sys::flock(fd.raw(), libc::LOCK_EX | libc::LOCK_NB).is_err(),
                // After chroot(2) nobody can tell.
                Err(e) => e.0 != libc::ENOENT || !self.is_in_sight(),
            }
        });
        let lives = lives.unwrap_or(true);
        if !lives {
            self.capturing.store(0, SeqCst);
        }
        lives
    }

    fn is_in_sight(&self) -> bool {
        PathBuf::concat(&[self.dir.bytes(), STATE])
            .is_ok_and(|path| sys::access(path.cstr(), libc::R_OK).is_ok())
    }

    /// Makes the caller the capturer, as long as the descriptor is open. EBUSY when there is one. Wants the net's lock.
    pub(crate) fn become_capturer(&self) -> Result<Fd, Errno> {
        let path = PathBuf::concat(&[self.dir.bytes(), CAPTURER])?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let fd = sys::open_internal(path.cstr(), flags, 0o600)?;
        give_to(self.owner, &path);
        sys::flock(fd.raw(), libc::LOCK_EX | libc::LOCK_NB).map_err(|e| match e.0 {
            libc::EAGAIN => Errno(libc::EBUSY),
            _ => e,
        })?;
        self.remove_gone();
        self.capturing.store(1, SeqCst);
        Ok(fd)
    }

    /// The counterpart. Wants the net's lock.
    pub(crate) fn end_capturing(&self) {
        self.capturing.store(0, SeqCst);
        self.remove_gone();
        if let Ok(path) = PathBuf::concat(&[self.dir.bytes(), CAPTURER]) {
            let _ = sys::unlink(path.cstr(), 0);
        }
    }

    /// The numbers of the interfaces that are kept for the capturer.
    fn gone(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        if let Ok(dir) = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)
        {
            let _ = sys::each_entry(dir.raw(), |entry| {
                numbers.extend(gone_number(entry));
                true
            });
        }
        numbers
    }

    /// Gives the capturer a moment to find what ended just now, before the net is removed.
    pub(crate) fn let_capturer_find(&self, local: &dyn Local) {
        const MOMENT: std::time::Duration = std::time::Duration::from_millis(5);
        if !self.is_captured() {
            return;
        }
        if let Ok(_lock) = self.lock() {
            let _ = self.sweep(local);
        }
        for _ in 0..100 {
            let wait = self.lock().is_ok_and(|_lock| self.capturer_lives()) && self.has_gone();
            if !wait {
                break;
            }
            std::thread::sleep(MOMENT);
        }
    }

    /// Is an interface kept for the capturer?
    pub(crate) fn has_gone(&self) -> bool {
        !self.gone().is_empty()
    }

    fn remove_gone(&self) {
        self.gone()
            .into_iter()
            .for_each(|number| self.remove_one_gone(number));
    }

    /// The capturer has read it. Nothing happens for 0, which is none.
    pub(crate) fn remove_one_gone(&self, number: u64) {
        if number != 0 {
            if let Ok(path) = self.file(GONE, number) {
                let _ = sys::unlink(path.cstr(), 0);
            }
        }
    }

    /// Keeps the file of an interface that is deleted. Wants the net's lock.
    fn keep_gone(&self, interface: &InterfaceState, path: &PathBuf) -> bool {
        // An index can be used again (TUNSETIFINDEX) before the first one has been read.
        let numbers = [
            interface.ifindex.load(Relaxed) as u64,
            sys::now_ns(libc::CLOCK_MONOTONIC),
        ];
        numbers.into_iter().any(|number| {
            let Ok(gone) = self.file(GONE, number) else {
                return false;
            };
            let free = sys::fstatat(libc::AT_FDCWD, gone.cstr(), libc::AT_SYMLINK_NOFOLLOW)
                .is_err_and(|e| e.0 == libc::ENOENT);
            if free {
                interface.gone_number.store(number, Relaxed);
            }
            free && sys::rename(path.cstr(), gone.cstr()).is_ok()
        })
    }

    /// The interfaces with their inodes, those that are kept for the capturer included, as far as `wanted` says so of an
    /// inode and a name (None for one that is kept). Wants the net's lock.
    pub(crate) fn capturable(
        &self,
        mut wanted: impl FnMut(u64, Option<Name>) -> bool,
    ) -> Result<Vec<(u64, Mapped<InterfaceState>)>, Errno> {
        let dir = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        let mut found = Vec::new();
        sys::each_entry(dir.raw(), |entry| {
            let name = Name::new(entry.to_bytes()).filter(Name::is_valid);
            if name.is_none() && gone_number(entry).is_none() {
                return true;
            }
            let opened = sys::fstatat(dir.raw(), entry, libc::AT_SYMLINK_NOFOLLOW)
                .ok()
                .filter(|st| wanted(st.st_ino, name))
                .and_then(|st| {
                    let path = PathBuf::concat(&[self.dir.bytes(), b"/", entry.to_bytes()]).ok()?;
                    Some((st.st_ino, Mapped::open(path.cstr()).ok()?))
                });
            found.extend(opened);
            true
        })?;
        Ok(found)
    }

    /// There is something to capture.
    #[inline]
    pub(crate) fn ring_capturer(&self) {
        if self.capture_asleep.load(SeqCst) != 0 {
            self.capture_asleep.store(0, SeqCst);
            sys::futex_wake_all(&self.capture_asleep);
        }
    }
}

fn gone_number(entry: &CStr) -> Option<u64> {
    let digits = entry.to_bytes().strip_prefix(&GONE[1..])?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Removes a directory with the files in it (no subdirectories: a net has none).
pub fn remove_directory(dir: &PathBuf) -> Result<(), Errno> {
    let fd = sys::open_internal(dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    // Removing while reading may skip entries: again from the beginning until a pass finds nothing.
    loop {
        let mut found = false;
        let mut failed = Ok(());
        sys::each_entry(fd.raw(), |entry| {
            found = true;
            failed = sys::unlinkat(fd.raw(), entry);
            failed.is_ok()
        })?;
        failed?;
        if !found {
            return sys::unlink(dir.cstr(), libc::AT_REMOVEDIR);
        }
        sys::rewind(fd.raw())?;
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

/// Is the process that began `/.memtun-new-PID-...` no more?
fn maker_is_gone(entry: &[u8]) -> bool {
    let digits = entry[NEW.len()..]
        .split(|b| *b == b'-')
        .next()
        .unwrap_or_default();
    let Some(pid) = std::str::from_utf8(digits)
        .ok()
        .and_then(|d| d.parse::<i32>().ok())
    else {
        return true;
    };
    // SAFETY: signal 0 only asks whether the process is there.
    let answer = unsafe { sys::syscall(libc::SYS_kill, [pid as usize, 0, 0, 0, 0, 0]) };
    answer == -(libc::ESRCH as isize)
}
