//! Which options of IP a raw socket and one of echo requests has, and which values they take:
//! `do_ip_setsockopt`, `do_ipv6_setsockopt`, and those that ask.
#![forbid(unsafe_code)]

use super::EINVAL;
use libc::{IPPROTO_IP, IPPROTO_IPV6};
use memtun_abi::Errno;

/// What may be set, and asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// On or off: each number but 0 is on.
    Flag,
    /// The same, for which no value at all is off.
    LongFlag,
    /// 0 or 1.
    Strict,
    /// A number from the first to the last.
    Range(i32, i32),
    /// The same, and -1 for the usual one.
    RangeOrUsual(i32, i32),
    /// The lowest bits of a number.
    Low(i32),
    /// Two ports in one word, of which the lower half is the lower one, if both are given.
    Ports,
    /// The index of an interface, in network byte order.
    Interface,
    /// A size of packets, or 0 for none.
    Mtu,
    /// It can be asked for, and is refused whatever it is set to.
    Fixed,
    /// Any number.
    Any,
    /// It can only be asked for.
    Told,
    /// It can only be set, to what is longer than a number.
    Long,
    /// It is refused with this errno, and cannot be asked for.
    Refused(i32),
}

const HOPS: Rule = Rule::RangeOrUsual(0, 255);

/// Returns the rule of an option of IPv4.
fn v4(option: i32, is_raw: bool) -> Option<Rule> {
    Some(match option {
        libc::IP_TOS => Rule::Low(0xff),
        libc::IP_TTL => Rule::RangeOrUsual(1, 255),
        // IP_NODEFRAG.
        22 if !is_raw => Rule::Told,
        // IP_ROUTER_ALERT, what is told with a packet, IP_FREEBIND and what asks for no port.
        5 | 6 | 7 | 8 | 11 | 12 | 13 | 15 | 18 | 19 | 20 | 22 | 23 | 24 | 25 => Rule::Flag,
        libc::IP_MTU_DISCOVER => Rule::Range(0, 5),
        // IP_MINTTL, and IP_RECVERR_RFC4884.
        21 => Rule::Range(0, 255),
        26 => Rule::Strict,
        // What IPsec has.
        16 => Rule::Refused(libc::EOPNOTSUPP),
        17 => Rule::Refused(libc::EINVAL),
        libc::IP_MULTICAST_IF => Rule::Any,
        libc::IP_MULTICAST_TTL => HOPS,
        libc::IP_MULTICAST_LOOP => Rule::Flag,
        libc::IP_MULTICAST_ALL => Rule::Strict,
        35..=40 | 42..=47 => Rule::Refused(libc::EINVAL),
        // IP_MSFILTER and MCAST_MSFILTER.
        41 | 48 => Rule::Long,
        libc::IP_UNICAST_IF => Rule::Interface,
        // IP_LOCAL_PORT_RANGE, IP_PROTOCOL.
        51 => Rule::Ports,
        libc::IP_MTU | 52 => Rule::Told,
        _ => return None,
    })
}

/// Returns the rule of an option of IPv6.
fn v6(option: i32) -> Option<Rule> {
    Some(match option {
        // What is told with a packet, today and of old, and the label of the flow.
        2..=5 | 8 | 11 | 25 | 33 | 49 | 51 | 53 | 56 | 58 | 60 | 66 | 74 | 78 => Rule::Flag,
        29 | 30 => Rule::Flag,
        // IPV6_DONTFRAG, IPV6_AUTOFLOWLABEL, IPV6_RECVFRAGSIZE.
        62 | 70 | 77 => Rule::LongFlag,
        libc::IPV6_UNICAST_HOPS | libc::IPV6_MULTICAST_HOPS | libc::IPV6_TCLASS => HOPS,
        libc::IPV6_MULTICAST_IF | 72 => Rule::Any,
        libc::IPV6_MULTICAST_LOOP => Rule::Strict,
        // IPV6_RECVERR_RFC4884.
        31 => Rule::Strict,
        libc::IPV6_MTU_DISCOVER => Rule::Range(0, 5),
        libc::IPV6_MTU => Rule::Mtu,
        // A raw socket is bound from its beginning.
        libc::IPV6_V6ONLY => Rule::Fixed,
        20 | 21 | 27 | 28 | 42..=47 | 50 => Rule::Refused(libc::EINVAL),
        // IPV6_FLOWLABEL_MGR and MCAST_MSFILTER.
        32 | 48 => Rule::Long,
        34 => Rule::Refused(libc::EOPNOTSUPP),
        35 => Rule::Refused(libc::EINVAL),
        // IPV6_MINHOPCOUNT.
        73 => Rule::Range(0, 255),
        libc::IPV6_UNICAST_IF => Rule::Interface,
        22 => Rule::Told,
        _ => return None,
    })
}

/// Returns the rule of an option.
///
/// # Errors
///
/// ENOPROTOOPT for one that there is not.
pub fn rule(level: i32, option: i32, is_raw: bool) -> Result<Rule, Errno> {
    let rule = match level {
        IPPROTO_IP => v4(option, is_raw),
        IPPROTO_IPV6 => v6(option),
        _ => None,
    };
    rule.ok_or(Errno(libc::ENOPROTOOPT))
}

impl Rule {
    /// How many bytes a value has at least.
    pub fn least(self, level: i32) -> usize {
        match self {
            Rule::LongFlag => 0,
            Rule::Interface | Rule::Ports => 4,
            _ if level == IPPROTO_IPV6 => 4,
            _ => 0,
        }
    }

    /// Returns what a value becomes.
    ///
    /// # Errors
    ///
    /// EINVAL for one that cannot be, ENOPROTOOPT where none can.
    pub fn checked(self, value: i32) -> Result<i32, Errno> {
        let is_right = match self {
            Rule::Flag | Rule::LongFlag => return Ok(i32::from(value != 0)),
            Rule::Low(mask) => return Ok(value & mask),
            Rule::Strict => (0..=1).contains(&value),
            Rule::Range(first, last) => (first..=last).contains(&value),
            Rule::RangeOrUsual(first, last) => value == -1 || (first..=last).contains(&value),
            Rule::Ports => {
                let (low, high) = (value as u32 & 0xffff, value as u32 >> 16);
                low == 0 || high == 0 || low <= high
            }
            Rule::Interface => return Ok(i32::from_be(value)),
            Rule::Mtu => value == 0 || value >= 1280,
            Rule::Any => true,
            Rule::Told => return Err(Errno(libc::ENOPROTOOPT)),
            Rule::Long | Rule::Fixed => false,
            Rule::Refused(errno) => return Err(Errno(errno)),
        };
        match is_right {
            true => Ok(value),
            false => Err(EINVAL),
        }
    }

    /// Can it be asked for?
    ///
    /// # Errors
    ///
    /// EINVAL where the room for a number is too little, ENOPROTOOPT where it cannot.
    pub fn can_be_told(self) -> Result<(), Errno> {
        match self {
            Rule::Long => Err(EINVAL),
            Rule::Refused(_) => Err(Errno(libc::ENOPROTOOPT)),
            _ => Ok(()),
        }
    }
}
