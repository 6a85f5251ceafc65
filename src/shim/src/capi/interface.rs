//! Packets and datagrams toward the program, link settings.

use super::net::{net, NetHandle};
use super::{address, behind, bytes, close, give, give_text, handle, status, text, time, Answer};
use libc::{c_char, c_int, c_void, size_t};
use memtun_core::packet as udp;
use memtun_core::{Interface, UdpReceiver};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

/// An interface of a net.
pub struct InterfaceHandle {
    pub(super) interface: Interface,
    /// One for each address that memtun_receive_udp was asked for.
    receivers: Mutex<Receivers>,
}

/// By host (None: any) and port.
type Receivers = HashMap<(Option<IpAddr>, u16), Arc<UdpReceiver>>;

impl InterfaceHandle {
    /// The receiver of one address. Whoever waits at it has left the map to the others.
    pub(super) fn receiver(&self, host: Option<IpAddr>, port: u16) -> Arc<UdpReceiver> {
        let mut receivers = self
            .receivers
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let made = || Arc::new(self.interface.receive_udp(host, port));
        receivers.entry((host, port)).or_insert_with(made).clone()
    }
}

pub(super) fn interface<'a>(handle: *const InterfaceHandle) -> Answer<&'a Interface> {
    Ok(&behind(handle)?.interface)
}

/// Waits until an interface of this name exists. ENODEV when the time is over, EINVAL when no interface can
/// have that name. A timeout of -1 waits for ever, 0 does not wait; so for all others. Close it with
/// memtun_iface_close.
#[no_mangle]
pub extern "C" fn memtun_interface(
    net: *mut NetHandle,
    name: *const c_char,
    timeout_ms: c_int,
) -> *mut InterfaceHandle {
    handle(|| {
        let interface = self::net(net)?.wait_interface(text(name)?, time(timeout_ms))?;
        Ok(InterfaceHandle {
            interface,
            receivers: Mutex::default(),
        })
    })
}

/// Closes an interface's handle. NULL is fine.
// Contract: `iface` comes from `memtun_interface` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_iface_close(iface: *mut InterfaceHandle) {
    // SAFETY: the caller's contract.
    unsafe { close(iface) }
}

/// Puts a packet into the program's read queue; when 0 is returned it is readable. A TAP's frame begins with
/// the destination address. ethertype 0: from the packet. -EAGAIN: the queue stayed full, or the capture of
/// it behind, for the whole time. -ENETDOWN: the link is down. -EMSGSIZE: over the mtu. -ENOTCONN: no program
/// attached. -ENODEV: the interface is gone. What is refused is not queued.
// Contract: `frame` points to `len` readable bytes.
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
        let ethertype = (ethertype != 0).then_some(ethertype);
        interface(iface)?.inject(frame, ethertype, time(timeout_ms))
    })
}

/// The same for an IP packet; a TAP gets an Ethernet header in front.
// Contract: `ip_packet` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_deliver(
    iface: *mut InterfaceHandle,
    ip_packet: *const c_void,
    len: size_t,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { bytes(ip_packet, len) }?;
        interface(iface)?.deliver(packet, time(timeout_ms))
    })
}

/// As memtun_inject (memtun_deliver if ip is not 0), for one turn of a longer wait: what finds no room in time is
/// not counted as refused. For a driver whose language wants to look at signals in between.
// Contract: `packet` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_offer(
    iface: *mut InterfaceHandle,
    packet: *const c_void,
    len: size_t,
    ethertype: u16,
    ip: c_int,
    turn_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { bytes(packet, len) }?;
        let interface = interface(iface)?;
        if ip != 0 {
            return interface.offer_ip(packet, time(turn_ms));
        }
        let ethertype = (ethertype != 0).then_some(ethertype);
        interface.offer(packet, ethertype, time(turn_ms))
    })
}

/// As memtun_send_udp, for one turn of a longer wait: see memtun_offer.
// Contract: `data` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_offer_udp(
    iface: *mut InterfaceHandle,
    src_host: *const c_char,
    src_port: u16,
    dst_host: *const c_char,
    dst_port: u16,
    data: *const c_void,
    len: size_t,
    turn_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { datagram(src_host, src_port, dst_host, dst_port, data, len) }?;
        interface(iface)?.offer_ip(&packet, time(turn_ms))
    })
}

/// Where a datagram comes from that the caller does not say everything about.
fn source(
    destination: SocketAddr,
    source_host: *const c_char,
    source_port: u16,
) -> Answer<SocketAddr> {
    let given = match (source_host.is_null(), source_port) {
        (false, port) => Some(address(source_host, port)?),
        (true, 0) => None,
        (true, port) => {
            let default = udp::source_for(destination, None);
            Some(SocketAddr::new(default.ip(), port))
        }
    };
    Ok(udp::source_for(destination, given))
}

/// The packet that memtun_send_udp and memtun_offer_udp send, from the arguments that they have in common.
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
    udp::build(from, to, data)
}

/// Sends one UDP datagram to the program, with right checksums. src_host NULL: 10.1.2.3, or fd00:1:2::3 for
/// an IPv6 destination. src_port 0: 21345. -EINVAL: no IP address, two families, or too long. Else as
/// memtun_inject.
// Contract: `data` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_send_udp(
    iface: *mut InterfaceHandle,
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
        interface(iface)?.deliver(&packet, time(timeout_ms))
    })
}

/// Where memtun_send_udp sends from, given the same src_host, src_port and dst_host. 64 bytes are room for
/// any address.
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
pub extern "C" fn memtun_link_set_up(iface: *mut InterfaceHandle, up: c_int) -> c_int {
    status(|| interface(iface)?.set_up(up != 0))
}

/// Sets the largest packet in bytes: 68 to 65535, to 65521 for a TAP.
#[no_mangle]
pub extern "C" fn memtun_link_set_mtu(iface: *mut InterfaceHandle, mtu: u32) -> c_int {
    status(|| interface(iface)?.set_mtu(mtu))
}

/// Sets how many packets each read queue holds; of a queue that gets shorter the oldest stay.
#[no_mangle]
pub extern "C" fn memtun_link_set_txqlen(iface: *mut InterfaceHandle, packets: u32) -> c_int {
    status(|| interface(iface)?.set_txqueuelen(packets))
}

/// Sets the user who may attach where programs lack the permission "net_admin", as TUNSETOWNER; UINT32_MAX for
/// any.
#[no_mangle]
pub extern "C" fn memtun_link_set_owner(iface: *mut InterfaceHandle, uid: u32) -> c_int {
    status(|| interface(iface)?.set_owner((uid != u32::MAX).then_some(uid)))
}

/// Sets the group whose members may attach where programs lack the permission "net_admin", as TUNSETGROUP;
/// UINT32_MAX for any.
#[no_mangle]
pub extern "C" fn memtun_link_set_group(iface: *mut InterfaceHandle, gid: u32) -> c_int {
    status(|| interface(iface)?.set_group((gid != u32::MAX).then_some(gid)))
}

/// Renames the interface. -EEXIST: the name is taken.
#[no_mangle]
pub extern "C" fn memtun_link_set_name(iface: *mut InterfaceHandle, name: *const c_char) -> c_int {
    status(|| interface(iface)?.rename(text(name)?))
}

/// Sets the carrier on (1) or off (0).
#[no_mangle]
pub extern "C" fn memtun_link_set_carrier(iface: *mut InterfaceHandle, on: c_int) -> c_int {
    status(|| interface(iface)?.set_carrier(on != 0))
}

/// Deletes the interface under the program, as `ip link del` does.
#[no_mangle]
pub extern "C" fn memtun_link_del(iface: *mut InterfaceHandle) -> c_int {
    status(|| interface(iface)?.delete())
}
