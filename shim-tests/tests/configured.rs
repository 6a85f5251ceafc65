//! Real programs configure themselves unprivileged under the shim as they do as root of a namespace
//! on the kernel.

use std::path::Path;

use shim_tests::configured::assert_is_as_on_the_kernel;
use shim_tests::real_programs::{installed, Link, World};

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test] fn $name() { assert_is_as_on_the_kernel(stringify!($name), &[]); })*
    };
}

scripts! {
    bird
    fastd
    gnunet
    iodine
    iodine_client
    n2n
    ocserv
    openvpn
    openvpn_server
    openvswitch
    socat
    tinc
    tools
    vtund
}

/// Runs the script with a program that any user can reach.
fn with_program(script: &str, variable: &str, made: &Path) {
    let world = World::new(&format!("configured-{script}"), Link::Up);
    let program = world.reachable(made);
    assert_is_as_on_the_kernel(script, &[(variable, &program)]);
}

#[test]
fn wireguard() {
    let boringtun = installed::of_crate("boringtun-cli", "0.7.1");
    with_program("wireguard", "BORINGTUN", &boringtun);
}

#[test]
fn wg_quick() {
    let boringtun = installed::of_crate("boringtun-cli", "0.7.1");
    with_program("wg_quick", "BORINGTUN", &boringtun);
}

#[test]
fn vpncloud() {
    let vpncloud = installed::of_crate("vpncloud", "2.3.0");
    with_program("vpncloud", "VPNCLOUD", &vpncloud);
}

#[test]
fn tun_crates() {
    with_program("tun_crates", "TUN_CRATES", &installed::built("tun-crates"));
}

/// The crates' own tests and examples, of which most are for root.
#[test]
fn tests_of_crates() {
    let tests = installed::tests_of_crates(&[
        ("tokio-tun", &["read"]),
        ("tun-rs", &["named_tun"]),
        ("tappers", &[]),
        ("tun", &["dev-config"]),
    ]);
    with_program("tests_of_crates", "TESTS", &tests);
}

#[test]
fn python_tunnels() {
    with_program("python_tunnels", "PYTHON", &installed::python("configured"));
}

#[test]
fn pyroute2() {
    with_program("pyroute2", "PYTHON", &installed::python("configured"));
}

#[test]
fn pyroute2_ways() {
    with_program("pyroute2_ways", "PYTHON", &installed::python("configured"));
}
