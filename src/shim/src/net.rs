//! The nets of this process.

use crate::config::{self, Config};
use crate::gate;
use memtun_abi::{Decimal, Errno, Error};
use memtun_kernel::net::{self as netdir, temporary, Create, Join, NetDir};
use memtun_kernel::settings::{self, Host as Setting};
use memtun_sys as sys;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64};

/// The net that this process is in; null until the process has used it.
static NET: AtomicPtr<NetDir> = AtomicPtr::new(std::ptr::null_mut());

/// Every net that this process has joined. A net for which there is no place is not told of a fork.
static JOINED: [AtomicPtr<NetDir>; 16] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 16];

/// The net of this process; `None` if the process has not used it yet.
#[inline(always)]
pub fn current() -> Option<&'static NetDir> {
    // SAFETY: the pointer is null, or leads to a mapping that `leak` filled and that stays.
    unsafe { NET.load(Acquire).as_ref() }
}

/// Keeps a net for the rest of the process's life. Its memory does not come from the allocator,
/// because a net may be joined between fork and exec, where nothing can be allocated.
pub fn leak(net: NetDir) -> Result<&'static NetDir, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let place = sys::map_private(size_of::<NetDir>(), protection)?.cast::<NetDir>();
    // SAFETY: the mapping is our own and page-aligned, has room for one `NetDir`, and is never
    // unmapped.
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

/// Has this process joined no other net than [`current`]?
pub fn is_only_one() -> bool {
    JOINED[1].load(Relaxed).is_null()
}

fn keep(net: NetDir) -> Result<&'static NetDir, Errno> {
    if let Some(first) = current() {
        return Ok(first);
    }
    let fresh = leak(net)?;
    if is_isolated() {
        // Without it the indexes begin where those of other nets do, which harms nobody.
        let _ = fresh.begin_isolated();
    }
    let place = std::ptr::from_ref(fresh).cast_mut();
    match NET.compare_exchange(std::ptr::null_mut(), place, AcqRel, Acquire) {
        Ok(_) => {
            match is_isolated() {
                // What it sends is looked at before there are addresses, too.
                true => gate::open(),
                false => gate::joined(fresh),
            }
            Ok(fresh)
        }
        // SAFETY: the pointer leads to a mapping that `leak` filled and that stays.
        Err(first) => Ok(unsafe { &*first }),
    }
}

/// Has this process no other network than its net?
fn is_isolated() -> bool {
    config::get().is_some_and(|config| config.host == Setting::Isolated)
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

/// The net of this process, which is made if need be, because the program opens a special device.
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
            UNMADE.store(e.errno().0, Relaxed);
            Err(e.errno())
        }
    }
}

/// Errno with which the net could not be made, or 0. An isolated program without a net has no
/// network: see [`look`].
static UNMADE: AtomicI32 = AtomicI32::new(0);

/// Can a directory not be made where the net is to be? Then this returns why. It is tried, under
/// another name, because no permission tells of a file system that takes none.
fn obstacle(config: &Config) -> Option<Errno> {
    let name = sys::PathBuf::concat(&[
        &config.net,
        b".tried-by-",
        Decimal::new(sys::random()).as_bytes(),
    ]);
    let tried = name.and_then(|name| {
        sys::mkdir(name.cstr(), 0o700)?;
        sys::unlinkat(libc::AT_FDCWD, name.cstr(), libc::AT_REMOVEDIR)
    });
    tried.err()
}

/// Warns once if the net is not the one in which the program was started. A sandbox that has a
/// /dev/shm of its own has another net by the same name, and so has a program that outlives its
/// net.
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

/// The net for a driver in this process, which is made if need be.
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

/// The net if it is there already, because somebody asks for an interface.
pub fn existing() -> Option<&'static NetDir> {
    match look() {
        Ok(net) => net,
        Err(e) => {
            static SAID: AtomicBool = AtomicBool::new(false);
            let is_refused = matches!(e.errno().0, libc::EPERM | libc::ENOTDIR | libc::EUCLEAN);
            if is_refused && !SAID.swap(true, Relaxed) {
                log::warn!("{e}; what is asked of interfaces is answered by the machine");
            }
            None
        }
    }
}

/// Does the same, and tells a net that is not there, `None`, from one that cannot be looked at.
///
/// # Errors
///
/// What joining the net fails with. ENOENT says that it was there when the program was started, or
/// that the program has another root directory since, in which nobody can tell.
pub fn look() -> Result<Option<&'static NetDir>, Error> {
    if let Some(net) = current() {
        return Ok(Some(net));
    }
    let Some(config) = config::get() else {
        return Ok(None);
    };
    let shown = || config.net.escape_ascii();
    match join_with(config, Create::Never) {
        Ok(net) => keep(net)
            .map(Some)
            .map_err(|e| Error::new(e.0, format!("net {}: no memory to keep it", shown()))),
        Err(e) if e.errno() != Errno(libc::ENOENT) => Err(e),
        Err(_) if config.host == Setting::Isolated && UNMADE.load(Relaxed) != 0 => {
            // No remedy for a sandbox follows this.
            Err(Error::new(
                libc::ENODEV,
                format!(
                    "{}={}: there is no such net, and none can be made there ({}), while {}=isolated leaves this program \
                     no other network: name a directory that can be made, or free room for it",
                    settings::NET,
                    shown(),
                    Errno(UNMADE.load(Relaxed)),
                    settings::HOST
                ),
            ))
        }
        Err(_) if !is_hidden(config) => Ok(None),
        Err(e) => Err(Error::new(
            e.errno().0,
            format!(
                "net {}: it was removed, or another root directory or file system hides it",
                shown()
            ),
        )),
    }
}

/// The root directory in which an isolated program was started that had no net then: device and
/// inode, 0 where nobody has looked.
static ROOT: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn root() -> Option<[u64; 2]> {
    let st = sys::fstatat(libc::AT_FDCWD, c"/", 0).ok()?;
    Some([st.st_dev, st.st_ino])
}

/// Is a net of which nothing is seen one that was there, or one that may be there unseen?
fn is_hidden(config: &Config) -> bool {
    let was = [0, 1].map(|at| ROOT[at].load(Relaxed));
    config.place.is_some() || was[1] != 0 && root() != Some(was)
}

/// Called when the library was loaded. A process of a private net keeps the net in being from the
/// beginning. An isolated one joins its net while it can: that it shuts itself in later, or uses up
/// its descriptors, must not lead it to the machine's network.
pub fn attend() {
    let Some(config) = config::get().filter(|config| !config.chosen) else {
        return;
    };
    if config.host == Setting::Isolated {
        if matches!(look(), Ok(None)) {
            if let Some(why) = obstacle(config) {
                UNMADE.store(why.0, Relaxed);
            }
            let places = ROOT.iter().zip(root().unwrap_or_default());
            places.for_each(|(place, word)| place.store(word, Relaxed));
        }
    } else if netdir::seems_private(&config.net) {
        existing();
    }
}

/// Called when the process is about to have children. The first process of a tree whose net nobody
/// named makes the net now, because it must be a member before one of the children leaves as the
/// last member. The process that chose the name may have become another program before it had a
/// child (`env`, `nohup`, `exec`).
pub fn before_children() {
    let Some(config) = config::get() else { return };
    if config.private && config.library.is_some() && current().is_none() {
        let _ = join_with(config, Create::Private).map(keep);
    }
}

/// Called in the child of a fork(2).
pub fn forked() {
    for slot in &JOINED {
        // SAFETY: the pointer is null, or leads to a mapping that `leak` filled and that stays.
        if let Some(net) = unsafe { slot.load(Acquire).as_ref() } {
            net.forked();
        }
    }
}

/// Has the directory of this process's net been removed?
pub fn is_gone() -> bool {
    current().is_some_and(NetDir::is_gone)
}

/// Joins the net again after its directory was removed under this process. The old mapping stays,
/// because tunnels of this process may be in it.
pub fn join_anew() -> Result<&'static NetDir, Errno> {
    NET.store(std::ptr::null_mut(), Release);
    join()
}
