//! Links, rules and neighbours of a net in memory: what single requests answer, what listeners are
//! told, and that no bytes whatever make the host stop.

mod support;

use memtun_abi::Name;
use memtun_host::world::Own;
use memtun_stack::ask::option;
use memtun_stack::wire::{u16_at, u32_at, Attributes, Messages, Writer};
use memtun_stack::{Link, State};
use proptest::prelude::*;
use support::net::{ifinfo, request, Net};

const ACK: i32 = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
const DUMP: i32 = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;

/// Returns the errno of the last message, which is an acknowledgement.
fn errno(answers: &[Vec<u8>]) -> i32 {
    let last = answers.last().expect("an answer");
    assert_eq!(u16_at(last, 4), Some(libc::NLMSG_ERROR as u16));
    -(u32_at(last, 16).unwrap() as i32)
}

/// Returns the sentence of an extended acknowledgement that repeats the request.
fn sentence(answer: &[u8]) -> String {
    let length = u32_at(answer, 20).unwrap() as usize;
    let flags = u16_at(answer, 6).unwrap();
    assert!(flags & 0x200 != 0, "no attributes: {answer:?}");
    let from = if flags & 0x100 != 0 { 36 } else { 20 + length };
    let mut all = Attributes::between(answer, from, answer.len());
    let text = all.find(|a| a.kind == 1).expect("a sentence");
    String::from_utf8_lossy(text.string()).into_owned()
}

fn set(net: &mut Net, index: i32, fill: impl FnOnce(&mut Writer)) -> Vec<Vec<u8>> {
    net.ask(&request(
        libc::RTM_NEWLINK,
        ACK,
        &ifinfo(0, index, 0, 0),
        fill,
    ))
}

/// Returns group, type and ifi_change of what listeners were told about links.
fn told(net: &mut Net) -> Vec<(u16, u32)> {
    let events = std::mem::take(&mut net.events);
    let links = events.iter().filter(|event| event.group == 1);
    links
        .map(|event| {
            let message = &event.message;
            (u16_at(message, 4).unwrap(), u32_at(message, 28).unwrap())
        })
        .collect()
}

#[test]
fn listeners_hear_of_a_link_from_its_beginning_to_its_end() {
    let mut net = Net::new();
    net.with(memtun_host::engine::link::look).unwrap();
    let (new, gone) = (libc::RTM_NEWLINK, libc::RTM_DELLINK);
    assert_eq!(told(&mut net), [(new, u32::MAX), (new, u32::MAX)]);

    // Somebody changes it in shared memory.
    net.fake.links[0].extra.flags |= libc::IFF_UP as u32;
    net.fake.links[0].extra.mtu = 1400;
    net.with(memtun_host::engine::link::look).unwrap();
    assert_eq!(told(&mut net), [(new, 0), (new, libc::IFF_UP as u32)]);
    net.with(memtun_host::engine::link::look).unwrap();
    assert_eq!(told(&mut net), []);

    net.fake.links.remove(0);
    net.with(memtun_host::engine::link::look).unwrap();
    let down = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
    assert_eq!(told(&mut net), [(new, down), (gone, u32::MAX)]);
    assert!(net.state.links.iter().all(|extra| extra.index != 2));
}

#[test]
fn a_carrier_that_was_lost_makes_the_state_of_operation_known() {
    let mut net = Net::new();
    let up = ifinfo(0, 2, 1, 1);
    assert_eq!(errno(&net.ask(&request(16, ACK, &up, |_| ()))), 0);
    let state = |net: &mut Net| {
        let one = request(18, libc::NLM_F_REQUEST, &ifinfo(0, 2, 0, 0), |_| ());
        let answers = net.ask(&one);
        let all = Attributes::between(&answers[0], 32, answers[0].len());
        let value = |kind| all.get(kind).unwrap().value[0];
        (value(libc::IFLA_OPERSTATE), value(47), value(48))
    };
    assert_eq!(state(&mut net), (0, 0, 0));
    set(&mut net, 2, |to| {
        to.u8(33, 0);
    });
    assert_eq!(state(&mut net), (2, 0, 1));
    set(&mut net, 2, |to| {
        to.u8(33, 1);
    });
    assert_eq!(state(&mut net), (6, 1, 1));
}

#[test]
fn a_link_that_is_seen_first_when_its_program_has_gone_has_no_carrier() {
    let mut net = Net::new();
    let link = &mut net.fake.links[0];
    link.extra.flags |= libc::IFF_UP as u32;
    link.extra.carrier_downs = 1;
    link.carrier = false;
    let one = request(18, libc::NLM_F_REQUEST, &ifinfo(0, 2, 0, 0), |_| ());
    let answers = net.ask(&one);
    let flags = u32_at(&answers[0], 24).unwrap();
    assert_eq!(flags & (libc::IFF_UP | libc::IFF_RUNNING) as u32, 1);
    let all = Attributes::between(&answers[0], 32, answers[0].len());
    assert_eq!(all.get(libc::IFLA_OPERSTATE).unwrap().u8(), Some(2));
}

#[test]
fn what_is_changed_on_a_link_of_the_machines_stays_in_the_net() {
    let mut net = Net::new();
    let mut link = support::net::interface(9, "eth0", memtun_abi::uapi::IFF_TAP);
    link.driver = None;
    link.extra.flags = 0x1043;
    let mut to = Writer::default();
    to.message(libc::RTM_NEWLINK, 0, 0, 0)
        .raw(&ifinfo(0, 9, 0x11043, 0))
        .string(libc::IFLA_IFNAME, b"eth0")
        .u32(libc::IFLA_MTU, 1500)
        .u8(libc::IFLA_OPERSTATE, 6)
        .u8(33, 1);
    net.machine.links.push(Own::<Link> {
        item: link,
        message: to.take(),
    });
    let answers = set(&mut net, 9, |to| {
        to.u32(libc::IFLA_MTU, 1300)
            .string(libc::IFLA_IFNAME, b"wan");
    });
    assert_eq!(errno(&answers), 0);
    let kept = net.state.links.iter().find(|extra| extra.index == 9);
    assert_eq!(kept.unwrap().mtu, 1300);
    let one = request(18, libc::NLM_F_REQUEST, &ifinfo(0, 9, 0, 0), |_| ());
    let answers = net.ask(&one);
    let all = Attributes::between(&answers[0], 32, answers[0].len());
    assert_eq!(all.get(libc::IFLA_MTU).unwrap().u32(), Some(1300));
    assert_eq!(all.get(libc::IFLA_IFNAME).unwrap().string(), b"wan");
    assert_eq!(all.get(libc::IFLA_OPERSTATE).unwrap().u8(), Some(6));
    assert_eq!(all.get(33).unwrap().u8(), Some(1));
    let named = net.with(|world| {
        memtun_host::engine::link::look(world).unwrap();
        world.link_named(b"eth0").is_none() && world.link_named(b"wan").is_some()
    });
    assert!(named);
}

#[test]
fn refusals_have_the_kernels_sentences() {
    let mut net = Net::new();
    let answers = set(&mut net, 2, |to| {
        to.u32(libc::IFLA_MTU, 67);
    });
    assert_eq!(errno(&answers), libc::EINVAL);
    assert_eq!(sentence(&answers[0]), "mtu less than device minimum");
    let create = ACK | libc::NLM_F_CREATE;
    let kind = request(16, create, &ifinfo(0, 0, 0, 0), |to| {
        let open = to.begin(libc::IFLA_LINKINFO);
        to.string(1, b"tun");
        to.end(open);
    });
    let answers = net.ask(&kind);
    assert_eq!(errno(&answers), libc::EOPNOTSUPP);
    let text = "tun/tap creation via rtnetlink is not supported.";
    assert_eq!(sentence(&answers[0]), text);
    // Without the option nothing is said, and with the other one the request is not repeated.
    net.asker.options = option::CAP_ACK;
    let answers = net.ask(&kind);
    assert_eq!(answers[0].len(), 36);
    assert_eq!(u16_at(&answers[0], 6), Some(0x100));
}

#[test]
fn a_net_that_forbids_it_is_not_configured() {
    let mut net = Net::new();
    net.fake.denies = true;
    let answers = set(&mut net, 2, |to| {
        to.u32(libc::IFLA_MTU, 1400);
    });
    assert_eq!(errno(&answers), libc::EPERM);
    let dump = net.ask(&request(18, DUMP, &ifinfo(0, 0, 0, 0), |_| ()));
    assert_eq!(Messages(&dump.concat()).count(), 4);
}

#[test]
fn whoever_wants_an_echo_gets_it_and_no_event() {
    let mut net = Net::new();
    let own = [2, 0, 0, 0, 100, 0, 0, 1, 0, 0, 0, 0];
    let rule = request(
        32,
        ACK | libc::NLM_F_ECHO | libc::NLM_F_CREATE,
        &own,
        |_| (),
    );
    let answers = net.ask(&rule);
    assert_eq!(errno(&answers), 0);
    assert_eq!(u16_at(&answers[0], 4), Some(libc::RTM_NEWRULE));
    let event = net.events.iter().find(|event| event.group == 8).unwrap();
    assert_eq!(event.except, net.asker.port);
    assert_eq!(event.message, answers[0]);
}

#[test]
fn messages_without_a_request_are_acknowledged_and_short_ones_ignored() {
    let mut net = Net::new();
    assert_eq!(
        errno(&net.ask(&request(16, libc::NLM_F_ACK, &[0; 16], |_| ()))),
        0
    );
    assert!(net
        .ask(&request(18, libc::NLM_F_REQUEST, &[], |_| ()))
        .is_empty());
    assert!(net.ask(&[1, 0, 0, 0]).is_empty());
    let unknown = net.ask(&request(200, libc::NLM_F_REQUEST, &[0; 16], |_| ()));
    assert_eq!(errno(&unknown), libc::EOPNOTSUPP);
}

#[test]
fn the_state_keeps_what_was_changed() {
    let mut net = Net::new();
    set(&mut net, 2, |to| {
        to.u32(libc::IFLA_GROUP, 7)
            .attribute(libc::IFLA_IFALIAS, b"the tunnel")
            .u32(40, 1000);
    });
    let names = request(108, ACK, &ifinfo(0, 2, 0, 0), |to| {
        let open = to.begin(52 | 0x8000);
        to.string(53, b"another-name-of-it");
        to.end(open);
    });
    assert_eq!(errno(&net.ask(&names)), 0);
    let read = State::from_bytes(&net.state.to_bytes()).unwrap();
    assert_eq!(read, *net.state);
    let extra = read.links.iter().find(|extra| extra.index == 2).unwrap();
    assert_eq!((extra.group, extra.gso_max_segs), (7, Some(1000)));
    assert_eq!(extra.other_names, [b"another-name-of-it".to_vec()]);
    assert_eq!(extra.name, Name::new(b"tun0").unwrap());
}

#[test]
fn a_question_that_only_reads_touches_nothing() {
    let mut net = Net::new();
    set(&mut net, 2, |to| {
        to.u32(libc::IFLA_GROUP, 7);
    });
    let look = |net: &mut Net| net.with(|world| memtun_host::engine::link::look(world).unwrap());
    look(&mut net);
    let before = net.state.touches();
    assert!(before > 0, "a change is counted");
    look(&mut net);
    for kind in [
        libc::RTM_GETLINK,
        libc::RTM_GETADDR,
        libc::RTM_GETROUTE,
        libc::RTM_GETNEIGH,
        libc::RTM_GETRULE,
    ] {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;
        net.ask(&request(kind, flags, &[0; 16], |_| ()));
        assert_eq!(net.state.touches(), before, "a dump of {kind}");
    }
}

#[test]
fn a_neighbour_lives_as_long_as_its_link_is_up() {
    let mut net = Net::new();
    net.ask(&request(16, ACK, &ifinfo(0, 3, 1, 1), |_| ()));
    let mut own = vec![10, 0, 0, 0];
    own.extend(3u32.to_ne_bytes());
    own.extend([0x80, 0, 0, 0]);
    let new = request(28, ACK | libc::NLM_F_CREATE, &own, |to| {
        to.attribute(1, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
            .attribute(2, &[2, 0, 0, 0, 0, 9]);
    });
    assert_eq!(errno(&net.ask(&new)), 0);
    assert_eq!(net.state.neighbours.len(), 1);
    net.events.clear();
    net.ask(&request(16, ACK, &ifinfo(0, 3, 0, 1), |_| ()));
    assert!(net.state.neighbours.is_empty());
    let gone = net.events.iter().filter(|event| event.group == 3);
    assert_eq!(gone.count(), 1);
}

#[test]
fn neighbours_by_ioctl() {
    let mut net = Net::new();
    let mut arp = [0u8; 68];
    arp[0] = libc::AF_INET as u8;
    arp[4..8].copy_from_slice(&[10, 9, 0, 2]);
    arp[16] = 1;
    arp[18..24].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    arp[32] = 4;
    arp[52..56].copy_from_slice(b"tap0");
    let ask = |net: &mut Net, request: u32, argument: &mut [u8]| {
        net.with(|world| {
            memtun_host::engine::link::look(world).unwrap();
            let family = libc::AF_INET as u32;
            let done = memtun_host::ioctl::answer(world, family, request, argument);
            done.map_err(|failure| failure.errno.0)
        })
    };
    // IPv4 knows what an address is from its first one on.
    net.ask(&request(20, ACK, &[2, 24, 0x80, 0, 3, 0, 0, 0], |to| {
        to.attribute(libc::IFA_LOCAL, &[10, 9, 0, 1]);
    }));
    assert_eq!(ask(&mut net, 0x8954, &mut arp.clone()), Err(libc::ENXIO));
    assert_eq!(ask(&mut net, 0x8955, &mut arp), Ok(()));
    let mut found = arp;
    found[18..24].fill(0);
    assert_eq!(ask(&mut net, 0x8954, &mut found), Ok(()));
    assert_eq!(found[18..24], [2, 0, 0, 0, 0, 9]);
    assert_eq!(found[32], 6);
    assert_eq!(ask(&mut net, 0x8953, &mut arp), Ok(()));
    assert_eq!(ask(&mut net, 0x8953, &mut arp), Err(libc::ENXIO));
    arp[0] = libc::AF_INET6 as u8;
    assert_eq!(ask(&mut net, 0x8955, &mut arp), Err(libc::EPFNOSUPPORT));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_bytes_stop_the_host(
        kind in 16u16..130,
        flags in any::<u16>(),
        strict in any::<bool>(),
        body in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut net = Net::new();
        if strict {
            net.asker.options |= option::STRICT;
        }
        let message = request(kind, i32::from(flags) | 1, &body, |_| ());
        for datagram in net.ask(&message) {
            let length: usize = Messages(&datagram).map(|m| m.bytes.len()).sum();
            prop_assert_eq!(length, datagram.len());
        }
        net.ask(&body);
        prop_assert_eq!(State::from_bytes(&net.state.to_bytes()).unwrap(), net.state.clone().into_state());
    }

    #[test]
    fn no_attributes_stop_the_host(
        kind in proptest::sample::select(vec![16u16, 17, 18, 19, 28, 29, 30, 32, 33, 34, 94, 108]),
        family in proptest::sample::select(vec![0u8, 2, 10, 7]),
        index in 0u8..4,
        attributes in proptest::collection::vec(
            (0u16..72, proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        let mut net = Net::new();
        let own = match kind {
            16..=19 | 108 => ifinfo(family, i32::from(index), 0, 0),
            _ => vec![family, 0, 0, 0, index, 0, 0, 1, 0, 0, 0, 0],
        };
        let message = request(kind, 0x605, &own, |to| {
            for (kind, value) in &attributes {
                to.attribute(*kind, value);
            }
        });
        net.ask(&message);
        prop_assert_eq!(State::from_bytes(&net.state.to_bytes()).unwrap(), net.state.clone().into_state());
    }

    #[test]
    fn no_ioctl_stops_the_host(
        request in 0x8900u32..0x89ff,
        family in proptest::sample::select(vec![2u32, 10, 1, 17]),
        mut argument in proptest::collection::vec(any::<u8>(), 0..130),
    ) {
        let mut net = Net::new();
        if argument.len() > 60 {
            argument[..5].copy_from_slice(b"tap0\0");
            argument[52..57].copy_from_slice(b"tun0\0");
        }
        net.with(|world| {
            memtun_host::engine::link::look(world).unwrap();
            let _ = memtun_host::ioctl::answer(world, family, request, &mut argument);
        });
    }
}
