//! Tables of neighbours, and their parameters, which are settings of links as well
//! (net/core/neighbour.c).
#![forbid(unsafe_code)]

use super::link::indexes;
use super::policy::{Kind, Mode, Policy, Table, NEST, U32, U64};
use super::request::{invalid, Request};
use super::row::{row, Row};
use crate::engine::write;
use crate::message::conf;
use crate::{Failure, World};
use memtun_stack::view::place::Settings;
use memtun_stack::wire::Writer;
use memtun_stack::Link;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_GETNEIGHTBL, UNSPEC, None, Some(dump_tables)),
    row(libc::RTM_SETNEIGHTBL, UNSPEC, Some(set_table), None),
];

/// Names of the tables, and the lengths of their keys.
const TABLES: [(u8, &[u8], u16); 2] = [(INET, b"arp_cache", 4), (INET6, b"ndisc_cache", 16)];

static TABLE: Table = Table {
    max: 9,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Kind::String, 0)),
        (2, U32),
        (3, U32),
        (4, U32),
        (6, NEST),
        (8, U64),
    ],
};

static PARAMETERS: Table = Table {
    max: 19,
    strict_from: 0,
    entries: &[
        (1, U32),
        (4, U64),
        (5, U64),
        (6, U64),
        (7, U64),
        (8, U32),
        (9, U32),
        (10, U32),
        (11, U32),
        (12, U64),
        (13, U64),
        (14, U32),
        (15, U64),
        (16, U32),
        (17, U32),
        (19, U64),
    ],
};

/// Attributes of NDTA_PARMS that are numbers, in the kernel's order, and their settings.
const NUMBERS: [(u16, &str); 7] = [
    (16, "unres_qlen_bytes"),
    (8, "unres_qlen"),
    (14, "proxy_qlen"),
    (9, "app_solicit"),
    (10, "ucast_solicit"),
    (11, "mcast_solicit"),
    (17, "mcast_resolicit"),
];

/// Attributes of NDTA_PARMS that are times in milliseconds, their settings, and how many
/// milliseconds those count. The first is chosen near the second at random.
const TIMES: [(u16, &str, u64); 9] = [
    (REACHABLE, "base_reachable_time_ms", 1),
    (4, "base_reachable_time_ms", 1),
    (6, "gc_stale_time", 1000),
    (7, "delay_first_probe_time", 1000),
    (5, "retrans_time_ms", 1),
    (12, "anycast_delay", 10),
    (13, "proxy_delay", 10),
    (15, "locktime", 10),
    (19, "interval_probe_time_ms", 1),
];

/// NDTPA_REACHABLE_TIME, which is not set but chosen.
const REACHABLE: u16 = 3;

fn settings_of(family: u8) -> Settings {
    match family {
        INET => Settings::Neigh4,
        _ => Settings::Neigh6,
    }
}

/// Returns a parameter of a link, or of new links.
fn parameter(world: &World<'_>, family: u8, index: Option<u32>, name: &str) -> u64 {
    let settings = settings_of(family);
    let directory = settings.directory();
    let own = index.and_then(|i| world.setting(format!("{directory}/#{i}/{name}").as_bytes()));
    let set = own.or_else(|| world.setting(format!("{directory}/default/{name}").as_bytes()));
    let fresh = || settings.entry(name.as_bytes())?.fresh.parse().ok();
    set.or_else(fresh).unwrap_or(0) as u64
}

/// Appends NDTA_PARMS of a link, or of the table itself.
fn write_parameters(world: &World<'_>, family: u8, index: Option<u32>, to: &mut Writer) {
    let open = to.begin(6);
    if let Some(index) = index {
        to.u32(1, index);
    }
    // NDTPA_REFCNT.
    to.u32(2, 1);
    for (kind, name) in NUMBERS {
        to.u32(kind, parameter(world, family, index, name) as u32);
    }
    for (kind, name, unit) in TIMES {
        to.u64(kind, parameter(world, family, index, name) * unit);
    }
    to.end(open);
}

/// Sets the parameters that a request has, of a link or of new ones.
fn set_parameters(
    world: &mut World<'_>,
    family: u8,
    index: u32,
    tb: &super::policy::Parsed<'_>,
) -> Result<(), Failure> {
    let link = world.link(index).map(|link| link.extra.name);
    let name = link
        .as_ref()
        .map_or(&b"default"[..], |name| name.as_bytes());
    let directory = settings_of(family).directory();
    let numbers = NUMBERS.iter().map(|(kind, name)| (*kind, *name, 0));
    for (kind, setting, unit) in numbers.chain(TIMES) {
        let Some(given) = tb.get(kind).filter(|_| kind != REACHABLE) else {
            continue;
        };
        let value = match unit {
            0 => given.u32().map(u64::from),
            unit => given.u64().map(|value| value / unit),
        };
        let path = [
            b"proc/sys/net/",
            directory.as_bytes(),
            b"/",
            name,
            b"/",
            setting.as_bytes(),
        ];
        let value = value.unwrap_or(0).to_string();
        write::write(world, &path.concat(), value.as_bytes())?;
    }
    Ok(())
}

fn dump_tables(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let body = request.message.body;
    if request.is_strict() {
        if body.len() < 4 {
            return invalid("Invalid header for neighbor table dump request");
        }
        if body[1..4] != [0; 3] {
            return invalid("Invalid values in header for neighbor table dump request");
        }
        if body.len() > 4 {
            return invalid("Invalid data after header in neighbor table dump request");
        }
    }
    for (family, name, key) in TABLES {
        if body[0] != UNSPEC && body[0] != family {
            continue;
        }
        let head = request.head(libc::RTM_NEWNEIGHTBL, 0);
        let mut config = [0; 32];
        config[..2].copy_from_slice(&key.to_ne_bytes());
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(&[family, 0, 0, 0])
            .string(1, name)
            .u64(8, 30_000)
            .u32(2, 128)
            .u32(3, 512)
            .u32(4, 1024)
            .attribute(5, &config)
            .attribute(7, &[0; 88]);
        write_parameters(world, family, None, to);
        // The newest parameters come first. They are new whenever the family begins on a link.
        let all = indexes(world).into_iter();
        let mut links: Vec<&Link> = all.filter_map(|index| world.link(index)).collect();
        links.retain(|link| match family {
            INET => conf::has_inet4(link),
            _ => conf::has_inet6(world.state, link),
        });
        links.sort_by_key(|link| link.extra.ip_since[usize::from(family == INET6)]);
        let indexes: Vec<u32> = links.iter().map(|link| link.extra.index).collect();
        for index in indexes.into_iter().rev() {
            to.message(head.kind, head.flags, head.sequence, head.port)
                .raw(&[family, 0, 0, 0])
                .string(1, name);
            write_parameters(world, family, Some(index), to);
        }
    }
    Ok(())
}

fn set_table(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(4, &TABLE, Mode::Liberal)?;
    let name = tb.get(1).ok_or(Failure::new(libc::EINVAL))?;
    let family = request.message.body[0];
    let mut tables = TABLES.iter();
    let known =
        tables.find(|table| (family == UNSPEC || family == table.0) && name.string() == table.1);
    let (family, ..) = *known.ok_or(Failure::new(libc::ENOENT))?;
    if let Some(parameters) = tb.get(6) {
        let tb = request.parse_nested(parameters, &PARAMETERS, Mode::Liberal)?;
        let index = tb.get(1).and_then(|a| a.u32()).unwrap_or(0);
        if index != 0 && world.link(index).is_none() {
            return Err(Failure::new(libc::ENOENT));
        }
        set_parameters(world, family, index, &tb)?;
    }
    // What is common to all namespaces can be set in the first one only.
    if [2, 3, 4, 8].into_iter().any(|kind| tb.has(kind)) {
        return Err(Failure::new(libc::ENOENT));
    }
    Ok(())
}
