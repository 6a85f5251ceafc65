//! Classic BPF, the language of socket filters: what a program may be (`check`), and what it does
//! to a frame (`run`). Nothing here has state or fails: any bytes are a program to `run`, which
//! comes to an end because every jump leads forward.
#![forbid(unsafe_code)]

mod check;
mod run;

pub use check::{Checker, Sound};
pub use run::{run, Frame};

/// Number of instructions that a program may have (BPF_MAXINSNS).
pub const MOST: usize = 4096;

/// One instruction (`struct sock_filter`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// Number of instructions that a jump skips when its condition holds.
    pub jt: u8,
    /// Number of instructions that a jump skips when its condition does not hold.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

impl Instruction {
    /// Bytes of an instruction in memory.
    pub const SIZE: usize = 8;

    /// Reads an instruction from memory.
    pub fn from_bytes(bytes: [u8; Instruction::SIZE]) -> Instruction {
        let [c0, c1, jt, jf, k @ ..] = bytes;
        Instruction {
            code: u16::from_ne_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_ne_bytes(k),
        }
    }

    /// Returns the instruction as it stands in memory.
    pub fn to_bytes(self) -> [u8; Instruction::SIZE] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }

    /// Reads as many instructions from memory as there are.
    pub fn each(bytes: &[u8]) -> impl Iterator<Item = Instruction> + '_ {
        let whole = bytes.chunks_exact(Instruction::SIZE);
        whole.filter_map(|bytes| Some(Instruction::from_bytes(*bytes.first_chunk()?)))
    }

    /// Does it load from the frame, or from beside it, at a place that the program names?
    fn is_absolute_load(self) -> bool {
        matches!(self.code, code::LD_W_ABS | code::LD_H_ABS | code::LD_B_ABS)
    }

    /// Returns which of the values beside the frame it loads, as the offset from [`BESIDE`].
    fn beside(self) -> Option<u32> {
        let what = self.k.wrapping_sub(BESIDE as u32);
        (self.is_absolute_load() && what.is_multiple_of(4) && what <= beside::VLAN_TPID)
            .then_some(what)
    }
}

/// Number of cells of memory that a program has (BPF_MEMWORDS).
const CELLS: usize = 16;

/// Offset from which on loads read what is beside the frame (SKF_AD_OFF).
const BESIDE: i32 = -0x1000;
/// Offset that stands for the network header (SKF_NET_OFF).
const NETWORK: i32 = -0x10_0000;
/// Offset that stands for the link header (SKF_LL_OFF).
const LINK: i32 = -0x20_0000;

/// The instructions that there are.
mod code {
    pub const LD_W_IMM: u16 = 0x00;
    pub const LDX_W_IMM: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const ADD_K: u16 = 0x04;
    pub const JA: u16 = 0x05;
    pub const RET_K: u16 = 0x06;
    pub const TAX: u16 = 0x07;
    pub const ADD_X: u16 = 0x0c;
    pub const SUB_K: u16 = 0x14;
    pub const JEQ_K: u16 = 0x15;
    pub const RET_A: u16 = 0x16;
    pub const SUB_X: u16 = 0x1c;
    pub const JEQ_X: u16 = 0x1d;
    pub const LD_W_ABS: u16 = 0x20;
    pub const MUL_K: u16 = 0x24;
    pub const JGT_K: u16 = 0x25;
    pub const LD_H_ABS: u16 = 0x28;
    pub const MUL_X: u16 = 0x2c;
    pub const JGT_X: u16 = 0x2d;
    pub const LD_B_ABS: u16 = 0x30;
    pub const DIV_K: u16 = 0x34;
    pub const JGE_K: u16 = 0x35;
    pub const DIV_X: u16 = 0x3c;
    pub const JGE_X: u16 = 0x3d;
    pub const LD_W_IND: u16 = 0x40;
    pub const OR_K: u16 = 0x44;
    pub const JSET_K: u16 = 0x45;
    pub const LD_H_IND: u16 = 0x48;
    pub const OR_X: u16 = 0x4c;
    pub const JSET_X: u16 = 0x4d;
    pub const LD_B_IND: u16 = 0x50;
    pub const AND_K: u16 = 0x54;
    pub const AND_X: u16 = 0x5c;
    pub const LD_MEM: u16 = 0x60;
    pub const LDX_MEM: u16 = 0x61;
    pub const LSH_K: u16 = 0x64;
    pub const LSH_X: u16 = 0x6c;
    pub const RSH_K: u16 = 0x74;
    pub const RSH_X: u16 = 0x7c;
    pub const LD_LEN: u16 = 0x80;
    pub const LDX_LEN: u16 = 0x81;
    pub const NEG: u16 = 0x84;
    pub const TXA: u16 = 0x87;
    pub const MOD_K: u16 = 0x94;
    pub const MOD_X: u16 = 0x9c;
    pub const XOR_K: u16 = 0xa4;
    pub const XOR_X: u16 = 0xac;
    pub const LDX_B_MSH: u16 = 0xb1;

    /// The bit that distinguishes X from a constant as the operand of a computation or a jump.
    pub const BY_X: u16 = 0x08;
}

/// The values beside the frame (SKF_AD_*).
mod beside {
    pub const PROTOCOL: u32 = 0;
    pub const PKTTYPE: u32 = 4;
    pub const IFINDEX: u32 = 8;
    pub const NLATTR: u32 = 12;
    pub const NLATTR_NEST: u32 = 16;
    pub const MARK: u32 = 20;
    pub const QUEUE: u32 = 24;
    pub const HATYPE: u32 = 28;
    pub const RXHASH: u32 = 32;
    pub const CPU: u32 = 36;
    pub const ALU_XOR_X: u32 = 40;
    pub const VLAN_TAG: u32 = 44;
    pub const VLAN_TAG_PRESENT: u32 = 48;
    pub const PAY_OFFSET: u32 = 52;
    pub const RANDOM: u32 = 56;
    pub const VLAN_TPID: u32 = 60;
}
