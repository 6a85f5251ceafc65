//! What is asked of devices (the GET commands, `ethnl_default_doit`).
#![forbid(unsafe_code)]

use super::ask::{header_of, missing, Ask};
use super::command::*;
use super::device::{all, find, Device};
use super::{bitset, strings};
use crate::{Failure, World};
use memtun_kernel::link::ethtool::{names, MODE_WORDS, TIMES};
use memtun_stack::wire::{Writer, NESTED};

/// Appends the answer about one device.
type Run = fn(&Ask<'_, '_>, &Device, &mut Writer) -> Result<(), Failure>;

/// The commands that ask, and those that can be asked for all devices.
const COMMANDS: &[(u8, Run)] = &[
    (LINKINFO_GET, link_info),
    (LINKMODES_GET, link_modes),
    (LINKSTATE_GET, link_state),
    (DEBUG_GET, debug),
    (WOL_GET, unsupported),
    (FEATURES_GET, features),
    (PRIVFLAGS_GET, unsupported),
    (RINGS_GET, unsupported),
    (CHANNELS_GET, channels),
    (COALESCE_GET, coalesce),
    (PAUSE_GET, unsupported),
    (EEE_GET, unsupported),
    (TSINFO_GET, times),
    (TUNNEL_INFO_GET, tunnel_info),
    (FEC_GET, unsupported),
    (MODULE_EEPROM_GET, unsupported),
    (STATS_GET, statistics),
    (PHC_VCLOCKS_GET, clocks),
    (MODULE_GET, module),
    (PSE_GET, power),
    (RSS_GET, unsupported),
    (PLCA_GET_CFG, unsupported),
    (PLCA_GET_STATUS, unsupported),
    (MM_GET, unsupported),
    (PHY_GET, unsupported),
    (TSCONFIG_GET, unsupported),
];

fn run_of(command: u8) -> Option<Run> {
    let found = COMMANDS.iter().find(|(known, _)| *known == command);
    found.map(|(_, run)| *run)
}

/// Can the command be asked for all devices?
pub(super) fn can_dump(command: u8) -> bool {
    command == STRSET_GET || run_of(command).is_some()
}

/// Is the command one of those that only an administrator may give (GENL_UNS_ADMIN_PERM)?
pub(super) fn is_guarded(command: u8) -> bool {
    matches!(command, WOL_GET | MODULE_EEPROM_GET) || !can_dump(command)
}

/// Reads what else the request says (`parse_request`).
fn check(ask: &Ask<'_, '_>) -> Result<(), Failure> {
    match ask.command {
        MODULE_EEPROM_GET => check_page(ask),
        STATS_GET => groups(ask).map(|_| ()),
        _ => Ok(()),
    }
}

/// Answers about one device.
pub(super) fn one(
    world: &mut World<'_>,
    ask: &mut Ask<'_, '_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let kind = header_of(ask.command);
    let header = ask.tb.get(kind);
    // These two have functions of their own, which look for the header themselves.
    let has_own = matches!(ask.command, TUNNEL_INFO_GET);
    if header.is_none() && !has_own {
        return missing(kind);
    }
    let is_wanted = ask.command != STRSET_GET;
    let (device, flags) = find(world, ask.request, header, is_wanted)?;
    ask.flags = flags;
    if ask.command == STRSET_GET {
        return strings::answer(ask, device.as_ref(), to);
    }
    check(ask)?;
    match (run_of(ask.command), device) {
        (Some(run), Some(device)) => run(ask, &device, to),
        _ => Err(Failure::new(libc::EOPNOTSUPP)),
    }
}

/// Answers about all devices. Returns how the dump has ended.
pub(super) fn dump(
    world: &mut World<'_>,
    ask: &mut Ask<'_, '_>,
    to: &mut Writer,
) -> Result<Result<(), Failure>, Failure> {
    let header = ask.tb.get(header_of(ask.command));
    let (chosen, flags) = find(world, ask.request, header, false)?;
    ask.flags = flags;
    check(ask)?;
    if ask.command == STRSET_GET {
        strings::wanted(ask)?;
    }
    if ask.command == TUNNEL_INFO_GET {
        return Ok(Err(Failure::new(libc::EOPNOTSUPP)));
    }
    for device in all(world)? {
        // Most commands do not look at the device that is named.
        let is_left_out = chosen.as_ref().is_some_and(|it| it.index != device.index);
        if is_left_out && ask.command == TSINFO_GET {
            continue;
        }
        let result = match run_of(ask.command) {
            Some(run) => run(ask, &device, to),
            None => strings::answer(ask, Some(&device), to),
        };
        match result {
            Ok(()) => {}
            Err(failure) if failure.errno.0 == libc::EOPNOTSUPP => {
                if let Some(text) = failure.text {
                    ask.request.say(text);
                }
            }
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Ok(()))
}

fn unsupported(_: &Ask<'_, '_>, _: &Device, _: &mut Writer) -> Result<(), Failure> {
    Err(Failure::new(libc::EOPNOTSUPP))
}

/// Fails as a device without settings of a link does.
fn no_settings() -> Failure {
    Failure::said(libc::EOPNOTSUPP, "failed to retrieve link settings")
}

pub(super) fn link_info(
    ask: &Ask<'_, '_>,
    device: &Device,
    to: &mut Writer,
) -> Result<(), Failure> {
    let tun = device.tun().map_err(|_| no_settings())?;
    let [_, port, phy, _] = tun.modes[1].to_ne_bytes();
    let [_, mdix, control, _] = tun.modes[2].to_ne_bytes();
    ask.reply(to, 2, Some(device));
    to.u8(2, port).u8(3, phy).u8(4, mdix).u8(5, control);
    // No transceiver.
    to.u8(6, 0);
    Ok(())
}

pub(super) fn link_modes(
    ask: &Ask<'_, '_>,
    device: &Device,
    to: &mut Writer,
) -> Result<(), Failure> {
    let tun = device.tun().map_err(|_| no_settings())?;
    let set = |at: usize| bitset::of_words(&tun.modes[3 + at * MODE_WORDS..]);
    let [duplex, _, _, autoneg] = tun.modes[1].to_ne_bytes();
    ask.reply(to, 4, Some(device));
    to.u8(2, autoneg);
    let (names, compact) = (names::LINK_MODES, ask.is_compact());
    bitset::put(to, 3, (set(1), Some(set(0))), names, compact);
    if set(2) != 0 {
        bitset::put(to, 4, (set(2), None), names, compact);
    }
    to.u32(5, tun.modes[0]).u8(6, duplex);
    // Nothing is matched.
    to.u8(10, 0);
    Ok(())
}

fn link_state(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    ask.reply(to, 6, Some(device));
    to.u8(2, device.link.into());
    Ok(())
}

pub(super) fn debug(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    let messages = device.tun()?.messages;
    ask.reply(to, 7, Some(device));
    let set = (messages.into(), None);
    bitset::put(to, 2, set, names::MESSAGES, ask.is_compact());
    Ok(())
}

pub(super) fn features(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    ask.reply(to, 11, Some(device));
    for (at, features) in device.features.into_iter().enumerate() {
        let mask = (at == 0).then_some(u128::MAX);
        let set = (features.into(), mask);
        bitset::put(to, 2 + at as u16, set, names::FEATURES, ask.is_compact());
    }
    Ok(())
}

fn channels(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    let [most, attached] = device.tun()?.channels;
    ask.reply(to, 18, Some(device));
    to.u32(5, most).u32(9, attached);
    Ok(())
}

pub(super) fn coalesce(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    let gathered = device.tun()?.gathered;
    ask.reply(to, 20, Some(device));
    to.u32(3, gathered);
    Ok(())
}

fn times(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    /// ETHTOOL_FLAG_STATS.
    const STATISTICS: u32 = 4;
    ask.reply(to, 26, Some(device));
    let set = (TIMES.into(), None);
    bitset::put(to, 2, set, names::TIMES, ask.is_compact());
    if ask.flags & STATISTICS != 0 {
        // The driver counts nothing.
        to.attribute(6 | NESTED, &[]);
    }
    Ok(())
}

fn tunnel_info(_: &Ask<'_, '_>, _: &Device, _: &mut Writer) -> Result<(), Failure> {
    let text = "device does not report tunnel offload info";
    Err(Failure::said(libc::EOPNOTSUPP, text))
}

fn clocks(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    ask.reply(to, 34, Some(device));
    Ok(())
}

fn module(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    ask.reply(to, 35, Some(device));
    Ok(())
}

fn power(ask: &Ask<'_, '_>, _: &Device, _: &mut Writer) -> Result<(), Failure> {
    match ask.request.has(libc::NLM_F_DUMP) {
        true => Err(Failure::new(libc::EOPNOTSUPP)),
        false => Err(Failure::said(libc::EOPNOTSUPP, "No PHY found")),
    }
}

/// Checks which part of a module's memory is asked for (`eeprom_parse_request`).
fn check_page(ask: &Ask<'_, '_>) -> Result<(), Failure> {
    /// Length in bytes of half a page.
    const HALF: u32 = 128;
    let number = |kind: u16| ask.tb.get(kind).and_then(|a| a.u32());
    let page = ask.tb.get(4);
    let (Some(offset), Some(length), Some(page), true) =
        (number(2), number(3), page, ask.tb.has(6))
    else {
        return Err(Failure::new(libc::EINVAL));
    };
    let fail = |text: &'static str, kind: u16| {
        let at = ask.tb.get(kind).map_or(0, |a| a.at);
        Err(Failure::said(libc::EINVAL, text).at(at))
    };
    if page.u8() != Some(0) && offset < HALF {
        return fail("reading from lower half page is allowed for page 0 only", 4);
    }
    if offset < HALF && offset + length > HALF {
        return fail("reading cross half page boundary is illegal", 3);
    }
    if offset + length > 2 * HALF {
        return fail("reading cross page boundary is illegal", 3);
    }
    Ok(())
}

/// Reads which groups of statistics are asked for.
fn groups(ask: &Ask<'_, '_>) -> Result<u128, Failure> {
    let groups = match ask.tb.get(3) {
        Some(groups) => {
            let (value, mask) = bitset::parse(ask.request, groups, names::STATISTICS, true)?;
            value & mask
        }
        None => 0,
    };
    match groups {
        0 => Err(Failure::said(libc::EINVAL, "no stats requested")),
        groups => Ok(groups),
    }
}

fn statistics(ask: &Ask<'_, '_>, device: &Device, to: &mut Writer) -> Result<(), Failure> {
    /// ETHTOOL_A_STATS_SRC: of both layers of a device together.
    const SOURCE: u16 = 5;
    let wanted = groups(ask)?;
    let source = ask.tb.get(SOURCE).and_then(|source| source.u32());
    if source.is_some_and(|source| source != 0) {
        let text = "ethtool_nl: Device does not support MAC merge layer";
        return Err(Failure::said(libc::EOPNOTSUPP, text));
    }
    ask.reply(to, 33, Some(device));
    to.u32(SOURCE, 0);
    for group in 0..names::STATISTICS.len() as u32 {
        if wanted >> group & 1 != 0 {
            let open = to.begin(4 | NESTED);
            to.u32(2, group).u32(3, 17 + group);
            to.end(open);
        }
    }
    Ok(())
}
