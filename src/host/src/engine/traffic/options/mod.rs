//! What each kind of queueing disciplines makes of its options (net/sched/sch_*.c): what stands in
//! TCA_OPTIONS afterwards, with the kernel's defaults.
//!
//! | module | what it is |
//! |---|---|
//! | `fifo` | queues of packets, and bands of them |
//! | `fair` | queues of flows |
//! | `shaping` | those that hold packets back by a rate |
//! | `emulated` | a bad network |
#![forbid(unsafe_code)]

pub(super) mod emulated;
pub(super) mod fair;
pub(super) mod fifo;
pub(super) mod shaping;

use crate::netlink::policy::{Parsed, Table};
use crate::netlink::request::Request;
use crate::Failure;
use memtun_stack::wire::{Attribute, Attributes, Writer, HEADER as MESSAGE};

/// What is known of the link at which a discipline is made.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Length of the longest packet with its link-layer header, in bytes (`psched_mtu`).
    pub mtu: u32,
    /// How many packets the link's queue holds.
    pub queue: u32,
    /// Has it several queues?
    pub is_multi: bool,
    /// Where the discipline hangs.
    pub parent: u32,
}

/// Makes the options of a discipline. The options that it has are None for a new one.
pub(super) type Options =
    fn(&Place, Option<&[u8]>, Option<&Given<'_, '_>>) -> Result<Vec<u8>, Failure>;

/// The options that a request gives (TCA_OPTIONS).
pub struct Given<'r, 'b> {
    /// The request.
    pub request: &'r Request<'b>,
    /// The attribute.
    pub attribute: Attribute<'b>,
}

impl<'b> Given<'_, 'b> {
    /// Returns the attributes in it; what is wrong with them is not said (`NULL` for extack).
    fn parse(&self, table: &'static Table) -> Result<Parsed<'b>, Failure> {
        self.request.parse_silently(self.attribute, table)
    }
}

pub(super) fn invalid<T>() -> Result<T, Failure> {
    Err(Failure::new(libc::EINVAL))
}

pub(super) fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.map(u32::to_ne_bytes).concat()
}

/// Numbers of an option in the kernel's order of answering: the attribute, and its value; None for
/// one that is not answered.
pub(super) type Numbers = Vec<(u16, Option<u32>)>;

/// Puts numbers that are there, or those of the options that a discipline has, over the defaults.
pub(super) fn over(defaults: Numbers, old: Option<&[u8]>) -> Numbers {
    let Some(old) = old else {
        return defaults;
    };
    let number = |kind| {
        let a = Attributes::new(old).get(kind)?;
        a.u32().or(a.u8().map(u32::from))
    };
    let kept = defaults.iter();
    kept.map(|(kind, _)| (*kind, number(*kind))).collect()
}

pub(super) fn set(numbers: &mut Numbers, kind: u16, value: Option<u32>) {
    if let (Some(at), Some(value)) = (numbers.iter().position(|n| n.0 == kind), value) {
        numbers[at].1 = Some(value);
    }
}

/// Returns numbers as attributes, those of `small` with 1 byte.
pub(super) fn attributes(numbers: &[(u16, Option<u32>)], small: &[u16]) -> Vec<u8> {
    let mut to = Writer::default();
    to.message(0, 0, 0, 0);
    for (kind, value) in numbers {
        match value {
            Some(value) if small.contains(kind) => to.u8(*kind, *value as u8),
            Some(value) => to.u32(*kind, *value),
            None => &mut to,
        };
    }
    to.bytes()[MESSAGE..].to_vec()
}
