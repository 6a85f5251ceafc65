//! Names of interfaces (IFNAMSIZ, and `dev_valid_name` of net/core/dev.c).
#![forbid(unsafe_code)]

use crate::{Decimal, Errno};
use std::fmt;

/// An interface name of at most 15 bytes, not necessarily UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Name {
    bytes: [u8; 16],
    len: u8,
}

/// The bytes before and after the number in a pattern.
pub type Sides<'a> = (&'a [u8], &'a [u8]);

impl Name {
    /// Makes a name from the 16 bytes of an ifreq: up to the first NUL, at most 15 bytes.
    pub fn from_ifreq(bytes: &[u8; 16]) -> Name {
        let len = bytes.iter().take(15).position(|b| *b == 0).unwrap_or(15);
        let mut name = Name {
            bytes: [0; 16],
            len: len as u8,
        };
        name.bytes[..len].copy_from_slice(&bytes[..len]);
        name
    }

    /// Makes a name or a pattern from what a person typed. None means that it is longer than 15
    /// bytes or contains a NUL.
    pub fn new(name: impl AsRef<[u8]>) -> Option<Name> {
        let name = name.as_ref();
        let mut bytes = [0u8; 16];
        bytes
            .get_mut(..name.len())
            .filter(|b| b.len() < 16)?
            .copy_from_slice(name);
        (!name.contains(&0)).then_some(Name {
            bytes,
            len: name.len() as u8,
        })
    }

    /// Returns the bytes of the name without padding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// Returns the name as 16 bytes, padded with NULs.
    pub fn padded(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// May an interface have this name? It must not be empty, "." or "..", nor contain '/', ':' or
    /// white space (the kernel's table counts 0xa0 as white space), nor be one of the two
    /// directories of /proc/sys/net/ipv4/conf.
    pub fn is_valid(&self) -> bool {
        let name = self.as_bytes();
        // An interface is a file of its name beside memtun's own files, so it cannot have a name
        // like theirs.
        !name.is_empty()
            && !name.starts_with(b".memtun-")
            && ![b".".as_slice(), b"..", b"all", b"default"].contains(&name)
            && !name
                .iter()
                .any(|b| matches!(b, b'/' | b':' | 0x09..=0x0d | b' ' | 0xa0))
    }

    /// Returns the two sides of the one "%d" in a pattern, or None for a plain name.
    ///
    /// # Errors
    ///
    /// EINVAL for any other use of '%'.
    pub fn pattern(&self) -> Result<Option<Sides<'_>>, Errno> {
        let name = self.as_bytes();
        match name.iter().position(|b| *b == b'%') {
            None => Ok(None),
            Some(at) => {
                let rest = &name[at + 1..];
                match rest.first() {
                    Some(b'd') if !rest.contains(&b'%') => Ok(Some((&name[..at], &rest[1..]))),
                    _ => Err(Errno(libc::EINVAL)),
                }
            }
        }
    }

    /// Returns the name that a pattern gives for a number; None when it would be too long.
    pub fn numbered(prefix: &[u8], number: u32, suffix: &[u8]) -> Option<Name> {
        let digits = Decimal::new(number.into());
        let mut name = Name::default();
        for part in [prefix, digits.as_bytes(), suffix] {
            name.push(part)?;
        }
        Some(name)
    }

    /// Appends bytes. None means that the name would be longer than 15 bytes, or would contain a
    /// NUL.
    fn push(&mut self, part: &[u8]) -> Option<()> {
        let begin = self.len as usize;
        let place = self.bytes.get_mut(begin..begin + part.len())?;
        place.copy_from_slice(part);
        self.len += part.len() as u8;
        (self.len < 16 && !part.contains(&0)).then_some(())
    }

    /// Returns the number that this name has in a pattern, if the name was made from it.
    pub fn number_in(&self, prefix: &[u8], suffix: &[u8]) -> Option<u32> {
        let digits = self.as_bytes().strip_prefix(prefix)?.strip_suffix(suffix)?;
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (Name::numbered(prefix, number, suffix)? == *self).then_some(number)
    }
}

impl fmt::Display for Name {
    /// Bytes that are not UTF-8, and control characters, are escaped, because terminals must not
    /// see them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => write!(f, "{}", self.as_bytes().escape_ascii()),
        }
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, text: &str) -> bool {
        self.as_bytes() == text.as_bytes()
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, text: &&str) -> bool {
        self == *text
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl std::str::FromStr for Name {
    type Err = crate::Error;
    fn from_str(text: &str) -> Result<Name, crate::Error> {
        Name::new(text).filter(Name::is_valid).ok_or_else(|| {
            crate::Error::new(
                libc::EINVAL,
                format!(
                    "{:?} cannot be an interface name: 1 to 15 bytes, no '/', ':' or white space, and not \".\", \
                     \"..\", \"all\" or \"default\"",
                    text
                ),
            )
        })
    }
}
