//! The driver's side for C: `memtun.h`. Errors are negative errno; the functions that return a handle give NULL and errno.

use crate::errno::{self, fence};
use crate::table::OwnTunnels;
use crate::{config, process, user};
use libc::{c_char, c_int, c_void, size_t, ssize_t};
use memtun_core::netdir::NetDir;
use memtun_core::{Errno, Error, Fault, Interface, Net, Permission, UdpReceiver};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// `memtun_net`
pub struct NetHandle(Net);

/// `memtun_iface`
pub struct InterfaceHandle {
    interface: Interface,
    receivers: Mutex<HashMap<(Option<IpAddr>, u16), UdpReceiver>>,
}

type Answer<T> = Result<T, Errno>;

const EINVAL: Errno = Errno(libc::EINVAL);

/// The answer of a driver's call, with its sentence in the log: C has only the number.
fn answered<T>(answer: Result<T, Error>) -> Answer<T> {
    answer.map_err(|e| {
        log::info!("{e}");
        e.errno()
    })
}

fn status(ours: impl FnOnce() -> Answer<()>) -> c_int {
    errno::keep(|| fence(ours).map_or_else(|e| -e.0, |()| 0))
}

fn length(ours: impl FnOnce() -> Answer<usize>) -> ssize_t {
    errno::keep(|| fence(ours).map_or_else(|e| -e.0 as ssize_t, |n| n as ssize_t))
}

fn time(timeout_ms: c_int) -> Option<Duration> {
    (timeout_ms >= 0).then(|| Duration::from_millis(timeout_ms as u64))
}

fn text<'a>(s: *const c_char) -> Answer<&'a str> {
    std::str::from_utf8(user::c_string(s)?).map_err(|_| EINVAL)
}

/// The bytes that a caller gave.
///
/// # Safety
/// `data` points to `len` readable bytes (memtun.h says so), or is NULL with `len` 0.
unsafe fn bytes<'a>(data: *const c_void, len: size_t) -> Answer<&'a [u8]> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno(libc::EFAULT)),
        // SAFETY: the caller's contract.
        _ => Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) }),
    }
}

fn net<'a>(handle: *const NetHandle) -> Answer<&'a Net> {
    // SAFETY: NULL, or a handle that memtun_net_open made and that is not closed yet (memtun.h).
    unsafe { handle.as_ref() }.map(|h| &h.0).ok_or(EINVAL)
}

fn interface<'a>(handle: *const InterfaceHandle) -> Answer<&'a InterfaceHandle> {
    // SAFETY: NULL, or a handle that memtun_interface made and that is not closed yet (memtun.h).
    unsafe { handle.as_ref() }.ok_or(EINVAL)
}

fn handle<T>(made: Answer<T>) -> *mut T {
    match made {
        Ok(value) => Box::into_raw(Box::new(value)),
        Err(e) => {
            errno::set(e.0);
            std::ptr::null_mut()
        }
    }
}

fn address(host: *const c_char, port: u16) -> Answer<SocketAddr> {
    Ok(SocketAddr::new(
        text(host)?.parse().map_err(|_| EINVAL)?,
        port,
    ))
}

/// Is this process under the shim? 1 when the library was preloaded, 0 when it was only linked or loaded.
#[no_mangle]
pub extern "C" fn memtun_active() -> c_int {
    config::get().is_some_and(|c| c.library.is_some()) as c_int
}

/// The name of a hook by its place in the table, NULL beyond the last: so that a test can compare the table with what the
/// library exports. Not part of memtun.h.
#[no_mangle]
pub extern "C" fn memtun_hook_name(index: c_int) -> *const c_char {
    let hooks = crate::hooks::FAMILIES.iter().copied().flatten();
    let hook = usize::try_from(index).ok().and_then(|index| hooks.into_iter().nth(index));
    hook.map_or(std::ptr::null(), |hook| hook.name.as_ptr())
}

/// Joins a net; NULL: the calling process's own.
#[no_mangle]
pub extern "C" fn memtun_net_open(dir: *const c_char) -> *mut NetHandle {
    handle(fence(|| {
        let own = config::get().filter(|_| process::owns_memory());
        let dir = match (dir.is_null(), own) {
            (true, None) => return Err(Errno(libc::ENODEV)),
            (true, Some(config)) => config.net.as_slice(),
            (false, _) => user::c_string(dir)?,
        };
        if own.is_some_and(|c| c.net == dir) {
            // The process may hold tunnels of this net itself.
            let dir = answered(NetDir::open_or_create(dir))?;
            return Ok(NetHandle(Net::of_process(dir, Box::new(OwnTunnels))));
        }
        answered(Net::open(Path::new(std::ffi::OsStr::from_bytes(dir)))).map(NetHandle)
    }))
}

/// Closes a net's handle. NULL is fine.
///
/// # Safety
/// `net` comes from `memtun_net_open` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_net_close(net: *mut NetHandle) {
    if !net.is_null() {
        // SAFETY: the caller's contract.
        status(|| unsafe {
            drop(Box::from_raw(net));
            Ok(())
        });
    }
}

/// Waits until an interface exists.
#[no_mangle]
pub extern "C" fn memtun_interface(
    handle_of_net: *mut NetHandle,
    name: *const c_char,
    timeout_ms: c_int,
) -> *mut InterfaceHandle {
    handle(fence(|| {
        let interface =
            answered(net(handle_of_net)?.wait_interface(text(name)?, time(timeout_ms)))?;
        Ok(InterfaceHandle {
            interface,
            receivers: Mutex::default(),
        })
    }))
}

/// Closes an interface's handle. NULL is fine.
///
/// # Safety
/// `iface` comes from `memtun_interface` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_iface_close(iface: *mut InterfaceHandle) {
    if !iface.is_null() {
        // SAFETY: the caller's contract.
        status(|| unsafe {
            drop(Box::from_raw(iface));
            Ok(())
        });
    }
}

/// Puts a frame into the read queue.
///
/// # Safety
/// `frame` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_inject(
    iface: *mut InterfaceHandle,
    frame: *const c_void,
    len: size_t,
    ethertype: u16,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let frame = unsafe { bytes(frame, len) }?;
        interface(iface)?.interface.inject_raw(
            frame,
            (ethertype != 0).then_some(ethertype),
            time(timeout_ms),
        )
    })
}

/// Puts an IP packet into the read queue.
///
/// # Safety
/// `packet` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_deliver(
    iface: *mut InterfaceHandle,
    packet: *const c_void,
    len: size_t,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { bytes(packet, len) }?;
        answered(
            interface(iface)?
                .interface
                .deliver(packet, time(timeout_ms)),
        )
    })
}

/// The next packet that the program wrote.
///
/// # Safety
/// `buf` points to `len` writable bytes; `ethertype` is NULL or points to one.
#[no_mangle]
pub unsafe extern "C" fn memtun_recv(
    iface: *mut InterfaceHandle,
    buf: *mut c_void,
    len: size_t,
    ethertype: *mut u16,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let packet = answered(interface(iface)?.interface.recv(time(timeout_ms)))?;
        user::copy_out(buf as usize, &packet.data[..packet.data.len().min(len)])?;
        if !ethertype.is_null() {
            user::write(ethertype, &packet.ethertype)?;
        }
        Ok(packet.data.len())
    })
}

/// Sends one datagram to the program.
///
/// # Safety
/// `data` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_send_udp(
    iface: *mut InterfaceHandle,
    source_host: *const c_char,
    source_port: u16,
    host: *const c_char,
    port: u16,
    data: *const c_void,
    len: size_t,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let data = unsafe { bytes(data, len) }?;
        let destination = address(host, port)?;
        let source = match source_host.is_null() {
            false => Some(address(source_host, source_port)?),
            true if source_port != 0 => {
                let default = memtun_core::udp::source_for(destination, None);
                Some(SocketAddr::new(default.ip(), source_port))
            }
            true => None,
        };
        answered(
            interface(iface)?
                .interface
                .send_udp(data, destination, source, time(timeout_ms)),
        )
        .map(drop)
    })
}

/// The next datagram that the program sends to a host and port.
///
/// # Safety
/// `buf` points to `len` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_receive_udp(
    iface: *mut InterfaceHandle,
    host: *const c_char,
    port: u16,
    buf: *mut c_void,
    len: size_t,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let iface = interface(iface)?;
        let host = if host.is_null() {
            None
        } else {
            Some(text(host)?.parse().map_err(|_| EINVAL)?)
        };
        let mut receivers = iface
            .receivers
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let receiver = receivers
            .entry((host, port))
            .or_insert_with(|| iface.interface.receive_udp(host, port));
        let payload = answered(receiver.recv(time(timeout_ms)))?;
        user::copy_out(buf as usize, &payload[..payload.len().min(len)])?;
        Ok(payload.len())
    })
}

/// Sets a fault.
#[no_mangle]
pub extern "C" fn memtun_fault(handle: *mut NetHandle, spec: *const c_char) -> c_int {
    status(|| {
        let fault: Fault = answered(text(spec)?.parse())?;
        answered(net(handle)?.fault(&fault))
    })
}

/// Gives a permission back.
#[no_mangle]
pub extern "C" fn memtun_permit(handle: *mut NetHandle, operation: *const c_char) -> c_int {
    status(|| {
        net(handle)?.permit(answered(text(operation)?.parse::<Permission>())?);
        Ok(())
    })
}

/// Takes a permission away.
#[no_mangle]
pub extern "C" fn memtun_deny(handle: *mut NetHandle, operation: *const c_char) -> c_int {
    status(|| {
        net(handle)?.deny(answered(text(operation)?.parse::<Permission>())?);
        Ok(())
    })
}

/// Takes back every fault and grants every permission.
#[no_mangle]
pub extern "C" fn memtun_reset(handle: *mut NetHandle) -> c_int {
    status(|| answered(net(handle)?.reset()))
}

/// Sets the link up or down.
#[no_mangle]
pub extern "C" fn memtun_link_set_up(iface: *mut InterfaceHandle, up: c_int) -> c_int {
    status(|| answered(interface(iface)?.interface.set_up(up != 0)))
}

/// Sets the mtu.
#[no_mangle]
pub extern "C" fn memtun_link_set_mtu(iface: *mut InterfaceHandle, mtu: u32) -> c_int {
    status(|| answered(interface(iface)?.interface.set_mtu(mtu)))
}

/// Sets the length of the read queue.
#[no_mangle]
pub extern "C" fn memtun_link_set_txqlen(iface: *mut InterfaceHandle, packets: u32) -> c_int {
    status(|| answered(interface(iface)?.interface.set_txqueuelen(packets)))
}

/// Renames the interface.
#[no_mangle]
pub extern "C" fn memtun_link_set_name(iface: *mut InterfaceHandle, name: *const c_char) -> c_int {
    status(|| answered(interface(iface)?.interface.rename(text(name)?)))
}

/// Sets the carrier.
#[no_mangle]
pub extern "C" fn memtun_link_set_carrier(iface: *mut InterfaceHandle, on: c_int) -> c_int {
    status(|| answered(interface(iface)?.interface.set_carrier(on != 0)))
}

/// Deletes the interface.
#[no_mangle]
pub extern "C" fn memtun_link_del(iface: *mut InterfaceHandle) -> c_int {
    status(|| answered(interface(iface)?.interface.delete()))
}
