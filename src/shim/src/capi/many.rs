//! Many packets in one call, in both directions.

use super::interface::{interface_of, sending, source, InterfaceHandle};
use super::receive::{ReceiverHandle, SubscriberHandle};
use super::{address, bad_memory, behind, give, length, status, time, Answer};
use crate::uaccess;
use libc::{c_char, c_int, c_void, iovec, size_t, ssize_t};
use memtun_abi::Errno;
use memtun_core::{Error, Interface, Sending, Shown};
use std::net::SocketAddr;

const HOST_LEN: usize = super::MEMTUN_HOST_LEN;

/// A packet that was received with others into one buffer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PacketInBuffer {
    /// Where in the buffer the packet begins, in bytes.
    offset: size_t,
    /// Length of the packet in bytes. Only the first packet of a call can be longer than what is in
    /// the buffer of it: then it is cut.
    len: size_t,
    /// When the program wrote it, in nanoseconds since 1970.
    time_ns: u64,
    /// Its ethertype in host byte order.
    ethertype: u16,
}

/// A datagram that was received with others into one buffer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DatagramInBuffer {
    /// Where in the buffer the payload begins, in bytes.
    offset: size_t,
    /// Length of the payload in bytes. Only the first datagram of a call can be longer than what is
    /// in the buffer of it: then it is cut.
    len: size_t,
    /// Source port, in host byte order.
    src_port: u16,
    /// Source address as text, with its NUL.
    src_host: [c_char; 64],
}

/// Puts count packets into the program's read queue, in their order, each as
/// memtun_interface_inject does. It costs less than as many calls: a queue's lock is taken once for
/// up to 32 packets. The time is for all of them together. done, which may be NULL, gets how many
/// were put: all of them when 0 is returned; else the error is that of the packet behind them, and
/// no packet behind that one was looked at.
// Contract: `frames` points to `count` elements, each of which points to as many readable bytes as
// it says.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_inject_many(
    interface: *mut InterfaceHandle,
    frames: *const iovec,
    count: size_t,
    ethertype: u16,
    done: *mut size_t,
    timeout_ms: c_int,
) -> c_int {
    let how = sending(ethertype, timeout_ms);
    // SAFETY: the caller's contract.
    unsafe {
        put(interface, frames, count, done, |interface, frames| {
            interface.inject_many_with(frames, how)
        })
    }
}

/// The same as memtun_interface_inject_many for one turn of a longer wait: see
/// memtun_interface_offer.
// Contract: that of `memtun_interface_inject_many`.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_offer_many(
    interface: *mut InterfaceHandle,
    frames: *const iovec,
    count: size_t,
    ethertype: u16,
    done: *mut size_t,
    timeout_ms: c_int,
) -> c_int {
    let how = sending(ethertype, timeout_ms);
    // SAFETY: the caller's contract.
    unsafe {
        put(interface, frames, count, done, |interface, frames| {
            interface.offer_many(frames, how)
        })
    }
}

/// Sends count UDP datagrams to one address of the program's, each as memtun_interface_send_udp
/// does. Where one of them is too long (-EINVAL), none is sent. Otherwise this is as
/// memtun_interface_inject_many.
// Contract: that of `memtun_interface_inject_many`.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_send_udp_many(
    interface: *mut InterfaceHandle,
    src_host: *const c_char,
    src_port: u16,
    dst_host: *const c_char,
    dst_port: u16,
    datagrams: *const iovec,
    count: size_t,
    done: *mut size_t,
    timeout_ms: c_int,
) -> c_int {
    let ends = || ends(src_host, src_port, dst_host, dst_port, timeout_ms);
    // SAFETY: the caller's contract.
    unsafe {
        put(interface, datagrams, count, done, |interface, datagrams| {
            let (to, how) = ends()?;
            interface.send_udp_many_with(datagrams, to, how).map(|_| ())
        })
    }
}

/// The same as memtun_interface_send_udp_many for one turn of a longer wait: see
/// memtun_interface_offer.
// Contract: that of `memtun_interface_inject_many`.
#[no_mangle]
pub unsafe extern "C" fn memtun_interface_offer_udp_many(
    interface: *mut InterfaceHandle,
    src_host: *const c_char,
    src_port: u16,
    dst_host: *const c_char,
    dst_port: u16,
    datagrams: *const iovec,
    count: size_t,
    done: *mut size_t,
    timeout_ms: c_int,
) -> c_int {
    let ends = || ends(src_host, src_port, dst_host, dst_port, timeout_ms);
    // SAFETY: the caller's contract.
    unsafe {
        put(interface, datagrams, count, done, |interface, datagrams| {
            let (to, how) = ends()?;
            interface.offer_udp_many(datagrams, to, how)
        })
    }
}

/// Waits for the next packet that the program wrote, and takes it with those behind it that are
/// there already: up to packets_len packets, as many as have room in buf, where they stand one
/// behind the other. Returns how many they are, and packets says of each where it is. It waits for
/// none but the first. Where there is no packet before an error, the errors are those of
/// memtun_interface_recv; else the next call has it.
#[no_mangle]
pub extern "C" fn memtun_interface_recv_many(
    interface: *mut InterfaceHandle,
    buf: *mut c_void,
    buf_len: size_t,
    packets: *mut PacketInBuffer,
    packets_len: size_t,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let interface = interface_of(interface)?;
        let mut room = Room::new(buf, buf_len, packets);
        let taken = interface.take_many(packets_len, time(timeout_ms), |shown| room.packet(shown));
        room.end(taken)
    })
}

/// The same as memtun_interface_recv_many at the subscriber's own position.
#[no_mangle]
pub extern "C" fn memtun_subscriber_recv_many(
    subscriber: *mut SubscriberHandle,
    buf: *mut c_void,
    buf_len: size_t,
    packets: *mut PacketInBuffer,
    packets_len: size_t,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let subscriber = &behind(subscriber)?.0;
        let mut room = Room::new(buf, buf_len, packets);
        let taken = subscriber.take_many(packets_len, time(timeout_ms), |shown| room.packet(shown));
        room.end(taken)
    })
}

/// Waits for the next datagram, and takes it with those behind it that are there already: up to
/// datagrams_len of them, as many as have room in buf, where their payloads stand one behind the
/// other. In everything else this is as memtun_interface_recv_many.
#[no_mangle]
pub extern "C" fn memtun_receiver_recv_many(
    receiver: *mut ReceiverHandle,
    buf: *mut c_void,
    buf_len: size_t,
    datagrams: *mut DatagramInBuffer,
    datagrams_len: size_t,
    timeout_ms: c_int,
) -> ssize_t {
    length(|| {
        let receiver = &behind(receiver)?.0;
        let mut room = Room::new(buf, buf_len, datagrams);
        let taken = receiver.take_many(datagrams_len, time(timeout_ms), |payload, source| {
            room.datagram(payload, source)
        });
        room.end(taken)
    })
}

/// Hands a caller's packets to `put`, and stores how many of them were put.
///
/// # Safety
/// The same as of [`all`].
unsafe fn put(
    interface: *mut InterfaceHandle,
    list: *const iovec,
    count: size_t,
    done: *mut size_t,
    put: impl FnOnce(&Interface, &[Part]) -> Answer<()>,
) -> c_int {
    let ours = || {
        // SAFETY: the caller's contract.
        let parts = unsafe { all(list, count) }?;
        put(interface_of(interface)?, parts)
    };
    status(|| {
        let answer = ours();
        give(answer.as_ref().map_or_else(Error::done, |()| count), done)?;
        answer
    })
}

/// Where a caller's datagrams go, and from where.
fn ends(
    src_host: *const c_char,
    src_port: u16,
    dst_host: *const c_char,
    dst_port: u16,
    timeout_ms: c_int,
) -> Answer<(SocketAddr, Sending)> {
    let to = address(dst_host, dst_port)?;
    let from = source(to, src_host, src_port)?;
    Ok((to, Sending::new().source(from).within(time(timeout_ms))))
}

/// One of the packets that a caller gave. It is made by [`all`] alone.
#[repr(transparent)]
struct Part(iovec);

impl AsRef<[u8]> for Part {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self.0.iov_len {
            0 => &[],
            // SAFETY: as many bytes can be read there, which the caller of `all` promised.
            len => unsafe { std::slice::from_raw_parts(self.0.iov_base.cast(), len) },
        }
    }
}

/// The packets that a caller gave.
///
/// # Safety
/// `list` points to `count` elements, each of which points to as many readable bytes as it says, as
/// memtun.h demands, or is NULL with `count` 0.
unsafe fn all<'a>(list: *const iovec, count: size_t) -> Answer<&'a [Part]> {
    let parts: &[Part] = match (list.is_null(), count) {
        (_, 0) => &[],
        (true, _) => return Err(bad_memory(Errno(libc::EFAULT))),
        // SAFETY: the caller's contract; a part is an element of such an array and nothing else.
        _ => unsafe { std::slice::from_raw_parts(list.cast(), count) },
    };
    let nowhere = |part: &Part| part.0.iov_base.is_null() && part.0.iov_len > 0;
    match parts.iter().any(nowhere) {
        true => Err(bad_memory(Errno(libc::EFAULT))),
        false => Ok(parts),
    }
}

/// A caller's buffer for many packets, and its array of what is said about them.
struct Room<T> {
    buf: usize,
    len: usize,
    used: usize,
    records: *mut T,
    count: usize,
    failed: Option<Error>,
}

impl<T: Copy> Room<T> {
    fn new(buf: *mut c_void, len: size_t, records: *mut T) -> Self {
        Room {
            buf: buf as usize,
            len,
            used: 0,
            records,
            count: 0,
            failed: None,
        }
    }

    /// Copies a packet into the buffer, and stores the record of where it begins. Returns whether
    /// there was room; the first packet is cut to it.
    fn put(&mut self, data: &[u8], record: impl FnOnce(usize) -> T) -> bool {
        let left = self.len - self.used;
        if self.count > 0 && data.len() > left {
            return false;
        }
        let kept = &data[..data.len().min(left)];
        let to = self.records.wrapping_add(self.count);
        let put = uaccess::copy_out(self.buf + self.used, kept)
            .and_then(|()| uaccess::write(to, &record(self.used)));
        if let Err(e) = put {
            self.failed = Some(bad_memory(e));
            return false;
        }
        self.used += kept.len();
        self.count += 1;
        true
    }

    /// Says how many packets were taken, or why there is none.
    fn end(self, taken: Answer<usize>) -> Answer<usize> {
        match (taken?, self.failed) {
            (0, Some(e)) => Err(e),
            (taken, _) => Ok(taken),
        }
    }
}

impl Room<PacketInBuffer> {
    fn packet(&mut self, shown: Shown<'_>) -> bool {
        self.put(shown.data, |offset| PacketInBuffer {
            offset,
            len: shown.data.len(),
            time_ns: shown.time_ns,
            ethertype: shown.ethertype,
        })
    }
}

impl Room<DatagramInBuffer> {
    fn datagram(&mut self, payload: &[u8], source: SocketAddr) -> bool {
        let mut src_host = [0; HOST_LEN];
        let text = source.ip().to_string();
        for (to, from) in src_host.iter_mut().zip(text.bytes().take(HOST_LEN - 1)) {
            *to = from as c_char;
        }
        self.put(payload, |offset| DatagramInBuffer {
            offset,
            len: payload.len(),
            src_port: source.port(),
            src_host,
        })
    }
}
