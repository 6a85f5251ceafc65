//! recvmsg(2): a descriptor that arrives in SCM_RIGHTS may be a tunnel or a netlink socket.

use crate::real::{hooks, real};
use crate::table::is_netlink;
use crate::{errno, netlink, uaccess};
use libc::{c_int, c_uint, mmsghdr, msghdr, ssize_t, timespec};

/// Enters the tunnels among the descriptors of a received message into the table. (`extern "C"`
/// never unwinds: a hook's frame has nothing to clean up when the thread is cancelled in its call.)
extern "C" fn adopt(message: *const msghdr) {
    errno::keep(|| {
        // SAFETY: a message is a plain C struct, which the kernel has just filled.
        let Ok(header) = (unsafe { uaccess::read_used(message) }) else {
            return;
        };
        if header.msg_controllen < size_of::<libc::cmsghdr>() || header.msg_control.is_null() {
            return;
        }
        // SAFETY: the kernel filled the control buffer with well-formed headers of msg_controllen
        // bytes in all, and the CMSG macros stay within them.
        unsafe {
            let mut control = libc::CMSG_FIRSTHDR(&header);
            while !control.is_null() {
                if (*control).cmsg_level == libc::SOL_SOCKET
                    && (*control).cmsg_type == libc::SCM_RIGHTS
                {
                    let bytes = (*control).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                    let fds = libc::CMSG_DATA(control).cast::<c_int>();
                    for i in 0..bytes / size_of::<c_int>() {
                        crate::adopt::adopt(fds.add(i).read_unaligned());
                    }
                }
                control = libc::CMSG_NXTHDR(&header, control);
            }
        }
    });
}

/// What a receive has to know of a netlink socket; `Ok(None)` for any other descriptor.
#[inline(always)]
fn before(fd: c_int) -> Result<Option<i32>, netlink::Refused> {
    match is_netlink(fd) {
        true => netlink::before_receive(fd),
        false => Ok(None),
    }
}

hooks! {
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t => my_recvmsg {
        let Ok(state) = before(fd) else { return -1 };
        let room = if state.is_some() { netlink::room_of(message) } else { 0 };
        let n = real!(recvmsg(fd, message, flags));
        if n >= 0 {
            adopt(message);
            if let Some(state) = state { netlink::received_message(fd, state, message, room, n as usize); }
        }
        n
    }
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int => my_recvmmsg {
        let Ok(state) = before(fd) else { return -1 };
        let room = if state.is_some() && count > 0 {
            // SAFETY: only the address is taken. The room of the first message stands for all.
            netlink::room_of(unsafe { &raw const (*messages).msg_hdr })
        } else {
            0
        };
        let n = real!(recvmmsg(fd, messages, count, flags, timeout));
        for i in 0..n.max(0) as usize {
            // SAFETY: the kernel filled `n` elements of the caller's array.
            let message = unsafe { &*messages.add(i) };
            adopt(&message.msg_hdr);
            if let Some(state) = state {
                netlink::received_message(fd, state, &message.msg_hdr, room, message.msg_len as usize);
            }
        }
        n
    }
    fn pidfd_getfd(process: c_int, fd: c_int, flags: c_uint) -> c_int => my_pidfd_getfd {
        let new = real!(pidfd_getfd(process, fd, flags));
        if new >= 0 {
            errno::keep(|| crate::adopt::adopt(new));
        }
        new
    }
}
