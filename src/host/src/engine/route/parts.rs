//! Parts of a route that are given as bytes: metrics and next hops.
#![forbid(unsafe_code)]

use crate::Failure;
use memtun_stack::route::{NEXTHOP, RTAX_CC_ALGO};
use memtun_stack::wire::{align, u16_at, u32_at, Attribute, Attributes};

/// RTAX_MAX.
const LAST: u16 = 17;
const RTAX_MTU: u16 = 2;
const RTAX_ADVMSS: u16 = 8;
const RTAX_HOPLIMIT: u16 = 10;
const RTAX_FEATURES: u16 = 12;
/// RTAX_FEATURE_MASK: ECN, SACK, TIMESTAMP, ALLFRAG, TCP_USEC_TS.
const FEATURES: u32 = 0x1f;

/// The algorithms of congestion control that a kernel of the ordinary distributions has built in.
const ALGORITHMS: &[&[u8]] = &[b"reno", b"cubic", b"bbr"];

/// The highest type of a route (RTN_MAX).
pub const RTN_MAX: u8 = 11;

/// Metrics by ascending number, and the name of the algorithm of congestion control.
pub type Metrics = (Vec<(u16, u32)>, Option<Vec<u8>>);

/// Bytes of a request, with their place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<'b> {
    /// The bytes.
    pub bytes: &'b [u8],
    /// Where they begin in the message, for an extended acknowledgement.
    pub at: usize,
}

/// Reads the attributes in RTA_METRICS (`ip_metrics_convert`).
///
/// # Errors
///
/// EINVAL for what is no metric.
pub fn metrics(part: Option<Part<'_>>) -> Result<Metrics, Failure> {
    let refuse = |text: &'static str| Err(Failure::said(libc::EINVAL, text));
    let (mut metrics, mut congestion) = ([0; LAST as usize + 1], None);
    let part = part.unwrap_or(Part { bytes: &[], at: 0 });
    for metric in Attributes::new(part.bytes) {
        if metric.kind == 0 {
            continue;
        }
        if metric.kind > LAST {
            return refuse("Invalid metric type");
        }
        if metric.kind == RTAX_CC_ALGO {
            if !ALGORITHMS.contains(&metric.string()) {
                return refuse("Unknown tcp congestion algorithm");
            }
            congestion = Some(metric.string().to_vec());
            continue;
        }
        let Some(value) = metric.u32().filter(|_| metric.value.len() == 4) else {
            let failure = Failure::said(libc::EINVAL, "Invalid attribute in metrics");
            return Err(failure.at(part.at + metric.at));
        };
        let value = match metric.kind {
            RTAX_ADVMSS => value.min(65535 - 40),
            RTAX_MTU => value.min(65535 - 15),
            RTAX_HOPLIMIT => value.min(255),
            RTAX_FEATURES if value & !FEATURES != 0 => {
                return refuse("Unknown flag set in feature mask in metrics attribute");
            }
            _ => value,
        };
        metrics[usize::from(metric.kind)] = value;
    }
    let metrics = (1..).zip(metrics.into_iter().skip(1));
    Ok((metrics.filter(|m| m.1 != 0).collect(), congestion))
}

/// Has a route these metrics (`fib_metrics_match`)?
pub fn metrics_match(part: Option<Part<'_>>, of: (&[(u16, u32)], &Option<Vec<u8>>)) -> bool {
    let Some(part) = part else { return true };
    Attributes::new(part.bytes).all(|metric| {
        let value = of.0.iter().find(|m| m.0 == metric.kind).map_or(0, |m| m.1);
        match metric.kind {
            0 => true,
            RTAX_CC_ALGO => match of.1 {
                Some(name) => name == metric.string(),
                None => !ALGORITHMS.contains(&metric.string()),
            },
            kind => kind <= LAST && metric.value.len() == 4 && metric.u32() == Some(value),
        }
    })
}

/// One next hop of RTA_MULTIPATH as it is given (`struct rtnexthop`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Given<'b> {
    /// RTNH_F_* flags.
    pub flags: u8,
    /// Weight, from 1.
    pub weight: u16,
    /// Index of the interface, 0 for none.
    pub index: u32,
    /// The attributes behind.
    bytes: &'b [u8],
}

impl<'b> Given<'b> {
    /// Returns the first attribute of a number (`nla_find`).
    pub fn find(&self, kind: u16) -> Option<Attribute<'b>> {
        Attributes::new(self.bytes).find(|a| a.kind == kind)
    }
}

/// Reads the next hops until the first that is impossible (`rtnh_ok`, `rtnh_next`). Says as well
/// whether bytes are left over.
pub fn hops(part: Part<'_>) -> (Vec<Given<'_>>, bool) {
    let (mut rest, mut hops) = (part.bytes, Vec::new());
    loop {
        let length = usize::from(u16_at(rest, 0).unwrap_or(0));
        let whole = rest.get(..length).filter(|bytes| bytes.len() >= NEXTHOP);
        let Some(bytes) = whole else {
            return (hops, !rest.is_empty());
        };
        hops.push(Given {
            flags: bytes[2],
            weight: u16::from(bytes[3]) + 1,
            index: u32_at(bytes, 4).unwrap_or(0),
            bytes: &bytes[NEXTHOP..],
        });
        rest = rest.get(align(length)..).unwrap_or(&[]);
    }
}

/// Returns the narrowest scope that a type of route may have, and the error that it stands for
/// (`fib_props`).
pub fn properties(kind: u8) -> (u8, i32) {
    match kind {
        libc::RTN_UNICAST | libc::RTN_MULTICAST => (libc::RT_SCOPE_UNIVERSE, 0),
        libc::RTN_LOCAL => (libc::RT_SCOPE_HOST, 0),
        libc::RTN_BROADCAST | libc::RTN_ANYCAST => (libc::RT_SCOPE_LINK, 0),
        libc::RTN_BLACKHOLE => (libc::RT_SCOPE_UNIVERSE, libc::EINVAL),
        libc::RTN_UNREACHABLE => (libc::RT_SCOPE_UNIVERSE, libc::EHOSTUNREACH),
        libc::RTN_PROHIBIT => (libc::RT_SCOPE_UNIVERSE, libc::EACCES),
        libc::RTN_THROW => (libc::RT_SCOPE_UNIVERSE, libc::EAGAIN),
        libc::RTN_NAT | libc::RTN_XRESOLVE => (libc::RT_SCOPE_NOWHERE, libc::EINVAL),
        _ => (libc::RT_SCOPE_NOWHERE, 0),
    }
}
