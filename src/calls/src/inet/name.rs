//! Names of sockets in the program's memory: `struct sockaddr_in` and `struct sockaddr_in6`.
#![forbid(unsafe_code)]

use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_sys::inet::SocketName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Longest name that the kernel takes, in bytes: `struct sockaddr_storage`.
const LONGEST: usize = 128;

/// Reads a name of `length` bytes. None leaves it to the machine's kernel: it is no name of
/// AF_INET or AF_INET6, or cannot be read.
pub fn read(memory: &impl Memory, at: usize, length: usize) -> Option<SocketAddr> {
    if at == 0 || length > LONGEST {
        return None;
    }
    let mut bytes = [0; SocketName::LONGEST];
    let some = length.min(bytes.len());
    memory.read(at, &mut bytes[..some]).ok()?;
    SocketName::of_bytes(&bytes[..some])?.address()
}

/// Reads a name that is given to bind(2): one of no family that stands for any address is one of
/// AF_INET (`__inet_bind`).
pub fn read_own(memory: &impl Memory, at: usize, length: usize) -> Option<SocketAddr> {
    const OF_V4: usize = 16;
    let mut bytes = [0; OF_V4];
    if let Some(name) = read(memory, at, length) {
        return Some(name);
    }
    if at == 0 || !(OF_V4..=LONGEST).contains(&length) {
        return None;
    }
    memory.read(at, &mut bytes).ok()?;
    let (family, port) = (&bytes[..2], u16::from_be_bytes([bytes[2], bytes[3]]));
    let is_any = family == [0, 0] && bytes[4..8] == [0; 4];
    is_any.then(|| (Ipv4Addr::UNSPECIFIED, port).into())
}

/// Stores a name where the kernel has stored another one, into `room` bytes, and its length.
///
/// # Errors
///
/// EFAULT where that cannot be written.
pub fn write(
    memory: &impl Memory,
    name: &SocketAddr,
    at: usize,
    room: usize,
    length: usize,
) -> Result<(), Errno> {
    let name = SocketName::new(name);
    let bytes = name.bytes();
    memory.write(at, &bytes[..bytes.len().min(room)])?;
    memory.write(length, &(bytes.len() as u32).to_ne_bytes())
}

/// Is it an address of the machine's loopback, which no net has?
pub fn is_loopback(name: &SocketAddr) -> bool {
    match name.ip() {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.is_loopback(),
            None => v6.is_loopback(),
        },
    }
}

/// Does it stand for any address?
pub fn is_any(name: &SocketAddr) -> bool {
    match name.ip() {
        IpAddr::V4(v4) => v4.is_unspecified(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.is_unspecified(),
            None => v6.is_unspecified(),
        },
    }
}

/// Returns the name of who speaks by an alias that stands for any address: on the machine's
/// loopback that is one of the loopback's.
pub fn of_loopback(name: SocketAddr) -> SocketAddr {
    match name {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        name => name,
    }
}

/// Can a socket of this family be given the name?
pub fn is_for(family: i32, name: &SocketAddr) -> bool {
    name.is_ipv4() || family == libc::AF_INET6
}

/// Returns a name as a socket of this family has it: one of AF_INET6 has IPv4 addresses mapped into
/// IPv6, also where one stands for any.
pub fn of_family(family: i32, name: SocketAddr) -> SocketAddr {
    match name {
        SocketAddr::V4(v4) if family == libc::AF_INET6 => {
            SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
        }
        name => name,
    }
}

/// Returns the family of a name.
pub fn family_of(native: &SocketAddr) -> i32 {
    match native {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    }
}
