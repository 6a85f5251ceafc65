//! The driver's side of a net.
#![forbid(unsafe_code)]

use super::host::{Neighbour, Route};
use super::joined::Joined;
use crate::deadline::{Deadline, Timeout};
use crate::{
    sys, Errno, Error, ErrorKind, Fault, Interface, InterfaceInfo, Name, Permission, TunnelInfo,
};
use memtun_abi::error::{Context, Result};
use memtun_kernel::net::{temporary, Create, Join, Local, NetDir, NoTunnels};
use memtun_kernel::policy::Policy;
use memtun_kernel::Cause;
use memtun_shm::lock::Patience;
use memtun_stack::State;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// An isolated in-memory network: a directory that processes join. A clone is cheap and stands for
/// the same net.
#[derive(Clone)]
pub struct Net(Arc<Joined>);

/// The directory in which nets without a name are made, as the environment says now.
fn base_directory() -> Vec<u8> {
    temporary::base_directory(|name| std::env::var_os(name).map(|v| v.as_bytes().to_vec()))
}

impl Net {
    /// Joins the net that exists in `dir`.
    ///
    /// # Errors
    /// The sentence of the error names the directory and the remedy.
    ///
    /// - ENOENT: there is no net.
    /// - EACCES: the directory cannot be reached.
    /// - EPERM: the net belongs to another user, or others may write in it; see [`NetOptions`].
    /// - ENOTDIR: the path is a file or a symbolic link.
    /// - EUCLEAN: the net is damaged, or was made by another version of memtun.
    pub fn open(dir: impl AsRef<Path>) -> Result<Net> {
        NetOptions::new().open(dir)
    }

    /// Joins the net in `dir`, and makes it if there is none (with mode 0700; its parent directory
    /// is not made).
    ///
    /// # Errors
    /// The same as [`Net::open`], and ENOSPC when there is no room for the net.
    pub fn create(dir: impl AsRef<Path>) -> Result<Net> {
        NetOptions::new().create(true).open(dir)
    }

    /// Makes a net that is removed with the last clone of this value, in /dev/shm, else in
    /// $XDG_RUNTIME_DIR, else in $TMPDIR. Nets that killed processes have left there are removed as
    /// well.
    pub fn temporary() -> Result<Net> {
        let base = base_directory();
        temporary::sweep(&base);
        let path = temporary::name(&base)
            .context(|e| format!("{}: {e}", String::from_utf8_lossy(&base)))?;
        let how = Join {
            create: Create::Private,
            owner: None,
            member: true,
        };
        let dir = NetDir::join(path.bytes(), how)?;
        Ok(Net::new(dir, Box::new(NoTunnels), true))
    }

    /// The directory in which [`Net::temporary`] makes nets now.
    pub fn temporary_base() -> PathBuf {
        PathBuf::from(OsString::from_vec(base_directory()))
    }

    #[doc(hidden)]
    /// A net in which the calling process itself has tunnels: `local` knows their descriptors.
    pub fn of_process(dir: NetDir, local: Box<dyn Local + Send + Sync>) -> Net {
        Net::new(dir, local, false)
    }

    fn new(dir: NetDir, local: Box<dyn Local + Send + Sync>, remove: bool) -> Net {
        Net(Arc::new(Joined::new(dir, local, remove)))
    }

    /// The directory of the net.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    #[doc(hidden)]
    /// The files of the net.
    pub fn dir(&self) -> &NetDir {
        self.0.dir()
    }

    /// Is the net removed with its last member?
    pub fn is_private(&self) -> bool {
        self.0.dir().is_private()
    }

    /// The part of the net that its interfaces share.
    pub(crate) fn joined(&self) -> &Arc<Joined> {
        &self.0
    }

    /// The error of a call that failed. The files of a net are missing only where somebody has
    /// removed it.
    fn fail(&self, what: &str) -> impl FnOnce(Errno) -> Error {
        let text = format!("net {}: {what}", self.path().display());
        move |e| match e.0 {
            libc::ENOENT => {
                Error::new(e.0, format!("{text}: the net was removed")).of_kind(ErrorKind::Gone)
            }
            _ => Error::new(e.0, format!("{text}: {}", Cause(e))),
        }
    }

    /// The interface of this name; `None` if there is none now.
    pub fn interface(&self, name: &str) -> Result<Option<Interface>> {
        self.find(name.parse()?, Patience::Brief)
    }

    /// Has the net an interface of this name, or had it one? A net remembers some five hundred
    /// names.
    pub fn had_interface(&self, name: &str) -> Result<bool> {
        Ok(self.0.dir().knows(&name.parse()?))
    }

    fn find(&self, name: Name, patience: Patience) -> Result<Option<Interface>> {
        let dir = self.0.dir();
        // A stopped holder of the lock does not keep the caller from finding what is on record.
        let found = match dir.lock_for(patience) {
            Ok(_lock) => dir.find_interface(&name, self.0.local()),
            Err(_) => dir.look_up(&name),
        };
        let found = found.map_err(|e| match e.0 {
            libc::EUCLEAN => {
                let net = self.path().display();
                let what = format!("{name} is not an interface of this version of memtun");
                Error::new(e.0, format!("net {net}: {what}; remove it"))
            }
            _ => self.fail(&name.to_string())(e),
        })?;
        Ok(found.map(|state| Interface::new(self.0.clone(), state)))
    }

    /// Waits up to five seconds until an interface of this name exists.
    ///
    /// # Errors
    /// - ENODEV: the time is over.
    /// - ENOENT: the net was removed.
    pub fn wait_interface(&self, name: &str) -> Result<Interface> {
        self.wait_interface_within(name, Timeout::DEFAULT)
    }

    /// The same as [`Net::wait_interface`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`Net::wait_interface`].
    pub fn wait_interface_within(
        &self,
        name: &str,
        timeout: impl Into<Timeout>,
    ) -> Result<Interface> {
        let end = Deadline::after(timeout);
        let state = &**self.0.dir();
        let wanted: Name = name.parse()?;
        loop {
            let seen = state.changes.load(SeqCst);
            let patience = match end.left() {
                Some(left) if left < Duration::from_millis(20) => Patience::Driver(Some(left)),
                _ => Patience::Brief,
            };
            if let Some(interface) = self.find(wanted, patience)? {
                return Ok(interface);
            }
            let left = end.left();
            if left == Some(Duration::ZERO) {
                let why = if self.0.dir().knows(&wanted) {
                    "one was made, and is gone"
                } else {
                    "did the program start, and under the shim?"
                };
                let net = self.path().display();
                let text = format!("net {net}: no interface {name} in time; {why}");
                return Err(Error::new(libc::ENODEV, text).of_kind(ErrorKind::Timeout));
            }
            state.waiters.fetch_add(1, SeqCst);
            let _ = sys::futex_wait(&state.changes, seen, left);
            state.waiters.fetch_sub(1, SeqCst);
        }
    }

    /// Waits at most `timeout` until the set of interfaces or a link's state has changed since
    /// `seen`, which is an earlier answer of this method or 0. Returns the value to pass to the
    /// next call.
    pub fn wait_change(&self, seen: u32, timeout: impl Into<Timeout>) -> u32 {
        let end = Deadline::after(timeout);
        let state = &**self.0.dir();
        loop {
            let now = state.changes.load(SeqCst);
            let left = end.left();
            if now != seen || left == Some(Duration::ZERO) {
                return now;
            }
            state.waiters.fetch_add(1, SeqCst);
            let _ = sys::futex_wait(&state.changes, seen, left);
            state.waiters.fetch_sub(1, SeqCst);
        }
    }

    /// Wakes everybody who waits for a change of the net, as if there had been one. They look
    /// again, also at what only they know of.
    pub fn wake(&self) {
        self.0.dir().announce();
    }

    /// Snapshots of the interfaces, ordered by index.
    pub fn interfaces(&self) -> Result<Vec<InterfaceInfo>> {
        let dir = self.0.dir();
        let listed = dir.lock().and_then(|_lock| {
            dir.sweep(self.0.local())?;
            let mut names = Vec::new();
            dir.each_name(|name| {
                names.push(name);
                true
            })?;
            let host = State::load(dir).ok().flatten().unwrap_or_default();
            let mut infos = Vec::new();
            for name in names {
                // A file that is no interface is not listed; asking for it by name says what it is.
                if let Ok(Some(state)) = dir.open_interface(&name) {
                    infos.push(InterfaceInfo::new(dir, &state, &host));
                }
            }
            infos.sort_by_key(|i| i.index);
            Ok(infos)
        });
        listed.map_err(self.fail("cannot list"))
    }

    /// A snapshot of all that is known of the net.
    pub fn info(&self) -> Result<NetInfo> {
        let state = self.dir();
        let limit = state.send_buffer_size.load(Relaxed);
        Ok(NetInfo {
            path: self.path().to_string_lossy().into_owned(),
            permissions: self
                .permissions()
                .iter()
                .map(Permission::to_string)
                .collect(),
            faults: self.faults().iter().map(Fault::to_string).collect(),
            send_buffer_size: Some(limit).filter(|limit| *limit > 0),
            exact_bell: state.exact_bell.load(Relaxed) != 0,
            name_suffix: memtun_shm::load_name(&state.rename).to_string(),
            discarded: self.discarded(),
            interfaces: self.interfaces()?,
            routes: self.routes()?,
            neighbours: self.neighbours()?,
            tunnels: self.tunnels()?,
        })
    }

    /// Snapshots of every tunnel that is open in the net, attached or not, in the order in which
    /// they were opened.
    pub fn tunnels(&self) -> Result<Vec<TunnelInfo>> {
        let dir = self.0.dir();
        let living = dir
            .lock()
            .and_then(|_lock| dir.sweep(self.0.local()))
            .map_err(self.fail("cannot list"))?;
        Ok(living
            .into_iter()
            .filter_map(|i| Some(TunnelInfo::new(i, &dir.tunnel(i).ok()?)))
            .collect())
    }

    /// Takes a permission away from programs: the operation fails with EPERM from now on, in
    /// programs that are already running as well.
    pub fn deny(&self, what: Permission) {
        self.0.dir().denied.fetch_or(what as u32, SeqCst);
    }

    /// Gives a permission back to programs.
    pub fn permit(&self, what: Permission) {
        self.0.dir().denied.fetch_and(!(what as u32), SeqCst);
    }

    /// The permissions that programs have (`permissions` of Twisted's `MemoryIOSystem`).
    pub fn permissions(&self) -> Vec<Permission> {
        let denied = self.0.dir().denied.load(Acquire);
        Permission::ALL
            .into_iter()
            .filter(|p| denied & *p as u32 == 0)
            .collect()
    }

    /// Sets a fault.
    ///
    /// # Errors
    /// - ENOSPC: 64 faults are set already.
    pub fn fault(&self, fault: &Fault) -> Result<()> {
        let set = self
            .0
            .dir()
            .lock()
            .and_then(|_lock| self.0.dir().set_fault(fault));
        set.context(|e| format!("fault {fault}: {e}; take some back, a net holds 64"))
    }

    /// Takes a fault back. Returns true when it was set.
    pub fn take_back(&self, fault: &Fault) -> Result<bool> {
        let gone = self
            .0
            .dir()
            .lock()
            .map(|_lock| self.0.dir().take_back(Some(fault)));
        Ok(gone.map_err(self.fail("cannot change faults"))? > 0)
    }

    /// The faults that may still strike.
    pub fn faults(&self) -> Vec<Fault> {
        self.0.dir().list_faults()
    }

    /// Takes back every fault, grants every permission, removes the limit of the send buffer and
    /// the renaming, and lets bells be lazy.
    pub fn reset(&self) -> Result<()> {
        let state = &**self.0.dir();
        self.0
            .dir()
            .lock()
            .map(|_lock| self.0.dir().take_back(None))
            .map_err(self.fail("cannot reset"))?;
        state.denied.store(0, SeqCst);
        state.send_buffer_size.store(0, Relaxed);
        state.exact_bell.store(0, Relaxed);
        self.set_name_suffix("")
    }

    /// Sets the longest write in bytes that programs may make; a longer one fails with ENOBUFS.
    /// Twisted's `MemoryIOSystem` has 1024 (`SEND_BUFFER_SIZE`). `None` means no limit, as in the
    /// kernel.
    pub fn set_send_buffer_size(&self, bytes: Option<u32>) {
        self.0
            .dir()
            .send_buffer_size
            .store(bytes.unwrap_or(0), Relaxed);
    }

    /// Says whether the bells of the net's tunnels are exact: a descriptor is readable for the
    /// machine's kernel only while a packet is queued. Otherwise it may stay so after the last
    /// packet was read, until the program waits by a call of libc's; that costs no system call for
    /// each packet, and only who waits by raw system calls or io_uring can see it (`MEMTUN_BELL`).
    pub fn set_exact_bell(&self, exact: bool) -> Result<()> {
        let (dir, local) = (self.0.dir(), self.0.local());
        let settled = dir.lock().and_then(|_lock| {
            dir.exact_bell.store(exact.into(), Relaxed);
            if exact {
                for inode in dir.sweep(local)? {
                    dir.settle_bell(inode, local);
                }
            }
            Ok(())
        });
        settled.map_err(self.fail("cannot make the bells exact"))
    }

    /// Replaces the end of every requested name by `suffix`, to catch programs that ignore the name
    /// that TUNSETIFF gives back. The suffix has at most 12 bytes; that of Twisted's
    /// `MemoryIOSystem` is "123". An empty one restores the kernel's naming.
    pub fn set_name_suffix(&self, suffix: &str) -> Result<()> {
        let name = Name::new(suffix).filter(|n| {
            suffix.is_empty() || n.is_valid() && suffix.len() <= 12 && !suffix.contains('%')
        });
        let name = name.ok_or_else(|| {
            Error::new(libc::EINVAL, format!("{suffix:?} cannot end an interface name: at most 12 bytes, no '/', ':', '%' or white space"))
        })?;
        memtun_shm::store_name(&self.0.dir().rename, &name);
        Ok(())
    }

    /// Number of packets that were still queued when their tunnels ended, since the net was made.
    pub fn discarded(&self) -> u64 {
        self.0.dir().discarded.load(Relaxed)
    }

    /// Clears up after everything dead. Returns true when nothing lives in the net: no tunnel and
    /// no interface.
    pub fn is_idle(&self) -> Result<bool> {
        Ok(self.tunnels()?.is_empty() && self.interfaces()?.is_empty())
    }

    /// Removes the net: memtun's files and the directory. Programs that still run in it keep their
    /// descriptors but cannot open more.
    ///
    /// # Errors
    /// - ENOTEMPTY: the directory holds something else, which stays.
    pub fn remove(self) -> Result<()> {
        let shown = self.path().display().to_string();
        self.0.dir().let_capturer_find(self.0.local());
        self.0.dir().remove().map_err(|(e, other)| {
            let why = other.map_or(e.to_string(), |name| {
                format!("{name:?} in it is not memtun's; remove it yourself")
            });
            Error::new(e.0, format!("net {shown}: cannot remove: {why}"))
        })
    }

    /// The user who owns the net, if whoever joined it named that user ([`NetOptions::owner`]).
    pub fn owner(&self) -> Option<u32> {
        self.0.dir().owner()
    }
}

/// A snapshot of a net as a whole. As JSON it is what `memtun_net_describe` gives; members are only
/// ever added to it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NetInfo {
    /// The directory of the net; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Names of the permissions that programs have.
    pub permissions: Vec<String>,
    /// The faults that may still strike, as text.
    pub faults: Vec<String>,
    /// Longest write in bytes; `None` for no limit.
    pub send_buffer_size: Option<u32>,
    /// Is the bell of each tunnel silent as soon as its last packet is read?
    pub exact_bell: bool,
    /// The suffix that replaces the end of every requested name; empty for the kernel's naming.
    pub name_suffix: String,
    /// Number of packets that were still queued when their tunnels ended.
    pub discarded: u64,
    /// Snapshots of the interfaces, ordered by index.
    pub interfaces: Vec<InterfaceInfo>,
    /// The routes of the net, as [`Net::routes`] returns them.
    pub routes: Vec<Route>,
    /// The neighbours of the net, as [`Net::neighbours`] returns them.
    pub neighbours: Vec<Neighbour>,
    /// Snapshots of the tunnels, attached or not, in the order in which they were opened.
    pub tunnels: Vec<TunnelInfo>,
}

/// Options for joining a net, for example one of another user.
///
/// A net belongs to one user: its directory must be a real directory, owned by the caller's
/// effective user and closed to others, else joining it fails with EPERM. Root may join another
/// user's net when it names that user.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetOptions {
    owner: Option<u32>,
    create: bool,
}

impl NetOptions {
    /// The options of [`Net::open`].
    pub fn new() -> NetOptions {
        NetOptions::default()
    }

    /// Says that the net belongs to this user and to no other. What root makes in it is given to
    /// that user.
    pub fn owner(mut self, uid: u32) -> NetOptions {
        self.owner = Some(uid);
        self
    }

    /// Says whether the net is made where there is none. By default it is not.
    pub fn create(mut self, create: bool) -> NetOptions {
        self.create = create;
        self
    }

    /// Joins the net in `dir` with these options.
    ///
    /// # Errors
    /// The same as [`Net::open`].
    pub fn open(self, dir: impl AsRef<Path>) -> Result<Net> {
        let how = match self.create {
            true => Create::Named,
            false => Create::Never,
        };
        self.join(dir.as_ref(), how)
    }

    fn join(self, dir: &Path, create: Create) -> Result<Net> {
        let how = Join {
            create,
            owner: self.owner,
            member: false,
        };
        let dir = NetDir::join(dir.as_os_str().as_bytes(), how)?;
        Ok(Net::new(dir, Box::new(NoTunnels), false))
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
