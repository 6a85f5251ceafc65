//! Settings under /proc/sys/net of which another network namespace than the first one has none, or
//! has them otherwise. The machine's own are the first one's, so the isolated view shows others.
#![forbid(unsafe_code)]

/// What a new network namespace has instead of what the first one has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    /// Nothing.
    Alone,
    /// A file that is only to be read.
    Writes,
    /// The number of the first one, whose table it shares, with a sign in front.
    Shared,
    /// What a new namespace begins with, in a file that not everybody may read.
    Fresh(&'static str),
}

use First::{Alone, Fresh, Shared, Writes};

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

/// Those of Linux 6.18, in the order of their paths.
const SETTINGS: &[(&str, First)] = &[
    ("core/bpf_jit_enable", Alone),
    ("core/bpf_jit_harden", Alone),
    ("core/bpf_jit_kallsyms", Alone),
    ("core/bpf_jit_limit", Alone),
    ("core/busy_poll", Alone),
    ("core/busy_read", Alone),
    ("core/default_qdisc", Alone),
    ("core/dev_weight", Alone),
    ("core/dev_weight_rx_bias", Alone),
    ("core/dev_weight_tx_bias", Alone),
    ("core/devconf_inherit_init_net", Alone),
    ("core/fb_tunnels_only_for_init_net", Alone),
    ("core/flow_limit_cpu_bitmap", Alone),
    ("core/flow_limit_table_len", Alone),
    ("core/gro_normal_batch", Alone),
    ("core/high_order_alloc_disable", Alone),
    ("core/max_skb_frags", Alone),
    ("core/mem_pcpu_rsv", Alone),
    ("core/message_burst", Alone),
    ("core/message_cost", Alone),
    ("core/netdev_budget", Alone),
    ("core/netdev_budget_usecs", Alone),
    ("core/netdev_max_backlog", Alone),
    ("core/netdev_rss_key", Alone),
    ("core/netdev_tstamp_prequeue", Alone),
    ("core/netdev_unregister_timeout_secs", Alone),
    ("core/rmem_default", Writes),
    ("core/rmem_max", Writes),
    ("core/rps_sock_flow_entries", Alone),
    ("core/skb_defer_max", Alone),
    ("core/warnings", Alone),
    ("core/wmem_default", Writes),
    ("core/wmem_max", Writes),
    ("ipv4/cipso_cache_bucket_size", Alone),
    ("ipv4/cipso_cache_enable", Alone),
    ("ipv4/cipso_rbm_optfmt", Alone),
    ("ipv4/cipso_rbm_strictvalid", Alone),
    ("ipv4/fib_sync_mem", Alone),
    ("ipv4/inet_peer_maxttl", Alone),
    ("ipv4/inet_peer_minttl", Alone),
    ("ipv4/inet_peer_threshold", Alone),
    ("ipv4/ipfrag_secret_interval", Alone),
    ("ipv4/route/error_burst", Alone),
    ("ipv4/route/error_cost", Alone),
    ("ipv4/route/gc_elasticity", Alone),
    ("ipv4/route/gc_interval", Alone),
    ("ipv4/route/gc_min_interval", Alone),
    ("ipv4/route/gc_min_interval_ms", Alone),
    ("ipv4/route/gc_thresh", Alone),
    ("ipv4/route/gc_timeout", Alone),
    ("ipv4/route/max_size", Alone),
    ("ipv4/route/redirect_load", Alone),
    ("ipv4/route/redirect_number", Alone),
    ("ipv4/route/redirect_silence", Alone),
    ("ipv4/tcp_allowed_congestion_control", Writes),
    ("ipv4/tcp_available_ulp", Alone),
    ("ipv4/tcp_ehash_entries", Shared),
    (
        "ipv4/tcp_fastopen_key",
        Fresh("00000000-00000000-00000000-00000000"),
    ),
    ("ipv4/tcp_low_latency", Alone),
    ("ipv4/tcp_max_orphans", Alone),
    ("ipv4/tcp_mem", Alone),
    ("ipv4/udp_hash_entries", Shared),
    ("ipv4/udp_mem", Alone),
    ("ipv6/calipso_cache_bucket_size", Alone),
    ("ipv6/calipso_cache_enable", Alone),
    ("ipv6/ip6frag_secret_interval", Alone),
    ("ipv6/mld_max_msf", Alone),
    ("ipv6/mld_qrv", Alone),
    ("netfilter/nf_conntrack_buckets", Writes),
    ("netfilter/nf_conntrack_expect_max", Writes),
    ("netfilter/nf_conntrack_max", Writes),
    ("netfilter/nf_log_all_netns", Alone),
    ("nf_conntrack_max", Alone),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(SETTINGS.windows(2).all(|two| two[0].0 < two[1].0));
        assert_eq!(of(b"core/busy_poll"), Some(Alone));
        assert_eq!(of(b"core/somaxconn"), None);
        assert!(is_in(b"") && is_in(b"ipv4/route") && !is_in(b"ipv6/icmp"));
    }
}
