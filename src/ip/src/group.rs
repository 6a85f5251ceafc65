//! IGMP and MLD: who wants which multicast group.
#![forbid(unsafe_code)]

use crate::{checksum, icmp, protocol, Head, NoRoom, Packet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V2_REPORT: u8 = 0x16;
const LEAVE: u8 = 0x17;
const V3_REPORT: u8 = 0x22;
const QUERY: u8 = 0x11;
const MLD_QUERY: u8 = 130;
const MLD_REPORT: u8 = 131;
const MLD_DONE: u8 = 132;
const MLD2_REPORT: u8 = 143;
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
/// The hop-by-hop header of MLD: a router alert of value 0, padded.
const HOP_BY_HOP: [u8; 8] = [protocol::ICMP6, 0, 5, 2, 0, 0, 1, 0];
/// Whom reports of IGMPv3 go to.
pub const ROUTERS_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// Whom reports of MLDv2 go to.
pub const ROUTERS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// What a record of IGMPv3 or MLDv2 says of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Record {
    /// Only these sources are wanted, as before.
    IsInclude = 1,
    /// Everything is wanted but of these sources, as before.
    IsExclude = 2,
    /// Only these sources are wanted from now on; without any, nothing.
    ToInclude = 3,
    /// Everything is wanted from now on but of these sources.
    ToExclude = 4,
    /// These sources are wanted, too.
    Allow = 5,
    /// These sources are not wanted any more.
    Block = 6,
}

/// Which message speaks of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// Membership report of IGMPv2 or MLDv1.
    Report,
    /// Leave of IGMPv2, done of MLDv1.
    Leave,
    /// Report of IGMPv3 or MLDv2 with one record.
    Version3(Record),
}

/// Most sources of one record.
pub const MOST_SOURCES: usize = 64;
/// Bytes of the longest body: a record with sources of IPv6.
const LONGEST: usize = 8 + 4 + 16 + 16 * MOST_SOURCES;
/// Bytes of the longest packet.
pub const LONGEST_REPORT: usize = 40 + HOP_BY_HOP.len() + LONGEST;

/// Writes the sources of a record behind it, whose number is the third and fourth byte. Returns
/// where they end.
fn put_sources(record: &mut [u8], octets: usize, sources: &[IpAddr]) -> usize {
    let sources = &sources[..sources.len().min(MOST_SOURCES)];
    record[2..4].copy_from_slice(&(sources.len() as u16).to_be_bytes());
    let mut at = 4 + octets;
    for source in sources {
        match source {
            IpAddr::V4(source) => record[at..at + octets].copy_from_slice(&source.octets()),
            IpAddr::V6(source) => record[at..at + octets].copy_from_slice(&source.octets()),
        }
        at += octets;
    }
    at
}

/// Writes the message about `group` from `source` into `room`; a record is about `sources`, of
/// which there are at most [`MOST_SOURCES`]. Returns the length of the packet.
///
/// # Errors
///
/// [`NoRoom`] when `room` is too small, or the addresses are of two families.
pub fn write(
    room: &mut [u8],
    source: IpAddr,
    group: IpAddr,
    message: Message,
    sources: &[IpAddr],
) -> Result<usize, NoRoom> {
    if sources.iter().any(|it| it.is_ipv4() != group.is_ipv4()) {
        return Err(NoRoom);
    }
    match (source, group) {
        (IpAddr::V4(source), IpAddr::V4(group)) => igmp(room, source, group, message, sources),
        (IpAddr::V6(source), IpAddr::V6(group)) => mld(room, source, group, message, sources),
        _ => Err(NoRoom),
    }
}

fn igmp(
    room: &mut [u8],
    source: Ipv4Addr,
    group: Ipv4Addr,
    message: Message,
    sources: &[IpAddr],
) -> Result<usize, NoRoom> {
    let mut body = [0; LONGEST];
    let (destination, mut length) = match message {
        Message::Report => (group, 8),
        Message::Leave => (ALL_ROUTERS, 8),
        Message::Version3(_) => (ROUTERS_V4, 16),
    };
    match message {
        Message::Report => body[0] = V2_REPORT,
        Message::Leave => body[0] = LEAVE,
        Message::Version3(record) => {
            body[0] = V3_REPORT;
            body[7] = 1;
            body[8] = record as u8;
            let octets = group.octets();
            body[12..12 + octets.len()].copy_from_slice(&octets);
            length = 8 + put_sources(&mut body[8..], octets.len(), sources);
        }
    }
    if !matches!(message, Message::Version3(_)) {
        body[4..8].copy_from_slice(&group.octets());
    }
    let body = &mut body[..length];
    checksum::fill(body, 2, None);
    let mut head = Head::new(source.into(), destination.into(), protocol::IGMP);
    (head.hop_limit, head.traffic_class) = (1, 0xc0);
    // The router alert is an option, so the header is longer than a plain one.
    let total = 24 + length;
    let room = room.get_mut(..total).ok_or(NoRoom)?;
    head.write(room, 4 + length)?;
    room[0] = 0x46;
    room[20..24].copy_from_slice(&ROUTER_ALERT);
    room[24..].copy_from_slice(body);
    crate::head::refresh_checksum(room);
    Ok(total)
}

fn mld(
    room: &mut [u8],
    source: Ipv6Addr,
    group: Ipv6Addr,
    message: Message,
    sources: &[IpAddr],
) -> Result<usize, NoRoom> {
    let mut body = [0; LONGEST];
    let (destination, mut length) = match message {
        Message::Report => (group, 24),
        Message::Leave => (crate::ethernet::ALL_ROUTERS, 24),
        Message::Version3(_) => (ROUTERS_V6, 28),
    };
    match message {
        Message::Report => body[0] = MLD_REPORT,
        Message::Leave => body[0] = MLD_DONE,
        Message::Version3(record) => {
            body[0] = MLD2_REPORT;
            body[7] = 1;
            body[8] = record as u8;
            let octets = group.octets();
            body[12..12 + octets.len()].copy_from_slice(&octets);
            length = 8 + put_sources(&mut body[8..], octets.len(), sources);
        }
    }
    if !matches!(message, Message::Version3(_)) {
        body[8..24].copy_from_slice(&group.octets());
    }
    let body = &mut body[..length];
    let pseudo = (source.into(), destination.into(), protocol::ICMP6);
    checksum::fill(body, 2, Some(pseudo));
    let mut head = Head::new(source.into(), destination.into(), 0);
    head.hop_limit = 1;
    let total = head.write(room, HOP_BY_HOP.len() + length)?;
    room[40..48].copy_from_slice(&HOP_BY_HOP);
    room[48..total].copy_from_slice(body);
    Ok(total)
}

/// A question of a router: which groups are wanted?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// The group that is asked for; None for all.
    pub group: Option<IpAddr>,
    /// 1, 2 or 3 of IGMP, 1 or 2 of MLD.
    pub version: u8,
}

impl Query {
    /// Reads a query, whose checksum is looked at.
    pub fn parse(packet: &Packet<'_>) -> Option<Query> {
        let bytes = packet.payload();
        let header = bytes.get(..8)?;
        match (packet.protocol, header[0]) {
            (protocol::IGMP, QUERY) if checksum::of(bytes) == 0 => {
                let group = Ipv4Addr::new(header[4], header[5], header[6], header[7]);
                let version = match (bytes.len(), header[1]) {
                    (8, 0) => 1,
                    (8, _) => 2,
                    (12.., _) => 3,
                    _ => return None,
                };
                Some(Query {
                    group: (!group.is_unspecified()).then_some(group.into()),
                    version,
                })
            }
            (protocol::ICMP6, MLD_QUERY) if icmp::is_right(packet) => {
                let group: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
                let group = Ipv6Addr::from(group);
                let version = match bytes.len() {
                    24 => 1,
                    28.. => 2,
                    _ => return None,
                };
                Some(Query {
                    group: (!group.is_unspecified()).then_some(group.into()),
                    version,
                })
            }
            _ => None,
        }
    }
}
