//! Settings under /proc/sys/net of which another network namespace than the first one has none, or
//! has them otherwise. The machine's own are the first one's, so the isolated view shows others.
#![forbid(unsafe_code)]

use memtun_abi::Label;
use First::{Alone, Fresh, Shared, Writes};

/// What a new network namespace has instead of what the first one has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    /// Nothing.
    Alone,
    /// A file that is only to be read.
    Writes,
    /// The number of the first one, whose table it shares, with a sign in front.
    Shared,
    /// [`FRESH_KEY`], in a file that not everybody may read.
    Fresh,
}

/// The key that a new namespace begins with.
pub const FRESH_KEY: &[u8] = b"00000000-00000000-00000000-00000000";

/// Says what is different about a setting, given its path below /proc/sys/net.
pub fn of(path: &[u8]) -> Option<First> {
    let found = SETTINGS.binary_search_by(|known| known.0.as_bytes().cmp(path));
    found.ok().map(|at| SETTINGS[at].1)
}

/// Is there anything of that kind in a directory, given its path below /proc/sys/net?
pub fn is_in(directory: &[u8]) -> bool {
    SETTINGS.iter().any(|(path, _)| {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        above.as_bytes() == directory
    })
}

const fn differs(path: &str, how: First) -> (Label<40>, First) {
    (Label::new(path), how)
}

/// Those of Linux 6.18, in the order of their paths.
const SETTINGS: &[(Label<40>, First)] = &[
    differs("core/bpf_jit_enable", Alone),
    differs("core/bpf_jit_harden", Alone),
    differs("core/bpf_jit_kallsyms", Alone),
    differs("core/bpf_jit_limit", Alone),
    differs("core/busy_poll", Alone),
    differs("core/busy_read", Alone),
    differs("core/default_qdisc", Alone),
    differs("core/dev_weight", Alone),
    differs("core/dev_weight_rx_bias", Alone),
    differs("core/dev_weight_tx_bias", Alone),
    differs("core/devconf_inherit_init_net", Alone),
    differs("core/fb_tunnels_only_for_init_net", Alone),
    differs("core/flow_limit_cpu_bitmap", Alone),
    differs("core/flow_limit_table_len", Alone),
    differs("core/gro_normal_batch", Alone),
    differs("core/high_order_alloc_disable", Alone),
    differs("core/max_skb_frags", Alone),
    differs("core/mem_pcpu_rsv", Alone),
    differs("core/message_burst", Alone),
    differs("core/message_cost", Alone),
    differs("core/netdev_budget", Alone),
    differs("core/netdev_budget_usecs", Alone),
    differs("core/netdev_max_backlog", Alone),
    differs("core/netdev_rss_key", Alone),
    differs("core/netdev_tstamp_prequeue", Alone),
    differs("core/netdev_unregister_timeout_secs", Alone),
    differs("core/rmem_default", Writes),
    differs("core/rmem_max", Writes),
    differs("core/rps_sock_flow_entries", Alone),
    differs("core/skb_defer_max", Alone),
    differs("core/warnings", Alone),
    differs("core/wmem_default", Writes),
    differs("core/wmem_max", Writes),
    differs("ipv4/cipso_cache_bucket_size", Alone),
    differs("ipv4/cipso_cache_enable", Alone),
    differs("ipv4/cipso_rbm_optfmt", Alone),
    differs("ipv4/cipso_rbm_strictvalid", Alone),
    differs("ipv4/fib_sync_mem", Alone),
    differs("ipv4/inet_peer_maxttl", Alone),
    differs("ipv4/inet_peer_minttl", Alone),
    differs("ipv4/inet_peer_threshold", Alone),
    differs("ipv4/ipfrag_secret_interval", Alone),
    differs("ipv4/route/error_burst", Alone),
    differs("ipv4/route/error_cost", Alone),
    differs("ipv4/route/gc_elasticity", Alone),
    differs("ipv4/route/gc_interval", Alone),
    differs("ipv4/route/gc_min_interval", Alone),
    differs("ipv4/route/gc_min_interval_ms", Alone),
    differs("ipv4/route/gc_thresh", Alone),
    differs("ipv4/route/gc_timeout", Alone),
    differs("ipv4/route/max_size", Alone),
    differs("ipv4/route/redirect_load", Alone),
    differs("ipv4/route/redirect_number", Alone),
    differs("ipv4/route/redirect_silence", Alone),
    differs("ipv4/tcp_allowed_congestion_control", Writes),
    differs("ipv4/tcp_available_ulp", Alone),
    differs("ipv4/tcp_ehash_entries", Shared),
    differs("ipv4/tcp_fastopen_key", Fresh),
    differs("ipv4/tcp_low_latency", Alone),
    differs("ipv4/tcp_max_orphans", Alone),
    differs("ipv4/tcp_mem", Alone),
    differs("ipv4/udp_hash_entries", Shared),
    differs("ipv4/udp_mem", Alone),
    differs("ipv6/calipso_cache_bucket_size", Alone),
    differs("ipv6/calipso_cache_enable", Alone),
    differs("ipv6/ip6frag_secret_interval", Alone),
    differs("ipv6/mld_max_msf", Alone),
    differs("ipv6/mld_qrv", Alone),
    differs("netfilter/nf_conntrack_buckets", Writes),
    differs("netfilter/nf_conntrack_expect_max", Writes),
    differs("netfilter/nf_conntrack_max", Writes),
    differs("netfilter/nf_log_all_netns", Alone),
    differs("nf_conntrack_max", Alone),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(SETTINGS.windows(2).all(|two| *two[0].0 < *two[1].0));
        assert_eq!(of(b"core/busy_poll"), Some(Alone));
        assert_eq!(of(b"core/somaxconn"), None);
        assert!(is_in(b"") && is_in(b"ipv4/route") && !is_in(b"ipv6/icmp"));
    }
}
