//! Finds system calls in an executable's code.
//!
//! The two bytes of `syscall` also stand inside of other instructions: libgcc's unwinder, for one,
//! compares them with a signal frame's code. So the code in front of each pair is decoded, from far
//! enough back that a wrong start has fallen into step with the real instructions, and only a pair
//! that is an instruction counts. The number of the call is what was last put into the register for
//! it. On aarch64 instructions stand at fixed places, so nothing has to be decoded there.

/// A system call in code: its number and its second argument, where these are constants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Call {
    /// Number of the call as in unistd.h.
    pub number: Option<u32>,
    /// Second argument of the call, which is the request of an ioctl.
    pub second: Option<u32>,
}

#[cfg(target_arch = "x86_64")]
pub use x86_64::each_call;

#[cfg(target_arch = "aarch64")]
pub use aarch64::each_call;

/// Number of bytes in front of a piece of code that the caller must repeat at the start of the next
/// piece.
pub const OVERLAP: usize = 512;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::Call;

    /// Number of bytes that decoding goes back at most: wrong starts are in step after some ten
    /// instructions.
    const BACK: usize = 320;

    /// Calls `each` for the system calls in a piece of code, from the byte `from` on.
    pub fn each_call(code: &[u8], from: usize, mut each: impl FnMut(Call)) {
        let mut at = from;
        while let Some(found) = find(&code[at..]) {
            let place = at + found;
            if let Some(call) = call_at(code, place) {
                each(call);
            }
            at = place + 2;
        }
    }

    /// The place of the next two bytes of `syscall`; `None` when there are none.
    fn find(code: &[u8]) -> Option<usize> {
        let needle = [0x0fu8, 0x05];
        // SAFETY: memmem(3) reads only the two slices, within their lengths.
        let found = unsafe {
            libc::memmem(
                code.as_ptr().cast(),
                code.len(),
                needle.as_ptr().cast(),
                needle.len(),
            )
        };
        (!found.is_null()).then(|| found as usize - code.as_ptr() as usize)
    }

    /// The call of the instruction at `place`; `None` when no instruction begins there.
    fn call_at(code: &[u8], place: usize) -> Option<Call> {
        let mut at = place.saturating_sub(BACK);
        let (mut call, mut pushed) = (Call::default(), None);
        while at < place {
            let rest = &code[at..];
            match length(rest) {
                Some(len) => {
                    follow(&rest[..len], &mut call, &mut pushed);
                    at += len;
                }
                None => {
                    call = Call::default();
                    at += 1;
                }
            }
        }
        (at == place).then_some(call)
    }

    /// Follows what an instruction does to the registers of the call's number (0, rax) and of its
    /// second argument (6, rsi).
    fn follow(instruction: &[u8], call: &mut Call, pushed: &mut Option<u32>) {
        let (rex, rest) = match instruction {
            [rex @ 0x40..=0x4f, rest @ ..] => (*rex, rest),
            rest => (0, rest),
        };
        // Registers 8 to 15 have a bit of the REX prefix, so that they are not taken for these two.
        let reg = |modrm: u8| modrm >> 3 & 7 | (rex & 4) << 1;
        let rm = |modrm: u8| modrm & 7 | (rex & 1) << 3;
        let constant = |a, b, c, d| Some(u32::from_le_bytes([a, b, c, d]));
        let (register, value) = match *rest {
            [opcode @ 0xb8..=0xbf, a, b, c, d, ..] => (rm(opcode), constant(a, b, c, d)),
            [0xc7, modrm @ 0xc0..=0xc7, a, b, c, d] => (rm(modrm), constant(a, b, c, d)),
            [0x31 | 0x33 | 0x29 | 0x2b, modrm @ 0xc0..=0xff] if reg(modrm) == rm(modrm) => {
                (rm(modrm), Some(0))
            }
            [0x6a, value] => return *pushed = Some(u32::from(value)),
            [opcode @ 0x58..=0x5f] => (rm(opcode), pushed.take()),
            // These opcodes are mov, arithmetic and xchg.
            [0x89 | 0x01 | 0x09 | 0x21 | 0x31 | 0x29 | 0x87, modrm @ 0xc0..=0xff, ..] => {
                (rm(modrm), None)
            }
            [0x8b | 0x8d | 0x63 | 0x03 | 0x0b | 0x23 | 0x33 | 0x2b, modrm, ..] => {
                (reg(modrm), None)
            }
            [0x0f, 0xb6 | 0xb7 | 0xbe | 0xbf | 0x40..=0x4f, modrm, ..] => (reg(modrm), None),
            // After a call or a jump the contents of the registers are not known.
            [0xe8 | 0xe9 | 0xeb | 0xc3 | 0xcc | 0xf4, ..] => return *call = Call::default(),
            [0xff, modrm, ..] if matches!(modrm >> 3 & 7, 2..=5) => return *call = Call::default(),
            _ => return,
        };
        match register {
            0 => call.number = value,
            6 => call.second = value,
            _ => (),
        }
    }

    /// What follows an opcode: is there a ModRM byte, and how many bytes of constants are there?
    #[derive(Clone, Copy)]
    struct Form(bool, Constant);

    #[derive(Clone, Copy, PartialEq)]
    enum Constant {
        Nothing,
        Bytes(u8),
        /// Two bytes with an operand-size prefix, else four bytes.
        Operand,
    }

    use Constant::{Bytes, Nothing, Operand};

    /// The form of a one-byte opcode (Intel's manual, volume 2, table A-2); `None` when it is no
    /// instruction in 64-bit mode.
    fn one_byte(opcode: u8) -> Option<Form> {
        Some(match opcode {
            0x00..=0x3f => match opcode & 7 {
                0..=3 => Form(true, Nothing),
                4 => Form(false, Bytes(1)),
                5 => Form(false, Operand),
                _ => return None,
            },
            0x50..=0x5f => Form(false, Nothing),
            0x63 => Form(true, Nothing),
            0x68 | 0xa9 => Form(false, Operand),
            0x69 | 0x81 | 0xc7 => Form(true, Operand),
            0x6a | 0x70..=0x7f | 0xa8 | 0xb0..=0xb7 | 0xcd | 0xe0..=0xe7 | 0xeb => {
                Form(false, Bytes(1))
            }
            0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => Form(true, Bytes(1)),
            0x84..=0x8f | 0xd0..=0xd3 | 0xd8..=0xdf | 0xf6 | 0xf7 | 0xfe | 0xff => {
                Form(true, Nothing)
            }
            0x6c..=0x6f | 0x90..=0x99 | 0x9b..=0x9f | 0xa4..=0xa7 | 0xaa..=0xaf => {
                Form(false, Nothing)
            }
            0xc2 | 0xca => Form(false, Bytes(2)),
            0xc8 => Form(false, Bytes(3)),
            0xe8 | 0xe9 => Form(false, Bytes(4)),
            0xc3 | 0xc9 | 0xcb | 0xcc | 0xcf | 0xd7 | 0xec..=0xef | 0xf1 | 0xf4 | 0xf5 => {
                Form(false, Nothing)
            }
            0xf8..=0xfd => Form(false, Nothing),
            _ => return None,
        })
    }

    /// The form of an opcode behind the byte 0f (table A-3).
    fn two_bytes(opcode: u8) -> Option<Form> {
        Some(match opcode {
            0x04 | 0x0a | 0x0c | 0x24..=0x27 | 0x36 | 0x39 | 0x3b..=0x3f => return None,
            0x05..=0x09 | 0x0b | 0x0e | 0x30..=0x37 | 0x77 | 0xa0..=0xa2 | 0xa8..=0xaa => {
                Form(false, Nothing)
            }
            0xc8..=0xcf => Form(false, Nothing),
            0x80..=0x8f => Form(false, Bytes(4)),
            0x0f | 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => Form(true, Bytes(1)),
            _ => Form(true, Nothing),
        })
    }

    /// Length in bytes of the instruction at the start; `None` when there is no instruction.
    pub fn length(code: &[u8]) -> Option<usize> {
        let byte = |at: usize| code.get(at).copied();
        let mut at = 0;
        let (mut short_operand, mut short_address, mut wide) = (false, false, false);
        loop {
            match byte(at)? {
                0x66 => short_operand = true,
                0x67 => short_address = true,
                0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf0 | 0xf2 | 0xf3 => (),
                _ => break,
            }
            at += 1;
            if at > 14 {
                return None;
            }
        }
        if let rex @ 0x40..=0x4f = byte(at)? {
            wide = rex & 8 != 0;
            at += 1;
        }
        let opcode = byte(at)?;
        at += 1;
        let form = match opcode {
            0x0f => {
                let second = byte(at)?;
                at += 1;
                match second {
                    0x38 => {
                        at += 1;
                        Form(true, Nothing)
                    }
                    0x3a => {
                        at += 1;
                        Form(true, Bytes(1))
                    }
                    _ => two_bytes(second)?,
                }
            }
            // VEX and EVEX instructions name the map of opcodes in their prefix.
            0xc5 => {
                let form = two_bytes(byte(at + 1)?)?;
                at += 2;
                form
            }
            0xc4 | 0x62 => {
                let map = byte(at)? & if opcode == 0xc4 { 0x1f } else { 7 };
                at += if opcode == 0xc4 { 2 } else { 3 };
                let form = match map {
                    1 => two_bytes(byte(at)?)?,
                    2 | 5 | 6 => Form(true, Nothing),
                    3 => Form(true, Bytes(1)),
                    _ => return None,
                };
                at += 1;
                form
            }
            // These opcodes are mov between the accumulator and an address of eight bytes.
            0xa0..=0xa3 => Form(false, Bytes(if short_address { 4 } else { 8 })),
            0xb8..=0xbf if wide => Form(false, Bytes(8)),
            0xb8..=0xbf => Form(false, Operand),
            _ => one_byte(opcode)?,
        };
        let Form(has_modrm, mut constant) = form;
        if has_modrm {
            let modrm = byte(at)?;
            at += 1;
            let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
            if mode != 3 {
                let base = if rm == 4 {
                    let sib = byte(at)?;
                    at += 1;
                    sib & 7
                } else {
                    rm
                };
                at += match mode {
                    1 => 1,
                    2 => 4,
                    _ if base == 5 => 4,
                    _ => 0,
                };
            }
            // Of this group only test has a constant.
            match opcode {
                0xf6 if reg < 2 => constant = Bytes(1),
                0xf7 if reg < 2 => constant = Operand,
                _ => (),
            }
        }
        at += match constant {
            Nothing => 0,
            Bytes(n) => usize::from(n),
            Operand if short_operand && !wide => 2,
            Operand => 4,
        };
        (at <= 15 && at <= code.len()).then_some(at)
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::Call;

    /// Calls `each` for the system calls in a piece of code, from the byte `from` on. The code
    /// starts at a multiple of four.
    pub fn each_call(code: &[u8], from: usize, mut each: impl FnMut(Call)) {
        const SVC: u32 = 0xd400_0001;
        let words = |code: &'_ [u8]| -> Vec<u32> {
            let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            code.chunks_exact(4).map(word).collect()
        };
        for at in (from.next_multiple_of(4)..code.len().saturating_sub(3)).step_by(4) {
            if code[at..at + 4] != SVC.to_le_bytes() {
                continue;
            }
            // The number is in the last `movz REGISTER, #VALUE` and `movk REGISTER, #VALUE, lsl
            // #16` in front of the call.
            let before = words(&code[at.saturating_sub(64)..at]);
            let last = |register: u32, opcode: u32| {
                let mut back = before.iter().rev();
                let found = back.find(|w| *w & 0x1f == register && *w & 0x7fe0_0000 == opcode);
                found.map(|word| word >> 5 & 0xffff)
            };
            let (low, high) = (0x5280_0000, 0x72a0_0000);
            each(Call {
                number: last(8, low),
                second: last(1, low).map(|value| value | last(1, high).unwrap_or(0) << 16),
            });
        }
    }
}

/// The name of a call by which a program opens, uses or waits for a tunnel; `None` for any other
/// call. What else a program does without libc (futexes, memory, the size of a terminal) does not
/// concern memtun.
pub fn name(call: Call) -> Option<&'static str> {
    let number = call.number?;
    if libc::c_long::from(number) == libc::SYS_ioctl {
        // The requests of the tun driver have the same letter as those of terminals, and the higher
        // numbers.
        let is_drivers = |request: u32| request >> 8 & 0xff == 0x54 && request & 0xff >= 200;
        return call.second.is_some_and(is_drivers).then_some("ioctl");
    }
    let names: &[(libc::c_long, &'static str)] = &[
        (libc::SYS_read, "read"),
        (libc::SYS_write, "write"),
        (libc::SYS_readv, "readv"),
        (libc::SYS_writev, "writev"),
        (libc::SYS_preadv2, "preadv2"),
        (libc::SYS_pwritev2, "pwritev2"),
        (libc::SYS_openat, "openat"),
        (libc::SYS_openat2, "openat2"),
        (libc::SYS_ppoll, "ppoll"),
        (libc::SYS_pselect6, "pselect6"),
        (libc::SYS_epoll_ctl, "epoll_ctl"),
        (libc::SYS_epoll_pwait, "epoll_pwait"),
        (libc::SYS_epoll_pwait2, "epoll_pwait2"),
        (libc::SYS_io_uring_setup, "io_uring_setup"),
        (libc::SYS_io_uring_enter, "io_uring_enter"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, "open"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_poll, "poll"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_select, "select"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_epoll_wait, "epoll_wait"),
    ];
    let found = names.iter().find(|(n, _)| *n == libc::c_long::from(number));
    found.map(|(_, name)| *name)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    fn calls(code: &[u8]) -> Vec<Call> {
        let mut found = Vec::new();
        each_call(code, 0, |call| found.push(call));
        found
    }

    fn number(number: u32) -> Call {
        Call {
            number: Some(number),
            second: None,
        }
    }

    #[test]
    fn the_number_is_what_was_last_put_into_its_register() {
        // xor eax, eax; syscall
        assert_eq!(calls(b"\x31\xc0\x0f\x05"), [number(0)]);
        // push 1; pop rax; syscall
        assert_eq!(calls(b"\x6a\x01\x58\x0f\x05"), [number(1)]);
        // mov eax, 1; mov eax, edi; syscall
        assert_eq!(calls(b"\xb8\x01\0\0\0\x89\xf8\x0f\x05"), [Call::default()]);
        // mov eax, 16; mov r8d, 1; syscall: the second mov changes another register.
        assert_eq!(
            calls(b"\xb8\x10\0\0\0\x41\xb8\x01\0\0\0\x0f\x05"),
            [number(16)]
        );
    }

    #[test]
    fn of_ioctls_only_the_drivers_count() {
        let ioctl = |request: u32| {
            let request = request.to_le_bytes();
            let code = [b"\xb8\x10\0\0\0\xbe", &request[..], b"\x0f\x05"].concat();
            name(calls(&code)[0])
        };
        assert_eq!(ioctl(memtun_abi::uapi::TUNSETIFF), Some("ioctl"));
        assert_eq!(ioctl(libc::TIOCGWINSZ as u32), None);
        assert_eq!(name(number(16)), None);
        assert_eq!(name(number(0)), Some("read"));
        assert_eq!(name(number(libc::SYS_futex as u32)), None);
    }

    #[test]
    fn the_bytes_inside_of_an_instruction_are_no_call() {
        // movabs rax, 0x050f40000000c0c7: libgcc recognises a signal's frame with this.
        assert_eq!(calls(b"\x48\xb8\xc7\xc0\0\0\0\x40\x0f\x05\xc3"), []);
        // lea rdi, [rip + 0x50f]; ret
        assert_eq!(calls(b"\x48\x8d\x3d\x0f\x05\0\0\xc3"), []);
        assert_eq!(calls(b"\xc3\x0f"), []);
    }
}
