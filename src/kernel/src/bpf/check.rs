//! Which programs are taken (`bpf_check_classic`), and how large the kernel makes them.
#![forbid(unsafe_code)]

use super::code::*;
use super::{beside, Instruction, BESIDE, CELLS, MOST};

/// A program that has been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sound {
    /// Bytes that the program takes in the kernel, which translates it into a language of its own.
    /// A socket has a limit for them (net.core.optmem_max). This is what Linux 6.18 needs.
    pub charge: u32,
}

/// Number of instructions that are checked without an allocation.
const FEW: usize = 256;

/// Checks a program, one instruction after the other.
pub struct Checker {
    len: usize,
    at: usize,
    /// For each instruction, the cells that are stored on every way by which a jump leads to it.
    /// Those of the first instructions are here, because a program may check in a thread with a
    /// small stack or in a signal handler.
    stored_before: [u16; FEW],
    /// The same for the instructions behind them.
    stored_before_more: Vec<u16>,
    /// The cells that are stored on the way to the next instruction.
    stored: u16,
    is_sound: bool,
    /// Was the last instruction a return?
    returned: bool,
    /// Instructions of the translation.
    translated: u32,
    loads: bool,
}

impl Checker {
    /// Begins with a program of `len` instructions, of which there are at most [`MOST`].
    pub fn new(len: usize) -> Checker {
        Checker {
            len,
            at: 0,
            stored_before: [u16::MAX; FEW],
            stored_before_more: vec![u16::MAX; len.min(MOST).saturating_sub(FEW)],
            stored: 0,
            is_sound: (1..=MOST).contains(&len),
            returned: false,
            translated: 0,
            loads: false,
        }
    }

    /// Looks at the next instruction.
    pub fn next(&mut self, next: Instruction) {
        self.is_sound = self.is_sound && self.look(next) == Some(());
        self.returned = matches!(next.code, RET_K | RET_A);
        self.translated = self.translated.saturating_add(translated(next));
        self.loads |= loads(next);
        self.at += 1;
    }

    /// Returns whether the kernel takes the program, after all of its instructions were looked at.
    pub fn end(&self) -> Option<Sound> {
        /// Bytes of `struct bpf_prog` in front of the instructions.
        const HEAD: u32 = 96;
        /// Instructions in front of a program, and of one that loads from the frame.
        const PROLOGUE: [u32; 2] = [3, 7];
        let taken = self.is_sound && self.returned && self.at == self.len;
        let translated = PROLOGUE[usize::from(self.loads)].saturating_add(self.translated);
        taken.then(|| Sound {
            charge: translated
                .saturating_mul(Instruction::SIZE as u32)
                .saturating_add(HEAD),
        })
    }

    /// Checks an instruction; None says that it may not stand here.
    fn look(&mut self, next: Instruction) -> Option<()> {
        let k = next.k as usize;
        let behind = self.at + 1;
        self.stored &= *self.stored_before(self.at)?;
        let sound = match next.code {
            DIV_K | MOD_K => k != 0,
            LSH_K | RSH_K => k < 32,
            ST | STX => {
                self.stored |= 1u16.checked_shl(next.k).unwrap_or(0);
                k < CELLS
            }
            LD_MEM | LDX_MEM => k < CELLS && self.stored & 1 << k != 0,
            JA => {
                self.jumps([behind.checked_add(k)?; 2])?;
                true
            }
            JEQ_K | JEQ_X | JGT_K | JGT_X | JGE_K | JGE_X | JSET_K | JSET_X => {
                self.jumps([next.jt, next.jf].map(|skipped| behind + usize::from(skipped)))?;
                true
            }
            LD_W_ABS | LD_H_ABS | LD_B_ABS => next.k < BESIDE as u32 || next.beside().is_some(),
            code => is_plain(code),
        };
        sound.then_some(())
    }

    /// Returns which cells are stored before the instruction `at`, as far as it is known by now.
    fn stored_before(&mut self, at: usize) -> Option<&mut u16> {
        match at.checked_sub(FEW) {
            None => self.stored_before.get_mut(at),
            Some(more) => self.stored_before_more.get_mut(more),
        }
    }

    /// Notes where a jump leads.
    fn jumps(&mut self, to: [usize; 2]) -> Option<()> {
        for to in to {
            if to >= self.len {
                return None;
            }
            let stored = self.stored;
            *self.stored_before(to)? &= stored;
        }
        self.stored = u16::MAX;
        Some(())
    }
}

/// Is this an instruction that is sound with any operand?
fn is_plain(code: u16) -> bool {
    matches!(
        code,
        LD_W_IMM | LDX_W_IMM | LD_LEN | LDX_LEN | LDX_B_MSH | TAX | TXA | RET_K | RET_A | NEG
    ) || matches!(code, LD_W_IND | LD_H_IND | LD_B_IND)
        || matches!(code, ADD_K | SUB_K | MUL_K | AND_K | OR_K | XOR_K)
        || matches!(code, ADD_X | SUB_X | MUL_X | AND_X | OR_X | XOR_X)
        || matches!(code, DIV_X | MOD_X | LSH_X | RSH_X)
}

/// Does it load from the frame?
fn loads(next: Instruction) -> bool {
    next.is_absolute_load() && next.beside().is_none()
        || matches!(next.code, LD_W_IND | LD_H_IND | LD_B_IND | LDX_B_MSH)
}

/// Number of the kernel's own instructions into which it translates this one.
fn translated(next: Instruction) -> u32 {
    if let Some(what) = next.beside() {
        return match what {
            beside::MARK | beside::QUEUE | beside::RXHASH => 1,
            beside::ALU_XOR_X | beside::VLAN_TAG => 1,
            beside::PROTOCOL | beside::PKTTYPE | beside::VLAN_TPID => 2,
            beside::VLAN_TAG_PRESENT => 3,
            _ => 4,
        };
    }
    let constant = next.code & BY_X == 0;
    match next.code {
        DIV_X | MOD_X => 5,
        RET_K => 2,
        LD_B_ABS => absolute(next.k),
        LD_W_ABS | LD_H_ABS => absolute(next.k) + u32::from(next.k as i32 >= 0),
        LDX_B_MSH => absolute(next.k) + 6,
        LD_W_IND | LD_H_IND | LD_B_IND => 8 + u32::from(next.k != 0),
        JEQ_K | JEQ_X | JGT_K | JGT_X | JGE_K | JGE_X => {
            1 + u32::from(next.jt != 0 && next.jf != 0) + u32::from(constant && is_negative(next))
        }
        JSET_K | JSET_X => 1 + u32::from(next.jf != 0) + u32::from(constant && is_negative(next)),
        _ => 1,
    }
}

fn is_negative(next: Instruction) -> bool {
    (next.k as i32) < 0
}

/// The same for a load of a byte.
fn absolute(k: u32) -> u32 {
    match k as i32 {
        ..0 => 8,
        0 => 12,
        1..=0x7fff => 13,
        _ => 15,
    }
}
