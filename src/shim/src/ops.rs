//! The calls of this process on its tunnels. Each finds the tunnel, checks whether the descriptor
//! is still its own, and hands the call to `memtun_calls`, which knows what the call means.

use crate::asking::OwnHost;
use crate::closing::closed;
use crate::errno::{self, fence};
use crate::table::{self, Held, OwnTunnels};
use crate::uaccess::OwnMemory;
use crate::waiting::{awake, epoll, stale};
use crate::{config, foreign, inet, net, process};
use memtun_abi::Errno;
use memtun_calls::host::links_changed;
use memtun_calls::tunnel::{self as calls, Attempt as Found, Descriptor, Nets, Pause};
use memtun_calls::Place;
use memtun_kernel::net::NetDir;
use memtun_kernel::tun::{AttachOptions, Ioctl, Sink, Source};
use memtun_sys as sys;
use memtun_sys::quiet::{self, Extra};
use std::ffi::{c_int, c_ulong, c_void};

const EBADF: Errno = Errno(libc::EBADF);

/// The net of this process.
struct OwnNet;

impl Nets for OwnNet {
    type Net = &'static NetDir;
    fn join(&self) -> Result<&'static NetDir, Errno> {
        net::join()
    }
    fn is_gone(&self) -> bool {
        net::is_gone()
    }
    fn join_anew(&self) -> Result<&'static NetDir, Errno> {
        net::join_anew()
    }
}

/// Opens a special device. Returns the new descriptor.
pub fn open(flags: c_int) -> Result<c_int, Errno> {
    let (fd, tunnel) = calls::open(&OwnNet, flags)?;
    // The descriptor is a vfork child's own, but the table is its parent's. The next program image
    // adopts the descriptor.
    if process::owns_memory() {
        foreign::is_new(fd.raw());
        table::enter(fd.raw(), tunnel)?;
    }
    Ok(fd.into_raw())
}

/// The tunnel behind a descriptor.
///
/// # Errors
/// - EBADF: another thread has just closed the descriptor.
fn hold(fd: c_int) -> Result<Held, Errno> {
    if process::is_leaving() {
        return Err(process::left());
    }
    table::hold(fd).ok_or(EBADF)
}

/// The result of one attempt to read.
pub enum Attempt {
    /// The call is done and returns this.
    Done(Result<usize, Errno>),
    /// Nothing is queued. The tunnel is held; the caller waits and goes on with [`after_wait`].
    Wait(Waiting),
}

/// A read that waits for a packet.
#[derive(Clone, Copy)]
pub struct Waiting {
    held: u32,
    pause: Pause,
}

/// Takes a packet if that needs no more ado, where the process is [`crate::plain`]. None says
/// nothing but that [`try_read`] is to be asked.
#[inline(always)]
pub fn read_at_once(fd: c_int, found: table::Found, mut sink: impl Sink) -> Option<isize> {
    let mut take = || {
        let tunnel = table::hold_at_once(found)?;
        if !calls::is_read_write(tunnel.open_flags()) || !tunnel.is_not_due() {
            return None;
        }
        match tunnel.read_at_once(&mut sink)? {
            Ok((n, was_last)) => {
                if was_last && tunnel.is_bell_stale() {
                    stale::note(fd);
                }
                Some(n as isize)
            }
            Err(e) => Some(failed(fd, tunnel, e.0)),
        }
    };
    fence(|| Ok(take())).unwrap_or(None)
}

/// The answer of a call that has failed, unless the descriptor is no tunnel any more.
#[cold]
#[inline(never)]
fn failed(fd: c_int, tunnel: Held, errno: i32) -> isize {
    errno::give::<usize>(foreign::check(fd, &tunnel).and(Err(Errno(errno))))
}

/// Takes a packet if there is one. `waits` says that a read which finds none waits, if the
/// descriptor does.
#[inline]
pub fn try_read(fd: c_int, waits: bool, sink: Result<impl Sink, Errno>) -> Attempt {
    let mut suspended = None;
    let done = fence(|| {
        let mut sink = sink?;
        let tunnel = hold(fd)?;
        if tunnel.is_due() {
            foreign::check(fd, &tunnel)?;
        }
        if waits {
            awake::read(&tunnel)?;
        }
        let read = calls::read(&tunnel, fd, &mut sink);
        match read.or_else(|e| foreign::check(fd, &tunnel).and(Err(e)))? {
            Found::Done(n) => {
                if tunnel.is_bell_stale() {
                    stale::note(fd);
                }
                Ok(n)
            }
            Found::Wait(pause) => {
                let held = tunnel.suspend();
                suspended = Some(Waiting { held, pause });
                Ok(0)
            }
        }
    });
    match suspended {
        Some(waiting) => Attempt::Wait(waiting),
        None => Attempt::Done(done),
    }
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq)]
pub enum Waited {
    /// The wait ended because the bell rang.
    Rang,
    /// The wait ended with an errno that a wait for a bell may have.
    Failed,
    /// The wait ended as no wait for a bell ends, so the descriptor is something else.
    Oddly,
}

/// Tries to read again after a wait.
pub fn after_wait(
    fd: c_int,
    waiting: Waiting,
    waited: Waited,
    sink: Result<impl Sink, Errno>,
) -> Attempt {
    let mut again = None;
    let done = fence(|| {
        // SAFETY: `try_read` suspended the tunnel, and it is resumed here once; below it is
        // suspended anew.
        let tunnel = unsafe { Held::resume(waiting.held) };
        waiting.pause.end(&tunnel);
        if waited == Waited::Oddly && tunnel.still(fd) {
            foreign::check(fd, &tunnel)?;
        }
        let is_same = || match tunnel.still(fd) {
            true => foreign::check(fd, &tunnel),
            false => Err(EBADF),
        };
        let answer = match waited {
            Waited::Rang => calls::read_again(&tunnel, fd, waiting.pause, sink, is_same),
            _ => Err(Errno(errno::get())),
        };
        if !tunnel.still(fd) {
            // Another thread closed the descriptor during the call, which kept the tunnel alive.
            closed(&tunnel);
        }
        match answer? {
            Found::Done(n) => {
                stale::note(fd);
                Ok(n)
            }
            Found::Wait(pause) => {
                let held = tunnel.suspend();
                again = Some(Waiting { held, pause });
                Ok(0)
            }
        }
    });
    match again {
        Some(waiting) => Attempt::Wait(waiting),
        None => Attempt::Done(done),
    }
}

/// write(2) and its relatives.
#[inline]
pub fn write(fd: c_int, source: Result<impl Source, Errno>) -> isize {
    errno::give(fence(|| {
        let tunnel = hold(fd)?;
        if tunnel.is_due() {
            foreign::check(fd, &tunnel)?;
        }
        let written = calls::write(&tunnel, source);
        match written {
            Ok(_) => inet::known::wrote(),
            Err(Errno(libc::EAGAIN)) => epoll::refused(fd),
            Err(_) => foreign::check(fd, &tunnel)?,
        }
        written
    }))
}

/// The answer of a read or write of no bytes. `forbidden` is the access mode that does not have
/// this direction.
pub fn nothing(fd: c_int, forbidden: c_int) -> isize {
    errno::give(fence(|| {
        let tunnel = hold(fd)?;
        foreign::check(fd, &tunnel)?;
        calls::transfer_nothing(&tunnel, forbidden)
    }))
}

/// The flags of open(2) of a descriptor, a tunnel's or another one; `None` where none is open.
pub fn open_flags(fd: c_int) -> Option<c_int> {
    errno::keep(|| match table::is_tunnel(fd) {
        true => table::hold(fd).map(|tunnel| tunnel.open_flags()),
        false => memtun_sys::status_flags(fd).ok(),
    })
}

/// ioctl(2). `generic` makes the call on the descriptor itself.
pub fn ioctl(
    fd: c_int,
    request: c_ulong,
    arg: *mut c_void,
    generic: impl FnOnce() -> c_int,
) -> c_int {
    let request = request as u32;
    let answer = fence(|| {
        let tunnel = hold(fd)?;
        foreign::check(fd, &tunnel)?;
        let options = AttachOptions {
            link_up: config::get().is_none_or(|c| c.link_up),
        };
        let mut argument = Place {
            memory: &OwnMemory,
            at: arg as usize,
        };
        let done = calls::ioctl(&tunnel, fd, request, &mut argument, options, &OwnTunnels);
        if done.is_ok() && calls::changes_link(request) {
            links_changed(&OwnHost, tunnel.net());
        }
        done
    });
    match answer {
        Ok(Ioctl::Done(value)) => value,
        Ok(Ioctl::Generic) => {
            let answer = generic();
            if answer == 0 && calls::changes_status_flags(request) {
                errno::keep(|| flags_changed(fd));
            }
            answer
        }
        Err(e) => errno::give::<i32>(Err(e)) as c_int,
    }
}

/// The answer to a terminal's request, which the driver does not know.
pub fn no_terminal(fd: c_int) -> c_int {
    ioctl(fd, libc::TCGETS, std::ptr::null_mut(), || 0)
}

/// A descriptor of this process.
struct Number(c_int);

impl Descriptor for Number {
    fn number(&self) -> i32 {
        self.0
    }
    fn status_flags(&self) -> Result<i32, Errno> {
        sys::status_flags(self.0)
    }
    fn owner(&self) -> Result<i32, Errno> {
        sys::signal_owner(self.0)
    }
    fn own(&self) {
        let _ = sys::set_signal_owner(self.0, sys::getpid());
    }
}

/// Called when the status flags of a descriptor may have changed.
pub fn flags_changed(fd: c_int) {
    if !quiet::may(Extra::Flags) {
        return;
    }
    if let Ok(tunnel) = hold(fd) {
        calls::status_flags_changed(&tunnel, &Number(fd));
    }
}

/// The answer of F_GETFL, given the `flags` of the bell.
pub fn status_flags(fd: c_int, flags: c_int) -> c_int {
    hold(fd).map_or(flags, |tunnel| calls::status_flags(&tunnel, flags))
}

/// Called when `new` has become another descriptor of `old` (or of something that is no tunnel):
/// what it was before ends.
pub fn duplicated(old: c_int, new: c_int) {
    if old == new || !process::owns_memory() {
        return;
    }
    errno::keep(|| {
        let _ = fence(|| {
            let replaced = table::unbind(new);
            if let Some(tunnel) = table::hold(old).filter(|t| foreign::check(old, t).is_ok()) {
                if let Err(e) = table::bind(new, &tunnel) {
                    log::error!("descriptor {new} is too large to be followed as a tunnel: {e}");
                }
            }
            if let Some(tunnel) = replaced {
                epoll::tunnel_closed(new);
                closed(&tunnel);
            }
            Ok(())
        });
    });
}
