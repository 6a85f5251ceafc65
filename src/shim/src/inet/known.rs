//! Is this process in a net that has addresses? Where it is not, a call on a socket costs a look at
//! one word.

use super::notes;
use crate::{asking, errno, gate, net, table};
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::{Protocol, Table};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32};

/// The net and the table of its sockets.
pub struct Known {
    /// The net of this process.
    pub net: &'static NetDir,
    /// The table.
    pub table: Table,
}

impl Known {
    /// Is a descriptor that was noted, whose socket has this cookie, still one of UDP? Its number
    /// may be another socket's since, by calls that this library has not seen.
    pub fn is_still(&self, fd: i32, cookie: u64) -> bool {
        let protocol = || sys::int_option(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL);
        match self.table.socket(cookie) {
            Some(entry) => entry.protocol == Protocol::Udp,
            None => protocol() == Ok(libc::IPPROTO_UDP),
        }
    }
}

/// What is known; null until the net has had an address. It stays for the life of the process.
static KNOWN: AtomicPtr<Known> = AtomicPtr::new(std::ptr::null_mut());

/// Number of looks in vain.
static IN_VAIN: AtomicU32 = AtomicU32::new(0);

/// Has this process written to a tunnel since it last waited for the host process?
static WROTE: AtomicBool = AtomicBool::new(false);

/// Called when this process has written to a tunnel.
#[inline(always)]
pub fn wrote() {
    WROTE.store(true, Relaxed);
}

/// Has this process made, or accepted, a connection of the net?
static CARRIES: AtomicBool = AtomicBool::new(false);

/// Called when this process has a connection of the net, or listens for one.
pub fn carries() {
    CARRIES.store(true, Relaxed);
}

/// Has this process, which plays both ends, written to a tunnel what the host process may not have
/// taken yet? Who asks waits for it then.
#[inline(always)]
pub fn may_be_early() -> bool {
    is_active() && CARRIES.load(Relaxed) && WROTE.load(Relaxed) && WROTE.swap(false, Relaxed)
}

/// Has this process a tunnel and connections of the net? Who plays both ends finds what it sends in
/// its tunnel's queue when the call returns, as with a kernel.
#[inline(always)]
pub fn plays_both() -> bool {
    is_active() && CARRIES.load(Relaxed) && table::any()
}

/// Has the net of this process an address, or had it one?
#[inline(always)]
pub fn is_active() -> bool {
    !KNOWN.load(Relaxed).is_null()
}

/// Does the same as [`is_active`], and finds out whether the net has got an address.
#[inline(always)]
pub fn may_concern() -> bool {
    is_active() || !gate::is_shut() && looks_anew()
}

/// Does the same, and looks for the net even if it was looked for in vain often enough. This is for
/// the calls with which the use of a socket begins.
#[cold]
#[inline(never)]
pub extern "C" fn looks_anew() -> bool {
    if is_active() {
        return true;
    }
    net::current().is_none_or(NetDir::has_inet) && open()
}

/// What is known of the net; None while it has had no address, and where a sandbox of the program's
/// forbids what is needed for its sockets.
pub fn get() -> Option<&'static Known> {
    if !may(Extra::Sockets) {
        return None;
    }
    // SAFETY: the pointer is null, or leads to a mapping that `open` has filled and that stays.
    unsafe { KNOWN.load(Acquire).as_ref() }
}

/// Maps the table of the net if there is one.
#[cold]
#[inline(never)]
extern "C" fn open() -> bool {
    errno::keep(|| errno::fence(|| Ok(find())).unwrap_or(false))
}

fn find() -> bool {
    // A program that is in no net looks in the first of all these calls, and then only when it
    // makes a socket or gives one a name.
    const AT_FIRST: u32 = 16;
    let is_there = asking::is_there();
    let joined = is_there.then(net::existing).flatten();
    if joined.is_none() && (!is_there || IN_VAIN.fetch_add(1, Relaxed) >= AT_FIRST) {
        gate::look_no_more();
    }
    let Some(net) = joined.filter(|net| net.has_inet()) else {
        return false;
    };
    let Ok(Some(table)) = Table::open(net) else {
        return false;
    };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let Ok(place) = sys::map_private(size_of::<Known>(), protection) else {
        return false;
    };
    let place = place.cast::<Known>();
    // SAFETY: the mapping is our own and page-aligned, has room for one value, and is never
    // unmapped once it is known.
    unsafe { place.write(Known { net, table }) };
    let mine = KNOWN.compare_exchange(std::ptr::null_mut(), place, AcqRel, Acquire);
    if mine.is_err() {
        // SAFETY: nobody else has seen the value and its mapping.
        unsafe {
            place.drop_in_place();
            sys::unmap(place.cast(), size_of::<Known>());
        }
    }
    gate::open();
    if mine.is_ok() {
        notes::note_all();
    }
    true
}
