//! What the calls do on a tunnel: open, read, write, ioctl and fcntl, beside what the driver itself
//! does.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::net::{Local, NetDir};
use memtun_kernel::tun::{Argument, AttachOptions, Ioctl, Read, Sink, Source, Tunnel};
use memtun_sys::Fd;
use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;

const EBADF: Errno = Errno(libc::EBADF);
const EFAULT: Errno = Errno(libc::EFAULT);

/// The nets of a program.
pub trait Nets {
    /// A joined net.
    type Net: Deref<Target = NetDir>;
    /// The program's net, made if need be.
    fn join(&self) -> Result<Self::Net, Errno>;
    /// Has the directory of that net been removed?
    fn is_gone(&self) -> bool;
    /// Another net in its place.
    fn join_anew(&self) -> Result<Self::Net, Errno>;
}

/// Opens a special device: the bell, which is the tunnel's descriptor, and the tunnel.
pub fn open<P: Nets>(nets: &P, flags: i32) -> Result<(Fd, Tunnel<P::Net>), Errno> {
    match Tunnel::open(nets.join()?, flags) {
        Err(Errno(libc::ENOENT)) if nets.is_gone() => Tunnel::open(nets.join_anew()?, flags),
        opened => opened,
    }
}

/// May a descriptor with these flags of open(2) transfer data, when `forbidden` is the access mode
/// (O_RDONLY, O_WRONLY) that does not have this direction? Access mode 3 is for ioctl only, O_PATH
/// not even for that.
#[inline]
pub fn may_transfer(open_flags: i32, forbidden: i32) -> Result<(), Errno> {
    let mode = open_flags & libc::O_ACCMODE;
    if mode == forbidden || mode == libc::O_ACCMODE || open_flags & libc::O_PATH != 0 {
        return Err(EBADF);
    }
    Ok(())
}

/// One attempt to read.
#[derive(Debug, PartialEq, Eq)]
pub enum Attempt {
    /// So many bytes were given to the program.
    Done(usize),
    /// Nothing is queued. The program waits on the bell, unless that has O_NONBLOCK, and goes on
    /// with [`read_again`].
    Wait(Pause),
}

/// A read that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    deletions: u32,
    rounds: u32,
    /// Counted among those who sleep.
    counted: bool,
}

impl Pause {
    /// Before a wait for a packet. EFAULT when the interface was deleted since the look that found
    /// none.
    #[inline]
    fn begin<N: Deref<Target = NetDir>>(
        tunnel: &Tunnel<N>,
        deletions: u32,
        rounds: u32,
    ) -> Result<Pause, Errno> {
        let counted = tunnel.sleeps();
        if counted && tunnel.deleted_since(deletions) {
            tunnel.awake();
            return Err(EFAULT);
        }
        Ok(Pause {
            deletions,
            rounds,
            counted,
        })
    }

    /// The wait is over, however it ended. Once for each pause.
    pub fn end<N: Deref<Target = NetDir>>(&self, tunnel: &Tunnel<N>) {
        if self.counted {
            tunnel.awake();
        }
    }
}

/// Takes a packet if there is one. `fd` is a descriptor of the bell in the calling process; in the
/// program itself it is the one that is read.
#[inline]
pub fn read<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    fd: i32,
    sink: &mut impl Sink,
) -> Result<Attempt, Errno> {
    may_transfer(tunnel.open_flags(), libc::O_WRONLY)?;
    match tunnel.read(fd, sink)? {
        Read::Done(n) => Ok(Attempt::Done(n)),
        // Even a read that finds nothing signals on a FIFO with O_ASYNC.
        Read::Empty(_) if tunnel.has_signals() && tunnel.open_flags() & libc::O_NONBLOCK != 0 => {
            Err(Errno(libc::EAGAIN))
        }
        Read::Empty(deletions) => Pause::begin(tunnel, deletions, 0).map(Attempt::Wait),
    }
}

/// The bell rang, and the pause was ended: tries again. Where another reader was quicker, or it is
/// not the bell that rings, `is_same` says whether the descriptor is still this tunnel's.
pub fn read_again<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    fd: i32,
    pause: Pause,
    sink: Result<impl Sink, Errno>,
    is_same: impl FnOnce() -> Result<(), Errno>,
) -> Result<Attempt, Errno> {
    /// So often nobody else is quicker: the bell holds what is not ours.
    const MANY: u32 = 8;
    if tunnel.deleted_since(pause.deletions) {
        return Err(EFAULT);
    }
    match tunnel.read(fd, &mut sink?)? {
        Read::Done(n) => Ok(Attempt::Done(n)),
        Read::Empty(deletions) => {
            is_same()?;
            if pause.rounds > MANY {
                tunnel.repair(fd);
            }
            Pause::begin(tunnel, deletions, pause.rounds + 1).map(Attempt::Wait)
        }
    }
}

/// write(2) and its relatives.
#[inline]
pub fn write<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    source: Result<impl Source, Errno>,
) -> Result<usize, Errno> {
    may_transfer(tunnel.open_flags(), libc::O_RDONLY)?;
    tunnel.write(&source?)
}

/// A read or write of no elements: the kernel returns before it asks the driver, but not before it
/// looks at the access mode. `forbidden` as in [`may_transfer`].
pub fn transfer_nothing<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    forbidden: i32,
) -> Result<usize, Errno> {
    may_transfer(tunnel.open_flags(), forbidden).map(|()| 0)
}

/// ioctl(2). `fd` as for [`read`].
pub fn ioctl<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    fd: i32,
    request: u32,
    argument: &mut impl Argument,
    options: AttachOptions,
    local: &dyn Local,
) -> Result<Ioctl, Errno> {
    if tunnel.open_flags() & libc::O_PATH != 0 {
        return Err(EBADF);
    }
    tunnel.ioctl(fd, request, argument, options, local)
}

/// Does this request, which the kernel handles for every descriptor, change the status flags? Then
/// [`status_flags_changed`].
pub fn changes_status_flags(request: u32) -> bool {
    [libc::FIONBIO as u32, libc::FIOASYNC as u32].contains(&request)
}

/// A descriptor of the program's, as fcntl(2) knows it.
pub trait Descriptor {
    /// F_GETFL.
    fn status_flags(&self) -> Result<i32, Errno>;
    /// F_GETOWN: who gets its signals, 0 for nobody.
    fn owner(&self) -> Result<i32, Errno>;
    /// F_SETOWN: the program itself gets them.
    fn own(&self);
}

/// The status flags of a tunnel's descriptor may have changed: keeps what the driver sees, and what
/// O_ASYNC needs.
pub fn status_flags_changed<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    descriptor: &impl Descriptor,
) {
    const KEPT: i32 = libc::O_ACCMODE | libc::O_CLOEXEC;
    let Ok(flags) = descriptor.status_flags() else {
        return;
    };
    tunnel.status_flags_are(flags);
    let state = tunnel.state();
    let before = state.open_flags.load(Relaxed) as i32;
    let now = before & KEPT | flags & !KEPT;
    state.open_flags.store(now as u32, Relaxed);
    if (before ^ now) & libc::O_ASYNC == 0 {
        // The driver is told of changes only; O_ASYNC in open(2) is none.
        return;
    }
    // The driver makes the caller the owner if there is none (f_setown in tun_chr_fasync).
    if flags & libc::O_ASYNC != 0 && descriptor.owner() == Ok(0) {
        descriptor.own();
    }
    tunnel.set_signals(flags & libc::O_ASYNC != 0);
}

/// What F_GETFL gives: the bell, whose flags these are, is open for both directions whatever the
/// program asked for.
pub fn status_flags<N: Deref<Target = NetDir>>(tunnel: &Tunnel<N>, of_bell: i32) -> i32 {
    of_bell & !libc::O_ACCMODE | tunnel.open_flags() & libc::O_ACCMODE
}
