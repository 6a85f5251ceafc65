//! The settings of an interface that the kernel tells by netlink: the arrays of IFLA_INET_CONF and
//! IFLA_INET6_CONF, and RTM_NEWNETCONF (net/ipv4/devinet.c, net/ipv6/addrconf.c).
#![forbid(unsafe_code)]

use memtun_abi::Decimal;
use memtun_stack::address::Head;
use memtun_stack::state::Sysctl;
use memtun_stack::wire::Writer;
use memtun_stack::{Link, State};

/// The smallest mtu with which a link has IPv6, in bytes (IPV6_MIN_MTU).
pub const IPV6_MIN_MTU: u32 = 1280;

/// Whose settings: those of a link, or the two sets that belong to no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'l> {
    /// A link.
    Link(&'l Link),
    /// NETCONFA_IFINDEX_ALL.
    All,
    /// NETCONFA_IFINDEX_DEFAULT.
    Default,
}

impl Of<'_> {
    /// Takes the name under conf/ from the beginning of a path in the state's list of settings.
    fn strip(self, path: &[u8]) -> Option<&[u8]> {
        match self {
            Of::Link(link) => {
                let number = Decimal::new(link.extra.index.into());
                path.strip_prefix(b"#")?.strip_prefix(number.as_bytes())
            }
            Of::All => path.strip_prefix(b"all"),
            Of::Default => path.strip_prefix(b"default"),
        }
    }

    /// Returns the number that stands for it in NETCONFA_IFINDEX.
    fn index(self) -> i32 {
        match self {
            Of::Link(link) => link.extra.index as i32,
            Of::All => -1,
            Of::Default => -2,
        }
    }
}

/// A setting: its name, its value in a new interface, and by how much the value under /proc/sys is
/// multiplied, because it counts seconds there and milliseconds here.
type Setting = (&'static str, i32, i32);

/// The settings of IPv4 by ascending number (IPV4_DEVCONF_*), from 1 on.
const V4: [Setting; 33] = [
    ("forwarding", 0, 1),
    ("mc_forwarding", 0, 1),
    ("proxy_arp", 0, 1),
    ("accept_redirects", 1, 1),
    ("secure_redirects", 1, 1),
    ("send_redirects", 1, 1),
    ("shared_media", 1, 1),
    ("rp_filter", 0, 1),
    ("accept_source_route", 1, 1),
    ("bootp_relay", 0, 1),
    ("log_martians", 0, 1),
    ("tag", 0, 1),
    ("arp_filter", 0, 1),
    ("medium_id", 0, 1),
    ("disable_xfrm", 0, 1),
    ("disable_policy", 0, 1),
    ("force_igmp_version", 0, 1),
    ("arp_announce", 0, 1),
    ("arp_ignore", 0, 1),
    ("promote_secondaries", 0, 1),
    ("arp_accept", 0, 1),
    ("arp_notify", 0, 1),
    ("accept_local", 0, 1),
    ("src_valid_mark", 0, 1),
    ("proxy_arp_pvlan", 0, 1),
    ("route_localnet", 0, 1),
    ("igmpv2_unsolicited_report_interval", 10000, 1),
    ("igmpv3_unsolicited_report_interval", 1000, 1),
    ("ignore_routes_with_linkdown", 0, 1),
    ("drop_unicast_in_l2_multicast", 0, 1),
    ("drop_gratuitous_arp", 0, 1),
    ("bc_forwarding", 0, 1),
    ("arp_evict_nocarrier", 1, 1),
];

/// The settings of IPv6 by ascending number (DEVCONF_*), from 0 on.
const V6: [Setting; 60] = [
    ("forwarding", 0, 1),
    ("hop_limit", 64, 1),
    ("mtu", 1280, 1),
    ("accept_ra", 1, 1),
    ("accept_redirects", 1, 1),
    ("autoconf", 1, 1),
    ("dad_transmits", 1, 1),
    ("router_solicitations", -1, 1),
    ("router_solicitation_interval", 4000, 1000),
    ("router_solicitation_delay", 1000, 1000),
    ("use_tempaddr", 0, 1),
    ("temp_valid_lft", 604800, 1),
    ("temp_prefered_lft", 86400, 1),
    ("regen_max_retry", 3, 1),
    ("max_desync_factor", 600, 1),
    ("max_addresses", 16, 1),
    ("force_mld_version", 0, 1),
    ("accept_ra_defrtr", 1, 1),
    ("accept_ra_pinfo", 1, 1),
    ("accept_ra_rtr_pref", 1, 1),
    ("router_probe_interval", 60000, 1000),
    ("accept_ra_rt_info_max_plen", 0, 1),
    ("proxy_ndp", 0, 1),
    ("optimistic_dad", 0, 1),
    ("accept_source_route", 0, 1),
    ("mc_forwarding", 0, 1),
    ("disable_ipv6", 0, 1),
    ("accept_dad", 1, 1),
    ("force_tllao", 0, 1),
    ("ndisc_notify", 0, 1),
    ("mldv1_unsolicited_report_interval", 10000, 1),
    ("mldv2_unsolicited_report_interval", 1000, 1),
    ("suppress_frag_ndisc", 1, 1),
    ("accept_ra_from_local", 0, 1),
    ("use_optimistic", 0, 1),
    ("accept_ra_mtu", 1, 1),
    ("stable_secret", 0, 1),
    ("use_oif_addrs_only", 0, 1),
    ("accept_ra_min_hop_limit", 1, 1),
    ("ignore_routes_with_linkdown", 0, 1),
    ("drop_unicast_in_l2_multicast", 0, 1),
    ("drop_unsolicited_na", 0, 1),
    ("keep_addr_on_down", 0, 1),
    ("router_solicitation_max_interval", 3600000, 1000),
    ("seg6_enabled", 0, 1),
    ("seg6_require_hmac", 0, 1),
    ("enhanced_dad", 1, 1),
    ("addr_gen_mode", 0, 1),
    ("disable_policy", 0, 1),
    ("accept_ra_rt_info_min_plen", 0, 1),
    ("ndisc_tclass", 0, 1),
    ("rpl_seg_enabled", 0, 1),
    ("ra_defrtr_metric", 1024, 1),
    ("ioam6_enabled", 0, 1),
    ("ioam6_id", 65535, 1),
    ("ioam6_id_wide", -1, 1),
    ("ndisc_evict_nocarrier", 1, 1),
    ("accept_untracked_na", 0, 1),
    ("accept_ra_min_lft", 0, 1),
    ("force_forwarding", 0, 1),
];

/// Finds a setting under /proc/sys/net/FAMILY/conf. A message of a link asks for a hundred of
/// them, so nothing is allocated.
fn find<'s>(state: &'s State, family: &str, of: Of<'_>, name: &str) -> Option<&'s Sysctl> {
    let is_it = |path: &[u8]| {
        let path = path.strip_prefix(family.as_bytes())?;
        let path = of.strip(path.strip_prefix(b"/conf/")?)?;
        (path.strip_prefix(b"/")? == name.as_bytes()).then_some(())
    };
    state.sysctls.iter().find(|set| is_it(&set.path).is_some())
}

/// Returns what was set under /proc/sys/net/FAMILY/conf, None when it was never set.
fn set(state: &State, family: &str, of: Of<'_>, name: &str) -> Option<i64> {
    let found = find(state, family, of, name)?;
    std::str::from_utf8(&found.value).ok()?.trim().parse().ok()
}

fn value(state: &State, family: &str, of: Of<'_>, setting: Setting) -> i32 {
    let (name, first, scale) = setting;
    // A link that nobody has given its own has what new ones have, where it began with that.
    let common = matches!(of, Of::Link(_)) && begins_with_default(family, of, name);
    let common = || {
        common
            .then(|| set(state, family, Of::Default, name))
            .flatten()
    };
    match set(state, family, of, name).or_else(common) {
        // Numbers without a sign, as that of ioam6_id_wide, keep their low bits.
        Some(value) => (value as i32).wrapping_mul(scale),
        None => first,
    }
}

/// Has a new link what `default` says (`inetdev_init`, `ipv6_add_dev`)?
pub fn begins_with_default(family: &str, of: Of<'_>, name: &str) -> bool {
    let Of::Link(link) = of else {
        return false;
    };
    let silent = link.is_tun() || link.is_loopback();
    match (family, name) {
        ("ipv6", "mtu") => false,
        ("ipv6", "accept_dad" | "use_tempaddr") => !silent,
        ("ipv4", "disable_xfrm" | "disable_policy") => !link.is_loopback(),
        _ => true,
    }
}

/// Returns a setting of IPv4 by the name of its file.
pub fn v4(state: &State, of: Of<'_>, name: &str) -> i32 {
    let found = V4.iter().find(|setting| setting.0 == name);
    found.map_or(0, |setting| {
        value(state, "ipv4", of, of_link_v4(of, *setting))
    })
}

/// Returns a setting of IPv6 by the name of its file; times count milliseconds.
pub fn v6(state: &State, of: Of<'_>, name: &str) -> i32 {
    let found = V6.iter().find(|setting| setting.0 == name);
    found.map_or(0, |setting| v6_of(state, of, *setting))
}

/// The loopback starts with other values than other links.
fn of_link_v4(of: Of<'_>, setting: Setting) -> Setting {
    match (of, setting.0) {
        (Of::Link(link), "disable_xfrm" | "disable_policy") if link.is_loopback() => {
            (setting.0, 1, setting.2)
        }
        _ => setting,
    }
}

fn v6_of(state: &State, of: Of<'_>, setting: Setting) -> i32 {
    let Of::Link(link) = of else {
        return value(state, "ipv6", of, setting);
    };
    let noarp = link.is_tun() || link.is_loopback();
    let first = match setting.0 {
        "mtu" => link.extra.mtu as i32,
        "use_tempaddr" | "accept_dad" if noarp => -1,
        _ => setting.1,
    };
    value(state, "ipv6", of, (setting.0, first, setting.2))
}

/// Was a setting of IPv6 set?
pub fn is_set_v6(state: &State, of: Of<'_>, name: &str) -> bool {
    find(state, "ipv6", of, name).is_some()
}

/// Sets a setting of IPv4 of a link by its number (IPV4_DEVCONF_*).
pub fn set_v4(state: &mut State, index: u32, number: u16, to: i32) {
    if let Some(setting) = V4.get(usize::from(number).wrapping_sub(1)) {
        store(state, format!("ipv4/conf/#{index}/{}", setting.0), to);
    }
}

/// Sets a setting of IPv6 of a link.
pub fn set_v6(state: &mut State, index: u32, name: &str, to: i32) {
    store(state, format!("ipv6/conf/#{index}/{name}"), to);
}

/// Lets a link answer for all addresses that it can reach, or all links for index 0.
pub fn set_proxy_arp(state: &mut State, index: u32, on: bool) {
    let path = match index {
        0 => "ipv4/conf/all/proxy_arp".into(),
        index => format!("ipv4/conf/#{index}/proxy_arp"),
    };
    store(state, path, on.into());
}

fn store(state: &mut State, path: String, to: i32) {
    let (path, value) = (path.into_bytes(), to.to_string().into_bytes());
    match state.sysctls.iter_mut().find(|s| s.path == path) {
        Some(sysctl) => sysctl.value = value,
        None => state.sysctls.push(Sysctl { path, value }),
    }
}

/// Takes back what was set of IPv6 on a link.
pub fn unset_v6(state: &mut State, index: u32, name: &str) {
    let path = format!("ipv6/conf/#{index}/{name}").into_bytes();
    state.sysctls.retain(|sysctl| sysctl.path != path);
}

/// Has this link IPv6 at all?
pub fn has_inet6(state: &State, link: &Link) -> bool {
    link.is_loopback() || v6(state, Of::Link(link), "mtu") >= IPV6_MIN_MTU as i32
}

/// IPv4 begins anew on the loopback. Its settings are those of any new link: only when it was made
/// it was exempt from policies.
pub fn begin_v4(state: &mut State, index: u32) {
    for name in ["disable_xfrm", "disable_policy"] {
        let common = v4(state, Of::Default, name);
        store(state, format!("ipv4/conf/#{index}/{name}"), common);
    }
}

/// Has a link IPv4? Only the loopback can lose it.
pub fn has_inet4(link: &Link) -> bool {
    !link.extra.without_inet4
}

/// Appends IFLA_INET_CONF.
pub fn write_v4(state: &State, link: &Link, to: &mut Writer, kind: u16) {
    let of = Of::Link(link);
    let values = V4
        .iter()
        .map(|s| value(state, "ipv4", of, of_link_v4(of, *s)));
    to.attribute(kind, &bytes(values));
}

/// Appends IFLA_INET6_CONF.
pub fn write_v6(state: &State, link: &Link, to: &mut Writer, kind: u16) {
    let of = Of::Link(link);
    let values = V6.iter().map(|setting| v6_of(state, of, *setting));
    to.attribute(kind, &bytes(values));
}

fn bytes(values: impl Iterator<Item = i32>) -> Vec<u8> {
    values.flat_map(i32::to_ne_bytes).collect()
}

/// RTM_NEWNETCONF, RTM_DELNETCONF and RTM_GETNETCONF.
pub const NEWNETCONF: u16 = 80;
/// RTM_DELNETCONF.
pub const DELNETCONF: u16 = 81;
/// RTM_GETNETCONF.
pub const GETNETCONF: u16 = 82;
/// RTNLGRP_IPV4_NETCONF.
pub const V4_GROUP: u32 = 24;
/// RTNLGRP_IPV6_NETCONF.
pub const V6_GROUP: u32 = 25;

/// NETCONFA_ALL: everything.
pub const EVERYTHING: u16 = 0;

/// Appends RTM_NEWNETCONF with one setting (NETCONFA_*), or with [`EVERYTHING`]. RTM_DELNETCONF
/// names the interface only.
pub fn write_netconf(
    state: &State,
    family: u8,
    of: Of<'_>,
    to: &mut Writer,
    head: Head,
    wanted: u16,
) {
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&[family])
        .u32(1, of.index() as u32);
    if head.kind == DELNETCONF {
        return;
    }
    let names: &[(u16, &str)] = if i32::from(family) == libc::AF_INET {
        &[
            (2, "forwarding"),
            (3, "rp_filter"),
            (4, "mc_forwarding"),
            (8, "bc_forwarding"),
            (5, "proxy_arp"),
            (6, "ignore_routes_with_linkdown"),
        ]
    } else {
        &[
            (2, "forwarding"),
            (4, "mc_forwarding"),
            (5, "proxy_ndp"),
            (6, "ignore_routes_with_linkdown"),
        ]
    };
    for (kind, name) in names {
        if wanted != EVERYTHING && wanted != *kind {
            continue;
        }
        let value = if i32::from(family) == libc::AF_INET {
            v4(state, of, name)
        } else {
            v6(state, of, name)
        };
        to.u32(*kind, value as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtun_stack::Extra;

    #[test]
    fn a_setting_is_found_by_its_whole_name_and_its_link() {
        let link = |index| Link {
            extra: Extra {
                index,
                ..Extra::default()
            },
            carrier: true,
            counters: Default::default(),
            driver: None,
        };
        let mut state = State::default();
        for (path, value) in [
            ("ipv6/conf/#33/accept_ra", "7"),
            ("ipv6/conf/#3/accept_ra_mtu", "0"),
            ("ipv4/conf/#3/accept_ra", "6"),
            ("ipv6/conf/#3/accept_ra", "2"),
            ("ipv6/conf/all/forwarding", "1"),
        ] {
            let (path, value) = (path.into(), value.into());
            state.sysctls.push(Sysctl { path, value });
        }
        let (three, four) = (link(3), link(4));
        assert_eq!(v6(&state, Of::Link(&three), "accept_ra"), 2);
        assert_eq!(v6(&state, Of::Link(&three), "accept_ra_mtu"), 0);
        assert_eq!(v6(&state, Of::Link(&four), "accept_ra"), 1, "as new ones");
        assert_eq!(v6(&state, Of::All, "forwarding"), 1);
        assert_eq!(v6(&state, Of::Default, "forwarding"), 0);
    }
}
