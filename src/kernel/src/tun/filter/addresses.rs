//! The list of addresses whose frames a tap takes (`update_filter`, `run_filter`).
#![forbid(unsafe_code)]

use crate::shm::layout::{Addresses, InterfaceState, BY_ADDRESS, EXACT_ADDRESSES};
use crate::{Argument, Errno};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Every group is taken (TUN_FLT_ALLMULTI).
const ALL_GROUPS: u16 = 1;
/// Bytes of an address.
const ADDRESS: usize = 6;

/// Carries out TUNSETTXFILTER, and returns how many addresses are compared as they are. The first
/// eight are, groups or not. Groups behind them count by a hash, and another address behind them
/// takes the whole list away. The caller holds the net's lock.
///
/// # Errors
///
/// EFAULT when the list is not readable to its end.
pub fn set(interface: &InterfaceState, arg: &mut impl Argument) -> Result<i32, Errno> {
    /// Addresses that are read at once.
    const STEP: usize = 64;
    let mut head = [0; 4];
    arg.fetch(&mut head)?;
    let [flags, count] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_ne_bytes);
    let count = usize::from(count);
    let (mut exact, mut groups) = ([0; EXACT_ADDRESSES], 0);
    let mut can_filter = true;
    let mut buffer = [0; STEP * ADDRESS];
    for begin in (0..count).step_by(STEP) {
        let some = &mut buffer[..STEP.min(count - begin) * ADDRESS];
        arg.fetch_part(head.len() + begin * ADDRESS, some)?;
        for (i, address) in some.chunks_exact(ADDRESS).enumerate() {
            match exact.get_mut(begin + i) {
                Some(place) => *place = number(address),
                None if is_group(address) => groups |= 1 << hash(address),
                None => can_filter = false,
            }
        }
    }
    if flags & ALL_GROUPS != 0 {
        groups = u64::MAX;
    }
    let list = &interface.addresses;
    // Others may compare meanwhile. They take every frame while the list changes.
    interface.filters.fetch_and(!BY_ADDRESS, Relaxed);
    list.count.store(0, Release);
    if count == 0 || !can_filter {
        return Ok(0);
    }
    for (place, address) in list.exact.iter().zip(exact) {
        place.store(address, Relaxed);
    }
    list.groups.store(groups, Relaxed);
    let compared = count.min(EXACT_ADDRESSES) as u32;
    list.count.store(compared, Release);
    interface.filters.fetch_or(BY_ADDRESS, Release);
    Ok(compared as i32)
}

/// Does the tap take a frame that begins with these bytes?
pub fn take(list: &Addresses, frame: &[u8]) -> bool {
    let count = list.count.load(Acquire) as usize;
    let Some(to) = frame.get(..ADDRESS).filter(|_| count != 0) else {
        return true;
    };
    let mut exact = list.exact.iter().take(count);
    exact.any(|address| address.load(Relaxed) == number(to))
        || is_group(to) && list.groups.load(Relaxed) >> hash(to) & 1 != 0
}

fn number(address: &[u8]) -> u64 {
    address.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn is_group(address: &[u8]) -> bool {
    address[0] & 1 != 0
}

/// Returns the upper six bits of Ethernet's checksum (CRC-32) of an address.
fn hash(address: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut sum = u32::MAX;
    for byte in address {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 != 0 { POLYNOMIAL } else { 0 };
        }
    }
    sum.reverse_bits() >> 26
}
