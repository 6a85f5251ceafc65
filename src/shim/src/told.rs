//! Elements of error queues, as programs receive them.

use crate::errno;
use crate::uaccess::{self, OwnMemory};
use libc::{c_uint, c_void, iovec, msghdr, sockaddr, socklen_t, ssize_t};
use memtun_abi::Errno;
use memtun_calls::ancillary::append;
use memtun_calls::Memory;
use memtun_stack::sockets::Report;
use memtun_sys::inet::SocketName;
use std::net::{IpAddr, SocketAddr};

/// An element of an error queue, as a program receives it.
pub struct Told<'t> {
    /// What has happened.
    pub report: &'t Report,
    /// Whom the packet was for.
    pub to: SocketAddr,
    /// What came back of it.
    pub payload: &'t [u8],
    /// Is the socket one of AF_INET6?
    pub is_v6: bool,
}

/// recvfrom(2) by a call of recvmsg(2).
pub fn in_bytes(
    (buf, n): (*mut c_void, usize),
    name: *mut sockaddr,
    length: *mut socklen_t,
    receive: impl FnOnce(*mut msghdr) -> Option<ssize_t>,
) -> Option<ssize_t> {
    let mut buffer = iovec {
        iov_base: buf,
        iov_len: n,
    };
    // SAFETY: a msghdr consists of numbers and pointers, for which zero is valid.
    let mut message: msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut buffer;
    message.msg_iovlen = 1;
    message.msg_name = name.cast();
    message.msg_namelen = crate::netlink::room(length) as socklen_t;
    let received = receive(&raw mut message);
    if received.is_some_and(|n| n >= 0) && !name.is_null() {
        errno::keep(|| uaccess::write(length, &message.msg_namelen).ok());
    }
    received
}

impl Told<'_> {
    /// Stores it in the program's message. `before` stores the control messages that stand in front
    /// of that of the error: it gets where they are, how many bytes are used and how many there
    /// are, and returns how many are used then, and whether there were too few. Returns what
    /// recvmsg(2) returns.
    pub fn give(
        &self,
        message: *mut msghdr,
        before: impl FnOnce((usize, usize, usize)) -> Result<(usize, bool), Errno>,
    ) -> Result<usize, Errno> {
        // SAFETY: a message is a plain C struct.
        let mut given = unsafe { uaccess::read(message.cast_const()) }?;
        let mut flags = libc::MSG_ERRQUEUE;
        let mut done = 0;
        for at in 0..given.msg_iovlen {
            // SAFETY: an iovec is two plain numbers.
            let buffer: iovec =
                unsafe { uaccess::read(given.msg_iov.wrapping_add(at).cast_const()) }?;
            let some = buffer.iov_len.min(self.payload.len() - done);
            OwnMemory.write(buffer.iov_base as usize, &self.payload[done..done + some])?;
            done += some;
        }
        if done < self.payload.len() {
            flags |= libc::MSG_TRUNC;
        }
        if !given.msg_name.is_null() {
            let to = match self.to {
                SocketAddr::V4(v4) if self.is_v6 => {
                    SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
                }
                to => to,
            };
            let name = SocketName::new(&to);
            let some = &name.bytes()[..name.bytes().len().min(given.msg_namelen as usize)];
            OwnMemory.write(given.msg_name as usize, some)?;
            given.msg_namelen = name.bytes().len() as c_uint;
        }
        let (at, room) = (given.msg_control as usize, given.msg_controllen);
        let (used, cut) = before((at, 0, room))?;
        let v4 = self.to.is_ipv4();
        let error = extended(self.report, v4);
        let error = &error[..16 + if v4 { 16 } else { 28 }];
        let of = match v4 {
            true => (libc::IPPROTO_IP, libc::IP_RECVERR),
            false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        };
        let (used, cut_too) = append(&OwnMemory, of, error, (at, used, room))?;
        if cut || cut_too {
            flags |= libc::MSG_CTRUNC;
        }
        given.msg_controllen = used;
        given.msg_flags = flags;
        uaccess::write(message, &given)?;
        Ok(done)
    }
}

/// `struct sock_extended_err`, and who has sent the error; nobody if this host has found it out.
fn extended(report: &Report, v4: bool) -> [u8; 44] {
    let mut bytes = [0; 44];
    bytes[..4].copy_from_slice(&report.errno.to_ne_bytes());
    bytes[4..7].copy_from_slice(&[report.origin, report.kind, report.code]);
    bytes[8..12].copy_from_slice(&report.info.to_ne_bytes());
    if report.is_local() {
        return bytes;
    }
    let offender = match report.offender {
        IpAddr::V6(v6) => {
            let scope = if v6.is_unicast_link_local() {
                report.scope
            } else {
                0
            };
            std::net::SocketAddrV6::new(v6, 0, 0, scope).into()
        }
        v4 => SocketAddr::new(v4, 0),
    };
    let name = SocketName::new(&offender);
    let some = name.bytes().len().min(if v4 { 16 } else { 28 });
    bytes[16..16 + some].copy_from_slice(&name.bytes()[..some]);
    bytes
}
