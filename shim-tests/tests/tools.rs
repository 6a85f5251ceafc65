//! Runs the scripts of `tools/`: unmodified commands on the kernel, and under the shim as far as
//! memtun answers them.

use shim_tests::not_run::not_run;
use shim_tests::tools::{assert_kernel_is_as_recorded, assert_shim_is_as_kernel, SCRIPTS};

macro_rules! scripts {
    ($($name:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($name)),*];

        mod kernel {
            $(#[test] fn $name() { super::assert_kernel_is_as_recorded(stringify!($name)) })*
        }

        mod shim {
            $(#[test] fn $name() { super::as_the_kernel(stringify!($name)) })*
        }
    };
}

scripts! {
    arp bridge ethtool ethtool_netlink ifconfig ip_addr ip_events ip_formats ip_link ip_monitor
    ip_nexthop ip_objects ip_others ip_route ip_rule_neigh ip_saved ip_temporary route ss tc_qdisc
}

fn as_the_kernel(script: &str) {
    match SCRIPTS.iter().find(|(name, _)| *name == script) {
        Some((_, true)) => assert_shim_is_as_kernel(script),
        Some((_, false)) => not_run(
            "the tool under the shim",
            "not compared yet: SCRIPTS in src/tools.rs",
        ),
        None => panic!("{script} is not in SCRIPTS"),
    }
}

#[test]
fn every_script_is_listed() {
    let known: Vec<&str> = SCRIPTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, LISTED);
    for entry in std::fs::read_dir("tools").expect("tools/") {
        let path = entry.expect("a directory entry").path();
        let name = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        if path.extension().is_some_and(|e| e == "sh") && !["lib", "monitor"].contains(&name) {
            assert!(LISTED.contains(&name), "{}", path.display());
        }
    }
}
