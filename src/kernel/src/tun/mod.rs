//! The program's side of a tunnel: one open file description of a special device (`struct
//! tun_file`).

mod attach;
pub mod bell;
mod borrowed;
mod current;
pub mod filter;
mod frame;
mod ioctl;
mod retired;
pub mod room;
mod vnet;

pub use attach::AttachOptions;
pub use borrowed::InterfaceRef;
pub use frame::{Sink, Source};
pub use ioctl::Ioctl;
use retired::Retired;

use crate::busy;
use crate::link::{Link, Taught};
use crate::net::{NetDir, Refused};
use crate::policy::Policy;
use crate::shm::layout::{Attachment, InterfaceState, NetState, TunnelState};
use crate::shm::lock::Patience;
use crate::shm::log::Sort;
use crate::shm::{load_name, Mapped, TunnelGuard};
use crate::sys::quiet::{may, Extra};
use crate::sys::{self, Fd};
use crate::tun::room::{Refusal, Wait};
use crate::{Errno, Name, Operation, Permission};
use std::ops::Deref;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{fence, AtomicBool, AtomicPtr, AtomicU32, AtomicU64};

/// What a read from a tunnel found.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes were given to the program.
    Done(usize),
    /// Nothing is queued: the caller blocks on the descriptor or answers EAGAIN. The number is the
    /// tunnel's count of deletions, for [`Tunnel::deleted_since`].
    Empty(u32),
}

/// What poll(2) reports about a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// The tunnel is unattached: poll reports EPOLLERR and nothing else.
    pub error: bool,
    /// A packet is queued.
    pub readable: bool,
    /// The link is up, the send buffer has room, and whoever captures is not behind.
    pub writable: bool,
    /// The link is down: [`Tunnel::link_bell`] tells when it comes up.
    pub link_down: bool,
    /// The tunnel is not writable because whoever captures is behind. Nobody is told when the
    /// capturer has read, so look again after a moment.
    pub capturer_behind: bool,
}

/// A tunnel as one process sees it: its mapped state, and the mapped interface once it is attached.
pub struct Tunnel<N: Deref<Target = NetDir>> {
    net: N,
    inode: u64,
    state: Mapped<TunnelState>,
    /// Base of the `Mapped<InterfaceState>` that was current at the last look, or null.
    interface: AtomicPtr<u8>,
    /// The mappings that were current before and may still be in use.
    retired: Retired,
    /// Says whether the calling thread's call is the only one on this tunnel in this process,
    /// apart from those that wait.
    alone: fn(&Self) -> bool,
    /// Number of calls that are counted here, see [`Tunnel::call`].
    calls: AtomicU32,
    /// What was last taught of the flows that the program writes.
    taught: Taught,
    /// Has this process seen O_NONBLOCK on its descriptor?
    never_blocks: AtomicBool,
}

impl<N: Deref<Target = NetDir>> Tunnel<N> {
    fn new(net: N, inode: u64, state: Mapped<TunnelState>, never_blocks: bool) -> Self {
        Tunnel {
            net,
            inode,
            state,
            interface: AtomicPtr::default(),
            retired: Retired::default(),
            alone: |_| false,
            calls: AtomicU32::new(0),
            taught: Taught::default(),
            never_blocks: AtomicBool::new(never_blocks),
        }
    }

    /// Opens a special device: makes a new tunnel and its descriptor, which the caller owns.
    /// `flags` are those of open(2).
    ///
    /// # Errors
    ///
    /// - EPERM when the net does not permit opening, and the errno of a fault.
    /// - ENOTDIR, EEXIST or EINVAL for flags that make no sense on a device, as in the kernel.
    /// - What making the tunnel's files fails with, see [`NetDir::refused`].
    pub fn open(net: N, flags: i32) -> Result<(Fd, Self), Errno> {
        net.permit_check(Permission::Open)?;
        net.fault_check(Operation::Open, 0)?;
        if flags & libc::O_PATH == 0 {
            // What open(2) refuses whatever the file is.
            let temporary = flags & libc::O_TMPFILE == libc::O_TMPFILE;
            let unwritten = temporary && flags & libc::O_ACCMODE == libc::O_RDONLY;
            let made = flags & libc::O_DIRECTORY != 0 && flags & libc::O_CREAT != 0;
            if unwritten || made {
                return Err(Errno(libc::EINVAL));
            }
            if temporary || flags & libc::O_DIRECTORY != 0 {
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
            Tunnel::new(net, inode, state, flags & libc::O_NONBLOCK != 0),
        ))
    }

    /// Joins a tunnel that this process got from another one (exec, SCM_RIGHTS, fork), by the inode
    /// of its bell.
    ///
    /// # Errors
    ///
    /// The same as [`NetDir::tunnel`].
    pub fn join(net: N, inode: u64) -> Result<Self, Errno> {
        let state = net.tunnel(inode)?;
        Ok(Tunnel::new(net, inode, state, false))
    }

    /// Returns the inode of the bell, which identifies the tunnel.
    pub fn inode(&self) -> u64 {
        self.inode
    }
    /// Returns the tunnel's shared state.
    pub fn state(&self) -> &TunnelState {
        &self.state
    }
    /// Returns the net of the tunnel.
    pub fn net(&self) -> &NetDir {
        &self.net
    }
    /// Returns the flags of open(2), with the access mode that the program gave; the bell itself is
    /// always open for reading and writing.
    pub fn open_flags(&self) -> i32 {
        self.state.open_flags.load(Relaxed) as i32
    }
    /// Maps the interface now, so that the next call does not have to look for it in the net's
    /// files.
    pub fn prepare(&self) {
        let _ = self.interface();
    }
    /// Returns the name of the interface, or None while unattached.
    pub fn name(&self) -> Option<Name> {
        (self.attachment() != Attachment::None).then(|| load_name(&self.state.name))
    }
    /// Returns the state of the attachment.
    #[inline]
    pub fn attachment(&self) -> Attachment {
        match self.state.attachment.load(Acquire) {
            1 => Attachment::Attached,
            2 => Attachment::Detached,
            _ => Attachment::None,
        }
    }

    /// Returns the interface that the tunnel is attached to.
    ///
    /// # Errors
    ///
    /// EBADFD when the tunnel is not attached, and what mapping the interface fails with.
    #[inline]
    pub fn interface(&self) -> Result<InterfaceRef<'_>, Errno> {
        if self.attachment() == Attachment::None {
            return Err(Errno(libc::EBADFD));
        }
        match self.known_interface() {
            Some(interface) => Ok(interface),
            None => self.find_interface(),
        }
    }

    /// Returns the interface that is mapped, if it is the one that the tunnel is attached to.
    #[inline(always)]
    fn known_interface(&self) -> Option<InterfaceRef<'_>> {
        let word = self.interface.load(SeqCst);
        if word.is_null() {
            return None;
        }
        // SAFETY: the word came from `into_word`, and is unmapped only when no call can have it
        // any more (see `set_interface`) and in drop.
        let interface = unsafe { InterfaceRef::of_word(word) };
        self.is_current(&interface).then_some(interface)
    }

    /// Gives the program the next inbound packet with its headers, cut to the length of the sink.
    /// `fd` is the descriptor that the program read from.
    ///
    /// # Errors
    ///
    /// - EBADFD when the tunnel is not attached.
    /// - The errno of a fault on read.
    /// - EAGAIN when the tunnel's lock is not released in time.
    /// - EINVAL when the sink is too short for the headers, EFAULT when it is not writable.
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
        let Some(given) = self.pop(&lock, &interface, &framing, fd, sink) else {
            // The interface may have been deleted since it was borrowed above; then the bell has to
            // go on ringing.
            self.interface()?;
            bell::packets_taken(&self.state, fd, self.never_blocks());
            return Ok(Read::Empty(deletions));
        };
        drop(lock);
        tell_of_room(&self.state);
        given.map(Read::Done)
    }

    /// Does what [`Tunnel::read`] does for a packet that lies there, where nothing but the packet
    /// itself is to be given and nobody is to be waited for. Returns also whether the packet was
    /// the last one, so that the bell may ring on, see [`Tunnel::is_bell_stale`]. None says nothing
    /// but that [`Tunnel::read`] is to be asked.
    ///
    /// # Errors
    ///
    /// The errno of a fault on read.
    #[inline(always)]
    pub fn read_at_once(&self, sink: &mut impl Sink) -> Option<Result<(usize, bool), Errno>> {
        let (state, net): (&TunnelState, &NetState) = (&self.state, &self.net);
        // A tunnel that is not attached has no interface that is current.
        let interface = self.known_interface()?;
        let interface: &InterfaceState = &interface;
        if !frame::is_bare(interface) || sink.is_empty() {
            return None;
        }
        let lock = self.net.lock_tunnel_at_once(&self.state)?;
        if bell::is_exact(state) || net.exact_bell.load(Relaxed) != 0 {
            lock.release();
            return None;
        }
        let queue = lock.queue();
        let Some(front) = queue.front() else {
            lock.release();
            return None;
        };
        // Nothing else is in the way, so this call counts here.
        if let Err(e) = net.fault_check(Operation::Read, 0) {
            lock.release();
            return Some(Err(e));
        }
        let data = front.packet.data;
        let given = frame::give_bytes(data, sink, 0);
        count_read(interface, state, given, data.len());
        let was_last = queue.remove(front);
        lock.release();
        tell_of_room(state);
        Some(Ok((given, was_last)))
    }

    /// Gives the program the packet at the head of the queue, and counts it; None when there is
    /// none.
    #[inline(always)]
    fn pop(
        &self,
        lock: &TunnelGuard<'_>,
        interface: &InterfaceState,
        framing: &frame::Framing,
        fd: i32,
        sink: &mut impl Sink,
    ) -> Option<Result<usize, Errno>> {
        let (given, whole) = lock
            .queue()
            .pop(|packet| (framing.give(&packet, sink), packet.data.len()))?;
        if bell::is_stale(&self.state) && self.is_bell_exact() {
            bell::silence(&self.state, fd, self.never_blocks());
        }
        if let Ok(n) = given {
            count_read(interface, &self.state, n, whole);
        }
        Some(given)
    }

    /// Must the bell fall silent with the last packet, because somebody may wait for the tunnel in
    /// a way that takes no stale byte out?
    fn is_bell_exact(&self) -> bool {
        bell::is_exact(&self.state) || self.net.exact_bell.load(Relaxed) != 0
    }

    /// Does the bell ring although nothing is queued? Whoever waits for the tunnel next calls
    /// [`Tunnel::settle`] before.
    #[inline]
    pub fn is_bell_stale(&self) -> bool {
        bell::is_stale(&self.state)
    }

    /// Silences the bell if nothing is queued. A thread that is in a call on this tunnel already,
    /// below a signal handler, leaves it as it is, and so does one that finds no interface: the
    /// bell of a tunnel whose interface was deleted has to ring.
    #[inline]
    pub fn settle(&self, fd: i32) {
        if bell::is_stale(&self.state) {
            self.settle_now(fd);
        }
    }

    /// Does the same, and waits for whoever takes the last packet now and has not seen that the
    /// bell is to be exact.
    #[cold]
    #[inline(never)]
    fn settle_now(&self, fd: i32) {
        let Ok(_lock) = self
            .net
            .lock_tunnel(self.inode, &self.state, Patience::Program)
        else {
            return;
        };
        if self.attachment() != Attachment::None {
            bell::packets_taken(&self.state, fd, self.never_blocks());
        }
    }

    /// Waits until a packet that is on its way is queued: its bell rings before. A thread that is
    /// in a call on this tunnel already, below a signal handler, does not wait.
    pub fn await_queued(&self) {
        let lock = self
            .net
            .lock_tunnel(self.inode, &self.state, Patience::Program);
        drop(lock);
    }

    /// Makes the bell of this tunnel fall silent with each last packet from now on.
    pub fn be_exact(&self, fd: i32) {
        self.state.exact_bell.store(1, SeqCst);
        self.settle_now(fd);
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

    /// Was the interface deleted since a read returned [`Read::Empty`]? If so, the read that
    /// blocked fails with EFAULT, as the kernel's does.
    pub fn deleted_since(&self, deletions: u32) -> bool {
        self.state.deletions.load(Acquire) != deletions
    }

    /// Takes an outbound packet from the program, and returns its length with the headers. While
    /// somebody captures, a blocking descriptor may wait for the capturer, and one with O_NONBLOCK
    /// gets EAGAIN; see `memtun::Capture`.
    ///
    /// # Errors
    ///
    /// - EBADFD when the tunnel is not attached.
    /// - The errno of a fault on write.
    /// - ENOBUFS when the packet is longer than the net's send buffer, or the file system has no
    ///   room for it.
    /// - EINVAL when the headers are wrong or the ethertype cannot be told.
    /// - EIO when the link is down.
    /// - EFAULT when the source is not readable.
    /// - EAGAIN when the capturer is behind or the interface's lock is not released in time.
    #[inline]
    pub fn write(&self, source: &impl Source) -> Result<usize, Errno> {
        let interface = self.interface()?;
        match self.append(&interface, source) {
            Ok(captured) => {
                busy::note_here(&interface.written_on);
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

    /// Appends the packet to the log. Returns whether somebody captures.
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
            // Waiting for the capturer would not help, because the link is down.
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
                    self.taught.teach(interface, self.inode, room);
                }
                Ok(ethertype)
            })?;
        count(&stats.rx_packets, 1, true);
        count(&stats.rx_bytes, packet.len as u64, true);
        Ok(captured)
    }

    /// Shows the capturer a packet that the program could not write: as the network would see it,
    /// or whole if its headers make no sense.
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
            // Bytes that cannot be read are not there to be captured, so a failure is ignored.
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

    /// Returns what poll(2) reports about the tunnel now. A caller that is told that it is not
    /// writable will be woken when the link comes up.
    pub fn readiness(&self) -> Readiness {
        let now = self.glance();
        if now.writable || now.error || now.capturer_behind {
            return now;
        }
        self.state.wants_space.store(1, SeqCst);
        // The link may have come up before `wants_space` was seen, so this looks once more.
        self.glance()
    }

    /// Returns the same as [`Tunnel::readiness`], for a caller that does not need to be woken.
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
            writable: match detached {
                true => interface.is_up(),
                false => interface.is_writable() && !capturer_behind,
            },
            link_down: !interface.is_up(),
            capturer_behind,
        }
    }

    /// Is a packet queued that a read would get? Whoever asks only that needs no more than this.
    #[inline]
    pub fn has_packet(&self) -> bool {
        self.state.ring.queued() > 0 && self.interface().is_ok()
    }

    /// Returns how often everybody has been woken who was told that there is no room.
    pub fn told_of_room(&self) -> u32 {
        self.state.told_of_space.load(Relaxed)
    }

    /// Makes every packet ring from now on, not only the first of a burst. Edge-triggered epoll and
    /// O_ASYNC need that. A byte that is left over is taken out, because it would be an edge.
    pub fn ring_always(&self, fd: i32) {
        self.state.ring_always.store(1, SeqCst);
        self.settle_now(fd);
    }

    /// Does the descriptor have O_NONBLOCK? Another process may have changed that, which shared
    /// memory says then. What shared memory says alone proves nothing.
    #[inline]
    fn never_blocks(&self) -> bool {
        self.never_blocks.load(Relaxed) && self.open_flags() & libc::O_NONBLOCK != 0
    }

    /// Notes the status flags that the descriptor has now (F_GETFL).
    pub fn status_flags_are(&self, flags: i32) {
        self.never_blocks
            .store(flags & libc::O_NONBLOCK != 0, Relaxed);
    }

    /// Is O_ASYNC in force?
    pub fn has_signals(&self) -> bool {
        self.state.signals.load(Relaxed) & bell::SIGNALS != 0
    }

    /// Counts a thread that goes to sleep on the descriptor while O_ASYNC is in force. Returns
    /// false, and counts nothing, when it is not. The caller must look after this whether it still
    /// has a reason to sleep.
    pub fn sleeps(&self) -> bool {
        let sleeps = self.has_signals();
        if sleeps {
            self.state.signals.fetch_add(bell::SLEEPER, SeqCst);
            // Whoever deletes the interface sees this count, or the thread that looks now sees the
            // deletion.
            fence(SeqCst);
        }
        sleeps
    }

    /// Ends what a [`Tunnel::sleeps`] that returned true began: the thread is awake again.
    pub fn awake(&self) {
        self.state.signals.fetch_sub(bell::SLEEPER, SeqCst);
    }

    /// Notes that somebody may sleep on the descriptor from now on without [`Tunnel::sleeps`]
    /// (epoll).
    pub fn sleeps_uncounted(&self) {
        self.state.signals.fetch_or(bell::UNCOUNTED, SeqCst);
    }

    /// Notes whether O_ASYNC is in force.
    pub fn set_signals(&self, on: bool, fd: i32) {
        if on {
            // O_ASYNC is in force already, so a byte that is taken out has to be so silently.
            self.state.signals.fetch_or(bell::SIGNALS, SeqCst);
            self.ring_always(fd);
        } else {
            self.state.signals.fetch_and(!bell::SIGNALS, SeqCst);
        }
    }

    /// Opens a descriptor that becomes readable when the link of a tunnel that is down comes up, or
    /// when its interface goes. The caller owns it.
    ///
    /// # Errors
    ///
    /// - EPERM in a sandbox that does not allow opening files.
    /// - EBADFD when the tunnel is not attached or its interface is going.
    /// - EAGAIN when the net's lock is not released in time.
    pub fn link_bell(&self) -> Result<Fd, Errno> {
        if !may(Extra::Files) {
            return Err(Errno(libc::EPERM));
        }
        let interface = self.interface()?;
        let _lock = self.net.lock()?;
        if interface.is_going() {
            // Nobody would remove the FIFO again.
            return Err(Errno(libc::EBADFD));
        }
        let fd = self.net.open_link_bell(&interface)?;
        self.net.ring_link(&interface);
        Ok(fd)
    }

    /// Clears up after a descriptor of the tunnel has been closed. If it was the last one, the
    /// tunnel ends, and its interface ends with it unless it is persistent. Returns false while
    /// others hold a descriptor, and in a sandbox that the process has entered: whoever looks next
    /// clears up.
    pub fn closed(&self, local: &dyn crate::net::Local) -> bool {
        if !may(Extra::Files) {
            // The process forbids itself to open files; whoever looks next finds the tunnel dead.
            return false;
        }
        let Ok(_lock) = self.net.lock() else {
            return false;
        };
        self.net.forget_numbers();
        self.net.reap_tunnel(self.inode, local)
    }
}

/// Counts a packet of `whole` bytes of which the program got `n`. The caller holds the lock.
#[inline(always)]
fn count_read(interface: &InterfaceState, tunnel: &TunnelState, n: usize, whole: usize) {
    // With one queue, whose lock is held, nobody else counts here.
    let alone = interface.attached.load(Relaxed) == 1;
    count(&interface.stats.tx_packets, 1, alone);
    count(&interface.stats.tx_bytes, whole as u64, alone);
    tunnel.last_read.store(n as u32, Relaxed);
}

/// Wakes those who wait for room, after a packet was taken and the lock released: this look comes
/// behind that step, so that whoever was counted before he saw a full queue is seen here.
#[inline(always)]
fn tell_of_room(tunnel: &TunnelState) {
    #[cold]
    extern "C" fn tell(state: &TunnelState) {
        state.room_event.fetch_add(1, SeqCst);
        sys::futex_wake_all(&state.room_event);
    }
    if tunnel.room_waiters.load(SeqCst) != 0 {
        tell(tunnel);
    }
}

/// Adds to a counter. `alone` says that a lock keeps every other writer of the counter away, which
/// saves the locked instruction.
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
            // SAFETY: the word came from `into_word`, and `&mut self` says that no call can have
            // it.
            drop(unsafe { Mapped::<InterfaceState>::from_word(base) });
        }
    }
}
