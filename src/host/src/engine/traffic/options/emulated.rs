//! A network that loses, delays and changes packets (net/sched/sch_netem.c).
#![forbid(unsafe_code)]

use super::super::rate::nanoseconds;
use super::{invalid, words, Given, Place};
use crate::netlink::policy::{Kind as Type, Policy, Table, NEST, U32, U64};
use crate::Failure;
use memtun_stack::wire::{u32_at, Attribute, Attributes, Writer, HEADER as MESSAGE};

static NETEM: Table = Table {
    max: 14,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Type::Unspec, 12)),
        (3, Policy::of(Type::Unspec, 8)),
        (4, Policy::of(Type::Unspec, 8)),
        (5, NEST),
        (6, Policy::of(Type::Unspec, 16)),
        (7, U32),
        (8, U64),
        (10, U64),
        (11, U64),
        (12, Policy::of(Type::Unspec, 40)),
        (14, U64),
    ],
};

pub(in super::super) fn netem(
    _: &Place,
    old: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    /// Length in bytes of `struct tc_netem_qopt`.
    const LENGTH: usize = 24;
    const SEED: u16 = 14;
    let Some(given) = given else {
        return invalid();
    };
    let value = given.attribute.value;
    let Some(own) = value.get(..LENGTH) else {
        return invalid();
    };
    let tb = given
        .request
        .parse_behind(given.attribute, LENGTH, &NETEM)?;
    let kept = Attributes::new(old.and_then(|old| old.get(LENGTH..)).unwrap_or_default());
    let word = |at| u32_at(own, at).unwrap_or(0);
    let bytes = |kind, length: usize| {
        let new = tb.get(kind).or(kept.get(kind));
        let mut bytes = new.map_or_else(Vec::new, |a: Attribute<'_>| a.value.to_vec());
        bytes.resize(length, 0);
        bytes
    };
    let time = |kind, at, name: &'static str| {
        let wanted = tb
            .get(kind)
            .and_then(|a: Attribute<'_>| Some((a.at, a.u64()? as i64)));
        match wanted {
            Some((at, time)) if time < 0 => {
                let text = format!("negative {name}");
                Err(Failure::said(libc::EINVAL, text).at(at))
            }
            Some((_, time)) => Ok(time),
            None => Ok(nanoseconds(word(at)) as i64),
        }
    };
    let latency = time(10, 0, "latency")?;
    let jitter = time(11, 20, "jitter")?.min(i32::MAX.into());
    let short = |time: i64| u32::try_from(time >> 6).unwrap_or(u32::MAX);
    let mut all = words([
        short(latency),
        word(4),
        word(8),
        word(12),
        word(16),
        short(jitter),
    ]);
    let mut reorder = bytes(3, 8);
    if word(12) != 0 && !tb.has(3) {
        reorder[..4].fill(0xff);
    }
    let mut rate = bytes(6, 16);
    let long = tb.get(8).and_then(|a| a.u64());
    let long = long.or_else(|| kept.get(8).filter(|_| !tb.has(6)).and_then(|a| a.u64()));
    let long = long.filter(|long| *long > u64::from(u32::MAX));
    if long.is_some() {
        rate[..4].fill(0xff);
    }
    let seed = match tb.get(SEED).or(kept.get(SEED)).and_then(|a| a.u64()) {
        Some(seed) => seed,
        None => memtun_sys::random(),
    };
    let mut to = Writer::default();
    to.message(0, 0, 0, 0)
        .u64(10, latency as u64)
        .u64(11, jitter as u64)
        .attribute(1, &bytes(1, 12))
        .attribute(3, &reorder)
        .attribute(4, &bytes(4, 8));
    if let Some(long) = long {
        to.u64(8, long);
    }
    to.attribute(6, &rate);
    let ecn = tb.get(7).or(kept.get(7)).and_then(|a| a.u32());
    if let Some(ecn) = ecn.filter(|ecn| *ecn != 0) {
        to.u32(7, ecn);
    }
    if let Some(loss) = tb.get(5) {
        to.attribute(5, &loss_model(loss)?);
    }
    let slot = bytes(12, 40);
    // The delays, and the jitter of a distribution.
    if slot[..16].iter().chain(&slot[32..]).any(|byte| *byte != 0) {
        to.attribute(12, &slot);
    }
    to.u64(SEED, seed);
    all.extend(&to.bytes()[MESSAGE..]);
    Ok(all)
}

/// Returns the model by which packets are lost, of which the last one counts (`get_loss_clg`).
fn loss_model(given: Attribute<'_>) -> Result<Vec<u8>, Failure> {
    let mut to = Writer::default();
    for a in given.attributes() {
        let length = match a.kind {
            1 => 20,
            2 => 16,
            _ => return invalid(),
        };
        let Some(model) = a.value.get(..length) else {
            return invalid();
        };
        to = Writer::default();
        to.message(0, 0, 0, 0).attribute(a.kind, model);
    }
    Ok(to.bytes().get(MESSAGE..).unwrap_or_default().to_vec())
}
