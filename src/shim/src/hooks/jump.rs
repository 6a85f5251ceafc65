//! Jumps out of signal handlers. A handler may have interrupted a call that holds a lock; if the
//! jump leaves that call, nobody else would ever release the lock.

use super::cancel;
use crate::real::{hooks, real};
use crate::waiting::bed;
use libc::{c_int, c_void};
use memtun_shm::lock;

/// The stack pointer that a jump goes to (glibc's `jmpbuf-offsets.h`, `PTR_MANGLE`). It is `None`
/// where it is not known; then others wait in vain for a lock that was left, but not for long.
#[cfg(target_arch = "x86_64")]
fn target(environment: *const c_void) -> Option<usize> {
    const JB_RSP: usize = 6;
    if environment.is_null() {
        return None;
    }
    let guard: usize;
    // SAFETY: a jmp_buf that setjmp(3) filled has eight words, and the word at 0x30 behind the
    // thread pointer is glibc's guard (`tcbhead_t.pointer_guard`).
    let mangled = unsafe {
        core::arch::asm!("mov {}, fs:0x30", out(reg) guard, options(nostack, preserves_flags, readonly));
        environment.cast::<usize>().add(JB_RSP).read_unaligned()
    };
    Some(mangled.rotate_right(17) ^ guard)
}

#[cfg(not(target_arch = "x86_64"))]
fn target(_: *const c_void) -> Option<usize> {
    None
}

fn before_jump(environment: *const c_void) {
    let (holds, waits) = (lock::holds_any(), bed::is_any());
    let is_deferred = cancel::is_deferred();
    if !holds && !waits && !is_deferred {
        return;
    }
    let Some(stack) = target(environment) else {
        return;
    };
    if holds {
        // SAFETY: the program leaves the frames below this stack pointer now, and their guards are
        // not used any more.
        unsafe { lock::leaving(stack) };
    }
    let leaves = !lock::is_jump_within_a_signal_stack(stack);
    if is_deferred && leaves {
        cancel::leaving(stack);
    }
    if waits && leaves {
        bed::leaving(stack);
    }
}

hooks! {
    fn longjmp(environment: *mut c_void, value: c_int) -> () => my_longjmp {
        before_jump(environment);
        real!(longjmp(environment, value))
    }
    fn _longjmp(environment: *mut c_void, value: c_int) -> () => my_longjmp_alias {
        before_jump(environment);
        real!(_longjmp(environment, value))
    }
    fn siglongjmp(environment: *mut c_void, value: c_int) -> () => my_siglongjmp {
        before_jump(environment);
        real!(siglongjmp(environment, value))
    }
    fn __longjmp_chk(environment: *mut c_void, value: c_int) -> () => my_longjmp_chk {
        before_jump(environment);
        real!(__longjmp_chk(environment, value))
    }
}
