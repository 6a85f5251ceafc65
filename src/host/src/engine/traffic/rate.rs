//! Rates and times of traffic control (`struct tc_ratespec`, `struct psched_ratecfg`).
#![forbid(unsafe_code)]

use memtun_stack::wire::{u16_at, u32_at};

/// Length in bytes of `struct tc_ratespec`.
pub(super) const SPEC: usize = 12;
/// TC_LINKLAYER_ETHERNET, TC_LINKLAYER_ATM, TC_LINKLAYER_MASK.
const ETHERNET: u8 = 1;
const ATM: u8 = 2;
const MASK: u8 = 0xf;

/// Returns a time in nanoseconds as the kernel counts it in messages (PSCHED_NS2TICKS).
pub(super) fn ticks(nanoseconds: u64) -> u32 {
    (nanoseconds >> 6) as u32
}

/// Returns the nanoseconds of such a time (PSCHED_TICKS2NS).
pub(super) fn nanoseconds(ticks: u32) -> u64 {
    u64::from(ticks) << 6
}

/// A rate with what each packet costs beside its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate {
    pub bytes: u64,
    overhead: u16,
    least: u16,
    linklayer: u8,
}

impl Rate {
    /// Reads `struct tc_ratespec`, and the larger number that may stand beside it
    /// (`psched_ratecfg_precompute`).
    pub fn read(spec: &[u8], larger: Option<u64>) -> Rate {
        let bytes = u32_at(spec, 8).unwrap_or(0).into();
        // A tool that says nothing of the link layer has made a table for Ethernet.
        let linklayer = match spec.get(1).map_or(0, |layer| layer & MASK) {
            0 => ETHERNET,
            layer => layer,
        };
        Rate {
            bytes: larger.unwrap_or(0).max(bytes),
            overhead: u16_at(spec, 2).unwrap_or(0),
            least: u16_at(spec, 6).unwrap_or(0),
            linklayer,
        }
    }

    /// Returns `struct tc_ratespec` (`psched_ratecfg_getrate`).
    pub fn to_bytes(self) -> [u8; SPEC] {
        let mut spec = [0; SPEC];
        spec[1] = self.linklayer;
        spec[2..4].copy_from_slice(&self.overhead.to_ne_bytes());
        spec[6..8].copy_from_slice(&self.least.to_ne_bytes());
        let bytes = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        spec[8..].copy_from_slice(&bytes.to_ne_bytes());
        spec
    }

    /// Returns how long so many bytes take, in nanoseconds (`psched_l2t_ns`).
    pub fn time_of(self, bytes: u32) -> u64 {
        let (mut factor, mut shift) = (1_000_000_000u64, 0);
        let mult = loop {
            let mult = factor.checked_div(self.bytes).unwrap_or(1);
            if self.bytes == 0 || mult & 1 << 31 != 0 || factor >> 63 != 0 {
                break mult as u32;
            }
            factor <<= 1;
            shift += 1;
        };
        let length = bytes.saturating_add(self.overhead.into());
        let length = length.max(self.least.into());
        let length = match self.linklayer {
            ATM => u64::from(length.div_ceil(48)) * 53,
            _ => length.into(),
        };
        length.wrapping_mul(mult.into()) >> shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_a_rate_takes_its_time() {
        let mut spec = [0; SPEC];
        spec[8..].copy_from_slice(&125_000u32.to_ne_bytes());
        let rate = Rate::read(&spec, None);
        let time = rate.time_of(1500);
        assert!((11_999_990..=12_000_000).contains(&time), "{time}");
        spec[1] = ETHERNET;
        assert_eq!(rate.to_bytes(), spec);
        assert_eq!(Rate::read(&spec, Some(1 << 33)).to_bytes()[8..], [0xff; 4]);
    }
}
