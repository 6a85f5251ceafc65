//! SIGBUS. The kernel sends it when somebody has cut a file of the net that this process has mapped; the handler that mends
//! that must be there, and the program must not see it. So from the first mapping on the kernel has our handler, and what the
//! program says of SIGBUS is kept here: its action, which is run for what is not ours, and whether it blocks the signal, which
//! would turn an access into the process's end.

use crate::errno;
use libc::{c_int, c_void, sigaction, siginfo_t, sigset_t, SIGBUS};
use memtun_core::shm::truncated;
use memtun_core::sys;
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Our handler is in place.
static WATCHING: AtomicBool = AtomicBool::new(false);
/// Signals for which the program wants SIGBUS blocked while their handler runs.
static WITH_BUS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The program blocks SIGBUS in this thread, as far as it knows.
    static BLOCKED: Cell<bool> = const { Cell::new(false) };
}

/// The program's action. A new one goes to the next place, so that a handler that reads at the same moment has a whole one.
struct Wish {
    current: AtomicUsize,
    places: UnsafeCell<[MaybeUninit<sigaction>; WISHES]>,
}
const WISHES: usize = 16;
// SAFETY: a place is written before `current` leads to it, and is used again only after WISHES - 1 others.
unsafe impl Sync for Wish {}
static WISH: Wish = Wish {
    current: AtomicUsize::new(0),
    places: UnsafeCell::new([MaybeUninit::zeroed(); WISHES]),
};

fn wish() -> sigaction {
    let at = WISH.current.load(Acquire) % WISHES;
    // SAFETY: zeroed is a valid action, SIG_DFL; so is what `set_wish` has written.
    unsafe { (*WISH.places.get())[at].assume_init() }
}

fn set_wish(action: sigaction) {
    let next = WISH.current.load(Relaxed).wrapping_add(1);
    // SAFETY: see `Wish`; two threads that set an action at the same time have no order in the kernel either.
    unsafe { (*WISH.places.get())[next % WISHES].write(action) };
    WISH.current.store(next, Release);
}

/// The kernel has our handler from now on; what the program had set has been kept by [`replace`].
pub fn begin() {
    if WATCHING.swap(true, AcqRel) {
        return;
    }
    if let Ok(old) = sys::change_mask(libc::SIG_UNBLOCK, BUS) {
        BLOCKED.with(|blocked| blocked.set(old & BUS != 0));
    }
}

/// The action that the kernel is to have.
pub fn ours() -> sigaction {
    let mut ours = zeroed();
    ours.sa_sigaction = handle as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
    ours
}

/// Does the program ignore the signal?
pub fn is_ignored() -> bool {
    WATCHING.load(Relaxed) && wish().sa_sigaction == libc::SIG_IGN
}

fn zeroed() -> sigaction {
    // SAFETY: zeroes are a valid action: SIG_DFL without flags.
    unsafe { std::mem::zeroed() }
}

fn empty_set() -> sigset_t {
    // SAFETY: zeroes are the empty set.
    unsafe { std::mem::zeroed() }
}

/// SIGBUS in a set as the kernel has it.
const BUS: u64 = 1 << (SIGBUS - 1);

/// glibc's sigset_t: an array of words, bit N-1 for signal N; the first is the kernel's set.
fn first_word(set: &sigset_t) -> *const u64 {
    std::ptr::from_ref(set).cast()
}

fn has_bus(set: &sigset_t) -> bool {
    // SAFETY: a set has at least one word.
    unsafe { first_word(set).read() & BUS != 0 }
}

fn set_bus(set: &mut sigset_t, on: bool) {
    let word = first_word(set).cast_mut();
    // SAFETY: a set has at least one word, and this one is borrowed for writing.
    unsafe { word.write(word.read() & !BUS | if on { BUS } else { 0 }) };
}

unsafe extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    errno::keep(|| {
        // SAFETY: the kernel gives a siginfo_t.
        let from_access = unsafe { (*info).si_code } > 0;
        // SAFETY: a signal that an access caused has its address.
        if from_access && truncated::mend(unsafe { (*info).si_addr() } as usize) {
            return;
        }
        let blocked = BLOCKED.with(Cell::get);
        if blocked && !from_access {
            // Pending, as the program wants it: for sigwait(3), or until it lets the signal in.
            block(context);
            let args = [sys::getpid() as usize, signal as usize, 0, 0, 0, 0];
            // SAFETY: kill(2) touches no memory.
            unsafe { sys::syscall(libc::SYS_kill, args) };
            return;
        }
        let action = wish();
        if action.sa_flags & libc::SA_RESETHAND != 0 {
            set_wish(zeroed());
        }
        // The kernel ends a process whose access is answered with a signal that it blocks.
        let action = Some(&action).filter(|_| !blocked);
        if let Some(action) = action {
            hold_back(action);
        }
        // SAFETY: the handler's own arguments.
        unsafe { truncated::pass_on(signal, info, context, action) };
    });
}

/// SIGBUS is blocked from now on, also once the handler has returned.
fn block(context: *mut c_void) {
    let _ = sys::change_mask(libc::SIG_BLOCK, BUS);
    // SAFETY: the third argument of a handler is the interrupted thread's ucontext_t.
    unsafe { set_bus(&mut (*context.cast::<libc::ucontext_t>()).uc_sigmask, true) };
}

/// Blocks what the program's handler wants blocked while it runs; our own return takes that back.
fn hold_back(action: &sigaction) {
    let handler = ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
    if handler {
        let mut mask = action.sa_mask;
        if action.sa_flags & libc::SA_NODEFER == 0 {
            set_bus(&mut mask, true);
        }
        // SAFETY: a set has at least one word.
        let _ = sys::change_mask(libc::SIG_BLOCK, unsafe { first_word(&mask).read() });
    }
}

/// Is our handler in place?
pub fn watching() -> bool {
    WATCHING.load(Relaxed)
}

/// sigaction(2) for SIGBUS: what it would have found, and what it sets.
pub fn replace(action: Option<sigaction>) -> sigaction {
    let before = wish();
    if let Some(action) = action {
        set_wish(action);
    }
    before
}

/// signal(3) and its relatives for SIGBUS: the handler before.
pub fn replace_handler(handler: usize, flags: c_int) -> usize {
    let mut action = zeroed();
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    replace(Some(action)).sa_sigaction
}

/// The action of another signal as the kernel may have it: its handler must not run with SIGBUS blocked.
pub fn open_action(signal: c_int, action: &sigaction) -> sigaction {
    let mut open = *action;
    let bit = 1u64 << (signal.clamp(1, 64) - 1);
    if has_bus(&action.sa_mask) {
        set_bus(&mut open.sa_mask, false);
        WITH_BUS.fetch_or(bit, Relaxed);
    } else {
        WITH_BUS.fetch_and(!bit, Relaxed);
    }
    open
}

/// Is the mask of this signal's action without SIGBUS only because of us?
pub fn was_opened(signal: c_int) -> bool {
    WITH_BUS.load(Relaxed) >> (signal.clamp(1, 64) - 1) & 1 != 0
}

/// Adds SIGBUS to a mask that is shown to the program.
pub fn show(set: &mut sigset_t) {
    set_bus(set, true);
}

/// A change of the thread's signal mask as the kernel may have it, and whether SIGBUS counted as blocked before.
pub fn open_mask(how: c_int, set: Option<&sigset_t>) -> (sigset_t, bool) {
    BLOCKED.with(|blocked| {
        let before = blocked.get();
        let mut open = set.copied().unwrap_or_else(empty_set);
        if let Some(set) = set {
            let named = has_bus(set);
            match how {
                libc::SIG_BLOCK => blocked.set(before || named),
                libc::SIG_UNBLOCK => blocked.set(before && !named),
                libc::SIG_SETMASK => blocked.set(named),
                _ => {}
            }
            if how != libc::SIG_UNBLOCK {
                set_bus(&mut open, false);
            }
        }
        (open, before)
    })
}
