//! Is this process in a net that has addresses? Where it is not, a call on a socket costs a look at
//! one word.

use super::notes;
use super::refusal::{stays, How};
use crate::asking::{self, OwnHost};
use crate::{concern, errno, gate, net, table};
use memtun_abi::{Errno, Error};
use memtun_calls::host::{self, Host as _};
use memtun_kernel::net::NetDir;
use memtun_kernel::Cause;
use memtun_stack::ask::{self, What};
use memtun_stack::sockets::question::SocketQuestion;
use memtun_stack::sockets::{Protocol, Table};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32};

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

/// Does a call on a socket have to be looked at: has the net an address, or cannot this process
/// tell? It finds out whether the net has got one.
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
    (net::current().is_none_or(NetDir::has_inet) || OwnHost.is_isolated()) && open()
}

/// What is known of the net; None while it has had no address, and where a sandbox of the program's
/// forbids what is needed for its sockets.
///
/// It is part of its caller: a hook that may wait in libc calls nothing that could unwind, so that
/// a thread can be cancelled there.
#[inline(always)]
pub fn get() -> Option<&'static Known> {
    if !may(Extra::Sockets) {
        return None;
    }
    // SAFETY: the pointer is null, or leads to a mapping that `open` has filled and that stays.
    unsafe { KNOWN.load(Acquire).as_ref() }
}

/// Whose a call on a socket is.
pub enum Side {
    /// The machine's, as far as this process can tell.
    Machine,
    /// The net's, which says more.
    Net(&'static Known),
    /// Nobody's: this process cannot tell, for this reason, and what it sends must not go astray.
    Nobody(Errno),
}

/// Errno with which this process could not look at its net when it last tried, or 0.
static OBSTACLE: AtomicI32 = AtomicI32::new(0);

/// Says whose a call is, once [`may_concern`] or [`looks_anew`] has looked.
pub fn side() -> Side {
    if let Some(known) = get() {
        return Side::Net(known);
    }
    let obstacle = match is_active() {
        true => forbidden(),
        false => OBSTACLE.load(Relaxed),
    };
    match obstacle {
        0 => Side::Machine,
        errno => Side::Nobody(Errno(errno)),
    }
}

/// Says whose a call about this name is. The table of an isolated net is made with the first call
/// that would leave the machine's loopback: until then the machine carries what stays there.
pub fn side_of(name: &SocketAddr, how: How) -> Side {
    match stays(name, how) {
        true => side(),
        false => side_that_leaves(),
    }
}

/// Says whose a call is that may leave the machine's loopback.
pub fn side_that_leaves() -> Side {
    if matches!(side(), Side::Machine) && OwnHost.is_isolated() {
        begin();
    }
    side()
}

/// Lets the host process of an isolated net make the table of its sockets: from now on the net says
/// what a call reaches, which may be nothing.
fn begin() {
    let made = net::join().and_then(|net| {
        let question = host::question(&OwnHost, What::Tune);
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let about = SocketQuestion {
            name: None,
            ..SocketQuestion::about(Protocol::Udp, nobody)
        };
        ask::ask(
            net,
            OwnHost.start(),
            &question,
            &[&about.to_bytes()],
            &mut |_| {},
        )
    });
    match made {
        Ok(()) => {
            find(notes::note_all);
        }
        Err(e) => {
            OBSTACLE.store(e.0, Relaxed);
            say(|| {
                let (why, remedy) = (Cause(e), remedy(e));
                log::warn!("the net's host process cannot be asked: {why}; sockets of this program reach only the machine's loopback{remedy}")
            });
        }
    }
}

/// A sandbox forbids what is needed for the sockets of a net with addresses. Returns the errno for
/// that.
fn forbidden() -> i32 {
    say(|| {
        let becomes = match OwnHost.is_isolated() {
            true => "they are refused, because the net is isolated",
            false => "they are refused what the net's routes lead to",
        };
        log::warn!(
            "a sandbox (seccomp) forbids what memtun needs to look at sockets, so {becomes}: let it allow getsockopt, \
             getsockname, getpeername, fstat, fcntl, bind, sendmsg and recvmsg"
        );
    });
    libc::EACCES
}

/// Says once why sockets are not the net's.
fn say(line: impl FnOnce()) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if log::log_enabled!(log::Level::Warn) && !SAID.swap(true, Relaxed) {
        line();
    }
}

/// Maps the table of the net if there is one. Returns whether a call has to be looked at.
#[cold]
#[inline(never)]
extern "C" fn open() -> bool {
    errno::keep(|| {
        errno::fence(|| Ok(find(notes::note_all))).unwrap_or_else(|_| OwnHost.is_isolated())
    })
}

/// Looks for the net of this process.
fn look() -> Result<Option<&'static NetDir>, Error> {
    if !asking::is_there() {
        return Ok(None);
    }
    let joined = net::current();
    if joined.is_some() || may(Extra::Files) {
        return net::look();
    }
    // Nobody can tell any more. Where the machine is seen the program has always had its network.
    match OwnHost.is_isolated() {
        true => Err(Error::new(
            libc::EACCES,
            "a sandbox (seccomp) forbids to look for the net",
        )),
        false => Ok(None),
    }
}

/// Looks, and calls `first` where the table has been mapped now.
fn find(first: fn()) -> bool {
    // A program that is in no net looks in the first of all these calls, and then only when it
    // makes a socket or gives one a name. An isolated one may not miss the net.
    const AT_FIRST: u32 = 16;
    let found = look();
    let isolated = OwnHost.is_isolated();
    if !matches!(found, Ok(Some(_)))
        && !isolated
        && (!asking::is_there() || IN_VAIN.fetch_add(1, Relaxed) >= AT_FIRST)
    {
        gate::look_no_more();
    }
    let is_joined = matches!(found, Ok(Some(_)));
    let found = match found {
        Ok(Some(net)) if net.has_inet() => take(net, first).map_err(|e| {
            let (path, why) = (net.path().escape_ascii(), Cause(e));
            let text = format!("net {path}: the table of its sockets cannot be read: {why}");
            Error::new(e.0, text)
        }),
        Ok(_) => Ok(false),
        Err(e) => Err(e),
    };
    match found {
        Ok(active) => {
            OBSTACLE.store(0, Relaxed);
            active || isolated
        }
        // Of a net with addresses the host process has to be asked, which would fail as well.
        Err(e) if isolated || is_joined => {
            OBSTACLE.store(e.errno().0, Relaxed);
            say(|| {
                log::warn!(
                    "{e}; sockets of this program are refused{}",
                    remedy(e.errno())
                )
            });
            true
        }
        Err(e) => {
            say(|| {
                let remedy = remedy(e.errno());
                log::warn!("{e}; sockets of this program are the machine's and reach nothing of the net{remedy}")
            });
            false
        }
    }
}

/// Says that the net's interfaces cannot be read, so that no group is joined.
pub fn say_unread(why: Errno) {
    say(|| {
        let (why, remedy) = (Cause(why), remedy(why));
        log::warn!("the net's interfaces cannot be read: {why}; sockets of this program join no groups{remedy}")
    });
}

/// What can be done about it that a process cannot look at its net, as the end of a sentence.
fn remedy(why: Errno) -> &'static str {
    match why.0 {
        libc::EACCES | libc::EPERM | libc::ENOSYS | libc::ENOENT => {
            ": let the program see the net's directory (Landlock, seccomp, chroot, another user), or be shut in only \
             after it has been loaded"
        }
        _ => "",
    }
}

/// Maps the table of a net's sockets, and calls `first` if nobody has done that before. Returns
/// whether there is one.
fn take(net: &'static NetDir, first: fn()) -> Result<bool, Errno> {
    if !may(Extra::Files) {
        return Err(Errno(libc::EACCES));
    }
    let Some(table) = Table::open(net)? else {
        return Ok(false);
    };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let place = sys::map_private(size_of::<Known>(), protection)?.cast::<Known>();
    // SAFETY: the mapping is our own and page-aligned, has room for one value, and is never
    // unmapped once it is known.
    unsafe { place.write(Known { net, table }) };
    concern::note(concern::OTHER);
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
        first();
    }
    Ok(true)
}

/// Called when the library was loaded: an isolated program knows its net's sockets as early as it
/// can, see [`net::attend`]. Its descriptors are looked at next.
pub fn attend() {
    if OwnHost.is_isolated() && net::current().is_some_and(NetDir::has_inet) {
        find(|| {});
    }
}
