//! What is set on devices (the SET commands, `ethnl_default_set_doit`).
#![forbid(unsafe_code)]

use super::ask::{missing, Ask};
use super::bitset;
use super::command::*;
use super::device::{find, Device};
use crate::engine::link as engine;
use crate::netlink::policy::Parsed;
use crate::{Failure, World};
use memtun_kernel::link::ethtool::{names, Change, Plain, Settings, MODE_WORDS, NEVER};
use memtun_stack::wire::Writer;

/// Sets something on a device.
type Run = fn(&mut World<'_>, &Ask<'_, '_>, &Device, &mut Writer) -> Result<(), Failure>;

/// The commands that set something, or let a device do something.
const COMMANDS: &[(u8, Run)] = &[
    (LINKINFO_SET, link_info),
    (LINKMODES_SET, link_modes),
    (DEBUG_SET, debug),
    (WOL_SET, unsupported),
    (FEATURES_SET, features),
    (PRIVFLAGS_SET, private_flags),
    (RINGS_SET, unsupported),
    (CHANNELS_SET, unsupported),
    (COALESCE_SET, coalesce),
    (PAUSE_SET, unsupported),
    (EEE_SET, unsupported),
    (CABLE_TEST_ACT, unsupported),
    (CABLE_TEST_TDR_ACT, unsupported),
    (FEC_SET, unsupported),
    (MODULE_SET, module),
    (PSE_SET, power),
    (PLCA_SET_CFG, unsupported),
    (MM_SET, unsupported),
    (MODULE_FW_FLASH_ACT, firmware),
    (TSCONFIG_SET, unsupported),
    (RSS_SET, hash),
    (RSS_CREATE_ACT, unsupported),
    (RSS_DELETE_ACT, unsupported),
];

/// Returns what carries out a command that sets something.
pub(super) fn find_run(command: u8) -> Option<Run> {
    let found = COMMANDS.iter().find(|(known, _)| *known == command);
    found.map(|(_, run)| *run)
}

/// Carries out a command.
pub(super) fn carry_out(
    world: &mut World<'_>,
    ask: &mut Ask<'_, '_>,
    run: Run,
    to: &mut Writer,
) -> Result<(), Failure> {
    /// The number of the header's attribute.
    const HEADER: u16 = 1;
    let header = ask.tb.get(HEADER);
    let required: &[u16] = match ask.command {
        FEATURES_SET if !ask.tb.has(WANTED) => return Err(Failure::new(libc::EINVAL)),
        FEATURES_SET | CABLE_TEST_ACT | CABLE_TEST_TDR_ACT => &[],
        MODULE_FW_FLASH_ACT | RSS_CREATE_ACT => &[],
        RSS_DELETE_ACT => &[2, HEADER],
        _ => &[HEADER],
    };
    if let Some(kind) = required.iter().find(|kind| !ask.tb.has(**kind)) {
        return missing(*kind);
    }
    let (device, flags) = find(world, ask.request, header, true)?;
    ask.flags = flags;
    let device = device.ok_or(Failure::new(libc::ENODEV))?;
    run(world, ask, &device, to)
}

fn unsupported(
    _: &mut World<'_>,
    _: &Ask<'_, '_>,
    _: &Device,
    _: &mut Writer,
) -> Result<(), Failure> {
    Err(Failure::new(libc::EOPNOTSUPP))
}

/// Changes a byte of a word by an attribute, if there is one.
fn change_byte(word: &mut u32, place: usize, tb: &Parsed<'_>, kind: u16) {
    let mut bytes = word.to_ne_bytes();
    if let Some(value) = tb.get(kind).and_then(|a| a.u8()) {
        bytes[place] = value;
    }
    *word = u32::from_ne_bytes(bytes);
}

fn make(world: &mut World<'_>, device: &Device, change: Change) -> Result<(), Failure> {
    world.devices.set_ethtool(device.index, change)?;
    Ok(())
}

fn link_info(
    world: &mut World<'_>,
    ask: &Ask<'_, '_>,
    device: &Device,
    _: &mut Writer,
) -> Result<(), Failure> {
    let before = device.tun()?.modes;
    let mut modes = before;
    change_byte(&mut modes[1], 1, &ask.tb, 2);
    change_byte(&mut modes[1], 2, &ask.tb, 3);
    change_byte(&mut modes[2], 2, &ask.tb, 5);
    if modes == before {
        return Ok(());
    }
    make(world, device, Change::Modes(modes))
}

fn link_modes(
    world: &mut World<'_>,
    ask: &Ask<'_, '_>,
    device: &Device,
    _: &mut Writer,
) -> Result<(), Failure> {
    // Attributes (ETHTOOL_A_LINKMODES_*).
    const AUTONEG: u16 = 2;
    const OURS: u16 = 3;
    const SPEED: u16 = 5;
    const DUPLEX: u16 = 6;
    const ROLE: u16 = 7;
    const LANES: u16 = 9;
    let tb = &ask.tb;
    let fail = |errno: i32, text: &'static str, kind: u16| {
        let at = tb.get(kind).map_or(0, |a| a.at);
        Err(Failure::said(errno, text).at(at))
    };
    let number = |kind: u16| tb.get(kind).and_then(|a| a.u32());
    let role = tb.get(ROLE).and_then(|a| a.u8());
    if role.is_some_and(|role| !(2..=5).contains(&role)) {
        return fail(libc::EOPNOTSUPP, "master/slave value is invalid", ROLE);
    }
    let lanes = number(LANES);
    if lanes.is_some_and(|lanes| !lanes.is_power_of_two()) {
        return fail(libc::EINVAL, "lanes value is invalid", LANES);
    }
    let Settings { modes: before, .. } = *device.tun()?;
    if role.is_some() {
        let text = "master/slave configuration not supported by device";
        return fail(libc::EOPNOTSUPP, text, ROLE);
    }
    let mut modes = before;
    change_byte(&mut modes[1], 3, tb, AUTONEG);
    let autoneg = modes[1].to_ne_bytes()[3] != 0;
    if lanes.is_some() && !autoneg {
        let text = "lanes configuration not supported by device";
        return fail(libc::EOPNOTSUPP, text, LANES);
    }
    let (first, second) = (3 + MODE_WORDS, 3 + 2 * MODE_WORDS);
    let mut ours = bitset::of_words(&modes[first..second]);
    if let Some(set) = tb.get(OURS) {
        let (value, mask) = bitset::parse(ask.request, set, names::LINK_MODES, true)?;
        ours = ours & !mask | value & mask;
    }
    modes[0] = number(SPEED).unwrap_or(modes[0]);
    change_byte(&mut modes[1], 0, tb, DUPLEX);
    let asks = tb.has(SPEED) || tb.has(LANES) || tb.has(DUPLEX);
    if !tb.has(OURS) && autoneg && asks {
        let supported = bitset::of_words(&modes[3..first]);
        let duplex = modes[1].to_ne_bytes()[0];
        for (bit, name) in names::LINK_MODES.iter().enumerate() {
            let Some((speed, full)) = speed_of(name) else {
                continue;
            };
            let fits = supported >> bit & 1 != 0
                && (!tb.has(SPEED) || speed == modes[0])
                && (!tb.has(DUPLEX) || full == duplex);
            ours = ours & !(1 << bit) | u128::from(fits) << bit;
        }
    }
    modes[first..second].copy_from_slice(&bitset::to_words(ours));
    if modes == before && lanes.is_none() {
        return Ok(());
    }
    make(world, device, Change::Modes(modes))
}

/// Returns the speed in Mbit/s and the duplex of a link mode, by its name; None for one that says
/// something else.
fn speed_of(mode: &str) -> Option<(u32, u8)> {
    let (speed, _) = mode.split_once("base")?;
    Some((speed.parse().ok()?, u8::from(!mode.ends_with("/Half"))))
}

fn debug(
    world: &mut World<'_>,
    ask: &Ask<'_, '_>,
    device: &Device,
    _: &mut Writer,
) -> Result<(), Failure> {
    let before = device.tun()?.messages;
    let Some(set) = ask.tb.get(2) else {
        return Ok(());
    };
    let (value, mask) = bitset::parse(ask.request, set, names::MESSAGES, true)?;
    let now = before & !(mask as u32) | (value & mask) as u32;
    if now == before {
        return Ok(());
    }
    make(world, device, Change::Messages(now))
}

/// The attribute of the features that are wanted (ETHTOOL_A_FEATURES_WANTED), and of those that are
/// on.
const WANTED: u16 = 3;
const ACTIVE: u16 = 4;

fn features(
    world: &mut World<'_>,
    ask: &Ask<'_, '_>,
    device: &Device,
    to: &mut Writer,
) -> Result<(), Failure> {
    /// ETHTOOL_FLAG_OMIT_REPLY.
    const NO_REPLY: u32 = 2;
    let Some(set) = ask.tb.get(WANTED) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let (value, mask) = bitset::parse(ask.request, set, names::FEATURES, false)?;
    let (value, mask) = (value as u64, mask as u64);
    if mask & NEVER != 0 {
        let text = "attempt to change non-ethtool features";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let [switchable, wanted, active, _] = device.features;
    let asked = value & mask | wanted & !mask;
    let mut now = active;
    if asked != wanted {
        let kept = wanted & !switchable | asked & switchable;
        now = match device.tun {
            Some(_) => {
                make(world, device, Change::Wanted(kept))?;
                world.devices.ethtool(device.index)?.active
            }
            None => {
                engine::set_features(world, device.index, kept)?;
                Plain::active(kept)
            }
        };
    }
    if ask.flags & NO_REPLY == 0 {
        ask.reply(to, 12, Some(device));
        let differs = (asked ^ now) & mask;
        let changed = active ^ now;
        let (names, compact) = (names::FEATURES, ask.is_compact());
        let pair = |value: u64, mask: u64| (u128::from(value & mask), Some(mask.into()));
        bitset::put(to, WANTED, pair(asked, differs), names, compact);
        bitset::put(to, ACTIVE, pair(now, changed), names, compact);
    }
    Ok(())
}

fn private_flags(
    _: &mut World<'_>,
    ask: &Ask<'_, '_>,
    _: &Device,
    _: &mut Writer,
) -> Result<(), Failure> {
    match ask.tb.has(2) {
        true => Err(Failure::new(libc::EOPNOTSUPP)),
        false => Err(Failure::new(libc::EINVAL)),
    }
}

fn coalesce(
    world: &mut World<'_>,
    ask: &Ask<'_, '_>,
    device: &Device,
    _: &mut Writer,
) -> Result<(), Failure> {
    /// ETHTOOL_A_COALESCE_RX_MAX_FRAMES, the only one that a tun has.
    const GATHERED: u16 = 3;
    let before = device.tun()?.gathered;
    let mut others = ask.tb.iter();
    if let Some(other) = others.find(|a| a.kind > 1 && a.kind != GATHERED) {
        let text = "cannot modify an unsupported parameter";
        return Err(Failure::said(libc::EINVAL, text).at(other.at));
    }
    let now = ask.tb.get(GATHERED).and_then(|a| a.u32());
    if now.is_none_or(|now| now == before) {
        return Ok(());
    }
    make(world, device, Change::Gathered(now.unwrap_or(before)))
}

fn module(_: &mut World<'_>, ask: &Ask<'_, '_>, _: &Device, _: &mut Writer) -> Result<(), Failure> {
    let Some(policy) = ask.tb.get(2) else {
        return Ok(());
    };
    let text = "Setting power mode policy is not supported by this device";
    Err(Failure::said(libc::EOPNOTSUPP, text).at(policy.at))
}

fn power(_: &mut World<'_>, _: &Ask<'_, '_>, _: &Device, _: &mut Writer) -> Result<(), Failure> {
    Err(Failure::said(libc::EOPNOTSUPP, "No PHY is attached"))
}

fn firmware(_: &mut World<'_>, _: &Ask<'_, '_>, _: &Device, _: &mut Writer) -> Result<(), Failure> {
    let text = "Flashing module firmware is not supported by this device";
    Err(Failure::said(libc::EOPNOTSUPP, text))
}

/// Sets how packets are spread over queues, which a tun does by itself.
fn hash(_: &mut World<'_>, ask: &Ask<'_, '_>, _: &Device, _: &mut Writer) -> Result<(), Failure> {
    /// ETHTOOL_A_RSS_CONTEXT and ETHTOOL_A_RSS_INPUT_XFRM.
    const NAMED: [u16; 2] = [2, 6];
    /// ETHTOOL_A_RSS_INDIR, and ETHTOOL_A_RSS_HKEY, of which no length is right.
    const TABLE: u16 = 4;
    const KEY: u16 = 5;
    let unsupported = Failure::new(libc::EOPNOTSUPP);
    let named = ask.tb.iter().find(|a| NAMED.contains(&a.kind));
    if let Some(named) = named {
        return Err(unsupported.at(named.at));
    }
    match (ask.tb.get(KEY), ask.tb.has(TABLE)) {
        (Some(key), false) => Err(Failure::new(libc::EINVAL).at(key.at)),
        _ if ask.tb.iter().any(|a| a.kind > 1) => Err(unsupported),
        _ => Ok(()),
    }
}
