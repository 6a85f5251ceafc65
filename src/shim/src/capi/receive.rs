//! Packets and datagrams from the program.

use super::interface::{interface_of, InterfaceHandle};
use super::{behind, close, give, give_bytes, give_text, handle, host, length, time, Answer};
use libc::{c_char, c_int, c_void, size_t, ssize_t};
use memtun_core::{Subscriber, UdpReceiver};
use std::net::{Ipv6Addr, SocketAddr};

/// A reader of everything that the program writes, with a position of its own.
pub struct SubscriberHandle(pub(super) Subscriber);

/// A reader of the datagrams to one address, with a position of its own.
pub struct ReceiverHandle(pub(super) UdpReceiver);

fn bound(host_text: *const c_char, port: u16) -> Answer<SocketAddr> {
    if host_text.is_null() {
        return Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    }
    Ok(SocketAddr::new(host(host_text)?, port))
}

/// Takes the next packet that the program wrote. Returns its length in bytes, which may be more
/// than buf_len (then the packet is cut). ethertype may be NULL. Each handle sees every packet
/// once. -EAGAIN: there was none in time. -ENOBUFS: the program overtook this handle, which lost as
/// many packets as memtun_error_lost says; the next call goes on in the middle of what is kept.
/// -ENODEV: the interface is gone, and all that the program wrote to it has been received.
#[no_mangle]
pub extern "C" fn memtun_interface_recv(
    interface: *mut InterfaceHandle,
    buf: *mut c_void,
    buf_len: size_t,
    ethertype: *mut u16,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let packet = interface_of(interface)?.recv_within(time(timeout_ms))?;
        give(packet.ethertype, ethertype)?;
        give_bytes(&packet.data, buf, buf_len)
    })
}

/// Takes the next UDP datagram that the program sends to host and port. As for bind(2), host
/// 0.0.0.0 is any IPv4 address, and :: any address, as is NULL. Returns the length of its payload
/// in bytes, which may be more than buf_len (then it is cut). The errors are those of
/// memtun_interface_recv; the sentence of -EAGAIN says which datagrams were passed over, for
/// example because of their port or checksum.
#[no_mangle]
pub extern "C" fn memtun_interface_recv_udp(
    interface: *mut InterfaceHandle,
    host: *const c_char,
    port: u16,
    buf: *mut c_void,
    buf_len: size_t,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let interface = behind(interface)?;
        let payload = interface
            .receiver(bound(host, port)?)
            .recv_within(time(timeout_ms))?;
        give_bytes(&payload, buf, buf_len)
    })
}

/// Makes a reader, with a position of its own, of everything that the program writes, from the
/// oldest packet that is kept. The handle is valid until memtun_subscriber_close, also after the
/// interface's handle is closed or the interface is gone.
#[no_mangle]
pub extern "C" fn memtun_subscriber_open(interface: *mut InterfaceHandle) -> *mut SubscriberHandle {
    handle(|| Ok(SubscriberHandle(interface_of(interface)?.subscribe())))
}

/// The same as memtun_interface_recv at the subscriber's own position. time_ns is the time at which
/// the packet was written, in nanoseconds since 1970. Both it and ethertype may be NULL.
#[no_mangle]
pub extern "C" fn memtun_subscriber_recv(
    subscriber: *mut SubscriberHandle,
    buf: *mut c_void,
    buf_len: size_t,
    ethertype: *mut u16,
    time_ns: *mut u64,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let packet = behind(subscriber)?.0.recv_within(time(timeout_ms))?;
        give(packet.ethertype, ethertype)?;
        give(packet.time_ns, time_ns)?;
        give_bytes(&packet.data, buf, buf_len)
    })
}

/// Closes a subscriber. NULL is allowed.
// Contract: `subscriber` comes from `memtun_subscriber_open` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_subscriber_close(subscriber: *mut SubscriberHandle) {
    // SAFETY: the caller's contract.
    unsafe { close(subscriber) }
}

/// Makes a reader, with a position of its own, of the UDP datagrams that the program sends to host
/// and port, from the oldest packet that is kept; host is as for memtun_interface_recv_udp. The
/// handle is valid until memtun_receiver_close, also after the interface's handle is closed or the
/// interface is gone.
#[no_mangle]
pub extern "C" fn memtun_receiver_open(
    interface: *mut InterfaceHandle,
    host: *const c_char,
    port: u16,
) -> *mut ReceiverHandle {
    handle(|| {
        let receiver = interface_of(interface)?.receive_udp(bound(host, port)?);
        Ok(ReceiverHandle(receiver))
    })
}

/// Takes the next datagram. Returns the length of its payload in bytes, which may be more than
/// buf_len (then it is cut). src_host, with room for src_host_len bytes (MEMTUN_HOST_LEN is enough
/// for any address), and src_port get the address that it came from, and may be NULL. The errors
/// are those of memtun_interface_recv.
#[no_mangle]
pub extern "C" fn memtun_receiver_recv(
    receiver: *mut ReceiverHandle,
    buf: *mut c_void,
    buf_len: size_t,
    src_host: *mut c_char,
    src_host_len: size_t,
    src_port: *mut u16,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let (payload, source) = behind(receiver)?.0.recv_from_within(time(timeout_ms))?;
        if !src_host.is_null() {
            give_text(source.ip().to_string(), src_host, src_host_len)?;
        }
        give(source.port(), src_port)?;
        give_bytes(&payload, buf, buf_len)
    })
}

/// Closes a receiver. NULL is allowed.
// Contract: `receiver` comes from `memtun_receiver_open` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_receiver_close(receiver: *mut ReceiverHandle) {
    // SAFETY: the caller's contract.
    unsafe { close(receiver) }
}
