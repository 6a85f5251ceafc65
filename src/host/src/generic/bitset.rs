//! Sets of bits as attributes (net/ethtool/bitset.c). The longest has 121 bits.
#![forbid(unsafe_code)]

use super::policy::{BITSET, BIT_OF_SET};
use crate::netlink::policy::Mode;
use crate::netlink::Request;
use crate::Failure;
use memtun_stack::wire::{u32_at, Attribute, Writer, NESTED};

// Attributes of a set (ETHTOOL_A_BITSET_*).
const NOMASK: u16 = 1;
const SIZE: u16 = 2;
const BITS: u16 = 3;
const VALUE: u16 = 4;
const MASK: u16 = 5;
// The attribute of one bit, and those in it (ETHTOOL_A_BITSET_BIT_*).
const BIT: u16 = 1;
const BIT_INDEX: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;

/// Length in bytes of the longest name (ETH_GSTRING_LEN).
const LONGEST_NAME: usize = 32;

/// Returns the set that is in these words.
pub(super) fn of_words(words: &[u32]) -> u128 {
    let words = words.iter().take(4).enumerate();
    words.fold(0, |set, (at, word)| set | u128::from(*word) << (32 * at))
}

/// Returns the words of a set.
pub(super) fn to_words(set: u128) -> [u32; 4] {
    std::array::from_fn(|at| (set >> (32 * at)) as u32)
}

/// The bits of which each has a name.
fn all(names: &[&str]) -> u128 {
    u128::MAX >> (128 - names.len())
}

/// Appends a set (`ethnl_put_bitset32`). Without a mask it is a list of bits.
pub(super) fn put(
    to: &mut Writer,
    kind: u16,
    (value, mask): (u128, Option<u128>),
    names: &[&str],
    compact: bool,
) {
    let open = to.begin(kind | NESTED);
    if mask.is_none() {
        to.attribute(NOMASK, &[]);
    }
    to.u32(SIZE, names.len() as u32);
    let (value, mask) = (value & all(names), mask.map(|mask| mask & all(names)));
    if compact {
        let length = names.len().div_ceil(32);
        let bytes = |set: u128| to_words(set).map(u32::to_ne_bytes);
        to.attribute(VALUE, bytes(value)[..length].as_flattened());
        if let Some(mask) = mask {
            to.attribute(MASK, bytes(mask)[..length].as_flattened());
        }
    } else {
        let bits = to.begin(BITS | NESTED);
        for (index, name) in names.iter().enumerate() {
            if mask.unwrap_or(value) >> index & 1 == 0 {
                continue;
            }
            let bit = to.begin(BIT | NESTED);
            to.u32(BIT_INDEX, index as u32);
            to.string(BIT_NAME, name.as_bytes());
            if mask.is_some() && value >> index & 1 != 0 {
                to.attribute(BIT_VALUE, &[]);
            }
            to.end(bit);
        }
        to.end(bits);
    }
    to.end(open);
}

/// Reads a set that changes another one. Returns the bits that are set, and those that are meant
/// (`ethnl_parse_bitset`, `ethnl_update_bitset32`). Where a set is `changed` at once, the kernel
/// also looks at the types of the bits.
///
/// # Errors
///
/// EINVAL or EOPNOTSUPP with the kernel's sentence.
pub(super) fn parse(
    request: &Request<'_>,
    attribute: Attribute<'_>,
    names: &[&str],
    changed: bool,
) -> Result<(u128, u128), Failure> {
    let Some(attribute) = request.at(attribute.at) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let tb = request.parse_nested(attribute, &BITSET, Mode::Strict)?;
    let is_list = tb.has(NOMASK);
    let fail = |text: &'static str, at: usize| Err(Failure::said(libc::EINVAL, text).at(at));
    let Some(bits) = tb.get(BITS) else {
        return compact(
            [tb.get(SIZE), tb.get(VALUE), tb.get(MASK)],
            is_list,
            attribute,
            names,
        );
    };
    if let Some(value) = tb.get(VALUE) {
        return fail("value only allowed in compact bitset", value.at);
    }
    if let Some(mask) = tb.get(MASK) {
        return fail("mask only allowed in compact bitset", mask.at);
    }
    let (mut value, mut mask) = (0, if is_list { all(names) } else { 0 });
    for bit in request.each_nested(bits) {
        if changed && bit.kind != BIT {
            let text = "only ETHTOOL_A_BITSET_BITS_BIT allowed in ETHTOOL_A_BITSET_BITS";
            return fail(text, bit.at);
        }
        let (index, is_set) = parse_bit(request, bit, names)?;
        value |= u128::from(is_list || is_set) << index;
        mask |= 1 << index;
    }
    Ok((value, mask))
}

/// Reads one bit: its index, and whether it is set (`ethnl_parse_bit`).
fn parse_bit(
    request: &Request<'_>,
    bit: Attribute<'_>,
    names: &[&str],
) -> Result<(usize, bool), Failure> {
    let Some(bit) = request.at(bit.at) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let tb = request.parse_nested(bit, &BIT_OF_SET, Mode::Strict)?;
    let unknown = |text: &'static str, at: usize| Err(Failure::said(libc::EOPNOTSUPP, text).at(at));
    let invalid = |text: &'static str| Err(Failure::said(libc::EINVAL, text).at(bit.at));
    let index = match (tb.get(BIT_INDEX), tb.get(BIT_NAME)) {
        (Some(index), name) => {
            let number = index.u32().unwrap_or(0) as usize;
            let Some(known) = names.get(number) else {
                return unknown("bit index too high", index.at);
            };
            if name.is_some_and(|name| name.string() != known.as_bytes()) {
                return invalid("bit index and name mismatch");
            }
            number
        }
        (None, Some(name)) => {
            let text = name.string();
            let mut known = names.iter();
            let index = known.position(|known| known.as_bytes() == text);
            match index.filter(|_| text.len() <= LONGEST_NAME) {
                Some(index) => index,
                None => return unknown("bit name not found", name.at),
            }
        }
        (None, None) => return invalid("neither bit index nor name specified"),
    };
    Ok((index, tb.has(BIT_VALUE)))
}

/// Reads a set without names (`ethnl_compact_sanity_checks`).
fn compact(
    [size, value, mask]: [Option<Attribute<'_>>; 3],
    is_list: bool,
    set: Attribute<'_>,
    names: &[&str],
) -> Result<(u128, u128), Failure> {
    let fail = |text: &'static str, at: usize| Err(Failure::said(libc::EINVAL, text).at(at));
    if let Some(mask) = mask.filter(|_| is_list) {
        return fail("mask not allowed in list bitset", mask.at);
    }
    let Some(size) = size.and_then(|size| size.u32()) else {
        return fail("missing size in compact bitset", set.at);
    };
    let Some(value) = value else {
        return fail("missing value in compact bitset", set.at);
    };
    if !is_list && mask.is_none() {
        return fail("missing mask in compact nonlist bitset", set.at);
    }
    let length = size.div_ceil(32) as usize * 4;
    if value.value.len() != length {
        return fail("bitset value length does not match size", value.at);
    }
    if let Some(mask) = mask.filter(|mask| mask.value.len() != length) {
        return fail("bitset mask length does not match size", mask.at);
    }
    let tested = mask.unwrap_or(value);
    let is_set = |bit: usize| {
        let word = u32_at(tested.value, bit / 32 * 4).unwrap_or(0);
        word >> (bit % 32) & 1 != 0
    };
    if (names.len()..size as usize).any(is_set) {
        return fail("cannot modify bits past kernel bitset size", tested.at);
    }
    let known = (size as usize).min(names.len());
    let within = match known {
        0 => 0,
        known => u128::MAX >> (128 - known),
    };
    let read = |a: Attribute<'_>| {
        let words: Vec<u32> = (0..4)
            .map(|at| u32_at(a.value, 4 * at).unwrap_or(0))
            .collect();
        of_words(&words) & within
    };
    let mask = mask.map_or(all(names), read);
    Ok((read(value), mask))
}
