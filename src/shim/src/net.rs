//! The net of this process, and tunnels that it got from somebody else.

use crate::config::{self, Config};
use crate::epoll;
use crate::table::{self, OwnTunnels};
use memtun_abi::{Errno, Error};
use memtun_kernel::net::temporary;
use memtun_kernel::net::{self as netdir, Create, Join, NetDir};
use memtun_kernel::tun::Tunnel;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::os::fd::AsFd;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use std::time::Duration;

/// The net that this process is in.
static NET: AtomicPtr<NetDir> = AtomicPtr::new(std::ptr::null_mut());

/// Every net that this process has joined; one more than fits is not followed over a fork.
static JOINED: [AtomicPtr<NetDir>; 16] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 16];

/// The net if this process has used it.
pub fn current() -> Option<&'static NetDir> {
    // SAFETY: null, or a mapping that `leak` filled and that stays.
    unsafe { NET.load(Acquire).as_ref() }
}

/// Gives a net to the process for the rest of its life. Not to the allocator: a net may be joined where nothing can be
/// allocated, between fork and exec.
fn leak(net: NetDir) -> Result<&'static NetDir, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let place = sys::map_private(size_of::<NetDir>(), protection)?.cast::<NetDir>();
    // SAFETY: a page-aligned mapping of our own with room for one, which is never unmapped.
    let net: &'static NetDir = unsafe {
        place.write(net);
        &*place
    };
    let free = |slot: &&AtomicPtr<NetDir>| {
        slot.compare_exchange(std::ptr::null_mut(), place, AcqRel, Acquire)
            .is_ok()
    };
    let _ = JOINED.iter().find(free);
    Ok(net)
}

fn keep(net: NetDir) -> Result<&'static NetDir, Errno> {
    if let Some(first) = current() {
        return Ok(first);
    }
    let fresh = leak(net)?;
    let place = std::ptr::from_ref(fresh).cast_mut();
    match NET.compare_exchange(std::ptr::null_mut(), place, AcqRel, Acquire) {
        Ok(_) => Ok(fresh),
        // SAFETY: as in `current`.
        Err(first) => Ok(unsafe { &*first }),
    }
}

fn join_with(config: &Config, create: Create) -> Result<NetDir, Error> {
    let how = Join {
        create,
        owner: config.owner,
        member: true,
    };
    NetDir::join(&config.net, how)
}

fn making(config: &Config) -> Create {
    if config.private {
        Create::Private
    } else {
        Create::Named
    }
}

/// The net, made if need be: the program opens a special device.
pub fn join() -> Result<&'static NetDir, Errno> {
    if let Some(net) = current() {
        say_if_elsewhere();
        return Ok(net);
    }
    let config = config::get().ok_or(Errno(libc::ENODEV))?;
    if config.private {
        let name = config.net.rsplit(|b| *b == b'/').next();
        let base = config.net.len() - name.map_or(0, <[u8]>::len);
        temporary::sweep(&config.net[..base.max(2) - 1]);
    }
    match join_with(config, making(config)) {
        Ok(net) => {
            say_if_elsewhere();
            keep(net)
        }
        Err(e) => {
            log::error!("{e}");
            Err(e.errno())
        }
    }
}

/// A sandbox that has a /dev/shm of its own has another net by the same name, and so has a program that outlives its net.
fn say_if_elsewhere() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let place = config::get().and_then(|config| Some((config, config.place?)));
    let Some((config, place)) = place.filter(|_| !TOLD.swap(true, Release)) else {
        return;
    };
    let here = sys::PathBuf::concat(&[&config.net])
        .and_then(|path| sys::fstatat(libc::AT_FDCWD, path.cstr(), 0));
    if here.is_ok_and(|st| (st.st_dev, st.st_ino) != place) {
        let net = config.net.escape_ascii();
        log::warn!(
            "net {net}: is not the one in which this program was started: a sandbox hides that, or it was removed; nobody \
             outside sees this tunnel. Let the sandbox see it (bwrap --bind {net} {net})"
        );
    }
}

/// The net for a driver in this process, made if need be.
pub fn for_driver() -> Result<NetDir, Error> {
    let none = || Error::new(libc::ENODEV, "this process has no net of its own");
    let config = config::get().ok_or_else(none)?;
    if current().is_none_or(NetDir::is_gone) {
        NET.store(std::ptr::null_mut(), Release);
        keep(join_with(config, making(config))?)
            .map_err(|e| Error::new(e.0, "no memory for a net"))?;
    }
    let how = Join {
        create: Create::Never,
        owner: config.owner,
        member: false,
    };
    NetDir::join(&config.net, how)
}

/// The net if it is there: somebody asks for an interface.
pub fn existing() -> Option<&'static NetDir> {
    if let Some(net) = current() {
        return Some(net);
    }
    let net = join_with(config::get()?, Create::Never).ok()?;
    keep(net).ok()
}

/// The library was loaded: a process of a private net keeps it in being from the beginning.
pub fn attend() {
    if config::get().is_some_and(|c| !c.chosen && netdir::seems_private(&c.net)) {
        existing();
    }
}

/// The process is about to have children. The first process of a tree that has no name for its net makes it now: it must be
/// a member before one of them leaves as the last. The one that chose the name may have become another program before it
/// had a child (`env`, `nohup`, `exec`).
pub fn before_children() {
    let Some(config) = config::get() else { return };
    if config.private && config.library.is_some() && current().is_none() {
        let _ = join_with(config, Create::Private).map(keep);
    }
}

/// The process is the child of a fork(2).
pub fn forked() {
    LEAVER.store(0, Relaxed);
    for slot in &JOINED {
        // SAFETY: as in `current`.
        if let Some(net) = unsafe { slot.load(Acquire).as_ref() } {
            net.forked();
        }
    }
}

/// Looks whether a descriptor that came from outside is a tunnel or an epoll instance, and enters it.
pub fn adopt(fd: i32) {
    if let Ok(st) = sys::fstat(fd) {
        adopt_as(fd, &st);
    }
}

/// An object without a name in any file system, as an epoll instance is?
fn is_anonymous(st: &libc::stat) -> bool {
    st.st_mode & libc::S_IFMT == 0
}

fn adopt_as(fd: i32, st: &libc::stat) {
    if is_anonymous(st) {
        return epoll::adopt(fd);
    }
    if st.st_mode & libc::S_IFMT != libc::S_IFIFO
        || crate::foreign::is_tunnel(fd)
        || !crate::process::owns_memory()
    {
        return;
    }
    // The path tells the net, which may be another process tree's; without /proc it can only be our own.
    let mut buf = [0u8; 1024];
    let foreign = match sys::path_of_fd(fd, &mut buf).map(NetDir::inode_of_bell_path) {
        Ok(Some((dir, inode))) if inode == st.st_ino => Some(dir),
        Ok(_) => return,
        Err(_) => None,
    };
    let own = config::get().map(|c| c.net.as_slice());
    let net = match foreign {
        Some(dir) if Some(dir) != own && current().is_none_or(|n| n.path() != dir) => {
            let how = Join {
                create: Create::Never,
                owner: config::get().and_then(|c| c.owner),
                member: true,
            };
            let joined = NetDir::join(dir, how).and_then(|net| {
                leak(net).map_err(|e| Error::new(e.0, "no memory for another net"))
            });
            match joined {
                // Each net is mapped once per descriptor that comes from it; that is rare.
                Ok(net) => net,
                Err(e) => {
                    return log::warn!("descriptor {fd} is a tunnel that cannot be joined: {e}")
                }
            }
        }
        _ => match existing() {
            Some(net) => net,
            None => return,
        },
    };
    crate::sandbox::look_for_inherited();
    let joined = Tunnel::join(net, st.st_ino).and_then(|tunnel| {
        tunnel.status_flags_are(sys::status_flags(fd).unwrap_or(0));
        table::enter(fd, tunnel)
    });
    match joined {
        Ok(()) | Err(Errno(libc::ENOENT)) => {}
        Err(e) => log::warn!("descriptor {fd} is a tunnel that cannot be joined: {e}"),
    }
}

/// Enters the tunnels and epoll instances that this process was started with.
pub fn adopt_inherited() {
    let mut waiting = [-1; 64];
    let scanned = sys::open(
        c"/proc/self/fd",
        libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
        0,
    )
    .and_then(|dir| {
        sys::each_entry(dir.as_fd(), |entry| {
            let Some(fd) = entry.to_str().ok().and_then(|n| n.parse().ok()) else {
                return true;
            };
            let Ok(st) = sys::fstat(fd) else { return true };
            // Epoll instances when the tunnels are known that they have registered.
            match waiting.iter_mut().find(|place| **place < 0) {
                Some(place) if is_anonymous(&st) => *place = fd,
                _ => adopt_as(fd, &st),
            }
            true
        })
    });
    waiting.into_iter().filter(|fd| *fd >= 0).for_each(adopt);
    if scanned.is_err() {
        (0..1024).for_each(adopt);
    }
}

/// Has the directory of this process's net been removed?
pub fn is_gone() -> bool {
    current().is_some_and(NetDir::is_gone)
}

/// The net again, after its directory was removed under this process. The old mapping stays, tunnels of this process may be
/// in it.
pub fn join_anew() -> Result<&'static NetDir, Errno> {
    NET.store(std::ptr::null_mut(), Release);
    join()
}

/// The thread that ends the process, 0 while none does.
static LEAVER: AtomicI32 = AtomicI32::new(0);

/// Does this process end? Its other threads are about to be killed, and do not see that their tunnels are gone already.
#[inline]
pub fn is_leaving() -> bool {
    LEAVER.load(Relaxed) != 0
}

/// A call on a tunnel of a process that ends: another thread's does not come back, or late where the end takes its time.
#[cold]
pub fn left() -> Errno {
    const TURNS: usize = 100;
    const TURN: Duration = Duration::from_millis(10);
    if LEAVER.load(Relaxed) != sys::gettid() {
        (0..TURNS).for_each(|_| sys::nap(TURN));
    }
    Errno(libc::EBADF)
}

/// The process ends: its tunnels go now, not when somebody looks, and with the last process its private net. What cannot be
/// done now, or is forbidden in a sandbox, is left to the next process that makes a net. May be called in a signal handler or
/// after fork: nothing is allocated.
pub fn leave() {
    if current().is_none() && !table::any() || !may(Extra::Files) || !crate::process::owns_memory()
    {
        return;
    }
    // What took a tunnel's place stays open: libc may still have something to write to it.
    crate::foreign::look_at(0, i32::MAX);
    LEAVER.store(sys::gettid(), SeqCst);
    for fd in table::bound_in(0, u32::MAX) {
        if let Some(tunnel) = table::hold(fd) {
            tunnel.is_alone_soon();
            // SAFETY: a descriptor of the program's, which ends.
            let _ = unsafe { sys::close(fd) };
            tunnel.closed(&OwnTunnels);
        }
    }
    if let Some(net) = current().filter(|net| net.is_private()) {
        net.leave_private();
    }
}
