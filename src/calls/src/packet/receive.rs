//! What a receive shows of a copy beside its bytes: the sender, and control messages.
#![forbid(unsafe_code)]

use super::name::LinkName;
use super::option::{OLD_HOPS, OLD_PACKET_INFO};
use super::SOL_PACKET;
use crate::ancillary::Control;
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_stack::sockets::raw::{set, Bound, Head, Kind};
use memtun_sys::inet::SocketName;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// PACKET_AUXDATA.
const AUXDATA: i32 = 8;

/// The sender of a copy, as the program sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    bytes: [u8; SocketName::LONGEST],
    length: usize,
}

impl Sender {
    /// Returns the bytes of the name.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Returns the sender of a copy.
    pub fn of(kind: Kind, head: &Head) -> Sender {
        let mut bytes = [0; SocketName::LONGEST];
        let mut put = |from: &[u8]| {
            bytes[..from.len()].copy_from_slice(from);
            from.len()
        };
        let length = match kind.family {
            libc::AF_PACKET => {
                let name = LinkName {
                    protocol: head.protocol,
                    ifindex: head.ifindex,
                    link_type: head.link_type,
                    packet_type: head.packet_type,
                    address: head.address,
                };
                put(&name.to_bytes())
            }
            libc::AF_INET => {
                let source = SocketAddr::new(v4_of(head.addresses[0]).into(), 0);
                put(SocketName::new(&source).bytes())
            }
            _ => {
                let source = Ipv6Addr::from(head.addresses[0]);
                let of_link = source.segments()[0] & 0xffc0 == 0xfe80;
                let scope = if of_link { head.ifindex } else { 0 };
                put(SocketName::new(&SocketAddrV6::new(source, 0, 0, scope).into()).bytes())
            }
        };
        Sender { bytes, length }
    }
}

/// Returns an address of IPv4 that is mapped into IPv6.
fn v4_of(octets: [u8; 16]) -> Ipv4Addr {
    Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15])
}

/// Appends what the program wants to know of a copy to the control messages at a `place`: where
/// they begin, how many bytes they take, and how many have room. Returns how many bytes are used
/// then, and whether something found no room.
///
/// # Errors
///
/// EFAULT where that cannot be written.
pub fn show(
    memory: &impl Memory,
    (kind, bound): (Kind, Bound),
    head: &Head,
    place: (usize, usize, usize),
) -> Result<(usize, bool), Errno> {
    let mut control = Control::behind(memory, place);
    let is = |bit: u16| bound.set & bit != 0;
    let int = |byte: u8| i32::from(byte).to_ne_bytes();
    match kind.family {
        libc::AF_PACKET => {
            if is(set::AUXDATA) {
                control.put(SOL_PACKET, AUXDATA, &auxiliary(head))?;
            }
        }
        libc::AF_INET => {
            if is(set::PACKET_INFO) {
                let mut info = [0; 12];
                info[..4].copy_from_slice(&head.ifindex.to_ne_bytes());
                let to = v4_of(head.addresses[1]).octets();
                info[4..8].copy_from_slice(&to);
                info[8..].copy_from_slice(&to);
                control.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)?;
            }
            if is(set::HOPS) {
                control.put(libc::IPPROTO_IP, libc::IP_TTL, &int(head.hops[0]))?;
            }
            if is(set::TOS) {
                control.put(libc::IPPROTO_IP, libc::IP_TOS, &[head.hops[1]])?;
            }
            let length = usize::from(head.options.length);
            if length > 0 {
                let kind = match is(set::RETURNED_OPTIONS) {
                    true => libc::IP_RETOPTS,
                    false => libc::IP_RECVOPTS,
                };
                control.put(libc::IPPROTO_IP, kind, &head.options.bytes()[..length])?;
            }
        }
        _ => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&head.addresses[1]);
            info[16..].copy_from_slice(&head.ifindex.to_ne_bytes());
            if is(set::PACKET_INFO) {
                control.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)?;
            }
            if is(set::HOPS) {
                control.put(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &int(head.hops[0]))?;
            }
            if is(set::TOS) {
                control.put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &int(head.hops[1]))?;
            }
            if is(set::OLD_PACKET_INFO) {
                control.put(libc::IPPROTO_IPV6, OLD_PACKET_INFO, &info)?;
            }
            if is(set::OLD_HOPS) {
                control.put(libc::IPPROTO_IPV6, OLD_HOPS, &int(head.hops[0]))?;
            }
        }
    }
    Ok((control.used, control.cut))
}

/// Returns `struct tpacket_auxdata`.
fn auxiliary(head: &Head) -> [u8; 20] {
    /// TP_STATUS_USER.
    const USER: u32 = 1;
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&USER.to_ne_bytes());
    bytes[4..8].copy_from_slice(&head.length.to_ne_bytes());
    bytes[8..12].copy_from_slice(&head.kept.to_ne_bytes());
    bytes[14..16].copy_from_slice(&head.network.to_ne_bytes());
    bytes
}
