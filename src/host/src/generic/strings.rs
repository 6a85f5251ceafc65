//! The sets of names that are asked for (net/ethtool/strset.c).
#![forbid(unsafe_code)]

use super::ask::Ask;
use super::device::Device;
use super::policy::{STRING_SET, STRING_SETS};
use crate::netlink::policy::Mode;
use crate::Failure;
use memtun_kernel::link::ethtool::names::{MORE_SETS, SETS};
use memtun_stack::wire::{Writer, NESTED};

/// Number of sets (ETH_SS_COUNT).
const COUNT: u32 = 23;
/// The sets that each device has for itself; a tun has none of them.
const OF_DEVICE: [u32; 4] = [0, 1, 2, 7];

// Attributes (ETHTOOL_A_STRSET_*, ETHTOOL_A_STRINGSET_*, ETHTOOL_A_STRING_*).
const WANTED: u16 = 2;
const COUNTS_ONLY: u16 = 3;
const ID: u16 = 1;
const NUMBER: u16 = 2;
const STRINGS: u16 = 3;
const INDEX: u16 = 1;
const VALUE: u16 = 2;

/// Reads which sets are asked for: their bits, 0 for all.
pub(super) fn wanted(ask: &Ask<'_, '_>) -> Result<u32, Failure> {
    let request = ask.request;
    let Some(list) = ask.tb.get(WANTED).and_then(|list| request.at(list.at)) else {
        return Ok(0);
    };
    request.parse_nested(list, &STRING_SETS, Mode::Strict)?;
    let mut wanted = 0;
    for set in request.each_nested(list) {
        let tb = request.parse_nested(set, &STRING_SET, Mode::Strict)?;
        let Some(id) = tb.get(ID).and_then(|id| id.u32()) else {
            let failure = Failure::new(libc::EINVAL);
            return Err(Failure {
                missing: Some((ID.into(), Some(set.at as u32))),
                ..failure
            });
        };
        if id >= COUNT {
            return Err(Failure::said(libc::EOPNOTSUPP, "unknown string set id").at(set.at));
        }
        wanted |= 1 << id;
    }
    Ok(wanted)
}

/// Appends the answer about a device, or about none.
pub(super) fn answer(
    ask: &Ask<'_, '_>,
    device: Option<&Device>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let wanted = wanted(ask)?;
    let is_wanted = |id: u32| wanted >> id & 1 != 0;
    if device.is_none() && OF_DEVICE.into_iter().any(is_wanted) {
        let text = "requested per device strings without dev";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let names = |id: u32| SETS.iter().chain(MORE_SETS).find(|set| set.0 == id);
    let is_unknown = |id: u32| is_wanted(id) && !OF_DEVICE.contains(&id) && names(id).is_none();
    if (0..COUNT).any(is_unknown) {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    ask.reply(to, 1, device);
    let all = to.begin(WANTED | NESTED);
    for (id, names) in (0..COUNT).filter_map(names) {
        if !(is_wanted(*id) || wanted == 0 && device.is_none()) {
            continue;
        }
        let set = to.begin(1 | NESTED);
        to.u32(ID, *id).u32(NUMBER, names.len() as u32);
        if !ask.tb.has(COUNTS_ONLY) || wanted == 0 {
            let strings = to.begin(STRINGS | NESTED);
            for (index, name) in names.iter().enumerate() {
                let one = to.begin(1 | NESTED);
                to.u32(INDEX, index as u32).string(VALUE, name.as_bytes());
                to.end(one);
            }
            to.end(strings);
        }
        to.end(set);
    }
    to.end(all);
    Ok(())
}
