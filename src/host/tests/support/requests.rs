//! Requests of rtnetlink, and random ones.

use memtun_stack::wire::Writer;
use std::net::IpAddr;

/// A generator of random numbers that begins where it is told.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 20) % u64::from(end)) as u32
    }
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

/// Makes the request of a dump.
pub fn dump(kind: u16, family: i32, length: usize) -> Vec<u8> {
    let mut own = vec![0; length];
    own[0] = family as u8;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut to = Writer::default();
    to.message(kind, flags, 7, 0).raw(&own);
    to.take()
}

const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.1.1",
    "192.168.0.1",
    "127.0.0.5",
    "10.0.0.255",
];
const ADDRESSES6: &[&str] = &[
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:1::1",
    "fd00::1",
    "fe80::5",
    "::1",
    "ff02::5",
    "::",
    "fec0::1",
    "::ffff:1.2.3.4",
    "2001:db8::1:1",
];
const PREFIXES: &[u8] = &[24, 24, 24, 25, 8, 16, 30, 31, 32, 32, 0];
const PREFIXES6: &[u8] = &[64, 64, 64, 128, 48, 126, 0];

/// Flags of a request that makes something.
fn how(random: &mut Random) -> i32 {
    let flags = [
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        libc::NLM_F_CREATE,
        libc::NLM_F_CREATE | libc::NLM_F_APPEND,
        libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
        libc::NLM_F_REPLACE,
        0,
    ];
    random.of(&flags)
}

/// Makes a random request to add or delete an address.
pub fn address(random: &mut Random) -> Vec<u8> {
    let v4 = random.one_in(2);
    let new = random.below(3) > 0;
    let (pool, prefixes) = match v4 {
        true => (ADDRESSES, PREFIXES),
        false => (ADDRESSES6, PREFIXES6),
    };
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    let index = random.of(&[2, 2, 2, 2, 3, 3, 3, 3, 1, 77]);
    let mut prefix = random.of(prefixes);
    if random.one_in(40) {
        prefix = 129;
    }
    let scope = random.of(&[0, 0, 0, 0, 0, 253, 254, 200]);
    let mut own = [family as u8, prefix, 0, scope, 0, 0, 0, 0];
    own[4] = index;
    let mut to = Writer::default();
    let how = if new { how(random) } else { 0 };
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | how) as u16;
    let kind = if new {
        libc::RTM_NEWADDR
    } else {
        libc::RTM_DELADDR
    };
    to.message(kind, flags, 5, 0).raw(&own);
    let local = ip(random.of(pool));
    if !random.one_in(20) {
        to.ip(libc::IFA_LOCAL, local);
    }
    match random.below(4) {
        0 => {
            to.ip(libc::IFA_ADDRESS, ip(random.of(pool)));
        }
        1 => {}
        _ => {
            to.ip(libc::IFA_ADDRESS, local);
        }
    }
    if v4 && random.one_in(3) {
        to.ip(
            libc::IFA_BROADCAST,
            ip(random.of(&["10.0.0.255", "10.255.255.255", "1.2.3.4"])),
        );
    }
    if v4 && random.one_in(6) {
        to.string(
            libc::IFA_LABEL,
            random.of(&[b"tun0:1".as_slice(), b"tun0:2", b"label5"]),
        );
    }
    if random.one_in(5) {
        let flags = [0x200, 0x02, 0x100, 0x400, 0x01, 0x80, 0x202, 0x04];
        to.u32(libc::IFA_FLAGS, random.of(&flags));
    }
    if random.one_in(6) {
        to.u32(9, random.of(&[1, 256, 500]));
    }
    if random.one_in(8) {
        to.u8(11, 4);
    }
    // The kernel takes the length of a lifetime for a time when it gives the route of an IPv6
    // address that is replaced its end.
    let lifetimes = v4 || how & libc::NLM_F_REPLACE == 0;
    if random.one_in(7) && lifetimes {
        let lives: [[u32; 2]; 5] = [
            [u32::MAX, u32::MAX],
            [0, u32::MAX],
            [1000, 2000],
            [0, 3000],
            [5, 3],
        ];
        let [preferred, valid] = random.of(&lives);
        let mut cache = preferred.to_ne_bytes().to_vec();
        cache.extend(valid.to_ne_bytes());
        cache.extend([0; 8]);
        to.attribute(libc::IFA_CACHEINFO, &cache);
    }
    if random.one_in(30) {
        to.attribute(libc::IFA_LOCAL, &[1, 2]);
    }
    to.take()
}

const TARGETS: &[(&str, u8)] = &[
    ("10.0.0.0", 24),
    ("10.0.0.0", 8),
    ("10.0.0.0", 25),
    ("192.168.7.0", 24),
    ("0.0.0.0", 0),
    ("10.0.0.9", 32),
    ("10.0.0.1", 24),
    ("172.16.0.0", 12),
    ("8.8.8.8", 32),
    ("0.0.0.0", 0),
];
const GATEWAYS: &[&str] = &[
    "10.0.0.2",
    "10.0.0.1",
    "10.0.0.7",
    "10.0.0.255",
    "192.168.0.9",
    "10.0.1.9",
    "224.0.0.5",
    "0.0.0.0",
    "8.8.8.8",
    "10.255.0.3",
];
const TARGETS6: &[(&str, u8)] = &[
    ("2001:db8::", 64),
    ("2001:db8::", 32),
    ("::", 0),
    ("2001:db8:7::", 48),
    ("2001:db8::9", 128),
    ("2001:db8::9", 64),
    ("fe80::", 64),
    ("fd00::", 8),
    ("::", 0),
    ("2001:db8:1::1", 128),
];
const GATEWAYS6: &[&str] = &[
    "2001:db8::2",
    "2001:db8::9",
    "fe80::9",
    "2001:db8:1::7",
    "fd00::9",
    "ff02::1",
    "::",
    "2001:db8::1",
    "::ffff:10.0.0.2",
];

fn write_metrics(random: &mut Random, to: &mut Writer) {
    let open = to.begin(libc::RTA_METRICS);
    for _ in 0..=random.below(2) {
        match random.below(7) {
            0 => to.u32(2, random.of(&[1400, 70000, 0])),
            1 => to.u32(8, 70000),
            2 => to.u32(10, 300),
            3 => to.u32(7, 10),
            4 => to.string(16, random.of(&[b"cubic".as_slice(), b"nothing"])),
            5 => to.u32(12, random.of(&[1, 64])),
            _ => to.u32(random.of(&[5, 18]), 1),
        };
    }
    to.end(open);
}

/// Makes a random request to add or delete a route.
pub fn route(random: &mut Random) -> Vec<u8> {
    let v4 = random.one_in(2);
    let new = random.below(3) > 0;
    let (targets, gateways) = match v4 {
        true => (TARGETS, GATEWAYS),
        false => (TARGETS6, GATEWAYS6),
    };
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    let (to_ip, mut prefix) = random.of(targets);
    if random.one_in(50) {
        prefix = 200;
    }
    let tos = random.of(if v4 {
        &[0, 0, 0, 0, 0, 0, 8, 16, 3]
    } else {
        &[0, 0, 0, 0, 0, 0, 0, 8, 0]
    });
    let table = random.of(&[254, 254, 254, 254, 255, 100, 0]);
    let protocol = random.of(&[3, 3, 4, 0, 2]);
    let scopes: &[u8] = match new {
        true => &[0, 0, 253, 253, 254, 255],
        false => &[255, 255, 255, 0, 253],
    };
    let scope = random.of(scopes);
    let kinds: &[u8] = match new {
        true => &[1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 12],
        false => &[0, 0, 0, 0, 1, 1, 7],
    };
    let kind = random.of(kinds);
    let mut own = [0; 12];
    own[..8].copy_from_slice(&[family as u8, prefix, 0, tos, table, protocol, scope, kind]);
    let onlink = [0, 0, 0, 0, 0, 0, 0, 4];
    own[8] = random.of(&onlink);
    let mut to = Writer::default();
    let how = if new { how(random) } else { 0 };
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | how) as u16;
    let message = if new {
        libc::RTM_NEWROUTE
    } else {
        libc::RTM_DELROUTE
    };
    to.message(message, flags, 6, 0).raw(&own);
    if prefix > 0 {
        to.ip(libc::RTA_DST, ip(to_ip));
    }
    let reject = (6..=9).contains(&kind) && !random.one_in(8);
    let multipath = !reject && random.one_in(8);
    if multipath {
        let mut list = Vec::new();
        for _ in 0..=random.below(2) {
            let mut inner = Writer::default();
            inner.message(0, 0, 0, 0);
            if !random.one_in(4) {
                inner.ip(libc::RTA_GATEWAY, ip(random.of(gateways)));
            }
            let attributes = &inner.bytes()[16..];
            list.extend(((8 + attributes.len()) as u16).to_ne_bytes());
            list.push(random.of(&[0, 0, 0, 0, 4, 1]));
            list.push(random.below(4) as u8);
            list.extend((random.of(&[0_u32, 2, 2, 3, 3])).to_ne_bytes());
            list.extend(attributes);
        }
        to.attribute(libc::RTA_MULTIPATH, &list);
    } else if !reject {
        if random.one_in(2) {
            to.ip(libc::RTA_GATEWAY, ip(random.of(gateways)));
        } else if v4 && random.one_in(6) {
            let mut via = 10_u16.to_ne_bytes().to_vec();
            match ip(random.of(GATEWAYS6)) {
                IpAddr::V6(gateway) => via.extend(gateway.octets()),
                IpAddr::V4(_) => {}
            }
            to.attribute(18, &via);
        }
        if !random.one_in(3) {
            to.u32(libc::RTA_OIF, random.of(&[2, 2, 2, 3, 3, 3, 1, 77]));
        }
    }
    if random.one_in(3) {
        to.u32(libc::RTA_PRIORITY, random.of(&[1, 100, 256, 1024]));
    }
    if random.one_in(7) {
        let pool = if v4 { ADDRESSES } else { ADDRESSES6 };
        to.ip(libc::RTA_PREFSRC, ip(random.of(pool)));
    }
    if random.one_in(9) {
        write_metrics(random, &mut to);
    }
    if random.one_in(12) {
        to.u32(libc::RTA_TABLE, random.of(&[254, 1000, 255, 100]));
    }
    if !v4 && random.one_in(10) {
        to.u8(20, random.of(&[0, 1, 3, 2]));
    }
    if !v4 && random.one_in(12) {
        to.u32(23, 5000);
    }
    to.take()
}

/// Makes a random question for the way of a packet.
pub fn lookup(random: &mut Random) -> Vec<u8> {
    let v4 = random.one_in(2);
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    let length = if v4 { 32 } else { 128 };
    let mut own = [0; 12];
    own[0] = family as u8;
    own[1] = length;
    own[3] = if v4 { random.of(&[0, 0, 0, 8]) } else { 0 };
    let flags: u32 = random.of(&[0, 0x1000, 0x1000, 0x2000, 0x3000]);
    own[8..12].copy_from_slice(&flags.to_ne_bytes());
    let more: &[&str] = match v4 {
        true => &[
            "8.8.8.8",
            "172.16.5.5",
            "192.168.7.7",
            "224.0.0.5",
            "255.255.255.255",
            "10.0.0.255",
            "127.0.0.1",
            "10.5.5.5",
            "0.0.0.0",
            "10.0.0.9",
            "10.0.1.200",
        ],
        false => &[
            "2001:db8::9",
            "2001:db8:7::7",
            "fe80::77",
            "ff02::1",
            "fd00::77",
            "2001:db8:5::",
            "2001:db8::ff",
        ],
    };
    let pool = if v4 { ADDRESSES } else { ADDRESSES6 };
    let mut to = Writer::default();
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let target = if random.one_in(3) {
        random.of(pool)
    } else {
        random.of(more)
    };
    to.message(libc::RTM_GETROUTE, flags, 8, 0).raw(&own);
    to.ip(libc::RTA_DST, ip(target));
    if random.one_in(6) {
        to.ip(libc::RTA_SRC, ip(random.of(pool)));
    }
    if random.one_in(4) {
        to.u32(libc::RTA_OIF, random.of(&[2, 3, 1, 77]));
    }
    if random.one_in(12) {
        to.u32(libc::RTA_IIF, random.of(&[2, 3]));
    }
    if random.one_in(9) {
        to.u32(16, 5);
    }
    to.take()
}

/// A random request of ioctl(2): the family of its socket, its number and its argument.
pub fn ioctl(random: &mut Random) -> (u32, u32, Vec<u8>) {
    let inet = libc::AF_INET as u32;
    let inet6 = libc::AF_INET6 as u32;
    let octets = |text: &str| match ip(text) {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    match random.below(4) {
        0 | 1 => {
            let names = [
                "tun0", "tap0", "tun0", "tap0", "tun0:1", "tap0:2", "none0", "lo",
            ];
            let name = random.of(&names);
            let mut argument = vec![0; 40];
            argument[..name.len()].copy_from_slice(name.as_bytes());
            argument[16] = random.of(&[2, 2, 2, 2, 2, 2, 10, 0]);
            let pool = [
                "10.0.0.1",
                "10.0.0.5",
                "10.0.1.1",
                "192.168.0.1",
                "0.0.0.0",
                "255.255.255.0",
                "255.255.0.0",
                "255.255.255.255",
                "255.0.255.0",
                "224.0.0.1",
                "127.0.0.9",
                "10.0.0.255",
                "240.0.0.1",
                "172.16.0.1",
                "255.255.255.128",
            ];
            argument[20..24].copy_from_slice(&octets(random.of(&pool)));
            let requests = [
                0x8915, 0x8916, 0x8916, 0x8916, 0x8917, 0x8918, 0x8918, 0x8919, 0x891a, 0x891b,
                0x891c, 0x891c,
            ];
            (inet, random.of(&requests), argument)
        }
        2 => {
            let mut argument = vec![0; 136];
            let (target, prefix) = random.of(TARGETS);
            argument[8] = random.of(&[2, 2, 2, 2, 2, 2, 2, 10]);
            argument[12..16].copy_from_slice(&octets(target));
            if random.one_in(2) {
                argument[24] = random.of(&[2, 2, 2, 2, 0]);
                argument[28..32].copy_from_slice(&octets(random.of(GATEWAYS)));
            }
            argument[40] = random.of(&[2, 2, 2, 0]);
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            argument[44..48].copy_from_slice(&mask.to_be_bytes());
            let flags: u16 = random.of(&[1, 1, 3, 3, 5, 7, 0x201, 0x41, 0x1c1]);
            argument[56..58].copy_from_slice(&flags.to_ne_bytes());
            argument[80] = random.of(&[0, 0, 0, 1, 5]);
            if !random.one_in(3) {
                argument[88] = 1;
                let name = random.of(&["tun0", "tap0", "tun0:1", "none0"]);
                argument[120..120 + name.len()].copy_from_slice(name.as_bytes());
            }
            argument[96] = random.of(&[200, 20]);
            argument[104] = 100;
            argument[112] = 7;
            (inet, random.of(&[0x890b, 0x890b, 0x890c]), argument)
        }
        _ if random.one_in(2) => {
            let mut argument = octets(random.of(ADDRESSES6));
            argument.extend(random.of(&[64_u32, 64, 128, 129]).to_ne_bytes());
            argument.extend(random.of(&[2_u32, 3, 77]).to_ne_bytes());
            (
                inet6,
                random.of(&[0x8916, 0x8916, 0x8936, 0x8918]),
                argument,
            )
        }
        _ => {
            let mut argument = vec![0; 80];
            let (target, prefix) = random.of(TARGETS6);
            argument[..16].copy_from_slice(&octets(target));
            if random.one_in(2) {
                argument[32..48].copy_from_slice(&octets(random.of(GATEWAYS6)));
            }
            argument[52] = random.of(&[prefix, prefix, prefix, 200]);
            argument[56] = random.of(&[0, 0, 1, 5]);
            let flags: u32 = random.of(&[1, 1, 3, 3, 0, 0x201, 5, 7, 0x1_0003]);
            argument[72..76].copy_from_slice(&flags.to_ne_bytes());
            argument[76..80].copy_from_slice(&random.of(&[2_u32, 3, 0, 77]).to_ne_bytes());
            (inet6, random.of(&[0x890b, 0x890b, 0x890c]), argument)
        }
    }
}

/// Makes the request of a random dump with a filter.
pub fn filtered(random: &mut Random) -> Vec<u8> {
    let routes = random.one_in(2);
    let (kind, length) = match routes {
        true => (libc::RTM_GETROUTE, 12),
        false => (libc::RTM_GETADDR, 8),
    };
    let mut own = vec![0; length];
    own[0] = random.of(&[libc::AF_INET, libc::AF_INET6, libc::AF_UNSPEC]) as u8;
    if routes {
        own[4] = random.of(&[0, 0, 254, 255, 100, 77]);
        own[5] = random.of(&[0, 0, 0, 2, 3]);
        own[7] = random.of(&[0, 0, 0, 1, 2]);
        own[9] = random.of(&[0, 0, 0, 2, 8, 0x10]);
        own[random.of(&[1, 3, 6])] = random.of(&[0, 0, 0, 0, 1]);
    } else {
        own[4] = random.of(&[0, 0, 2, 3, 77]);
        own[random.of(&[1, 2, 3])] = random.of(&[0, 0, 0, 0, 1]);
    }
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut to = Writer::default();
    to.message(kind, flags, 9, 0).raw(&own);
    if random.one_in(3) {
        to.u32(
            random.of(&[libc::RTA_OIF, libc::RTA_TABLE, 10, 40, 6]),
            random.of(&[2, 254, 77]),
        );
    }
    to.take()
}
