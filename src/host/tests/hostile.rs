//! Requests of rtnetlink that nobody means: whatever a program sends is answered, and the state
//! that is left is one that can be written and read.

mod support;

use memtun_host::engine::address;
use memtun_stack::nexthop::{Body, Resilient};
use memtun_stack::route::Nexthop;
use memtun_stack::wire::Writer;
use memtun_stack::{HopObject, Route, State};
use support::devices::{LO, TAP, TUN};
use support::engine::Engine;
use support::requests::{ip, Random};

const KINDS: &[&[u8]] = &[
    b"htb",
    b"fq_codel",
    b"codel",
    b"fq",
    b"sfq",
    b"tbf",
    b"prio",
    b"netem",
    b"pfifo",
    b"bfifo",
    b"pfifo_fast",
    b"noqueue",
    b"mq",
    b"ingress",
    b"clsact",
    b"blackhole",
    b"noop",
    b"u32",
    b"nothing",
    b"pfifo_head_drop",
    b"tun",
];

const NUMBERS: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    1500,
    65535,
    65536,
    0x10000,
    0x1_0001,
    0x2_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_0000,
    0xffff_fff1,
    0xffff_fff2,
    0xffff_ffff,
];

fn value(random: &mut Random, depth: u32) -> Vec<u8> {
    match random.below(14) {
        0 => Vec::new(),
        1 => vec![random.below(256) as u8],
        2 => (random.of(NUMBERS) as u16).to_ne_bytes().to_vec(),
        3..=5 => random.of(NUMBERS).to_ne_bytes().to_vec(),
        6 => u64::from(random.of(NUMBERS))
            .wrapping_mul(0x8000_0001)
            .to_ne_bytes()
            .to_vec(),
        7 => match ip(random.of(&["10.0.0.2", "10.0.0.9", "0.0.0.0", "224.0.0.1"])) {
            std::net::IpAddr::V4(a) => a.octets().to_vec(),
            std::net::IpAddr::V6(a) => a.octets().to_vec(),
        },
        8 => match ip(random.of(&["fe80::9", "2001:db8::2", "::", "ff02::1"])) {
            std::net::IpAddr::V4(a) => a.octets().to_vec(),
            std::net::IpAddr::V6(a) => a.octets().to_vec(),
        },
        9 => {
            let mut text = random.of(KINDS).to_vec();
            text.push(0);
            text
        }
        10 => {
            let length = random.below(24) * 4;
            (0..length).flat_map(|_| [random.below(4) as u8]).collect()
        }
        11 => {
            let words = random.below(14);
            (0..words)
                .flat_map(|_| random.of(NUMBERS).to_ne_bytes())
                .collect()
        }
        12 => {
            // Members of a group.
            let members = random.below(4) + 1;
            let one = |random: &mut Random| {
                let mut one = (random.below(12) + 1).to_ne_bytes().to_vec();
                one.extend([random.of(&[0, 0, 1, 254, 255]), 0, 0, 0]);
                one
            };
            (0..members).flat_map(|_| one(random)).collect()
        }
        _ => attributes(random, depth + 1),
    }
}

fn attributes(random: &mut Random, depth: u32) -> Vec<u8> {
    let mut to = Writer::default();
    to.message(0, 0, 0, 0);
    if depth < 4 {
        for _ in 0..random.below(5) {
            let kind = random.below(22) as u16 | random.of(&[0, 0, 0, 0x8000]);
            let value = value(random, depth);
            to.attribute(kind, &value);
        }
    }
    to.bytes()[16..].to_vec()
}

/// Options of a discipline or a class, as its kind may want them.
fn options(random: &mut Random, to: &mut Writer) {
    let words = |random: &mut Random, n: usize| -> Vec<u8> {
        (0..n)
            .flat_map(|_| random.of(NUMBERS).to_ne_bytes())
            .collect()
    };
    match random.below(6) {
        0 => {
            // struct tc_htb_glob.
            let mut glob = words(random, 5);
            glob[..4].copy_from_slice(&3_u32.to_ne_bytes());
            let open = to.begin(2);
            to.attribute(2, &glob);
            to.end(open);
        }
        1 => {
            let open = to.begin(2);
            let length = random.of(&[11, 9]);
            let own = words(random, length);
            to.attribute(1, &own);
            to.end(open);
        }
        2 => {
            let length = random.of(&[1, 2, 3, 5, 6, 8, 18]);
            let mut own = words(random, length);
            own.extend(attributes(random, 2));
            to.attribute(2, &own);
        }
        3 => {
            // struct tc_prio_qopt.
            let mut own = (random.below(18)).to_ne_bytes().to_vec();
            own.extend((0..16).map(|_| random.below(3) as u8));
            to.attribute(2, &own);
        }
        4 => {
            let all = attributes(random, 1);
            to.attribute(2, &all);
        }
        _ => {}
    }
}

fn request(random: &mut Random) -> Vec<u8> {
    let group: &[u16] = match random.below(8) {
        0 => &[104, 105, 106],
        1 => &[104],
        2 => &[116, 117, 118],
        3 => &[36, 37, 38],
        4 => &[36, 40],
        5 => &[40, 41, 42],
        6 => &[44, 45, 46, 48, 49, 50, 100, 101, 102],
        _ => &[],
    };
    let kind = match group {
        [] => 16 + random.below(108) as u16,
        group => random.of(group),
    };
    let mut flags = 1 | random.of(&[0, 4, 8, 12]);
    flags |= random.of(&[
        0, 0x100, 0x200, 0x300, 0x400, 0x500, 0x600, 0x700, 0x900, 0xd00,
    ]);
    let (mut own, mut to) = (Vec::new(), Writer::default());
    let traffic = (36..=46).contains(&kind);
    match kind {
        36..=46 => {
            own.extend([0; 4]);
            own.extend((random.below(4)).to_ne_bytes());
            let minor = random.of(&[0, 0, 0, 1, 2, 3, 0xffff]);
            own.extend(
                (random.of(&[0_u32, 0x1_0000, 0x2_0000, 0x3_0000, 0xffff_0000]) | minor)
                    .to_ne_bytes(),
            );
            let minor = random.of(&[0, 1, 2, 3, 17, 0xfff1, 0xfff2, 0xffff]);
            let parent =
                random.of(&[0_u32, 0x1_0000, 0x1_0000, 0x2_0000, 0x3_0000, 0xffff_0000]) | minor;
            own.extend(
                random
                    .of(&[u32::MAX, 0xffff_fff1, parent, parent, parent])
                    .to_ne_bytes(),
            );
            own.extend([0; 4]);
        }
        104..=106 | 116..=118 => {
            own.extend([random.of(&[0, 2, 2, 10]), 0, random.of(&[0, 4]), 0]);
            own.extend(random.of(&[0_u32, 0, 0, 4, 1]).to_ne_bytes());
        }
        _ => {
            own.push(random.of(&[0, 2, 10, 7, 17, 128, 129]));
            for _ in 0..random.of(&[0, 3, 7, 11, 15, 19]) {
                own.push(random.of(&[0, 0, 0, 0, 1, 2, 3, 24, 32, 64, 254, 255]));
            }
        }
    }
    if random.one_in(20) {
        own.truncate(random.below(own.len() as u32 + 1) as usize);
    }
    to.message(kind, flags, 5, 0).raw(&own);
    if traffic {
        if !random.one_in(8) {
            let kind = random.of(KINDS);
            to.string(1, kind);
        }
        options(random, &mut to);
        if random.one_in(20) {
            let value = value(random, 0);
            to.attribute(random.below(18) as u16, &value);
        }
    } else if (104..=106).contains(&kind) && !random.one_in(4) {
        to.u32(1, random.below(12));
        match random.below(5) {
            0 | 1 => {
                to.u32(5, random.below(4));
                if random.one_in(2) {
                    let value = value(random, 0);
                    to.attribute(6, &value);
                }
            }
            2 => {
                let mut members = Vec::new();
                for _ in 0..=random.below(4) {
                    members.extend((random.below(12) + 1).to_ne_bytes());
                    members.extend([
                        random.of(&[0, 0, 1, 254, 255]),
                        random.of(&[0, 0, 255]),
                        0,
                        0,
                    ]);
                }
                to.attribute(2, &members);
                if random.one_in(2) {
                    to.u16(3, 1);
                    let open = to.begin(12 | 0x8000);
                    to.u16(1, random.of(&[1, 2, 8, 31, 1000, 65535]));
                    if random.one_in(2) {
                        to.u32(2, random.of(NUMBERS));
                    }
                    to.end(open);
                }
            }
            3 => {
                to.attribute(4, &[]);
            }
            _ => {}
        }
    } else {
        let mut all = Writer::default();
        all.message(0, 0, 0, 0);
        let all = attributes(random, 0);
        to.raw(&all);
        if random.one_in(3) {
            to.u32(30, random.below(12));
        }
    }
    let mut bytes = to.take();
    if random.one_in(6) {
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u32) as usize;
            if at >= 4 {
                bytes[at] = random.below(256) as u8;
            }
        }
    }
    if random.one_in(40) {
        let length = 16 + random.below(bytes.len() as u32 - 15);
        bytes.truncate(length as usize);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
    }
    bytes
}

/// How often the test is done: more by a number in this variable.
fn rounds() -> u64 {
    let more = std::env::var("MEMTUN_TEST_HOSTILE").ok();
    more.and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[test]
fn no_request_of_netlink_panics_and_the_state_can_be_written_and_read() {
    for seed in 1..=rounds() {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut engine = Engine::new(0);
        for index in [LO, TUN, TAP] {
            engine.set_link(index, Some(true), None);
        }
        for _ in 0..150 {
            let request = request(&mut random);
            let strict = random.one_in(3);
            let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                engine.send(&request, strict)
            }));
            assert!(answer.is_ok(), "seed {seed}: {request:?}");
            if random.one_in(10) {
                let index = random.of(&[TUN, TAP]);
                let up = random.one_in(2);
                // A request may have taken it away.
                if engine
                    .fake
                    .links
                    .iter()
                    .any(|link| link.extra.index == index)
                {
                    engine.set_link(index, Some(up), None);
                }
            }
            engine.now += random.below(3) * 500;
            engine.with(|world, _| address::expire(world));
            engine.events.clear();
        }
        let again = State::from_bytes(&engine.state.to_bytes());
        assert_eq!(again.as_ref(), Ok(&*engine.state), "seed {seed}");
        for (kind, length) in [(38, 20), (42, 20), (106, 8), (118, 8)] {
            let mut own = vec![0; length];
            if length == 20 {
                own[4] = TUN as u8;
            }
            let mut to = Writer::default();
            to.message(kind, 0x301, 7, 0).raw(&own);
            engine.send(to.bytes(), false);
        }
    }
}

#[test]
fn what_is_longer_than_one_attribute_can_be_is_kept() {
    const MEMBERS: u32 = 8191;
    let hop = |n: u32| Nexthop {
        index: TUN,
        gateway: Some(std::net::Ipv6Addr::from_bits(n.into()).into()),
        flags: 0,
        weight: n as u16,
        realm: 0,
    };
    let mut state = State::default();
    state.objects.push(HopObject {
        id: 9,
        protocol: 4,
        body: Body::Group {
            members: (1..=MEMBERS).map(|id| (id, id as u16)).collect(),
            fdb: false,
            resilient: Some(Resilient {
                buckets: (0..65535).map(|bucket| bucket % MEMBERS + 1).collect(),
                idle: 1,
                unbalanced: 2,
                since: 3,
            }),
            order: 1,
        },
    });
    state.routes.push(Route {
        to: ip("2001:db8::"),
        prefix: 64,
        from: (ip("::"), 0),
        tos: 0,
        table: 254,
        protocol: 4,
        scope: 0,
        kind: 1,
        flags: 0,
        priority: 1024,
        source: None,
        metrics: Vec::new(),
        congestion: None,
        preference: 0,
        expires: None,
        object: 9,
        grouped: true,
        hops: (1..=MEMBERS).map(hop).collect(),
    });
    let again = State::from_bytes(&state.to_bytes());
    assert!(again.is_ok_and(|again| again == state));
}
