//! Ordinary sockets over interfaces: two hosts with a wire between them, which are two namespaces
//! on the kernel, and two nets of one unprivileged user under the shim. The scripts of `pairs/`
//! print the same on both.

use shim_tests::configured;
use shim_tests::real_programs::{installed, Link, World};

#[test]
fn wireguard() {
    let world = World::new("pairs-wireguard", Link::Up);
    let boringtun = world.reachable(&installed::of_crate("boringtun-cli", "0.7.1"));
    configured::assert_pair_is_as_on_the_kernel("wireguard", &[("BORINGTUN", &boringtun)]);
}

#[test]
fn scapy() {
    let world = World::new("pairs-scapy", Link::Up);
    let python = world.reachable(&installed::python("scapy"));
    configured::assert_pair_is_as_on_the_kernel("scapy", &[("PYTHON", &python)]);
}

#[test]
fn smoltcp() {
    let world = World::new("pairs-smoltcp", Link::Up);
    let program = world.reachable(&installed::built("smoltcp-echo"));
    configured::assert_pair_is_as_on_the_kernel("smoltcp", &[("SMOLTCP", &program)]);
}

macro_rules! pairs {
    ($($name:ident)*) => {
        $(#[test] fn $name() { configured::assert_pair_is_as_on_the_kernel(stringify!($name), &[]); })*
    };
}

pairs! {
    asyncio
    basic
    captures
    counters
    echoes
    fastd
    gvpe
    icmptx
    listed
    lossy
    lwip
    n2n
    ocserv
    openvpn_loopback
    openvpn_tap
    openvpn_tcp
    openvpn_tls
    openvpn_udp
    paths
    pings
    softether
    ssh
    ssh_tun
    strongswan
    tap
    tinc
    transfers
    vtund
}
