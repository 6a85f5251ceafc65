//! The words of ip(8) in which addresses, routes and neighbours are written.
#![forbid(unsafe_code)]

use memtun_abi::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The words of one text, read from left to right.
pub(super) struct Words<'t> {
    what: &'static str,
    text: &'t str,
    rest: std::str::SplitWhitespace<'t>,
}

impl<'t> Words<'t> {
    /// Begins to read; `what` is what the text is meant to be, for errors.
    pub(super) fn new(what: &'static str, text: &'t str) -> Words<'t> {
        Words {
            what,
            text,
            rest: text.split_whitespace(),
        }
    }

    /// Returns the next word, if there is one.
    pub(super) fn next(&mut self) -> Option<&'t str> {
        self.rest.next()
    }

    /// Returns the next word, which must be there.
    pub(super) fn value(&mut self, of: &str) -> Result<&'t str> {
        self.next()
            .ok_or_else(|| self.wrong(&format!("nothing follows {of:?}")))
    }

    /// Returns the next word as a number.
    pub(super) fn number(&mut self, of: &str) -> Result<u32> {
        let word = self.value(of)?;
        word.parse()
            .map_err(|_| self.wrong(&format!("{word:?} is no number for {of:?}")))
    }

    /// Returns the next word as an address.
    pub(super) fn address(&mut self, of: &str) -> Result<IpAddr> {
        let word = self.value(of)?;
        self.ip(word)
    }

    /// Reads an address.
    pub(super) fn ip(&self, word: &str) -> Result<IpAddr> {
        word.parse()
            .map_err(|_| self.wrong(&format!("{word:?} is no IP address")))
    }

    /// Reads an address and the length of its prefix, which is the whole address where none is
    /// given.
    pub(super) fn prefix(&self, word: &str) -> Result<(IpAddr, u8)> {
        let (address, length) = match word.split_once('/') {
            Some((address, length)) => (self.ip(address)?, Some(length)),
            None => (self.ip(word)?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        match length.map(str::parse::<u8>) {
            None => Ok((address, most)),
            Some(Ok(length)) if length <= most => Ok((address, length)),
            Some(_) => Err(self.wrong(&format!(
                "the length of the prefix in {word:?} is not 0 to {most}"
            ))),
        }
    }

    /// Makes the error about a text that is not what it should be.
    pub(super) fn wrong(&self, why: &str) -> Error {
        let (what, text) = (self.what, self.text);
        let example = match what {
            "address" => "10.0.0.1/24",
            "route" => "10.20.0.0/16 via 10.0.0.2",
            _ => "10.0.0.2 lladdr 02:00:00:00:00:02 dev tap0",
        };
        Error::new(
            libc::EINVAL,
            format!("{text:?} is no {what}: {why}; write it as for ip(8), for example {example}"),
        )
    }
}

/// Returns the address of zeroes of the same family.
pub(super) fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
