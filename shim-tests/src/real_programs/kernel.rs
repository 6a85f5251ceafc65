//! The driver's side on the kernel's own tun driver: a packet socket that is bound to the
//! interface.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{wire, End, SOON};

pub struct KernelEnd {
    name: String,
    socket: OwnedFd,
    index: i32,
    ethernet: bool,
}

/// Turns off addresses and router solicitations, so that the only packets are the test's.
pub fn quiet_namespace() {
    for scope in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
        std::fs::write(&path, "1")
            .unwrap_or_else(|e| panic!("{path}: {e}: run this inside `unshare -Urn`"));
    }
    ip(&["link", "set", "lo", "up"]);
}

fn ip(args: &[&str]) {
    let status = Command::new("ip").args(args).status();
    assert!(
        status.as_ref().is_ok_and(|status| status.success()),
        "ip {args:?}: {status:?}"
    );
}

impl KernelEnd {
    pub fn wait(name: &str) -> Result<Self, String> {
        let index = wait_for_index(name).ok_or(format!("interface {name} did not appear"))?;
        ip(&["link", "set", name, "up"]);
        let socket = packet_socket(index).map_err(|e| format!("packet socket: {e}"))?;
        let ethernet = hardware_type(&socket) == libc::ARPHRD_ETHER;
        Ok(Self {
            name: name.to_owned(),
            socket,
            index,
            ethernet,
        })
    }
}

fn wait_for_index(name: &str) -> Option<i32> {
    let c_name = CString::new(name).ok()?;
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        // SAFETY: the string is NUL-terminated and lives across the call.
        let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
        if index != 0 {
            return i32::try_from(index).ok();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn packet_socket(index: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    let fd = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            i32::from(big_endian(libc::ETH_P_ALL as u16)),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: this function just made the descriptor, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = address(index, libc::ETH_P_ALL as u16);
    // SAFETY: the address is a complete sockaddr_ll and its size is given.
    let rc = unsafe {
        libc::bind(
            fd,
            std::ptr::addr_of!(address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn hardware_type(socket: &OwnedFd) -> u16 {
    let mut bound = address(0, 0);
    let mut len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is as long as the length says, and both live across the call.
    unsafe {
        libc::getsockname(
            socket.as_raw_fd(),
            std::ptr::addr_of_mut!(bound).cast(),
            &mut len,
        )
    };
    bound.sll_hatype
}

const fn big_endian(value: u16) -> u16 {
    value.to_be()
}

fn address(index: i32, ethertype: u16) -> libc::sockaddr_ll {
    // SAFETY: sockaddr_ll is plain integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = big_endian(ethertype);
    address.sll_ifindex = index;
    address
}

impl End for KernelEnd {
    fn set_link(&self, up: bool) {
        ip(&["link", "set", &self.name, if up { "up" } else { "down" }]);
    }

    fn put(&self, packet: &[u8]) {
        let ethertype = if self.ethernet {
            u16::from_be_bytes([packet[12], packet[13]])
        } else {
            wire::ethertype_of_ip(packet)
        };
        let address = address(self.index, ethertype);
        // SAFETY: both pointers are valid for the lengths given beside them.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                std::ptr::addr_of!(address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        assert_eq!(
            sent,
            packet.len() as isize,
            "{}",
            io::Error::last_os_error()
        );
    }

    fn take(&self, timeout: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + timeout;
        let mut buffer = vec![0u8; 65536];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut poll = libc::pollfd {
                fd: self.socket.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one pollfd, and one is what the call is told.
            if unsafe { libc::poll(&mut poll, 1, left.as_millis() as i32) } <= 0 {
                return None;
            }
            let mut from = address(0, 0);
            let mut from_len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            // SAFETY: the buffer and the address are valid for the lengths given beside them.
            let len = unsafe {
                libc::recvfrom(
                    self.socket.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    std::ptr::addr_of_mut!(from).cast(),
                    &mut from_len,
                )
            };
            // Packet sockets also see what this end has sent.
            if len >= 0 && from.sll_pkttype != libc::PACKET_OUTGOING {
                buffer.truncate(len as usize);
                return Some(buffer);
            }
        }
    }
}
