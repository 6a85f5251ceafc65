//! Addresses and routes as values: what follows from what, at which time.

mod support;

use memtun_host::engine::address::{self, v4, v6};
use memtun_host::engine::route::lookup::{self, Flow};
use memtun_host::engine::route::Cause;
use memtun_host::netlink;
use memtun_host::world::Own;
use memtun_stack::address::Head;
use memtun_stack::wire::{Messages, Writer};
use memtun_stack::{Address, State};
use proptest::prelude::*;
use support::devices::{LO, MAC, TAP, TUN};
use support::engine::Engine;
use support::requests::{self, ip, Random};

fn addresses(engine: &Engine, index: u32) -> Vec<String> {
    let own = engine.state.addresses.iter().filter(|a| a.index == index);
    own.map(|a| format!("{}/{} {:x}", a.local, a.prefix, a.flags))
        .collect()
}

fn routes(engine: &Engine, v4: bool) -> Vec<String> {
    let own = engine.state.routes.iter().filter(|r| r.is_v4() == v4);
    own.map(|r| format!("{} {}/{} dev {}", r.table, r.to, r.prefix, r.hops[0].index))
        .collect()
}

fn add_v4(engine: &mut Engine, index: u32, text: &str, prefix: u8) {
    engine.with(|world, _| {
        let name = world.link(index).expect("a link").extra.name;
        let std::net::IpAddr::V4(local) = ip(text) else {
            panic!("{text}");
        };
        let address = v4::plain(index, local, prefix, name, world.now);
        v4::insert(world, address, Cause::default()).expect(text);
    });
}

fn add_v6(engine: &mut Engine, index: u32, wanted: v6::Wanted) {
    engine.with(|world, _| v6::add(world, index, &wanted).expect("an address"));
}

fn wanted(text: &str, prefix: u8) -> v6::Wanted {
    match ip(text) {
        std::net::IpAddr::V6(local) => v6::Wanted::permanent(local, prefix),
        std::net::IpAddr::V4(_) => panic!("{text}"),
    }
}

#[test]
fn the_loopback_gets_its_addresses_when_it_comes_up() {
    let mut engine = Engine::new(0);
    engine.set_link(LO, Some(true), None);
    assert_eq!(addresses(&engine, LO), ["127.0.0.1/8 80", "::1/128 80"]);
    assert_eq!(
        routes(&engine, true),
        [
            "255 127.0.0.0/8 dev 1",
            "255 127.0.0.1/32 dev 1",
            "255 127.255.255.255/32 dev 1"
        ]
    );
    assert_eq!(routes(&engine, false), ["255 ::1/128 dev 1"]);
}

#[test]
fn a_tap_has_a_link_local_address_of_its_mac_that_is_tentative_for_a_second() {
    let mut engine = Engine::new(0);
    engine.set_link(TAP, Some(true), None);
    assert_eq!(MAC, [2, 0, 0, 0, 0, 1]);
    assert_eq!(addresses(&engine, TAP), ["fe80::ff:fe00:1/64 c0"]);
    assert_eq!(
        routes(&engine, false),
        ["254 fe80::/64 dev 3", "255 ff00::/8 dev 3"]
    );
    let due = engine
        .with(|world, _| address::next_expiry(world))
        .expect("a time");
    assert!((100..=200).contains(&(due - engine.now)), "{due}");
    engine.now = due - 1;
    engine.with(|world, _| address::expire(world));
    assert_eq!(addresses(&engine, TAP), ["fe80::ff:fe00:1/64 c0"]);
    engine.now = due;
    engine.with(|world, _| address::expire(world));
    assert_eq!(addresses(&engine, TAP), ["fe80::ff:fe00:1/64 80"]);
    assert!(routes(&engine, false).contains(&"255 fe80::ff:fe00:1/128 dev 3".to_owned()));
    assert_eq!(engine.with(|world, _| address::next_expiry(world)), None);
}

#[test]
fn a_tun_has_a_random_link_local_address_at_once_and_the_same_again() {
    let mut engine = Engine::new(0);
    engine.set_link(TUN, Some(true), None);
    let first = addresses(&engine, TUN);
    assert_eq!(first.len(), 1);
    assert!(
        first[0].starts_with("fe80::") && first[0].ends_with("/64 880"),
        "{first:?}"
    );
    engine.set_link(TUN, Some(false), None);
    assert_eq!(addresses(&engine, TUN), [""; 0]);
    assert_eq!(routes(&engine, false), [""; 0]);
    engine.set_link(TUN, Some(true), None);
    assert_eq!(addresses(&engine, TUN), first);
}

#[test]
fn the_state_keeps_what_a_detection_and_routes_are_at() {
    let mut engine = Engine::new(0);
    engine.set_link(TAP, Some(true), None);
    add_v4(&mut engine, TAP, "10.0.0.1", 24);
    let again = State::from_bytes(&engine.state.to_bytes()).expect("a state");
    assert_eq!(again, *engine.state);
}

#[test]
fn lifetimes_end() {
    let mut engine = Engine::new(0);
    engine.set_link(TUN, Some(true), None);
    engine.with(|world, _| {
        let name = world.link(TUN).expect("a link").extra.name;
        let address = v4::plain(TUN, [10, 0, 0, 1].into(), 24, name, world.now);
        v4::add(world, address, (20, 10), 0, Cause::default()).expect("an address");
    });
    let permanent = wanted("2001:db8::1", 64);
    let lives = v6::Wanted {
        flags: 0,
        valid: 30,
        preferred: 10,
        ..permanent
    };
    add_v6(&mut engine, TUN, lives);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let due = engine.with(|world, _| address::next_expiry(world));
        let Some(due) = due else { break };
        engine.now = due;
        engine.with(|world, _| address::expire(world));
        let global = addresses(&engine, TUN)
            .into_iter()
            .filter(|a| !a.starts_with("fe80"));
        seen.push((due - 100_000, global.collect::<Vec<_>>()));
    }
    let texts = |texts: &[&str]| texts.iter().map(|t| t.to_string()).collect::<Vec<_>>();
    assert_eq!(
        seen,
        [
            (1000, texts(&["2001:db8::1/64 20", "10.0.0.1/24 20"])),
            (2000, texts(&["2001:db8::1/64 20"])),
            (3000, texts(&[])),
        ]
    );
    assert!(routes(&engine, true).is_empty());
}

#[test]
fn a_small_mtu_takes_ipv6_away_and_a_large_one_brings_it_back_anew() {
    let mut engine = Engine::new(0);
    engine.set_link(TAP, Some(true), None);
    add_v4(&mut engine, TAP, "10.0.0.1", 24);
    add_v6(&mut engine, TAP, wanted("2001:db8::1", 64));
    engine.set_link(TAP, None, Some(1279));
    assert_eq!(addresses(&engine, TAP), ["10.0.0.1/24 80"]);
    assert_eq!(routes(&engine, false), [""; 0]);
    engine.set_link(TAP, None, Some(1280));
    assert_eq!(
        addresses(&engine, TAP),
        ["10.0.0.1/24 80", "fe80::ff:fe00:1/64 c0"]
    );
}

#[test]
fn another_name_of_a_link_is_that_of_its_labels() {
    let mut engine = Engine::new(0);
    for (text, label) in [
        ("10.0.0.1", "tun0"),
        ("10.1.0.1", "tun0:7"),
        ("10.2.0.1", "tun0"),
    ] {
        add_v4(&mut engine, TUN, text, 24);
        let last = engine.state.addresses.last_mut().expect("an address");
        last.label = memtun_abi::Name::new(label).expect("a label");
    }
    engine.fake.links[1].extra.name = memtun_abi::Name::new("vpn").expect("a name");
    engine.with(|world, _| address::name_has_changed(world, TUN, b"tun0"));
    let labels = engine.state.addresses.iter().map(|a| a.label.to_string());
    assert_eq!(labels.collect::<Vec<_>>(), ["vpn", "vpn:7", "vpn:3"]);
}

#[test]
fn a_secondary_address_takes_the_place_of_its_primary_one_where_that_is_set() {
    for promotes in [false, true] {
        let mut engine = Engine::new(0);
        engine.set_link(TUN, Some(true), None);
        if promotes {
            engine.state.sysctls.push(memtun_stack::state::Sysctl {
                path: b"ipv4/conf/all/promote_secondaries".to_vec(),
                value: b"1".to_vec(),
            });
        }
        add_v4(&mut engine, TUN, "10.0.0.1", 24);
        add_v4(&mut engine, TUN, "10.0.0.2", 24);
        engine.with(|world, _| {
            let place = world.address_places(TUN, true)[0];
            v4::remove(world, place, Cause::default());
        });
        let left = addresses(&engine, TUN);
        let left: Vec<_> = left.iter().filter(|a| a.starts_with("10.")).collect();
        let expected: &[&str] = if promotes { &["10.0.0.2/24 80"] } else { &[] };
        assert_eq!(left, expected);
        let source = engine
            .state
            .routes
            .iter()
            .find(|r| r.prefix == 24 && r.is_v4());
        assert_eq!(source.is_some(), promotes);
    }
}

/// An address of the machine's, with its message.
fn own(index: u32, text: &str, prefix: u8) -> Own<Address> {
    let std::net::IpAddr::V4(local) = ip(text) else {
        panic!("{text}");
    };
    let name = memtun_abi::Name::new("eth0").expect("a name");
    let item = v4::plain(index, local, prefix, name, 0);
    let mut to = Writer::default();
    let head = Head {
        kind: libc::RTM_NEWADDR,
        ..Head::default()
    };
    item.write(&mut to, head, Some(0));
    Own {
        item,
        message: to.take(),
    }
}

#[test]
fn what_is_deleted_of_the_machine_is_hidden_and_what_is_changed_stands_in_the_state() {
    let mut engine = Engine::new(0);
    let mut eth = engine.fake.links[2].clone();
    eth.extra.index = 9;
    engine.machine.links.push(Own {
        item: eth,
        message: Vec::new(),
    });
    engine.machine.addresses = vec![own(9, "192.0.2.1", 24), own(9, "198.51.100.1", 24)];
    let messages: Vec<_> = engine
        .machine
        .addresses
        .iter()
        .map(|a| a.message.clone())
        .collect();
    let shown = |engine: &mut Engine| {
        let dump = requests::dump(libc::RTM_GETADDR, libc::AF_INET, 8);
        let answer = engine.send(&dump, false);
        let addresses = answer.iter().flat_map(|d| Messages(d));
        addresses
            .filter_map(|m| Address::read(&m))
            .map(|a| a.local.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&mut engine), ["192.0.2.1", "198.51.100.1"]);
    engine.with(|world, _| {
        let place = world.address_places(9, true)[0];
        v4::remove(world, place, Cause::default());
    });
    assert_eq!(engine.state.hidden, [messages[0].clone()]);
    assert_eq!(shown(&mut engine), ["198.51.100.1"]);
    add_v4(&mut engine, 9, "203.0.113.1", 24);
    assert_eq!(shown(&mut engine), ["198.51.100.1", "203.0.113.1"]);
    engine.with(|world, _| {
        let place = world.address_places(9, true)[0];
        world.change_address(place, |address| address.priority = 7);
    });
    assert_eq!(engine.state.hidden, messages);
    assert_eq!(shown(&mut engine), ["198.51.100.1", "203.0.113.1"]);
}

#[test]
fn a_packet_finds_the_longest_prefix_and_the_address_of_its_network() {
    let mut engine = Engine::new(0);
    engine.set_link(TUN, Some(true), None);
    engine.set_link(TAP, Some(true), None);
    add_v4(&mut engine, TUN, "10.0.0.1", 8);
    add_v4(&mut engine, TAP, "10.1.0.1", 16);
    let mut way = |text: &str| {
        engine.with(|world, _| {
            lookup::lookup(world, &Flow::to(ip(text)))
                .map(|found| (found.index, found.source.to_string(), found.kind))
        })
    };
    assert_eq!(
        way("10.1.2.3"),
        Ok((TAP, "10.1.0.1".into(), libc::RTN_UNICAST))
    );
    assert_eq!(
        way("10.2.2.3"),
        Ok((TUN, "10.0.0.1".into(), libc::RTN_UNICAST))
    );
    assert_eq!(
        way("10.1.0.1"),
        Ok((LO, "10.1.0.1".into(), libc::RTN_LOCAL))
    );
    assert_eq!(way("192.0.2.1"), Err(libc::ENETUNREACH));
    assert_eq!(way("2001:db8::1"), Err(libc::ENETUNREACH));
}

proptest! {
    /// Whatever a program sends, it is answered.
    #[test]
    fn no_request_of_netlink_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 20_u16..27,
        family in prop::sample::select(vec![0_u8, 2, 10, 17]),
        flags in any::<u16>(),
        options in 0_u16..8,
    ) {
        let mut engine = Engine::new(0);
        engine.set_link(TUN, Some(true), None);
        engine.asker.options = options;
        let mut body = bytes;
        if let Some(first) = body.first_mut() {
            *first = family;
        }
        let mut to = Writer::default();
        to.message(kind, flags | 1, 1, 0).raw(&body);
        engine.with(|world, asker| {
            netlink::answer(world, asker, to.bytes());
            netlink::answer(world, asker, &body);
        });
    }

    /// A request that was right but for some bytes does not panic either.
    #[test]
    fn no_damaged_request_panics(
        seed in any::<u64>(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut engine = Engine::new(0);
        for index in [LO, TUN, TAP] {
            engine.set_link(index, Some(true), None);
        }
        let mut random = Random(seed | 1);
        for _ in 0..12 {
            let mut request = match random.below(4) {
                0 => requests::address(&mut random),
                1 => requests::route(&mut random),
                2 => requests::lookup(&mut random),
                _ => requests::filtered(&mut random),
            };
            for (index, byte) in &places {
                let at = index.index(request.len());
                if at >= 4 {
                    request[at] = *byte;
                }
            }
            engine.send(&request, random.one_in(2));
        }
        engine.now += 1_000_000;
        engine.with(|world, _| address::expire(world));
        let bytes = engine.state.to_bytes();
        prop_assert!(State::from_bytes(&bytes).as_ref() == Ok(&engine.state));
    }

    /// Whatever a program hands to ioctl(2), it is answered.
    #[test]
    fn no_request_of_ioctl_panics(
        mut argument in prop::collection::vec(any::<u8>(), 0..160),
        family in prop::sample::select(vec![1_u32, 2, 10, 16, 17]),
        request in prop::sample::select(vec![
            0x890b_u32, 0x890c, 0x890d, 0x8914, 0x8915, 0x8916, 0x8917, 0x8918, 0x8919, 0x891a,
            0x891b, 0x891c, 0x8936,
        ]),
        named in any::<bool>(),
    ) {
        let mut engine = Engine::new(0);
        engine.set_link(TUN, Some(true), None);
        add_v4(&mut engine, TUN, "10.0.0.1", 24);
        if named && argument.len() > 20 {
            argument[..5].copy_from_slice(b"tun0\0");
            argument[16] = 2;
            argument[17] = 0;
        }
        engine.ioctl(family, request, &argument);
    }
}
