//! Real programs configure themselves unprivileged under the shim as they do as root of a namespace
//! on the kernel.

use shim_tests::configured::assert_is_as_on_the_kernel;
use shim_tests::real_programs::{installed, Link, World};

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test] fn $name() { assert_is_as_on_the_kernel(stringify!($name), &[]); })*
    };
}

scripts! {
    fastd
    gnunet
    iodine
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

#[test]
fn wireguard() {
    let world = World::new("configured-wireguard", Link::Up);
    let boringtun = world.reachable(&installed::of_crate("boringtun-cli", "0.7.1"));
    assert_is_as_on_the_kernel("wireguard", &[("BORINGTUN", &boringtun)]);
}

#[test]
fn python_tunnels() {
    let world = World::new("configured-python", Link::Up);
    let python = world
        .reachable(&installed::python("configured"))
        .join("bin/python");
    assert_is_as_on_the_kernel("python_tunnels", &[("PYTHON", &python)]);
}
