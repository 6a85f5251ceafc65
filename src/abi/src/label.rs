//! Short texts in tables.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Deref;

/// A text of at most `N` bytes that stands in its table itself. A `&'static str` would be a
/// pointer, which the dynamic linker writes at the start of every program that loads the library,
/// each page of them into a copy of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label<const N: usize> {
    length: u8,
    bytes: [u8; N],
}

impl<const N: usize> Label<N> {
    /// Makes a label of a text. In a table, a text that is too long is an error of the compiler's.
    ///
    /// # Panics
    ///
    /// The text is longer than `N` or 255 bytes.
    pub const fn new(text: &str) -> Label<N> {
        let text = text.as_bytes();
        assert!(text.len() <= N && N <= 255, "the label is too long");
        let (mut bytes, mut at) = ([0; N], 0);
        while at < text.len() {
            bytes[at] = text[at];
            at += 1;
        }
        Label {
            length: text.len() as u8,
            bytes,
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        // It was made of a whole text.
        std::str::from_utf8(&self.bytes[..self.length.into()]).unwrap_or_default()
    }
}

impl<const N: usize> Deref for Label<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Debug for Label<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Label<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_its_text() {
        const LABEL: Label<4> = Label::new("tun0");
        assert_eq!(&*LABEL, "tun0");
        assert_eq!(format!("{LABEL:>6} {LABEL:?}"), "  tun0 \"tun0\"");
        assert_eq!(&*Label::<4>::new(""), "");
        assert_ne!(Label::<4>::new("a"), Label::new("a\0"));
        assert!(std::panic::catch_unwind(|| Label::<4>::new("tun10")).is_err());
    }
}
