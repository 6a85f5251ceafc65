//! Files that are truncated under a mapping.
//!
//! The owner of a net's files can make them shorter, and the kernel answers an access behind the
//! new end with SIGBUS. A process of a net handles that signal: a mapping that has lost its file
//! becomes plain memory of zeroes, in which nothing is attached and nothing queued, and whose
//! header is not memtun's. The access goes on, and calls fail with an error.

use memtun_sys::{self as sys, guard};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicUsize};

/// Number of mappings that can be watched at once. More can be mapped, but are not watched.
const SLOTS: usize = 1 << 13;
const FREE: usize = 0;
const LEFT: usize = 1;

/// The watched mappings. Each word is the page-aligned address of a mapping, with its length in
/// units of [`UNIT`] in the low bits.
static MAPPINGS: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(FREE) }; SLOTS];

const UNIT: usize = 1 << 14;
const LOW: usize = sys::PAGE - 1;

/// Function that installs the handler at the first mapping; null for the one of this module.
static INSTALL: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Sets how this process handles SIGBUS, instead of the usual way. It must be called before
/// anything is mapped.
pub fn handled_by(install: fn()) {
    INSTALL.store(install as *mut (), Release);
}

fn slot_of(base: usize) -> usize {
    (base >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize) >> (usize::BITS - 13)
}

/// Can a mapping be so long that its length is known here to the byte?
pub(super) const fn is_length(length: usize) -> bool {
    length >= sys::PAGE && (length - sys::PAGE).is_multiple_of(UNIT)
}

/// Returns a file's length as a number of units. Files are one page long, or one page and a
/// multiple of [`UNIT`].
fn length_code(length: usize) -> usize {
    length.div_ceil(UNIT)
}

/// Returns the length in bytes that [`length_code`] made the code of.
fn length_of(code: usize) -> usize {
    sys::PAGE + code.saturating_sub(1) * UNIT
}

/// Watches a mapping of this length that begins here.
pub(super) fn watch(base: usize, length: usize) {
    let code = length_code(length);
    if code > LOW {
        return;
    }
    let first = slot_of(base);
    for i in 0..SLOTS {
        let slot = &MAPPINGS[(first + i) % SLOTS];
        let seen = slot.load(Relaxed);
        let taken = [FREE, LEFT].contains(&seen)
            && slot
                .compare_exchange(seen, base | code, AcqRel, Relaxed)
                .is_ok();
        if taken {
            break;
        }
    }
    static INSTALLED: AtomicUsize = AtomicUsize::new(0);
    if INSTALLED.load(Relaxed) == 0 && INSTALLED.swap(1, AcqRel) == 0 {
        let install_it = INSTALL.load(Acquire);
        if install_it.is_null() {
            install();
        } else {
            // SAFETY: `handled_by` stores only functions of this type.
            unsafe { std::mem::transmute::<*mut (), fn()>(install_it)() };
        }
    }
}

/// Stops watching the mapping that begins here, which is about to end.
pub(super) fn forget(base: usize) {
    let first = slot_of(base);
    for i in 0..SLOTS {
        let slot = &MAPPINGS[(first + i) % SLOTS];
        match slot.load(Relaxed) {
            FREE => return,
            seen if seen & !LOW == base && seen != LEFT => return slot.store(LEFT, Release),
            _ => {}
        }
    }
}

/// Is a mapping watched that begins with the page of this address?
pub(super) fn is_mapped(address: usize) -> bool {
    let base = address & !LOW;
    let first = slot_of(base);
    let mut slots = (0..SLOTS).map(|i| MAPPINGS[(first + i) % SLOTS].load(Acquire));
    let found = slots.find(|word| *word == FREE || word & !LOW == base && *word != LEFT);
    base != 0 && found.is_some_and(|word| word != FREE)
}

/// Replaces a mapping of a net's file, in which an access to this address was answered with SIGBUS,
/// by zeroes. Returns true when the address lay in such a mapping and the access can be made again.
/// May be called in a signal handler.
///
/// # Safety
/// An access to the address must have been answered with SIGBUS, because what stands in the mapping
/// is lost.
pub unsafe fn mend(address: usize) -> bool {
    for slot in &MAPPINGS {
        let word = slot.load(Acquire);
        let (base, length) = (word & !LOW, length_of(word & LOW));
        if base == 0 || !(base..base + length).contains(&address) {
            continue;
        }
        // SAFETY: `watch` alone makes these words, so this is a mapping of that length which
        // belongs to this module, and its contents are gone.
        return unsafe { sys::map_zeroes_over(base as *mut u8, length) }.is_ok();
    }
    false
}

/// Handles SIGBUS with sigaction(2), and passes signals that do not concern a net to whoever
/// handled them before. This is for drivers; programs under the preloaded library have their own
/// way.
fn install() {
    static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

    unsafe extern "C" fn handle(
        signal: i32,
        info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        // SAFETY: the kernel gives a siginfo_t. Its code is positive when the signal comes from an
        // access, and then it has an address.
        let mended = unsafe {
            (*info).si_code > 0
                && (!guard::is_touch(context) && mend((*info).si_addr() as usize)
                    || guard::land(context))
        };
        if !mended {
            // SAFETY: the pointer is null, or `install` leaked the value.
            let before = unsafe { BEFORE.load(Acquire).as_ref() };
            // SAFETY: the arguments are those of this handler, which the kernel called.
            unsafe { pass_on(signal, info, context, before) };
        }
    }

    let mut before = Box::new(
        // SAFETY: a sigaction of zeroes is valid: it is SIG_DFL without flags.
        unsafe { std::mem::zeroed::<libc::sigaction>() },
    );
    // SAFETY: the first call reads the present action into `before`, and the last one sets a
    // handler whose type fits SA_SIGINFO.
    unsafe {
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut *before) != 0 {
            return;
        }
        BEFORE.store(Box::into_raw(before), Release);
        let mut ours = std::mem::zeroed::<libc::sigaction>();
        ours.sa_sigaction = handle as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
        libc::sigaction(libc::SIGBUS, &ours, std::ptr::null_mut());
    }
}

/// Does with a signal what `action` says; None means the default action.
///
/// # Safety
/// The arguments must be those of a signal handler that runs now.
pub unsafe fn pass_on(
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
    action: Option<&libc::sigaction>,
) {
    // SAFETY: the caller guarantees that this is a siginfo_t of the kernel's.
    let from_access = unsafe { (*info).si_code } > 0;
    match action.map_or(libc::SIG_DFL, |a| a.sa_sigaction) {
        libc::SIG_IGN if !from_access => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // This acts as if there were no handler: an access is made again and ends the process,
            // and a signal that was sent is sent again.
            sys::default_action(signal);
            if !from_access {
                sys::raise(signal);
            }
        }
        handler => {
            let with_info = action.is_some_and(|a| a.sa_flags & libc::SA_SIGINFO != 0);
            // SAFETY: whoever set the action gave a function of the type that its flags say.
            unsafe {
                if with_info {
                    type Handler =
                        unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
                    std::mem::transmute::<usize, Handler>(handler)(signal, info, context);
                } else {
                    std::mem::transmute::<usize, unsafe extern "C" fn(i32)>(handler)(signal);
                }
            }
        }
    }
}
