//! Tunnels, epoll instances and netlink sockets that this process got from another process.
#![forbid(unsafe_code)]

use crate::waiting::epoll;
use crate::{config, foreign, inet, net, netlink, packets, process, sandbox, table, view};
use memtun_abi::{Errno, Error};
use memtun_kernel::net::{Create, Join, NetDir};
use memtun_kernel::tun::Tunnel;
use memtun_sys as sys;

/// Looks whether a descriptor that came from outside is a tunnel, an epoll instance or a netlink
/// socket, and enters it into the table if it is.
pub fn adopt(fd: i32) {
    if let Ok(st) = sys::fstat(fd) {
        adopt_as(fd, &st);
    }
}

/// Has the file no name in any file system, as an epoll instance has none?
fn is_anonymous(st: &libc::stat) -> bool {
    st.st_mode & libc::S_IFMT == 0
}

fn adopt_as(fd: i32, st: &libc::stat) {
    if is_anonymous(st) {
        return epoll::adopt(fd);
    }
    if sys::is_kind(st, libc::S_IFSOCK) {
        if packets::may_be(fd) {
            packets::adopt(fd);
            return;
        }
        if inet::is_active() {
            inet::notes::note(fd);
        }
        return netlink::adopt(fd);
    }
    if st.st_mode & libc::S_IFMT != libc::S_IFIFO {
        return view::adopt(fd, st);
    }
    if foreign::is_tunnel(fd) || !process::owns_memory() {
        return;
    }
    // The path tells the net, which may be that of another process tree. Without /proc only this
    // process's own net can be found.
    let mut buf = [0u8; 1024];
    let foreign = match sys::path_of_fd(fd, &mut buf).map(NetDir::inode_of_bell_path) {
        Ok(Some((dir, inode))) if inode == st.st_ino => Some(dir),
        Ok(_) => return,
        Err(_) => None,
    };
    let own = config::get().map(|c| c.net.as_slice());
    let net = match foreign {
        Some(dir) if Some(dir) != own && net::current().is_none_or(|n| n.path() != dir) => {
            let how = Join {
                create: Create::Never,
                owner: config::get().and_then(|c| c.owner),
                member: true,
            };
            let joined = NetDir::join(dir, how).and_then(|net| {
                net::leak(net).map_err(|e| Error::new(e.0, "no memory for another net"))
            });
            match joined {
                // Each net is mapped once per descriptor that comes from it, which is rare.
                Ok(net) => net,
                Err(e) => {
                    return log::warn!("descriptor {fd} is a tunnel that cannot be joined: {e}")
                }
            }
        }
        _ => match net::existing() {
            Some(net) => net,
            None => return,
        },
    };
    sandbox::look_for_inherited();
    let joined = Tunnel::join(net, st.st_ino).and_then(|tunnel| {
        tunnel.status_flags_are(sys::status_flags(fd).unwrap_or(0));
        table::enter(fd, tunnel)
    });
    match joined {
        Ok(()) | Err(Errno(libc::ENOENT)) => {}
        Err(e) => log::warn!("descriptor {fd} is a tunnel that cannot be joined: {e}"),
    }
}

/// Enters the tunnels and epoll instances that this process was started with into the table.
pub fn adopt_inherited() {
    let mut waiting = [-1; 64];
    let scanned = sys::each_descriptor(|fd| {
        let Ok(st) = sys::fstat(fd) else { return };
        // Most are standard output or input, and to read their path takes longer than all else.
        if sys::is_kind(&st, libc::S_IFIFO) && sys::is_nameless_pipe(fd) {
            return;
        }
        // Epoll instances are entered after the tunnels, because they may have registered them.
        match waiting.iter_mut().find(|place| **place < 0) {
            Some(place) if is_anonymous(&st) => *place = fd,
            _ => adopt_as(fd, &st),
        }
    });
    waiting.into_iter().filter(|fd| *fd >= 0).for_each(adopt);
    if scanned.is_err() {
        (0..1024).for_each(adopt);
    }
}
