//! What a call that sends a datagram is given.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use crate::errno;
use crate::uaccess::{self, OwnMemory};
use libc::{c_int, c_void, iovec, msghdr, sockaddr, socklen_t};
use memtun_calls::buffer::Vector;
use memtun_kernel::tun::Source;

/// The bytes of a call that sends.
#[derive(Clone, Copy)]
pub enum Data {
    /// One buffer.
    Buffer(*const c_void, usize),
    /// The buffers of an array.
    Vector(*const iovec, usize),
}

/// Where a datagram goes, and what the program says with it.
#[derive(Clone, Copy)]
pub struct To {
    /// The name, or NULL.
    pub name: *const sockaddr,
    /// Its length.
    pub length: socklen_t,
    /// The control messages.
    pub control: *const c_void,
    /// Their length.
    pub control_length: usize,
}

impl To {
    /// A destination without control messages.
    pub fn new(name: *const sockaddr, length: socklen_t) -> To {
        To {
            name,
            length,
            control: std::ptr::null(),
            control_length: 0,
        }
    }
}

/// Returns how many bytes a message of the program's has, 0 where it cannot be read.
#[cold]
#[inline(never)]
pub extern "C" fn length_of(message: *const msghdr) -> usize {
    let Some((Data::Vector(array, count), _)) = parts_of(message) else {
        return 0;
    };
    let vector = errno::fence(|| Vector::new(OwnMemory, array as usize, count as c_int));
    vector.map_or(0, |vector| Source::len(&vector))
}

/// Most buffers of a message (UIO_MAXIOV).
const MOST_PARTS: usize = 1024;

/// Returns what a message of the program's says, `struct msghdr`; `None` where it cannot be read or
/// has too many parts.
#[cold]
#[inline(never)]
pub extern "C" fn parts_of(message: *const msghdr) -> Option<(Data, To)> {
    // SAFETY: a message is a plain C struct.
    let message = errno::keep(|| unsafe { uaccess::read(message) }).ok()?;
    // The kernel has an errno of its own for that.
    if message.msg_iovlen > MOST_PARTS {
        return None;
    }
    let to = To {
        name: message.msg_name.cast(),
        length: message.msg_namelen,
        control: message.msg_control,
        control_length: message.msg_controllen,
    };
    Some((Data::Vector(message.msg_iov, message.msg_iovlen), to))
}
