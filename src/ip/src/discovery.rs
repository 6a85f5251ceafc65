//! Neighbour discovery of IPv6.
#![forbid(unsafe_code)]

use crate::ethernet::{solicited_node, Mac};
use crate::{icmp, protocol, Head, NoRoom, Packet};
use std::net::{IpAddr, Ipv6Addr};

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;

/// A message of neighbour discovery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discovery {
    /// Who has `target`?
    Solicitation {
        /// The address that is asked for.
        target: Ipv6Addr,
        /// Who asks, at the link; None of one who only looks for a duplicate.
        link: Option<Mac>,
        /// Is there an option with a nonce, by which a node knows its own probes?
        nonce: bool,
    },
    /// It is here.
    Advertisement {
        /// The address that is here.
        target: Ipv6Addr,
        /// Is it a router's?
        router: bool,
        /// Is it the answer to a question?
        solicited: bool,
        /// Does it replace what is known?
        replaces: bool,
        /// Where it is.
        link: Option<Mac>,
    },
    /// A router is asked for.
    RouterSolicitation {
        /// Who asks, at the link.
        link: Option<Mac>,
    },
    /// A router is there.
    RouterAdvertisement {
        /// Where it is.
        link: Option<Mac>,
    },
    /// Another one is nearer.
    Redirect,
}

impl Discovery {
    /// Reads the message of a packet whose checksum is right, as `ndisc_rcv` does: what did not
    /// come from the link itself is none.
    pub fn parse(packet: &Packet<'_>) -> Option<Discovery> {
        let bytes = packet.payload();
        let header = bytes.get(..8)?;
        if packet.protocol != protocol::ICMP6 || packet.hop_limit != 255 || header[1] != 0 {
            return None;
        }
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination)
        else {
            return None;
        };
        let address = |at: usize| {
            let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets))
        };
        match header[0] {
            NEIGHBOUR_SOLICITATION => {
                let (target, options) = (address(8)?, Options::of(bytes.get(24..)?)?);
                let probe = source.is_unspecified();
                // A probe is sent to the group of the address, and says no address of a link.
                let right =
                    !probe || options.source.is_none() && destination == solicited_node(target);
                (right && !target.is_multicast()).then_some(Discovery::Solicitation {
                    target,
                    link: options.source,
                    nonce: options.nonce,
                })
            }
            NEIGHBOUR_ADVERTISEMENT => {
                let (target, options) = (address(8)?, Options::of(bytes.get(24..)?)?);
                let solicited = header[4] & 0x40 != 0;
                let right = !(target.is_multicast() || destination.is_multicast() && solicited);
                right.then_some(Discovery::Advertisement {
                    target,
                    router: header[4] & 0x80 != 0,
                    solicited,
                    replaces: header[4] & 0x20 != 0,
                    link: options.target,
                })
            }
            ROUTER_SOLICITATION => Some(Discovery::RouterSolicitation {
                link: Options::of(&bytes[8..])?.source,
            }),
            ROUTER_ADVERTISEMENT => Some(Discovery::RouterAdvertisement {
                link: Options::of(bytes.get(16..)?)?.source,
            }),
            REDIRECT => Some(Discovery::Redirect),
            _ => None,
        }
    }
}

/// Writes who has `target` into `room`, from `source` to `destination`, which is the target's group
/// unless a known neighbour is asked whether it is there still. Returns the length of the packet.
///
/// # Errors
///
/// [`NoRoom`] when `room` is too small.
pub fn solicitation(
    room: &mut [u8],
    (source, destination): (Ipv6Addr, Ipv6Addr),
    target: Ipv6Addr,
    link: Option<Mac>,
) -> Result<usize, NoRoom> {
    let link = link.map(|mac| (SOURCE_LINK, mac));
    message(
        room,
        (source, destination),
        [NEIGHBOUR_SOLICITATION, 0],
        target,
        link,
    )
}

/// Writes that `target` is at `link` into `room`. Returns the length of the packet.
///
/// # Errors
///
/// [`NoRoom`] when `room` is too small.
pub fn advertisement(
    room: &mut [u8],
    (source, destination): (Ipv6Addr, Ipv6Addr),
    target: Ipv6Addr,
    link: Option<Mac>,
    flags: Flags,
) -> Result<usize, NoRoom> {
    let word = u8::from(flags.router) << 7
        | u8::from(flags.solicited) << 6
        | u8::from(flags.replaces) << 5;
    let link = link.map(|mac| (TARGET_LINK, mac));
    message(
        room,
        (source, destination),
        [NEIGHBOUR_ADVERTISEMENT, word],
        target,
        link,
    )
}

/// Writes into `room` that the way of `packet`, which was sent by `destination`, is shorter by
/// `target`: its receiver, or a router that is nearer. Returns the length of the packet.
///
/// # Errors
///
/// [`NoRoom`] when `room` is too small, or `packet` is none of IPv6.
pub fn redirect(
    room: &mut [u8],
    (source, destination): (Ipv6Addr, Ipv6Addr),
    target: Ipv6Addr,
    link: Option<Mac>,
    packet: &Packet<'_>,
) -> Result<usize, NoRoom> {
    const REDIRECTED: u8 = 4;
    let IpAddr::V6(receiver) = packet.destination else {
        return Err(NoRoom);
    };
    let mut head = Head::new(source.into(), destination.into(), protocol::ICMP6);
    head.hop_limit = 255;
    let at = head.length();
    let front = if link.is_some() { 48 } else { 40 };
    // As much of the packet as there is room for in one that passes everywhere.
    let quoted = (packet.bytes().len() + 8).min(1280 - at - front) & !7;
    let message = room.get_mut(at..at + front + quoted).ok_or(NoRoom)?;
    message[..8].copy_from_slice(&[REDIRECT, 0, 0, 0, 0, 0, 0, 0]);
    message[8..24].copy_from_slice(&target.octets());
    message[24..40].copy_from_slice(&receiver.octets());
    if let Some(mac) = link {
        message[40..42].copy_from_slice(&[TARGET_LINK, 1]);
        message[42..48].copy_from_slice(&mac);
    }
    let option = &mut message[front..];
    option[..8].copy_from_slice(&[REDIRECTED, (quoted / 8) as u8, 0, 0, 0, 0, 0, 0]);
    option[8..].copy_from_slice(&packet.bytes()[..quoted - 8]);
    icmp::finish(room, &head, front + quoted)
}

/// What an advertisement says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags {
    /// The address is a router's.
    pub router: bool,
    /// It is the answer to a question.
    pub solicited: bool,
    /// It replaces what is known.
    pub replaces: bool,
}

fn message(
    room: &mut [u8],
    (source, destination): (Ipv6Addr, Ipv6Addr),
    [kind, flags]: [u8; 2],
    target: Ipv6Addr,
    link: Option<(u8, Mac)>,
) -> Result<usize, NoRoom> {
    let mut head = Head::new(source.into(), destination.into(), protocol::ICMP6);
    head.hop_limit = 255;
    let at = head.length();
    let length = if link.is_some() { 32 } else { 24 };
    let message = room.get_mut(at..at + length).ok_or(NoRoom)?;
    message[..8].copy_from_slice(&[kind, 0, 0, 0, flags, 0, 0, 0]);
    message[8..24].copy_from_slice(&target.octets());
    if let Some((option, mac)) = link {
        message[24..26].copy_from_slice(&[option, 1]);
        message[26..32].copy_from_slice(&mac);
    }
    icmp::finish(room, &head, length)
}

#[derive(Default)]
struct Options {
    source: Option<Mac>,
    target: Option<Mac>,
    nonce: bool,
}

impl Options {
    /// Reads the options of a message; None when one has no length or goes beyond the end.
    fn of(mut bytes: &[u8]) -> Option<Options> {
        const NONCE: u8 = 14;
        let mut options = Options::default();
        while !bytes.is_empty() {
            let length = usize::from(*bytes.get(1)?) * 8;
            let option = bytes.get(..length).filter(|option| !option.is_empty())?;
            let mac = || option[2..8].try_into().ok();
            match option[0] {
                SOURCE_LINK => options.source = mac(),
                TARGET_LINK => options.target = mac(),
                NONCE => options.nonce = true,
                _ => {}
            }
            bytes = &bytes[length..];
        }
        Some(options)
    }
}
