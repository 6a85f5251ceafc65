//! Signal actions and masks that are set by syscall(2) with the kernel's own structures, as far as
//! SIGBUS is concerned.

use super::signal;
use crate::{errno, handlers, signals, uaccess};
use libc::{c_int, sigaction as Action, sigset_t};
use memtun_abi::Errno;

/// The kernel's sigset_t.
type Set = u64;

/// The kernel's struct sigaction; the mask stands where 64-bit machines with a restorer have it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: Set,
}

fn to_libc(set: Set) -> sigset_t {
    // SAFETY: zeroes are the empty set, and the first word of libc's set is the kernel's.
    unsafe {
        let mut whole: sigset_t = std::mem::zeroed();
        std::ptr::from_mut(&mut whole).cast::<Set>().write(set);
        whole
    }
}

fn to_kernel(set: &sigset_t) -> Set {
    // SAFETY: a set has at least one word.
    unsafe { std::ptr::from_ref(set).cast::<Set>().read() }
}

fn refused() -> c_int {
    errno::give::<c_int>(Err(Errno(libc::EFAULT))) as c_int
}

/// rt_sigaction(2); `None` when the signal is not SIGBUS, which is then the kernel's.
pub fn action(
    number: c_int,
    new: *const KernelAction,
    old: *mut KernelAction,
    size: usize,
) -> Option<c_int> {
    // SAFETY: only plain numbers are read. An address that cannot be is the kernel's to refuse.
    if let Some(Ok(given)) = (!new.is_null()).then(|| unsafe { uaccess::read(new) }) {
        handlers::note(given.handler);
    }
    if number != libc::SIGBUS || !signals::watching() || size != size_of::<Set>() {
        return None;
    }
    // SAFETY: zeroes are a valid action, and only plain numbers are read.
    let (given, mut before): (Option<KernelAction>, Action) = unsafe {
        let given = if new.is_null() {
            None
        } else {
            Some(uaccess::read(new))
        };
        match given.transpose() {
            Ok(given) => (given, std::mem::zeroed()),
            Err(_) => return Some(refused()),
        }
    };
    let given = given.map(|given| {
        // SAFETY: zeroes are a valid action.
        let mut action: Action = unsafe { std::mem::zeroed() };
        action.sa_sigaction = given.handler;
        action.sa_flags = given.flags as c_int;
        action.sa_mask = to_libc(given.mask);
        action
    });
    let new = given.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the actions are our own.
    let answer = unsafe { signal::my_sigaction(number, new, &mut before) };
    let shown = KernelAction {
        handler: before.sa_sigaction,
        flags: before.sa_flags as u32 as u64,
        restorer: 0,
        mask: to_kernel(&before.sa_mask),
    };
    if answer == 0 && !old.is_null() && uaccess::write(old, &shown).is_err() {
        return Some(refused());
    }
    Some(answer)
}

/// rt_sigprocmask(2); `None` when the kernel is to answer.
pub fn mask(how: c_int, new: *const Set, old: *mut Set, size: usize) -> Option<c_int> {
    if !signals::watching() || size != size_of::<Set>() {
        return None;
    }
    // SAFETY: a set is a plain number.
    let given = match unsafe { (!new.is_null()).then(|| uaccess::read(new)).transpose() } {
        Ok(given) => given.map(to_libc),
        Err(_) => return Some(refused()),
    };
    let new = given.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut before = to_libc(0);
    // SAFETY: the sets are our own.
    let answer = unsafe { signal::my_sigprocmask(how, new, &mut before) };
    if answer == 0 && !old.is_null() && uaccess::write(old, &to_kernel(&before)).is_err() {
        return Some(refused());
    }
    Some(answer)
}
