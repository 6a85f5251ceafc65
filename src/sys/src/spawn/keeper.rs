//! A process that stays between a program that gets orphans and the process that it starts.
//!
//! An orphan becomes the child of PID 1 of its PID namespace, or of a subreaper
//! (PR_SET_CHILD_SUBREAPER), and it sends SIGCHLD then: wait(2) for any child sees it. Where the
//! program itself is one of these, its own child stays in between. That one was made by clone(2)
//! without a signal and never executes a program, which would give it one: so only wait(2) with
//! __WALL or __WCLONE sees it. It is what is left of a copy of the program's memory, one page of
//! code. It gets the orphans of what it keeps (a host process and who stands by for it start one
//! another), so that the program does not.

use crate::quiet::{may, Extra};
use crate::{check, syscall, Errno};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;

/// The processes of this kind that were started and have not been waited for; 0 for none. There are
/// several where threads start some at the same time, of which all but one end at once.
static KEEPERS: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];

/// Would the calling process become the parent of an orphan?
pub fn adopts_orphans() -> bool {
    if !may(Extra::Keep) {
        return false;
    }
    let mut subreaper: i32 = 0;
    let args = [
        libc::PR_GET_CHILD_SUBREAPER as usize,
        &raw mut subreaper as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: prctl(2) stores an int into a local of this function.
    let asked = check(unsafe { syscall(libc::SYS_prctl, args) });
    crate::getpid() == 1 || asked.is_ok() && subreaper != 0
}

/// Notes the keeper that was started, 0 for none. Those that have ended meanwhile are zombies until
/// then, which nobody else waits for.
pub fn has_started(pid: i32) {
    for keeper in &KEEPERS {
        let before = keeper.load(Relaxed);
        if before != 0 && has_ended(before) {
            // Another thread may have been quicker, and have noted its own here.
            let _ = keeper.compare_exchange(before, 0, Relaxed, Relaxed);
        }
    }
    let is_noted = |keeper: &AtomicI32| keeper.compare_exchange(0, pid, Relaxed, Relaxed).is_ok();
    let _ = KEEPERS.iter().any(is_noted);
}

/// Has a keeper ended, or is it none of this process's, which is a copy of the one that started it?
fn has_ended(pid: i32) -> bool {
    let how = (libc::WNOHANG | libc::__WCLONE) as usize;
    // SAFETY: without room for a status wait4(2) touches no memory.
    unsafe { syscall(libc::SYS_wait4, [pid as usize, 0, how, 0, 0, 0]) != 0 }
}

/// Makes a copy of the calling process, which is its brother and sends no signal either if this one
/// does not (clone(2) with CLONE_PARENT). Returns 0 in the copy.
///
/// # Errors
///
/// EAGAIN and ENOMEM, as for fork(2).
///
/// # Safety
///
/// The copy has one thread, and its memory is as at this moment: it may use nothing that another
/// thread may have locked, and must not return from the function on whose stack it runs.
pub unsafe fn copy() -> Result<i32, Errno> {
    let args = [libc::CLONE_PARENT as usize, 0, 0, 0, 0, 0];
    // SAFETY: the caller's promise; both processes go on here, each on a stack of its own memory.
    check(unsafe { syscall(libc::SYS_clone, args) }).map(|pid| pid as i32)
}

/// Pages of code are this long at most.
const CODE: usize = 64 << 10;

/// Ends the use of all memory but the code of this function, waits until there is no child any
/// more, and ends the process.
///
/// # Safety
///
/// The process has one thread, no memory that it shares with another one and no handler of a
/// signal that could be called: all signals are blocked.
pub unsafe fn keep() -> ! {
    let name = [
        libc::PR_SET_NAME as usize,
        c"memtun-keeper".as_ptr() as usize,
        0,
        0,
        0,
        0,
    ];
    let reaper = [libc::PR_SET_CHILD_SUBREAPER as usize, 1, 0, 0, 0, 0];
    // SAFETY: prctl(2) reads a NUL-terminated string, and a number.
    unsafe {
        syscall(libc::SYS_prctl, name);
        syscall(libc::SYS_prctl, reaper);
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the code below uses registers only, and no memory but the pages that it stands in,
    // which it leaves. It never comes back.
    unsafe {
        core::arch::asm!(
            // Everything below the code.
            "lea rbx, [rip + 2f]",
            "lea rbp, [rip + 4f]",
            "add rbp, {code} - 1",
            "mov rcx, {code} - 1",
            "not rcx",
            "and rbx, rcx",
            "and rbp, rcx",
            "2:",
            "mov eax, {munmap}",
            "xor edi, edi",
            "mov rsi, rbx",
            "syscall",
            // Everything above it.
            "mov eax, {munmap}",
            "mov rdi, rbp",
            "mov rsi, r12",
            "sub rsi, rbp",
            "syscall",
            "3:",
            "mov eax, {wait4}",
            "mov rdi, -1",
            "xor esi, esi",
            "mov edx, {wall}",
            "xor r10d, r10d",
            "syscall",
            "test rax, rax",
            "jns 3b",
            "mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "ud2",
            "4:",
            code = const CODE,
            munmap = const libc::SYS_munmap,
            wait4 = const libc::SYS_wait4,
            exit = const libc::SYS_exit_group,
            wall = const libc::__WALL,
            in("r12") (1usize << 47) - crate::PAGE,
            options(noreturn),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "adr x19, 2f",
            "adr x20, 4f",
            "mov x9, {code} - 1",
            "add x20, x20, x9",
            "bic x19, x19, x9",
            "bic x20, x20, x9",
            "2:",
            "mov x8, {munmap}",
            "mov x0, xzr",
            "mov x1, x19",
            "svc 0",
            // How many bits an address has depends on the kernel, which refuses more.
            "mov x21, 52",
            "5:",
            "mov x1, 1",
            "lsl x1, x1, x21",
            "subs x1, x1, x20",
            "b.ls 3f",
            "mov x0, x20",
            "mov x8, {munmap}",
            "svc 0",
            "cbz x0, 3f",
            "sub x21, x21, 1",
            "b 5b",
            "3:",
            "mov x8, {wait4}",
            "mov x0, -1",
            "mov x1, xzr",
            "mov x2, {wall}",
            "mov x3, xzr",
            "svc 0",
            "tbz x0, 63, 3b",
            "mov x8, {exit}",
            "mov x0, xzr",
            "svc 0",
            "brk 1",
            "4:",
            code = const CODE,
            munmap = const libc::SYS_munmap,
            wait4 = const libc::SYS_wait4,
            exit = const libc::SYS_exit_group,
            wall = const libc::__WALL,
            options(noreturn),
        );
    }
}
