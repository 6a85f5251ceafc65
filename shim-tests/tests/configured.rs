//! Real programs configure themselves unprivileged under the shim as they do as root of a namespace
//! on the kernel.

use shim_tests::configured::assert_is_as_on_the_kernel;

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test] fn $name() { assert_is_as_on_the_kernel(stringify!($name), &[]); })*
    };
}

scripts! {
    socat
    openvpn
    openvpn_server
    n2n
    iodine
    vtund
    fastd
    tinc
    gnunet
    openvswitch
    tools
}
