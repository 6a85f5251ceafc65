//! What the files of /proc/net have in common.
#![forbid(unsafe_code)]

use crate::address::Address;
use crate::state;
use crate::view::text::Text;
use crate::view::tree::Tree;
use crate::wire::Message;
use memtun_abi::{Errno, Name};
use memtun_sys as sys;

impl Tree<'_> {
    pub(super) fn each_address(&self, mut each: impl FnMut(&Address)) -> Result<(), Errno> {
        state::each_message(self.net, |message| {
            if message.kind == libc::RTM_NEWADDR {
                if let Some(address) = Address::read(message) {
                    each(&address);
                }
            }
            true
        })
        .map(drop)
    }
}

pub(super) fn is_of(message: &Message<'_>, family: i32) -> bool {
    message
        .body
        .first()
        .is_some_and(|b| i32::from(*b) == family)
}

/// The name of a link of the machine.
pub(super) fn machines_name(index: u32) -> Option<Name> {
    let name = sys::interface_name(index).ok()?;
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    Name::new(&name[..end])
}

/// A field of a line, as text.
pub(super) fn field(line: &[u8], at: usize) -> Option<&str> {
    let fields = line.split(|b| b.is_ascii_whitespace());
    let found = fields.filter(|field| !field.is_empty()).nth(at)?;
    std::str::from_utf8(found).ok()
}

/// A field of a line that is a number of hexadecimal digits.
pub(super) fn hex(line: &[u8], at: usize) -> Option<u128> {
    u128::from_str_radix(field(line, at)?, 16).ok()
}

/// A field of a line that is a decimal number.
pub(super) fn decimal(line: &[u8], at: usize) -> Option<u32> {
    field(line, at)?.parse().ok()
}

pub(super) fn spaces(text: &mut Text<'_>, count: usize) {
    for _ in 0..count {
        text.put(b" ");
    }
}

/// Appends a name, and spaces up to `width` bytes.
pub(super) fn padded(text: &mut Text<'_>, name: Name, width: usize) {
    text.put(name.as_bytes());
    spaces(text, width.saturating_sub(name.as_bytes().len()));
}

/// Formats into a buffer, and returns the length; what does not fit is cut off.
pub(super) fn written(room: &mut [u8], what: std::fmt::Arguments<'_>) -> usize {
    use std::io::Write;
    let whole = room.len();
    let mut rest = room;
    let _ = rest.write_fmt(what);
    whole - rest.len()
}
