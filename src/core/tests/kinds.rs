//! The kind of an error says what its number leaves open.

use memtun::uapi::{IFF_NO_PI, IFF_TAP, IFF_TUN, TUNSETIFF};
use memtun::{ifreq, ErrorKind, IoSystem, MemoryIoSystem, Net, Sending, TunnelClass};
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);
const PACKET: [u8; 20] = [
    0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
];

fn system() -> MemoryIoSystem {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    system
}

fn attached(system: &MemoryIoSystem, name: &str, kind: u32) -> i32 {
    let fd = system
        .open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0)
        .expect("a tunnel");
    let request = ifreq(name, kind | IFF_NO_PI);
    system.ioctl(fd, TUNSETIFF, &request).expect("an interface");
    fd
}

#[test]
fn two_meanings_of_one_number_are_two_kinds() {
    let system = system();
    let net = system.net();
    let absent = net
        .wait_interface_within("tun0", NOW)
        .expect_err("too early");
    assert_eq!(absent.errno().0, libc::ENODEV);
    assert_eq!(absent.kind(), ErrorKind::Timeout);
    let fd = attached(&system, "tun0", IFF_TUN);
    let tun = net.wait_interface_within("tun0", NOW).expect("tun0");
    assert_eq!(tun.name(), "tun0");
    let nothing = tun.recv_within(NOW).expect_err("it wrote nothing");
    tun.set_txqueuelen(1).expect("a short queue");
    tun.inject_with(&PACKET, Sending::new().within(NOW))
        .expect("room for one");
    let full = tun
        .inject_with(&PACKET, Sending::new().within(NOW))
        .expect_err("room for one");
    let offered = tun
        .offer(&PACKET, Sending::new().within(NOW))
        .expect_err("room for one");
    for e in [&nothing, &full, &offered] {
        assert_eq!(e.errno().0, libc::EAGAIN);
    }
    assert_eq!(nothing.kind(), ErrorKind::Timeout);
    assert_eq!(full.kind(), ErrorKind::Full);
    assert_eq!(offered.kind(), ErrorKind::Full);
    system.close(fd).expect("its end");
    let gone = tun.recv_within(NOW).expect_err("it is gone");
    assert_eq!(gone.errno().0, libc::ENODEV);
    assert_eq!(gone.kind(), ErrorKind::Gone);
}

#[test]
fn a_net_that_was_removed_is_gone() {
    let net = Net::temporary().expect("a net");
    let other = Net::open(net.path()).expect("the same net");
    other.remove().expect("its end");
    let errors = [
        net.wait_interface_within("tun0", NOW).map(drop),
        net.interfaces().map(drop),
        net.tunnels().map(drop),
    ];
    for e in errors.map(|answer| answer.expect_err("there is no net")) {
        assert_eq!((e.errno().0, e.kind()), (libc::ENOENT, ErrorKind::Gone));
        assert!(e.to_string().ends_with("the net was removed"), "{e}");
    }
    let never = Net::open(net.path()).expect_err("there is no net");
    assert_eq!(never.kind(), ErrorKind::NotFound);
}

#[test]
fn other_numbers_have_their_kind() {
    let system = system();
    let _fd = attached(&system, "tun0", IFF_TUN);
    let tun = system
        .net()
        .wait_interface_within("tun0", NOW)
        .expect("tun0");
    let kind = |data: &[u8]| {
        tun.inject_with(data, Sending::new().within(NOW))
            .expect_err("refused")
            .kind()
    };
    assert_eq!(kind(&[]), ErrorKind::Invalid);
    assert_eq!(kind(&[0x45; 1501]), ErrorKind::TooLarge);
    tun.set_up(false).expect("down");
    assert_eq!(kind(&PACKET), ErrorKind::LinkDown);
    let renamed = tun.set_name("a/b").expect_err("no name");
    assert_eq!(renamed.kind(), ErrorKind::Invalid);
}

#[test]
fn a_tap_gets_another_hardware_address_and_a_tun_has_none() {
    let system = system();
    let _tun = attached(&system, "tun0", IFF_TUN);
    let _tap = attached(&system, "tap0", IFF_TAP);
    let [tun, tap] =
        ["tun0", "tap0"].map(|name| system.net().wait_interface_within(name, NOW).expect(name));
    let mac = [2, 0, 0, 0, 0, 7];
    tap.set_mac(mac).expect("a new address");
    assert_eq!(tap.info().mac, Some(mac));
    let group = tap.set_mac([1, 0, 0, 0, 0, 7]).expect_err("a group's");
    assert_eq!(group.errno().0, libc::EADDRNOTAVAIL);
    let none = tun.set_mac(mac).expect_err("no Ethernet");
    assert_eq!(none.errno().0, libc::EOPNOTSUPP);
}

#[test]
fn the_carrier_is_known_while_the_link_is_down() {
    let system = system();
    let _fd = attached(&system, "tun0", IFF_TUN);
    let tun = system
        .net()
        .wait_interface_within("tun0", NOW)
        .expect("tun0");
    tun.set_up(false).expect("down");
    assert!(tun.info().carrier);
    tun.set_carrier(false).expect("no carrier");
    assert!(!tun.info().carrier);
}

#[test]
fn without_a_carrier_a_packet_is_refused_and_counted() {
    let system = system();
    let _fd = attached(&system, "tun0", IFF_TUN);
    let tun = system
        .net()
        .wait_interface_within("tun0", NOW)
        .expect("tun0");
    let inject = || tun.inject_with(&PACKET, Sending::new().within(NOW));
    tun.set_carrier(false).expect("no carrier");
    let refused = inject().expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::LinkDown);
    assert!(refused.to_string().contains("has no carrier"), "{refused}");
    assert_eq!(tun.info().tx.dropped, 1);
    // A link that is down takes nothing, and counts nothing.
    tun.set_up(false).expect("down");
    let refused = inject().expect_err("refused");
    assert!(refused.to_string().contains("link is down"), "{refused}");
    assert_eq!(tun.info().tx.dropped, 1);
    tun.set_up(true).expect("up");
    tun.set_carrier(true).expect("a carrier");
    inject().expect("taken");
}
