//! A neighbour of a net.
#![forbid(unsafe_code)]

use super::words::Words;
use memtun_abi::error::Result;
use memtun_abi::Error;
use memtun_stack::wire::{family_of, Writer};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A neighbour, written as in ip-neighbour(8): `10.0.0.2 lladdr 02:00:00:00:00:02 dev tap0`,
/// `proxy 10.0.0.9 dev tap0`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Name of the interface.
    pub dev: String,
    /// Its link-layer address; None while it is unknown.
    pub lladdr: Option<[u8; 6]>,
    /// Is it an address that the host answers for?
    pub proxy: bool,
    /// Its state: `permanent`, `reachable`, `stale`, `noarp`, `failed` and so on.
    pub state: &'static str,
}

/// The words for NUD_*, the lowest bit first.
pub(super) const STATES: [&str; 8] = [
    "incomplete",
    "reachable",
    "stale",
    "delay",
    "probe",
    "failed",
    "noarp",
    "permanent",
];

fn lladdr_text(lladdr: &[u8; 6]) -> String {
    let bytes: Vec<String> = lladdr.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

impl Neighbour {
    /// Makes a permanent neighbour.
    pub fn new(address: impl Into<IpAddr>, dev: impl Into<String>, lladdr: [u8; 6]) -> Neighbour {
        Neighbour {
            address: address.into(),
            dev: dev.into(),
            lladdr: Some(lladdr),
            proxy: false,
            state: STATES[7],
        }
    }

    /// Returns what tells it from the others.
    pub(super) fn key(&self) -> (IpAddr, &str, bool) {
        (self.address, &self.dev, self.proxy)
    }

    pub(super) fn message(&self, kind: u16, flags: u16, index: u32) -> Vec<u8> {
        let at = STATES.iter().position(|state| *state == self.state);
        let state = if self.proxy {
            0
        } else {
            1u16 << at.unwrap_or(7)
        };
        let mut own = [0; memtun_stack::neighbour::HEADER];
        own[0] = family_of(self.address);
        own[4..8].copy_from_slice(&index.to_ne_bytes());
        own[8..10].copy_from_slice(&state.to_ne_bytes());
        own[10] = if self.proxy { libc::NTF_PROXY } else { 0 };
        let mut to = Writer::default();
        to.message(kind, flags, 1, 0)
            .raw(&own)
            .ip(libc::NDA_DST, self.address);
        if let Some(lladdr) = &self.lladdr {
            to.attribute(libc::NDA_LLADDR, lladdr);
        }
        to.take()
    }
}

impl Serialize for Neighbour {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut record = to.serialize_struct("Neighbour", 6)?;
        record.serialize_field("dst", &self.address)?;
        record.serialize_field("dev", &self.dev)?;
        record.serialize_field("lladdr", &self.lladdr.as_ref().map(lladdr_text))?;
        record.serialize_field("proxy", &self.proxy)?;
        record.serialize_field("state", &self.state)?;
        record.serialize_field("text", &self.to_string())?;
        record.end()
    }
}

impl FromStr for Neighbour {
    type Err = Error;
    fn from_str(text: &str) -> Result<Neighbour> {
        let mut words = Words::new("neighbour", text);
        let missing = "the address is missing";
        let mut word = words.next().ok_or_else(|| words.wrong(missing))?;
        let proxy = word == "proxy";
        if proxy {
            word = words.next().ok_or_else(|| words.wrong(missing))?;
        }
        let mut neighbour = Neighbour {
            address: words.ip(word)?,
            dev: String::new(),
            lladdr: None,
            proxy,
            state: STATES[7],
        };
        while let Some(word) = words.next() {
            match word {
                "dev" => neighbour.dev = words.value(word)?.to_owned(),
                "lladdr" => {
                    let value = words.value(word)?;
                    let bytes: Vec<u8> = value
                        .split(':')
                        .map_while(|byte| u8::from_str_radix(byte, 16).ok())
                        .collect();
                    let six = <[u8; 6]>::try_from(bytes);
                    neighbour.lladdr = Some(six.map_err(|_| {
                        words.wrong(&format!("{value:?} is no link-layer address of 6 bytes"))
                    })?);
                }
                "nud" => {
                    let value = words.value(word)?;
                    let state = STATES.iter().find(|state| **state == value);
                    neighbour.state =
                        state.ok_or_else(|| words.wrong(&format!("{value:?} is no state")))?;
                }
                other => return Err(words.wrong(&format!("{other:?} is not known"))),
            }
        }
        if neighbour.dev.is_empty() {
            return Err(words.wrong("dev and the interface are missing"));
        }
        Ok(neighbour)
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.proxy {
            return write!(f, "proxy {} dev {}", self.address, self.dev);
        }
        write!(f, "{} dev {}", self.address, self.dev)?;
        if let Some(lladdr) = &self.lladdr {
            write!(f, " lladdr {}", lladdr_text(lladdr))?;
        }
        write!(f, " nud {}", self.state)
    }
}
