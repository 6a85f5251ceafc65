//! Functions with any number of arguments, which Rust cannot define: dprintf(3), and execl(3) with
//! its relatives. They call libc's own functions, past the hooks, so each becomes a call of its
//! sister that takes the arguments in a list. The sisters that write on a descriptor themselves are
//! hooked here as well.
//!
//! This is done only on x86-64; elsewhere these functions are not hooked.

#[cfg(target_arch = "x86_64")]
use super::exec;
use super::rw;
use crate::errno;
use crate::foreign::or_host;
#[cfg(target_arch = "x86_64")]
use crate::real::tell_own;
use crate::real::{hooks, real, Visit};
use libc::{c_char, c_int, c_void};

extern "C" {
    fn backtrace_symbols(frames: *const *mut c_void, count: c_int) -> *mut *mut c_char;
    fn vasprintf(to: *mut *mut c_char, format: *const c_char, arguments: *mut c_void) -> c_int;
}

/// dprintf(3): libc's own prints into a stream that it makes for the call, past the hooks. As
/// there, a long text becomes several writes.
fn print(fd: c_int, format: *const c_char, arguments: *mut c_void) -> c_int {
    /// Size in bytes of one write: st_blksize of the device.
    const PIECE: usize = 4096;
    let mut text = std::ptr::null_mut::<c_char>();
    // SAFETY: the format and the arguments are the caller's; the text is libc's, `n` bytes long,
    // and freed here.
    unsafe {
        let n = vasprintf(&mut text, format, arguments);
        let mut done = 0;
        while done < n.max(0) as usize {
            let piece = (n as usize - done).min(PIECE);
            let from = text.add(done).cast::<c_void>();
            let written = match crate::table::is_tunnel(fd) {
                true => or_host(rw::write_buffer(fd, from, piece), || {
                    libc::write(fd, from, piece)
                }),
                // It is carried out like a write of the program's own.
                false => rw::my_write(fd, from, piece),
            };
            if written < 0 {
                break;
            }
            done += written as usize;
        }
        if n >= 0 {
            errno::keep(|| libc::free(text.cast()));
        }
        if done as c_int == n {
            n
        } else {
            -1
        }
    }
}

/// Is a descriptor one on which libc's own functions cannot print: a tunnel, or a file of the view?
#[inline]
fn prints(fd: c_int) -> bool {
    use crate::table::{any_marked, is_tunnel, mark, marks};
    is_tunnel(fd) || any_marked() && marks(fd).is_some_and(|marks| marks & mark::WRITES != 0)
}

/// backtrace_symbols_fd(3): each line is one write, which the driver refuses unless the line
/// happens to look like a packet.
fn print_frames(fd: c_int, frames: *const *mut c_void, count: c_int) {
    // SAFETY: the frames are the caller's, and the array of lines is one block of libc's.
    unsafe {
        let lines = backtrace_symbols(frames, count);
        for i in 0..if lines.is_null() {
            0
        } else {
            count.max(0) as usize
        } {
            let line = *lines.add(i);
            let parts = [(line.cast_const(), libc::strlen(line)), (c"\n".as_ptr(), 1)];
            let array = parts.map(|(at, len)| libc::iovec {
                iov_base: at.cast_mut().cast(),
                iov_len: len,
            });
            libc::writev(fd, array.as_ptr(), array.len() as c_int);
        }
        libc::free(lines.cast());
    }
}

hooks! {
    fn vdprintf(fd: c_int, format: *const c_char, arguments: *mut c_void) -> c_int => my_vdprintf {
        if prints(fd) { print(fd, format, arguments) } else { real!(vdprintf(fd, format, arguments)) }
    }
    fn backtrace_symbols_fd(frames: *const *mut c_void, count: c_int, fd: c_int) -> () => my_backtrace_symbols_fd {
        if crate::table::is_tunnel(fd) { print_frames(fd, frames, count) } else { real!(backtrace_symbols_fd(frames, count, fd)) }
    }
    fn __backtrace_symbols_fd(frames: *const *mut c_void, count: c_int, fd: c_int) -> () => my_backtrace_symbols_fd_alias {
        if crate::table::is_tunnel(fd) { print_frames(fd, frames, count) } else { real!(__backtrace_symbols_fd(frames, count, fd)) }
    }
    fn __vdprintf_chk(fd: c_int, flag: c_int, format: *const c_char, arguments: *mut c_void) -> c_int => my_vdprintf_chk {
        if prints(fd) { print(fd, format, arguments) } else { real!(__vdprintf_chk(fd, flag, format, arguments)) }
    }
}

/// Tells of the hooks of this file that the macro cannot declare.
pub fn each_own(visit: Visit<'_>) {
    #[cfg(target_arch = "x86_64")]
    for name in [c"dprintf", c"__dprintf_chk", c"execl", c"execlp", c"execle"] {
        tell_own(visit, name);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = visit;
}

/// Makes a list (`va_list` of the System V ABI) of the arguments in registers and of the rest, as
/// `va_start` would.
#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::*;
    use memtun_sys as sys;

    /// One element of `va_list`.
    #[repr(C)]
    pub struct List {
        registers_used: u32,
        vectors_used: u32,
        on_stack: *const usize,
        registers: *const usize,
    }

    impl List {
        /// Takes the next argument, which has the size of a pointer.
        ///
        /// # Safety
        /// There must be another argument.
        unsafe fn next(&mut self) -> usize {
            const REGISTERS: u32 = 6 * 8;
            // SAFETY: `variadic` made the list, and the caller says that it has another argument.
            unsafe {
                if self.registers_used < REGISTERS {
                    let at = self.registers.byte_add(self.registers_used as usize);
                    self.registers_used += 8;
                    *at
                } else {
                    let at = self.on_stack;
                    self.on_stack = at.add(1);
                    *at
                }
            }
        }
    }

    /// Defines a function whose arguments behind the first `$fixed` bytes of registers become a
    /// list. The list is given to `$sister` in the register behind them.
    ///
    /// The function has no arguments and no locals in Rust's eyes, so its code is the assembly,
    /// with at most the two instructions in front that keep a frame pointer (`-C
    /// force-frame-pointers`). The assembly takes these back.
    macro_rules! variadic {
        ($name:ident, $fixed:literal, $list:literal, $sister:path) => {
            #[no_mangle]
            unsafe extern "C" fn $name() -> ! {
                // SAFETY: the assembly saves what the ABI passes in registers, in room that it
                // makes and takes back, and the stack is aligned to 16 bytes at the call.
                unsafe {
                    core::arch::asm!(
                        concat!(".if . - ", stringify!($name)),
                        "pop rbp",
                        ".endif",
                        ".cfi_def_cfa rsp, 8",
                        ".cfi_same_value rbp",
                        "sub rsp, 216",
                        ".cfi_adjust_cfa_offset 216",
                        "mov [rsp + 32], rdi",
                        "mov [rsp + 40], rsi",
                        "mov [rsp + 48], rdx",
                        "mov [rsp + 56], rcx",
                        "mov [rsp + 64], r8",
                        "mov [rsp + 72], r9",
                        "test al, al",
                        "je 2f",
                        "movaps [rsp + 80], xmm0",
                        "movaps [rsp + 96], xmm1",
                        "movaps [rsp + 112], xmm2",
                        "movaps [rsp + 128], xmm3",
                        "movaps [rsp + 144], xmm4",
                        "movaps [rsp + 160], xmm5",
                        "movaps [rsp + 176], xmm6",
                        "movaps [rsp + 192], xmm7",
                        "2:",
                        concat!("mov dword ptr [rsp], ", $fixed),
                        "mov dword ptr [rsp + 4], 48",
                        "lea rax, [rsp + 224]",
                        "mov [rsp + 8], rax",
                        "lea rax, [rsp + 32]",
                        "mov [rsp + 16], rax",
                        concat!("mov ", $list, ", rsp"),
                        "call {}",
                        "add rsp, 216",
                        ".cfi_adjust_cfa_offset -216",
                        "ret",
                        sym $sister,
                        options(noreturn, nostack)
                    )
                }
            }
        };
    }

    variadic!(dprintf, 16, "rdx", print_list);
    variadic!(__dprintf_chk, 24, "rcx", print_checked);
    variadic!(execl, 8, "rsi", execute);
    variadic!(execlp, 8, "rsi", execute_found);
    variadic!(execle, 8, "rsi", execute_with);

    unsafe extern "C" fn print_list(fd: c_int, format: *const c_char, list: *mut List) -> c_int {
        // SAFETY: these are the caller's arguments for the same call.
        unsafe { my_vdprintf(fd, format, list.cast()) }
    }

    unsafe extern "C" fn print_checked(
        fd: c_int,
        flag: c_int,
        format: *const c_char,
        list: *mut List,
    ) -> c_int {
        // SAFETY: these are the caller's arguments for the same call.
        unsafe { my_vdprintf_chk(fd, flag, format, list.cast()) }
    }

    type Strings = *const *const c_char;

    /// Number of a program's arguments that need no mapping.
    const SMALL: usize = 256;

    /// Calls a function with an array of the arguments up to the NULL, and with the argument behind
    /// the NULL if that is wanted. It allocates nothing, because exec must not.
    ///
    /// # Safety
    /// The list has a NULL, and an argument behind it if `behind` is true.
    unsafe fn with_array(
        list: *mut List,
        behind: bool,
        call: impl FnOnce(Strings, Strings) -> c_int,
    ) -> c_int {
        let mut small = [std::ptr::null::<c_char>(); SMALL];
        let mut array = small.as_mut_ptr();
        let (mut room, mut count) = (SMALL, 0);
        // SAFETY: the caller's contract holds for the list, and the array has `room` places, of
        // which `count` are filled.
        unsafe {
            loop {
                let argument = (*list).next() as *const c_char;
                if count == room {
                    let Ok(larger) = sys::map_private(
                        2 * room * size_of::<Strings>(),
                        libc::PROT_READ | libc::PROT_WRITE,
                    ) else {
                        crate::errno::set(libc::E2BIG);
                        return -1;
                    };
                    std::ptr::copy_nonoverlapping(array, larger.cast(), count);
                    // The old mapping stays until the exec, because so many arguments are rare.
                    (array, room) = (larger.cast(), 2 * room);
                }
                array.add(count).write(argument);
                count += 1;
                if argument.is_null() {
                    break;
                }
            }
            let last = if behind {
                (*list).next() as Strings
            } else {
                std::ptr::null()
            };
            call(array, last)
        }
    }

    unsafe extern "C" fn execute(path: *const c_char, list: *mut List) -> c_int {
        // SAFETY: the caller's arguments to execl(3).
        unsafe { with_array(list, false, |array, _| exec::my_execv(path, array)) }
    }

    unsafe extern "C" fn execute_found(file: *const c_char, list: *mut List) -> c_int {
        // SAFETY: the caller's arguments to execlp(3).
        unsafe { with_array(list, false, |array, _| exec::my_execvp(file, array)) }
    }

    unsafe extern "C" fn execute_with(path: *const c_char, list: *mut List) -> c_int {
        // SAFETY: the caller's arguments to execle(3).
        unsafe { with_array(list, true, |array, e| exec::my_execve(path, array, e)) }
    }
}
