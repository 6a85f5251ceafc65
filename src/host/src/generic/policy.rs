//! The attributes of each command of the family "ethtool", as the kernel describes them
//! (CTRL_CMD_GETPOLICY of Linux 6.18).
#![forbid(unsafe_code)]

use super::command;
use crate::netlink::policy::{Check, Kind, Policy, Table, NEST, U32, U8};

const FLAG: Policy = Policy::of(Kind::Flag, 0);
const BYTES: Policy = Policy::of(Kind::Binary, 0);
const TEXT: Policy = Policy::of(Kind::NulString, 0);
/// A name of a device (ALTIFNAMSIZ).
const DEVICE: Policy = Policy::of(Kind::NulString, 127);
const PASSWORD: Policy = Policy::of(Kind::Binary, 6);
const BIT: Policy = Policy::range(Kind::U8, 0, 1);
const BYTE: Policy = Policy::range(Kind::U32, 0, 255);
const FROM_ONE: Policy = Policy::range(Kind::U32, 1, u32::MAX as u64);

const fn masked(mask: u64) -> Policy {
    Policy {
        check: Check::Mask(mask),
        ..U32
    }
}

const fn table(max: u16, entries: &'static [(u16, Policy)]) -> Table {
    Table {
        max,
        strict_from: 0,
        entries,
    }
}

static STRSET_GET: Table = table(3, &[(1, Policy::nest(&WITH_PHY)), (2, NEST), (3, FLAG)]);
static WITH_PHY: Table = table(4, &[(1, U32), (2, DEVICE), (3, masked(3)), (4, FROM_ONE)]);
static ONLY_BASIC: Table = table(1, &[(1, Policy::nest(&BASIC))]);
static BASIC: Table = table(3, &[(1, U32), (2, DEVICE), (3, masked(3))]);
static LINKINFO_SET: Table = table(5, &[(1, Policy::nest(&BASIC)), (2, U8), (3, U8), (5, U8)]);
static LINKMODES_SET: Table = table(
    9,
    &[
        (1, Policy::nest(&BASIC)),
        (2, U8),
        (3, NEST),
        (5, U32),
        (6, U8),
        (7, U8),
        (9, Policy::range(Kind::U32, 1, 8)),
    ],
);
static ONLY_WITH_STATS: Table = table(1, &[(1, Policy::nest(&WITH_STATS))]);
static WITH_STATS: Table = table(3, &[(1, U32), (2, DEVICE), (3, masked(7))]);
static DEBUG_SET: Table = table(2, &[(1, Policy::nest(&BASIC)), (2, NEST)]);
static WOL_SET: Table = table(3, &[(1, Policy::nest(&BASIC)), (2, NEST), (3, PASSWORD)]);
static FEATURES_SET: Table = table(3, &[(1, Policy::nest(&BASIC)), (3, NEST)]);
static PRIVFLAGS_SET: Table = table(2, &[(1, Policy::nest(&BASIC)), (2, NEST)]);
static RINGS_SET: Table = table(
    17,
    &[
        (1, Policy::nest(&BASIC)),
        (6, U32),
        (7, U32),
        (8, U32),
        (9, U32),
        (10, FROM_ONE),
        (11, Policy::range(Kind::U8, 0, 2)),
        (12, FROM_ONE),
        (13, BIT),
        (14, BIT),
        (15, U32),
        (17, U32),
    ],
);
static CHANNELS_SET: Table = table(
    9,
    &[
        (1, Policy::nest(&BASIC)),
        (6, U32),
        (7, U32),
        (8, U32),
        (9, U32),
    ],
);
static COALESCE_SET: Table = table(
    30,
    &[
        (1, Policy::nest(&BASIC)),
        (2, U32),
        (3, U32),
        (4, U32),
        (5, U32),
        (6, U32),
        (7, U32),
        (8, U32),
        (9, U32),
        (10, U32),
        (11, U8),
        (12, U8),
        (13, U32),
        (14, U32),
        (15, U32),
        (16, U32),
        (17, U32),
        (18, U32),
        (19, U32),
        (20, U32),
        (21, U32),
        (22, U32),
        (23, U32),
        (24, BIT),
        (25, BIT),
        (26, U32),
        (27, U32),
        (28, U32),
        (29, Policy::nest(&PROFILES)),
        (30, Policy::nest(&PROFILES)),
    ],
);
static PROFILES: Table = table(1, &[(1, Policy::nest(&PROFILE))]);
static PROFILE: Table = table(3, &[(1, U32), (2, U32), (3, U32)]);
static PAUSE_GET: Table = table(
    6,
    &[
        (1, Policy::nest(&WITH_STATS)),
        (6, Policy::range(Kind::U32, 0, 2)),
    ],
);
static PAUSE_SET: Table = table(4, &[(1, Policy::nest(&BASIC)), (2, U8), (3, U8), (4, U8)]);
static EEE_SET: Table = table(
    7,
    &[
        (1, Policy::nest(&BASIC)),
        (2, NEST),
        (5, U8),
        (6, U8),
        (7, U32),
    ],
);
static TSINFO_GET: Table = table(
    7,
    &[(1, Policy::nest(&WITH_STATS)), (7, Policy::nest(&CLOCK))],
);
static CLOCK: Table = table(2, &[(1, U32), (2, Policy::range(Kind::U32, 0, 1))]);
static ONLY_WITH_PHY: Table = table(1, &[(1, Policy::nest(&WITH_PHY))]);
static CABLE_TEST_TDR_ACT: Table = table(2, &[(1, Policy::nest(&WITH_PHY)), (2, NEST)]);
static FEC_SET: Table = table(3, &[(1, Policy::nest(&BASIC)), (2, NEST), (3, BIT)]);
static MODULE_EEPROM_GET: Table = table(
    6,
    &[
        (1, Policy::nest(&BASIC)),
        (2, BYTE),
        (3, Policy::range(Kind::U32, 1, 128)),
        (4, U8),
        (5, U8),
        (6, Policy::range(Kind::U8, 0, 127)),
    ],
);
static STATS_GET: Table = table(
    5,
    &[
        (2, Policy::nest(&BASIC)),
        (3, NEST),
        (5, Policy::range(Kind::U32, 0, 2)),
    ],
);
static MODULE_SET: Table = table(
    2,
    &[
        (1, Policy::nest(&BASIC)),
        (2, Policy::range(Kind::U8, 1, 2)),
    ],
);
static PSE_SET: Table = table(
    16,
    &[
        (1, Policy::nest(&WITH_PHY)),
        (3, Policy::range(Kind::U32, 2, 3)),
        (6, Policy::range(Kind::U32, 2, 3)),
        (12, U32),
        (16, U32),
    ],
);
static RSS_GET: Table = table(7, &[(1, Policy::nest(&BASIC)), (2, U32), (7, U32)]);
static PLCA_SET_CFG: Table = table(
    9,
    &[
        (1, Policy::nest(&WITH_PHY)),
        (3, BIT),
        (5, Policy::range(Kind::U32, 1, 255)),
        (6, BYTE),
        (7, BYTE),
        (8, BYTE),
        (9, BYTE),
    ],
);
static MM_SET: Table = table(
    9,
    &[
        (1, Policy::nest(&BASIC)),
        (2, BIT),
        (3, BIT),
        (5, Policy::range(Kind::U32, 60, 252)),
        (7, BIT),
        (9, Policy::range(Kind::U32, 1, 128)),
    ],
);
static MODULE_FW_FLASH_ACT: Table = table(3, &[(1, Policy::nest(&BASIC)), (2, TEXT), (3, U32)]);
static TSCONFIG_SET: Table = table(
    5,
    &[
        (1, Policy::nest(&BASIC)),
        (2, Policy::nest(&CONFIGURED_CLOCK)),
        (3, NEST),
        (4, NEST),
        (5, NEST),
    ],
);
static CONFIGURED_CLOCK: Table = table(2, &[(1, U32), (2, Policy::range(Kind::U32, 0, 1))]);
static RSS_SET: Table = table(
    8,
    &[
        (1, Policy::nest(&BASIC)),
        (2, U32),
        (3, FROM_ONE),
        (4, BYTES),
        (5, BYTES),
        (6, Policy::range(Kind::U32, 0, 2)),
        (8, NEST),
    ],
);
static RSS_CREATE_ACT: Table = table(
    6,
    &[
        (1, Policy::nest(&BASIC)),
        (2, FROM_ONE),
        (3, FROM_ONE),
        (4, BYTES),
        (5, BYTES),
        (6, Policy::range(Kind::U32, 0, 2)),
    ],
);
static RSS_DELETE_ACT: Table = table(2, &[(1, Policy::nest(&BASIC)), (2, FROM_ONE)]);

/// No attributes.
pub static EMPTY: Table = table(0, &[]);
/// Attributes of a header, which each command's own policy has checked.
pub static HEADER: Table = table(4, &[(1, U32), (2, DEVICE), (3, U32), (4, U32)]);
/// Attributes of a set of bits (ETHTOOL_A_BITSET_*).
pub static BITSET: Table = table(
    5,
    &[
        (1, FLAG),
        (2, Policy::range(Kind::U32, 0, 32767)),
        (3, NEST),
        (4, BYTES),
        (5, BYTES),
    ],
);
/// Attributes of one bit (ETHTOOL_A_BITSET_BIT_*).
pub static BIT_OF_SET: Table = table(3, &[(1, U32), (2, TEXT), (3, FLAG)]);
/// The sets of names that are asked for (ETHTOOL_A_STRINGSETS_*).
pub static STRING_SETS: Table = table(1, &[(1, NEST)]);
/// One of them (ETHTOOL_A_STRINGSET_*).
pub static STRING_SET: Table = table(1, &[(1, U32)]);

/// Returns the attributes of a command; None for one that there is not.
pub fn of(number: u8) -> Option<&'static Table> {
    Some(match number {
        command::STRSET_GET => &STRSET_GET,
        command::LINKINFO_GET => &ONLY_BASIC,
        command::LINKINFO_SET => &LINKINFO_SET,
        command::LINKMODES_GET => &ONLY_BASIC,
        command::LINKMODES_SET => &LINKMODES_SET,
        command::LINKSTATE_GET => &ONLY_WITH_STATS,
        command::DEBUG_GET => &ONLY_BASIC,
        command::DEBUG_SET => &DEBUG_SET,
        command::WOL_GET => &ONLY_BASIC,
        command::WOL_SET => &WOL_SET,
        command::FEATURES_GET => &ONLY_BASIC,
        command::FEATURES_SET => &FEATURES_SET,
        command::PRIVFLAGS_GET => &ONLY_BASIC,
        command::PRIVFLAGS_SET => &PRIVFLAGS_SET,
        command::RINGS_GET => &ONLY_BASIC,
        command::RINGS_SET => &RINGS_SET,
        command::CHANNELS_GET => &ONLY_BASIC,
        command::CHANNELS_SET => &CHANNELS_SET,
        command::COALESCE_GET => &ONLY_BASIC,
        command::COALESCE_SET => &COALESCE_SET,
        command::PAUSE_GET => &PAUSE_GET,
        command::PAUSE_SET => &PAUSE_SET,
        command::EEE_GET => &ONLY_BASIC,
        command::EEE_SET => &EEE_SET,
        command::TSINFO_GET => &TSINFO_GET,
        command::CABLE_TEST_ACT => &ONLY_WITH_PHY,
        command::CABLE_TEST_TDR_ACT => &CABLE_TEST_TDR_ACT,
        command::TUNNEL_INFO_GET => &ONLY_BASIC,
        command::FEC_GET => &ONLY_WITH_STATS,
        command::FEC_SET => &FEC_SET,
        command::MODULE_EEPROM_GET => &MODULE_EEPROM_GET,
        command::STATS_GET => &STATS_GET,
        command::PHC_VCLOCKS_GET => &ONLY_BASIC,
        command::MODULE_GET => &ONLY_BASIC,
        command::MODULE_SET => &MODULE_SET,
        command::PSE_GET => &ONLY_WITH_PHY,
        command::PSE_SET => &PSE_SET,
        command::RSS_GET => &RSS_GET,
        command::PLCA_GET_CFG => &ONLY_WITH_PHY,
        command::PLCA_SET_CFG => &PLCA_SET_CFG,
        command::PLCA_GET_STATUS => &ONLY_WITH_PHY,
        command::MM_GET => &ONLY_WITH_STATS,
        command::MM_SET => &MM_SET,
        command::MODULE_FW_FLASH_ACT => &MODULE_FW_FLASH_ACT,
        command::PHY_GET => &ONLY_BASIC,
        command::TSCONFIG_GET => &ONLY_BASIC,
        command::TSCONFIG_SET => &TSCONFIG_SET,
        command::RSS_SET => &RSS_SET,
        command::RSS_CREATE_ACT => &RSS_CREATE_ACT,
        command::RSS_DELETE_ACT => &RSS_DELETE_ACT,
        _ => return None,
    })
}
