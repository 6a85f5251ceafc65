//! Queues of flows (net/sched/sch_codel.c, net/sched/sch_fq_codel.c, net/sched/sch_fq.c,
//! net/sched/sch_sfq.c).
#![forbid(unsafe_code)]

use super::fifo::three_bands;
use super::{attributes, invalid, over, set, words, Given, Place};
use crate::netlink::policy::{Policy, Table, U32, U8};
use crate::Failure;
use memtun_stack::wire::{u32_at, Attribute, Attributes, Writer, HEADER as MESSAGE};

/// Returns a time in microseconds as codel keeps it, in units of 1024 nanoseconds.
fn codel_time(microseconds: u32) -> u32 {
    let kept = ((u64::from(microseconds) * 1000) >> 10) as u32;
    ((u64::from(kept) << 10) / 1000) as u32
}

static CODEL: Table = Table {
    max: 5,
    strict_from: 0,
    entries: &[(1, U32), (2, U32), (3, U32), (4, U32), (5, U32)],
};

pub(in super::super) fn codel(
    _: &Place,
    old: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    let defaults = vec![
        (1, Some(codel_time(5_000))),
        (2, Some(1000)),
        (3, Some(codel_time(100_000))),
        (4, Some(0)),
        (5, None),
    ];
    let mut numbers = over(defaults, old);
    if let Some(given) = given {
        let tb = given.parse(&CODEL)?;
        let number = |kind| tb.get(kind).and_then(|a: Attribute<'_>| a.u32());
        for kind in [1, 3, 5] {
            set(&mut numbers, kind, number(kind).map(codel_time));
        }
        set(&mut numbers, 2, number(2));
        set(&mut numbers, 4, number(4).map(|ecn| (ecn != 0).into()));
    }
    Ok(attributes(&numbers, &[]))
}

static FQ_CODEL: Table = Table {
    max: 11,
    strict_from: 0,
    entries: &[
        (1, U32),
        (2, U32),
        (3, U32),
        (4, U32),
        (5, U32),
        (6, U32),
        (7, U32),
        (8, U32),
        (9, U32),
        (10, U8),
        (11, U8),
    ],
};

pub(in super::super) fn fq_codel(
    place: &Place,
    old: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    const MOST: u32 = 1 << 20;
    const FLOWS: u16 = 5;
    const THRESHOLD: u16 = 7;
    const SMALL: [u16; 2] = [10, 11];
    let defaults = vec![
        (1, Some(codel_time(5_000))),
        (2, Some(10 * 1024)),
        (3, Some(codel_time(100_000))),
        (4, Some(1)),
        (6, Some(place.mtu.clamp(256, MOST))),
        (8, Some(64)),
        (9, Some(32 << 20)),
        (FLOWS, Some(1024)),
        (THRESHOLD, None),
        (10, None),
        (11, None),
    ];
    let mut numbers = over(defaults, old);
    if let Some(given) = given {
        let tb = given.parse(&FQ_CODEL)?;
        let number = |kind| tb.get(kind).and_then(|a: Attribute<'_>| a.u32());
        if let Some(flows) = number(FLOWS) {
            if old.is_some() || !(1..=65536).contains(&flows) {
                return invalid();
            }
            set(&mut numbers, FLOWS, Some(flows));
        }
        if let Some(quantum) = number(6) {
            if quantum > MOST {
                return Err(Failure::said(libc::EINVAL, "Invalid quantum"));
            }
            set(&mut numbers, 6, Some(quantum.max(256)));
        }
        for kind in [1, 3, THRESHOLD] {
            set(&mut numbers, kind, number(kind).map(codel_time));
        }
        set(&mut numbers, 2, number(2));
        set(&mut numbers, 4, number(4).map(|ecn| (ecn != 0).into()));
        set(&mut numbers, 8, number(8).map(|batch| batch.max(1)));
        set(&mut numbers, 9, number(9).map(|limit| limit.min(1 << 31)));
        // What is marked is told with the threshold.
        let has_threshold = numbers.contains(&(THRESHOLD, None));
        for kind in SMALL.into_iter().filter(|_| !has_threshold) {
            set(&mut numbers, kind, Some(0));
            let given = tb.get(kind).and_then(|a| a.u8()).map(u32::from);
            set(&mut numbers, kind, given);
        }
    }
    Ok(attributes(&numbers, &SMALL))
}

static FQ: Table = Table {
    max: 18,
    strict_from: 0,
    entries: &[
        (1, U32),
        (2, U32),
        (3, U32),
        (4, U32),
        (5, U32),
        (6, U32),
        (7, U32),
        (8, U32),
        (9, U32),
        (10, U32),
        (11, U32),
        (12, U32),
        (13, U32),
        (14, U32),
        (15, U8),
        (16, Policy::exact(20)),
        (17, Policy::exact(12)),
        (18, U32),
    ],
};

pub(in super::super) fn fq(
    place: &Place,
    old: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    /// Microseconds of one of the 250 ticks of a second, in which a delay is kept.
    const TICK: u32 = 4000;
    const MOST: u32 = 1 << 20;
    const DROPS: u16 = 15;
    const PRIORITIES: u16 = 16;
    const WEIGHTS: u16 = 17;
    const HORIZON: u16 = 18;
    let mtu = place.mtu.clamp(1, MOST);
    let defaults = vec![
        (1, Some(10_000)),
        (2, Some(100)),
        (3, Some((2 * mtu).clamp(256, MOST))),
        (4, Some((10 * mtu).min(MOST))),
        (5, Some(1)),
        (7, Some(u32::MAX)),
        (9, Some(10 * TICK)),
        (10, Some(1023)),
        (11, Some(550_000 / 8)),
        (12, Some(u32::MAX)),
        (8, Some(10)),
        (13, Some(10_000)),
        (14, Some(10_000_000)),
        (HORIZON, Some(0)),
        (DROPS, Some(1)),
    ];
    let mut numbers = over(defaults, old);
    let kept = |kind| {
        let old = Attributes::new(old.unwrap_or_default()).get(kind);
        old.map(|a| a.value.to_vec())
    };
    let mut priorities = kept(PRIORITIES).unwrap_or_else(three_bands);
    let mut weights = kept(WEIGHTS).unwrap_or_else(|| words([9 << 16, 3 << 16, 1 << 16]));
    if let Some(given) = given {
        let tb = given.parse(&FQ)?;
        let number = |kind| tb.get(kind).and_then(|a: Attribute<'_>| a.u32());
        let is_bad = number(8).is_some_and(|log| !(1..=18).contains(&log))
            || number(5).is_some_and(|enable| enable > 1);
        if is_bad {
            return invalid();
        }
        for kind in [1, 2, 4, 5, 7, 8, 10, 11, 12, 13, 14] {
            set(&mut numbers, kind, number(kind));
        }
        set(&mut numbers, 3, number(3).map(|n| n.clamp(256, MOST)));
        let delay = number(9).map(|n| n.div_ceil(TICK).wrapping_mul(TICK));
        set(&mut numbers, 9, delay);
        let drops = tb.get(DROPS).and_then(|a| a.u8()).map(u32::from);
        set(&mut numbers, DROPS, drops);
        if let Some(a) = tb.get(PRIORITIES) {
            if a.u32() != Some(3) {
                return Err(Failure::said(
                    libc::EINVAL,
                    "sch_fq: FQ only supports 3 bands",
                ));
            }
            if let Some(at) = a.value[4..].iter().position(|band| *band >= 3) {
                let band = a.value[4 + at];
                let text = format!("sch_fq: FQ priomap field {at} maps to a too high band {band}");
                return Err(Failure::said(libc::EINVAL, text));
            }
            priorities = a.value.to_vec();
        }
        if let Some(a) = tb.get(WEIGHTS) {
            let all = (0..3).map(|i| u32_at(a.value, 4 * i).unwrap_or(0) as i32);
            if let Some(weight) = all.into_iter().find(|weight| *weight < 1 << 16) {
                let text = format!(
                    "sch_fq: Weight {weight} less that minimum allowed {}",
                    1 << 16
                );
                return Err(Failure::said(libc::EINVAL, text));
            }
            weights = a.value.to_vec();
        }
        if number(HORIZON).is_some_and(|horizon| horizon != 0) {
            return Err(Failure::said(
                libc::EINVAL,
                "sch_fq: invalid offload_horizon",
            ));
        }
    }
    let mut to = Writer::default();
    to.message(0, 0, 0, 0)
        .attribute(PRIORITIES, &priorities)
        .attribute(WEIGHTS, &weights);
    let mut all = attributes(&numbers, &[DROPS]);
    all.extend(&to.bytes()[MESSAGE..]);
    Ok(all)
}

pub(in super::super) fn sfq(
    place: &Place,
    _: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    /// Length in bytes of `struct tc_sfq_qopt`, and of what follows in `struct tc_sfq_qopt_v1`.
    const OLD: usize = 20;
    const NEW: usize = 72;
    const MOST_FLOWS: u32 = 0x10000 - 128;
    const MOST_DEPTH: u32 = 127;
    let refused = |text| Err(Failure::said(libc::EINVAL, text));
    let value = given.map_or(&[][..], |given| given.attribute.value);
    if given.is_some() && value.len() < OLD {
        return invalid();
    }
    let word = |at| u32_at(value, at).unwrap_or(0);
    let more = |at| if value.len() >= NEW { word(at) } else { 0 };
    let (quantum, perturb, limit, divisor, flows) = (word(0), word(4), word(8), word(12), word(16));
    if divisor != 0 && !divisor.is_power_of_two() || divisor > 65536 {
        return invalid();
    }
    if quantum as i32 <= -1 {
        return refused("sch_sfq: invalid quantum");
    }
    if perturb > i32::MAX as u32 / 250 {
        return refused("sch_sfq: invalid perturb period");
    }
    let mut own = vec![0; NEW];
    let mut put = |at: usize, n: u32| own[at..at + 4].copy_from_slice(&n.to_ne_bytes());
    let depth = match more(20) {
        0 => MOST_DEPTH,
        depth => depth.min(MOST_DEPTH),
    };
    let mut most = if flows != 0 {
        flows.min(MOST_FLOWS)
    } else {
        128
    };
    if divisor != 0 {
        most = most.min(divisor);
    }
    let mut all = MOST_DEPTH;
    if limit != 0 {
        all = limit.min(depth * most);
        most = most.min(all);
    }
    if all == 1 {
        return refused("sch_sfq: invalid limit");
    }
    let default = place.mtu.clamp(256, 1 << 20);
    put(0, if quantum != 0 { quantum } else { default });
    put(4, perturb);
    put(8, all);
    put(12, if divisor != 0 { divisor } else { 1024 });
    put(16, most);
    put(20, depth);
    put(24, more(24));
    if value.len() >= NEW {
        // What it drops early; its flags are kept without that, too.
        if more(32) != 0 {
            own[32..48].copy_from_slice(&value[32..48]);
        }
        own[43] = value[43];
    }
    Ok(own)
}
