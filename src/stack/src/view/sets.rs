//! Settings that are neither a number nor words: sets of numbers, and keys.
#![forbid(unsafe_code)]

use super::value::{number_in, Accepted, Value, LONGEST};
use memtun_abi::Errno;

const INVALID: Errno = Errno(libc::EINVAL);

/// Most numbers that a set can be of: ports.
const MOST: usize = 65_536;

/// Reads a set of numbers below `below`, such as `80,443,8000-8080` (`proc_do_large_bitmap`). Its
/// room on the stack is no part of its caller's, which mostly reads other values.
#[inline(never)]
pub(super) fn set(text: &[u8], below: u32) -> Result<Accepted, Errno> {
    let mut bits = [0u64; MOST / 64];
    let mut at = 0;
    let skip = |at: &mut usize| *at += text[*at..].iter().take_while(|b| **b == b'\n').count();
    let within = |number: (bool, u64)| {
        let is_one = !number.0 && number.1 < u64::from(below) && number.1 < MOST as u64;
        is_one.then_some(number.1 as usize).ok_or(INVALID)
    };
    skip(&mut at);
    while at < text.len() {
        let (first, length) = number_in(&text[at..], b"-,\n")?;
        let first = within(first)?;
        at += length;
        let mut last = first;
        if text.get(at) == Some(&b'-') {
            let (end, length) = number_in(&text[at + 1..], b",\n\0")?;
            last = within(end)?;
            at += 1 + length;
        }
        if last < first {
            return Err(INVALID);
        }
        for number in first..=last {
            bits[number / 64] |= 1 << (number % 64);
        }
        at = text.len().min(at + 1);
        skip(&mut at);
    }
    Ok(Accepted::new(Some(shown(&bits)?), text.len()))
}

/// The text of a set: its numbers in their order, of those that follow one another the first and
/// the last.
fn shown(bits: &[u64; MOST / 64]) -> Result<Value, Errno> {
    let is_in = |number: usize| number < MOST && bits[number / 64] >> (number % 64) & 1 != 0;
    let (mut text, mut end) = ([0; LONGEST], 0);
    let mut put = |part: &[u8]| {
        let room = text.get_mut(end..end + part.len()).ok_or(INVALID)?;
        room.copy_from_slice(part);
        end += part.len();
        Ok(())
    };
    let mut number = 0;
    let mut is_first = true;
    while number < MOST {
        if !is_in(number) {
            // Words without a number are passed over at once.
            number = match bits[number / 64] {
                0 => (number / 64 + 1) * 64,
                _ => number + 1,
            };
            continue;
        }
        let mut last = number;
        while is_in(last + 1) {
            last += 1;
        }
        if !is_first {
            put(b",")?;
        }
        is_first = false;
        put(Value::number(number as i64).bytes())?;
        if last > number {
            put(b"-")?;
            put(Value::number(last as i64).bytes())?;
        }
        number = last + 1;
    }
    Value::new(&text[..end]).ok_or(INVALID)
}

/// Reads one or two keys, each four hexadecimal numbers of 32 bits (`proc_tcp_fastopen_key`).
pub(super) fn keys(text: &[u8]) -> Result<Accepted, Errno> {
    use std::io::Write;
    let mut shown = [0; 80];
    let mut room = &mut shown[..];
    // The kernel's buffer ends at a line's end or a NUL.
    let end = text.iter().position(|b| matches!(b, b'\n' | 0));
    let line = &text[..end.unwrap_or(text.len())];
    let mut keys = line.splitn(2, |b| *b == b',');
    let first = keys.next().ok_or(INVALID)?;
    for (at, key) in [Some(first), keys.next()].into_iter().flatten().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let [a, b, c, d] = key_of(key).ok_or(INVALID)?;
        // Two keys always fit.
        let _ = write!(room, "{comma}{a:08x}-{b:08x}-{c:08x}-{d:08x}");
    }
    let left = room.len();
    let value = Value::new(&shown[..shown.len() - left]);
    Ok(Accepted::new(value, text.len()))
}

/// Reads a key as sscanf(3) does with `%x-%x-%x-%x`: blanks may stand in front of each number, and
/// whatever follows the last one does not matter.
fn key_of(mut text: &[u8]) -> Option<[u32; 4]> {
    let mut key = [0; 4];
    for (at, part) in key.iter_mut().enumerate() {
        if at > 0 {
            text = text.strip_prefix(b"-")?;
        }
        text = text.trim_ascii_start();
        let prefixed = text.len() > 2 && text[..2].eq_ignore_ascii_case(b"0x");
        if prefixed && text[2].is_ascii_hexdigit() {
            text = &text[2..];
        }
        let digits = text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let number = std::str::from_utf8(&text[..digits]).ok()?;
        let number = u64::from_str_radix(number, 16).ok()?;
        *part = number as u32;
        text = &text[digits..];
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(taken: Result<Accepted, Errno>) -> Result<String, i32> {
        let value = taken.map_err(|e| e.0)?.value.expect("a value");
        Ok(String::from_utf8(value.bytes().to_vec()).expect("text"))
    }

    #[test]
    fn sets_are_read_as_the_kernel_reads_them() {
        for (text, value) in [
            ("80,443,100-102\n", Ok("80,100-102,443")),
            ("1-2", Ok("1-2")),
            ("1,2,3,7", Ok("1-3,7")),
            ("0-65535", Ok("0-65535")),
            ("\n", Ok("")),
            ("1\n2", Ok("1-2")),
            ("0x10", Ok("16")),
            ("5-3", Err(libc::EINVAL)),
            ("65536", Err(libc::EINVAL)),
            (" 1", Err(libc::EINVAL)),
            ("1 2", Err(libc::EINVAL)),
            ("x", Err(libc::EINVAL)),
            ("-1", Err(libc::EINVAL)),
        ] {
            let value = value.map(str::to_owned);
            assert_eq!(text_of(set(text.as_bytes(), 65_536)), value, "{text:?}");
        }
    }

    #[test]
    fn keys_are_read_as_the_kernel_reads_them() {
        for (text, value) in [
            ("1-2-3-4", Ok("00000001-00000002-00000003-00000004")),
            ("1-2-3-4 x\n", Ok("00000001-00000002-00000003-00000004")),
            (
                "1-2-3-4,a-b-c-d",
                Ok("00000001-00000002-00000003-00000004,0000000a-0000000b-0000000c-0000000d"),
            ),
            ("1-2-3", Err(libc::EINVAL)),
            ("1-2-3-4,", Err(libc::EINVAL)),
            ("on", Err(libc::EINVAL)),
        ] {
            let value = value.map(str::to_owned);
            assert_eq!(text_of(keys(text.as_bytes())), value, "{text:?}");
        }
    }
}
