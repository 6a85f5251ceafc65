//! What the first bytes of a captured packet are, and what a TUN or a TAP takes of it.
#![forbid(unsafe_code)]

use std::fmt;

/// Kind of link of a capture file: a LINKTYPE_* number (tcpdump.org/linktypes).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: four bytes of address family come before the IP packet.
    const NULL: LinkType = LinkType(0);
    /// The packet is an Ethernet frame.
    pub const ETHERNET: LinkType = LinkType(1);
    /// The packet is an IP packet, with the version in its first byte.
    pub const RAW: LinkType = LinkType(101);
    const LOOP: LinkType = LinkType(108);
    const LINUX_SLL: LinkType = LinkType(113);
    const IPV4: LinkType = LinkType(228);
    const IPV6: LinkType = LinkType(229);
    const LINUX_SLL2: LinkType = LinkType(276);
    /// The packet is whatever the interface takes, because the file does not say what it is.
    pub const AS_IT_IS: LinkType = LinkType(u32::MAX);
}

/// Numbers of DLT_RAW on some systems.
const OTHER_RAW: [u32; 2] = [12, 14];

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// A packet as an interface takes it.
#[derive(Debug, PartialEq, Eq)]
pub enum Fit<'a> {
    /// The interface takes the whole frame or packet as it is.
    Whole(&'a [u8]),
    /// The interface takes this IP packet.
    Ip(&'a [u8]),
    /// This interface cannot carry the packet.
    NotIp,
}

/// A kind of link that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLink(pub LinkType);

impl fmt::Display for UnknownLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LinkType(number) = self.0;
        write!(f, "link type {number} is not understood; give Ethernet, raw IP, Linux cooked or loopback captures")
    }
}

impl std::error::Error for UnknownLink {}

/// Returns what a TUN, or a TAP if `tap` is true, takes of a captured packet.
///
/// # Errors
///
/// [`UnknownLink`] when the kind of link is not understood.
pub fn fit(link: LinkType, data: &[u8], tap: bool) -> Result<Fit<'_>, UnknownLink> {
    let (ethertype, payload) = match link {
        LinkType::AS_IT_IS => return Ok(Fit::Whole(data)),
        LinkType::ETHERNET if tap => return Ok(Fit::Whole(data)),
        LinkType::ETHERNET => untag(data),
        LinkType::LINUX_SLL => (ethertype_at(data, 14), data.get(16..).unwrap_or_default()),
        LinkType::LINUX_SLL2 => (ethertype_at(data, 0), data.get(20..).unwrap_or_default()),
        LinkType::NULL | LinkType::LOOP => return Ok(ip(data.get(4..).unwrap_or_default())),
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => return Ok(ip(data)),
        LinkType(number) if OTHER_RAW.contains(&number) => return Ok(ip(data)),
        _ => return Err(UnknownLink(link)),
    };
    match ethertype {
        Some(ETHERTYPE_IPV4 | ETHERTYPE_IPV6) => Ok(ip(payload)),
        _ => Ok(Fit::NotIp),
    }
}

fn ethertype_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

/// Returns the ethertype and the payload of an Ethernet frame, behind its VLAN tags.
fn untag(data: &[u8]) -> (Option<u16>, &[u8]) {
    let mut at = 12;
    while let Some(0x8100 | 0x88a8) = ethertype_at(data, at) {
        at += 4;
    }
    (
        ethertype_at(data, at),
        data.get(at + 2..).unwrap_or_default(),
    )
}

/// Returns the length that an IP packet claims and the one that it has, both in bytes, where they
/// differ. The Ethernet frame of a TAP may be longer than its packet, because it may be padded.
pub fn other_length(data: &[u8], tap: bool) -> Option<(usize, usize)> {
    let payload = match tap {
        true => match untag(data) {
            (Some(ETHERTYPE_IPV4 | ETHERTYPE_IPV6), payload) => payload,
            _ => return None,
        },
        false => data,
    };
    let have = payload.len();
    let said = match payload.first().map(|b| b >> 4) {
        Some(4) => usize::from(ethertype_at(payload, 2)?),
        // A payload length of 0 means that the length stands elsewhere.
        Some(6) => 40 + Some(usize::from(ethertype_at(payload, 4)?)).filter(|n| *n > 0)?,
        _ => return None,
    };
    (said > have || said < have && !tap).then_some((said, have))
}

/// Returns the IP packet without the padding of a short Ethernet frame.
fn ip(data: &[u8]) -> Fit<'_> {
    let length = match data.first().map(|b| b >> 4) {
        Some(4) => ethertype_at(data, 2).map(usize::from),
        Some(6) => ethertype_at(data, 4).map(|n| 40 + usize::from(n)),
        _ => return Fit::NotIp,
    };
    // A length of zero, or one beyond the end of the packet, is left for the program to see as it
    // is.
    match length {
        Some(n) if n >= 20 && n < data.len() => Fit::Ip(&data[..n]),
        _ => Fit::Ip(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 20] = [
        0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];

    fn ethernet(tags: &[u8], payload: &[u8]) -> Vec<u8> {
        [&[0; 12], tags, &[8, 0], payload].concat()
    }

    #[test]
    fn a_tun_takes_the_packet_out_of_its_frame() {
        let mut padded = ethernet(&[], &V4);
        padded.resize(60, 0);
        assert_eq!(fit(LinkType::ETHERNET, &padded, false), Ok(Fit::Ip(&V4)));
        assert_eq!(
            fit(LinkType::ETHERNET, &ethernet(&[0x81, 0, 0, 5], &V4), false),
            Ok(Fit::Ip(&V4))
        );
        assert_eq!(
            fit(
                LinkType::LINUX_SLL,
                &[&[0; 14][..], &[8, 0], &V4].concat(),
                false
            ),
            Ok(Fit::Ip(&V4))
        );
        assert_eq!(
            fit(LinkType::NULL, &[&[2, 0, 0, 0][..], &V4].concat(), false),
            Ok(Fit::Ip(&V4))
        );
        assert_eq!(fit(LinkType::RAW, &V4, true), Ok(Fit::Ip(&V4)));
    }

    #[test]
    fn a_tap_takes_frames_whole_and_what_is_not_ip_as_well() {
        let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
        assert_eq!(fit(LinkType::ETHERNET, &arp, true), Ok(Fit::Whole(&arp)));
        assert_eq!(fit(LinkType::ETHERNET, &arp, false), Ok(Fit::NotIp));
    }

    #[test]
    fn nothing_is_too_short() {
        for link in [0, 1, 101, 113, 228, 276] {
            for length in 0..24 {
                let _ = fit(LinkType(link), &V4[..length.min(20)], false);
            }
        }
        assert!(fit(LinkType(147), &V4, false).is_err());
    }
}
