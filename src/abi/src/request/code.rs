//! Numbers of requests from their parts, like the macros of asm-generic/ioctl.h.
#![forbid(unsafe_code)]

use super::CType;

const WRITE: u32 = 1;
const READ: u32 = 2;

/// `_IOC`: direction as the kernel's macro counts it, type, number, and size in bytes.
const fn ioc(direction: u32, kind: u8, nr: u8, size: usize) -> u32 {
    direction << 30 | (size as u32) << 16 | (kind as u32) << 8 | nr as u32
}

/// `_IO`: the request has no argument of a size. The numbers of requests on sockets are older than
/// the scheme, but fit it.
pub const fn io(kind: u8, nr: u8) -> u32 {
    ioc(0, kind, nr, 0)
}

/// `_IOW`: the program gives something to the kernel.
pub const fn iow(kind: u8, nr: u8, what: CType) -> u32 {
    ioc(WRITE, kind, nr, what.size)
}

/// `_IOR`: the program gets something from the kernel.
pub const fn ior(kind: u8, nr: u8, what: CType) -> u32 {
    ioc(READ, kind, nr, what.size)
}

/// `_IOWR`: the program gives and gets something.
pub const fn iowr(kind: u8, nr: u8, what: CType) -> u32 {
    ioc(READ | WRITE, kind, nr, what.size)
}

/// The type of requests on sockets.
pub const SOCK_IOC_TYPE: u8 = 0x89;

/// Number of a request on sockets about addresses, routes or interfaces.
pub const fn sock(nr: u8) -> u32 {
    io(SOCK_IOC_TYPE, nr)
}

/// `_IOC_TYPE`: the type byte of a request.
pub const fn kind(request: u32) -> u8 {
    (request >> 8) as u8
}
