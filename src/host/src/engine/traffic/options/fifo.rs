//! Queues of packets, and bands of them (net/sched/sch_fifo.c, net/sched/sch_prio.c).
#![forbid(unsafe_code)]

use super::{invalid, words, Given, Place};
use crate::Failure;
use memtun_stack::wire::u32_at;

pub(in super::super) fn packets(
    place: &Place,
    _: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    limit(given, place.queue)
}

pub(in super::super) fn bytes(
    place: &Place,
    _: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    limit(given, place.queue.wrapping_mul(place.mtu))
}

/// Makes `struct tc_fifo_qopt`.
fn limit(given: Option<&Given<'_, '_>>, default: u32) -> Result<Vec<u8>, Failure> {
    match given.map(|given| given.attribute.u32()) {
        None => Ok(words([default])),
        Some(Some(limit)) => Ok(words([limit])),
        Some(None) => invalid(),
    }
}

/// Which priority goes into which of three bands (`sch_default_prio2band`).
const BANDS: [u8; 16] = [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];

pub(in super::super) fn fast(
    place: &Place,
    _: Option<&[u8]>,
    _: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    if place.queue == 0 {
        return invalid();
    }
    Ok(three_bands())
}

/// Returns `struct tc_prio_qopt` of three bands.
pub(super) fn three_bands() -> Vec<u8> {
    [&3u32.to_ne_bytes()[..], &BANDS].concat()
}

pub(in super::super) fn queues(
    place: &Place,
    _: Option<&[u8]>,
    _: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    if place.parent != memtun_stack::traffic::ROOT || !place.is_multi {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    Ok(Vec::new())
}

pub(in super::super) fn direction(
    place: &Place,
    _: Option<&[u8]>,
    _: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    if place.parent != memtun_stack::traffic::INGRESS {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    Ok(Vec::new())
}

pub(in super::super) fn bands(
    _: &Place,
    _: Option<&[u8]>,
    given: Option<&Given<'_, '_>>,
) -> Result<Vec<u8>, Failure> {
    /// Length in bytes of `struct tc_prio_qopt`.
    const LENGTH: usize = 20;
    let wanted = given.and_then(|given| given.attribute.value.get(..LENGTH));
    let Some(wanted) = wanted else {
        return invalid();
    };
    let count = u32_at(wanted, 0).unwrap_or(0);
    let fits = |band: &u8| u32::from(*band) < count;
    if !(2..=16).contains(&count) || !wanted[4..].iter().all(fits) {
        return invalid();
    }
    Ok(wanted.to_vec())
}
