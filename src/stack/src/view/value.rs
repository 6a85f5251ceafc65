//! A setting's value as text, and how numbers stand in such a text.
#![forbid(unsafe_code)]

use memtun_abi::Errno;

/// A value in the text that reading it gives: a number, or an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    text: [u8; LONGEST],
    length: usize,
}

/// Longest value in bytes.
pub const LONGEST: usize = 256;

impl Value {
    /// Makes a value of its text; None when that is longer than any value.
    pub fn new(text: &[u8]) -> Option<Value> {
        let mut value = Value {
            text: [0; LONGEST],
            length: text.len(),
        };
        value.text.get_mut(..text.len())?.copy_from_slice(text);
        Some(value)
    }
    /// Makes a value of a number.
    pub fn number(number: i64) -> Value {
        use std::io::Write;
        let mut text = [0; LONGEST];
        let mut room = &mut text[..];
        // A number always fits.
        let _ = write!(room, "{number}");
        let left = room.len();
        Value {
            text,
            length: text.len() - left,
        }
    }
    /// Returns the text, without a line's end.
    pub fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// A write that is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The new value; None when nothing changes.
    pub value: Option<Value>,
    /// What write(2) returns: how many bytes it took.
    pub taken: usize,
    /// What it fails with although the value is taken: of several numbers those in front of the
    /// wrong one stay.
    pub fails: Option<Errno>,
}

impl Accepted {
    /// A value, of which so many bytes were taken.
    pub fn new(value: Option<Value>, taken: usize) -> Accepted {
        Accepted {
            value,
            taken,
            fails: None,
        }
    }
}

/// Reads a number that stands at the beginning of a text, before its end or one of `behind`: its
/// sign and its magnitude, and its length in bytes.
///
/// # Errors
///
/// EINVAL when there is no such number.
pub fn number_in(text: &[u8], behind: &[u8]) -> Result<((bool, u64), usize), Errno> {
    const INVALID: Errno = Errno(libc::EINVAL);
    /// Longest number that is looked at (TMPBUFLEN less one).
    const LONGEST: usize = 21;
    let negative = text.first() == Some(&b'-') && text.len() > 1;
    let digits = &text[usize::from(negative)..];
    let (magnitude, length) = unsigned(digits).ok_or(INVALID)?;
    let magnitude = magnitude.ok_or(INVALID)?;
    let end = length + usize::from(negative);
    let ends_well = text.get(end).is_none_or(|b| behind.contains(b));
    match end <= LONGEST && ends_well {
        true => Ok(((negative, magnitude), end)),
        false => Err(INVALID),
    }
}

/// Reads a number as `strtoul_lenient` with base 0 does, None where it has more than 64 bits, and
/// its length; None when there is none.
pub fn unsigned(text: &[u8]) -> Option<(Option<u64>, usize)> {
    let hexadecimal =
        text.len() > 2 && text[0] == b'0' && text[1] | 0x20 == b'x' && text[2].is_ascii_hexdigit();
    let (base, begin) = match text.first()? {
        _ if hexadecimal => (16, 2),
        b'0' => (8, 0),
        _ => (10, 0),
    };
    let (mut value, mut at, mut fits) = (0u64, begin, true);
    while let Some(digit) = text.get(at).and_then(|b| char::from(*b).to_digit(base)) {
        let more = value.checked_mul(base.into());
        let sum = more.and_then(|more| more.checked_add(digit.into()));
        fits &= sum.is_some();
        value = sum.unwrap_or(u64::MAX);
        at += 1;
    }
    (at > begin).then_some((fits.then_some(value), at))
}
