//! Reading and writing.
//!
//! The functions that a hook calls here are `extern "C"`: such a function never unwinds into its
//! caller, so no frame between the program and the blocking read has anything to clean up.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::cancel::deferred;
use super::{receive, send};
use crate::concern;
use crate::errno;
use crate::foreign::or_host;
use crate::inet::calls::{look, moved, moving, sent};
use crate::inet::is_active;
use crate::inet::parts::{Data, To};
use crate::netlink;
use crate::ops::{self, Attempt, Waited};
use crate::real::{hooks, real};
use crate::table::{
    is_datagrams, is_netlink, is_ours, is_tunnel, whose, whose_above, Found, Whose,
};
use crate::uaccess::{GuardedMemory, OwnMemory};
use crate::view;
use libc::{c_int, c_void, iovec, off64_t, off_t, size_t, ssize_t};
use memtun_abi::Errno;
use memtun_calls::buffer::{Buffer, Vector};
use memtun_calls::control;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

/// A read that may block. The wait itself is libc's read(2) of one byte into memory that cannot be
/// written: the kernel blocks as it should (EINTR, SA_RESTART, O_NONBLOCK, cancellation) and takes
/// nothing out of the bell. It is made in this macro, where no frame of this library has anything
/// to clean up, so that cancelling the thread can unwind through it.
macro_rules! blocking_read {
    ($fd:expr, $sink:expr) => {{
        let mut attempt = first_attempt($fd, true, $sink);
        loop {
            match attempt {
                Step::Return(value) => break value,
                Step::Wait(waiting) => {
                    // SAFETY: the page is ours, and the kernel finds that it cannot store there.
                    let answer = unsafe { (read.real())($fd, GUARD.load(Relaxed), 1) };
                    attempt = next_attempt($fd, waiting, answer, $sink);
                }
            }
        }
    }};
}

/// What the loop of a read does next.
enum Step {
    Return(ssize_t),
    Wait(ops::Waiting),
}

static GUARD: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Maps the page that waiting reads point to. It is called once, in the constructor.
pub fn init() {
    if let Ok(page) = memtun_sys::unwritable_page() {
        GUARD.store(page as *mut c_void, Relaxed);
    }
}

/// The destination of a read: a buffer or a vector.
#[derive(Clone, Copy)]
enum Into {
    Buffer(*mut c_void, size_t),
    Vector(*const iovec, c_int),
}

impl From<Attempt> for Step {
    fn from(attempt: Attempt) -> Step {
        match attempt {
            Attempt::Done(answer) => Step::Return(errno::give(answer)),
            Attempt::Wait(waiting) => Step::Wait(waiting),
        }
    }
}

#[inline(never)]
extern "C" fn first_attempt(fd: c_int, waits: bool, sink: Into) -> Step {
    match sink {
        Into::Buffer(at, len) => {
            ops::try_read(fd, waits, Buffer::new(OwnMemory, at as usize, len)).into()
        }
        Into::Vector(array, count) => {
            ops::try_read(fd, waits, Vector::new(OwnMemory, array as usize, count)).into()
        }
    }
}

#[inline(never)]
extern "C" fn next_attempt(fd: c_int, waiting: ops::Waiting, answer: ssize_t, sink: Into) -> Step {
    let waited = match errno::get() {
        _ if answer >= 0 => {
            errno::set(libc::EBADF);
            Waited::Oddly
        }
        libc::EFAULT => Waited::Rang,
        libc::EINTR | libc::EAGAIN => Waited::Failed,
        _ => Waited::Oddly,
    };
    match sink {
        Into::Buffer(at, len) => ops::after_wait(
            fd,
            waiting,
            waited,
            Buffer::new(OwnMemory, at as usize, len),
        )
        .into(),
        Into::Vector(array, count) => ops::after_wait(
            fd,
            waiting,
            waited,
            Vector::new(OwnMemory, array as usize, count),
        )
        .into(),
    }
}

/// A plain read from a tunnel.
#[inline(never)]
pub extern "C" fn read_buffer(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
    blocking_read!(fd, Into::Buffer(buf, n))
}

#[inline(never)]
extern "C" fn read_vector(fd: c_int, array: *const iovec, count: c_int) -> ssize_t {
    match total(array, count) {
        Some(0) => ops::nothing(fd, libc::O_WRONLY),
        _ => blocking_read!(fd, Into::Vector(array, count)),
    }
}

/// A plain write to a tunnel.
#[inline(never)]
pub extern "C" fn write_buffer(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t {
    ops::write(fd, Buffer::new(OwnMemory, buf as usize, n))
}

#[inline(never)]
extern "C" fn write_vector(fd: c_int, array: *const iovec, count: c_int) -> ssize_t {
    match total(array, count) {
        Some(0) => ops::nothing(fd, libc::O_RDONLY),
        _ => ops::write(fd, Vector::new(OwnMemory, array as usize, count)),
    }
}

extern "C" fn total(array: *const iovec, count: c_int) -> Option<usize> {
    errno::fence(|| Vector::new(OwnMemory, array as usize, count))
        .ok()
        .map(|v| memtun_kernel::tun::Source::len(&v))
}

extern "C" fn bad_offset(offset: off64_t) -> Option<ssize_t> {
    refused(control::check_offset(offset))
}

extern "C" fn bad_offset_of_two(offset: off64_t) -> Option<ssize_t> {
    refused(control::check_offset_or_own(offset))
}

/// The answer where these flags are refused, which the kernel finds only behind the access mode.
extern "C" fn bad_flags(fd: c_int, forbidden: c_int, flags: c_int) -> Option<ssize_t> {
    let flags = control::check_flags(flags).err()?;
    let by_mode = ops::nothing(fd, forbidden);
    Some(match by_mode {
        0 => errno::give::<isize>(Err(flags)),
        refused => refused,
    })
}

fn refused(check: Result<(), Errno>) -> Option<ssize_t> {
    check.err().map(|e| errno::give::<isize>(Err(e)))
}

/// preadv2 with RWF_NOWAIT, which never blocks.
extern "C" fn read_now(fd: c_int, array: *const iovec, count: c_int) -> ssize_t {
    match first_attempt(fd, false, Into::Vector(array, count)) {
        Step::Return(value) => value,
        Step::Wait(waiting) => {
            errno::set(libc::EAGAIN);
            match ops::after_wait(
                fd,
                waiting,
                Waited::Failed,
                Vector::new(OwnMemory, array as usize, count),
            )
            .into()
            {
                Step::Return(value) => value,
                Step::Wait(_) => -1,
            }
        }
    }
}

#[inline(never)]
extern "C" fn read_vector_2(
    fd: c_int,
    array: *const iovec,
    count: c_int,
    offset: off64_t,
    flags: c_int,
) -> ssize_t {
    if let Some(refused) = bad_offset_of_two(offset) {
        return refused;
    }
    match total(array, count) {
        None | Some(0) => return read_vector(fd, array, count),
        Some(_) => {}
    }
    match bad_flags(fd, libc::O_WRONLY, flags) {
        Some(refused) => refused,
        None if flags & libc::RWF_NOWAIT != 0 => read_now(fd, array, count),
        None => read_vector(fd, array, count),
    }
}

#[inline(never)]
extern "C" fn write_vector_2(
    fd: c_int,
    array: *const iovec,
    count: c_int,
    offset: off64_t,
    flags: c_int,
) -> ssize_t {
    if let Some(refused) = bad_offset_of_two(offset) {
        return refused;
    }
    match total(array, count) {
        None | Some(0) => return write_vector(fd, array, count),
        Some(_) => {}
    }
    match bad_flags(fd, libc::O_RDONLY, flags) {
        Some(refused) => refused,
        None => write_vector(fd, array, count),
    }
}

#[inline(never)]
extern "C" fn read_at(fd: c_int, buf: *mut c_void, n: size_t, offset: off64_t) -> ssize_t {
    match bad_offset(offset) {
        Some(refused) => refused,
        None => read_buffer(fd, buf, n),
    }
}

#[inline(never)]
extern "C" fn write_at(fd: c_int, buf: *const c_void, n: size_t, offset: off64_t) -> ssize_t {
    match bad_offset(offset) {
        Some(refused) => refused,
        None => write_buffer(fd, buf, n),
    }
}

#[inline(never)]
extern "C" fn read_vector_at(
    fd: c_int,
    array: *const iovec,
    count: c_int,
    offset: off64_t,
) -> ssize_t {
    match bad_offset(offset) {
        Some(refused) => refused,
        None => read_vector(fd, array, count),
    }
}

#[inline(never)]
extern "C" fn write_vector_at(
    fd: c_int,
    array: *const iovec,
    count: c_int,
    offset: off64_t,
) -> ssize_t {
    match bad_offset(offset) {
        Some(refused) => refused,
        None => write_vector(fd, array, count),
    }
}

/// lseek(2) on a tunnel or a descriptor of the view.
#[cold]
#[inline(never)]
fn seek(fd: c_int, offset: off64_t, whence: c_int, host: impl FnOnce() -> off64_t) -> off64_t {
    match view::seek(fd, offset, whence) {
        None => host(),
        Some(answer) => errno::give(answer) as off64_t,
    }
}

/// Number of bytes that eventfd_read and eventfd_write transfer.
const WORD: size_t = size_of::<u64>();

fn whole(n: ssize_t) -> c_int {
    if n == WORD as ssize_t {
        0
    } else {
        -1
    }
}

// These are functions apart from the hooks, which then need no stack for them in a call that is not
// on a tunnel.

/// The answer of [`read_at_once`] that says nothing but that [`late_read`] is to be asked.
const ASK_LATER: ssize_t = -2;

// A thread may be cancelled in what this calls, so nothing here has anything to clean up, and
// `read_at_once`, which has, is a function of its own.
#[inline(never)]
extern "C" fn tunnel_read(fd: c_int, buf: *mut c_void, n: size_t, found: Found) -> ssize_t {
    match read_at_once(fd, buf, n, found) {
        n @ 0.. => n,
        ASK_LATER => late_read(fd, buf, n),
        _ => refused_read(fd, buf, n),
    }
}

/// A read of a packet that lies there; -1 where it has failed.
#[inline(never)]
extern "C" fn read_at_once(fd: c_int, buf: *mut c_void, n: size_t, found: Found) -> ssize_t {
    GuardedMemory::if_plain()
        .and_then(|memory| Buffer::at_once(memory, buf as usize, n))
        .and_then(|sink| ops::read_at_once(fd, found, sink))
        .unwrap_or(ASK_LATER)
}

/// The answer of a read that has failed.
#[cold]
#[inline(never)]
extern "C" fn refused_read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
    or_host(-1, || real!(read(fd, buf, n)))
}

/// A read from a tunnel that may wait or fail.
#[inline(never)]
extern "C" fn late_read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
    deferred(move || or_host(read_buffer(fd, buf, n), || real!(read(fd, buf, n))))
}

#[inline(never)]
extern "C" fn tunnel_write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t {
    deferred(move || or_host(write_buffer(fd, buf, n), || real!(write(fd, buf, n))))
}

/// A read from a descriptor that the hook itself does not know what to do with.
#[cold]
#[inline(never)]
extern "C" fn odd_read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
    match whose_above(fd) {
        Whose::Program if is_active() => read_of_net(fd, buf, n),
        Whose::Program => real!(read(fd, buf, n)),
        Whose::Tunnel(found) => tunnel_read(fd, buf, n, found),
        Whose::Other | Whose::Above => deferred(move || other_read(fd, buf, n)),
    }
}

/// A write to such a descriptor.
#[cold]
#[inline(never)]
extern "C" fn odd_write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t {
    match whose_above(fd) {
        Whose::Program if is_active() => write_of_net(fd, buf, n),
        Whose::Program => real!(write(fd, buf, n)),
        Whose::Tunnel(_) => tunnel_write(fd, buf, n),
        Whose::Other | Whose::Above => deferred(move || other_write(fd, buf, n)),
    }
}

/// A read from a descriptor that is known and no tunnel.
#[cold]
#[inline(never)]
extern "C" fn other_read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
    if is_netlink(fd) {
        return match netlink::before_receive(fd) {
            Ok(_) => real!(read(fd, buf, n)),
            Err(_) => -1,
        };
    }
    if is_datagrams(fd) && n > 0 {
        let nobody = std::ptr::null_mut();
        let received = receive::receive_bytes(fd, buf, n, 0, nobody, std::ptr::null_mut());
        return received.unwrap_or_else(|| real!(read(fd, buf, n)));
    }
    view::read(fd, None).unwrap_or_else(|| real!(read(fd, buf, n)))
}

/// A write to a descriptor that is known and no tunnel.
#[cold]
#[inline(never)]
extern "C" fn other_write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t {
    if is_netlink(fd) {
        // The kernel does not call a socket for a write of no bytes.
        return match n {
            0 => None,
            _ => netlink::send(fd, buf, n, std::ptr::null(), 0, 0),
        }
        .unwrap_or_else(|| real!(write(fd, buf, n)));
    }
    if is_datagrams(fd) {
        let data = Data::Buffer(buf, n);
        let sent = send::send_datagram(fd, data, 0, &To::new(std::ptr::null(), 0));
        return sent.unwrap_or_else(|| real!(write(fd, buf, n)));
    }
    view::write(fd, &view::Source::Buffer(buf as usize, n), None)
        .unwrap_or_else(|| real!(write(fd, buf, n)))
}

/// The answer of the view where the descriptor is one of it and the kernel is not to answer.
#[inline]
fn view_or(
    is_ours: bool,
    viewed: impl FnOnce() -> Option<ssize_t>,
    host: impl FnOnce() -> ssize_t,
) -> ssize_t {
    match is_ours {
        true => viewed().unwrap_or_else(host),
        false => host(),
    }
}

/// Writes an array of buffers to a descriptor of the view. `None` says that the kernel writes.
#[cold]
fn view_write_vector(
    fd: c_int,
    array: *const iovec,
    count: c_int,
    offset: Option<off64_t>,
) -> Option<ssize_t> {
    let mut parts = [iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    }; 16];
    let count = usize::try_from(count).ok()?.min(parts.len());
    for (at, part) in parts[..count].iter_mut().enumerate() {
        // SAFETY: an iovec is two plain numbers, and the array is the caller's.
        *part = unsafe { crate::uaccess::read(array.wrapping_add(at)) }.ok()?;
    }
    view::write(fd, &view::Source::Vector(&parts[..count]), offset)
}

/// The program's own read where its net has addresses. It stands apart, so that a read elsewhere
/// keeps nothing for later.
#[inline(never)]
extern "C" fn read_of_net(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
    deferred(move || {
        look();
        moved(fd, real!(read(fd, buf, n)))
    })
}

#[inline(never)]
extern "C" fn write_of_net(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t {
    deferred(move || {
        look();
        sent(fd, moved(fd, real!(write(fd, buf, n))))
    })
}

hooks! {
    fn read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t => my_read {
        if concern::is_only(concern::EPOLL) {
            return real!(read(fd, buf, n));
        }
        match whose(fd) {
            Whose::Program if is_active() => read_of_net(fd, buf, n),
            Whose::Program => real!(read(fd, buf, n)),
            Whose::Tunnel(found) => tunnel_read(fd, buf, n, found),
            Whose::Other | Whose::Above => odd_read(fd, buf, n),
        }
    }
    fn __read_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t) -> ssize_t => my_read_chk {
        // libc aborts when the caller asks for more than its buffer holds.
        let host = || view_or(is_ours(fd), || view::read(fd, None), || real!(__read_chk(fd, buf, n, room)));
        if is_tunnel(fd) && n <= room {
            deferred(|| or_host(read_buffer(fd, buf, n), host))
        } else if is_netlink(fd) && deferred(|| netlink::before_receive(fd).is_err()) {
            -1
        } else if is_datagrams(fd) && (1..=room).contains(&n) {
            deferred(|| other_read(fd, buf, n))
        } else {
            host()
        }
    }
    fn pread(fd: c_int, buf: *mut c_void, n: size_t, offset: off_t) -> ssize_t => my_pread {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(pread(fd, buf, n, offset)));
        if is_tunnel(fd) { deferred(|| or_host(read_at(fd, buf, n, offset), host)) } else { host() }
    }
    fn pread64(fd: c_int, buf: *mut c_void, n: size_t, offset: off64_t) -> ssize_t => my_pread64 {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(pread64(fd, buf, n, offset)));
        if is_tunnel(fd) { deferred(|| or_host(read_at(fd, buf, n, offset), host)) } else { host() }
    }
    fn __pread_chk(fd: c_int, buf: *mut c_void, n: size_t, offset: off_t, room: size_t) -> ssize_t => my_pread_chk {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(__pread_chk(fd, buf, n, offset, room)));
        if is_tunnel(fd) && n <= room { deferred(|| or_host(read_at(fd, buf, n, offset), host)) } else { host() }
    }
    fn __pread64_chk(fd: c_int, buf: *mut c_void, n: size_t, offset: off64_t, room: size_t) -> ssize_t => my_pread64_chk {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(__pread64_chk(fd, buf, n, offset, room)));
        if is_tunnel(fd) && n <= room { deferred(|| or_host(read_at(fd, buf, n, offset), host)) } else { host() }
    }
    fn readv(fd: c_int, array: *const iovec, count: c_int) -> ssize_t => my_readv {
        let host = || view_or(is_ours(fd), || view::read(fd, None), || moving(fd, || real!(readv(fd, array, count))));
        if is_tunnel(fd) {
            deferred(|| or_host(read_vector(fd, array, count), host))
        } else if is_netlink(fd) && deferred(|| netlink::before_receive(fd).is_err()) {
            -1
        } else if is_datagrams(fd) {
            deferred(|| receive::receive_vector(fd, array, count).unwrap_or_else(host))
        } else {
            deferred(|| {
                look();
                host()
            })
        }
    }
    fn preadv(fd: c_int, array: *const iovec, count: c_int, offset: off_t) -> ssize_t => my_preadv {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(preadv(fd, array, count, offset)));
        if is_tunnel(fd) { deferred(|| or_host(read_vector_at(fd, array, count, offset), host)) } else { host() }
    }
    fn preadv64(fd: c_int, array: *const iovec, count: c_int, offset: off64_t) -> ssize_t => my_preadv64 {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(preadv64(fd, array, count, offset)));
        if is_tunnel(fd) { deferred(|| or_host(read_vector_at(fd, array, count, offset), host)) } else { host() }
    }
    fn preadv2(fd: c_int, array: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t => my_preadv2 {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(preadv2(fd, array, count, offset, flags)));
        if is_tunnel(fd) { deferred(|| or_host(read_vector_2(fd, array, count, offset, flags), host)) } else { host() }
    }
    fn preadv64v2(fd: c_int, array: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t => my_preadv64v2 {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(preadv64v2(fd, array, count, offset, flags)));
        if is_tunnel(fd) { deferred(|| or_host(read_vector_2(fd, array, count, offset, flags), host)) } else { host() }
    }
    fn write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t => my_write {
        if concern::is_only(concern::EPOLL) {
            return real!(write(fd, buf, n));
        }
        match whose(fd) {
            Whose::Program if is_active() => write_of_net(fd, buf, n),
            Whose::Program => real!(write(fd, buf, n)),
            Whose::Tunnel(_) => tunnel_write(fd, buf, n),
            Whose::Other | Whose::Above => odd_write(fd, buf, n),
        }
    }
    fn pwrite(fd: c_int, buf: *const c_void, n: size_t, offset: off_t) -> ssize_t => my_pwrite {
        let host = || view_or(is_ours(fd), || view::write(fd, &view::Source::Buffer(buf as usize, n), Some(offset)), || real!(pwrite(fd, buf, n, offset)));
        if is_tunnel(fd) { deferred(|| or_host(write_at(fd, buf, n, offset), host)) } else { host() }
    }
    fn pwrite64(fd: c_int, buf: *const c_void, n: size_t, offset: off64_t) -> ssize_t => my_pwrite64 {
        let host = || view_or(is_ours(fd), || view::write(fd, &view::Source::Buffer(buf as usize, n), Some(offset)), || real!(pwrite64(fd, buf, n, offset)));
        if is_tunnel(fd) { deferred(|| or_host(write_at(fd, buf, n, offset), host)) } else { host() }
    }
    fn writev(fd: c_int, array: *const iovec, count: c_int) -> ssize_t => my_writev {
        let host = || view_or(is_ours(fd), || view_write_vector(fd, array, count, None), || moving(fd, || real!(writev(fd, array, count))));
        if is_tunnel(fd) {
            deferred(|| or_host(write_vector(fd, array, count), host))
        } else if is_netlink(fd) {
            deferred(|| netlink::send_vector(fd, array, count).unwrap_or_else(host))
        } else if is_datagrams(fd) {
            let data = Data::Vector(array, count.max(0) as usize);
            deferred(|| send::send_datagram(fd, data, 0, &To::new(std::ptr::null(), 0)).unwrap_or_else(host))
        } else {
            deferred(|| {
                look();
                sent(fd, host())
            })
        }
    }
    fn pwritev(fd: c_int, array: *const iovec, count: c_int, offset: off_t) -> ssize_t => my_pwritev {
        let host = || view_or(is_ours(fd), || view_write_vector(fd, array, count, (offset >= 0).then_some(offset)), || real!(pwritev(fd, array, count, offset)));
        if is_tunnel(fd) { deferred(|| or_host(write_vector_at(fd, array, count, offset), host)) } else { host() }
    }
    fn pwritev64(fd: c_int, array: *const iovec, count: c_int, offset: off64_t) -> ssize_t => my_pwritev64 {
        let host = || view_or(is_ours(fd), || view_write_vector(fd, array, count, (offset >= 0).then_some(offset)), || real!(pwritev64(fd, array, count, offset)));
        if is_tunnel(fd) { deferred(|| or_host(write_vector_at(fd, array, count, offset), host)) } else { host() }
    }
    fn pwritev2(fd: c_int, array: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t => my_pwritev2 {
        let host = || view_or(is_ours(fd), || view_write_vector(fd, array, count, (offset >= 0).then_some(offset)), || real!(pwritev2(fd, array, count, offset, flags)));
        if is_tunnel(fd) { deferred(|| or_host(write_vector_2(fd, array, count, offset, flags), host)) } else { host() }
    }
    fn pwritev64v2(fd: c_int, array: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t => my_pwritev64v2 {
        let host = || view_or(is_ours(fd), || view_write_vector(fd, array, count, (offset >= 0).then_some(offset)), || real!(pwritev64v2(fd, array, count, offset, flags)));
        if is_tunnel(fd) { deferred(|| or_host(write_vector_2(fd, array, count, offset, flags), host)) } else { host() }
    }
    fn __read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t => my_read_alias {
        match whose(fd) {
            Whose::Program if is_active() => read_of_net(fd, buf, n),
            Whose::Program => real!(__read(fd, buf, n)),
            Whose::Tunnel(found) => tunnel_read(fd, buf, n, found),
            Whose::Other | Whose::Above => odd_read(fd, buf, n),
        }
    }
    fn __write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t => my_write_alias {
        match whose(fd) {
            Whose::Program if is_active() => write_of_net(fd, buf, n),
            Whose::Program => real!(__write(fd, buf, n)),
            Whose::Tunnel(_) => tunnel_write(fd, buf, n),
            Whose::Other | Whose::Above => odd_write(fd, buf, n),
        }
    }
    fn __pread64(fd: c_int, buf: *mut c_void, n: size_t, offset: off64_t) -> ssize_t => my_pread64_alias {
        let host = || view_or(is_ours(fd), || view::read(fd, Some(offset)), || real!(__pread64(fd, buf, n, offset)));
        if is_tunnel(fd) { deferred(|| or_host(read_at(fd, buf, n, offset), host)) } else { host() }
    }
    fn __pwrite64(fd: c_int, buf: *const c_void, n: size_t, offset: off64_t) -> ssize_t => my_pwrite64_alias {
        let host = || view_or(is_ours(fd), || view::write(fd, &view::Source::Buffer(buf as usize, n), Some(offset)), || real!(__pwrite64(fd, buf, n, offset)));
        if is_tunnel(fd) { deferred(|| or_host(write_at(fd, buf, n, offset), host)) } else { host() }
    }
    fn lseek(fd: c_int, offset: off_t, whence: c_int) -> off_t => my_lseek {
        if is_ours(fd) { seek(fd, offset, whence, || real!(lseek(fd, offset, whence))) } else { real!(lseek(fd, offset, whence)) }
    }
    fn lseek64(fd: c_int, offset: off64_t, whence: c_int) -> off64_t => my_lseek64 {
        if is_ours(fd) { seek(fd, offset, whence, || real!(lseek64(fd, offset, whence))) } else { real!(lseek64(fd, offset, whence)) }
    }
    fn __lseek(fd: c_int, offset: off_t, whence: c_int) -> off_t => my_lseek_alias {
        if is_ours(fd) { seek(fd, offset, whence, || real!(__lseek(fd, offset, whence))) } else { real!(__lseek(fd, offset, whence)) }
    }
    fn llseek(fd: c_int, offset: off64_t, whence: c_int) -> off64_t => my_llseek {
        if is_ours(fd) { seek(fd, offset, whence, || real!(llseek(fd, offset, whence))) } else { real!(llseek(fd, offset, whence)) }
    }
    fn eventfd_read(fd: c_int, value: *mut u64) -> c_int => my_eventfd_read {
        // SAFETY: `value` is the caller's number, which has WORD bytes.
        if is_tunnel(fd) { whole(unsafe { my_read(fd, value.cast(), WORD) }) } else { real!(eventfd_read(fd, value)) }
    }
    fn eventfd_write(fd: c_int, value: u64) -> c_int => my_eventfd_write {
        // SAFETY: `value` is a number of our own, which has WORD bytes.
        if is_tunnel(fd) { whole(unsafe { my_write(fd, std::ptr::from_ref(&value).cast(), WORD) }) } else { real!(eventfd_write(fd, value)) }
    }
}
