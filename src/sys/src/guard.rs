//! Accesses to memory that may not be there.
//!
//! The kernel answers a system call with EFAULT where an access from user space raises a signal.
//! The functions here make such accesses at known instructions. A handler of SIGSEGV and SIGBUS
//! calls [`land`] first, and an access that failed goes on at a landing that reports this. No
//! system call is made, so this works in a sandbox. Where nobody handles the signals, a bad address
//! ends the process as any other access does.
//!
//! The blocks of a copy move all their pointers together, after the last access. So after a fault
//! the rest is copied again byte by byte from the last whole block on, and ends at the byte that
//! cannot be accessed, as the kernel's copies do.

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .text.memtun_guard,\"ax\",@progbits",
    ".globl memtun_guard_copy, memtun_guard_blocks_end, memtun_guard_bytes, memtun_guard_bytes_move, memtun_guard_bytes_left",
    ".globl memtun_guard_length, memtun_guard_length_end, memtun_guard_length_bad",
    ".globl memtun_guard_touch, memtun_guard_touch_end, memtun_guard_touch_bad",
    ".globl memtun_guard_peek, memtun_guard_put, memtun_guard_put_end, memtun_guard_put_bad",
    ".hidden memtun_guard_copy, memtun_guard_blocks_end, memtun_guard_bytes, memtun_guard_bytes_move, memtun_guard_bytes_left",
    ".hidden memtun_guard_length, memtun_guard_length_end, memtun_guard_length_bad",
    ".hidden memtun_guard_touch, memtun_guard_touch_end, memtun_guard_touch_bad",
    ".hidden memtun_guard_peek, memtun_guard_put, memtun_guard_put_end, memtun_guard_put_bad",
    ".type memtun_guard_copy,@function",
    ".type memtun_guard_length,@function",
    ".type memtun_guard_touch,@function",
    ".type memtun_guard_peek,@function",
    ".type memtun_guard_put,@function",
    // This copies rdx bytes from rsi to rdi, and returns how many are left.
    ".p2align 6",
    "memtun_guard_copy:",
    ".cfi_startproc",
    "cmp rdx, 64",
    "jb 3f",
    ".p2align 4",
    "2:",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + 32]",
    "movups xmm3, [rsi + 48]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + 32], xmm2",
    "movups [rdi + 48], xmm3",
    "add rsi, 64",
    "add rdi, 64",
    "sub rdx, 64",
    "cmp rdx, 64",
    "jae 2b",
    "3:",
    "test edx, edx",
    "je 8f",
    "test dl, 32",
    "je 4f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "add rsi, 32",
    "add rdi, 32",
    "sub edx, 32",
    "4:",
    "test dl, 16",
    "je 5f",
    "movups xmm0, [rsi]",
    "movups [rdi], xmm0",
    "add rsi, 16",
    "add rdi, 16",
    "sub edx, 16",
    "5:",
    "test dl, 8",
    "je 6f",
    "mov rax, [rsi]",
    "mov [rdi], rax",
    "add rsi, 8",
    "add rdi, 8",
    "sub edx, 8",
    "6:",
    "test dl, 4",
    "je 7f",
    "mov eax, [rsi]",
    "mov [rdi], eax",
    "add rsi, 4",
    "add rdi, 4",
    "sub edx, 4",
    "7:",
    "test edx, edx",
    "je 8f",
    "mov al, [rsi]",
    "mov [rdi], al",
    "inc rsi",
    "inc rdi",
    "dec edx",
    "jmp 7b",
    "8:",
    "xor eax, eax",
    "ret",
    "memtun_guard_blocks_end:",
    "memtun_guard_bytes:",
    "mov rcx, rdx",
    "memtun_guard_bytes_move:",
    "rep movsb",
    "memtun_guard_bytes_left:",
    "mov rax, rcx",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_copy, . - memtun_guard_copy",
    // This returns the number of bytes before the NUL from rdi on, at most rsi; -1 where one cannot
    // be read.
    ".p2align 4",
    "memtun_guard_length:",
    ".cfi_startproc",
    "xor eax, eax",
    "2:",
    "cmp rax, rsi",
    "jae 3f",
    "cmp byte ptr [rdi + rax], 0",
    "je 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
    "memtun_guard_length_end:",
    "memtun_guard_length_bad:",
    "mov rax, -1",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_length, . - memtun_guard_length",
    // This makes a store to rdi that changes nothing, and returns 0, or 1 where it cannot be made.
    ".p2align 4",
    "memtun_guard_touch:",
    ".cfi_startproc",
    "lock or byte ptr [rdi], 0",
    "xor eax, eax",
    "ret",
    "memtun_guard_touch_end:",
    "memtun_guard_touch_bad:",
    "mov eax, 1",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_touch, . - memtun_guard_touch",
    // This reads the byte at rdi, and returns 0, or 1 where it cannot be read.
    ".p2align 4",
    "memtun_guard_peek:",
    ".cfi_startproc",
    "movzx eax, byte ptr [rdi]",
    "xor eax, eax",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_peek, . - memtun_guard_peek",
    // This stores the two bytes of si at rdi, and returns 0, or 1 where they cannot be stored.
    "memtun_guard_put:",
    ".cfi_startproc",
    "mov word ptr [rdi], si",
    "xor eax, eax",
    "ret",
    "memtun_guard_put_end:",
    "memtun_guard_put_bad:",
    "mov eax, 1",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_put, . - memtun_guard_put",
    ".popsection",
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".pushsection .text.memtun_guard,\"ax\",@progbits",
    ".globl memtun_guard_copy, memtun_guard_blocks_end, memtun_guard_bytes, memtun_guard_bytes_move, memtun_guard_bytes_left",
    ".globl memtun_guard_length, memtun_guard_length_end, memtun_guard_length_bad",
    ".globl memtun_guard_touch, memtun_guard_touch_end, memtun_guard_touch_bad",
    ".globl memtun_guard_peek, memtun_guard_put, memtun_guard_put_end, memtun_guard_put_bad",
    ".hidden memtun_guard_copy, memtun_guard_blocks_end, memtun_guard_bytes, memtun_guard_bytes_move, memtun_guard_bytes_left",
    ".hidden memtun_guard_length, memtun_guard_length_end, memtun_guard_length_bad",
    ".hidden memtun_guard_touch, memtun_guard_touch_end, memtun_guard_touch_bad",
    ".hidden memtun_guard_peek, memtun_guard_put, memtun_guard_put_end, memtun_guard_put_bad",
    ".type memtun_guard_copy,%function",
    ".type memtun_guard_length,%function",
    ".type memtun_guard_touch,%function",
    ".type memtun_guard_peek,%function",
    ".type memtun_guard_put,%function",
    // This copies x2 bytes from x1 to x0, and returns how many are left.
    ".p2align 6",
    "memtun_guard_copy:",
    ".cfi_startproc",
    "cmp x2, #64",
    "b.lo 3f",
    "2:",
    "ldp q0, q1, [x1]",
    "ldp q2, q3, [x1, #32]",
    "stp q0, q1, [x0]",
    "stp q2, q3, [x0, #32]",
    "add x1, x1, #64",
    "add x0, x0, #64",
    "sub x2, x2, #64",
    "cmp x2, #64",
    "b.hs 2b",
    "3:",
    "cmp x2, #16",
    "b.lo 5f",
    "4:",
    "ldr q0, [x1]",
    "str q0, [x0]",
    "add x1, x1, #16",
    "add x0, x0, #16",
    "sub x2, x2, #16",
    "cmp x2, #16",
    "b.hs 4b",
    "5:",
    "tbz x2, #3, 6f",
    "ldr x3, [x1]",
    "str x3, [x0]",
    "add x1, x1, #8",
    "add x0, x0, #8",
    "sub x2, x2, #8",
    "6:",
    "cbz x2, 7f",
    "ldrb w3, [x1]",
    "strb w3, [x0]",
    "add x1, x1, #1",
    "add x0, x0, #1",
    "sub x2, x2, #1",
    "b 6b",
    "7:",
    "mov x0, #0",
    "ret",
    "memtun_guard_blocks_end:",
    "memtun_guard_bytes:",
    "cbz x2, memtun_guard_bytes_left",
    "memtun_guard_bytes_move:",
    "ldrb w3, [x1]",
    "strb w3, [x0]",
    "add x1, x1, #1",
    "add x0, x0, #1",
    "sub x2, x2, #1",
    "cbnz x2, memtun_guard_bytes_move",
    "memtun_guard_bytes_left:",
    "mov x0, x2",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_copy, . - memtun_guard_copy",
    // This returns the number of bytes before the NUL from x0 on, at most x1; -1 where one cannot
    // be read.
    ".p2align 4",
    "memtun_guard_length:",
    ".cfi_startproc",
    "mov x2, #0",
    "2:",
    "cmp x2, x1",
    "b.hs 3f",
    "ldrb w3, [x0, x2]",
    "cbz w3, 3f",
    "add x2, x2, #1",
    "b 2b",
    "3:",
    "mov x0, x2",
    "ret",
    "memtun_guard_length_end:",
    "memtun_guard_length_bad:",
    "mov x0, #-1",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_length, . - memtun_guard_length",
    // This makes a store to x0 that changes nothing, and returns 0, or 1 where it cannot be made.
    ".p2align 4",
    "memtun_guard_touch:",
    ".cfi_startproc",
    "ldxrb w1, [x0]",
    "stxrb w2, w1, [x0]",
    "cbnz w2, memtun_guard_touch",
    "mov w0, #0",
    "ret",
    "memtun_guard_touch_end:",
    "memtun_guard_touch_bad:",
    "mov w0, #1",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_touch, . - memtun_guard_touch",
    // This reads the byte at x0, and returns 0, or 1 where it cannot be read.
    ".p2align 4",
    "memtun_guard_peek:",
    ".cfi_startproc",
    "ldrb w1, [x0]",
    "mov w0, #0",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_peek, . - memtun_guard_peek",
    // This stores the two lower bytes of w1 at x0, and returns 0, or 1 where they cannot be stored.
    "memtun_guard_put:",
    ".cfi_startproc",
    "strh w1, [x0]",
    "mov w0, #0",
    "ret",
    "memtun_guard_put_end:",
    "memtun_guard_put_bad:",
    "mov w0, #1",
    "ret",
    ".cfi_endproc",
    ".size memtun_guard_put, . - memtun_guard_put",
    ".popsection",
);

extern "C" {
    fn memtun_guard_copy(to: usize, from: usize, n: usize) -> usize;
    fn memtun_guard_blocks_end();
    fn memtun_guard_bytes();
    fn memtun_guard_bytes_move();
    fn memtun_guard_bytes_left();
    fn memtun_guard_length(at: usize, most: usize) -> usize;
    fn memtun_guard_length_end();
    fn memtun_guard_length_bad();
    fn memtun_guard_touch(at: usize) -> i32;
    fn memtun_guard_touch_end();
    fn memtun_guard_touch_bad();
    fn memtun_guard_peek(at: usize) -> i32;
    fn memtun_guard_put(at: usize, value: u16) -> i32;
    fn memtun_guard_put_end();
    fn memtun_guard_put_bad();
}

/// Copies `n` bytes forward between two addresses as far as possible, and returns how many are
/// left.
///
/// # Safety
/// Nobody else may own the memory that is written. All of it must be accessible, or somebody must
/// handle the signals as the module says.
#[inline]
pub unsafe fn copy(to: usize, from: usize, n: usize) -> usize {
    // SAFETY: the caller owns what is written, and vouches that an access that fails is caught.
    unsafe { memtun_guard_copy(to, from, n) }
}

/// Returns the number of bytes before the NUL, or `most` when there is none among that many; None
/// when one of the bytes cannot be read.
///
/// # Safety
/// The bytes must be readable, or somebody must handle the signals as the module says.
#[inline]
pub unsafe fn string_length(at: usize, most: usize) -> Option<usize> {
    // SAFETY: the function only reads, and the caller vouches that an access that fails is caught.
    match unsafe { memtun_guard_length(at, most) } {
        usize::MAX => None,
        length => Some(length),
    }
}

/// Can the byte be written? If so, there is memory behind its page now.
///
/// # Safety
/// The byte must lie in a mapping of the caller's.
pub unsafe fn touch(at: usize) -> bool {
    // SAFETY: the byte lies in the caller's mapping, and the store leaves its value as it is, in
    // one step.
    unsafe { memtun_guard_touch(at) == 0 }
}

/// Can the byte be read?
///
/// # Safety
/// It must be readable, or somebody must handle the signals as the module says.
#[inline]
pub unsafe fn can_read(at: usize) -> bool {
    // SAFETY: the function only reads, and the caller vouches that an access that fails is caught.
    unsafe { memtun_guard_peek(at) == 0 }
}

/// Stores two bytes. Returns whether they could be stored.
///
/// # Safety
/// Nobody else may own them. They must be writable, or somebody must handle the signals as the
/// module says.
#[inline]
pub unsafe fn put(at: usize, value: u16) -> bool {
    // SAFETY: the caller owns what is written, and vouches that an access that fails is caught.
    unsafe { memtun_guard_put(at, value) == 0 }
}

/// Lets a thread go on whose access in one of these functions was answered with a signal, at the
/// place that says that the access failed. Returns false when the access was not one of these
/// functions'. `context` is the third argument of the signal handler.
///
/// # Safety
/// `context` must be the one that the running handler of SIGSEGV or SIGBUS got.
pub unsafe fn land(context: *mut libc::c_void) -> bool {
    // SAFETY: the caller guarantees that this is the ucontext_t which the kernel gave the handler.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    #[cfg(target_arch = "x86_64")]
    let at = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
    #[cfg(target_arch = "aarch64")]
    let at = &mut context.uc_mcontext.pc;
    let address = |label: unsafe extern "C" fn()| label as *const () as usize;
    let within = [
        (
            memtun_guard_copy as *const () as usize..address(memtun_guard_blocks_end),
            address(memtun_guard_bytes),
        ),
        (
            address(memtun_guard_bytes_move)..address(memtun_guard_bytes_left),
            address(memtun_guard_bytes_left),
        ),
        (
            memtun_guard_length as *const () as usize..address(memtun_guard_length_end),
            address(memtun_guard_length_bad),
        ),
        (
            memtun_guard_touch as *const () as usize..address(memtun_guard_touch_end),
            address(memtun_guard_touch_bad),
        ),
        (
            memtun_guard_peek as *const () as usize..address(memtun_guard_put_end),
            address(memtun_guard_put_bad),
        ),
    ]
    .into_iter()
    .find(|(range, _)| range.contains(&(*at as usize)));
    let Some((_, landing)) = within else {
        return false;
    };
    *at = landing as _;
    true
}

/// Did the signal come in [`touch`], which asks whether there is memory?
///
/// # Safety
/// The same as for [`land`].
pub unsafe fn is_touch(context: *mut libc::c_void) -> bool {
    // SAFETY: the caller guarantees that this is the ucontext_t which the kernel gave the handler.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    #[cfg(target_arch = "x86_64")]
    let at = context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    let at = context.uc_mcontext.pc as usize;
    (memtun_guard_touch as *const () as usize..memtun_guard_touch_end as *const () as usize)
        .contains(&at)
}
