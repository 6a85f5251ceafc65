//! What the calls do on a tunnel. The hooks decide whose call it is; here it is ours.

use crate::config;
use crate::errno::{self, fence};
use crate::foreign;
use crate::net;
use crate::table::{self, Held, OwnTunnels};
use crate::user::OwnMemory;
use memtun_abi::Errno;
use memtun_calls::Place;
use memtun_kernel::policy::Policy;
use memtun_kernel::tun::{AttachOptions, Ioctl, Read, Sink, Source, Tunnel};
use memtun_kernel::Operation;
use memtun_sys as sys;
use memtun_sys::quiet::{self, Extra};
use std::ffi::{c_int, c_ulong, c_void};
use std::sync::atomic::Ordering::Relaxed;

const EBADF: Errno = Errno(libc::EBADF);

/// Opens a special device: its descriptor.
pub fn open(flags: c_int) -> Result<c_int, Errno> {
    let opened = match Tunnel::open(net::join()?, flags) {
        Err(Errno(libc::ENOENT)) if net::is_gone() => Tunnel::open(net::join_anew()?, flags),
        opened => opened,
    };
    let (fd, tunnel) = opened?;
    // In a vfork child the descriptor is its own, but the table is its parent's; the next image adopts it.
    if crate::process::owns_memory() {
        foreign::is_new(fd.raw());
        table::enter(fd.raw(), tunnel)?;
    }
    Ok(fd.into_raw())
}

/// The tunnel behind a descriptor; EBADF when another thread has just closed it.
pub fn hold(fd: c_int) -> Result<Held, Errno> {
    if net::is_leaving() {
        return Err(net::left());
    }
    table::hold(fd).ok_or(EBADF)
}

fn may(tunnel: &Held, forbidden: c_int) -> Result<(), Errno> {
    let flags = tunnel.open_flags();
    let mode = flags & libc::O_ACCMODE;
    // Access mode 3 is for ioctl only, O_PATH not even for that.
    if mode == forbidden || mode == libc::O_ACCMODE || flags & libc::O_PATH != 0 {
        return Err(EBADF);
    }
    Ok(())
}

/// One attempt to read.
pub enum Attempt {
    /// What the call returns.
    Done(Result<usize, Errno>),
    /// Nothing is queued. The tunnel is held; wait and go on with [`after_wait`].
    Wait(Waiting),
}

/// A read that waits.
#[derive(Clone, Copy)]
pub struct Waiting {
    held: u32,
    deletions: u32,
    rounds: u32,
    /// Counted among those who sleep.
    counted: bool,
}

/// Takes a packet if there is one.
#[inline]
pub fn try_read(fd: c_int, sink: Result<impl Sink, Errno>) -> Attempt {
    let mut suspended = None;
    let done = fence(|| {
        let mut sink = sink?;
        let tunnel = hold(fd)?;
        if tunnel.is_due() {
            foreign::check(fd, &tunnel)?;
        }
        let read = may(&tunnel, libc::O_WRONLY).and_then(|()| tunnel.read(fd, &mut sink));
        match read.or_else(|e| foreign::check(fd, &tunnel).and(Err(e)))? {
            Read::Done(n) => Ok(n),
            // Even a read that finds nothing signals on a FIFO with O_ASYNC.
            Read::Empty(_)
                if tunnel.has_signals() && tunnel.open_flags() & libc::O_NONBLOCK != 0 =>
            {
                Err(Errno(libc::EAGAIN))
            }
            Read::Empty(deletions) => {
                let counted = tunnel.sleeps();
                if counted && tunnel.deleted_since(deletions) {
                    tunnel.awake();
                    return Err(Errno(libc::EFAULT));
                }
                suspended = Some(Waiting {
                    held: tunnel.suspend(),
                    deletions,
                    rounds: 0,
                    counted,
                });
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
    /// The bell rang.
    Rang,
    /// With errno, as a wait for a bell may.
    Failed,
    /// As no wait for a bell ends: the descriptor is something else.
    Oddly,
}

/// The wait is over: tries again.
pub fn after_wait(
    fd: c_int,
    waiting: Waiting,
    waited: Waited,
    sink: Result<impl Sink, Errno>,
) -> Attempt {
    let mut again = None;
    let done = fence(|| {
        // SAFETY: suspended by `try_read`, and resumed here once; suspended anew below.
        let tunnel = unsafe { Held::resume(waiting.held) };
        if waiting.counted {
            tunnel.awake();
        }
        if waited == Waited::Oddly && tunnel.still(fd) {
            foreign::check(fd, &tunnel)?;
        }
        let answer = if waited != Waited::Rang {
            Err(Errno(errno::get()))
        } else if tunnel.deleted_since(waiting.deletions) {
            Err(Errno(libc::EFAULT))
        } else {
            match tunnel.read(fd, &mut sink?)? {
                Read::Done(n) => Ok(n),
                Read::Empty(_) if !tunnel.still(fd) => Err(EBADF),
                Read::Empty(deletions) => {
                    // Another reader was quicker, or it is not the bell that rings.
                    foreign::check(fd, &tunnel)?;
                    if waiting.rounds > 8 {
                        // Nobody else can be that quick: the bell holds what is not ours.
                        tunnel.repair(fd);
                    }
                    let rounds = waiting.rounds + 1;
                    let counted = tunnel.sleeps();
                    if counted && tunnel.deleted_since(deletions) {
                        tunnel.awake();
                        return Err(Errno(libc::EFAULT));
                    }
                    again = Some(Waiting {
                        held: tunnel.suspend(),
                        deletions,
                        rounds,
                        counted,
                    });
                    return Ok(0);
                }
            }
        };
        if !tunnel.still(fd) {
            // Closed by another thread while we were in the call: the call kept the tunnel alive.
            closed(&tunnel);
        }
        answer
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
        let written = may(&tunnel, libc::O_RDONLY).and_then(|()| tunnel.write(&source?));
        match written {
            Ok(_) => {}
            Err(Errno(libc::EAGAIN)) => crate::epoll::refused(fd),
            Err(_) => foreign::check(fd, &tunnel)?,
        }
        written
    }))
}

/// Nothing to transfer: the kernel returns before it asks the driver, but not before it looks at the access mode.
pub fn nothing(fd: c_int, forbidden: c_int) -> isize {
    errno::give(fence(|| {
        let tunnel = hold(fd)?;
        foreign::check(fd, &tunnel)?;
        may(&tunnel, forbidden)?;
        Ok(0usize)
    }))
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
        if tunnel.open_flags() & libc::O_PATH != 0 {
            return Err(EBADF);
        }
        let options = AttachOptions {
            link_up: config::get().is_none_or(|c| c.link_up),
        };
        let mut arg = Place {
            memory: &OwnMemory,
            at: arg as usize,
        };
        tunnel.ioctl(fd, request, &mut arg, options, &OwnTunnels)
    });
    match answer {
        Ok(Ioctl::Done(value)) => value,
        Ok(Ioctl::Generic) => {
            let answer = generic();
            if answer == 0 && [libc::FIONBIO as u32, libc::FIOASYNC as u32].contains(&request) {
                errno::keep(|| flags_changed(fd));
            }
            answer
        }
        Err(e) => errno::give::<i32>(Err(e)) as c_int,
    }
}

/// The status flags of a descriptor may have changed: keeps what the driver sees, and what O_ASYNC needs.
pub fn flags_changed(fd: c_int) {
    if !quiet::may(Extra::Flags) {
        return;
    }
    let Ok(tunnel) = hold(fd) else { return };
    let Ok(flags) = sys::fcntl(fd, libc::F_GETFL, 0) else {
        return;
    };
    tunnel.status_flags_are(flags);
    let state = tunnel.state();
    let kept = libc::O_ACCMODE | libc::O_CLOEXEC;
    let before = state.open_flags.load(Relaxed) as c_int;
    let now = before & kept | flags & !kept;
    state.open_flags.store(now as u32, Relaxed);
    if (before ^ now) & libc::O_ASYNC == 0 {
        // The driver is told of changes only; O_ASYNC in open(2) is none.
        return;
    }
    if flags & libc::O_ASYNC != 0 {
        // The driver makes the caller the owner if there is none (f_setown in tun_chr_fasync).
        if sys::fcntl(fd, libc::F_GETOWN, 0) == Ok(0) {
            let _ = sys::fcntl(fd, libc::F_SETOWN, sys::getpid() as usize);
        }
    }
    tunnel.set_signals(flags & libc::O_ASYNC != 0);
}

/// F_GETFL: the bell is open for both directions whatever the program asked for.
pub fn status_flags(fd: c_int, flags: c_int) -> c_int {
    match hold(fd) {
        Ok(tunnel) => flags & !libc::O_ACCMODE | tunnel.open_flags() & libc::O_ACCMODE,
        Err(_) => flags,
    }
}

/// Closes a tunnel's descriptor with `real`.
pub fn close(fd: c_int, real: impl FnOnce() -> c_int) -> c_int {
    let tunnel = table::unbind(fd);
    if tunnel.is_some() {
        crate::epoll::tunnel_closed(fd);
    }
    let answer = real();
    let Some(tunnel) = tunnel else { return answer };
    let before = errno::get();
    let fault = fence(|| {
        closed(&tunnel);
        tunnel.net().call_fault(Operation::Close)
    });
    errno::set(before);
    match fault {
        Err(e) if answer == 0 => errno::give::<i32>(Err(e)) as c_int,
        _ => answer,
    }
}

/// A descriptor of this tunnel is closed: perhaps it was the last.
fn closed(tunnel: &Held) {
    if tunnel.closed(&OwnTunnels) {
        crate::epoll::tunnel_ended(tunnel.inode());
    }
}

/// A descriptor was closed or replaced unseen: its tunnel may have ended with it.
pub fn lost(fd: c_int, tunnel: &Held) {
    crate::epoll::tunnel_closed(fd);
    closed(tunnel);
}

/// Closes a range of descriptors with `real`, which must succeed for the tunnels in it to end.
pub fn close_range(first: u32, last: u32, flags: c_int, real: impl FnOnce() -> c_int) -> c_int {
    if !crate::process::owns_memory() {
        return real();
    }
    // Bound again where the call fails, so nothing is forgotten; a range has few tunnels.
    let mut tunnels: [Option<(c_int, Held)>; 32] = [const { None }; 32];
    let mut more = false;
    for (n, fd) in table::bound_in(first, last).enumerate() {
        match tunnels.get_mut(n) {
            Some(place) => *place = table::unbind(fd).map(|t| (fd, t)),
            None => more = true,
        }
    }
    let answer = if more { 0 } else { real() };
    errno::keep(|| {
        for (fd, tunnel) in tunnels.into_iter().flatten() {
            if answer < 0 {
                let _ = table::bind(fd, &tunnel);
            } else {
                if more {
                    let _ = sys::close(fd);
                }
                crate::epoll::tunnel_closed(fd);
                closed(&tunnel);
            }
        }
    });
    if more {
        // The rest of a range with many tunnels, and at last the range itself.
        return close_range(first, last, flags, real_again(first, last, flags));
    }
    answer
}

fn real_again(first: u32, last: u32, flags: c_int) -> impl FnOnce() -> c_int {
    move || {
        // SAFETY: close_range(2) touches no memory.
        let answer = unsafe {
            sys::syscall(
                libc::SYS_close_range,
                [first as usize, last as usize, flags as usize, 0, 0, 0],
            )
        };
        if answer < 0 {
            errno::set(-answer as i32);
            return -1;
        }
        0
    }
}

/// `new` has become another descriptor of `old` (or of something that is no tunnel): what it was before ends.
pub fn duplicated(old: c_int, new: c_int) {
    if old == new || !crate::process::owns_memory() {
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
                crate::epoll::tunnel_closed(new);
                closed(&tunnel);
            }
            Ok(())
        });
    });
}
