//! An address of an interface.
#![forbid(unsafe_code)]

use super::words::Words;
use memtun_abi::error::Result;
use memtun_abi::Error;
use memtun_stack::wire::{family_of, Writer};
use memtun_stack::State;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// An address of an interface, written as in ip-address(8): `10.0.0.1/24`, `10.0.0.1 peer
/// 10.0.0.2/32`, `10.0.0.1/24 brd 10.0.0.255 label tun0:1`, `fd00::1/64`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Address {
    /// The address itself.
    pub local: IpAddr,
    /// Length of the prefix in bits.
    pub prefix: u8,
    /// The address at the other end of the link, where there is one.
    pub peer: Option<IpAddr>,
    /// The broadcast address (IPv4).
    pub broadcast: Option<Ipv4Addr>,
    /// The label (IPv4); None for the name of the interface.
    pub label: Option<String>,
}

impl Address {
    /// Makes an address with a prefix of `prefix` bits.
    pub fn new(local: impl Into<IpAddr>, prefix: u8) -> Address {
        Address {
            local: local.into(),
            prefix,
            peer: None,
            broadcast: None,
            label: None,
        }
    }

    pub(super) fn of(address: &memtun_stack::Address, interface: &str) -> Address {
        let label = String::from_utf8_lossy(address.label.as_bytes()).into_owned();
        Address {
            local: address.local,
            prefix: address.prefix,
            peer: (address.peer != address.local).then_some(address.peer),
            broadcast: address.broadcast,
            label: (!label.is_empty() && label != interface).then_some(label),
        }
    }

    /// Returns the addresses of an interface among all that a net's host knows.
    pub(crate) fn all_of(host: &State, index: u32, interface: &str) -> Vec<Address> {
        let ours = host.addresses.iter().filter(|a| a.index == index);
        let mut ours: Vec<Address> = ours.map(|a| Address::of(a, interface)).collect();
        ours.sort_by_key(|address| address.local.is_ipv6());
        ours
    }

    pub(super) fn message(&self, kind: u16, flags: u16, index: u32) -> Vec<u8> {
        let mut to = Writer::default();
        let mut own = [family_of(self.local), self.prefix, 0, 0, 0, 0, 0, 0];
        own[4..].copy_from_slice(&index.to_ne_bytes());
        to.message(kind, flags, 1, 0)
            .raw(&own)
            .ip(libc::IFA_LOCAL, self.local)
            .ip(libc::IFA_ADDRESS, self.peer.unwrap_or(self.local));
        if let Some(broadcast) = self.broadcast {
            to.ip(libc::IFA_BROADCAST, broadcast.into());
        }
        if let Some(label) = &self.label {
            to.string(libc::IFA_LABEL, label.as_bytes());
        }
        to.take()
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut record = to.serialize_struct("Address", 6)?;
        record.serialize_field("local", &self.local)?;
        record.serialize_field("prefixlen", &self.prefix)?;
        record.serialize_field("address", &self.peer)?;
        record.serialize_field("broadcast", &self.broadcast)?;
        record.serialize_field("label", &self.label)?;
        record.serialize_field("text", &self.to_string())?;
        record.end()
    }
}

impl FromStr for Address {
    type Err = Error;
    fn from_str(text: &str) -> Result<Address> {
        let mut words = Words::new("address", text);
        let first = words.next().ok_or_else(|| words.wrong("it is empty"))?;
        let (local, prefix) = words.prefix(first)?;
        let mut address = Address::new(local, prefix);
        while let Some(word) = words.next() {
            match word {
                "peer" => {
                    let peer = words.value(word)?;
                    let (peer, prefix) = words.prefix(peer)?;
                    address.peer = Some(peer);
                    address.prefix = prefix;
                }
                "brd" | "broadcast" => match words.address(word)? {
                    IpAddr::V4(broadcast) => address.broadcast = Some(broadcast),
                    IpAddr::V6(_) => return Err(words.wrong("IPv6 has no broadcast address")),
                },
                "label" => {
                    let label = words.value(word)?;
                    if label.len() >= libc::IFNAMSIZ {
                        return Err(words.wrong("a label has at most 15 bytes"));
                    }
                    address.label = Some(label.to_owned());
                }
                other => return Err(words.wrong(&format!("{other:?} is not known"))),
            }
        }
        if address
            .peer
            .is_some_and(|peer| peer.is_ipv4() != local.is_ipv4())
        {
            return Err(words.wrong("the peer is of another family"));
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{} peer {peer}/{}", self.local, self.prefix)?,
            None => write!(f, "{}/{}", self.local, self.prefix)?,
        }
        if let Some(broadcast) = self.broadcast {
            write!(f, " brd {broadcast}")?;
        }
        match &self.label {
            Some(label) => write!(f, " label {label}"),
            None => Ok(()),
        }
    }
}
