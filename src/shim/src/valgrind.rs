//! Is the program run by valgrind? Valgrind's tools look at the arguments of system calls, and
//! would report those that this library makes strange on purpose.

/// Asks as `RUNNING_ON_VALGRIND` of valgrind.h does, by instructions that do nothing and that
/// valgrind recognises.
#[cfg(target_arch = "x86_64")]
pub fn is_watching() -> bool {
    const RUNNING_ON_VALGRIND: usize = 0x1001;
    let request = [RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0];
    let mut answer = 0usize;
    // SAFETY: the rotations add up to two whole turns, and a register is exchanged with itself.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            inout("rdx") answer, in("rax") request.as_ptr(), options(nostack, readonly),
        );
    }
    answer != 0
}

/// Asks as `RUNNING_ON_VALGRIND` of valgrind.h does, by instructions that do nothing and that
/// valgrind recognises.
#[cfg(target_arch = "aarch64")]
pub fn is_watching() -> bool {
    const RUNNING_ON_VALGRIND: usize = 0x1001;
    let request = [RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0];
    let mut answer = 0usize;
    // SAFETY: the rotations add up to two whole turns, and a register is combined with itself.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3", "ror x12, x12, #13", "ror x12, x12, #51", "ror x12, x12, #61", "orr x10, x10, x10",
            inout("x3") answer, in("x4") request.as_ptr(), options(nostack, readonly),
        );
    }
    answer != 0
}
