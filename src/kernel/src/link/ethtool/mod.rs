//! What ethtool(8) asks by SIOCETHTOOL, as the tun driver answers it (net/ethtool/ioctl.c,
//! drivers/net/tun.c). The argument points to a command, which stands in front of what it reads
//! and of where it writes.
#![forbid(unsafe_code)]

mod features;
pub mod names;
mod settings;

pub(crate) use features::set_offload;
pub(super) use features::WANTED;
pub use features::{active, NEVER, SWITCHABLE};
pub use settings::{Change, Settings, MODES, MODE_WORDS};

use self::features::{
    ALL_CSUM, ALL_TSO, GRO, GSO, LRO, NTUPLE, RX_HASH, RX_VLAN, SG_LISTS, TX_VLAN,
};
use self::names::SETS;
use crate::net::NetDir;
use crate::policy::Policy;
use crate::shm::layout::InterfaceState;
use crate::tun::Argument;
use crate::uapi::*;
use crate::{Errno, Permission};
use std::sync::atomic::Ordering::Relaxed;

// Commands (ETHTOOL_*).
const GSET: u32 = 0x01;
const SSET: u32 = 0x02;
const GDRVINFO: u32 = 0x03;
const GMSGLVL: u32 = 0x07;
const SMSGLVL: u32 = 0x08;
const GLINK: u32 = 0x0a;
const GCOALESCE: u32 = 0x0e;
const SCOALESCE: u32 = 0x0f;
const GSTRINGS: u32 = 0x1b;
const GPERMADDR: u32 = 0x20;
const GFLAGS: u32 = 0x25;
const SFLAGS: u32 = 0x26;
const FLASHDEV: u32 = 0x33;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const SFEATURES: u32 = 0x3b;
const GCHANNELS: u32 = 0x3c;
const GET_TS_INFO: u32 = 0x41;
const GLINKSETTINGS: u32 = 0x4c;
const SLINKSETTINGS: u32 = 0x4d;

/// Commands that everybody may give; others want the permission to configure.
const ASKING: &[u32] = &[
    GSET,
    GDRVINFO,
    GMSGLVL,
    GLINK,
    GCOALESCE,
    0x10,
    0x12,
    0x14,
    0x16,
    0x18,
    GSTRINGS,
    0x1d,
    0x1e,
    GPERMADDR,
    0x21,
    0x23,
    GFLAGS,
    0x27,
    0x29,
    0x2b,
    0x2d,
    0x2e,
    0x2f,
    0x30,
    GSSET_INFO,
    0x38,
    GFEATURES,
    GCHANNELS,
    GET_TS_INFO,
    0x44,
    0x46,
    0x48,
    0x4a,
    GLINKSETTINGS,
    0x4e,
    0x50,
];

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

const UNSUPPORTED: Errno = Errno(libc::EOPNOTSUPP);
const INVALID: Errno = Errno(libc::EINVAL);

fn switch(interface: &InterfaceState, features: u64, on: bool) {
    let wanted = interface.features.load(Relaxed);
    let wanted = if on {
        wanted | features
    } else {
        wanted & !features
    };
    interface.features.store(wanted, Relaxed);
}

/// The memory at which a request's pointer leads.
struct Data<'a, A> {
    argument: &'a mut A,
    at: usize,
}

impl<A: Argument> Data<'_, A> {
    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Errno> {
        self.argument.fetch_at(self.at.wrapping_add(offset), into)
    }
    fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), Errno> {
        self.argument.store_at(self.at.wrapping_add(offset), from)
    }
    fn word(&self, offset: usize) -> Result<u32, Errno> {
        let mut word = [0; 4];
        self.read(offset, &mut word)?;
        Ok(u32::from_ne_bytes(word))
    }
    fn put(&mut self, offset: usize, word: u32) -> Result<(), Errno> {
        self.write(offset, &word.to_ne_bytes())
    }
}

impl NetDir {
    /// Answers SIOCETHTOOL, whose ifreq is `ifreq`. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// - EFAULT when the memory of the command cannot be used.
    /// - EPERM when the net does not permit to configure.
    /// - EOPNOTSUPP when a tun does not know the command.
    pub(super) fn ethtool(
        &self,
        interface: &InterfaceState,
        ifreq: &IfReq,
        argument: &mut impl Argument,
    ) -> Result<(), Errno> {
        let at = ifreq.0[16..24].try_into().map(usize::from_ne_bytes);
        let mut data = Data {
            argument,
            at: at.unwrap_or(0),
        };
        let command = data.word(0)?;
        if ASKING.contains(&command) {
            return answer(interface, command, &mut data);
        }
        self.permit_check(Permission::NetAdmin)?;
        self.announced(answer(interface, command, &mut data))
    }
}

fn answer<A: Argument>(
    interface: &InterfaceState,
    command: u32,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    if let Some((_, _, features)) = GROUPS.iter().find(|group| group.0 == command) {
        return data.put(4, (active(interface) & features != 0).into());
    }
    if let Some((_, _, features)) = GROUPS.iter().find(|group| group.1 == command) {
        let on = data.word(4)? != 0;
        let features = features & SWITCHABLE;
        if features == 0 {
            return Err(UNSUPPORTED);
        }
        switch(interface, features, on);
        return Ok(());
    }
    match command {
        GSET => get_settings(interface, data),
        SSET => set_settings(interface, data),
        GLINKSETTINGS => get_link_settings(interface, data),
        SLINKSETTINGS => set_link_settings(interface, data),
        GDRVINFO => {
            let mut info = [0; 196];
            info[..4].copy_from_slice(&command.to_ne_bytes());
            info[4..7].copy_from_slice(b"tun");
            info[36..39].copy_from_slice(b"1.6");
            let bus: &[u8; 3] = if interface.is_tap() { b"tap" } else { b"tun" };
            info[100..103].copy_from_slice(bus);
            data.write(0, &info)
        }
        GMSGLVL => data.put(4, Settings::of(interface).messages),
        SMSGLVL => {
            Change::Messages(data.word(4)?).make(interface);
            Ok(())
        }
        GLINK => data.put(4, Settings::of(interface).link.into()),
        GCOALESCE => {
            let mut settings = [0; 92];
            settings[..4].copy_from_slice(&command.to_ne_bytes());
            let gathered = Settings::of(interface).gathered;
            settings[8..12].copy_from_slice(&gathered.to_ne_bytes());
            data.write(0, &settings)
        }
        SCOALESCE => {
            let mut settings = [0; 92];
            data.read(0, &mut settings)?;
            let other = settings[4..8].iter().chain(&settings[12..]);
            if other.clone().any(|byte| *byte != 0) {
                return Err(UNSUPPORTED);
            }
            Change::Gathered(data.word(8)?).make(interface);
            Ok(())
        }
        GPERMADDR => {
            let length = if interface.is_tap() { 6 } else { 0 };
            if data.word(4)? < length {
                return Err(Errno(TOO_SMALL));
            }
            data.put(4, length)?;
            // No card has burned an address in.
            data.write(8, &[0; 6][..length as usize])
        }
        GFLAGS => {
            let on = active(interface);
            let flags = FLAGS.iter().filter(|flag| on & flag.1 != 0);
            data.put(4, flags.fold(0, |all, flag| all | flag.0))
        }
        SFLAGS => set_flags(interface, data.word(4)?),
        GSTRINGS => get_strings(data),
        GSSET_INFO => get_sets(data),
        GFEATURES => get_features(interface, data),
        SFEATURES => set_features(interface, data),
        GCHANNELS => {
            let [most, attached] = Settings::of(interface).channels;
            let words = [command, 0, 0, 0, most, 0, 0, 0, attached];
            data.write(0, words.map(u32::to_ne_bytes).as_flattened())
        }
        GET_TS_INFO => {
            let words = [command, TIMES, u32::MAX, 0, 0, 0, 0, 0, 0, 0, 0];
            data.write(0, words.map(u32::to_ne_bytes).as_flattened())
        }
        FLASHDEV => Ok(()),
        _ => Err(UNSUPPORTED),
    }
}

fn get_settings<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let words = Settings::of(interface).modes;
    let [speed, first, second, ..] = words;
    let mut old = [0; 44];
    old[..4].copy_from_slice(&GSET.to_ne_bytes());
    old[4..8].copy_from_slice(&words[3].to_ne_bytes());
    old[8..12].copy_from_slice(&words[3 + MODE_WORDS].to_ne_bytes());
    old[12..14].copy_from_slice(&(speed as u16).to_ne_bytes());
    let [duplex, port, phy, autoneg] = first.to_ne_bytes();
    let [mdio, mdix, control, _] = second.to_ne_bytes();
    old[14..20].copy_from_slice(&[duplex, port, phy, 0, autoneg, mdio]);
    old[28..30].copy_from_slice(&((speed >> 16) as u16).to_ne_bytes());
    old[30..32].copy_from_slice(&[mdix, control]);
    old[32..36].copy_from_slice(&words[3 + 2 * MODE_WORDS].to_ne_bytes());
    data.write(0, &old)
}

fn set_settings<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let mut old = [0u8; 44];
    data.read(0, &mut old)?;
    let word = |at: usize| u32::from_ne_bytes([old[at], old[at + 1], old[at + 2], old[at + 3]]);
    if word(20) != 0 || word(24) != 0 {
        return Err(INVALID);
    }
    let half = |at: usize| u32::from(u16::from_ne_bytes([old[at], old[at + 1]]));
    let mut words = [0; 3 + 3 * MODE_WORDS];
    words[0] = half(28) << 16 | half(12);
    words[1] = u32::from_ne_bytes([old[14], old[15], old[16], old[18]]);
    words[2] = u32::from_ne_bytes([old[19], old[30], old[31], 0]);
    words[3] = word(4);
    words[3 + MODE_WORDS] = word(8);
    words[3 + 2 * MODE_WORDS] = word(32);
    Change::Modes(words).make(interface);
    Ok(())
}

/// Length in bytes of `struct ethtool_link_settings` without its sets, and the place in it of the
/// number of words of each set.
const LINK_SETTINGS: usize = 48;
const NUMBER: usize = 15;

fn get_link_settings<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let mut new = [0; LINK_SETTINGS];
    data.read(0, &mut new)?;
    let agreed = new[NUMBER] == MODE_WORDS as u8;
    new = [0; LINK_SETTINGS];
    new[..4].copy_from_slice(&GLINKSETTINGS.to_ne_bytes());
    if !agreed {
        // The program is told how many words it has to ask for.
        new[NUMBER] = (-(MODE_WORDS as i8)) as u8;
        return data.write(0, &new);
    }
    let words = Settings::of(interface).modes;
    new[4..8].copy_from_slice(&words[0].to_ne_bytes());
    new[8..12].copy_from_slice(&words[1].to_ne_bytes());
    new[12..15].copy_from_slice(&words[2].to_ne_bytes()[..3]);
    new[NUMBER] = MODE_WORDS as u8;
    data.write(0, &new)?;
    for (place, word) in words[3..].iter().enumerate() {
        data.put(LINK_SETTINGS + 4 * place, *word)?;
    }
    Ok(())
}

fn set_link_settings<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let mut new = [0u8; LINK_SETTINGS];
    data.read(0, &mut new)?;
    // Neither master nor slave is set on a tun.
    if new[NUMBER] != MODE_WORDS as u8 || new[17] != 0 || new[18] != 0 {
        return Err(INVALID);
    }
    let mut words = [0; 3 + 3 * MODE_WORDS];
    let word = |at: usize| u32::from_ne_bytes([new[at], new[at + 1], new[at + 2], new[at + 3]]);
    words[0] = word(4);
    words[1] = word(8);
    words[2] = u32::from_ne_bytes([new[12], new[13], new[14], 0]);
    for (place, to) in words[3..].iter_mut().enumerate() {
        *to = data.word(LINK_SETTINGS + 4 * place)?;
    }
    Change::Modes(words).make(interface);
    Ok(())
}

fn set_flags(interface: &InterfaceState, flags: u32) -> Result<(), Errno> {
    let known = FLAGS.iter().fold(0, |all, flag| all | flag.0);
    if flags & !known != 0 {
        return Err(INVALID);
    }
    let wanted = FLAGS.iter().filter(|flag| flags & flag.0 != 0);
    let wanted = wanted.fold(0, |all, flag| all | flag.1);
    let all = FLAGS.iter().fold(0, |all, flag| all | flag.1);
    let changed = (wanted ^ active(interface)) & all;
    match (changed & SWITCHABLE, changed & !SWITCHABLE) {
        (_, 0) => {}
        (0, _) => return Err(UNSUPPORTED),
        _ => return Err(INVALID),
    }
    switch(interface, changed & wanted, true);
    switch(interface, changed & !wanted, false);
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

fn get_features<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let room = data.word(4)?.min(FEATURE_WORDS);
    data.put(4, FEATURE_WORDS)?;
    let wanted = interface.features.load(Relaxed);
    let all = [SWITCHABLE, wanted, active(interface), NEVER];
    for block in 0..room {
        for (place, set) in all.iter().enumerate() {
            let word = (set >> (32 * block)) as u32;
            data.put(8 + 16 * block as usize + 4 * place, word)?;
        }
    }
    Ok(())
}

fn set_features<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    if data.word(4)? != FEATURE_WORDS {
        return Err(INVALID);
    }
    let set = |place: usize| {
        let word = |block: usize| data.word(8 + 8 * block + 4 * place).map(u64::from);
        Ok::<u64, Errno>(word(0)? | word(1)? << 32)
    };
    let (valid, requested) = (set(0)? & SWITCHABLE, set(1)?);
    switch(interface, valid & requested, true);
    switch(interface, valid & !requested, false);
    Ok(())
}
