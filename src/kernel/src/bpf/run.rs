//! What a program does to a frame.
#![forbid(unsafe_code)]

use super::code::*;
use super::{beside, Instruction, BESIDE, CELLS, LINK, NETWORK};
use crate::link::payload_offset;

/// A frame that is on its way into a queue, and what the driver knows of it.
#[derive(Clone, Copy)]
pub struct Frame<'f> {
    /// The frame from its link header on.
    pub data: &'f [u8],
    /// Offset of the network header.
    pub network: usize,
    /// Ethertype in host byte order.
    pub ethertype: u16,
    /// Index of the interface.
    pub ifindex: u32,
    /// ARPHRD_* of the interface.
    pub link_type: u16,
    /// PACKET_HOST and so on. The driver's own filter finds PACKET_HOST in what this host sends.
    pub packet_type: u8,
    /// Number of the queue.
    pub queue: u32,
    /// Returns a number that nobody can guess.
    pub random: fn() -> u32,
    /// Returns the number of the processor that the caller runs on.
    pub processor: fn() -> u32,
}

/// Runs a program, and returns how many bytes of the frame are left; 0 says that it is dropped. As
/// in the kernel, a load from behind the frame and a division by zero end the program with 0. So
/// does whatever [`Checker`](super::Checker) would not have taken.
pub fn run(program: &[Instruction], frame: &Frame<'_>) -> u32 {
    let mut machine = Machine {
        a: 0,
        x: 0,
        cells: [0; CELLS],
        frame,
    };
    let mut at = 0usize;
    while let Some(instruction) = program.get(at) {
        at = match machine.step(*instruction) {
            Step::Next(skipped) => at + 1 + skipped,
            Step::End(left) => return left,
        };
    }
    0
}

enum Step {
    /// The program goes on behind so many instructions, which are skipped.
    Next(usize),
    /// The program has ended with this value.
    End(u32),
}

const DROP: Step = Step::End(0);

struct Machine<'f> {
    a: u32,
    x: u32,
    cells: [u32; CELLS],
    frame: &'f Frame<'f>,
}

impl Machine<'_> {
    #[inline]
    fn step(&mut self, next: Instruction) -> Step {
        let Instruction { code, k, .. } = next;
        match code {
            RET_K => return Step::End(k),
            RET_A => return Step::End(self.a),
            JA => return Step::Next(k as usize),
            JEQ_K | JEQ_X | JGT_K | JGT_X | JGE_K | JGE_X | JSET_K | JSET_X => {
                let with = if code & BY_X == 0 { k } else { self.x };
                let holds = match code & !BY_X {
                    JEQ_K => self.a == with,
                    JGT_K => self.a > with,
                    JGE_K => self.a >= with,
                    _ => self.a & with != 0,
                };
                return Step::Next(usize::from(if holds { next.jt } else { next.jf }));
            }
            ST | STX => {
                let Some(cell) = self.cells.get_mut(k as usize) else {
                    return DROP;
                };
                *cell = if code == ST { self.a } else { self.x };
            }
            TAX => self.x = self.a,
            TXA => self.a = self.x,
            LDX_W_IMM | LDX_MEM | LDX_LEN | LDX_B_MSH => match self.load_x(code, k) {
                Some(x) => self.x = x,
                None => return DROP,
            },
            _ => match self.load(next).or_else(|| self.compute(code, k)) {
                Some(a) => self.a = a,
                None => return DROP,
            },
        }
        Step::Next(0)
    }

    fn cell(&self, k: u32) -> Option<u32> {
        self.cells.get(k as usize).copied()
    }

    fn load_x(&self, code: u16, k: u32) -> Option<u32> {
        match code {
            LDX_W_IMM => Some(k),
            LDX_MEM => self.cell(k),
            LDX_LEN => Some(self.len()),
            _ => self.bytes::<1>(k as i32).map(|[b]| u32::from(b & 15) * 4),
        }
    }

    /// Returns what A becomes by a load; None for another instruction, too.
    fn load(&self, next: Instruction) -> Option<u32> {
        let k = next.k;
        if let Some(what) = next.beside() {
            return self.beside(what);
        }
        let relative = self.x.wrapping_add(k) as i32;
        match next.code {
            LD_W_IMM => Some(k),
            LD_MEM => self.cell(k),
            LD_LEN => Some(self.len()),
            LD_W_ABS => self.bytes(k as i32).map(u32::from_be_bytes),
            LD_W_IND => self.bytes(relative).map(u32::from_be_bytes),
            LD_H_ABS => self
                .bytes(k as i32)
                .map(|half| u16::from_be_bytes(half).into()),
            LD_H_IND => self
                .bytes(relative)
                .map(|half| u16::from_be_bytes(half).into()),
            LD_B_ABS => self.bytes(k as i32).map(|[byte]| byte.into()),
            LD_B_IND => self.bytes(relative).map(|[byte]| byte.into()),
            _ => None,
        }
    }

    /// Returns what A becomes by a computation; None for another instruction, too.
    fn compute(&self, code: u16, k: u32) -> Option<u32> {
        let a = self.a;
        let with = if code & BY_X == 0 { k } else { self.x };
        match code {
            NEG => Some(a.wrapping_neg()),
            ADD_K | ADD_X => Some(a.wrapping_add(with)),
            SUB_K | SUB_X => Some(a.wrapping_sub(with)),
            MUL_K | MUL_X => Some(a.wrapping_mul(with)),
            DIV_K | DIV_X => a.checked_div(with),
            MOD_K | MOD_X => a.checked_rem(with),
            AND_K | AND_X => Some(a & with),
            OR_K | OR_X => Some(a | with),
            XOR_K | XOR_X => Some(a ^ with),
            // A shift counts the low five bits of X only.
            LSH_K | LSH_X => Some(a.wrapping_shl(with)),
            RSH_K | RSH_X => Some(a.wrapping_shr(with)),
            _ => None,
        }
    }

    fn len(&self) -> u32 {
        self.frame.data.len() as u32
    }

    /// Returns bytes of the frame. A negative offset counts from one of its headers.
    fn bytes<const N: usize>(&self, offset: i32) -> Option<[u8; N]> {
        let at = match offset {
            0.. => offset as usize,
            NETWORK.. => self.frame.network + (offset - NETWORK) as usize,
            LINK.. => (offset - LINK) as usize,
            _ => return None,
        };
        self.frame.data.get(at..)?.first_chunk().copied()
    }

    /// Returns a value beside the frame.
    fn beside(&self, what: u32) -> Option<u32> {
        let frame = self.frame;
        Some(match what {
            beside::PROTOCOL => frame.ethertype.into(),
            beside::IFINDEX => frame.ifindex,
            beside::NLATTR => self.attribute(frame.data, self.a),
            beside::NLATTR_NEST => self.nested_attribute(),
            beside::QUEUE => frame.queue,
            beside::HATYPE => frame.link_type.into(),
            beside::CPU => (frame.processor)(),
            beside::ALU_XOR_X => self.a ^ self.x,
            beside::PAY_OFFSET => payload_offset(frame.data, frame.network, frame.ethertype),
            beside::RANDOM => (frame.random)(),
            beside::PKTTYPE => self.frame.packet_type.into(),
            // Nobody has marked the frame, hashed it or taken a VLAN tag out of it.
            beside::MARK | beside::RXHASH => 0,
            beside::VLAN_TAG | beside::VLAN_TAG_PRESENT | beside::VLAN_TPID => 0,
            _ => return None,
        })
    }

    /// Returns where the first attribute of netlink of type X stands, looking from `from` on; 0 for
    /// none.
    fn attribute(&self, within: &[u8], from: u32) -> u32 {
        const TYPE: u32 = 0x3fff;
        let mut at = from as usize;
        while let Some((length, kind)) = attribute(within, at) {
            if u32::from(kind) & TYPE == self.x {
                return at as u32;
            }
            at += length.next_multiple_of(4);
        }
        0
    }

    /// The same within the attribute at A.
    fn nested_attribute(&self) -> u32 {
        let (data, outer) = (self.frame.data, self.a as usize);
        match attribute(data, outer) {
            Some((length, _)) => self.attribute(&data[..outer + length], self.a.saturating_add(4)),
            None => 0,
        }
    }
}

/// Returns the length and the type of the attribute of netlink at an offset, if there is one.
fn attribute(within: &[u8], at: usize) -> Option<(usize, u16)> {
    let [l0, l1, t0, t1] = *within.get(at..)?.first_chunk()?;
    let length = usize::from(u16::from_ne_bytes([l0, l1]));
    let fits = length >= 4 && length <= within.len() - at;
    fits.then(|| (length, u16::from_ne_bytes([t0, t1])))
}

const _: () = assert!(LINK < NETWORK && NETWORK < BESIDE);
