//! Debian's `ip` in scripts, on the kernel as recorded.

use shim_tests::iproute2;

macro_rules! scripts {
    ($($name:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($name)),*];

        mod kernel {
            $(#[test] fn $name() { shim_tests::iproute2::assert_kernel_is_as_recorded(stringify!($name)) })*
        }
    };
}

scripts! { addr link monitor others route rule_neigh }

#[test]
fn every_script_is_listed() {
    assert_eq!(iproute2::script_names(), LISTED);
}

#[test]
fn what_is_not_compared_yet_is_named() {
    iproute2::name_what_is_not_compared();
}

#[test]
fn what_a_run_decides_is_replaced() {
    for (said, shown) in [
        (
            "2: tun0: <UP> mtu 1500 qdisc fq_codel state UP",
            "N: tun0: <UP> mtu 1500 qdisc default state UP",
        ),
        (
            "1: lo: <LOOPBACK> mtu 65536 qdisc noqueue state DOWN",
            "N: lo: <LOOPBACK> mtu 65536 qdisc noqueue state DOWN",
        ),
        (
            "[LINK]Deleted 14: tun9: <> mtu 1500",
            "[LINK]Deleted N: tun9: <> mtu 1500",
        ),
        (
            "[ADDR]4: tun0    inet 10.9.0.1/24",
            "[ADDR]N: tun0    inet 10.9.0.1/24",
        ),
        (
            "32766:\tfrom all lookup main ",
            "32766:\tfrom all lookup main ",
        ),
        ("3:\ttap0", "N:\ttap0"),
        (
            "    link/ether b6:88:25:65:8e:e6 brd ff:ff:ff:ff:ff:ff",
            "    link/ether MAC brd ff:ff:ff:ff:ff:ff",
        ),
        (
            "    link/ether 02:00:00:00:00:07 brd ff:ff:ff:ff:ff:ff",
            "    link/ether 02:00:00:00:00:07 brd ff:ff:ff:ff:ff:ff",
        ),
        (
            "       valid_lft 999sec preferred_lft 0sec",
            "       valid_lft 1000sec preferred_lft 0sec",
        ),
        (
            "       valid_lft forever preferred_lft forever",
            "       valid_lft forever preferred_lft forever",
        ),
        (
            "{\"ifindex\":7,\"valid_life_time\":4294967295,\"qdisc\":\"pfifo_fast\"}",
            "{\"ifindex\":N,\"valid_life_time\":4294967295,\"qdisc\":\"default\"}",
        ),
        (
            "    refcnt 2 reachable 17024 base_reachable 30000",
            "    refcnt N reachable N base_reachable 30000",
        ),
        (
            "[NETCONF]inet tun9 forwarding off rp_filter loose mc_forwarding off",
            "[NETCONF]inet tun9 forwarding * rp_filter * mc_forwarding off",
        ),
    ] {
        assert_eq!(iproute2::normalised(said), format!("{shown}\n"));
    }
}
