//! Signals that an access to memory can be answered with, and that this library handles without the
//! program's seeing it. They are SIGBUS, which the kernel sends when somebody has cut a file of the
//! net, and which is handled from the first mapping on; and SIGSEGV, by which a bad pointer of the
//! program's becomes EFAULT, and which is handled from the first tunnel on. From then on the kernel
//! has this library's handler, with the flags and the mask of the program's. What the program wants
//! of the signal is kept here: its action, which runs for accesses that are not this library's, and
//! whether it blocks the signal, because a blocked signal would turn an access into the end of the
//! process.

use crate::errno;
use crate::plain;
use libc::{c_int, c_void, sigaction, siginfo_t, sigset_t, SIGBUS, SIGSEGV};
use memtun_shm::truncated;
use memtun_sys::{self as sys, guard};
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

/// A signal that this library can handle.
pub struct Signal {
    number: c_int,
    /// Is this library's handler in place?
    watched: AtomicBool,
    /// Index of the program's action. A new action goes to the next place, so that a handler that
    /// reads at the same moment sees a whole one.
    current: AtomicUsize,
    wishes: UnsafeCell<[MaybeUninit<sigaction>; WISHES]>,
    /// Other signals, as bits, for which the program wants this one blocked while their handler
    /// runs.
    blocked_with: AtomicU64,
}
const WISHES: usize = 16;
// SAFETY: a place is written before `current` leads to it, and is used again only after WISHES - 1
// others.
unsafe impl Sync for Signal {}

static SIGNALS: [Signal; 2] = [Signal::new(SIGBUS), Signal::new(SIGSEGV)];

/// Is any of the signals watched?
static WATCHING: AtomicBool = AtomicBool::new(false);
/// Are both signals watched?
static GUARDED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The watched signals that this thread blocks, as far as the program knows; signal N is bit
    /// N-1.
    static BLOCKED: Cell<u64> = const { Cell::new(0) };
}

impl Signal {
    const fn new(number: c_int) -> Signal {
        Signal {
            number,
            watched: AtomicBool::new(false),
            current: AtomicUsize::new(0),
            wishes: UnsafeCell::new([MaybeUninit::zeroed(); WISHES]),
            blocked_with: AtomicU64::new(0),
        }
    }

    /// Number of the signal.
    pub fn number(&self) -> c_int {
        self.number
    }

    /// Is this library's handler in place?
    pub fn is_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    /// The action that the program wants for this signal.
    pub fn wish(&self) -> sigaction {
        let at = self.current.load(Acquire) % WISHES;
        // SAFETY: zeroes are a valid action, SIG_DFL, and so is what `set_wish` has written.
        unsafe { (*self.wishes.get())[at].assume_init() }
    }

    /// Keeps the action that the program wants from now on.
    pub fn set_wish(&self, action: sigaction) {
        let next = self.current.load(Relaxed).wrapping_add(1);
        // SAFETY: see `Sync`; two threads that set an action at the same time have no order in the
        // kernel either.
        unsafe { (*self.wishes.get())[next % WISHES].write(action) };
        self.current.store(next, Release);
    }

    /// The action that the kernel is to have for what the program wants. A handler's flags and mask
    /// are the program's, because the kernel decides by them which stack it runs on, what it
    /// interrupts and what it blocks.
    pub fn kernels_action(&self) -> sigaction {
        let wish = self.wish();
        let mut ours = no_action();
        ours.sa_sigaction = handle as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO;
        if is_handler(&wish) {
            ours.sa_flags |=
                wish.sa_flags & (libc::SA_ONSTACK | libc::SA_RESTART | libc::SA_NODEFER);
            ours.sa_mask = wish.sa_mask;
            change(&mut ours.sa_mask, 0, watched_bits() & !bit(self.number));
        } else {
            ours.sa_flags |= libc::SA_ONSTACK | libc::SA_RESTART | libc::SA_NODEFER;
        }
        ours
    }

    /// Says that the kernel has this library's handler from now on; [`Signal::set_wish`] has kept
    /// what the program had set.
    pub fn begin(&self) {
        if let Ok(old) = sys::change_mask(libc::SIG_UNBLOCK, bit(self.number)) {
            BLOCKED.with(|blocked| blocked.set(blocked.get() | old & bit(self.number)));
        }
        self.watched.store(true, Release);
        WATCHING.store(true, Release);
        if SIGNALS.iter().all(Signal::is_watched) {
            GUARDED.store(true, Release);
            plain::clear(plain::UNGUARDED);
        }
    }
}

/// The bit of a signal in a set.
pub const fn bit(number: c_int) -> u64 {
    1 << ((number - 1) & 63)
}

fn is_handler(action: &sigaction) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
}

/// The action SIG_DFL without flags.
pub fn no_action() -> sigaction {
    // SAFETY: zeroes are a valid action.
    unsafe { std::mem::zeroed() }
}

fn empty_set() -> sigset_t {
    // SAFETY: zeroes are the empty set.
    unsafe { std::mem::zeroed() }
}

/// The kernel's set, which is the first word of glibc's sigset_t: an array of words with bit N-1
/// for signal N.
fn word(set: &sigset_t) -> u64 {
    // SAFETY: a set has at least one word.
    unsafe { std::ptr::from_ref(set).cast::<u64>().read() }
}

/// Adds signals to a set, and takes some out.
fn change(set: &mut sigset_t, add: u64, remove: u64) {
    let now = word(set) & !remove | add;
    // SAFETY: a set has at least one word.
    unsafe { std::ptr::from_mut(set).cast::<u64>().write(now) };
}

/// Is any of the signals watched? If not, nothing here is needed.
#[inline]
pub fn watching() -> bool {
    WATCHING.load(Relaxed)
}

/// Does a bad pointer end in [`guard::land`]?
#[inline]
pub fn guarded() -> bool {
    GUARDED.load(Relaxed)
}

/// The signal of that number, whether it is watched or not.
pub fn of(number: c_int) -> Option<&'static Signal> {
    SIGNALS.iter().find(|signal| signal.number == number)
}

/// The signal of that number, if it is watched.
pub fn watched(number: c_int) -> Option<&'static Signal> {
    of(number).filter(|signal| signal.is_watched())
}

/// The signals that are watched.
pub fn all_watched() -> impl Iterator<Item = &'static Signal> {
    SIGNALS.iter().filter(|signal| signal.is_watched())
}

fn watched_bits() -> u64 {
    all_watched().fold(0, |bits, signal| bits | bit(signal.number))
}

unsafe extern "C" fn handle(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    errno::keep(|| {
        // SAFETY: the kernel gives the handler a siginfo_t.
        let from_access = unsafe { (*info).si_code } > 0;
        // SAFETY: the arguments are the handler's own, and a signal that an access caused has the
        // address of that access.
        if from_access && unsafe { ours(number, (*info).si_addr() as usize, context) } {
            return;
        }
        let Some(signal) = of(number) else { return };
        let blocked = BLOCKED.with(Cell::get) & bit(number) != 0;
        if blocked && !from_access {
            // The signal stays pending, as the program wants it: for sigwait(3), or until the
            // program unblocks it.
            block(number, context);
            let args = [sys::getpid() as usize, number as usize, 0, 0, 0, 0];
            // SAFETY: kill(2) touches no memory.
            unsafe { sys::syscall(libc::SYS_kill, args) };
            return;
        }
        let action = signal.wish();
        if action.sa_flags & libc::SA_RESETHAND != 0 {
            let mut after = action;
            after.sa_sigaction = libc::SIG_DFL;
            signal.set_wish(after);
        }
        // The kernel ends a process whose access is answered with a signal that it blocks.
        let action = Some(&action).filter(|_| !blocked);
        // SAFETY: these are the handler's own arguments.
        unsafe { truncated::pass_on(number, info, context, action) };
    });
}

/// Was the access made by this library, and can the thread go on?
///
/// # Safety
/// The arguments must be those of a signal handler that runs now, for an access.
unsafe fn ours(number: c_int, address: usize, context: *mut c_void) -> bool {
    // SAFETY: the arguments are those of a signal handler that runs now, which the caller promises.
    unsafe {
        number == SIGBUS && !guard::is_touch(context) && truncated::mend(address)
            || guard::land(context)
    }
}

/// Blocks the signal from now on, also after the handler has returned.
fn block(number: c_int, context: *mut c_void) {
    let _ = sys::change_mask(libc::SIG_BLOCK, bit(number));
    // SAFETY: the third argument of a handler is the interrupted thread's ucontext_t.
    change(
        unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_sigmask },
        bit(number),
        0,
    );
}

/// The action of another signal in the form that the kernel may have: its handler must not run with
/// a watched signal blocked.
pub fn open_action(number: c_int, action: &sigaction) -> sigaction {
    let mut open = *action;
    for signal in all_watched() {
        if word(&action.sa_mask) & bit(signal.number) != 0 {
            signal.blocked_with.fetch_or(bit(number), Relaxed);
        } else {
            signal.blocked_with.fetch_and(!bit(number), Relaxed);
        }
    }
    change(&mut open.sa_mask, 0, watched_bits());
    open
}

/// The watched signals that the mask of this signal's action lacks only because of this library.
pub fn opened(number: c_int) -> u64 {
    let with = |signal: &&Signal| signal.blocked_with.load(Relaxed) & bit(number) != 0;
    all_watched()
        .filter(with)
        .fold(0, |bits, signal| bits | bit(signal.number))
}

/// Adds signals to a mask that is shown to the program.
pub fn show(set: &mut sigset_t, bits: u64) {
    change(set, bits, 0);
}

/// A change of the thread's signal mask in the form that the kernel may have, and the watched
/// signals that counted as blocked before.
pub fn open_mask(how: c_int, set: Option<&sigset_t>) -> (sigset_t, u64) {
    BLOCKED.with(|blocked| {
        let before = blocked.get();
        let mut open = set.copied().unwrap_or_else(empty_set);
        if let Some(set) = set {
            let named = word(set) & watched_bits();
            match how {
                libc::SIG_BLOCK => blocked.set(before | named),
                libc::SIG_UNBLOCK => blocked.set(before & !named),
                libc::SIG_SETMASK => blocked.set(named),
                _ => {}
            }
            if how != libc::SIG_UNBLOCK {
                change(&mut open, 0, watched_bits());
            }
        }
        (open, before)
    })
}

/// Called before the process executes another program, which inherits the signals that the calling
/// thread blocks.
pub fn block_for_exec() {
    let bits = BLOCKED.with(Cell::get);
    if bits != 0 {
        let _ = sys::change_mask(libc::SIG_BLOCK, bits);
    }
}

/// Called when the exec failed.
pub fn unblock_after_exec() {
    let bits = BLOCKED.with(Cell::get);
    if bits != 0 {
        let _ = sys::change_mask(libc::SIG_UNBLOCK, bits);
    }
}
