//! Packets and datagrams toward the program, and link settings.

use super::net::{net_of, NetHandle};
use super::{
    address, behind, bytes, close, give, give_text, handle, items, status, text, time, Answer,
};
use crate::errno::fence;
use libc::{c_char, c_int, c_void, gid_t, size_t, uid_t};
use memtun_core::{packet, Interface, Sending, UdpReceiver};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// An interface of a net.
pub struct InterfaceHandle {
    pub(super) interface: Interface,
    /// The receivers that memtun_interface_recv_udp uses, one for each address that it was asked
    /// for.
    receivers: Mutex<Receivers>,
}

/// Receivers by the address that they are bound to.
type Receivers = HashMap<SocketAddr, Arc<UdpReceiver>>;

impl InterfaceHandle {
    /// The receiver of one address. A caller that waits at it does not hold the map's lock.
    pub(super) fn receiver(&self, to: SocketAddr) -> Arc<UdpReceiver> {
        let mut receivers = self
            .receivers
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let made = || Arc::new(self.interface.receive_udp(to));
        receivers.entry(to).or_insert_with(made).clone()
    }
}

pub(super) fn interface_of<'a>(handle: *const InterfaceHandle) -> Answer<&'a Interface> {
    Ok(&behind(handle)?.interface)
}

/// Waits up to timeout_ms until an interface of this name exists. The handle is valid until
/// memtun_interface_close, also after the net's handle is closed or the interface is gone. ENODEV:
/// there was none in time. EINVAL: no interface can have that name.
#[no_mangle]
pub extern "C" fn memtun_interface_open(
    net: *mut NetHandle,
    name: *const c_char,
    timeout_ms: c_int,
) -> *mut InterfaceHandle {
    handle(|| {
        let interface = net_of(net)?.wait_interface_within(text(name)?, time(timeout_ms))?;
        Ok(InterfaceHandle {
            interface,
            receivers: Mutex::default(),
        })
    })
}

/// Closes an interface's handle. Subscribers and receivers that came from it stay valid, and the
/// interface itself is not touched. NULL is allowed.
// Contract: `iface` comes from `memtun_interface_open` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_close(interface: *mut InterfaceHandle) {
    // SAFETY: the caller's contract.
    unsafe { close(interface) }
}

/// Gives the interface an address, as ip-address(8) writes it: "10.0.0.1/24", "10.0.0.1 peer
/// 10.0.0.2/32", "fd00::1/64". The programs of the net see it at once, and the routes that follow.
/// memtun_interface_describe lists the addresses. -EEXIST: the interface has it. -EINVAL: it is no
/// address for an interface. -ENODEV: the interface is gone. -ENOSYS: no host process can be
/// started (see memtun_error_text).
#[no_mangle]
pub extern "C" fn memtun_interface_add_address(
    interface: *mut InterfaceHandle,
    address: *const c_char,
) -> c_int {
    status(|| interface_of(interface)?.add_address(&text(address)?.parse()?))
}

/// Takes an address from the interface. -EADDRNOTAVAIL: it does not have it. Otherwise this is as
/// memtun_interface_add_address.
#[no_mangle]
pub extern "C" fn memtun_interface_remove_address(
    interface: *mut InterfaceHandle,
    address: *const c_char,
) -> c_int {
    status(|| interface_of(interface)?.remove_address(&text(address)?.parse()?))
}

/// Gives the interface these addresses and no others, but for the link-local ones, which belong to
/// its link. addresses: an array of texts as for memtun_interface_add_address, that NULL ends.
/// Nothing is changed where one of them is no address. Otherwise this is as
/// memtun_interface_add_address.
#[no_mangle]
pub extern "C" fn memtun_interface_set_addresses(
    interface: *mut InterfaceHandle,
    addresses: *const *const c_char,
) -> c_int {
    status(|| interface_of(interface)?.set_addresses(&items(addresses)?))
}

/// Queues a packet if that needs no more ado.
///
/// # Safety
/// `frame` points to `len` readable bytes. The handle is NULL or one that is not closed yet.
#[inline(always)]
unsafe fn injects_at_once(
    interface: *const InterfaceHandle,
    frame: *const c_void,
    len: size_t,
    ethertype: u16,
) -> bool {
    let said = (ethertype != 0).then_some(ethertype);
    // SAFETY: the caller's contract.
    let (handle, frame) = unsafe {
        (
            interface.as_ref(),
            std::slice::from_raw_parts(frame.cast(), len),
        )
    };
    let at_once = |handle: &InterfaceHandle| handle.interface.inject_at_once(frame, said);
    fence(|| Ok(handle.is_some_and(at_once))).unwrap_or(false)
}

pub(super) fn sending(ethertype: u16, timeout_ms: c_int) -> Sending {
    let how = Sending::new().within(time(timeout_ms));
    match ethertype {
        0 => how,
        said => how.ethertype(said),
    }
}

/// Puts a packet of len bytes into the program's read queue; when 0 is returned, the program can
/// read it. The frame of a TAP begins with the destination address. ethertype 0: it is taken from
/// the packet. -EAGAIN (MEMTUN_KIND_FULL): the queue stayed full, or the capturer stayed behind,
/// for the whole time; with a time of 0 also that a reader was just at the queue, which has room.
/// -ENETDOWN: the link is down, or has no carrier. -EMSGSIZE: the packet is larger than the MTU.
/// -ENOTCONN: no program is attached. -ENODEV: the interface is gone. A packet that is refused is
/// not queued.
// Contract: `frame` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_inject(
    interface: *mut InterfaceHandle,
    frame: *const c_void,
    len: size_t,
    ethertype: u16,
    timeout_ms: c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    if !frame.is_null() && unsafe { injects_at_once(interface, frame, len, ethertype) } {
        return 0;
    }
    // SAFETY: the same.
    unsafe { injects_late(interface, frame, len, ethertype, timeout_ms) }
}

/// Does the whole of memtun_interface_inject. It stands apart, so that a packet that needs no more
/// ado keeps nothing for this.
///
/// # Safety
/// `frame` points to `len` readable bytes.
#[inline(never)]
unsafe extern "C" fn injects_late(
    interface: *mut InterfaceHandle,
    frame: *const c_void,
    len: size_t,
    ethertype: u16,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let frame = unsafe { bytes(frame, len) }?;
        interface_of(interface)?.inject_late(frame, sending(ethertype, timeout_ms))
    })
}

/// The same as memtun_interface_inject for an IP packet of len bytes; a TAP gets an Ethernet header
/// in front.
// Contract: `ip_packet` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_deliver(
    interface: *mut InterfaceHandle,
    ip_packet: *const c_void,
    len: size_t,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { bytes(ip_packet, len) }?;
        interface_of(interface)?.deliver_with(packet, Sending::new().within(time(timeout_ms)))
    })
}

/// The same as memtun_interface_inject for one turn of a longer wait: a packet that finds no room
/// in time is not counted as refused. This is for a driver whose language has to look at signals in
/// between.
// Contract: `frame` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_offer(
    interface: *mut InterfaceHandle,
    frame: *const c_void,
    len: size_t,
    ethertype: u16,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let frame = unsafe { bytes(frame, len) }?;
        interface_of(interface)?.offer(frame, sending(ethertype, timeout_ms))
    })
}

/// The same as memtun_interface_deliver for one turn of a longer wait: see memtun_interface_offer.
// Contract: `ip_packet` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_offer_ip(
    interface: *mut InterfaceHandle,
    ip_packet: *const c_void,
    len: size_t,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { bytes(ip_packet, len) }?;
        interface_of(interface)?.offer_ip(packet, Sending::new().within(time(timeout_ms)))
    })
}

/// The same as memtun_interface_send_udp for one turn of a longer wait: see memtun_interface_offer.
// Contract: `data` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_offer_udp(
    interface: *mut InterfaceHandle,
    src_host: *const c_char,
    src_port: u16,
    dst_host: *const c_char,
    dst_port: u16,
    data: *const c_void,
    len: size_t,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { datagram(src_host, src_port, dst_host, dst_port, data, len) }?;
        interface_of(interface)?.offer_ip(&packet, Sending::new().within(time(timeout_ms)))
    })
}

/// The source address of a datagram, with the defaults for what the caller leaves out.
pub(super) fn source(
    destination: SocketAddr,
    source_host: *const c_char,
    source_port: u16,
) -> Answer<SocketAddr> {
    let given = match (source_host.is_null(), source_port) {
        (false, port) => Some(address(source_host, port)?),
        (true, 0) => None,
        (true, port) => {
            let default = packet::source_for(destination, None);
            Some(SocketAddr::new(default.ip(), port))
        }
    };
    Ok(packet::source_for(destination, given))
}

/// The packet that memtun_interface_send_udp and memtun_interface_offer_udp send, made from the
/// arguments that they have in common.
///
/// # Safety
/// `data` points to `len` readable bytes.
unsafe fn datagram(
    source_host: *const c_char,
    source_port: u16,
    destination_host: *const c_char,
    destination_port: u16,
    data: *const c_void,
    len: size_t,
) -> Answer<Vec<u8>> {
    // SAFETY: the caller's contract.
    let data = unsafe { bytes(data, len) }?;
    let to = address(destination_host, destination_port)?;
    let from = source(to, source_host, source_port)?;
    packet::build(from, to, data)
}

/// Sends one UDP datagram with len bytes of data and right checksums to the program. src_host NULL:
/// the source is 10.1.2.3, or fd00:1:2::3 for an IPv6 destination. src_port 0: it is 21345.
/// -EINVAL: a host is no IP address, the two are of different families, or the data is too long.
/// Otherwise this is as memtun_interface_inject.
// Contract: `data` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_send_udp(
    interface: *mut InterfaceHandle,
    src_host: *const c_char,
    src_port: u16,
    dst_host: *const c_char,
    dst_port: u16,
    data: *const c_void,
    len: size_t,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { datagram(src_host, src_port, dst_host, dst_port, data, len) }?;
        interface_of(interface)?.deliver_with(&packet, Sending::new().within(time(timeout_ms)))
    })
}

/// The address that memtun_interface_send_udp sends from, given the same src_host, src_port and
/// dst_host. host has room for host_len bytes; MEMTUN_HOST_LEN is room for any address. port may be
/// NULL.
#[no_mangle]
pub extern "C" fn memtun_udp_source(
    src_host: *const c_char,
    src_port: u16,
    dst_host: *const c_char,
    host: *mut c_char,
    host_len: size_t,
    port: *mut u16,
) -> c_int {
    status(|| {
        let from = source(address(dst_host, 0)?, src_host, src_port)?;
        give_text(from.ip().to_string(), host, host_len)?;
        give(from.port(), port)
    })
}

/// Sets the link up (1) or down (0), as `ip link set` does.
#[no_mangle]
pub extern "C" fn memtun_interface_set_up(interface: *mut InterfaceHandle, up: c_int) -> c_int {
    status(|| interface_of(interface)?.set_up(up != 0))
}

/// Sets the MTU, the length of the largest packet in bytes: 68 to 65535, at most 65521 for a TAP.
#[no_mangle]
pub extern "C" fn memtun_interface_set_mtu(interface: *mut InterfaceHandle, mtu: u32) -> c_int {
    status(|| interface_of(interface)?.set_mtu(mtu))
}

/// Sets the number of packets that each read queue holds. In a queue that becomes shorter the
/// oldest packets stay.
#[no_mangle]
pub extern "C" fn memtun_interface_set_txqueuelen(
    interface: *mut InterfaceHandle,
    packets: u32,
) -> c_int {
    status(|| interface_of(interface)?.set_txqueuelen(packets))
}

/// Sets the user who may attach when programs lack the permission "net_admin", as TUNSETOWNER does;
/// (uid_t)-1 allows any user.
#[no_mangle]
pub extern "C" fn memtun_interface_set_owner(interface: *mut InterfaceHandle, uid: uid_t) -> c_int {
    status(|| interface_of(interface)?.set_owner((uid != uid_t::MAX).then_some(uid)))
}

/// Sets the group whose members may attach when programs lack the permission "net_admin", as
/// TUNSETGROUP does; (gid_t)-1 allows any group.
#[no_mangle]
pub extern "C" fn memtun_interface_set_group(interface: *mut InterfaceHandle, gid: gid_t) -> c_int {
    status(|| interface_of(interface)?.set_group((gid != gid_t::MAX).then_some(gid)))
}

/// Sets the hardware address of a TAP to the 6 bytes at mac. -EADDRNOTAVAIL: it is a multicast
/// address or all zeros. -EOPNOTSUPP: the interface is a TUN, which has none.
// Contract: `mac` points to 6 readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_set_mac(
    interface: *mut InterfaceHandle,
    mac: *const u8,
) -> c_int {
    status(|| {
        let mut address = [0; 6];
        // SAFETY: the caller's contract.
        address.copy_from_slice(unsafe { bytes(mac.cast(), 6) }?);
        interface_of(interface)?.set_mac(address)
    })
}

/// Renames the interface. -EEXIST: the name is taken.
#[no_mangle]
pub extern "C" fn memtun_interface_set_name(
    interface: *mut InterfaceHandle,
    name: *const c_char,
) -> c_int {
    status(|| interface_of(interface)?.set_name(text(name)?))
}

/// Sets the carrier of the link on (1) or off (0).
#[no_mangle]
pub extern "C" fn memtun_interface_set_carrier(
    interface: *mut InterfaceHandle,
    on: c_int,
) -> c_int {
    status(|| interface_of(interface)?.set_carrier(on != 0))
}

/// Deletes the interface under the program, as `ip link del` does.
#[no_mangle]
pub extern "C" fn memtun_interface_delete(interface: *mut InterfaceHandle) -> c_int {
    status(|| interface_of(interface)?.delete())
}
