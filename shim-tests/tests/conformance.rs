//! Checks every program of `conformance/programs/` in both variants: on the kernel it does what is
//! recorded, and under the shim what it does on the kernel. `cargo test -p shim-tests kernel::`
//! runs the first part without a shim.

use shim_tests::conformance::KERNEL_ONLY;

macro_rules! programs {
    ($($name:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($name)),*];

        mod kernel {
            $(#[test] fn $name() { shim_tests::conformance::assert_kernel_is_as_recorded(stringify!($name)) })*
        }

        mod plain {
            use shim_tests::{build::Variant, conformance::assert_shim_is_as_kernel};
            $(#[test] fn $name() { assert_shim_is_as_kernel(stringify!($name), Variant::Plain) })*
        }

        mod fortified {
            use shim_tests::{build::Variant, conformance::assert_shim_is_as_kernel};
            $(#[test] fn $name() { assert_shim_is_as_kernel(stringify!($name), Variant::Fortified) })*
        }
    };
}

programs! {
    addresses_ioctl
    aio
    any_connects
    any_connects6
    arp_ioctl
    arp_nd
    blocking
    blocking_close
    blocking_signals
    by_number
    carrier
    carrier_queues
    deletion
    descriptor_reuse
    bell_left
    epoll_datum
    epoll_ended
    epoll_et
    epoll_looks
    epoll_lt
    epoll_odd
    epoll_rare
    epoll_roads
    epoll_shared
    epoll_unattached
    ethtool_ioctl
    faultptr
    fdinfo
    fileops
    files_descriptors
    files_epoll
    files_names
    files_rare
    files_shell
    files_values
    files_walk
    fio
    footprint
    forwarding
    forwarding6
    genl_ethtool
    group_filters
    group_filters6
    groups
    icmp_errors
    identity
    ifaddrs
    in6_ioctl
    ip_forward
    ip_fragments
    ip_groups
    ip_hostile
    ip_input
    ip_odd
    ip_options
    lifetime_exec
    lifetime_fork
    lifetime_scm
    link_ioctl
    link_local
    link_wakes
    mixed_names
    mixed_names6
    multiqueue
    multiqueue_flows
    net_admin
    net_admin_host
    notsocket
    offload
    only_v6
    opening
    other_ioctls
    otherwise
    packet_socket
    paths
    persist
    pi
    ping_socket
    ping_socket6
    poll
    procfs_counters
    procfs_net
    procfs_trie
    queue
    rare_ioctls
    raw_errors
    raw_errors6
    raw_icmp
    raw_icmp6
    read
    requests
    routes_ioctl
    rtnl_addr
    rtnl_before
    rtnl_events
    rtnl_link
    rtnl_neigh
    rtnl_nexthop
    rtnl_options
    rtnl_route
    rtnl_rule
    rtnl_settings
    rtnl_socket
    rtnl_traffic
    sandbox
    scopes6
    select
    sending
    sigbus
    sigio
    sigio_owner
    sigsegv
    sockalias
    sockioctl
    sockname
    socket_numbers
    socket_numbers6
    socket_options
    socket_options6
    stdio
    sysctl_spread
    sysctl_values
    sysfs_net
    tap
    tap_bpf
    tap_filter
    tcp_accept
    tcp_accept6
    tcp_bind
    tcp_bind6
    tcp_calls
    tcp_calls6
    tcp_connect
    tcp_connect6
    tcp_data
    tcp_data6
    tcp_early
    tcp_early6
    tcp_held
    tcp_held6
    tcp_inherit
    tcp_inherit6
    tcp_no_port
    tcp_no_port6
    tcp_anew
    tcp_anew6
    tcp_offload
    tcp_offload6
    tcp_wire
    tcp_wire6
    tunsetiff
    tunsetiff_flags
    tunsetiff_taken
    udp_bind
    udp_bind6
    udp_errors
    udp_errors6
    udp_gone
    udp_hosts
    udp_hosts6
    udp_local
    udp_local6
    udp_later
    udp_later6
    udp_names
    udp_names6
    udp_odd
    udp_odd6
    udp_options
    udp_options6
    udp_receive
    udp_receive6
    udp_send
    udp_send6
    udp_sources
    udp_sources6
    udp_told
    udp_told6
    udp_waits
    udp_waits6
    unprivileged
    unseen
    variadic
    vnet
    vnet_random
    write
    write_order
}

macro_rules! uncompared {
    ($($name:ident)*) => {
        mod uncompared {
            mod kernel {
                $(#[test] fn $name() { shim_tests::conformance::assert_kernel_is_as_recorded(stringify!($name)) })*
            }
        }
    };
}

shim_tests::kernel_only!(uncompared);

/// Others on the machine have ports that the programs want for any address.
mod beside {
    use shim_tests::build::Variant::Plain;
    use shim_tests::conformance::{
        assert_shim_is_as_kernel_beside, listeners, past_connection, receivers,
    };

    #[test]
    fn tcp_accept() {
        assert_shim_is_as_kernel_beside("tcp_accept", Plain, || listeners(8080));
    }

    #[test]
    fn tcp_accept6() {
        assert_shim_is_as_kernel_beside("tcp_accept6", Plain, || listeners(8080));
    }

    #[test]
    fn tcp_bind() {
        assert_shim_is_as_kernel_beside("tcp_bind", Plain, || past_connection(5000));
    }

    #[test]
    fn tcp_bind6() {
        assert_shim_is_as_kernel_beside("tcp_bind6", Plain, || past_connection(5000));
    }

    #[test]
    fn udp_receive() {
        assert_shim_is_as_kernel_beside("udp_receive", Plain, || receivers(5000));
    }

    #[test]
    fn udp_receive6() {
        assert_shim_is_as_kernel_beside("udp_receive6", Plain, || receivers(5000));
    }
}

#[test]
fn every_program_is_listed() {
    shim_tests::conformance::assert_listed(&[LISTED, KERNEL_ONLY].concat());
}

#[test]
fn what_is_not_compared_yet_is_named() {
    shim_tests::conformance::name_what_is_not_compared();
}
