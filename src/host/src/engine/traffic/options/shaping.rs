//! Token buckets, alone and as a hierarchy (net/sched/sch_tbf.c, net/sched/sch_htb.c).
#![forbid(unsafe_code)]

use super::super::rate::{nanoseconds, ticks, Rate, SPEC};
use super::{invalid, words, Given, Place};
use crate::netlink::policy::{Kind as Type, Policy, Table, U32, U64};
use crate::Failure;
use memtun_stack::wire::{u32_at, Attribute, Writer, HEADER as MESSAGE};

static BUCKET: Table = Table {
    max: 8,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Type::Unspec, 36)),
        (2, Policy::of(Type::Binary, 1024)),
        (3, Policy::of(Type::Binary, 1024)),
        (4, U64),
        (5, U64),
        (6, U32),
        (7, U32),
    ],
};

pub(in super::super) fn bucket(
    _: &Place,
    _: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    let Some(given) = given else {
        return invalid();
    };
    let tb = given.parse(&BUCKET)?;
    let Some(wanted) = tb.get(1).and_then(|a| a.value.get(..36)) else {
        return invalid();
    };
    let word = |at| u32_at(wanted, at).unwrap_or(0);
    let more = |kind| tb.get(kind).and_then(|a: Attribute<'_>| a.u64());
    let size = |kind| tb.get(kind).and_then(|a: Attribute<'_>| a.u32());
    let rate = Rate::read(&wanted[..SPEC], more(4));
    let (mut buffer, mut mtu) = (nanoseconds(word(28)), nanoseconds(word(32)));
    if let Some(burst) = size(6) {
        buffer = rate.time_of(burst);
        if burst == 0 {
            return invalid();
        }
    }
    let mut peak = None;
    if u32_at(wanted, SPEC + 8) != Some(0) {
        let wanted = Rate::read(&wanted[SPEC..2 * SPEC], more(5));
        if wanted.bytes <= rate.bytes {
            return invalid();
        }
        if let Some(burst) = size(7) {
            mtu = wanted.time_of(burst);
        }
        peak = Some(wanted);
    }
    let mut own = rate.to_bytes().to_vec();
    own.extend(peak.map_or([0; SPEC], Rate::to_bytes));
    own.extend(words([word(24), ticks(buffer), ticks(mtu)]));
    let mut to = Writer::default();
    to.message(0, 0, 0, 0).attribute(1, &own);
    for (kind, rate) in [(4, Some(rate)), (5, peak)] {
        if let Some(rate) = rate.filter(|rate| rate.bytes > u64::from(u32::MAX)) {
            to.u64(kind, rate.bytes);
        }
    }
    Ok(to.bytes()[MESSAGE..].to_vec())
}

/// The attributes of htb's options (`htb_policy`).
pub(in super::super) static HIERARCHY: Table = Table {
    max: 9,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Type::Unspec, 44)),
        (2, Policy::of(Type::Unspec, 20)),
        (3, Policy::of(Type::Binary, 1024)),
        (4, Policy::of(Type::Binary, 1024)),
        (5, U32),
        (6, U64),
        (7, U64),
        (9, Policy::of(Type::Flag, 0)),
    ],
};

pub(in super::super) fn hierarchy(
    place: &Place,
    _: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    let Some(given) = given else {
        return invalid();
    };
    let tb = given.parse(&HIERARCHY)?;
    let Some(wanted) = tb.get(2).and_then(|a| a.value.get(..20)) else {
        return invalid();
    };
    let word = |at| u32_at(wanted, at).unwrap_or(0);
    if word(0) != 3 {
        return invalid();
    }
    if tb.has(9) {
        let text = match place.parent {
            memtun_stack::traffic::ROOT => "hw-tc-offload ethtool feature flag must be on",
            _ => "HTB must be the root qdisc to use offload",
        };
        return Err(Failure::said(libc::EOPNOTSUPP, text));
    }
    let queue = tb.get(5).and_then(|a| a.u32()).unwrap_or(place.queue);
    let mut to = Writer::default();
    // HTB_VER; what it counts is 0.
    let glob = words([0x30011, word(4).max(1), word(8), 0, 0]);
    to.message(0, 0, 0, 0).attribute(2, &glob).u32(5, queue);
    Ok(to.bytes()[MESSAGE..].to_vec())
}
