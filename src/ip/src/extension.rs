//! The headers between an IPv6 header and what it carries.
#![forbid(unsafe_code)]

use crate::protocol;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// Which piece of a packet this one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Identification that all pieces have in common.
    pub id: u32,
    /// Offset in bytes of this piece.
    pub offset: usize,
    /// Are there pieces behind this one?
    pub more: bool,
}

/// Why a packet gets an ICMPv6 parameter problem, and which octet it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Code of the message.
    pub code: u8,
    /// Offset of the octet that is wrong, from the start of the packet.
    pub pointer: u32,
    /// Does the sender hear of it although the packet was for a group?
    pub even_for_groups: bool,
}

/// What stands behind an IPv6 header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Upper {
    pub protocol: u8,
    /// Where it begins, from the start of the packet.
    pub at: usize,
    /// Where the number stands that names it.
    pub named_at: usize,
    pub fragment: Option<Fragment>,
    pub router_alert: bool,
    pub problem: Option<Problem>,
    /// The packet is dropped without a word.
    pub dropped: bool,
    /// Is one of these because of options that whoever gets the packet looks at, whomever it is
    /// for?
    pub early: bool,
    /// Is there a routing header?
    pub has_routing: bool,
}

/// Returns what a packet carries, right or wrong, for whoever has to know what it may be answered
/// with (`ipv6_skip_exthdr`). None where that cannot be found out.
pub(crate) fn carried(packet: &[u8]) -> Option<(u8, &[u8])> {
    const AUTHENTICATION: u8 = 51;
    let (mut next, mut rest) = (*packet.get(6)?, packet.get(40..)?);
    loop {
        let length = match next {
            protocol::NONE => return None,
            FRAGMENT if u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]) & !7 != 0 => {
                return Some((next, rest));
            }
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(*rest.get(1)?) + 2) * 4,
            HOP_BY_HOP | ROUTING | DESTINATION => (usize::from(*rest.get(1)?) + 1) * 8,
            _ => return Some((next, rest)),
        };
        next = *rest.first()?;
        rest = rest.get(length..).unwrap_or(&[]);
    }
}

/// Walks over the headers of a whole packet, as `ip6_input_finish` does.
pub(crate) fn walk(packet: &[u8]) -> Upper {
    let mut upper = Upper {
        protocol: packet.get(6).copied().unwrap_or(protocol::NONE),
        at: 40,
        named_at: 6,
        fragment: None,
        router_alert: false,
        problem: None,
        dropped: false,
        early: false,
        has_routing: false,
    };
    let mut first = true;
    loop {
        let next = upper.protocol;
        if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
            return upper;
        }
        if next == HOP_BY_HOP && !first {
            return problem(upper, 1, upper.named_at, false);
        }
        first = false;
        upper.early = next == HOP_BY_HOP;
        upper.has_routing |= next == ROUTING;
        let Some(header) = packet.get(upper.at..upper.at + 8) else {
            if next == FRAGMENT {
                return problem(upper, 0, upper.at, false);
            }
            upper.dropped = true;
            return upper;
        };
        let length = match next {
            FRAGMENT => 8,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        let Some(whole) = packet.get(upper.at..upper.at + length) else {
            upper.dropped = true;
            return upper;
        };
        match next {
            // What was put together, or came in one piece, is no piece again.
            FRAGMENT if upper.fragment.is_some() => {
                return problem(upper, 0, upper.at, false);
            }
            FRAGMENT => {
                let word = u16::from_be_bytes([header[2], header[3]]);
                upper.fragment = Some(Fragment {
                    id: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                    offset: usize::from(word & !7),
                    more: word & 1 != 0,
                });
            }
            // Segments of types 3 and 4 are off by default, and no routing header is for a group.
            ROUTING if matches!(header[2], 3 | 4) || packet[24] == 0xff => {
                upper.dropped = true;
                return upper;
            }
            // One that has been followed to its end is skipped; every other one is refused, because
            // forwarding by it is off by default.
            ROUTING if header[3] != 0 => return problem(upper, 0, upper.at + 2, false),
            HOP_BY_HOP | DESTINATION => match options(whole, upper.at, packet) {
                Options::Fine { router_alert } => upper.router_alert |= router_alert,
                Options::Dropped => {
                    upper.dropped = true;
                    return upper;
                }
                Options::Problem {
                    code,
                    pointer,
                    always,
                } => return problem(upper, code, pointer, always),
            },
            _ => {}
        }
        upper.early = false;
        upper.named_at = upper.at;
        upper.protocol = header[0];
        upper.at += length;
        // What stands behind a fragment header is known when the packet is whole.
        if upper
            .fragment
            .is_some_and(|fragment| fragment.offset != 0 || fragment.more)
        {
            return upper;
        }
    }
}

fn problem(mut upper: Upper, code: u8, pointer: usize, even_for_groups: bool) -> Upper {
    upper.problem = Some(Problem {
        code,
        pointer: pointer as u32,
        even_for_groups,
    });
    upper
}

enum Options {
    Fine {
        router_alert: bool,
    },
    Dropped,
    Problem {
        code: u8,
        pointer: usize,
        always: bool,
    },
}

/// Looks at the options of a header that begins `at` bytes from the start of the packet, as
/// `ip6_parse_tlv` does. Some options stand in hop-by-hop headers only, of which there is one,
/// behind the header of the packet.
fn options(header: &[u8], at: usize, packet: &[u8]) -> Options {
    let by_hops = at == 40 && packet[6] == HOP_BY_HOP;
    const PAD1: u8 = 0;
    const PADN: u8 = 1;
    const ROUTER_ALERT: u8 = 5;
    const JUMBO: u8 = 194;
    let (mut offset, mut padding, mut alert) = (2, 0, false);
    while let Some(&kind) = header.get(offset) {
        if kind == PAD1 {
            padding += 1;
            if padding > 7 {
                return Options::Dropped;
            }
            offset += 1;
            continue;
        }
        let Some(&length) = header.get(offset + 1) else {
            return Options::Dropped;
        };
        let length = usize::from(length) + 2;
        let Some(option) = header.get(offset..offset + length) else {
            return Options::Dropped;
        };
        match kind {
            PADN => {
                padding += length;
                if padding > 7 || option[2..].iter().any(|byte| *byte != 0) {
                    return Options::Dropped;
                }
            }
            ROUTER_ALERT if by_hops && length != 4 => return Options::Dropped,
            ROUTER_ALERT if by_hops => (alert, padding) = (true, 0),
            JUMBO if by_hops => return jumbo(option, at + offset, packet),
            _ => match kind >> 6 {
                0 => padding = 0,
                1 => return Options::Dropped,
                action => {
                    return Options::Problem {
                        code: 2,
                        pointer: at + offset,
                        always: action == 2,
                    }
                }
            },
        }
        offset += length;
    }
    Options::Fine {
        router_alert: alert,
    }
}

/// Looks at the length of a packet that says it in an option at `at` (`ipv6_hop_jumbo`). None is so
/// long that it may.
fn jumbo(option: &[u8], at: usize, packet: &[u8]) -> Options {
    let &[_, 4, a, b, c, d] = option else {
        return Options::Dropped;
    };
    let problem = |pointer| Options::Problem {
        code: 0,
        pointer,
        always: false,
    };
    match u32::from_be_bytes([a, b, c, d]) {
        _ if at % 4 != 2 => Options::Dropped,
        ..=0xffff => problem(at + 2),
        _ if packet[4..6] != [0, 0] => problem(at),
        _ => Options::Dropped,
    }
}
