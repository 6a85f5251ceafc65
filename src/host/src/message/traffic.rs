//! RTM_NEWQDISC and RTM_NEWTCLASS, with the kernel's order of attributes (`tc_fill_qdisc`,
//! `tc_fill_tclass`).
#![forbid(unsafe_code)]

use memtun_stack::address::Head;
use memtun_stack::traffic::{HEADER, TCA_KIND, TCA_OPTIONS};
use memtun_stack::wire::Writer;

/// Attributes of `struct tcmsg` that are only answered (TCA_*).
const STATS: u16 = 3;
const XSTATS: u16 = 4;
const STATS2: u16 = 7;
const HW_OFFLOAD: u16 = 12;
const WARNING: u16 = 16;
/// Attributes of TCA_STATS2 (TCA_STATS_*).
const BASIC: u16 = 1;
const QUEUE: u16 = 3;
const APP: u16 = 4;

/// A discipline or a class, as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Index of the interface.
    pub index: u32,
    /// Its number.
    pub handle: u32,
    /// Where it hangs.
    pub parent: u32,
    /// How often it is referred to; of a class, the number of the discipline below it.
    pub info: u32,
    /// Its kind.
    pub kind: Vec<u8>,
    /// What TCA_OPTIONS holds; None where there is no such attribute.
    pub options: Option<Vec<u8>>,
    /// What it has sent, in packets and bytes; None for a class that counts nothing.
    pub sent: Option<[u64; 2]>,
    /// Counters of its kind, empty for a kind without.
    pub own: Vec<u8>,
    /// What the acknowledgement says of the request that changed it (TCA_EXT_WARN_MSG).
    pub said: Option<String>,
    /// Is it a class?
    pub is_class: bool,
    /// Is it left out of what is listed?
    pub is_hidden: bool,
}

/// Appends a message about a discipline or a class.
pub fn write(to: &mut Writer, head: Head, told: &Told) {
    let mut own = [0; HEADER];
    for (at, word) in [told.index, told.handle, told.parent, told.info]
        .into_iter()
        .enumerate()
    {
        own[4 + 4 * at..8 + 4 * at].copy_from_slice(&word.to_ne_bytes());
    }
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own)
        .string(TCA_KIND, &told.kind);
    if let Some(options) = &told.options {
        to.attribute(TCA_OPTIONS, options);
    }
    if !told.is_class {
        to.u8(HW_OFFLOAD, 0);
    }
    let [packets, bytes] = told.sent.unwrap_or_default();
    let open = to.begin(STATS2);
    // A discipline puts its own counters in front, a class behind.
    if !told.own.is_empty() && !told.is_class {
        to.attribute(APP, &told.own);
    }
    if told.sent.is_some() {
        // struct gnet_stats_basic, padded; struct gnet_stats_queue.
        let mut basic = [0; 16];
        basic[..8].copy_from_slice(&bytes.to_ne_bytes());
        basic[8..12].copy_from_slice(&(packets as u32).to_ne_bytes());
        to.attribute(BASIC, &basic).attribute(QUEUE, &[0; 20]);
    }
    if !told.own.is_empty() && told.is_class {
        to.attribute(APP, &told.own);
    }
    to.end(open);
    // struct tc_stats.
    let mut old = [0; 40];
    old[..8].copy_from_slice(&bytes.to_ne_bytes());
    old[8..12].copy_from_slice(&(packets as u32).to_ne_bytes());
    to.attribute(STATS, &old);
    if !told.own.is_empty() {
        to.attribute(XSTATS, &told.own);
    }
    if let Some(said) = &told.said {
        to.string(WARNING, said.as_bytes());
    }
}
