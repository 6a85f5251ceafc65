//! What calls do on a tunnel besides what the driver itself does: open, read, write, ioctl and
//! fcntl.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::net::{Local, NetDir};
use memtun_kernel::tun::{AttachOptions, Ioctl, Read, Sink, Source, Tunnel};
use memtun_kernel::Argument;
use memtun_sys::Fd;
use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;

const EBADF: Errno = Errno(libc::EBADF);
const EFAULT: Errno = Errno(libc::EFAULT);

/// Gives access to the net of a program.
pub trait Nets {
    /// A joined net.
    type Net: Deref<Target = NetDir>;
    /// Joins the program's net, which is made if there is none.
    ///
    /// # Errors
    ///
    /// The errno of [`NetDir::join`].
    fn join(&self) -> Result<Self::Net, Errno>;
    /// Has the directory of that net been removed?
    fn is_gone(&self) -> bool;
    /// Joins another net in the place of one that was removed.
    ///
    /// # Errors
    ///
    /// The errno of [`NetDir::join`].
    fn join_anew(&self) -> Result<Self::Net, Errno>;
}

/// Opens a special device. Returns the bell, which is the tunnel's descriptor and belongs to the
/// caller, and the tunnel.
///
/// # Errors
///
/// What joining the net or [`Tunnel::open`] fails with.
pub fn open<P: Nets>(nets: &P, flags: i32) -> Result<(Fd, Tunnel<P::Net>), Errno> {
    match Tunnel::open(nets.join()?, flags) {
        Err(Errno(libc::ENOENT)) if nets.is_gone() => Tunnel::open(nets.join_anew()?, flags),
        opened => opened,
    }
}

/// May a descriptor with these flags of open(2) transfer data, when `forbidden` is the access mode
/// (O_RDONLY, O_WRONLY) that does not have this direction? Access mode 3 allows only ioctl, and
/// O_PATH not even that.
///
/// # Errors
///
/// EBADF when it may not.
#[inline]
pub fn may_transfer(open_flags: i32, forbidden: i32) -> Result<(), Errno> {
    let mode = open_flags & libc::O_ACCMODE;
    if mode == forbidden || mode == libc::O_ACCMODE || open_flags & libc::O_PATH != 0 {
        return Err(EBADF);
    }
    Ok(())
}

/// Do these flags of open(2) allow both directions?
#[inline]
pub fn is_read_write(open_flags: i32) -> bool {
    open_flags & (libc::O_ACCMODE | libc::O_PATH) == libc::O_RDWR
}

/// What one attempt to read found.
#[derive(Debug, PartialEq, Eq)]
pub enum Attempt {
    /// This many bytes were given to the program.
    Done(usize),
    /// Nothing is queued. The program waits on the bell, unless that has O_NONBLOCK, and goes on
    /// with [`read_again`].
    Wait(Pause),
}

/// The state of a read that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    deletions: u32,
    rounds: u32,
    /// Is the thread counted among those that sleep?
    counted: bool,
}

impl Pause {
    /// Begins to wait for a packet. EFAULT says that the interface was deleted since the look that
    /// found no packet.
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

    /// Ends the wait, whatever ended it. The caller must call this once for each pause.
    pub fn end<N: Deref<Target = NetDir>>(&self, tunnel: &Tunnel<N>) {
        if self.counted {
            tunnel.awake();
        }
    }
}

/// Takes an inbound packet if there is one. `fd` is a descriptor of the bell in the calling
/// process; in the program itself it is the one that is read.
///
/// # Errors
///
/// - EBADF when the access mode does not allow reading.
/// - EAGAIN when nothing is queued and the descriptor has O_NONBLOCK and O_ASYNC.
/// - EFAULT when the interface was deleted meanwhile.
/// - What [`Tunnel::read`] fails with.
#[inline]
pub fn read<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    fd: i32,
    sink: &mut impl Sink,
) -> Result<Attempt, Errno> {
    may_transfer(tunnel.open_flags(), libc::O_WRONLY)?;
    match tunnel.read(fd, sink)? {
        Read::Done(n) => Ok(Attempt::Done(n)),
        // On a FIFO with O_ASYNC even a read that finds nothing would raise a signal.
        Read::Empty(_) if tunnel.has_signals() && tunnel.open_flags() & libc::O_NONBLOCK != 0 => {
            Err(Errno(libc::EAGAIN))
        }
        Read::Empty(deletions) => Pause::begin(tunnel, deletions, 0).map(Attempt::Wait),
    }
}

/// Tries again after the bell rang and the pause was ended. Where another reader was quicker, or
/// something else rings, `is_same` says whether the descriptor is still this tunnel's.
///
/// # Errors
///
/// - EFAULT when the interface was deleted while the read waited.
/// - The errno of `sink` or `is_same`.
/// - What [`Tunnel::read`] fails with.
pub fn read_again<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    fd: i32,
    pause: Pause,
    sink: Result<impl Sink, Errno>,
    is_same: impl FnOnce() -> Result<(), Errno>,
) -> Result<Attempt, Errno> {
    /// Number of rounds in which another reader may be quicker. After more the bell must hold bytes
    /// that are not memtun's.
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

/// Carries out write(2) and its relatives with an outbound packet, and returns how many bytes were
/// written.
///
/// # Errors
///
/// - EBADF when the access mode does not allow writing.
/// - The errno of `source`.
/// - What [`Tunnel::write`] fails with.
#[inline]
pub fn write<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    source: Result<impl Source, Errno>,
) -> Result<usize, Errno> {
    may_transfer(tunnel.open_flags(), libc::O_RDONLY)?;
    tunnel.write(&source?)
}

/// Carries out a read or write of no elements: the kernel returns before it asks the driver, but
/// not before it checks the access mode. `forbidden` is the one of [`may_transfer`].
///
/// # Errors
///
/// EBADF when the access mode does not allow the transfer.
pub fn transfer_nothing<N: Deref<Target = NetDir>>(
    tunnel: &Tunnel<N>,
    forbidden: i32,
) -> Result<usize, Errno> {
    may_transfer(tunnel.open_flags(), forbidden).map(|()| 0)
}

/// Carries out ioctl(2). `fd` is the same as for [`read`].
///
/// # Errors
///
/// EBADF for a descriptor with O_PATH, and what [`Tunnel::ioctl`] fails with.
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

/// Does this request, which the kernel handles for every descriptor, change the status flags? If
/// so, the back end calls [`status_flags_changed`] after it.
pub fn changes_status_flags(request: u32) -> bool {
    [libc::FIONBIO as u32, libc::FIOASYNC as u32].contains(&request)
}

/// Does this request change something of the link that the host of the net tells others of at once?
/// (What it tells only when it is asked, such as the type, it looks at then.) If so,
/// the back end calls [`links_changed`](crate::host::links_changed) after it.
pub fn changes_link(request: u32) -> bool {
    use memtun_abi::uapi::*;
    matches!(
        request,
        TUNSETIFF | TUNSETPERSIST | TUNSETCARRIER | TUNSETQUEUE | SIOCSIFHWADDR
    )
}

/// A descriptor of the program, as fcntl(2) knows it.
pub trait Descriptor {
    /// Returns its number.
    fn number(&self) -> i32;
    /// Returns the status flags (F_GETFL).
    ///
    /// # Errors
    ///
    /// What fcntl(2) fails with.
    fn status_flags(&self) -> Result<i32, Errno>;
    /// Returns who gets the descriptor's signals, 0 for nobody (F_GETOWN).
    ///
    /// # Errors
    ///
    /// What fcntl(2) fails with.
    fn owner(&self) -> Result<i32, Errno>;
    /// Makes the program itself get the descriptor's signals (F_SETOWN).
    fn own(&self);
}

/// Takes over the status flags of a tunnel's descriptor, which may have changed: what the driver
/// sees of them, and what O_ASYNC needs.
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
        // The driver is told of changes only, and O_ASYNC in open(2) is none.
        return;
    }
    // The driver makes the caller the owner if there is none (f_setown in tun_chr_fasync).
    if flags & libc::O_ASYNC != 0 && descriptor.owner() == Ok(0) {
        descriptor.own();
    }
    tunnel.set_signals(flags & libc::O_ASYNC != 0, descriptor.number());
}

/// Returns what F_GETFL gives. The flags are those of the bell (`of_bell`), which is open for both
/// directions whatever the program asked for, so the access mode is replaced.
pub fn status_flags<N: Deref<Target = NetDir>>(tunnel: &Tunnel<N>, of_bell: i32) -> i32 {
    of_bell & !libc::O_ACCMODE | tunnel.open_flags() & libc::O_ACCMODE
}
