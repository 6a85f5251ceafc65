//! What the program wrote.

use super::interface::{interface_of, InterfaceHandle};
use super::{behind, close, give, give_bytes, give_text, handle, host, length, time, Answer};
use libc::{c_char, c_int, c_void, size_t, ssize_t};
use memtun_core::{Subscriber, UdpReceiver};
use std::net::{Ipv6Addr, SocketAddr};

/// Reads everything that the program writes, with a place of its own.
pub struct SubscriberHandle(Subscriber);

/// Reads the datagrams to one address, with a place of its own.
pub struct ReceiverHandle(UdpReceiver);

fn bound(host_text: *const c_char, port: u16) -> Answer<SocketAddr> {
    if host_text.is_null() {
        return Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    }
    Ok(SocketAddr::new(host(host_text)?, port))
}

/// The next packet that the program wrote: its length in bytes, which may be more than buf_len (then it is
/// cut). ethertype may be NULL. Each handle sees every packet once. -EAGAIN: none in time. -ENOBUFS: this
/// handle was overtaken and lost packets, memtun_error_lost of them; the next call goes on in the middle of
/// what is kept. -ENODEV: the interface is gone, and all that it wrote has been received.
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

/// The next UDP datagram that the program sends to host and port: the length of its payload in bytes, which may
/// be more than buf_len (then it is cut). As for bind(2), host 0.0.0.0 is any IPv4 address, and :: any address,
/// as is NULL. Errors as memtun_interface_recv; the sentence of -EAGAIN says what was passed over, as for its
/// port or checksum.
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

/// A reader of its own of everything the program writes, from the oldest packet kept. The handle is valid
/// until memtun_subscriber_close, also when the interface's is closed or the interface is gone.
#[no_mangle]
pub extern "C" fn memtun_subscriber_open(interface: *mut InterfaceHandle) -> *mut SubscriberHandle {
    handle(|| Ok(SubscriberHandle(interface_of(interface)?.subscribe())))
}

/// As memtun_interface_recv, at the subscriber's own place. time_ns: when it was written, nanoseconds since
/// 1970. Both it and ethertype may be NULL.
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

/// Closes a subscriber. NULL is fine.
// Contract: `subscriber` comes from `memtun_subscriber_open` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_subscriber_close(subscriber: *mut SubscriberHandle) {
    // SAFETY: the caller's contract.
    unsafe { close(subscriber) }
}

/// A reader of its own of the UDP datagrams that the program sends to host and port, from the oldest packet
/// kept; hosts as for memtun_interface_recv_udp. The handle is valid until memtun_receiver_close, also when the
/// interface's is closed or the interface is gone.
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

/// The next datagram: the length of its payload in bytes, which may be more than buf_len (then it is cut).
/// src_host, with room for src_host_len bytes (MEMTUN_HOST_LEN is enough for any address), and src_port say
/// where it came from and may be NULL. Errors as memtun_interface_recv.
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

/// Closes a receiver. NULL is fine.
// Contract: `receiver` comes from `memtun_receiver_open` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn memtun_receiver_close(receiver: *mut ReceiverHandle) {
    // SAFETY: the caller's contract.
    unsafe { close(receiver) }
}
