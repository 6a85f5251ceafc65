//! Links and addresses out of the state, read without allocation: for the calls of a program, which
//! may be in a signal handler.
#![forbid(unsafe_code)]

use crate::address::Address;
use crate::link::{features_of, DECLARED, HEADER};
use crate::state::each_message;
use crate::wire::{family_of, network, u16_at, u32_at, Attributes, Message};
use memtun_abi::{Errno, Name};
use memtun_kernel::net::NetDir;
use std::net::{IpAddr, Ipv4Addr};

/// Length in bytes of the longest link-layer address (MAX_ADDR_LEN).
pub const LONGEST_ADDRESS: usize = 32;

/// The part of [`Extra`](crate::Extra) that requests about a link show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index of the link.
    pub index: u32,
    /// Its name.
    pub name: Name,
    /// Its flags, as SIOCGIFFLAGS returns them.
    pub flags: u32,
    /// Its mtu in bytes.
    pub mtu: u32,
    /// Length of its queue in packets.
    pub txqueuelen: u32,
    /// ARPHRD_* of the link.
    pub link_type: u16,
    /// Its link-layer address, of which `address_length` bytes count.
    pub address: [u8; LONGEST_ADDRESS],
    /// Length in bytes of the link-layer address.
    pub address_length: usize,
    /// The features that are wanted of a link without a tun driver (bits of NETIF_F_*).
    pub features: u64,
    /// Is it a link without a tun driver, which the net declares?
    pub declared: bool,
}

impl Link {
    fn read(message: &Message<'_>) -> Option<Link> {
        let body = message.body;
        let attributes = Attributes::behind(body.get(..HEADER).map(|_| body)?, HEADER);
        let word = |kind| attributes.get(kind)?.u32();
        let mut address = [0; LONGEST_ADDRESS];
        let given = attributes.get(libc::IFLA_ADDRESS)?.value;
        let address_length = given.len().min(LONGEST_ADDRESS);
        address[..address_length].copy_from_slice(&given[..address_length]);
        Some(Link {
            index: u32_at(body, 4)?,
            name: Name::new(attributes.get(libc::IFLA_IFNAME)?.string())?,
            flags: u32_at(body, 8)?,
            mtu: word(libc::IFLA_MTU)?,
            txqueuelen: word(libc::IFLA_TXQLEN)?,
            link_type: u16_at(body, 2)?,
            address,
            address_length,
            features: features_of(&attributes),
            declared: attributes.get(DECLARED)?.u8()? != 0,
        })
    }
}

/// Which link is looked for.
#[derive(Clone, Copy, Debug)]
pub enum By<'n> {
    /// The one with this name, or with this other name (IFLA_ALT_IFNAME).
    Name(&'n [u8]),
    /// The one with this index.
    Index(u32),
}

/// Finds a link that the state has something about. None means that there is none.
///
/// # Errors
///
/// The same as [`each_message`].
pub fn link(net: &NetDir, by: By<'_>) -> Result<Option<Link>, Errno> {
    let mut found = None;
    each_message(net, |message| {
        if message.kind != libc::RTM_NEWLINK {
            // Links stand in front of everything else but what is said of the state itself.
            return message.kind >= 0x1000;
        }
        if let Some(link) = Link::read(message).filter(|link| is_it(link, message, by)) {
            found = Some(link);
        }
        found.is_none()
    })?;
    Ok(found)
}

fn is_it(link: &Link, message: &Message<'_>, by: By<'_>) -> bool {
    match by {
        By::Index(index) => link.index == index,
        By::Name(name) => {
            let others = Attributes::behind(message.body, HEADER).get(libc::IFLA_PROP_LIST);
            link.name.as_bytes() == name
                || others.is_some_and(|list| list.attributes().any(|a| a.string() == name))
        }
    }
}

/// Has the net a link of this name that it declares: the loopback of an isolated host, or an
/// uplink? A net that cannot be read has none.
pub fn is_declared(net: &NetDir, name: &Name) -> bool {
    let mut found = false;
    let read = each_link(net, |link| {
        found = link.declared && link.name == *name;
        !found
    });
    read.is_ok() && found
}

/// Calls `each` with every link that the state has something about, until it returns false.
///
/// # Errors
///
/// The same as [`each_message`].
pub fn each_link(net: &NetDir, mut each: impl FnMut(&Link) -> bool) -> Result<(), Errno> {
    each_message(net, |message| match message.kind {
        libc::RTM_NEWLINK => Link::read(message).is_none_or(|link| each(&link)),
        _ => message.kind >= 0x1000,
    })
    .map(drop)
}

/// Calls `each` with every address of the state until it returns false.
///
/// # Errors
///
/// The same as [`each_message`].
pub fn each_address(net: &NetDir, mut each: impl FnMut(&Address) -> bool) -> Result<(), Errno> {
    each_message(net, |message| {
        message.kind != libc::RTM_NEWADDR
            || Address::read(message).is_none_or(|address| each(&address))
    })
    .map(drop)
}

/// May a route lead to an address, out of an interface of the net's own? Rules, tables and metrics
/// count for nothing, so that the answer is yes too often rather than too seldom.
///
/// # Errors
///
/// The same as [`each_message`].
pub fn may_lead(net: &NetDir, to: IpAddr) -> Result<bool, Errno> {
    /// Length in bytes of struct rtmsg.
    const HEADER: usize = 12;
    let mut leads = false;
    each_message(net, |message| {
        let body = message.body;
        if message.kind != libc::RTM_NEWROUTE || body.first() != Some(&family_of(to)) {
            return true;
        }
        let attributes = Attributes::behind(body, HEADER);
        let length = body.get(1).copied().unwrap_or(0);
        let covers = match attributes.get(libc::RTA_DST).and_then(|it| it.ip()) {
            Some(destination) => network(to, length) == destination,
            None => length == 0,
        };
        let out = attributes.get(libc::RTA_OIF).and_then(|it| it.u32());
        // One of several next hops may be in it, or an object's.
        leads |= covers && out.is_none_or(|index| net.knows_index(index));
        !leads
    })?;
    Ok(leads)
}

/// Is this IPv4 address of the machine's hidden, because a program of the net has deleted it?
///
/// # Errors
///
/// The same as [`each_message`].
pub fn is_hidden(net: &NetDir, label: &[u8], address: Ipv4Addr) -> Result<bool, Errno> {
    let mut found = false;
    each_message(net, |message| {
        let hidden = crate::state::hidden_of(message)
            .filter(|hidden| hidden.kind == libc::RTM_NEWADDR)
            .map(|hidden| Attributes::behind(hidden.body, crate::address::HEADER));
        found = hidden.is_some_and(|attributes| {
            let is = |kind, wanted: &[u8]| {
                attributes
                    .get(kind)
                    .is_some_and(|a| a.value == wanted || a.string() == wanted)
            };
            is(libc::IFA_LOCAL, &address.octets()) && is(libc::IFA_LABEL, label)
        });
        !found
    })?;
    Ok(found)
}
