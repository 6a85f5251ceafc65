//! Text that is made piece by piece, for places where nothing may be allocated.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use std::fmt;

/// Where finished pieces go, for example a file.
pub type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), Errno>;

/// A text that is being made. It is handed on in pieces; [`Text::end`] hands on the last one.
pub struct Text<'s> {
    sink: Sink<'s>,
    room: [u8; 1024],
    used: usize,
    failed: Option<Errno>,
}

impl<'s> Text<'s> {
    /// Begins a text.
    pub fn new(sink: Sink<'s>) -> Text<'s> {
        Text {
            sink,
            room: [0; 1024],
            used: 0,
            failed: None,
        }
    }

    /// Appends bytes.
    pub fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.used == self.room.len() {
                self.flush();
            }
            let n = bytes.len().min(self.room.len() - self.used);
            self.room[self.used..self.used + n].copy_from_slice(&bytes[..n]);
            self.used += n;
            bytes = &bytes[n..];
        }
    }

    fn flush(&mut self) {
        if self.used > 0 && self.failed.is_none() {
            self.failed = (self.sink)(&self.room[..self.used]).err();
        }
        self.used = 0;
    }

    /// Ends the text.
    ///
    /// # Errors
    ///
    /// What the sink failed with.
    pub fn end(mut self) -> Result<(), Errno> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Appends formatted text to a [`Text`], which never fails at once.
macro_rules! say {
    ($text:expr, $($format:tt)*) => {{
        use std::fmt::Write;
        let _ = write!($text, $($format)*);
    }};
}
pub(crate) use say;
