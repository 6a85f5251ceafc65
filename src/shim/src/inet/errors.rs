//! Errors of datagrams. The host process sends a socket a report of each, behind what the socket
//! has received before; here a report becomes what the kernel would have: an error that waits
//! (`sk_err`), which stands in the net's table, and an element of the error queue of a socket that
//! has asked for one.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::calls::{call, Descriptor};
use super::known::{self, Known};
use crate::errno::{self, fence};
use crate::table;
use crate::told::{self, Told};
use crate::uaccess::OwnMemory;
use crate::waiting::epoll;
use libc::{c_int, c_void, epoll_event, msghdr, pollfd, sockaddr, socklen_t, ssize_t};
use memtun_abi::Errno;
use memtun_calls::ancillary::append;
use memtun_calls::inet::datagram::receive::Heard;
use memtun_calls::inet::Native;
use memtun_shm::Shelf;
use memtun_stack::sockets::{flag, report, Flow, Report};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Number of errors that wait in the queues of all sockets of this process. Of more, the oldest are
/// lost, as where a socket has no room.
const MOST: usize = 16;
/// A socket has no more reports than its receive buffer holds.
const ALL: usize = 4096;
/// The events of something to read.
const IN: i16 = libc::POLLIN | libc::POLLRDNORM;
/// The events of room to send, which there nearly always is.
const OUT: i16 = libc::POLLOUT | libc::POLLWRNORM;
/// Bytes of what was sent that are kept.
const LONGEST: usize = 1472;

/// An element of an error queue.
struct Queued {
    report: Report,
    /// Whom the datagram went to.
    to: SocketAddr,
    length: usize,
    payload: [u8; LONGEST],
}

static QUEUED: Shelf<Queued, MOST> = Shelf::new();

/// The keys under which elements of one socket's queue may stand.
fn keys(cookie: u64) -> impl Iterator<Item = u64> {
    (1..=MOST as u64).map(move |at| cookie << 5 | at)
}

/// The key of the oldest element.
fn oldest(cookie: u64) -> Option<u64> {
    let number = |key| QUEUED.find(key).map(|queued| queued.report.number);
    let numbers = keys(cookie).filter_map(|key| Some((number(key)?, key)));
    numbers.min().map(|(_, key)| key)
}

/// Called with a report that was taken out of a socket's queue; `payload` is what was sent.
pub fn take(known: &Known, cookie: u64, report: Report, flow: &Flow, payload: &[u8]) {
    let entry = known.table.socket(cookie);
    if entry.is_none_or(|entry| entry.flags & flag::RECEIVES_ERRORS == 0) {
        return;
    }
    put(cookie, report, flow.remote, payload);
}

/// Called when a datagram is too long for its path (`ip_local_error`).
pub fn too_long(known: &Known, cookie: u64, to: SocketAddr, mtu: u32) {
    let entry = known.table.socket(cookie);
    if entry.is_none_or(|entry| entry.flags & flag::RECEIVES_ERRORS == 0) {
        return;
    }
    let report = Report {
        errno: libc::EMSGSIZE as u32,
        origin: report::LOCAL,
        kind: 0,
        code: 0,
        hops: 0,
        info: mtu,
        offender: to.ip(),
        scope: 0,
        number: u32::MAX,
    };
    put(cookie, report, to, &[]);
}

fn put(cookie: u64, report: Report, to: SocketAddr, payload: &[u8]) {
    let mut queued = Queued {
        report,
        to,
        length: payload.len().min(LONGEST),
        payload: [0; LONGEST],
    };
    queued.payload[..queued.length].copy_from_slice(&payload[..queued.length]);
    let free = keys(cookie).find(|key| QUEUED.find(*key).is_none());
    if let Some(key) = free {
        let _ = QUEUED.put(key, queued);
    }
}

/// The error that a call on the socket fails with now, once.
pub fn waiting(known: &Known, cookie: u64) -> Option<Errno> {
    known.table.error(cookie, true)
}

/// What stands in a socket's native queue.
enum Next {
    Nothing,
    Report(Report, Flow),
    Data,
}

/// Runs something that looks at the socket's queue. The program may have said where it looks, which
/// a look moves on.
fn looking<T>(fd: c_int, look: impl FnOnce() -> T) -> T {
    let at = sys::int_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF).unwrap_or(-1);
    if at >= 0 {
        look_at(fd, 0);
    }
    let answer = look();
    if at >= 0 {
        look_at(fd, at);
    }
    answer
}

/// What SO_PEEK_OFF is before a program has said where it looks.
const NOWHERE: c_int = -1;

fn look_at(fd: c_int, at: c_int) {
    if !may(Extra::Options) {
        return;
    }
    let _ = sys::set_int_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, at);
}

/// Looks at what is next, and returns how long it is.
fn next(known: &Known, fd: c_int) -> (Next, usize) {
    let mut head = [0; report::HEAD];
    let found = sys::inet::receive_datagram(borrowed(fd), &mut head, libc::MSG_PEEK);
    let Ok(found) = found else {
        return (Next::Nothing, 0);
    };
    let length = found.length.min(report::HEAD);
    let heard = |from| call(known, &Descriptor(fd)).heard(&from, &head[..length]);
    let next = match found.from.map(heard) {
        Some(Heard::Report(report, flow)) => Next::Report(report, flow),
        _ => Next::Data,
    };
    (next, found.length)
}

/// Returns the report that is next in the socket's queue.
fn next_report(known: &Known, fd: c_int) -> Option<(Report, Flow)> {
    match looking(fd, || next(known, fd).0) {
        Next::Report(report, flow) => Some((report, flow)),
        _ => None,
    }
}

/// Is there anything in the socket's queue that is no report? An empty datagram behind one is not
/// seen, because a look that begins behind something passes it over.
fn has_data(known: &Known, fd: c_int) -> bool {
    looking(fd, || {
        let mut behind = match next(known, fd) {
            (Next::Nothing, _) => return false,
            (Next::Data, _) => return true,
            (Next::Report(..), length) => length as c_int,
        };
        if !may(Extra::Options) {
            return false;
        }
        let mut found = true;
        for _ in 0..ALL {
            look_at(fd, behind);
            match next(known, fd) {
                (Next::Report(..), length) => behind += length as c_int,
                (other, _) => {
                    found = matches!(other, Next::Data);
                    break;
                }
            }
        }
        look_at(fd, NOWHERE);
        found
    })
}

/// Has the program ended what the socket hears, which is something to read from then on?
fn is_shut(fd: c_int) -> bool {
    let mut asked = [pollfd {
        fd,
        events: libc::POLLRDHUP,
        revents: 0,
    }];
    sys::poll(&mut asked, Some(Duration::ZERO)).is_ok_and(|ready| ready > 0)
        && asked[0].revents & libc::POLLRDHUP != 0
}

fn borrowed<'f>(fd: c_int) -> BorrowedFd<'f> {
    // SAFETY: the descriptor is the program's, which has it open for this call of its own.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Takes the reports out that are next in the socket's queue, so many at most.
fn settle(known: &Known, fd: c_int, cookie: u64, most: usize) {
    let mut room = [0; report::HEAD + LONGEST];
    for _ in 0..most {
        let Some((report, flow)) = next_report(known, fd) else {
            return;
        };
        let Ok(found) = sys::inet::receive_datagram(borrowed(fd), &mut room, 0) else {
            return;
        };
        let end = found.length.clamp(report::HEAD, room.len());
        take(known, cookie, report, &flow, &room[report::HEAD..end]);
    }
}

/// Called when the error that waited was given to the program: what told of it must not wake
/// anybody any more, unless it stands in the queue of errors now.
pub fn given(fd: c_int) {
    let _ = errno::keep(|| {
        fence(|| {
            if let Some(errors) = Errors::of(fd).filter(|errors| !errors.has_queue()) {
                settle(errors.known, fd, errors.cookie, ALL);
            }
            Ok(())
        })
    });
}

/// Called when a datagram was given to the program: a report behind it whose error the program has
/// had already must not wake anybody.
pub fn passed(known: &Known, fd: c_int, cookie: u64) {
    if known.table.had_error(cookie) && known.table.error(cookie, false).is_none() {
        settle(known, fd, cookie, ALL);
    }
}

/// Number of errors that sockets of the net had when this process looked last and found none that
/// waits for one of its own.
static SEEN: AtomicU32 = AtomicU32::new(0);

/// Called after epoll_wait(2) has found `n` events in a net that has addresses. What wakes for an
/// error is something to read natively, and is shown as an error.
#[inline]
pub fn in_epoll(epoll: c_int, events: *mut epoll_event, n: c_int) {
    let raises = known::get().map_or(0, |known| known.table.raises());
    if raises != SEEN.load(Relaxed) {
        show_in_epoll(epoll, events, n, raises);
    }
}

#[cold]
#[inline(never)]
extern "C" fn show_in_epoll(epoll: c_int, events: *mut epoll_event, n: c_int, raises: u32) {
    // SAFETY: the array is the caller's and has `n` elements, which the kernel has just filled.
    let all = unsafe { std::slice::from_raw_parts_mut(events, n as usize) };
    let mut shown = |any: &mut bool| {
        table::each_datagrams(|fd| {
            let Some(errors) = Errors::of(fd).filter(|errors| errors.are_there()) else {
                return;
            };
            *any = true;
            let datum = epoll::datum_of(epoll, fd);
            let is_of_it = |event: &&mut epoll_event| {
                let (data, bits) = (event.u64, event.events);
                Some(data) == datum && bits & (IN | OUT) as u32 != 0
            };
            if let Some(event) = all.iter_mut().find(is_of_it) {
                // What is behind the report is seen once the error is taken.
                if next_report(errors.known, fd).is_some() {
                    event.events &= !(IN as u32);
                }
                event.events |= libc::EPOLLERR as u32;
            }
        });
    };
    let _ = errno::keep(|| {
        fence(|| {
            let mut any = false;
            shown(&mut any);
            if !any {
                SEEN.store(raises, Relaxed);
            }
            Ok(())
        })
    });
}

/// What poll(2) has to say besides the kernel.
struct Errors {
    known: &'static Known,
    fd: c_int,
    cookie: u64,
}

impl Errors {
    fn of(fd: c_int) -> Option<Errors> {
        if !table::is_datagrams(fd) {
            return None;
        }
        let known = known::get()?;
        let cookie = Descriptor(fd).cookie().ok()?;
        Some(Errors { known, fd, cookie })
    }

    fn are_there(&self) -> bool {
        self.known.table.error(self.cookie, false).is_some()
            || oldest(self.cookie).is_some()
            || self.are_queued()
    }

    /// Does the socket have a queue of errors, which shows as long as something is in it?
    fn has_queue(&self) -> bool {
        let entry = self.known.table.socket(self.cookie);
        entry.is_some_and(|entry| entry.flags & flag::RECEIVES_ERRORS != 0)
    }

    fn are_queued(&self) -> bool {
        self.known.table.had_error(self.cookie)
            && self.has_queue()
            && next_report(self.known, self.fd).is_some()
    }
}

fn array<'p>(fds: *mut pollfd, n: usize) -> &'p mut [pollfd] {
    // SAFETY: the array is the caller's and has `n` elements, which the kernel has read or is about
    // to read.
    unsafe { std::slice::from_raw_parts_mut(fds, n) }
}

/// Have sockets of the net had errors at all?
#[inline]
pub fn are_any() -> bool {
    known::get().is_some_and(|known| known.table.raises() != 0)
}

/// Does an error wait at this descriptor?
#[cold]
#[inline(never)]
pub fn is_there(fd: c_int) -> bool {
    let is_there = || Ok(Errors::of(fd).is_some_and(|errors| errors.are_there()));
    table::is_datagrams(fd) && errno::keep(|| fence(is_there)).unwrap_or(false)
}

/// Does poll(2) ask a socket of UDP for nothing that an error would be natively?
pub fn is_deaf(p: &pollfd) -> bool {
    p.events & (IN | OUT) == 0 && table::is_datagrams(p.fd)
}

/// Are there sockets of UDP among the descriptors of poll(2), whose array is readable?
#[cold]
#[inline(never)]
pub extern "C" fn concern(fds: *mut pollfd, n: usize) -> bool {
    array(fds, n).iter().any(|p| table::is_datagrams(p.fd))
}

/// Does an error wait for the program, so that poll(2) does not sleep?
#[cold]
#[inline(never)]
pub extern "C" fn are_there(fds: *mut pollfd, n: usize) -> bool {
    let any = |p: &pollfd| Errors::of(p.fd).is_some_and(|errors| errors.are_there());
    errno::keep(|| fence(|| Ok(array(fds, n).iter().any(any)))).unwrap_or(false)
}

/// Corrects what the kernel has answered to poll(2). Returns the number of descriptors that are
/// ready.
#[cold]
#[inline(never)]
pub extern "C" fn show(fds: *mut pollfd, n: usize) -> c_int {
    let mut ready = 0;
    for p in array(fds, n) {
        let _ = errno::keep(|| {
            fence(|| {
                show_one(p);
                Ok(())
            })
        });
        ready += c_int::from(p.revents != 0);
    }
    ready
}

fn show_one(p: &mut pollfd) {
    if !are_any() {
        return;
    }
    let Some(errors) = Errors::of(p.fd) else {
        return;
    };
    // What told of an error stays where it is: who waits by epoll_wait(2) is shown it as well.
    let are_there = errors.are_there();
    if p.revents & IN != 0 && !has_data(errors.known, p.fd) && !is_shut(p.fd) {
        p.revents &= !IN;
        // One whose error the program has had already would wake this wait again and again.
        if !are_there {
            settle(errors.known, p.fd, errors.cookie, ALL);
        }
    }
    if are_there {
        p.revents |= libc::POLLERR;
    }
}

/// recvmsg(2) from the error queue. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
pub extern "C" fn receive(fd: c_int, message: *mut msghdr) -> Option<ssize_t> {
    let received = errno::keep(|| fence(|| try_receive(fd, message)));
    match received {
        Ok(None) => None,
        Ok(Some(length)) => Some(length as ssize_t),
        Err(e) => Some(errno::give::<isize>(Err(e))),
    }
}

/// recvfrom(2) from the error queue. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
pub extern "C" fn receive_bytes(
    fd: c_int,
    (buf, n): (*mut c_void, usize),
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> Option<ssize_t> {
    told::in_bytes((buf, n), name, length, |message| receive(fd, message))
}

fn try_receive(fd: c_int, message: *mut msghdr) -> Result<Option<usize>, Errno> {
    let Some(errors) = Errors::of(fd) else {
        return Ok(None);
    };
    if oldest(errors.cookie).is_none() {
        settle(errors.known, fd, errors.cookie, 1);
    }
    let Some(key) = oldest(errors.cookie) else {
        return Ok(None);
    };
    let Some(queued) = QUEUED.find(key) else {
        return Ok(None);
    };
    QUEUED.forget(key);
    if oldest(errors.cookie).is_none() && !errors.are_queued() {
        // The error that waits is that of the queue's next element.
        errors.known.table.error(errors.cookie, true);
    }
    let told = Told {
        report: &queued.report,
        to: queued.to,
        payload: &queued.payload[..queued.length],
        is_v6: Descriptor(fd).option(libc::SOL_SOCKET, libc::SO_DOMAIN) == Ok(libc::AF_INET6),
    };
    let hops = i32::from(queued.report.hops).to_ne_bytes();
    let before = |(at, used, room)| match wanted_of(fd, told.is_v6) {
        Some(of) if !queued.report.is_local() => append(&OwnMemory, of, &hops, (at, used, room)),
        _ => Ok((used, false)),
    };
    told.give(message, before).map(Some)
}

/// By which control message a socket wants to know the hop limit of a message that tells an error.
fn wanted_of(fd: c_int, v6: bool) -> Option<(c_int, c_int)> {
    /// The option of old and its message are one number, those of today two.
    const OLD: c_int = 8;
    let wants = |level, option| Descriptor(fd).option(level, option) == Ok(1);
    let (v4_level, level) = (libc::IPPROTO_IP, libc::IPPROTO_IPV6);
    match v6 {
        false => wants(v4_level, libc::IP_RECVTTL).then_some((v4_level, libc::IP_TTL)),
        true if wants(level, libc::IPV6_RECVHOPLIMIT) => Some((level, libc::IPV6_HOPLIMIT)),
        true => wants(level, OLD).then_some((level, OLD)),
    }
}
