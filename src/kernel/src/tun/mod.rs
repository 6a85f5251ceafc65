//! The program's side: one open file description of a special device (`struct tun_file`).

mod argument;
mod attach;
pub mod bell;
mod borrowed;
mod current;
mod frame;
mod ioctl;
mod retired;
pub mod room;
mod vnet;

pub use argument::Argument;
pub use attach::AttachOptions;
pub use borrowed::InterfaceRef;
pub use frame::{Sink, Source};
pub use ioctl::Ioctl;
use retired::Retired;

use crate::link::Link;
use crate::net::{NetDir, Refused};
use crate::policy::Policy;
use crate::shm::layout::{Attachment, InterfaceState, TunnelState};
use crate::shm::lock::Patience;
use crate::shm::log::Sort;
use crate::shm::{load_name, Mapped};
use crate::sys::quiet::{may, Extra};
use crate::sys::{self, Fd};
use crate::tun::room::{Refusal, Wait};
use crate::{Errno, Name, Operation, Permission};
use std::ops::Deref;
use std::sync::atomic::{
    fence, AtomicBool, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, SeqCst},
};

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes were given to the program.
    Done(usize),
    /// Nothing is queued: block on the descriptor or say EAGAIN. Carries the tunnel's count of
    /// deletions, for [`Tunnel::deleted_since`].
    Empty(u32),
}

/// How poll(2) sees a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// Unattached: EPOLLERR and nothing else.
    pub error: bool,
    /// A packet is queued.
    pub readable: bool,
    /// The link is up, the send buffer has room, and whoever captures is not behind.
    pub writable: bool,
    /// The link is down: [`Tunnel::link_bell`] tells when it comes up.
    pub link_down: bool,
    /// Not writable because whoever captures is behind: nobody tells when it has read, look again
    /// after a moment.
    pub capturer_behind: bool,
}

/// A tunnel as one process sees it: mapped state, and the mapped interface once it is attached.
pub struct Tunnel<N: Deref<Target = NetDir>> {
    net: N,
    inode: u64,
    state: Mapped<TunnelState>,
    /// Base of the `Mapped<InterfaceState>` that was current at the last look, or null.
    interface: AtomicPtr<u8>,
    /// The mappings that were current before and may still be in use.
    retired: Retired,
    /// Is the calling thread's call the only one on this tunnel in this process, but for those
    /// that wait?
    alone: fn(&Self) -> bool,
    /// Calls that are counted here, see [`Tunnel::call`].
    calls: AtomicU32,
    /// This process has seen O_NONBLOCK on its descriptor.
    never_blocks: AtomicBool,
}

impl<N: Deref<Target = NetDir>> Tunnel<N> {
    /// Opens a special device: a new tunnel and its descriptor. `flags` as for open(2); those that
    /// make no sense on a device get the kernel's errors.
    pub fn open(net: N, flags: i32) -> Result<(Fd, Self), Errno> {
        net.permit_check(Permission::Open)?;
        net.fault_check(Operation::Open, 0)?;
        if flags & libc::O_PATH == 0 {
            if flags & libc::O_TMPFILE == libc::O_TMPFILE || flags & libc::O_DIRECTORY != 0 {
                return Err(Errno(libc::ENOTDIR));
            }
            if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL {
                return Err(Errno(libc::EEXIST));
            }
            if flags & libc::O_DIRECT != 0 {
                return Err(Errno(libc::EINVAL));
            }
        }
        let made = net.create_tunnel(flags);
        let (fd, inode, state) = made.map_err(|e| net.refused(Refused::Open, e))?;
        Ok((
            fd,
            Tunnel {
                net,
                inode,
                state,
                interface: AtomicPtr::default(),
                retired: Retired::default(),
                alone: |_| false,
                calls: AtomicU32::new(0),
                never_blocks: AtomicBool::new(flags & libc::O_NONBLOCK != 0),
            },
        ))
    }

    /// A tunnel that this process got from somebody else (exec, SCM_RIGHTS, fork), by the inode of
    /// its bell.
    pub fn join(net: N, inode: u64) -> Result<Self, Errno> {
        let state = net.tunnel(inode)?;
        Ok(Tunnel {
            net,
            inode,
            state,
            interface: AtomicPtr::default(),
            retired: Retired::default(),
            alone: |_| false,
            calls: AtomicU32::new(0),
            never_blocks: AtomicBool::new(false),
        })
    }

    /// Inode of the bell: the tunnel's identity.
    pub fn inode(&self) -> u64 {
        self.inode
    }
    /// The shared state.
    pub fn state(&self) -> &TunnelState {
        &self.state
    }
    /// The net.
    pub fn net(&self) -> &NetDir {
        &self.net
    }
    /// Flags of open(2), with the access mode that the descriptor itself does not have.
    pub fn open_flags(&self) -> i32 {
        self.state.open_flags.load(Relaxed) as i32
    }
    /// Finds what the next call would otherwise look for in the net's files.
    pub fn prepare(&self) {
        let _ = self.interface();
    }
    /// Name of the interface, None while unattached.
    pub fn name(&self) -> Option<Name> {
        (self.attachment() != Attachment::None).then(|| load_name(&self.state.name))
    }
    /// State of the attachment.
    #[inline]
    pub fn attachment(&self) -> Attachment {
        match self.state.attachment.load(Acquire) {
            1 => Attachment::Attached,
            2 => Attachment::Detached,
            _ => Attachment::None,
        }
    }

    /// The interface that the tunnel is attached to. EBADFD when it is not.
    #[inline]
    pub fn interface(&self) -> Result<InterfaceRef<'_>, Errno> {
        if self.attachment() == Attachment::None {
            return Err(Errno(libc::EBADFD));
        }
        let word = self.interface.load(SeqCst);
        if !word.is_null() {
            // SAFETY: it came from `into_word`, and is unmapped only when no call can have it any
            // more (see `set_interface`) and in drop.
            let interface = unsafe { InterfaceRef::of_word(word) };
            if self.is_current(&interface) {
                return Ok(interface);
            }
        }
        self.find_interface()
    }

    /// A packet for the program, cut to the sink, with its headers. `fd` is the descriptor that the
    /// program read from.
    #[inline]
    pub fn read(&self, fd: i32, sink: &mut impl Sink) -> Result<Read, Errno> {
        let interface = self.interface()?;
        self.net.fault_check(Operation::Read, 0)?;
        if sink.len() == 0 {
            return Ok(Read::Done(0));
        }
        let deletions = self.state.deletions.load(Acquire);
        let lock = self
            .net
            .lock_tunnel(self.inode, &self.state, Patience::Program)?;
        let framing = frame::Framing::of(&interface);
        let read = lock
            .queue()
            .pop(|packet| framing.give(&packet, sink).map(|n| (n, packet.data.len())));
        let Some(given) = read else {
            // The interface may have been deleted since the look above.
            self.interface()?;
            return Ok(Read::Empty(deletions));
        };
        bell::packets_taken(&self.state, fd, self.never_blocks());
        if self.state.room_waiters.load(SeqCst) != 0 {
            self.state.room_event.fetch_add(1, SeqCst);
            sys::futex_wake_all(&self.state.room_event);
        }
        let (n, whole) = given?;
        // One queue: its lock is held, and nobody else counts here.
        let alone = interface.attached.load(Relaxed) == 1;
        count(&interface.stats.tx_packets, 1, alone);
        count(&interface.stats.tx_bytes, whole as u64, alone);
        self.state.last_read.store(n as u32, Relaxed);
        Ok(Read::Done(n))
    }

    /// Makes the bell agree with the queue, whatever somebody who does not know of memtun did to
    /// it.
    pub fn repair(&self, fd: i32) {
        if let Ok(_lock) = self
            .net
            .lock_tunnel(self.inode, &self.state, Patience::Program)
        {
            bell::repair(&self.state, fd);
        }
    }

    /// Was the interface deleted since a read said [`Read::Empty`]? Then the read that blocked
    /// fails with EFAULT, as the kernel's does.
    pub fn deleted_since(&self, deletions: u32) -> bool {
        self.state.deletions.load(Acquire) != deletions
    }

    /// A packet from the program. While somebody captures, a blocking descriptor may wait for the
    /// capturer; one with O_NONBLOCK gets EAGAIN. See `memtun::Capture`.
    #[inline]
    pub fn write(&self, source: &impl Source) -> Result<usize, Errno> {
        let interface = self.interface()?;
        match self.append(&interface, source) {
            Ok(captured) => {
                interface.log.ring();
                if captured {
                    self.net.ring_capturer();
                }
                Ok(source.len())
            }
            Err(refusal) => {
                if self.net.is_captured() && !refusal.behind {
                    self.capture_refused(&interface, source, refusal.errno);
                }
                Err(refusal.errno)
            }
        }
    }

    /// True when somebody captures.
    #[inline]
    fn append(
        &self,
        interface: &Mapped<InterfaceState>,
        source: &impl Source,
    ) -> Result<bool, Refusal> {
        self.net.fault_check(Operation::Write, 0)?;
        let limit = self.net.send_buffer_size.load(Relaxed) as usize;
        if limit != 0 && source.len() > limit {
            return Err(Errno(libc::ENOBUFS).into());
        }
        let packet = frame::Framing::of(interface).take(source)?;
        let stats = &interface.stats;
        let room = self.net.lock_log(interface, packet.len, self.wait());
        let (lock, captured) = room.map_err(|refusal| match refusal.behind {
            // Waiting would not help.
            true if !interface.is_up() => Refusal {
                errno: Errno(libc::EIO),
                ..refusal
            },
            _ => refusal,
        })?;
        lock.log_writer()
            .append(Sort::Written, packet.len, |room| {
                let refused = |e| {
                    stats.rx_dropped.fetch_add(1, Relaxed);
                    e
                };
                source.copy_shared(packet.offset, room).map_err(refused)?;
                packet.check_vnet(room).inspect_err(|_| {
                    stats.rx_frame_errors.fetch_add(1, Relaxed);
                })?;
                let ethertype = packet.ethertype(room).map_err(refused)?;
                if !interface.is_up() {
                    return Err(refused(Errno(libc::EIO)));
                }
                if interface.attached.load(Relaxed) > 1 {
                    let hash = crate::link::flow_hash(|at| room.get(at), interface.is_tap());
                    interface.learn_flow(hash, self.inode);
                }
                Ok(ethertype)
            })?;
        count(&stats.rx_packets, 1, true);
        count(&stats.rx_bytes, packet.len as u64, true);
        Ok(captured)
    }

    /// The capturer sees also what the program could not write; as the network would see it, or
    /// whole if its headers cannot be told.
    #[cold]
    fn capture_refused(
        &self,
        interface: &Mapped<InterfaceState>,
        source: &impl Source,
        refused: Errno,
    ) {
        let packet = frame::Framing::of(interface).take(source).ok();
        let (offset, len) = packet
            .as_ref()
            .map_or((0, source.len()), |p| (p.offset, p.len));
        let Ok((lock, captured)) = self.net.lock_log(interface, len, self.wait()) else {
            return;
        };
        if captured {
            // Bytes that cannot be read are not there to be captured.
            let _ = lock
                .log_writer()
                .append(Sort::WriteRefused(refused), len, |room| {
                    source.copy_shared(offset, room)?;
                    Ok(packet.and_then(|p| p.ethertype(room).ok()).unwrap_or(0))
                });
        }
        drop(lock);
        interface.log.ring();
        self.net.ring_capturer();
    }

    fn wait(&self) -> Wait {
        Wait::of_flags(self.open_flags())
    }

    /// What poll(2) says of the tunnel now. Who is told that it is not writable will be woken when
    /// the link comes up.
    pub fn readiness(&self) -> Readiness {
        let now = self.glance();
        if now.writable || now.error || now.capturer_behind {
            return now;
        }
        self.state.wants_space.store(1, SeqCst);
        // The link may have come up before it could see that.
        self.glance()
    }

    /// The same, for somebody whom nobody needs to wake.
    pub fn glance(&self) -> Readiness {
        let Ok(interface) = self.interface() else {
            return Readiness {
                error: true,
                readable: false,
                writable: false,
                link_down: false,
                capturer_behind: false,
            };
        };
        let detached = self.attachment() == Attachment::Detached;
        let capturer_behind = !detached && self.net.is_capturer_behind(&interface);
        Readiness {
            error: false,
            readable: self.state.ring.queued() > 0,
            writable: (detached || interface.is_writable()) && !capturer_behind,
            link_down: !interface.is_up(),
            capturer_behind,
        }
    }

    /// How often everybody has been woken who was told that there is no room.
    pub fn told_of_room(&self) -> u32 {
        self.state.told_of_space.load(Relaxed)
    }

    /// From now on every packet rings (edge-triggered epoll, O_ASYNC), not only the first of a
    /// burst.
    pub fn ring_always(&self) {
        self.state.ring_always.store(1, Relaxed);
    }

    /// Has the descriptor O_NONBLOCK? Another process may have changed that, which stands in shared
    /// memory then; what stands there alone proves nothing.
    #[inline]
    fn never_blocks(&self) -> bool {
        self.never_blocks.load(Relaxed) && self.open_flags() & libc::O_NONBLOCK != 0
    }

    /// These are the descriptor's status flags now (F_GETFL).
    pub fn status_flags_are(&self, flags: i32) {
        self.never_blocks
            .store(flags & libc::O_NONBLOCK != 0, Relaxed);
    }

    /// Is O_ASYNC in force?
    pub fn has_signals(&self) -> bool {
        self.state.signals.load(Relaxed) & bell::SIGNALS != 0
    }

    /// While O_ASYNC is in force: somebody goes to sleep on the descriptor. False when it is not.
    /// Look again after this whether there is a reason to.
    pub fn sleeps(&self) -> bool {
        let sleeps = self.has_signals();
        if sleeps {
            self.state.signals.fetch_add(bell::SLEEPER, SeqCst);
            // Whoever deletes the interface sees this, or is seen by who looks now.
            fence(SeqCst);
        }
        sleeps
    }

    /// He is awake again.
    pub fn awake(&self) {
        self.state.signals.fetch_sub(bell::SLEEPER, SeqCst);
    }

    /// Somebody may sleep on the descriptor from now on without [`Tunnel::sleeps`] (epoll).
    pub fn sleeps_uncounted(&self) {
        self.state.signals.fetch_or(bell::UNCOUNTED, SeqCst);
    }

    /// O_ASYNC is in force, or not any more.
    pub fn set_signals(&self, on: bool) {
        if on {
            self.state.signals.fetch_or(bell::SIGNALS, SeqCst);
            self.ring_always();
        } else {
            self.state.signals.fetch_and(!bell::SIGNALS, SeqCst);
        }
    }

    /// A descriptor that becomes readable when the link of a tunnel that is down comes up or its
    /// interface goes.
    pub fn link_bell(&self) -> Result<Fd, Errno> {
        if !may(Extra::Files) {
            return Err(Errno(libc::EPERM));
        }
        let interface = self.interface()?;
        let _lock = self.net.lock()?;
        if interface.is_going() {
            // Nobody would take the FIFO away again.
            return Err(Errno(libc::EBADFD));
        }
        let fd = self.net.open_link_bell(&interface)?;
        self.net.ring_link(&interface);
        Ok(fd)
    }

    /// Call after a descriptor of the tunnel has been closed: if it was the last, the tunnel ends,
    /// and its interface with it unless it is persistent. False while others hold it, and in a
    /// sandbox that the process has entered: whoever looks next clears up.
    pub fn closed(&self, local: &dyn crate::net::Local) -> bool {
        if !may(Extra::Files) {
            // A process that forbids itself everything; whoever looks next finds the tunnel dead.
            return false;
        }
        let Ok(_lock) = self.net.lock() else {
            return false;
        };
        self.net.forget_numbers();
        self.net.reap_tunnel(self.inode, local)
    }
}

/// Adds to a counter; `alone` when a lock keeps every other counter of it away, which saves the
/// locked instruction.
#[inline]
fn count(counter: &AtomicU64, n: u64, alone: bool) {
    if alone {
        counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
    } else {
        counter.fetch_add(n, Relaxed);
    }
}

impl<N: Deref<Target = NetDir>> Drop for Tunnel<N> {
    fn drop(&mut self) {
        let base = std::mem::replace(self.interface.get_mut(), std::ptr::null_mut());
        if !base.is_null() {
            // SAFETY: from `into_word`, and nobody else has this value.
            drop(unsafe { Mapped::<InterfaceState>::from_word(base) });
        }
    }
}
