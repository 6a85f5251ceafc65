//! What IP and the protocols above it have counted, in the net's table of sockets: everybody who
//! sends or receives for the net counts, and /proc/net/snmp, snmp6 and netstat show it.
#![forbid(unsafe_code)]

use memtun_shm::layout::{InetState, COUNTERS};
use std::sync::atomic::Ordering::Relaxed;

/// Protocols of IP.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

macro_rules! counters {
    ($($name:ident $group:literal $word:literal)*) => {
        /// A counter that has a name of its own.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        #[allow(missing_docs, reason = "they are named as the kernel names them")]
        pub enum Counter { $($name),* }
        /// In which line of snmp and netstat, or with an empty word in snmp6, and how it is called.
        const NAMES: &[(&str, &str)] = &[$(($group, $word)),*];
    };
}

counters! {
    InReceives "Ip:" "InReceives"
    InHdrErrors "Ip:" "InHdrErrors"
    InAddrErrors "Ip:" "InAddrErrors"
    ForwDatagrams "Ip:" "ForwDatagrams"
    InUnknownProtos "Ip:" "InUnknownProtos"
    InDelivers "Ip:" "InDelivers"
    OutRequests "Ip:" "OutRequests"
    OutNoRoutes "Ip:" "OutNoRoutes"
    ReasmReqds "Ip:" "ReasmReqds"
    ReasmOks "Ip:" "ReasmOKs"
    FragOks "Ip:" "FragOKs"
    FragCreates "Ip:" "FragCreates"
    OutTransmits "Ip:" "OutTransmits"
    InOctets "IpExt:" "InOctets"
    OutOctets "IpExt:" "OutOctets"
    InNoEct "IpExt:" "InNoECTPkts"
    InMcast "IpExt:" "InMcastPkts"
    InMcastOctets "IpExt:" "InMcastOctets"
    OutMcast "IpExt:" "OutMcastPkts"
    OutMcastOctets "IpExt:" "OutMcastOctets"
    V6InReceives "" "Ip6InReceives"
    V6InHdrErrors "" "Ip6InHdrErrors"
    V6InAddrErrors "" "Ip6InAddrErrors"
    V6ForwDatagrams "" "Ip6OutForwDatagrams"
    V6InUnknownProtos "" "Ip6InUnknownProtos"
    V6InDelivers "" "Ip6InDelivers"
    V6OutRequests "" "Ip6OutRequests"
    V6OutNoRoutes "" "Ip6OutNoRoutes"
    V6ReasmReqds "" "Ip6ReasmReqds"
    V6ReasmOks "" "Ip6ReasmOKs"
    V6FragOks "" "Ip6FragOKs"
    V6FragCreates "" "Ip6FragCreates"
    V6OutTransmits "" "Ip6OutTransmits"
    V6InOctets "" "Ip6InOctets"
    V6OutOctets "" "Ip6OutOctets"
    V6InNoEct "" "Ip6InNoECTPkts"
    V6InMcast "" "Ip6InMcastPkts"
    V6InMcastOctets "" "Ip6InMcastOctets"
    V6OutMcast "" "Ip6OutMcastPkts"
    V6OutMcastOctets "" "Ip6OutMcastOctets"
    IcmpInMsgs "Icmp:" "InMsgs"
    IcmpInErrors "Icmp:" "InErrors"
    IcmpInCsumErrors "Icmp:" "InCsumErrors"
    IcmpOutMsgs "Icmp:" "OutMsgs"
    Icmp6InMsgs "" "Icmp6InMsgs"
    Icmp6InErrors "" "Icmp6InErrors"
    Icmp6InCsumErrors "" "Icmp6InCsumErrors"
    Icmp6OutMsgs "" "Icmp6OutMsgs"
    UdpIn "Udp:" "InDatagrams"
    UdpNoPorts "Udp:" "NoPorts"
    UdpInErrors "Udp:" "InErrors"
    UdpInCsumErrors "Udp:" "InCsumErrors"
    UdpOut "Udp:" "OutDatagrams"
    Udp6In "" "Udp6InDatagrams"
    Udp6NoPorts "" "Udp6NoPorts"
    Udp6InErrors "" "Udp6InErrors"
    Udp6InCsumErrors "" "Udp6InCsumErrors"
    Udp6Out "" "Udp6OutDatagrams"
    TcpActiveOpens "Tcp:" "ActiveOpens"
    TcpPassiveOpens "Tcp:" "PassiveOpens"
    TcpAttemptFails "Tcp:" "AttemptFails"
    TcpEstabResets "Tcp:" "EstabResets"
    TcpCurrEstab "Tcp:" "CurrEstab"
    TcpRetransSegs "Tcp:" "RetransSegs"
    TcpInSegs "Tcp:" "InSegs"
    TcpInErrs "Tcp:" "InErrs"
    TcpInCsumErrors "Tcp:" "InCsumErrors"
    TcpOutSegs "Tcp:" "OutSegs"
    TcpOutRsts "Tcp:" "OutRsts"
}

/// Types of ICMP that are counted one by one, with what they are called in snmp.
const TYPES: [(u8, &str); 11] = [
    (0, "EchoReps"),
    (3, "DestUnreachs"),
    (4, "SrcQuenchs"),
    (5, "Redirects"),
    (8, "Echos"),
    (11, "TimeExcds"),
    (12, "ParmProbs"),
    (13, "Timestamps"),
    (14, "TimestampReps"),
    (17, "AddrMasks"),
    (18, "AddrMaskReps"),
];
/// The same of ICMPv6, as snmp6 calls them.
const TYPES6: [(u8, &str); 15] = [
    (1, "DestUnreachs"),
    (2, "PktTooBigs"),
    (3, "TimeExcds"),
    (4, "ParmProblems"),
    (128, "Echos"),
    (129, "EchoReplies"),
    (130, "GroupMembQueries"),
    (131, "GroupMembResponses"),
    (132, "GroupMembReductions"),
    (133, "RouterSolicits"),
    (134, "RouterAdvertisements"),
    (135, "NeighborSolicits"),
    (136, "NeighborAdvertisements"),
    (137, "Redirects"),
    (143, "MLDv2Reports"),
];
/// Where the counters of types are: received and sent of ICMP, received and sent of ICMPv6.
const IN: usize = NAMES.len();
const OUT: usize = IN + TYPES.len();
const IN6: usize = OUT + TYPES.len();
const OUT6: usize = IN6 + TYPES6.len();
const _: () = assert!(OUT6 + TYPES6.len() <= COUNTERS);

/// Adds to a counter.
pub fn add(table: &InetState, counter: Counter, number: usize) {
    table.counters[counter as usize].fetch_add(number as u64, Relaxed);
}

/// Takes from a counter what was counted too much, or is not there any more.
pub fn take(table: &InetState, counter: Counter, number: usize) {
    table.counters[counter as usize].fetch_sub(number as u64, Relaxed);
}

/// Notes that nothing is there any more of what comes and goes: nobody has a connection yet.
pub fn begin(table: &InetState) {
    table.counters[Counter::TcpCurrEstab as usize].store(0, Relaxed);
}

/// Counts one.
pub fn count(table: &InetState, counter: Counter) {
    add(table, counter, 1);
}

/// Counts a message of ICMP or ICMPv6 by its type.
pub fn count_type(table: &InetState, v6: bool, sent: bool, kind: u8) {
    if let Some(at) = place_of_type(v6, sent, kind) {
        table.counters[at].fetch_add(1, Relaxed);
    }
}

fn place_of_type(v6: bool, sent: bool, kind: u8) -> Option<usize> {
    let (types, first): (&[(u8, &str)], _) = match (v6, sent) {
        (false, false) => (&TYPES, IN),
        (false, true) => (&TYPES, OUT),
        (true, false) => (&TYPES6, IN6),
        (true, true) => (&TYPES6, OUT6),
    };
    let at = types.iter().position(|(known, _)| *known == kind)?;
    Some(first + at)
}

/// What is counted of a packet of one family, and of the other one.
pub fn of(v6: bool, v4: Counter, six: Counter) -> Counter {
    if v6 {
        six
    } else {
        v4
    }
}

/// Counts a whole packet that this net sends, before it is taken to pieces (`__ip_local_out`), and
/// what it carries.
pub fn requested(table: &InetState, packet: &[u8]) {
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    count(table, of(v6, Counter::OutRequests, Counter::V6OutRequests));
    let (protocol, at) = match v6 {
        true => (packet.get(6), 40),
        false => (packet.get(9), usize::from(packet[0] & 15) * 4),
    };
    match (protocol.copied(), packet.get(at).copied()) {
        (Some(ICMP), Some(kind)) if !v6 => {
            count(table, Counter::IcmpOutMsgs);
            count_type(table, false, true, kind);
        }
        (Some(ICMP6), Some(kind)) if v6 => {
            count(table, Counter::Icmp6OutMsgs);
            count_type(table, true, true, kind);
        }
        (Some(UDP), _) => count(table, of(v6, Counter::UdpOut, Counter::Udp6Out)),
        (Some(TCP), _) => {
            count(table, Counter::TcpOutSegs);
            const RST: u8 = 4;
            if packet.get(at + 13).is_some_and(|flags| flags & RST != 0) {
                count(table, Counter::TcpOutRsts);
            }
        }
        _ => {}
    }
}

/// Counts a packet, or a piece of one, that leaves (`ip_finish_output2`).
pub fn transmitted(table: &InetState, packet: &[u8]) {
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    let length = packet.len();
    count(
        table,
        of(v6, Counter::OutTransmits, Counter::V6OutTransmits),
    );
    add(
        table,
        of(v6, Counter::OutOctets, Counter::V6OutOctets),
        length,
    );
    if is_for_group(packet, v6) {
        count(table, of(v6, Counter::OutMcast, Counter::V6OutMcast));
        let octets = of(v6, Counter::OutMcastOctets, Counter::V6OutMcastOctets);
        add(table, octets, length);
    }
}

/// Counts a packet, or a piece of one, that comes in (`ip_rcv_core`, `ip6_rcv_core`).
pub fn received(table: &InetState, packet: &[u8]) {
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    let length = packet.len();
    count(table, of(v6, Counter::InReceives, Counter::V6InReceives));
    add(
        table,
        of(v6, Counter::InOctets, Counter::V6InOctets),
        length,
    );
    let class = match v6 {
        true => packet.get(1).map(|byte| byte >> 4),
        false => packet.get(1).copied(),
    };
    if class.is_some_and(|class| class & 3 == 0) {
        count(table, of(v6, Counter::InNoEct, Counter::V6InNoEct));
    }
    if is_for_group(packet, v6) {
        count(table, of(v6, Counter::InMcast, Counter::V6InMcast));
        let octets = of(v6, Counter::InMcastOctets, Counter::V6InMcastOctets);
        add(table, octets, length);
    }
}

fn is_for_group(packet: &[u8], v6: bool) -> bool {
    match v6 {
        true => packet.get(24) == Some(&0xff),
        false => packet.get(16).is_some_and(|first| first >> 4 == 0xe),
    }
}

/// Returns a counter by the line of snmp and netstat in which it stands, or an empty one in snmp6,
/// and its name. Those that are not counted are 0.
pub fn by_name(table: &InetState, line: &str, name: &str) -> u64 {
    let named = NAMES.iter().position(|known| *known == (line, name));
    let at = named.or_else(|| {
        let (v6, rest) = match line {
            "Icmp:" => (false, name),
            "" => (true, name.strip_prefix("Icmp6")?),
            _ => return None,
        };
        let (sent, word) = match rest.strip_prefix("Out") {
            Some(word) => (true, word),
            None => (false, rest.strip_prefix("In")?),
        };
        let types: &[(u8, &str)] = if v6 { &TYPES6 } else { &TYPES };
        let (kind, _) = types.iter().find(|(_, known)| *known == word)?;
        place_of_type(v6, sent, *kind)
    });
    at.map_or(0, |at| table.counters[at].load(Relaxed))
}

/// Calls `each` with the types of messages that were counted, and how many: first those received,
/// then those sent.
pub fn each_type(table: &InetState, v6: bool, mut each: impl FnMut(bool, u8, u64)) {
    let types: &[(u8, &str)] = if v6 { &TYPES6 } else { &TYPES };
    for sent in [false, true] {
        for (kind, _) in types {
            let at = place_of_type(v6, sent, *kind);
            let number = at.map_or(0, |at| table.counters[at].load(Relaxed));
            if number > 0 {
                each(sent, *kind, number);
            }
        }
    }
}
