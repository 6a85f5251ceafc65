//! Snapshots as JSON, and packets in words. An interface has the members that `memtun ls --json`
//! gives it.

use super::interface::{interface_of, InterfaceHandle};
use super::net::{net_of, NetHandle};
use super::{bytes, give_text, length};
use libc::{c_char, c_int, c_void, size_t, ssize_t};
use memtun_abi::{Errno, Error};
use memtun_core::{json, packet, InterfaceInfo, Net, TunnelInfo};
use memtun_shm::lock::Patience;
use serde::Serialize;

#[derive(Serialize)]
struct DescribedInterface<'a> {
    #[serde(flatten)]
    interface: &'a InterfaceInfo,
    gone: bool,
}

#[derive(Serialize)]
struct DescribedTunnel<'a> {
    #[serde(flatten)]
    tunnel: &'a TunnelInfo,
    read_buffer: Vec<WaitingPacket>,
}

#[derive(Serialize)]
struct WaitingPacket {
    ethertype: u16,
    /// The bytes of the packet in hexadecimal.
    data: String,
}

/// The net as a JSON object with the members path, permissions, faults, send_buffer_size,
/// exact_bell, name_suffix, discarded, interfaces, routes, neighbours and tunnels (attached or not). Members
/// are only ever added. A text that is returned.
#[no_mangle]
pub extern "C" fn memtun_net_describe(
    net: *const NetHandle,
    buf: *mut c_char,
    buf_len: size_t,
) -> ssize_t {
    length(|| give_text(json::line(&net_of(net)?.info()?), buf, buf_len))
}

/// An interface as a JSON object. When it is gone ("gone": true) the object shows it as it was
/// then. Otherwise this is as memtun_net_describe.
#[no_mangle]
pub extern "C" fn memtun_interface_describe(
    interface: *const InterfaceHandle,
    buf: *mut c_char,
    buf_len: size_t,
) -> ssize_t {
    length(|| {
        let interface = interface_of(interface)?;
        // `gone` is asked first, because the numbers of an interface that is gone do not change any
        // more.
        let gone = interface.is_gone();
        let described = DescribedInterface {
            interface: &interface.info(),
            gone,
        };
        give_text(json::line(&described), buf, buf_len)
    })
}

/// A tunnel as a JSON object, with the packets that wait to be read by the program ("read_buffer",
/// oldest first, data in hexadecimal). id is the tunnel's id from memtun_net_describe. -ENOENT: the
/// tunnel is closed. Otherwise this is as memtun_net_describe.
#[no_mangle]
pub extern "C" fn memtun_net_describe_tunnel(
    net: *const NetHandle,
    id: u64,
    buf: *mut c_char,
    buf_len: size_t,
) -> ssize_t {
    length(|| {
        let net = net_of(net)?;
        let tunnels = net.tunnels()?;
        let info = tunnels.iter().find(|t| t.id == id);
        let waiting = waiting(net, id).map_err(|e| Error::new(e.0, format!("tunnel {id}: {e}")));
        let closed = || Error::new(libc::ENOENT, format!("tunnel {id}: it is closed"));
        let tunnel = info.ok_or_else(closed)?;
        let packet = |(data, ethertype): (Vec<u8>, u16)| {
            let data = data.iter().map(|b| format!("{b:02x}")).collect();
            WaitingPacket { ethertype, data }
        };
        let read_buffer = waiting?.into_iter().map(packet).collect();
        let described = DescribedTunnel {
            tunnel,
            read_buffer,
        };
        give_text(json::line(&described), buf, buf_len)
    })
}

/// One line of text about a packet of len bytes, as far as it can be understood, such as "IPv4
/// 10.1.2.3:21345 > 10.0.0.1:7 UDP 5 bytes". tap says whether it is an Ethernet frame (1) or an IP
/// packet (0). ethertype 0: it is taken from the packet. A text that is returned.
// Contract: `packet` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_packet_describe(
    packet: *const c_void,
    len: size_t,
    ethertype: u16,
    tap: c_int,
    buf: *mut c_char,
    buf_len: size_t,
) -> ssize_t {
    length(|| {
        // SAFETY: the caller's contract.
        let packet = unsafe { bytes(packet, len) }?;
        let ethertype = match ethertype {
            0 => packet::ethertype(packet, tap != 0),
            given => given,
        };
        give_text(packet::describe(packet, ethertype, tap != 0), buf, buf_len)
    })
}

fn waiting(net: &Net, id: u64) -> Result<Vec<(Vec<u8>, u16)>, Errno> {
    let dir = net.dir();
    let tunnel = dir.tunnel(id)?;
    let lock = dir.lock_tunnel(id, &tunnel, Patience::Brief)?;
    Ok(lock.queue().peek_all())
}
