//! The files under /proc/sys/net that every interface has (net/ipv4/devinet.c, net/ipv6/addrconf.c,
//! net/core/neighbour.c), and what may be written into them (kernel/sysctl.c).
#![forbid(unsafe_code)]

use super::sets;
use super::value::{number_in, LONGEST};
pub use super::value::{Accepted, Value};
use memtun_abi::{Errno, Label};
use Kind::{
    AddressMode, Keys, Long, Milliseconds, NotNegative, Number, Numbers, Packets, Range, ReadOnly,
    Seconds, Secret, Set, Ticks, Unsigned, Words,
};

/// What a file holds, and so which values may be written into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Any number of 32 bits (`proc_dointvec`).
    Number,
    /// The same from 0 on.
    NotNegative,
    /// The same between two bounds.
    Range(i64, i64),
    /// A number without a sign between two bounds (`proc_douintvec_minmax`, `proc_dou8vec_minmax`).
    Unsigned(u64, u64),
    /// A number of packets, 0 to as many as `INT_MAX` bytes are.
    Packets,
    /// Hundredths of a second, which are kept in the kernel's own ticks
    /// (`proc_dointvec_userhz_jiffies`).
    Ticks,
    /// Seconds (`proc_dointvec_jiffies`).
    Seconds,
    /// Milliseconds, at least so many, which are kept in ticks (`proc_dointvec_ms_jiffies_minmax`).
    Milliseconds(i64),
    /// A number of 64 bits without a sign, at most so large (`proc_doulongvec_minmax`).
    Long(u64),
    /// So many numbers, each between two bounds. Who writes fewer leaves the others as they are.
    Numbers(u8, i64, i64),
    /// A set of numbers, each below this one (`proc_do_large_bitmap`).
    Set(u32),
    /// One or two keys of 128 bits (`proc_tcp_fastopen_key`).
    Keys,
    /// Any words.
    Words,
    /// How IPv6 addresses are made (`addrconf_sysctl_addr_gen_mode`).
    AddressMode,
    /// The secret that they are made of, an IPv6 address (`addrconf_sysctl_stable_secret`).
    Secret,
    /// Nothing can be written.
    ReadOnly,
}

impl Kind {
    /// Does a write leave the offset where it is? The handlers of numbers without a sign forget to
    /// move it (`do_proc_douintvec_w`).
    pub fn keeps_offset(self) -> bool {
        matches!(self, Unsigned(..) | AddressMode)
    }
}

/// A file of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it holds in a new network namespace for a new tap, without the line's end; nothing
    /// where reading fails with EIO.
    pub fresh: &'static str,
    /// What it holds.
    pub kind: Kind,
}

impl Entry {
    /// Returns the file's permissions.
    pub fn mode(&self) -> u32 {
        match self.kind {
            ReadOnly => 0o444,
            Secret => 0o600,
            _ => 0o644,
        }
    }
}

/// An entry without a pointer.
pub(super) struct Row {
    name: Label<40>,
    fresh: Label<16>,
    kind: Kind,
}

impl Row {
    /// Returns the entry.
    pub(super) fn entry(&'static self) -> Entry {
        Entry {
            name: &self.name,
            fresh: &self.fresh,
            kind: self.kind,
        }
    }
}

const fn rows<const N: usize>(entries: &[Entry]) -> [Row; N] {
    const NONE: Row = Row {
        name: Label::new(""),
        fresh: Label::new(""),
        kind: ReadOnly,
    };
    let (mut rows, mut at) = ([NONE; N], 0);
    while at < N {
        let Entry { name, fresh, kind } = entries[at];
        rows[at] = Row {
            name: Label::new(name),
            fresh: Label::new(fresh),
            kind,
        };
        at += 1;
    }
    rows
}

/// The files of /proc/sys/net/ipv4/conf/NAME, in the order of their names.
pub(super) static CONF4: [Row; IPV4_CONF.len()] = rows(IPV4_CONF);
/// The files of /proc/sys/net/ipv6/conf/NAME, in the order of their names.
pub(super) static CONF6: [Row; IPV6_CONF.len()] = rows(IPV6_CONF);
/// The files of /proc/sys/net/ipv4/neigh/NAME, in the order of their names.
pub(super) static NEIGH4: [Row; IPV4_NEIGH.len()] = rows(IPV4_NEIGH);
/// The files of /proc/sys/net/ipv6/neigh/NAME, in the order of their names.
pub(super) static NEIGH6: [Row; IPV6_NEIGH.len()] = rows(IPV6_NEIGH);

const fn entry(name: &'static str, fresh: &'static str, kind: Kind) -> Entry {
    Entry { name, fresh, kind }
}

/// Ticks of the kernel in a second (CONFIG_HZ, of which most distributions take this one). Times
/// are rounded to ticks.
pub const HZ: i64 = 250;

/// Bytes that a packet of an Ethernet frame takes (`SKB_TRUESIZE(ETH_FRAME_LEN)`).
pub const PACKET: i64 = 2090;

/// Says what writing `text` at the beginning of a file of this kind does.
///
/// # Errors
///
/// - EINVAL when it is no number, or out of bounds.
/// - EIO when it is no IPv6 address where one is needed.
/// - EACCES when the file is only to be read; opening it for writing fails so, too.
pub fn parse(kind: Kind, text: &[u8]) -> Result<Accepted, Errno> {
    const INVALID: Errno = Errno(libc::EINVAL);
    if text.is_empty() {
        return Ok(Accepted::new(None, 0));
    }
    match kind {
        ReadOnly => return Err(Errno(libc::EACCES)),
        Secret => return secret(text),
        Words => return words(text),
        Set(below) => return sets::set(text, below),
        Keys => return sets::keys(text),
        Numbers(count, low, high) => return numbers(text, count, low, high),
        _ => {}
    }
    let (negative, magnitude, taken) = number(text)?;
    if let Long(most) = kind {
        if negative || magnitude > most {
            return Err(INVALID);
        }
        let digits = memtun_abi::Decimal::new(magnitude);
        return Ok(Accepted::new(Value::new(digits.as_bytes()), taken));
    }
    let signed = if negative {
        -i128::from(magnitude)
    } else {
        i128::from(magnitude)
    };
    let within = |low: i128, high: i128| {
        if (low..=high).contains(&signed) {
            Ok(signed as i64)
        } else {
            Err(INVALID)
        }
    };
    let int = || within(i32::MIN.into(), i32::MAX.into());
    let value = match kind {
        Number => Value::number(int()?),
        NotNegative => Value::number(within(0, i32::MAX.into())?),
        Range(low, high) => Value::number(within(low.into(), high.into())?),
        Packets => Value::number(within(0, i128::from(i64::from(i32::MAX) / PACKET))?),
        Unsigned(low, high) => Value::number(within(low.into(), high.into())?),
        AddressMode => Value::number(within(0, 3)?),
        Seconds => Value::number(within(
            i128::from(-(i32::MAX as i64 / HZ)),
            (i32::MAX as i64 / HZ).into(),
        )?),
        Ticks => {
            if magnitude > (i64::MAX / HZ * 100) as u64 {
                return Err(INVALID);
            }
            // The kernel multiplies in 64 bits, and keeps 32 of them; whatever is below 0 becomes
            // one tick below it.
            let ticks = match negative && magnitude > 0 {
                true => -1,
                false => (u128::from(magnitude) * HZ as u128 / 100) as i32,
            };
            let shown = i64::from(ticks).abs() * 100 / HZ;
            match (ticks < 0, shown) {
                (true, 0) => Value::new(b"-0").ok_or(INVALID)?,
                (true, shown) => Value::number(-shown),
                (false, shown) => Value::number(shown),
            }
        }
        Milliseconds(least) => {
            // The kernel keeps 32 bits of the number, and takes what is negative then for no time.
            let kept = signed as u32 as i32;
            if kept < 0 || i64::from(kept) < least {
                return Err(INVALID);
            }
            let ticks = (i64::from(kept) * HZ + 999) / 1000;
            Value::number(ticks * 1000 / HZ)
        }
        Secret | ReadOnly | Words | Numbers(..) | Long(_) | Set(_) | Keys => return Err(INVALID),
    };
    let taken = match kind {
        AddressMode | Unsigned(..) => text.len(),
        _ => taken,
    };
    Ok(Accepted::new(Some(value), taken))
}

/// Reads the first number of a text as `proc_get_long` does: its sign, its magnitude, and the
/// number of bytes up to behind the white space that follows it.
fn number(text: &[u8]) -> Result<(bool, u64, usize), Errno> {
    const SPACES: &[u8] = b" \t\n\x0b\x0c\r";
    let skip = |at: usize| at + text[at..].iter().take_while(|b| SPACES.contains(b)).count();
    let begin = skip(0);
    let ((negative, magnitude), length) = number_in(&text[begin..], SPACES)?;
    Ok((negative, magnitude, skip(begin + length)))
}

/// Takes words, with one space between two.
fn words(text: &[u8]) -> Result<Accepted, Errno> {
    let mut value = [0; LONGEST];
    let mut end = 0;
    for part in text
        .split(u8::is_ascii_whitespace)
        .filter(|p| !p.is_empty())
    {
        let begin = if end > 0 { end + 1 } else { 0 };
        let stop = begin + part.len();
        if stop > LONGEST || !part.iter().all(u8::is_ascii_graphic) {
            return Err(Errno(libc::EINVAL));
        }
        value[end..begin].fill(b' ');
        value[begin..stop].copy_from_slice(part);
        end = stop;
    }
    Ok(Accepted::new(Value::new(&value[..end]), text.len()))
}

/// Takes as many numbers, or fewer, with a tabulator between two.
fn numbers(text: &[u8], count: u8, low: i64, high: i64) -> Result<Accepted, Errno> {
    const INVALID: Errno = Errno(libc::EINVAL);
    let mut value = [0; LONGEST];
    let (mut end, mut taken, mut fails) = (0, 0, None);
    for found in 0..count {
        let rest = &text[taken..];
        if found > 0 && rest.is_empty() {
            break;
        }
        let next = number(rest).and_then(|(negative, magnitude, length)| {
            let magnitude = i64::try_from(magnitude).map_err(|_| INVALID)?;
            let number = if negative { -magnitude } else { magnitude };
            let is_one = (low..=high).contains(&number);
            is_one.then_some((number, length)).ok_or(INVALID)
        });
        let (number, length) = match next {
            Ok(next) => next,
            Err(e) if found > 0 => {
                fails = Some(e);
                break;
            }
            Err(e) => return Err(e),
        };
        taken += length;
        let shown = Value::number(number);
        let begin = if end > 0 { end + 1 } else { 0 };
        let stop = begin + shown.bytes().len();
        let room = value.get_mut(begin..stop).ok_or(INVALID)?;
        room.copy_from_slice(shown.bytes());
        value[end..begin].fill(b'\t');
        end = stop;
    }
    Ok(Accepted {
        value: Value::new(&value[..end]),
        taken,
        fails,
    })
}

fn secret(text: &[u8]) -> Result<Accepted, Errno> {
    use std::io::Write;
    // An address ends where something stands that is in none (`in6_pton`).
    let is_in = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let text_of = text.trim_ascii_start();
    let end = text_of.iter().position(|b| !is_in(b));
    let address = std::str::from_utf8(&text_of[..end.unwrap_or(text_of.len())]).ok();
    let address: std::net::Ipv6Addr = address
        .and_then(|t| t.parse().ok())
        .ok_or(Errno(libc::EIO))?;
    let mut shown = [0; 39];
    let mut room = &mut shown[..];
    for (at, group) in address.segments().into_iter().enumerate() {
        let colon = if at > 0 { ":" } else { "" };
        let _ = write!(room, "{colon}{group:04x}");
    }
    Ok(Accepted::new(Value::new(&shown), text.len()))
}

const IPV4_CONF: &[Entry] = &[
    entry("accept_local", "0", Number),
    entry("accept_redirects", "1", Number),
    entry("accept_source_route", "1", Number),
    entry("arp_accept", "0", Number),
    entry("arp_announce", "0", Number),
    entry("arp_evict_nocarrier", "1", Number),
    entry("arp_filter", "0", Number),
    entry("arp_ignore", "0", Number),
    entry("arp_notify", "0", Number),
    entry("bc_forwarding", "0", Number),
    entry("bootp_relay", "0", Number),
    entry("disable_policy", "0", Number),
    entry("disable_xfrm", "0", Number),
    entry("drop_gratuitous_arp", "0", Number),
    entry("drop_unicast_in_l2_multicast", "0", Number),
    entry("force_igmp_version", "0", Number),
    entry("forwarding", "0", Number),
    entry("igmpv2_unsolicited_report_interval", "10000", Number),
    entry("igmpv3_unsolicited_report_interval", "1000", Number),
    entry("ignore_routes_with_linkdown", "0", Number),
    entry("log_martians", "0", Number),
    entry("mc_forwarding", "0", ReadOnly),
    entry("medium_id", "0", Number),
    entry("promote_secondaries", "0", Number),
    entry("proxy_arp", "0", Number),
    entry("proxy_arp_pvlan", "0", Number),
    entry("route_localnet", "0", Number),
    entry("rp_filter", "0", Number),
    entry("secure_redirects", "1", Number),
    entry("send_redirects", "1", Number),
    entry("shared_media", "1", Number),
    entry("src_valid_mark", "0", Number),
    entry("tag", "0", Number),
];
const IPV6_CONF: &[Entry] = &[
    entry("accept_dad", "1", Number),
    entry("accept_ra", "1", Number),
    entry("accept_ra_defrtr", "1", Number),
    entry("accept_ra_from_local", "0", Number),
    entry("accept_ra_min_hop_limit", "1", Number),
    entry("accept_ra_min_lft", "0", Number),
    entry("accept_ra_mtu", "1", Number),
    entry("accept_ra_pinfo", "1", Number),
    entry("accept_ra_rt_info_max_plen", "0", Number),
    entry("accept_ra_rt_info_min_plen", "0", Number),
    entry("accept_ra_rtr_pref", "1", Number),
    entry("accept_redirects", "1", Number),
    entry("accept_source_route", "0", Number),
    entry("accept_untracked_na", "0", Range(0, 2)),
    entry("addr_gen_mode", "0", AddressMode),
    entry("autoconf", "1", Number),
    entry("dad_transmits", "1", Number),
    entry("disable_ipv6", "0", Number),
    entry("disable_policy", "0", Number),
    entry("drop_unicast_in_l2_multicast", "0", Number),
    entry("drop_unsolicited_na", "0", Number),
    entry("enhanced_dad", "1", Number),
    entry("force_forwarding", "0", Unsigned(0, 1)),
    entry("force_mld_version", "0", Number),
    entry("force_tllao", "0", Number),
    entry("forwarding", "0", Number),
    entry("hop_limit", "64", Range(1, 255)),
    entry("ignore_routes_with_linkdown", "0", Number),
    entry("ioam6_enabled", "0", Unsigned(0, 1)),
    entry("ioam6_id", "65535", Unsigned(0, 65535)),
    entry("ioam6_id_wide", "4294967295", Unsigned(0, u32::MAX as u64)),
    entry("keep_addr_on_down", "0", Number),
    entry("max_addresses", "16", Number),
    entry("max_desync_factor", "600", Number),
    entry("mc_forwarding", "0", ReadOnly),
    entry(
        "mldv1_unsolicited_report_interval",
        "10000",
        Milliseconds(0),
    ),
    entry("mldv2_unsolicited_report_interval", "1000", Milliseconds(0)),
    entry("mtu", "1500", Range(1280, 65535)),
    entry("ndisc_evict_nocarrier", "1", Unsigned(0, 1)),
    entry("ndisc_notify", "0", Number),
    entry("ndisc_tclass", "0", Range(0, 255)),
    entry("optimistic_dad", "0", Number),
    entry("proxy_ndp", "0", Number),
    entry("ra_defrtr_metric", "1024", Unsigned(1, u32::MAX as u64)),
    entry("ra_honor_pio_life", "0", Unsigned(0, 1)),
    entry("ra_honor_pio_pflag", "0", Unsigned(0, 1)),
    entry("regen_max_retry", "3", Number),
    entry("regen_min_advance", "2", Number),
    entry("router_probe_interval", "60", Seconds),
    entry("router_solicitation_delay", "1", Seconds),
    entry("router_solicitation_interval", "4", Seconds),
    entry("router_solicitation_max_interval", "3600", Seconds),
    entry("router_solicitations", "-1", Range(-1, i32::MAX as i64)),
    entry("rpl_seg_enabled", "0", Range(0, 1)),
    entry("seg6_enabled", "0", Number),
    entry("seg6_require_hmac", "0", Number),
    entry("stable_secret", "", Secret),
    entry("suppress_frag_ndisc", "1", Number),
    entry("temp_prefered_lft", "86400", Number),
    entry("temp_valid_lft", "604800", Number),
    entry("use_oif_addrs_only", "0", Number),
    entry("use_optimistic", "0", Number),
    entry("use_tempaddr", "0", Number),
];
const IPV4_NEIGH: &[Entry] = &[
    entry("anycast_delay", "100", Ticks),
    entry("app_solicit", "0", NotNegative),
    entry("base_reachable_time", "30", Seconds),
    entry("base_reachable_time_ms", "30000", Milliseconds(0)),
    entry("delay_first_probe_time", "5", Seconds),
    entry("gc_stale_time", "60", Seconds),
    entry("interval_probe_time_ms", "5000", Milliseconds(1)),
    entry("locktime", "100", Ticks),
    entry("mcast_resolicit", "0", NotNegative),
    entry("mcast_solicit", "3", NotNegative),
    entry("proxy_delay", "80", Ticks),
    entry("proxy_qlen", "64", NotNegative),
    entry("retrans_time", "100", Ticks),
    entry("retrans_time_ms", "1000", Milliseconds(0)),
    entry("ucast_solicit", "3", NotNegative),
    entry("unres_qlen", "101", Packets),
    entry("unres_qlen_bytes", "212992", NotNegative),
];
const IPV6_NEIGH: &[Entry] = &[
    entry("anycast_delay", "100", Ticks),
    entry("app_solicit", "0", NotNegative),
    entry("base_reachable_time", "30", Seconds),
    entry("base_reachable_time_ms", "30000", Milliseconds(0)),
    entry("delay_first_probe_time", "5", Seconds),
    entry("gc_stale_time", "60", Seconds),
    entry("interval_probe_time_ms", "5000", Milliseconds(1)),
    entry("locktime", "0", Ticks),
    entry("mcast_resolicit", "0", NotNegative),
    entry("mcast_solicit", "3", NotNegative),
    entry("proxy_delay", "80", Ticks),
    entry("proxy_qlen", "64", NotNegative),
    entry("retrans_time", "250", Number),
    entry("retrans_time_ms", "1000", Milliseconds(0)),
    entry("ucast_solicit", "3", NotNegative),
    entry("unres_qlen", "101", Packets),
    entry("unres_qlen_bytes", "212992", NotNegative),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: Kind, text: &str) -> Result<(String, usize), i32> {
        parse(kind, text.as_bytes())
            .map(|a| {
                let text = a
                    .value
                    .map(|v| String::from_utf8_lossy(v.bytes()).into_owned());
                (text.unwrap_or_default(), a.taken)
            })
            .map_err(|e| e.0)
    }

    #[test]
    fn numbers_are_taken_as_the_kernel_takes_them() {
        let ok = |text: &str, taken| Ok((text.to_owned(), taken));
        for (text, answer) in [
            ("1", ok("1", 1)),
            ("2\n", ok("2", 2)),
            ("-1", ok("-1", 2)),
            ("x", Err(libc::EINVAL)),
            ("", ok("", 0)),
            ("1 2", ok("1", 2)),
            ("99999999999", Err(libc::EINVAL)),
            ("2147483647", ok("2147483647", 10)),
            ("2147483648", Err(libc::EINVAL)),
            ("0x3", ok("3", 3)),
            (" 1", ok("1", 2)),
            ("3 x", ok("3", 2)),
            ("1x", Err(libc::EINVAL)),
            ("\n", Err(libc::EINVAL)),
            ("1\t\n", ok("1", 3)),
            ("-2147483648", ok("-2147483648", 11)),
        ] {
            assert_eq!(shown(Number, text), answer, "{text:?}");
        }
    }

    #[test]
    fn times_are_rounded_to_ticks() {
        assert_eq!(shown(Ticks, "1"), Ok(("0".into(), 1)));
        assert_eq!(shown(Ticks, "2"), Ok(("2".into(), 1)));
        assert_eq!(shown(Ticks, "-1"), Ok(("-0".into(), 2)));
        assert_eq!(shown(Ticks, "100"), Ok(("100".into(), 3)));
        assert_eq!(shown(Ticks, "2147483647"), Ok(("429496728".into(), 10)));
        assert_eq!(shown(Milliseconds(0), "1"), Ok(("4".into(), 1)));
        assert_eq!(shown(Milliseconds(0), "0"), Ok(("0".into(), 1)));
        assert_eq!(shown(Milliseconds(1), "0"), Err(libc::EINVAL));
        assert_eq!(
            shown(Milliseconds(0), "2147483647"),
            Ok(("2147483648".into(), 10))
        );
        assert_eq!(
            shown(Milliseconds(0), "99999999999"),
            Ok(("1215752192".into(), 11))
        );
        assert_eq!(shown(Seconds, "2147483647"), Err(libc::EINVAL));
    }

    #[test]
    fn bounds_hold() {
        assert_eq!(shown(Packets, "2147483647"), Err(libc::EINVAL));
        assert_eq!(shown(Range(1280, 65535), "100"), Err(libc::EINVAL));
        assert_eq!(shown(Unsigned(0, 1), "1 2"), Ok(("1".into(), 3)));
        assert_eq!(shown(Unsigned(0, 1), "2"), Err(libc::EINVAL));
        assert_eq!(shown(AddressMode, "3 x"), Ok(("3".into(), 3)));
        assert_eq!(shown(Secret, "1"), Err(libc::EIO));
        let secret = "c88b:fb47:0629:d895:d169:7126:0be1:6571";
        assert_eq!(shown(Secret, secret), Ok((secret.into(), 39)));
        assert_eq!(parse(ReadOnly, b"1"), Err(Errno(libc::EACCES)));
    }

    #[test]
    fn the_tables_are_sorted() {
        for table in [IPV4_CONF, IPV6_CONF, IPV4_NEIGH, IPV6_NEIGH] {
            assert!(table.windows(2).all(|two| two[0].name < two[1].name));
        }
    }
}
