//! Nets, and their permissions, faults and settings.

use super::{behind, close, give_text, handle, items, length, status, text, verdict, Answer};
use crate::table::OwnTunnels;
use crate::watch::guard;
use crate::{config, process, uaccess};
use libc::{c_char, c_int, size_t, ssize_t, uid_t};
use memtun_abi::{Error, ErrorKind};
use memtun_core::{Net, NetOptions};
use memtun_kernel::{Fault, Permission};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A net: a directory that processes join.
pub struct NetHandle(Net);

pub(super) fn net_of<'a>(handle: *const NetHandle) -> Answer<&'a Net> {
    Ok(&behind(handle)?.0)
}

/// Joins a net. Its directory is made if it is missing (mode 0700), the parent directory is not.
/// dir NULL: the calling process's own net, in which it opens its tunnels when it runs under the
/// shim. The handle is valid until memtun_net_close. ENODEV: dir is NULL and the process has no
/// net. EPERM: the directory belongs to another user, or others may write to it. ENOTDIR: it is a
/// file or a symbolic link. ENOENT, EACCES: it can be neither reached nor made. EUCLEAN: its
/// contents are damaged, or were made by another version.
#[no_mangle]
pub extern "C" fn memtun_net_open(dir: *const c_char) -> *mut NetHandle {
    handle(|| {
        guard();
        let own = config::get().filter(|_| process::owns_memory());
        let unnamed = dir.is_null();
        let dir = match (unnamed, own) {
            (true, None) => {
                return Err(
                    Error::new(libc::ENODEV, "this process has no net of its own")
                        .of_kind(ErrorKind::NotFound),
                )
            }
            (true, Some(config)) => config.net.as_slice(),
            (false, _) => uaccess::c_string(dir).map_err(super::bad_memory)?,
        };
        // MEMTUN_NET_OWNER is about the process's own net, not about one that a driver names.
        if own.is_some_and(|c| c.net == dir && (unnamed || c.owner.is_none())) {
            // The process may hold tunnels of this net itself.
            let dir = crate::net::for_driver()?;
            return Ok(NetHandle(Net::of_process(dir, Box::new(OwnTunnels))));
        }
        Net::create(Path::new(OsStr::from_bytes(dir))).map(NetHandle)
    })
}

/// Joins the net of the user with this number, and of no other: this is how root joins another
/// user's net. What is made in it belongs to that user. EPERM: the net belongs to somebody else, or
/// the caller is neither root nor that user. EINVAL: dir is NULL; MEMTUN_NET_OWNER says whose the
/// process's own net is. Otherwise this is as memtun_net_open.
#[no_mangle]
pub extern "C" fn memtun_net_open_of_user(dir: *const c_char, owner: uid_t) -> *mut NetHandle {
    handle(|| {
        guard();
        if dir.is_null() {
            let sentence = "name the directory of the user's net";
            return Err(Error::new(libc::EINVAL, sentence));
        }
        let dir = uaccess::c_string(dir).map_err(super::bad_memory)?;
        let options = NetOptions::new().owner(owner).create(true);
        options
            .open(Path::new(OsStr::from_bytes(dir)))
            .map(NetHandle)
    })
}

/// Makes a net in /dev/shm, else in $XDG_RUNTIME_DIR, else in $TMPDIR. It is removed with the last
/// of its handles: this one and those made from it. Nets that killed processes have left there are
/// removed as well. The handle is valid until memtun_net_close.
#[no_mangle]
pub extern "C" fn memtun_net_open_temporary() -> *mut NetHandle {
    handle(|| {
        guard();
        Net::temporary().map(NetHandle)
    })
}

/// Closes a net's handle. Interfaces that came from it stay valid. NULL is allowed.
// Contract: `net` comes from a function above and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_net_close(net: *mut NetHandle) {
    // SAFETY: the caller's contract.
    unsafe { close(net) }
}

/// The net's directory in the form that MEMTUN_NET takes, as text: see "Texts that are returned"
/// above.
#[no_mangle]
pub extern "C" fn memtun_net_path(
    net: *const NetHandle,
    buf: *mut c_char,
    buf_len: size_t,
) -> ssize_t {
    length(|| give_text(net_of(net)?.path().as_os_str().as_bytes(), buf, buf_len))
}

/// Removes the net's directory with all that is in it, now. Programs in it keep their descriptors
/// but cannot open more.
#[no_mangle]
pub extern "C" fn memtun_net_remove(net: *mut NetHandle) -> c_int {
    status(|| net_of(net)?.clone().remove())
}

/// Adds a route, as ip-route(8) writes it: "10.20.0.0/16 via 10.0.0.2", "default dev tun0 metric
/// 5", "blackhole 10.9.0.0/16". memtun_net_describe lists the routes. -EEXIST: there is such a
/// route. -ENETUNREACH: the gateway cannot be reached. -ENETDOWN: the interface is down. -ENODEV:
/// there is no interface of that name. -EINVAL: it is no route. -ENOSYS: no host process can be
/// started (see memtun_error_text).
#[no_mangle]
pub extern "C" fn memtun_net_add_route(net: *mut NetHandle, route: *const c_char) -> c_int {
    status(|| net_of(net)?.add_route(&text(route)?.parse()?))
}

/// Deletes a route. -ESRCH: there is none. Otherwise this is as memtun_net_add_route.
#[no_mangle]
pub extern "C" fn memtun_net_remove_route(net: *mut NetHandle, route: *const c_char) -> c_int {
    status(|| net_of(net)?.remove_route(&text(route)?.parse()?))
}

/// Gives the net these routes and no others. routes: an array of texts as for memtun_net_add_route,
/// that NULL ends. Nothing is changed where one of them is no route. Otherwise this is as
/// memtun_net_add_route.
#[no_mangle]
pub extern "C" fn memtun_net_set_routes(
    net: *mut NetHandle,
    routes: *const *const c_char,
) -> c_int {
    status(|| net_of(net)?.set_routes(&items(routes)?))
}

/// Adds a neighbour, as ip-neighbour(8) writes it: "10.0.0.2 lladdr 02:00:00:00:00:02 dev tap0",
/// "proxy 10.0.0.9 dev tap0". One that is there gets the new link-layer address.
/// memtun_net_describe lists the neighbours. -ENODEV: there is no interface of that name. -EINVAL:
/// it is no neighbour. -ENOSYS: no host process can be started (see memtun_error_text).
#[no_mangle]
pub extern "C" fn memtun_net_add_neighbour(net: *mut NetHandle, neighbour: *const c_char) -> c_int {
    status(|| net_of(net)?.add_neighbour(&text(neighbour)?.parse()?))
}

/// Deletes a neighbour. -ENOENT: there is none. Otherwise this is as memtun_net_add_neighbour.
#[no_mangle]
pub extern "C" fn memtun_net_remove_neighbour(
    net: *mut NetHandle,
    neighbour: *const c_char,
) -> c_int {
    status(|| net_of(net)?.remove_neighbour(&text(neighbour)?.parse()?))
}

/// Gives the net these neighbours and no others. neighbours: an array of texts as for
/// memtun_net_add_neighbour, that NULL ends. Nothing is changed where one of them is no neighbour.
/// Otherwise this is as memtun_net_add_neighbour.
#[no_mangle]
pub extern "C" fn memtun_net_set_neighbours(
    net: *mut NetHandle,
    neighbours: *const *const c_char,
) -> c_int {
    status(|| net_of(net)?.set_neighbours(&items(neighbours)?))
}

/// Makes calls of the programs fail, as "write=EINTR@1", "read=EAGAIN@3-5",
/// "ioctl:TUNSETIFF=EBUSY@1" or "open=ENOENT" (until it is taken back). -EINVAL: it is no such
/// fault. -ENOSPC: 64 are set already.
#[no_mangle]
pub extern "C" fn memtun_net_fault(net: *mut NetHandle, spec: *const c_char) -> c_int {
    status(|| {
        let fault: Fault = text(spec)?.parse()?;
        net_of(net)?.fault(&fault)
    })
}

/// Takes a fault back. Returns 1, or 0 when it was not set any more.
#[no_mangle]
pub extern "C" fn memtun_net_take_back(net: *mut NetHandle, spec: *const c_char) -> c_int {
    verdict(|| {
        let fault: Fault = text(spec)?.parse()?;
        net_of(net)?.take_back(&fault)
    })
}

/// Gives a permission back: "open", "ioctl" or "net_admin".
#[no_mangle]
pub extern "C" fn memtun_net_permit(net: *mut NetHandle, operation: *const c_char) -> c_int {
    status(|| {
        net_of(net)?.permit(text(operation)?.parse::<Permission>()?);
        Ok(())
    })
}

/// Takes a permission away. Without "open" or "ioctl" that operation fails with EPERM from now on,
/// in programs that are already running as well. Without "net_admin" the operations fail for which
/// the kernel demands CAP_NET_ADMIN: making interfaces, attaching to an interface whose owner and
/// group the program is not, and changing an interface by requests on sockets.
#[no_mangle]
pub extern "C" fn memtun_net_deny(net: *mut NetHandle, operation: *const c_char) -> c_int {
    status(|| {
        net_of(net)?.deny(text(operation)?.parse::<Permission>()?);
        Ok(())
    })
}

/// Do programs have this permission? 1 or 0.
#[no_mangle]
pub extern "C" fn memtun_net_permits(net: *const NetHandle, operation: *const c_char) -> c_int {
    verdict(|| {
        let permission: Permission = text(operation)?.parse()?;
        Ok(net_of(net)?.permissions().contains(&permission))
    })
}

/// Has the net an interface of this name, or had it one? 1 or 0. -EINVAL: no interface can have
/// that name.
#[no_mangle]
pub extern "C" fn memtun_net_had_interface(net: *const NetHandle, name: *const c_char) -> c_int {
    verdict(|| net_of(net)?.had_interface(text(name)?))
}

/// Sets the longest write in bytes; a longer one fails with ENOBUFS. 0: there is no limit, as in
/// the kernel.
#[no_mangle]
pub extern "C" fn memtun_net_set_send_buffer_size(net: *mut NetHandle, bytes: u32) -> c_int {
    status(|| {
        net_of(net)?.set_send_buffer_size((bytes > 0).then_some(bytes));
        Ok(())
    })
}

/// Says whether the bells of the net's tunnels are exact (1) or lazy (0): with exact ones a
/// descriptor is readable for the machine's kernel only while a packet is queued, which a program
/// sees that waits by raw system calls or io_uring. -EAGAIN: the net's lock is not released in time.
#[no_mangle]
pub extern "C" fn memtun_net_set_exact_bell(net: *mut NetHandle, exact: c_int) -> c_int {
    status(|| net_of(net)?.set_exact_bell(exact != 0))
}

/// Sets the suffix (at most 12 bytes) that replaces the end of every name that a program asks for,
/// to catch programs that ignore the name that TUNSETIFF gives back. An empty one restores the
/// kernel's naming.
#[no_mangle]
pub extern "C" fn memtun_net_set_name_suffix(net: *mut NetHandle, suffix: *const c_char) -> c_int {
    status(|| net_of(net)?.set_name_suffix(text(suffix)?))
}

/// Takes back every fault, grants every permission, removes the limit of the send buffer and the
/// suffix of names, and lets bells be lazy.
#[no_mangle]
pub extern "C" fn memtun_net_reset(net: *mut NetHandle) -> c_int {
    status(|| net_of(net)?.reset())
}
