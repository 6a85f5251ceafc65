//! The instruction for system calls.

/// Makes one system call, and returns the kernel's answer, which is a negative errno on failure.
///
/// # Safety
/// The arguments must satisfy the contract of that system call: pointers must be valid for what it
/// reads and writes.
#[cfg(target_arch = "x86_64")]
#[inline]
pub unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: this is the x86-64 convention: the number is in rax, the arguments in rdi, rsi, rdx,
    // r10, r8 and r9, and rcx and r11 are clobbered. The caller guarantees what the call does to
    // memory.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// Makes one system call, and returns the kernel's answer, which is a negative errno on failure.
///
/// # Safety
/// The arguments must satisfy the contract of that system call: pointers must be valid for what it
/// reads and writes.
#[cfg(target_arch = "aarch64")]
#[inline]
pub unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: this is the AArch64 convention: the number is in x8, the arguments in x0 to x5, and
    // the answer in x0. The caller guarantees what the call does to memory.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] as isize => answer,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    answer
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("memtun makes system calls of its own and knows those of x86-64 and aarch64 only; add yours here");
