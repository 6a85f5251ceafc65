//! The headers between an IPv6 header and what it carries.
#![forbid(unsafe_code)]

use crate::protocol;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
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
    };
    let mut first = true;
    loop {
        let next = upper.protocol;
        if !matches!(
            next,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION | AUTHENTICATION
        ) {
            return upper;
        }
        if next == HOP_BY_HOP && !first {
            return problem(upper, 1, upper.named_at, false);
        }
        first = false;
        let Some(header) = packet.get(upper.at..upper.at + 8) else {
            upper.dropped = true;
            return upper;
        };
        let length = match next {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        let Some(whole) = packet.get(upper.at..upper.at + length) else {
            upper.dropped = true;
            return upper;
        };
        match next {
            FRAGMENT => {
                let word = u16::from_be_bytes([header[2], header[3]]);
                upper.fragment = Some(Fragment {
                    id: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                    offset: usize::from(word & !7),
                    more: word & 1 != 0,
                });
            }
            // A routing header that has been followed to its end is skipped; every other one is
            // refused, because forwarding by it is off by default.
            ROUTING if header[3] != 0 => {
                return match header[2] {
                    // Type 0 is dropped by ipv6_rthdr_rcv with a parameter problem; types 2, 3 and
                    // 4 are dropped without a word while the kernel does not follow them.
                    2..=4 => {
                        upper.dropped = true;
                        upper
                    }
                    _ => problem(upper, 0, upper.at + 2, false),
                };
            }
            HOP_BY_HOP | DESTINATION => match options(whole, upper.at) {
                Options::Fine { router_alert } => upper.router_alert |= router_alert,
                Options::Dropped => {
                    upper.dropped = true;
                    return upper;
                }
                Options::Problem { pointer, always } => {
                    return problem(upper, 2, pointer, always);
                }
            },
            _ => {}
        }
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
    Fine { router_alert: bool },
    Dropped,
    Problem { pointer: usize, always: bool },
}

/// Looks at the options of a header that begins `at` bytes from the start of the packet, as
/// `ip6_parse_tlv` does.
fn options(header: &[u8], at: usize) -> Options {
    const PAD1: u8 = 0;
    const PADN: u8 = 1;
    const ROUTER_ALERT: u8 = 5;
    const TUNNEL_LIMIT: u8 = 4;
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
            ROUTER_ALERT if length == 4 => (alert, padding) = (true, 0),
            TUNNEL_LIMIT => padding = 0,
            _ => match kind >> 6 {
                0 => padding = 0,
                1 => return Options::Dropped,
                action => {
                    return Options::Problem {
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
