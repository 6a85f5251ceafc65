//! Commands that the kernel itself answers for every device: its features, its link, and sets of
//! names (net/ethtool/ioctl.c).
#![forbid(unsafe_code)]

use super::data::{Data, INVALID, UNSUPPORTED};
use super::features::{
    ALL_CSUM, ALL_TSO, GRO, GSO, LRO, NEVER, NTUPLE, RX_HASH, RX_VLAN, SG_LISTS, TX_VLAN,
};
use super::names::SETS;

use crate::{Argument, Errno};

// Commands (ETHTOOL_*).
const GLINK: u32 = 0x0a;
const GSTRINGS: u32 = 0x1b;
const GPERMADDR: u32 = 0x20;
const GFLAGS: u32 = 0x25;
const SFLAGS: u32 = 0x26;
const FLASHDEV: u32 = 0x33;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const SFEATURES: u32 = 0x3b;
const GET_TS_INFO: u32 = 0x41;

/// ETOOSMALL, which only the kernel names.
const TOO_SMALL: i32 = 525;

/// Commands that get and set one group of features, and its bits.
const GROUPS: &[(u32, u32, u64)] = &[
    (0x14, 0x15, 1 << 40),
    (0x16, 0x17, ALL_CSUM),
    (0x18, 0x19, SG_LISTS),
    (0x1e, 0x1f, ALL_TSO),
    (0x23, 0x24, GSO),
    (0x2b, 0x2c, GRO),
];
/// How times are taken: in software, both ways (SOF_TIMESTAMPING_*).
pub const TIMES: u32 = 0x1a;

/// The flags of ETHTOOL_GFLAGS, and their features.
const FLAGS: &[(u32, u64)] = &[
    (1 << 7, TX_VLAN),
    (1 << 8, RX_VLAN),
    (1 << 15, LRO),
    (1 << 27, NTUPLE),
    (1 << 28, RX_HASH),
];

/// A device, as far as the kernel answers for it.
pub(super) trait Device {
    /// The features that can be switched (`dev->hw_features`).
    fn switchable(&self) -> u64;
    /// The features that are wanted.
    fn wanted(&self) -> u64;
    /// The features that are on.
    fn active(&self) -> u64;
    /// Changes what is wanted.
    fn want(&mut self, features: u64);
    /// Is it up, with a carrier?
    fn has_link(&self) -> bool;
    /// Length in bytes of its link-layer address.
    fn address_length(&self) -> u32;
}

fn switch(device: &mut impl Device, features: u64, on: bool) {
    let wanted = match on {
        true => device.wanted() | features,
        false => device.wanted() & !features,
    };
    device.want(wanted);
}

/// Answers a command, with what the call returns. None means that it is the driver's.
pub(super) fn answer<A: Argument>(
    device: &mut impl Device,
    command: u32,
    data: &mut Data<'_, A>,
) -> Option<Result<i32, Errno>> {
    if let Some((_, _, features)) = GROUPS.iter().find(|group| group.0 == command) {
        let on = device.active() & features != 0;
        return Some(data.put(4, on.into()).map(|()| 0));
    }
    let done = match command {
        GLINK => data.put(4, device.has_link().into()),
        GPERMADDR => permanent_address(device, data),
        GFLAGS => {
            let on = device.active();
            let flags = FLAGS.iter().filter(|flag| on & flag.1 != 0);
            data.put(4, flags.fold(0, |all, flag| all | flag.0))
        }
        SFLAGS => data.word(4).and_then(|flags| set_flags(device, flags)),
        GSTRINGS => get_strings(data),
        GSSET_INFO => get_sets(data),
        GFEATURES => get_features(device, data),
        SFEATURES => return Some(set_features(device, data)),
        GET_TS_INFO => {
            let words = [command, TIMES, u32::MAX, 0, 0, 0, 0, 0, 0, 0, 0];
            data.write(0, words.map(u32::to_ne_bytes).as_flattened())
        }
        FLASHDEV => Ok(()),
        _ => {
            let (_, _, features) = GROUPS.iter().find(|group| group.1 == command)?;
            set_group(device, *features, data)
        }
    };
    Some(done.map(|()| 0))
}

fn set_group<A: Argument>(
    device: &mut impl Device,
    features: u64,
    data: &Data<'_, A>,
) -> Result<(), Errno> {
    let on = data.word(4)? != 0;
    match features & device.switchable() {
        0 => Err(UNSUPPORTED),
        features => {
            switch(device, features, on);
            Ok(())
        }
    }
}

fn permanent_address<A: Argument>(
    device: &impl Device,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let length = device.address_length();
    if data.word(4)? < length {
        return Err(Errno(TOO_SMALL));
    }
    data.put(4, length)?;
    // No card has burned an address in.
    data.write(8, &[0; 6][..length.min(6) as usize])
}

fn set_flags(device: &mut impl Device, flags: u32) -> Result<(), Errno> {
    let known = FLAGS.iter().fold(0, |all, flag| all | flag.0);
    if flags & !known != 0 {
        return Err(INVALID);
    }
    let wanted = FLAGS.iter().filter(|flag| flags & flag.0 != 0);
    let wanted = wanted.fold(0, |all, flag| all | flag.1);
    let all = FLAGS.iter().fold(0, |all, flag| all | flag.1);
    let changed = (wanted ^ device.active()) & all;
    let switchable = device.switchable();
    match (changed & switchable, changed & !switchable) {
        (_, 0) => {}
        (0, _) => return Err(UNSUPPORTED),
        _ => return Err(INVALID),
    }
    switch(device, changed & wanted, true);
    switch(device, changed & !wanted, false);
    Ok(())
}

/// Length in bytes of one name (ETH_GSTRING_LEN).
const NAME: usize = 32;

fn get_strings<A: Argument>(data: &mut Data<'_, A>) -> Result<(), Errno> {
    let (set, room) = (data.word(4)?, data.word(8)?);
    let names = SETS.iter().find(|names| names.0 == set);
    let (_, names) = names.ok_or(UNSUPPORTED)?;
    // Room for another number of names gets none; old programs say 0 and have enough.
    if room != 0 && room != names.len() as u32 {
        return data.put(8, 0);
    }
    data.put(8, names.len() as u32)?;
    for (place, name) in names.iter().enumerate() {
        let mut text = [0; NAME];
        text[..name.len()].copy_from_slice(name.as_bytes());
        data.write(12 + NAME * place, &text)?;
    }
    Ok(())
}

fn get_sets<A: Argument>(data: &mut Data<'_, A>) -> Result<(), Errno> {
    let wanted = u64::from(data.word(8)?) | u64::from(data.word(12)?) << 32;
    if wanted == 0 {
        return Ok(());
    }
    let known = SETS.iter().filter(|names| wanted & 1 << names.0 != 0);
    let mask = known.clone().fold(0u64, |all, names| all | 1 << names.0);
    data.put(4, 0)?;
    data.write(8, &mask.to_ne_bytes())?;
    for (place, names) in known.enumerate() {
        data.put(16 + 4 * place, names.1.len() as u32)?;
    }
    Ok(())
}

/// Number of words of features (ETHTOOL_DEV_FEATURE_WORDS).
const FEATURE_WORDS: u32 = 2;

fn get_features<A: Argument>(device: &impl Device, data: &mut Data<'_, A>) -> Result<(), Errno> {
    let room = data.word(4)?.min(FEATURE_WORDS);
    data.put(4, FEATURE_WORDS)?;
    let all = [device.switchable(), device.wanted(), device.active(), NEVER];
    for block in 0..room {
        for (place, set) in all.iter().enumerate() {
            let word = (set >> (32 * block)) as u32;
            data.put(8 + 16 * block as usize + 4 * place, word)?;
        }
    }
    Ok(())
}

/// Switches features (`ethtool_set_features`). Returns what could not be as it was asked
/// (ETHTOOL_F_*).
fn set_features<A: Argument>(
    device: &mut impl Device,
    data: &mut Data<'_, A>,
) -> Result<i32, Errno> {
    /// Some of the features cannot be switched (ETHTOOL_F_UNSUPPORTED).
    const CANNOT: i32 = 1;
    /// Some of them are not as they are wanted (ETHTOOL_F_WISH).
    const WISH: i32 = 2;
    if data.word(4)? != FEATURE_WORDS {
        return Err(INVALID);
    }
    let set = |place: usize| {
        let word = |block: usize| data.word(8 + 8 * block + 4 * place).map(u64::from);
        Ok::<u64, Errno>(word(0)? | word(1)? << 32)
    };
    let (named, requested) = (set(0)?, set(1)?);
    if named & NEVER != 0 {
        return Err(INVALID);
    }
    let valid = named & device.switchable();
    switch(device, valid & requested, true);
    switch(device, valid & !requested, false);
    let mut left = 0;
    if valid != named {
        left |= CANNOT;
    }
    if (device.wanted() ^ device.active()) & valid != 0 {
        left |= WISH;
    }
    Ok(left)
}
