//! The net of this process, and tunnels that it got from somebody else.

use crate::config::{self, Config};
use crate::table::{self, OwnTunnels};
use memtun_core::netdir::NetDir;
use memtun_core::sys;
use memtun_core::tunnel::Tunnel;
use memtun_core::{temporary, Errno};
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Release},
};

static NET: AtomicPtr<NetDir> = AtomicPtr::new(std::ptr::null_mut());

/// The net if this process has used it.
pub fn current() -> Option<&'static NetDir> {
    // SAFETY: null, or a leaked box.
    unsafe { NET.load(Acquire).as_ref() }
}

fn keep(net: NetDir) -> &'static NetDir {
    let fresh = Box::into_raw(Box::new(net));
    match NET.compare_exchange(std::ptr::null_mut(), fresh, AcqRel, Acquire) {
        // SAFETY: a box that is never freed.
        Ok(_) => unsafe { &*fresh },
        Err(first) => {
            // SAFETY: `fresh` was not published; `first` is a box that is never freed.
            unsafe {
                drop(Box::from_raw(fresh));
                &*first
            }
        }
    }
}

/// The net, made if need be: the program opens a special device.
pub fn join() -> Result<&'static NetDir, Errno> {
    if let Some(net) = current() {
        return Ok(net);
    }
    let config = config::get().ok_or(Errno(libc::ENODEV))?;
    if config.private {
        let base = config.net.len()
            - config
                .net
                .rsplit(|b| *b == b'/')
                .next()
                .map_or(0, <[u8]>::len);
        temporary::sweep(&config.net[..base.max(2) - 1]);
    }
    match NetDir::open_or_create(&config.net) {
        Ok(net) => Ok(keep(net)),
        Err(e) => {
            log::error!("{e}");
            Err(e.errno())
        }
    }
}

/// The net if it is there: somebody asks for an interface.
pub fn existing() -> Option<&'static NetDir> {
    if let Some(net) = current() {
        return Some(net);
    }
    NetDir::open(&config::get()?.net).ok().map(keep)
}

/// Looks whether a descriptor that came from outside is a tunnel, and enters it.
pub fn adopt(fd: i32) {
    let Ok(st) = sys::fstat(fd) else { return };
    if st.st_mode & libc::S_IFMT != libc::S_IFIFO
        || table::is_tunnel(fd)
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
            match NetDir::open(dir) {
                // Each net is mapped once per descriptor that comes from it; that is rare.
                Ok(net) => Box::leak(Box::new(net)),
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
    match Tunnel::join(net, st.st_ino).and_then(|tunnel| table::enter(fd, tunnel)) {
        Ok(()) | Err(Errno(libc::ENOENT)) => {}
        Err(e) => log::warn!("descriptor {fd} is a tunnel that cannot be joined: {e}"),
    }
}

/// Enters the tunnels that this process was started with.
pub fn adopt_inherited() {
    let scanned = sys::open(
        c"/proc/self/fd",
        libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
        0,
    )
    .and_then(|dir| {
        sys::each_entry(dir.raw(), |entry| {
            if let Some(fd) = entry.to_str().ok().and_then(|n| n.parse().ok()) {
                adopt(fd);
            }
            true
        })
    });
    if scanned.is_err() {
        (0..1024).for_each(adopt);
    }
}

/// Has the directory of this process's net been removed?
pub fn is_gone() -> bool {
    config::get().is_some_and(|c| sys::access(&c.net_path, libc::F_OK) == Err(Errno(libc::ENOENT)))
}

/// The net again, after its directory was removed under this process: the tree's first process ended, or somebody swept. The
/// old mapping stays, tunnels of this process may be in it.
pub fn join_anew() -> Result<&'static NetDir, Errno> {
    NET.store(std::ptr::null_mut(), Release);
    join()
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq)]
pub enum End {
    /// By exit(3) or by returning from main: anything may be called.
    Orderly,
    /// By _exit(2), perhaps in a signal handler or after fork: nothing may allocate, and stacks are small.
    AtOnce,
}

/// The process ends: its tunnels go now, not when somebody looks, and with the last process its private net. What cannot be
/// done now is left to the next process that makes a net.
pub fn leave(end: End) {
    let Some(config) = config::get() else { return };
    if !table::any() && !config.private || !crate::process::owns_memory() {
        return;
    }
    for fd in table::bound_in(0, u32::MAX) {
        if let Some(tunnel) = table::unbind(fd) {
            let _ = sys::close(fd);
            tunnel.closed(&OwnTunnels);
        }
    }
    if config.private {
        leave_private_net(config, end);
    }
}

fn leave_private_net(config: &Config, end: End) {
    let owner = config::is_owner(config);
    match (current(), end) {
        (Some(net), End::AtOnce) if owner => {
            net.remove_if_empty();
        }
        (Some(net), End::Orderly) if owner || !config::owner_is_alive(config) => {
            net.remove_if_idle(&OwnTunnels);
        }
        // Only children used it.
        (None, End::Orderly) if owner && sys::access(&config.net_path, libc::F_OK).is_ok() => {
            if let Some(net) = existing() {
                net.remove_if_idle(&OwnTunnels);
            }
        }
        _ => {}
    }
}
