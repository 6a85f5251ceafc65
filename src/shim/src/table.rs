//! Which descriptors of this process are tunnels or sockets of rtnetlink: a cache of what the
//! kernel knows.
//!
//! There is one word per descriptor number, so that a call on any other descriptor costs one load
//! and a branch: no lock and no system call, and it is safe in a signal handler. The words lead to
//! slots, which count their users and are reused but never unmapped. So a thread that is still in a
//! call on a descriptor that another thread closes holds valid memory.

use crate::cells::{Cell, Places};
use crate::{concern, gate, process};
use memtun_abi::Errno;
use memtun_kernel::net::{Local, NetDir};
use memtun_kernel::tun::Tunnel;
use memtun_sys as sys;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// A tunnel of this process.
pub type ProcessTunnel = Tunnel<&'static NetDir>;

/// The default of fs.nr_open: no descriptor is larger unless the administrator raised it.
const NUMBERS: usize = 1 << 20;
const SLOTS_PER_CHUNK: usize = 64;
const CHUNKS: usize = 4096;

/// Number of descriptors whose words lie in one piece. A piece is mapped when the first of its
/// descriptors is a tunnel, so that a process without a tunnel has none; that counts where memory
/// is locked.
const PIECE: usize = 4096;
static WORDS: [AtomicPtr<AtomicU32>; NUMBERS / PIECE] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; NUMBERS / PIECE];
static SLOTS: [AtomicPtr<Slot>; CHUNKS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS];
/// The slots, by the inodes of their tunnels. Inodes follow each other, so those of few tunnels
/// fall into few pieces, of which only those are mapped that are needed.
static BY_INODE: [AtomicPtr<Cell>; 128] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 128];
/// Number of cells in such a piece.
const CELLS: usize = 512;
/// No slot below this one is free, as far as is known.
static FIRST_FREE: AtomicU32 = AtomicU32::new(0);
/// Number of descriptors that are bound now.
static BOUND: AtomicU32 = AtomicU32::new(0);
/// Upper bound of the bound descriptors' numbers.
static HIGHEST: AtomicU32 = AtomicU32::new(0);

/// The word of a descriptor that is a netlink socket.
const NETLINK: u32 = 1 << 31;
/// The word of a descriptor that is a socket of UDP in a net that has addresses.
const DATAGRAMS: u32 = NETLINK | 1;
/// The word of a descriptor that is a packet socket or a raw one on the net's interfaces.
const PACKETS: u32 = DATAGRAMS | 2;
/// Bits of the word of a descriptor that is one of a file or a directory of the net's view (see the
/// module `view`).
const MARK: u32 = 1 << 30 | NETLINK;
/// Number of descriptors that are marked now.
static MARKED: AtomicU32 = AtomicU32::new(0);

/// What is known of a descriptor of the view.
pub mod mark {
    /// It may be read.
    pub const READS: u32 = 1;
    /// It may be written.
    pub const WRITES: u32 = 2;
    /// It is a directory.
    pub const DIRECTORY: u32 = 4;
    /// Its text could be made when it was opened.
    pub const MADE: u32 = 8;
    /// Its offset was set by lseek(2), so that the next read makes the text anew.
    pub const SOUGHT: u32 = 16;
    /// It was read.
    pub const SEEN: u32 = 32;
    /// An epoll instance waits for another file in its place.
    pub const WATCHED: u32 = 64;
}

const FREE: u32 = 0;
const CLAIMED: u32 = 1 << 31;

struct Slot {
    /// Number of descriptors and calls that use the tunnel; CLAIMED while the slot is filled or
    /// emptied.
    users: AtomicU32,
    /// Number of the users that are descriptors.
    names: AtomicU32,
    /// Rises when a descriptor stops being this tunnel's, or a call has waited.
    changes: AtomicU32,
    /// Number of the users that are calls which wait.
    waiting: AtomicU32,
    /// A descriptor bound to the tunnel, as far as known, for ringing its bell.
    some_fd: AtomicU32,
    /// Number of calls made on the tunnel, roughly: see [`Held::is_due`].
    calls: AtomicU32,
    /// The file system of the tunnel's bell; 0 when that could not be found out.
    device: AtomicU64,
    /// The tunnel's inode, under which the slot is found.
    inode: AtomicU64,
    tunnel: UnsafeCell<MaybeUninit<ProcessTunnel>>,
}

#[inline(always)]
fn slot(index: u32) -> Option<&'static Slot> {
    let index = index as usize;
    let chunk = SLOTS.get(index / SLOTS_PER_CHUNK)?.load(Acquire);
    if chunk.is_null() {
        return None;
    }
    // SAFETY: a chunk is a mapping of SLOTS_PER_CHUNK zeroed slots (which is a valid state: free)
    // that is never unmapped.
    Some(unsafe { &*chunk.add(index % SLOTS_PER_CHUNK) })
}

/// The place of a descriptor's word; `None` if its piece is not mapped.
#[inline(always)]
fn place(fd: i32) -> Option<&'static AtomicU32> {
    match fd as u32 as usize {
        at if at < PIECE => place_in(&WORDS[0], at),
        at => place_above(at),
    }
}

/// Does the same for the descriptors above the first piece.
#[cold]
#[inline(never)]
extern "C" fn place_above(at: usize) -> Option<&'static AtomicU32> {
    place_in(WORDS.get(at / PIECE)?, at % PIECE)
}

/// The place of a word in a piece.
#[inline(always)]
fn place_in(piece: &AtomicPtr<AtomicU32>, at: usize) -> Option<&'static AtomicU32> {
    let piece = piece.load(Acquire);
    if piece.is_null() {
        return None;
    }
    // SAFETY: a piece is a mapping of PIECE zeroed words that is never unmapped.
    Some(unsafe { &*piece.add(at) })
}

/// The place of a descriptor's word, which is mapped if need be.
///
/// # Errors
/// - EMFILE: the number is beyond what can be tracked.
fn make_place(fd: i32) -> Result<&'static AtomicU32, Errno> {
    let piece = WORDS
        .get(fd as u32 as usize / PIECE)
        .ok_or(Errno(libc::EMFILE))?;
    make_zeroed(piece, PIECE)?;
    place(fd).ok_or(Errno(libc::EMFILE))
}

/// The word of a descriptor: 0, 1 + the index of its slot, NETLINK, DATAGRAMS, PACKETS, or with
/// MARK.
#[inline(always)]
fn word(fd: i32) -> u32 {
    place(fd).map_or(0, |word| word.load(Relaxed))
}

/// Is this descriptor a tunnel?
#[inline(always)]
pub fn is_tunnel(fd: i32) -> bool {
    word(fd) as i32 > 0
}

/// Whose a descriptor is, by one look.
pub enum Whose {
    /// It is a tunnel, for [`hold_at_once`].
    Tunnel(Found),
    /// It is a netlink socket or one of the view.
    Other,
    /// Its word is not in the first piece, so that [`whose_above`] is to be asked.
    Above,
    /// It is the program's.
    Program,
}

/// The place of the word of a descriptor that is a tunnel, and the word as it was found there.
#[derive(Clone, Copy)]
pub struct Found {
    place: &'static AtomicU32,
    word: u32,
}

/// Says whose a descriptor is. It makes no call, so a hook that hands its own call on needs no
/// stack.
#[inline(always)]
pub fn whose(fd: i32) -> Whose {
    match fd as u32 as usize {
        at if at < PIECE => whose_in(place_in(&WORDS[0], at)),
        _ => Whose::Above,
    }
}

/// Says whose a descriptor is, wherever its word stands.
#[inline(always)]
pub fn whose_above(fd: i32) -> Whose {
    whose_in(place(fd))
}

#[inline(always)]
fn whose_in(place: Option<&'static AtomicU32>) -> Whose {
    let Some(place) = place else {
        return Whose::Program;
    };
    let word = place.load(Relaxed);
    match word as i32 {
        0 => Whose::Program,
        1.. => Whose::Tunnel(Found { place, word }),
        _ => Whose::Other,
    }
}

/// Is any descriptor one of the view?
#[inline(always)]
pub fn any_marked() -> bool {
    MARKED.load(Relaxed) != 0
}

/// What is known of a descriptor of the view; `None` for any other descriptor.
#[inline]
pub fn marks(fd: i32) -> Option<u32> {
    match word(fd) {
        word if word & MARK == MARK => Some(word & !MARK),
        _ => None,
    }
}

/// Notes that the descriptor is one of the view. A tunnel that the table knows by this number must
/// have been forgotten before. A vfork child must not call this.
///
/// # Errors
/// - EMFILE: the number is beyond what can be tracked.
pub fn mark_as(fd: i32, marks: u32) -> Result<(), Errno> {
    concern::note(concern::OTHER);
    let place = make_place(fd)?;
    HIGHEST.fetch_max(fd as u32, Relaxed);
    let old = place.load(Relaxed);
    if old as i32 > 0 {
        return Err(Errno(libc::EBUSY));
    }
    if place
        .compare_exchange(old, MARK | marks, AcqRel, Relaxed)
        .is_ok()
        && old & MARK != MARK
    {
        MARKED.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// Takes a mark's bit away from a descriptor of the view. Returns whether it was there.
pub fn clear(fd: i32, bit: u32) -> bool {
    let Some(place) = place(fd) else { return false };
    let without = |word: u32| (word & MARK == MARK && word & bit != 0).then_some(word & !bit);
    place.fetch_update(AcqRel, Relaxed, without).is_ok()
}

/// Adds a mark's bit to a descriptor of the view.
pub fn set(fd: i32, bit: u32) {
    if let Some(place) = place(fd) {
        let with = |word: u32| (word & MARK == MARK).then_some(word | bit);
        let _ = place.fetch_update(AcqRel, Relaxed, with);
    }
}

/// Forgets that the descriptor is one of the view. A vfork child must not call this.
pub fn unmark(fd: i32) {
    let Some(place) = place(fd) else { return };
    let word = place.load(Relaxed);
    if word & MARK == MARK && place.compare_exchange(word, 0, AcqRel, Relaxed).is_ok() {
        MARKED.fetch_sub(1, Relaxed);
    }
}

/// Is this descriptor a netlink socket that this library answers? Nothing is entered or taken out
/// when a descriptor is closed, so whoever gets a yes asks the kernel as well.
#[inline(always)]
pub fn is_netlink(fd: i32) -> bool {
    word(fd) == NETLINK
}

/// Is this descriptor a tunnel, a netlink socket or one of the view?
#[inline(always)]
pub fn is_ours(fd: i32) -> bool {
    word(fd) != 0
}

/// Called before the program forbids itself system calls: what the first sockets need is mapped.
pub fn prepare() {
    let _ = make_place(0);
}

/// Enters a netlink socket under a descriptor. A vfork child may do so, because its parent asks the
/// kernel before it believes this.
///
/// # Errors
/// - EMFILE: the number is beyond what can be tracked.
pub fn enter_netlink(fd: i32) -> Result<(), Errno> {
    enter_socket(fd, NETLINK)
}

/// Enters a socket that the process has just got under a descriptor. A socket of another kind may
/// have had the number, because only close(2) takes one out, and not each kind; a vfork child
/// leaves it to its parent, whose descriptor that may be.
fn enter_socket(fd: i32, kind: u32) -> Result<(), Errno> {
    gate::open();
    concern::note(concern::OTHER);
    let owns = process::owns_memory();
    let sockets = [NETLINK, DATAGRAMS, PACKETS];
    let enter = |old: u32| (old == 0 || owns && sockets.contains(&old)).then_some(kind);
    let _ = make_place(fd)?.fetch_update(AcqRel, Relaxed, enter);
    Ok(())
}

/// Forgets that a descriptor is a netlink socket.
pub fn forget_netlink(fd: i32) {
    if process::owns_memory() {
        if let Some(word) = place(fd) {
            let _ = word.compare_exchange(NETLINK, 0, AcqRel, Relaxed);
        }
    }
}

/// Is this descriptor a socket of UDP in a net that has addresses? Only close(2) takes one out, so
/// whoever gets a yes asks the kernel as well, or makes a call that other files refuse.
#[inline(always)]
pub fn is_datagrams(fd: i32) -> bool {
    word(fd) & !2 == DATAGRAMS
}

/// Calls `each` with the descriptors for which [`is_datagrams`] is true.
pub fn each_datagrams(mut each: impl FnMut(i32)) {
    let is_mapped = |piece: &usize| !WORDS[*piece].load(Acquire).is_null();
    for piece in (0..WORDS.len()).filter(is_mapped) {
        let numbers = piece * PIECE..(piece + 1) * PIECE;
        numbers
            .map(|fd| fd as i32)
            .filter(|fd| is_datagrams(*fd))
            .for_each(&mut each);
    }
}

/// Is it, of those, a packet socket or a raw one?
#[inline(always)]
pub fn is_packets(fd: i32) -> bool {
    word(fd) == PACKETS
}

/// Enters a packet socket or a raw one under a descriptor, as [`enter_netlink`] does.
///
/// # Errors
/// - EMFILE: the number is beyond what can be tracked.
pub fn enter_packets(fd: i32) -> Result<(), Errno> {
    enter_socket(fd, PACKETS)
}

/// Enters a socket of UDP under a descriptor. A vfork child may do so, as for netlink sockets.
///
/// # Errors
/// - EMFILE: the number is beyond what can be tracked.
pub fn enter_datagrams(fd: i32) -> Result<(), Errno> {
    enter_socket(fd, DATAGRAMS)
}

/// Forgets that a descriptor is a socket of UDP, a packet socket or a raw one.
pub fn forget_datagrams(fd: i32) {
    if let Some(word) = place(fd).filter(|_| process::owns_memory()) {
        let _ = word.compare_exchange(DATAGRAMS, 0, AcqRel, Relaxed);
        let _ = word.compare_exchange(PACKETS, 0, AcqRel, Relaxed);
    }
}

/// Does this process have any tunnel?
#[inline(always)]
pub fn any() -> bool {
    BOUND.load(Relaxed) != 0
}

/// A tunnel that a call uses.
pub struct Held {
    slot: &'static Slot,
    index: u32,
}

impl Deref for Held {
    type Target = ProcessTunnel;
    #[inline(always)]
    fn deref(&self) -> &ProcessTunnel {
        // SAFETY: this value is counted among the slot's users, so the slot stays filled.
        unsafe { (*self.slot.tunnel.get()).assume_init_ref() }
    }
}

impl Held {
    /// Waits a moment for other threads' calls on the tunnel to end, except those that wait
    /// themselves. Returns whether this call is then the only one.
    pub fn is_alone_soon(&self) -> bool {
        const TRIES: usize = 500;
        (0..TRIES).any(|n| {
            if n > 0 {
                sys::nap(std::time::Duration::from_micros(200));
            }
            is_alone(self)
        })
    }
    /// Is the descriptor still this tunnel, as far as the table knows?
    pub fn still(&self, fd: i32) -> bool {
        word(fd) == self.index + 1
    }
    /// Is the descriptor this tunnel's bell? This asks the kernel.
    pub fn is_behind(&self, fd: i32) -> bool {
        let device = self.slot.device.load(Relaxed);
        match sys::fstat(fd) {
            Ok(st) => {
                st.st_ino == self.inode()
                    && sys::is_kind(&st, libc::S_IFIFO)
                    && (device == 0 || device == st.st_dev)
            }
            // A filter may forbid the question, and that error says nothing about the descriptor.
            Err(e) => e != Errno(libc::EBADF),
        }
    }
    /// True once in some hundred calls, when it is time to check whether the descriptor is still
    /// what it was.
    #[inline]
    pub fn is_due(&self) -> bool {
        let due = !self.is_not_due();
        if due {
            self.slot.calls.fetch_add(1, Relaxed);
        }
        due
    }
    /// Counts a call, unless it is time for that check; the next call is asked again then.
    #[inline(always)]
    pub fn is_not_due(&self) -> bool {
        const OFTEN: u32 = 256;
        // Threads may lose counts to each other, which does no harm.
        let calls = self.slot.calls.load(Relaxed).wrapping_add(1);
        let due = calls.is_multiple_of(OFTEN);
        if !due {
            self.slot.calls.store(calls, Relaxed);
        }
        !due
    }
    /// Keeps this use counted until [`Held::resume`], for a call that leaves Rust in between.
    pub fn suspend(self) -> u32 {
        let index = self.index;
        self.slot.waiting.fetch_add(1, SeqCst);
        std::mem::forget(self);
        index
    }
    /// # Safety
    /// `index` must come from `suspend`, and be resumed only once.
    pub unsafe fn resume(index: u32) -> Held {
        // SAFETY: the slot was held when it was suspended, so its chunk exists.
        let slot = unsafe { slot(index).unwrap_unchecked() };
        slot.waiting.fetch_sub(1, SeqCst);
        slot.changes.fetch_add(1, SeqCst);
        Held { slot, index }
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        release(self.slot, self.index);
    }
}

#[inline(always)]
fn release(slot: &'static Slot, index: u32) {
    let users = slot.users.load(Relaxed);
    let one_less = |users| {
        slot.users
            .compare_exchange(users, users - 1, AcqRel, Relaxed)
    };
    if users <= 1 || one_less(users).is_err() {
        release_late(slot, index);
    }
}

/// Does what [`release`] does where this user may be the last one.
#[cold]
#[inline(never)]
fn release_late(slot: &'static Slot, index: u32) {
    // The last user claims the slot in the same step, because a slot must never be free and filled
    // at once.
    let leave = |users| Some(if users == 1 { CLAIMED } else { users - 1 });
    if slot.users.fetch_update(AcqRel, Acquire, leave) == Ok(1) {
        empty(slot, index);
    }
}

/// Does what [`release`] does, for a descriptor.
fn release_name(index: u32) {
    if let Some(slot) = slot(index) {
        slot.names.fetch_sub(1, SeqCst);
        slot.changes.fetch_add(1, SeqCst);
        release(slot, index);
    }
}

/// Is the caller's call the only one on this tunnel that is under way? When in doubt it is not.
fn is_alone(tunnel: &ProcessTunnel) -> bool {
    let found = with_inode(tunnel.inode()).find(|(_, slot)| {
        // Only the address is looked at, because the slot may be another tunnel's, or empty.
        std::ptr::eq(slot.tunnel.get().cast(), tunnel)
    });
    let Some((_, slot)) = found else {
        return false;
    };
    // A new user is counted in `users` before anything else. A descriptor or a waiting call may
    // have left the users while it is still counted in `others`, so that a new call goes unnoticed;
    // `changes` shows that.
    let changes = || (slot.changes.load(SeqCst), tunnel.held_up().1);
    let before = changes();
    let others = slot.names.load(SeqCst) + slot.waiting.load(SeqCst) + tunnel.held_up().0;
    slot.users.load(SeqCst) == others + 1 && changes() == before
}

#[cold]
fn empty(slot: &'static Slot, index: u32) {
    if let Some(cell) = cell(slot.inode.swap(0, AcqRel)) {
        cell.remove(index as usize);
    }
    // SAFETY: the slot has no users, and CLAIMED keeps others away.
    unsafe { (*slot.tunnel.get()).assume_init_drop() };
    slot.users.store(FREE, Release);
    FIRST_FREE.fetch_min(index, AcqRel);
}

/// Which cell of which piece is that of an inode.
fn cell_of(inode: u64) -> (&'static AtomicPtr<Cell>, usize) {
    let at = inode as usize;
    (&BY_INODE[at / CELLS % BY_INODE.len()], at % CELLS)
}

/// The cell of an inode, if its piece is mapped.
fn cell(inode: u64) -> Option<&'static Cell> {
    let (piece, at) = cell_of(inode);
    let piece = piece.load(Acquire);
    // SAFETY: a piece is a mapping of CELLS cells of zeroes, which are empty, that is never
    // unmapped.
    (!piece.is_null()).then(|| unsafe { &*piece.add(at) })
}

/// The slots among which are those of the tunnels with this inode.
fn with_inode(inode: u64) -> impl Iterator<Item = (u32, &'static Slot)> {
    let some = match cell(inode).map_or(Places::Nowhere, Cell::find) {
        Places::Nowhere => 0..0,
        Places::At(index) => index as u32..index as u32 + 1,
        Places::Anywhere => 0..(CHUNKS * SLOTS_PER_CHUNK) as u32,
    };
    some.map_while(|index| Some((index, slot(index)?)))
}

/// The tunnel behind a descriptor, held for a call.
#[inline]
pub fn hold(fd: i32) -> Option<Held> {
    match whose(fd) {
        Whose::Tunnel(found) => hold_at_once(found).or_else(|| hold_late(fd)),
        _ => hold_late(fd),
    }
}

/// Does the same where another thread is at the tunnel at this moment, or the number is large.
#[cold]
#[inline(never)]
fn hold_late(fd: i32) -> Option<Held> {
    loop {
        let index = word(fd).checked_sub(1)?;
        let slot = slot(index)?;
        let users = slot.users.load(Relaxed);
        if users == FREE || users & CLAIMED != 0 {
            // Another thread may have closed the descriptor at this moment.
            if word(fd) != index + 1 {
                continue;
            }
            return None;
        }
        if slot
            .users
            .compare_exchange_weak(users, users + 1, SeqCst, Relaxed)
            .is_ok()
        {
            let held = Held { slot, index };
            if held.still(fd) {
                return Some(held);
            }
        }
    }
}

/// The tunnel that was found, held for a call. None says nothing but that [`hold`] is to be asked.
#[inline(always)]
pub fn hold_at_once(found: Found) -> Option<Held> {
    let index = found.word.wrapping_sub(1);
    let slot = slot(index)?;
    let users = slot.users.load(Relaxed);
    if users == FREE || users & CLAIMED != 0 {
        return None;
    }
    let one_more = slot
        .users
        .compare_exchange(users, users + 1, SeqCst, Relaxed);
    one_more.ok()?;
    let held = Held { slot, index };
    (found.place.load(Relaxed) == found.word).then_some(held)
}

/// Enters a tunnel that is new in this process under a descriptor.
///
/// # Errors
/// - EMFILE: the number is beyond what can be tracked.
pub fn enter(fd: i32, tunnel: ProcessTunnel) -> Result<(), Errno> {
    // The signals are watched now, because the program may forbid itself system calls next.
    crate::watch::guard();
    let inode = tunnel.inode();
    make_zeroed(cell_of(inode).0, CELLS)?;
    let index = claim()?;
    let slot = slot(index).ok_or(Errno(libc::EMFILE))?;
    // SAFETY: every call that has the tunnel has it by a `Held`, which is counted in its slot.
    let tunnel = unsafe { tunnel.alone_when(is_alone) };
    // SAFETY: `claim` gave this slot to this call alone.
    unsafe { (*slot.tunnel.get()).write(tunnel) };
    slot.names.store(0, Relaxed);
    slot.waiting.store(0, Relaxed);
    slot.some_fd.store(fd as u32, Relaxed);
    slot.calls.store(0, Relaxed);
    let device = sys::fstat(fd).map_or(0, |st| st.st_dev);
    slot.device.store(device, Relaxed);
    slot.inode.store(inode, Release);
    if let Some(cell) = cell(inode) {
        cell.enter(index as usize);
    }
    // The first user is this call; `bind` adds the descriptor.
    slot.users.store(1, Release);
    let held = Held { slot, index };
    bind(fd, &held)?;
    if crate::config::get().is_some_and(|c| c.exact_bell) {
        held.be_exact(fd);
    }
    Ok(())
}

/// Maps room for `count` zeroed values where there is none yet; it is never unmapped. Of threads
/// that come here at once, one makes it.
///
/// # Errors
/// - ENOMEM: no memory can be mapped.
fn make_zeroed<T>(place: &AtomicPtr<T>, count: usize) -> Result<(), Errno> {
    if !place.load(Acquire).is_null() {
        return Ok(());
    }
    let size = count * size_of::<T>();
    let fresh = sys::map_private(size, libc::PROT_READ | libc::PROT_WRITE)?.cast::<T>();
    if place
        .compare_exchange(std::ptr::null_mut(), fresh, AcqRel, Relaxed)
        .is_err()
    {
        // SAFETY: the mapping is our own, and nobody has seen it.
        unsafe { sys::unmap(fresh.cast(), size) };
    }
    Ok(())
}

/// Notes that of the slots from `first` on this one was the first that was free.
fn note_claimed(first: u32, index: u32) {
    let noted = FIRST_FREE.compare_exchange(first, index + 1, AcqRel, Relaxed);
    let is_free = |index: &u32| slot(*index).is_some_and(|s| s.users.load(Acquire) == FREE);
    if let (Ok(_), Some(freed)) = (noted, (first..index).find(is_free)) {
        FIRST_FREE.fetch_min(freed, AcqRel);
    }
}

/// Takes a free slot.
///
/// # Errors
/// - ENOMEM: no memory can be mapped. ENFILE: there are too many tunnels.
fn claim() -> Result<u32, Errno> {
    let all = (CHUNKS * SLOTS_PER_CHUNK) as u32;
    let first = FIRST_FREE.load(Acquire).min(all);
    for index in (first..all).chain(0..first) {
        make_zeroed(&SLOTS[index as usize / SLOTS_PER_CHUNK], SLOTS_PER_CHUNK)?;
        let claimed = slot(index).is_some_and(|slot| {
            slot.users
                .compare_exchange(FREE, CLAIMED, AcqRel, Relaxed)
                .is_ok()
        });
        if claimed {
            note_claimed(first, index);
            return Ok(index);
        }
    }
    Err(Errno(libc::ENFILE))
}

/// Makes a descriptor another name of a tunnel.
pub fn bind(fd: i32, tunnel: &Held) -> Result<(), Errno> {
    concern::note(concern::TUNNEL);
    let word = make_place(fd)?;
    let Some(slot) = slot(tunnel.index) else {
        return Ok(());
    };
    slot.users.fetch_add(1, SeqCst);
    slot.names.fetch_add(1, SeqCst);
    slot.some_fd.store(fd as u32, Relaxed);
    HIGHEST.fetch_max(fd as u32, Relaxed);
    match word.swap(tunnel.index + 1, AcqRel) {
        0 | NETLINK | DATAGRAMS | PACKETS => drop(BOUND.fetch_add(1, Relaxed)),
        marked if marked & MARK == MARK => {
            MARKED.fetch_sub(1, Relaxed);
            BOUND.fetch_add(1, Relaxed);
        }
        old => release_name(old - 1),
    }
    Ok(())
}

/// Forgets a descriptor that is closed or about to be. Returns its tunnel, held. A vfork child must
/// not call this, because the table is its parent's.
pub fn unbind(fd: i32) -> Option<Held> {
    if !is_tunnel(fd) || !process::owns_memory() {
        return None;
    }
    let held = hold(fd);
    match place(fd)?.swap(0, AcqRel) {
        0 | NETLINK | DATAGRAMS | PACKETS => {}
        marked if marked & MARK == MARK => drop(MARKED.fetch_sub(1, Relaxed)),
        old => {
            BOUND.fetch_sub(1, Relaxed);
            release_name(old - 1);
        }
    }
    held
}

/// Forgets that the descriptor is this tunnel. Returns false when that is known already.
pub fn unbind_from(fd: i32, tunnel: &Held) -> bool {
    let Some(word) = place(fd) else {
        return false;
    };
    let gone = word
        .compare_exchange(tunnel.index + 1, 0, AcqRel, Relaxed)
        .is_ok();
    if gone {
        BOUND.fetch_sub(1, Relaxed);
        release_name(tunnel.index);
    }
    gone
}

/// The descriptors in a range that are tunnels, lowest first.
pub fn bound_in(first: u32, last: u32) -> impl Iterator<Item = i32> {
    let last = last.min(HIGHEST.load(Relaxed)).min(NUMBERS as u32 - 1);
    let first = if any() { first } else { u32::MAX };
    (first..=last)
        .map(|fd| fd as i32)
        .filter(|fd| is_tunnel(*fd))
}

/// A descriptor of the tunnel in this slot, if it is that of this inode.
fn bound_to(index: u32, slot: &Slot, inode: u64) -> Option<i32> {
    let users = slot.users.load(Acquire);
    let is_filled = users != FREE && users & CLAIMED == 0;
    if !is_filled || slot.inode.load(Acquire) != inode || slot.names.load(SeqCst) == 0 {
        return None;
    }
    let mut fd = slot.some_fd.load(Relaxed) as i32;
    if word(fd) != index + 1 {
        // That descriptor was closed; another one of the tunnel may be left.
        fd = bound_in(0, u32::MAX).find(|fd| word(*fd) == index + 1)?;
        slot.some_fd.store(fd as u32, Relaxed);
    }
    let held = hold(fd)?;
    // The descriptor that is rung must be the bell, so that no other file gets a byte.
    (held.inode() == inode && held.index == index && held.is_behind(fd)).then_some(fd)
}

/// This process's descriptors, for the crates that look for local tunnels.
pub struct OwnTunnels;

impl Local for OwnTunnels {
    fn descriptor(&self, inode: u64) -> Option<i32> {
        if !any() {
            return None;
        }
        with_inode(inode).find_map(|(index, slot)| bound_to(index, slot, inode))
    }
    fn is_descriptor(&self, fd: i32, inode: u64) -> bool {
        hold(fd).is_some_and(|held| held.inode() == inode && held.is_behind(fd))
    }
    fn is_declared(&self, net: &NetDir, name: &memtun_abi::Name) -> bool {
        memtun_stack::brief::is_declared(net, name)
    }
}
