//! getifaddrs(3). libc asks the kernel past all hooks; here the host process of the net is asked in
//! its place, with the same two questions, and the answers are read as libc reads them.
#![forbid(unsafe_code)]

use crate::host::{question, Host};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{ask, What};
use memtun_stack::wire::{self, u16_at, u32_at, Attributes, Message, Messages};

/// Length in bytes of room for any address of the list.
pub const ADDRESS: usize = 48;
/// Length in bytes of room for a name with its NUL.
pub const NAME: usize = 32;
/// Length in bytes of `struct rtnl_link_stats`.
pub const STATISTICS: usize = 96;

/// A socket address.
pub type Address = [u8; ADDRESS];

/// One element of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name with its NUL.
    pub name: [u8; NAME],
    /// The flags of the link.
    pub flags: u32,
    /// The address. A link without a link-layer address has none.
    pub address: Option<Address>,
    /// The netmask.
    pub netmask: Option<Address>,
    /// The broadcast address, or the address at the other end.
    pub broadcast: Option<Address>,
    /// The counters of a link (`struct rtnl_link_stats`).
    pub data: Option<[u8; STATISTICS]>,
}

impl Entry {
    fn named(name: &[u8], flags: u32) -> Entry {
        let mut entry = Entry {
            name: [0; NAME],
            flags,
            address: None,
            netmask: None,
            broadcast: None,
            data: None,
        };
        let n = name.len().min(NAME - 1);
        entry.name[..n].copy_from_slice(&name[..n]);
        entry
    }
}

/// Returns the list: the links, and then their addresses.
///
/// # Errors
///
/// What asking the host process fails with.
pub fn list(host: &impl Host, net: &NetDir) -> Result<Vec<Entry>, Errno> {
    let links = dump(host, net, libc::RTM_GETLINK)?;
    let addresses = dump(host, net, libc::RTM_GETADDR)?;
    let messages = |bytes, kind| Messages(bytes).filter(move |m| m.kind == kind);
    let mut indexes = Vec::new();
    let mut entries = Vec::new();
    for message in messages(&links, libc::RTM_NEWLINK) {
        if let Some((index, entry)) = link(&message) {
            indexes.push(index);
            entries.push(entry);
        }
    }
    for message in messages(&addresses, libc::RTM_NEWADDR) {
        let index = u32_at(message.body, 4);
        // An address of a link that came or went between the two questions is left out.
        let Some(at) = indexes.iter().position(|i| Some(*i) == index) else {
            continue;
        };
        entries.extend(address(&message, &entries[at]));
    }
    Ok(entries)
}

/// Asks for a dump, and returns its messages.
fn dump(host: &impl Host, net: &NetDir, kind: u16) -> Result<Vec<u8>, Errno> {
    const DUMP: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut request = wire::Writer::default();
    request.message(kind, DUMP, 1, 0).raw(&[0; 4]);
    let mut messages = Vec::new();
    let question = question(host, What::Netlink);
    ask(
        net,
        host.start(),
        &question,
        &[request.bytes()],
        &mut |datagram| {
            messages.extend_from_slice(datagram);
            messages.resize(wire::align(messages.len()), 0);
        },
    )?;
    Ok(messages)
}

/// Returns a link's index and its element.
fn link(message: &Message<'_>) -> Option<(u32, Entry)> {
    let index = u32_at(message.body, 4)?;
    let attributes = Attributes::behind(message.body, 16);
    let name = attributes.get(libc::IFLA_IFNAME)?;
    let mut entry = Entry::named(name.string(), u32_at(message.body, 8)?);
    let hardware = |bytes: &[u8]| {
        /// Offset of `sll_addr` in `struct sockaddr_ll`.
        const BYTES: usize = 12;
        let mut address = [0; ADDRESS];
        address[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
        address[4..8].copy_from_slice(&index.to_ne_bytes());
        let kind = u16_at(message.body, 2).unwrap_or(0);
        address[8..10].copy_from_slice(&kind.to_ne_bytes());
        address[11] = bytes.len() as u8;
        address
            .get_mut(BYTES..BYTES + bytes.len())?
            .copy_from_slice(bytes);
        Some(address)
    };
    entry.address = attributes
        .get(libc::IFLA_ADDRESS)
        .and_then(|a| hardware(a.value));
    entry.broadcast = attributes
        .get(libc::IFLA_BROADCAST)
        .and_then(|a| hardware(a.value));
    entry.data = attributes.get(libc::IFLA_STATS).map(|counters| {
        let mut data = [0; STATISTICS];
        let n = counters.value.len().min(STATISTICS);
        data[..n].copy_from_slice(&counters.value[..n]);
        data
    });
    Some((index, entry))
}

/// Returns the element of an address of a link.
fn address(message: &Message<'_>, link: &Entry) -> Option<Entry> {
    let (family, length) = (*message.body.first()?, *message.body.get(1)?);
    let index = u32_at(message.body, 4)?;
    let attributes = Attributes::behind(message.body, 8);
    let get = |kind| attributes.get(kind).map(|a| a.value);
    let socket_address = |bytes: &[u8]| socket_address(family.into(), bytes, index);
    let name = attributes.get(libc::IFA_LABEL);
    let mut entry = Entry::named(name.map_or(b"", |a| a.string()), link.flags);
    if name.is_none() {
        entry.name = link.name;
    }
    let (local, peer) = (get(libc::IFA_LOCAL), get(libc::IFA_ADDRESS));
    entry.address = socket_address(local.or(peer)?);
    if local.is_some() {
        entry.broadcast = peer.and_then(socket_address);
    }
    if let Some(broadcast) = get(libc::IFA_BROADCAST) {
        entry.broadcast = socket_address(broadcast);
    }
    let bytes = local.or(peer)?.len();
    let mut mask = [0; 16];
    for (i, byte) in mask.iter_mut().enumerate() {
        let ones = usize::from(length).saturating_sub(8 * i).min(8);
        *byte = !(0xff_u16 >> ones) as u8;
    }
    entry.netmask = socket_address(mask.get(..bytes)?).map(|mut mask| {
        // The scope of an address says nothing about its mask.
        if i32::from(family) == libc::AF_INET6 {
            mask[24..28].fill(0);
        }
        mask
    });
    Some(entry)
}

/// Makes a `struct sockaddr_in` or `sockaddr_in6`. An address of IPv6 that is only good on its link
/// has the link's index as its scope.
fn socket_address(family: i32, bytes: &[u8], index: u32) -> Option<Address> {
    let mut address = [0; ADDRESS];
    address[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    match (family, bytes.len()) {
        (libc::AF_INET, 4) => address[4..8].copy_from_slice(bytes),
        (libc::AF_INET6, 16) => {
            address[8..24].copy_from_slice(bytes);
            let of_link = bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80
                || bytes[0] == 0xff && bytes[1] & 0x0f == 2;
            if of_link {
                address[24..28].copy_from_slice(&index.to_ne_bytes());
            }
        }
        _ => return None,
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, own: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut to = wire::Writer::default();
        to.message(kind, 0, 0, 0).raw(own);
        for (kind, value) in attributes {
            to.attribute(*kind, value);
        }
        to.take()
    }

    fn tun() -> Entry {
        let own = [
            0, 0, 0xfe, 0xff, 0xe9, 3, 0, 0, 0x90, 0x10, 0, 0, 0, 0, 0, 0,
        ];
        let bytes = message(libc::RTM_NEWLINK, &own, &[(libc::IFLA_IFNAME, b"tun0\0")]);
        let found = Messages(&bytes).next().and_then(|m| link(&m));
        let (index, entry) = found.expect("a link");
        assert_eq!(index, 1001);
        entry
    }

    #[test]
    fn a_link_without_a_hardware_address_has_none_at_all() {
        let entry = tun();
        assert_eq!((&entry.name[..5], entry.flags), (&b"tun0\0"[..], 0x1090));
        assert_eq!((entry.address, entry.broadcast), (None, None));
    }

    #[test]
    fn an_address_has_its_peer_its_label_and_its_mask() {
        let own = [2, 23, 0x80, 0, 0xe9, 3, 0, 0];
        let attributes: [(u16, &[u8]); 3] = [
            (libc::IFA_ADDRESS, &[10, 0, 0, 2]),
            (libc::IFA_LOCAL, &[10, 0, 0, 1]),
            (libc::IFA_LABEL, b"tun0:1\0"),
        ];
        let bytes = message(libc::RTM_NEWADDR, &own, &attributes);
        let found = Messages(&bytes).next().and_then(|m| address(&m, &tun()));
        let entry = found.expect("an address");
        let of = |address: Option<Address>| address.map(|a| [a[4], a[5], a[6], a[7]]);
        assert_eq!(&entry.name[..7], b"tun0:1\0");
        assert_eq!(of(entry.address), Some([10, 0, 0, 1]));
        assert_eq!(of(entry.broadcast), Some([10, 0, 0, 2]));
        assert_eq!(of(entry.netmask), Some([255, 255, 254, 0]));
    }

    #[test]
    fn only_an_address_of_the_link_has_a_scope() {
        let scope = |first: [u8; 2]| {
            let mut bytes = [0; 16];
            bytes[..2].copy_from_slice(&first);
            let address = socket_address(libc::AF_INET6, &bytes, 7).expect("an address");
            u32_at(&address, 24)
        };
        assert_eq!(scope([0xfe, 0x80]), Some(7));
        assert_eq!(scope([0xfd, 0]), Some(0));
    }
}
