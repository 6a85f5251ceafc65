//! The settings under /proc/sys/net that are the network namespace's and no link's
//! (net/core/sysctl_net_core.c, net/ipv4/sysctl_net_ipv4.c, net/ipv6/sysctl_net_ipv6.c). What the
//! machine has set is shown until a program of the net sets it, and then only the net has it.
#![forbid(unsafe_code)]

use super::first::{self, First};
use super::place::SETTINGS;
use super::sysctl::{
    Kind,
    Kind::{
        Keys, Long, Milliseconds, NotNegative, Number, Numbers, Range, Seconds, Set, Unsigned,
        Words,
    },
};
use super::text::Text;
use super::tree::Tree;
use super::value::{Value, LONGEST};
use crate::state::{self, View};
use memtun_abi::{Errno, Label};
use memtun_sys::{self as sys, PathBuf};

const INT: i64 = i32::MAX as i64;
const INVALID: Errno = Errno(libc::EINVAL);

/// The setting that bounds another one, and whether it is the least that this one can be. Of
/// several numbers the first counts.
fn bound_of(path: &[u8]) -> Option<(&'static [u8], bool)> {
    Some(match path {
        b"ipv4/ip_unprivileged_port_start" => (b"ipv4/ip_local_port_range", false),
        b"ipv4/ipfrag_high_thresh" => (b"ipv4/ipfrag_low_thresh", true),
        b"ipv4/ipfrag_low_thresh" => (b"ipv4/ipfrag_high_thresh", false),
        b"ipv6/ip6frag_high_thresh" => (b"ipv6/ip6frag_low_thresh", true),
        b"ipv6/ip6frag_low_thresh" => (b"ipv6/ip6frag_high_thresh", false),
        _ => return None,
    })
}

fn int(text: &[u8]) -> Option<i128> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A short part of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rest {
    text: [u8; 96],
    length: u8,
}

impl Rest {
    /// Keeps a part of a path; None for one that is longer than any of the kernel's.
    pub fn new(text: &[u8]) -> Option<Rest> {
        let mut rest = Rest {
            text: [0; 96],
            length: u8::try_from(text.len()).ok()?,
        };
        rest.text.get_mut(..text.len())?.copy_from_slice(text);
        Some(rest)
    }
    /// Returns the part.
    pub fn bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

/// Says what a setting holds, given its path below /proc/sys/net; None for one that is not known.
pub fn kind(path: &[u8]) -> Option<Kind> {
    let found = KINDS.binary_search_by(|known| known.0.as_bytes().cmp(path));
    found.ok().map(|at| KINDS[at].1)
}

impl Tree<'_> {
    /// Hands on what the net has set; returns whether it has set this.
    pub(super) fn set_in_net(&self, path: &[u8], mut run: impl FnMut(&[u8])) -> bool {
        let mut is_set = false;
        let _ = state::each_message(self.net, |message| {
            if let Some((_, value)) = state::sysctl_of(message).filter(|set| set.0 == path) {
                run(value);
                is_set = true;
            }
            !is_set
        });
        is_set
    }

    /// Makes the text of such a setting.
    ///
    /// # Errors
    ///
    /// What reading the machine's fails with.
    pub(super) fn wide(&self, path: &[u8], text: &mut Text<'_>) -> Result<(), Errno> {
        let is_set = self.set_in_net(path, |value| {
            text.put(value);
            text.put(b"\n");
        });
        if is_set {
            return Ok(());
        }
        match first::of(path).filter(|_| self.view() == View::Isolated) {
            Some(First::Fresh) => {
                text.put(first::FRESH_KEY);
                text.put(b"\n");
                return Ok(());
            }
            // The tables are those of the first namespace, which the sign says.
            Some(First::Shared) => text.put(b"-"),
            _ => {}
        }
        copy(PathBuf::concat(&[SETTINGS, path])?, text)
    }

    /// Completes the numbers that were written with those that stay.
    ///
    /// # Errors
    ///
    /// EINVAL when they are no value together.
    pub(super) fn whole(&self, path: &[u8], count: u8, written: &Value) -> Result<Value, Errno> {
        let before = self.now(path)?;
        let given = parts_of(written.bytes()).count();
        let stay = parts_of(before.bytes()).skip(given);
        let (mut whole, mut end) = ([0; LONGEST], 0);
        for part in parts_of(written.bytes()).chain(stay).take(count.into()) {
            let begin = if end > 0 { end + 1 } else { 0 };
            let stop = begin + part.len();
            whole
                .get_mut(begin..stop)
                .ok_or(INVALID)?
                .copy_from_slice(part);
            whole[end..begin].fill(b'\t');
            end = stop;
        }
        let whole = Value::new(&whole[..end]).ok_or(INVALID)?;
        let mut parts = parts_of(whole.bytes()).map(int);
        let ends = parts.next().flatten().zip(parts.next().flatten());
        match (path, ends) {
            // Ports for anybody are not below those for the privileged (`ipv4_local_port_range`).
            (b"ipv4/ip_local_port_range", Some((low, high))) => {
                let first = self.now(b"ipv4/ip_unprivileged_port_start").ok();
                let first = first.and_then(|first| int(first.bytes()));
                match low <= high && first.is_none_or(|first| first <= low) {
                    true => Ok(whole),
                    false => Err(INVALID),
                }
            }
            // No group at all is shown like that (`ipv4_ping_group_range`).
            (b"ipv4/ping_group_range", Some((low, high))) if high < low => {
                Value::new(b"1\t0").ok_or(INVALID)
            }
            _ => Ok(whole),
        }
    }

    /// Is it a set of numbers? What is written behind its beginning joins what is in it.
    pub(super) fn is_set(&self, path: &[u8]) -> bool {
        matches!(self.kind_of(path), Set(_))
    }

    /// What a set holds now, and what is written into it besides.
    pub(super) fn with_now(&self, path: &[u8], written: &[u8]) -> Result<Value, Errno> {
        let now = self.now(path)?;
        let (mut both, held) = ([0; LONGEST], now.bytes());
        let begin = if held.is_empty() { 0 } else { held.len() + 1 };
        let end = begin + written.len();
        both.get_mut(begin..end)
            .ok_or(INVALID)?
            .copy_from_slice(written);
        if begin > 0 {
            both[..held.len()].copy_from_slice(held);
            both[held.len()] = b',';
        }
        Value::new(&both[..end]).ok_or(INVALID)
    }

    /// Does a number fit to another setting, which bounds it?
    pub(super) fn fits(&self, path: &[u8], value: &Value) -> bool {
        let Some((other, is_least)) = bound_of(path) else {
            return true;
        };
        let other = self.now(other).ok();
        let other = other.and_then(|other| int(parts_of(other.bytes()).next()?));
        let pair = int(value.bytes()).zip(other);
        pair.is_none_or(|(value, other)| {
            if is_least {
                value >= other
            } else {
                value <= other
            }
        })
    }

    /// What a setting holds now, without the line's end.
    fn now(&self, path: &[u8]) -> Result<Value, Errno> {
        let mut room = [0; LONGEST];
        let mut filled = 0;
        let mut sink = |part: &[u8]| {
            let end = filled + part.len();
            let into = room.get_mut(filled..end).ok_or(INVALID)?;
            into.copy_from_slice(part);
            filled = end;
            Ok(())
        };
        let mut text = Text::new(&mut sink);
        self.wide(path, &mut text)?;
        text.end()?;
        Value::new(room[..filled].trim_ascii_end()).ok_or(INVALID)
    }

    /// Says what a setting holds. Of one that is not known the machine's value tells.
    pub(super) fn kind_of(&self, path: &[u8]) -> Kind {
        if let Some(kind) = kind(path) {
            return kind;
        }
        let mut room = [0; 128];
        let machines = PathBuf::concat(&[SETTINGS, path]).and_then(|path| {
            let file = sys::open(path.cstr(), libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
            sys::read(file.raw(), &mut room)
        });
        let text = &room[..machines.unwrap_or(0)];
        let is_number = |part: &[u8]| part.iter().all(|b| b.is_ascii_digit() || *b == b'-');
        let mut parts = text
            .split(u8::is_ascii_whitespace)
            .filter(|p| !p.is_empty());
        match text.trim_ascii().is_empty() || !parts.all(is_number) {
            true => Words,
            false => Numbers(parts_of(text).count() as u8, i64::MIN, i64::MAX),
        }
    }
}

/// Does the machine have this way of controlling congestion?
pub(super) fn has_algorithm(name: &[u8]) -> bool {
    let path = c"/proc/sys/net/ipv4/tcp_available_congestion_control";
    let mut room = [0; 512];
    let read = sys::open(path, libc::O_RDONLY | libc::O_CLOEXEC, 0)
        .and_then(|file| sys::read(file.raw(), &mut room));
    let known = &room[..read.unwrap_or(0)];
    let end = name.iter().position(|b| matches!(b, b'\n' | 0));
    let name = &name[..end.unwrap_or(name.len())];
    let found = parts_of(known).any(|known| known == name);
    found
}

/// The words of a text.
pub fn parts_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace)
        .filter(|part| !part.is_empty())
}

/// Appends what a file of the machine's holds.
pub(super) fn copy(path: PathBuf, text: &mut Text<'_>) -> Result<(), Errno> {
    let file = sys::open(path.cstr(), libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    let mut room = [0; 256];
    loop {
        match sys::read(file.raw(), &mut room)? {
            0 => return Ok(()),
            n => text.put(&room[..n]),
        }
    }
}

/// What the settings of Linux 6.18 hold, without a pointer.
static KINDS: [(Label<48>, Kind); TABLE.len()] = {
    let mut kinds = [(Label::new(""), Words); TABLE.len()];
    let mut at = 0;
    while at < kinds.len() {
        kinds[at] = (Label::new(TABLE[at].0), TABLE[at].1);
        at += 1;
    }
    kinds
};

/// The settings, in the order of their paths below /proc/sys/net.
const TABLE: &[(&str, Kind)] = &[
    ("core/optmem_max", NotNegative),
    ("core/rps_default_mask", Words),
    ("core/somaxconn", NotNegative),
    ("core/tstamp_allow_data", Unsigned(0, 1)),
    ("core/txrehash", Unsigned(0, 1)),
    ("ipv4/fib_multipath_hash_fields", Unsigned(1, 4095)),
    ("ipv4/fib_multipath_hash_policy", Unsigned(0, 3)),
    ("ipv4/fib_multipath_hash_seed", Unsigned(0, u32::MAX as u64)),
    ("ipv4/fib_multipath_use_neigh", Unsigned(0, 1)),
    ("ipv4/fib_notify_on_flag_change", Unsigned(0, 2)),
    ("ipv4/fwmark_reflect", Unsigned(0, 255)),
    ("ipv4/icmp_echo_enable_probe", Unsigned(0, 1)),
    ("ipv4/icmp_echo_ignore_all", Unsigned(0, 1)),
    ("ipv4/icmp_echo_ignore_broadcasts", Unsigned(0, 1)),
    ("ipv4/icmp_errors_use_inbound_ifaddr", Unsigned(0, 1)),
    ("ipv4/icmp_ignore_bogus_error_responses", Unsigned(0, 1)),
    ("ipv4/icmp_msgs_burst", NotNegative),
    ("ipv4/icmp_msgs_per_sec", NotNegative),
    ("ipv4/icmp_ratelimit", Milliseconds(0)),
    ("ipv4/icmp_ratemask", Number),
    ("ipv4/igmp_link_local_mcast_reports", Unsigned(0, 255)),
    ("ipv4/igmp_max_memberships", Number),
    ("ipv4/igmp_max_msf", Number),
    ("ipv4/igmp_qrv", Range(1, INT)),
    ("ipv4/ip_autobind_reuse", Unsigned(0, 1)),
    ("ipv4/ip_default_ttl", Unsigned(1, 255)),
    ("ipv4/ip_dynaddr", Unsigned(0, 255)),
    ("ipv4/ip_early_demux", Unsigned(0, 255)),
    ("ipv4/ip_forward_update_priority", Unsigned(0, 1)),
    ("ipv4/ip_forward_use_pmtu", Unsigned(0, 255)),
    ("ipv4/ip_local_port_range", Numbers(2, 1, 65_535)),
    ("ipv4/ip_local_reserved_ports", Set(65_536)),
    ("ipv4/ip_no_pmtu_disc", Unsigned(0, 255)),
    ("ipv4/ip_nonlocal_bind", Unsigned(0, 255)),
    ("ipv4/ip_unprivileged_port_start", Range(0, 65_535)),
    ("ipv4/ipfrag_high_thresh", Long(u64::MAX)),
    ("ipv4/ipfrag_low_thresh", Long(u64::MAX)),
    ("ipv4/ipfrag_max_dist", NotNegative),
    ("ipv4/ipfrag_time", Seconds),
    ("ipv4/nexthop_compat_mode", Unsigned(0, 1)),
    ("ipv4/ping_group_range", Numbers(2, 0, 4_294_967_294)),
    ("ipv4/raw_l3mdev_accept", Unsigned(0, 1)),
    ("ipv4/route/min_adv_mss", Number),
    ("ipv4/route/min_pmtu", Range(68, INT)),
    ("ipv4/route/mtu_expires", Seconds),
    ("ipv4/tcp_abort_on_overflow", Unsigned(0, 255)),
    ("ipv4/tcp_adv_win_scale", Range(-31, 31)),
    ("ipv4/tcp_app_win", Unsigned(0, 31)),
    ("ipv4/tcp_autocorking", Unsigned(0, 1)),
    ("ipv4/tcp_backlog_ack_defer", Unsigned(0, 1)),
    ("ipv4/tcp_base_mss", Number),
    ("ipv4/tcp_challenge_ack_limit", Number),
    ("ipv4/tcp_child_ehash_entries", Unsigned(0, 16_777_216)),
    ("ipv4/tcp_comp_sack_delay_ns", Long(u64::MAX)),
    ("ipv4/tcp_comp_sack_nr", Unsigned(0, 255)),
    ("ipv4/tcp_comp_sack_slack_ns", Long(u64::MAX)),
    ("ipv4/tcp_congestion_control", Words),
    ("ipv4/tcp_dsack", Unsigned(0, 255)),
    ("ipv4/tcp_early_demux", Unsigned(0, 255)),
    ("ipv4/tcp_early_retrans", Unsigned(0, 4)),
    ("ipv4/tcp_ecn", Unsigned(0, 2)),
    ("ipv4/tcp_ecn_fallback", Unsigned(0, 1)),
    ("ipv4/tcp_ecn_option", Unsigned(0, 2)),
    ("ipv4/tcp_ecn_option_beacon", Unsigned(0, 3)),
    ("ipv4/tcp_fack", Unsigned(0, 255)),
    ("ipv4/tcp_fastopen", Number),
    ("ipv4/tcp_fastopen_blackhole_timeout_sec", NotNegative),
    ("ipv4/tcp_fastopen_key", Keys),
    ("ipv4/tcp_fin_timeout", Seconds),
    ("ipv4/tcp_frto", Unsigned(0, 255)),
    ("ipv4/tcp_fwmark_accept", Unsigned(0, 255)),
    ("ipv4/tcp_invalid_ratelimit", Milliseconds(0)),
    ("ipv4/tcp_keepalive_intvl", Seconds),
    ("ipv4/tcp_keepalive_probes", Unsigned(0, 255)),
    ("ipv4/tcp_keepalive_time", Seconds),
    ("ipv4/tcp_l3mdev_accept", Unsigned(0, 1)),
    ("ipv4/tcp_limit_output_bytes", Number),
    ("ipv4/tcp_max_reordering", Range(1, INT)),
    ("ipv4/tcp_max_syn_backlog", Number),
    ("ipv4/tcp_max_tw_buckets", Number),
    ("ipv4/tcp_migrate_req", Unsigned(0, 1)),
    ("ipv4/tcp_min_rtt_wlen", Range(0, 86_400)),
    ("ipv4/tcp_min_snd_mss", Range(48, 65_535)),
    ("ipv4/tcp_min_tso_segs", Unsigned(1, 255)),
    ("ipv4/tcp_moderate_rcvbuf", Unsigned(0, 255)),
    ("ipv4/tcp_mtu_probe_floor", Range(48, 65_535)),
    ("ipv4/tcp_mtu_probing", Unsigned(0, 255)),
    ("ipv4/tcp_no_metrics_save", Unsigned(0, 255)),
    ("ipv4/tcp_no_ssthresh_metrics_save", Unsigned(0, 1)),
    ("ipv4/tcp_notsent_lowat", Unsigned(0, u32::MAX as u64)),
    ("ipv4/tcp_orphan_retries", Unsigned(0, 255)),
    ("ipv4/tcp_pacing_ca_ratio", Range(0, 1000)),
    ("ipv4/tcp_pacing_ss_ratio", Range(0, 1000)),
    ("ipv4/tcp_pingpong_thresh", Unsigned(1, 255)),
    ("ipv4/tcp_plb_cong_thresh", Range(0, 256)),
    ("ipv4/tcp_plb_enabled", Unsigned(0, 1)),
    ("ipv4/tcp_plb_idle_rehash_rounds", Unsigned(0, 31)),
    ("ipv4/tcp_plb_rehash_rounds", Unsigned(0, 31)),
    ("ipv4/tcp_plb_suspend_rto_sec", Unsigned(0, 255)),
    ("ipv4/tcp_probe_interval", Unsigned(0, 17_179_869)),
    ("ipv4/tcp_probe_threshold", Number),
    ("ipv4/tcp_recovery", Unsigned(0, 255)),
    ("ipv4/tcp_reflect_tos", Unsigned(0, 1)),
    ("ipv4/tcp_reordering", Range(1, INT)),
    ("ipv4/tcp_retrans_collapse", Unsigned(0, 255)),
    ("ipv4/tcp_retries1", Unsigned(0, 255)),
    ("ipv4/tcp_retries2", Unsigned(0, 255)),
    ("ipv4/tcp_rfc1337", Unsigned(0, 255)),
    ("ipv4/tcp_rmem", Numbers(3, 1, INT)),
    ("ipv4/tcp_rto_max_ms", Range(1000, 120_000)),
    ("ipv4/tcp_rto_min_us", Range(1, INT)),
    ("ipv4/tcp_sack", Unsigned(0, 255)),
    ("ipv4/tcp_shrink_window", Unsigned(0, 1)),
    ("ipv4/tcp_slow_start_after_idle", Unsigned(0, 255)),
    ("ipv4/tcp_stdurg", Unsigned(0, 255)),
    ("ipv4/tcp_syn_linear_timeouts", Unsigned(0, 127)),
    ("ipv4/tcp_syn_retries", Unsigned(1, 127)),
    ("ipv4/tcp_synack_retries", Unsigned(0, 255)),
    ("ipv4/tcp_syncookies", Unsigned(0, 255)),
    ("ipv4/tcp_thin_linear_timeouts", Unsigned(0, 255)),
    ("ipv4/tcp_timestamps", Unsigned(0, 255)),
    ("ipv4/tcp_tso_rtt_log", Unsigned(0, 255)),
    ("ipv4/tcp_tso_win_divisor", Unsigned(0, 255)),
    ("ipv4/tcp_tw_reuse", Unsigned(0, 2)),
    ("ipv4/tcp_tw_reuse_delay", Unsigned(1, 60_000)),
    ("ipv4/tcp_window_scaling", Unsigned(0, 255)),
    ("ipv4/tcp_wmem", Numbers(3, 1, INT)),
    ("ipv4/tcp_workaround_signed_windows", Unsigned(0, 255)),
    ("ipv4/udp_child_hash_entries", Unsigned(0, 65_536)),
    ("ipv4/udp_early_demux", Unsigned(0, 255)),
    ("ipv4/udp_l3mdev_accept", Unsigned(0, 1)),
    ("ipv4/udp_rmem_min", Range(1, INT)),
    ("ipv4/udp_wmem_min", Range(1, INT)),
    ("ipv4/xfrm4_gc_thresh", Number),
    ("ipv6/anycast_src_echo_reply", Unsigned(0, 255)),
    ("ipv6/auto_flowlabels", Unsigned(0, 3)),
    ("ipv6/bindv6only", Unsigned(0, 255)),
    ("ipv6/fib_multipath_hash_fields", Unsigned(1, 4095)),
    ("ipv6/fib_multipath_hash_policy", Unsigned(0, 3)),
    ("ipv6/fib_notify_on_flag_change", Unsigned(0, 2)),
    ("ipv6/flowlabel_consistency", Unsigned(0, 255)),
    ("ipv6/flowlabel_reflect", Range(0, 7)),
    ("ipv6/flowlabel_state_ranges", Unsigned(0, 255)),
    ("ipv6/fwmark_reflect", Unsigned(0, 255)),
    ("ipv6/icmp/echo_ignore_all", Unsigned(0, 255)),
    ("ipv6/icmp/echo_ignore_anycast", Unsigned(0, 255)),
    ("ipv6/icmp/echo_ignore_multicast", Unsigned(0, 255)),
    ("ipv6/icmp/error_anycast_as_unicast", Unsigned(0, 1)),
    ("ipv6/icmp/ratelimit", Milliseconds(0)),
    ("ipv6/icmp/ratemask", Set(256)),
    ("ipv6/idgen_delay", Seconds),
    ("ipv6/idgen_retries", Number),
    ("ipv6/ioam6_id", Unsigned(0, 16_777_215)),
    ("ipv6/ioam6_id_wide", Long((1 << 56) - 1)),
    ("ipv6/ip6frag_high_thresh", Long(u64::MAX)),
    ("ipv6/ip6frag_low_thresh", Long(u64::MAX)),
    ("ipv6/ip6frag_time", Seconds),
    ("ipv6/ip_nonlocal_bind", Unsigned(0, 255)),
    ("ipv6/max_dst_opts_length", Number),
    ("ipv6/max_dst_opts_number", Number),
    ("ipv6/max_hbh_length", Number),
    ("ipv6/max_hbh_opts_number", Number),
    ("ipv6/route/max_size", Number),
    ("ipv6/seg6_flowlabel", Number),
    ("ipv6/xfrm6_gc_thresh", Number),
    ("unix/max_dgram_qlen", Number),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(KINDS.windows(2).all(|two| *two[0].0 < *two[1].0));
        assert_eq!(kind(b"ipv4/ip_default_ttl"), Some(Unsigned(1, 255)));
        assert_eq!(kind(b"ipv4/nothing"), None);
    }
}
