//! The same random requests about links, rules, neighbours and settings to the kernel and to the
//! host's functions: every answer and every event has the same bytes, except for times, counters
//! and what the kernel draws at random. Addresses and routes have such a test in `kernel.rs`.
//!
//! The kernel is asked in a network namespace of its own. Where that cannot be had, the tests say
//! `not tested`.

mod support;

use memtun_abi::uapi::*;
use memtun_stack::wire::{align, u16_at, u32_at, Messages, NESTED, TYPE};
use std::process::Command;
use support::net::{ifinfo, Net};

/// Set in the child that runs in a network namespace; its value is the seed.
const INNER: &str = "MEMTUN_TEST_SEED";
/// Number of requests that one child sends.
const REQUESTS: usize = 1500;
/// Groups to which the listener belongs: links, neighbours, rules, IPv6's view of links, settings.
const GROUPS: [u32; 7] = [1, 3, 8, 19, 12, 24, 25];

#[test]
fn answers_are_the_kernels() {
    if let Ok(seed) = std::env::var(INNER) {
        return compare(seed.parse().unwrap());
    }
    let seeds: Vec<u64> = match std::env::var("MEMTUN_TEST_SEEDS") {
        Ok(seeds) => seeds.split(',').map(|seed| seed.parse().unwrap()).collect(),
        // The last two found attributes at which a refusal does not point.
        Err(_) => (1..=4).chain([9152, 9166]).collect(),
    };
    for seed in seeds {
        let own = std::env::current_exe().unwrap();
        let child = Command::new("unshare")
            .arg("-Urn")
            .arg(own)
            .args(["answers_are_the_kernels", "--exact", "--nocapture"])
            .env(INNER, seed.to_string())
            .output();
        let Ok(child) = child else {
            println!("not tested: there is no unshare(1)");
            return;
        };
        let said = String::from_utf8_lossy(&child.stdout).into_owned()
            + &String::from_utf8_lossy(&child.stderr);
        if said.contains("not tested") || said.contains("unshare failed") {
            println!("not tested: {said}");
            return;
        }
        assert!(child.status.success(), "seed {seed}: {said}");
    }
}

/// A netlink socket of the kernel.
struct Socket {
    fd: i32,
    port: u32,
}

impl Socket {
    fn new(groups: &[u32]) -> Socket {
        const SOL_NETLINK: i32 = 270;
        // SAFETY: the calls get descriptors and pointers to locals of the lengths that they are
        // told.
        unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE);
            let mut address: libc::sockaddr_nl = std::mem::zeroed();
            address.nl_family = libc::AF_NETLINK as u16;
            let mut length = std::mem::size_of_val(&address) as u32;
            assert_eq!(libc::bind(fd, (&raw const address).cast(), length), 0);
            libc::getsockname(fd, (&raw mut address).cast(), &mut length);
            let set = |name: i32, value: u32| {
                libc::setsockopt(fd, SOL_NETLINK, name, (&raw const value).cast(), 4);
            };
            for group in groups {
                set(libc::NETLINK_ADD_MEMBERSHIP, *group);
            }
            set(libc::NETLINK_EXT_ACK, 1);
            let port = address.nl_pid;
            Socket { fd, port }
        }
    }

    fn strict(&self) {
        let one = 1u32;
        // SAFETY: the kernel reads four bytes of a local.
        let set = unsafe { libc::setsockopt(self.fd, 270, 12, (&raw const one).cast(), 4) };
        assert_eq!(set, 0);
    }

    fn send(&self, bytes: &[u8]) {
        // SAFETY: the kernel reads the bytes of the slice.
        let sent = unsafe { libc::send(self.fd, bytes.as_ptr().cast(), bytes.len(), 0) };
        assert_eq!(sent, bytes.len() as isize);
    }

    /// Returns the datagrams that are there.
    fn drain(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut room = vec![0u8; 1 << 17];
        loop {
            // SAFETY: the kernel writes into the room of this length.
            let n = unsafe {
                let flags = libc::MSG_DONTWAIT;
                libc::recv(self.fd, room.as_mut_ptr().cast(), room.len(), flags)
            };
            if n <= 0 {
                return all;
            }
            all.push(room[..n as usize].to_vec());
        }
    }
}

fn make(name: &str, flags: u32) -> i32 {
    let mut ifreq = IfReq::default();
    ifreq.set_name(&memtun_abi::Name::new(name.as_bytes()).unwrap());
    ifreq.set_flags(flags as u16);
    // SAFETY: the calls get a constant string, and an ifreq that lives as long as the call.
    unsafe {
        let fd = libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        if fd < 0 || libc::ioctl(fd, TUNSETIFF.into(), ifreq.0.as_mut_ptr()) < 0 {
            return -1;
        }
        fd
    }
}

/// Numbers that look random and are the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n
    }
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

fn compare(seed: u64) {
    if make("tun0", IFF_TUN | IFF_NO_PI) < 0 || make("tap0", IFF_TAP | IFF_NO_PI) < 0 {
        println!("not tested: /dev/net/tun cannot be used");
        return;
    }
    for which in ["all", "default", "lo", "tun0", "tap0"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "0");
    }
    let (loose, strict, listener) = (Socket::new(&[]), Socket::new(&[]), Socket::new(&GROUPS));
    strict.strict();
    let mut net = Net::new();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mac = support::net::request(libc::RTM_NEWLINK, 5, &ifinfo(0, 3, 0, 0), |to| {
        to.attribute(libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
    });
    loose.send(&mac);
    loose.drain();
    net.ask(&mac);
    // IPv4 knows what an address is from its first one on.
    let address =
        support::net::request(libc::RTM_NEWADDR, 5, &[2, 24, 0x80, 0, 3, 0, 0, 0], |to| {
            to.attribute(libc::IFA_LOCAL, &[10, 9, 0, 1]);
        });
    loose.send(&address);
    loose.drain();
    net.ask(&address);
    listener.drain();
    net.events.clear();
    for number in 0..REQUESTS {
        let socket = if random.one_in(4) { &strict } else { &loose };
        let mut request = any(&mut random);
        request[8..12].copy_from_slice(&(number as u32 + 10).to_ne_bytes());
        let options = memtun_stack::ask::option::EXT_ACK
            | if socket.port == strict.port {
                memtun_stack::ask::option::STRICT
            } else {
                0
            };
        net.asker.port = socket.port;
        net.asker.options = options;
        socket.send(&request);
        let (theirs, ours) = (socket.drain(), net.ask(&request));
        let (raw_theirs, raw_ours) = (theirs.clone(), ours.clone());
        let (theirs, ours) = (normal(theirs), normal(ours));
        let which = if socket.port == strict.port {
            ", strict"
        } else {
            ""
        };
        assert!(
            theirs == ours,
            "request {number} of seed {seed}{which}\n{}\n{}",
            show(&request),
            difference(&theirs, &ours)
        );
        // Longer answers are cut by the room that the asker has.
        if raw_ours.concat().len() < 3500 && u16_at(&request, 4) != Some(30) {
            let alone = [&raw_theirs, &raw_ours].map(|all| all.last().map(|last| is_end(last)));
            assert_eq!(alone[0], alone[1], "where the end is: {}", show(&request));
        }
        let theirs = normal(listener.drain());
        let events = std::mem::take(&mut net.events);
        let told = events.into_iter();
        let told = told.filter(|e| GROUPS.contains(&e.group.into()));
        let ours = normal(told.map(|e| e.message).collect());
        assert!(
            theirs == ours,
            "events of request {number} of seed {seed}{which}\n{}\n{}",
            show(&request),
            difference(&theirs, &ours)
        );
    }
}

/// Is a datagram nothing but the end of a dump?
fn is_end(datagram: &[u8]) -> bool {
    let mut messages = Messages(datagram);
    let kind = messages.next().map(|message| message.kind);
    kind == Some(libc::NLMSG_DONE as u16) && messages.next().is_none()
}

/// Returns the lines in which two lists of messages differ.
fn difference(theirs: &[Vec<u8>], ours: &[Vec<u8>]) -> String {
    let lines = |all: &[Vec<u8>]| {
        let text = all.iter().map(|m| show(m)).collect::<String>();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (theirs, ours) = (lines(theirs), lines(ours));
    if theirs.len() == ours.len() {
        let pairs = theirs.iter().zip(&ours).filter(|(a, b)| a != b);
        let pair = |(a, b): (&String, &String)| {
            let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            let words = |s: &str| s[same.saturating_sub(60)..s.len().min(same + 60)].to_owned();
            let commas = a[..same].matches(',').count();
            format!("kernel:\n{}\nhost:\n{}\nat {commas}\n", words(a), words(b))
        };
        return pairs.map(pair).collect();
    }
    let begin = theirs.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    let (ends, our_ends) = (theirs[begin..].iter().rev(), ours[begin..].iter().rev());
    let end = ends.zip(our_ends).take_while(|(a, b)| a == b).count();
    let part = |lines: &[String]| lines[begin.saturating_sub(3)..lines.len() - end].join("\n");
    format!("kernel:\n{}\nhost:\n{}", part(&theirs), part(&ours))
}

/// Returns the messages in the datagrams without what differs from run to run. Neighbours are
/// sorted: the kernel's order is that of a hash with a random seed.
fn normal(datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for datagram in datagrams {
        for message in Messages(&datagram) {
            let mut bytes = message.bytes.to_vec();
            match message.kind {
                libc::RTM_NEWLINK | libc::RTM_DELLINK => mask_link(&mut bytes),
                libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => {
                    // What a card receives changes as the groups of IPv6 do, at any time.
                    let group = message.body.first() == Some(&7);
                    if group || message.body.get(11) == Some(&5) {
                        // IPv6 has spoken to a multicast group.
                        continue;
                    }
                    mask(&mut bytes, 28, &|kind| {
                        matches!(kind, libc::NDA_CACHEINFO | libc::NDA_PROBES)
                    });
                }
                36 => mask(&mut bytes, 36, &|kind| matches!(kind, 3 | 7)),
                92 => mask(&mut bytes, 28, &|kind| kind == 1),
                64 => mask_table(&mut bytes),
                _ => {}
            }
            all.push(bytes);
        }
    }
    let neighbour = |m: &Vec<u8>| matches!(u16_at(m, 4), Some(28..=29));
    for run in all.chunk_by_mut(|a, b| neighbour(a) && neighbour(b)) {
        run.sort();
    }
    all
}

fn each(bytes: &[u8], from: usize, to: usize, run: &mut dyn FnMut(u16, usize, usize)) {
    let mut at = from;
    while at + 4 <= to {
        let length = usize::from(u16_at(bytes, at).unwrap());
        if length < 4 || at + length > to {
            return;
        }
        run(u16_at(bytes, at + 2).unwrap() & TYPE, at + 4, at + length);
        at = align(at + length);
    }
}

fn mask(bytes: &mut [u8], from: usize, which: &dyn Fn(u16) -> bool) {
    let mut ranges = Vec::new();
    each(bytes, from, bytes.len(), &mut |kind, from, to| {
        if which(kind) {
            ranges.push(from..to);
        }
    });
    for range in ranges {
        bytes[range].fill(0);
    }
}

fn mask_inet6(bytes: &mut [u8], from: usize, to: usize) {
    let mut ranges = Vec::new();
    each(bytes, from, to, &mut |kind, from, to| {
        // Flags follow events that are late; then come times, and counters.
        if matches!(kind, 1 | 3 | 5 | 6) {
            ranges.push(from..to);
        }
    });
    for range in ranges {
        bytes[range].fill(0);
    }
}

fn mask_link(bytes: &mut [u8]) {
    let family = bytes[16];
    mask(bytes, 32, &|kind| {
        matches!(kind, libc::IFLA_STATS | libc::IFLA_STATS64)
    });
    let mut inet6 = Vec::new();
    each(bytes, 32, bytes.len(), &mut |kind, from, to| {
        if kind == libc::IFLA_PROTINFO && family == 10 {
            inet6.push((from, to));
        }
        if kind == libc::IFLA_AF_SPEC {
            each(bytes, from, to, &mut |kind, from, to| {
                if kind == 10 {
                    inet6.push((from, to));
                }
            });
        }
    });
    for (from, to) in inet6 {
        mask_inet6(bytes, from, to);
    }
}

/// Masks counters, times and random numbers of a table of neighbours.
fn mask_table(bytes: &mut [u8]) {
    let mut ranges = Vec::new();
    each(bytes, 20, bytes.len(), &mut |kind, from, to| match kind {
        5 | 7 => ranges.push(from..to),
        6 => each(bytes, from, to, &mut |kind, from, to| {
            if matches!(kind, 2 | 3) {
                ranges.push(from..to);
            }
        }),
        _ => {}
    });
    for range in ranges {
        bytes[range].fill(0);
    }
}

/// Returns a message in words for people.
fn show(bytes: &[u8]) -> String {
    let mut text = String::new();
    for message in Messages(bytes) {
        text += &format!(
            "  type {} flags {:#x} sequence {} port {} length {}\n",
            message.kind,
            message.flags,
            message.sequence,
            message.port,
            message.bytes.len()
        );
        let (own, from) = match message.kind {
            2 if message.flags & 0x100 == 0 => {
                let within = u32_at(message.body, 4).unwrap_or(0) as usize;
                (4, 16 + 4 + align(within))
            }
            2 => (20, 36),
            3 => (4, 20),
            16..=19 | 108 | 109 => (16, 32),
            36..=38 | 40..=42 | 44..=46 | 100..=102 => (20, 36),
            28..=30 | 32..=34 | 92 | 94 => (12, 28),
            _ => (4, 20),
        };
        text += &format!(
            "    {:02x?}\n",
            &message.body[..own.min(message.body.len())]
        );
        each(bytes, from, message.bytes.len(), &mut |kind, from, to| {
            let value = &bytes[from..to];
            let words = String::from_utf8_lossy(value);
            let words = words.trim_end_matches('\0');
            let plain = !words.is_empty() && words.chars().all(|c| (' '..='~').contains(&c));
            text += &if plain {
                format!("    {kind}: {words:?}\n")
            } else if value.len() > 400 {
                format!("    {kind}: {} bytes {:x?}\n", value.len(), value)
            } else {
                format!("    {kind}: {value:02x?}\n")
            };
        });
    }
    text
}

/// Makes any request.
fn any(random: &mut Random) -> Vec<u8> {
    let which = std::env::var("MEMTUN_TEST_ONLY").ok();
    let mut request = match (random.below(10), which.as_deref()) {
        (_, Some("link")) => link(random),
        (_, Some("rule")) => rule(random),
        (_, Some("neighbour")) => neighbour(random),
        (_, Some("other")) => other(random),
        (0..=3, _) => link(random),
        (4..=5, _) => rule(random),
        (6..=7, _) => neighbour(random),
        _ => other(random),
    };
    if is_out_of_bounds(&request) {
        return any(random);
    }
    if random.one_in(4) {
        // What is not to be flipped: who is meant by its type, or the message's own length; and a
        // namespace that happens to exist.
        let length = request.len();
        for _ in 0..random.below(3) + 1 {
            let at = 16 + random.below(length - 16);
            request[at] ^= 1 << random.below(8);
        }
        if is_out_of_bounds(&request) {
            return any(random);
        }
    }
    if random.one_in(40) {
        let length = 16 + random.below(request.len() - 16);
        request.truncate(length.max(17));
        let length = request.len() as u32;
        request[..4].copy_from_slice(&length.to_ne_bytes());
        if is_out_of_bounds(&request) {
            return any(random);
        }
    }
    request
}

/// Does a request ask for something that is not compared: another namespace, or a carrier, which
/// the kernel follows late?
fn is_out_of_bounds(request: &[u8]) -> bool {
    let kind = u16_at(request, 4).unwrap_or(0);
    let mut out = false;
    if matches!(kind, 16 | 19 | 17) {
        each(request, 32, request.len(), &mut |kind, from, to| {
            out |= matches!(
                kind,
                libc::IFLA_NET_NS_FD | libc::IFLA_NET_NS_PID | 33 | 41 | 43 | 63 | 22
            );
            // With an mtu that is too small for IPv6 the loopback keeps half of it. It is meant by
            // its index, its name or its group.
            let mtu = u32_at(request, from).unwrap_or(0);
            let others = matches!(u32_at(request, 20), Some(2..=3));
            out |= kind == libc::IFLA_MTU && !others && mtu < 1280;
            if kind == libc::IFLA_LINKINFO {
                out |= request[from..to].windows(3).any(|w| w == b"bri");
            }
        });
    }
    // A number is that of some open file of this process, which only the kernel knows.
    if kind == 90 {
        each(request, 20, request.len(), &mut |kind, from, _| {
            out |= kind == 3 && u32_at(request, from).is_some_and(|fd| fd < 1000)
        });
    }
    // Rules and links of multicast routes are another subject.
    out |= matches!(kind, 18 | 32 | 33) && matches!(request.get(16), Some(128..=129));
    // IPv4 addresses that are answered for on no link outlive the namespace in the kernel, and are
    // found in the next one that has its place.
    let flags = request.get(26).copied().unwrap_or(0);
    out |= matches!(kind, 28..=30) && flags & 8 != 0 && request.get(16) != Some(&10);
    // Who is looked for is found or not at some later time.
    let looks = flags & 1 != 0 || {
        let mut managed = false;
        each(request, 28, request.len(), &mut |kind, from, _| {
            managed |= kind == 15 && request[from] & 1 != 0
        });
        managed
    };
    let timed = u16_at(request, 24).is_some_and(|state| state & 0x1b != 0);
    out |= kind == 28 && (looks || timed);
    // Other links than lo and the two interfaces would be deleted, or all of them.
    out || kind == 17
}

fn link(random: &mut Random) -> Vec<u8> {
    let index = random.of(&[2, 2, 2, 3, 3, 3, 1, 0, 0, 99, -1]);
    let kind = random.of(&[16, 16, 16, 19, 19, 18, 18, 108, 109]);
    let mut flags = 1 | random.of(&[4, 4, 4, 0, 12]);
    if kind == 18 && random.one_in(2) {
        flags |= 0x300;
    }
    if kind == 16 && random.one_in(3) {
        flags |= random.of(&[0x400, 0x600, 0x500, 0x100, 0x200]);
    }
    let family = random.of(&[0, 0, 0, 0, 0, 7, 10, 2, 200]);
    let (mut up, mut change) = (0, 0);
    if kind != 18 && random.one_in(4) {
        up = random.of(&[1, 0, 0x81, 0x100, 0x200, 0x1000, 4, 0x1043]);
        change = random.of(&[1, 1, 1, 0x80, 0x100, 0x200, 0x1000, 0xffff_ffff, 0]);
    }
    let strict = kind == 18 && random.one_in(2);
    let own = ifinfo(
        family,
        if flags & 0x300 != 0 { 0 } else { index },
        up,
        change,
    );
    support::net::request(kind, flags, &own, |to| {
        let many = random.of(&[0, 1, 1, 1, 2, 3]);
        for _ in 0..many {
            let attribute = if strict {
                random.of(&[9, 10, 16])
            } else if matches!(kind, 108 | 109) {
                random.of(&[16, 16, 16, 9, 10])
            } else {
                random.below(23)
            };
            match attribute {
                0 | 1 => {
                    let mtu =
                        random.of(&[1500, 1400, 1280, 68, 67, 65535, 65521, 9000, 0, u32::MAX]);
                    to.u32(libc::IFLA_MTU, mtu);
                }
                2 => {
                    to.u32(
                        libc::IFLA_TXQLEN,
                        random.of(&[0, 1, 500, 77, 1000, u32::MAX]),
                    );
                }
                3 => {
                    to.u32(libc::IFLA_GROUP, random.of(&[0, 0, 1, 5, u32::MAX]));
                }
                4 => {
                    let address: &[u8] = random.of(&[
                        &[2, 0, 0, 0, 0, 2][..],
                        &[2, 0, 0, 0, 0, 1],
                        &[1, 0, 0, 0, 0, 1],
                        &[0; 6],
                        &[2, 0, 0],
                        &[2, 0, 0, 0, 0, 3, 4, 5],
                    ]);
                    to.attribute(libc::IFLA_ADDRESS, address);
                }
                5 => {
                    let address: &[u8] = random.of(&[&[255; 6][..], &[254; 6], &[1, 2], &[]]);
                    to.attribute(libc::IFLA_BROADCAST, address);
                }
                6 => {
                    let alias: &[u8] =
                        random.of(&[&b"alias"[..], b"", b"a\0b", b"\0", &[b'x'; 256]]);
                    to.attribute(libc::IFLA_IFALIAS, alias);
                }
                7 => {
                    to.u8(libc::IFLA_OPERSTATE, random.of(&[0, 2, 4, 5, 6, 7]));
                }
                8 => {
                    to.u8(libc::IFLA_LINKMODE, random.of(&[0, 0, 1, 2, 3]));
                }
                9 | 10 => {
                    let name: &[u8] = random.of(&[
                        &b"tun0"[..],
                        b"tap0",
                        b"lo",
                        b"ren0",
                        b"ren1",
                        b"r%d",
                        b"bad name",
                        b"",
                        b"a/b",
                        b"alt0",
                        b"sixteen-bytes-xx",
                        b"%s",
                        b".",
                    ]);
                    let kind = random.of(&[libc::IFLA_IFNAME, libc::IFLA_IFNAME, 53]);
                    if random.one_in(5) {
                        to.attribute(kind, name);
                    } else {
                        to.string(kind, name);
                    }
                }
                11 => {
                    to.u32(libc::IFLA_MASTER, random.of(&[0, 0, 2, 3, 99, u32::MAX]));
                }
                12 => {
                    let open = to.begin(libc::IFLA_LINKINFO);
                    let kind: &[u8] = random.of(&[&b"tun"[..], b"nokind", b"", b"tap"]);
                    to.string(1, kind);
                    if random.one_in(3) {
                        to.attribute(2, &[]);
                    }
                    to.end(open);
                }
                13 => {
                    let open = to.begin(libc::IFLA_AF_SPEC);
                    let family = random.of(&[2, 2, 10, 10, 10, 7]);
                    let inner = to.begin(family);
                    if family == 2 {
                        let settings = to.begin(1);
                        to.u32(random.of(&[1, 3, 8, 20, 33, 34]), random.of(&[0, 1, 2]));
                        to.end(settings);
                    } else if random.one_in(2) {
                        to.attribute(7, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
                    } else {
                        to.u8(8, random.of(&[0, 1, 2, 3, 4]));
                    }
                    to.end(inner);
                    to.end(open);
                }
                14 => {
                    to.u32(
                        random.of(&[40, 58, 64]),
                        random.of(&[0, 1, 1000, 65535, 65536, 100_000, u32::MAX]),
                    );
                }
                15 => {
                    to.u8(39, random.of(&[0, 1]));
                }
                16 => {
                    if matches!(kind, 108 | 109) {
                        let open = to.begin(52 | if random.one_in(9) { 0 } else { NESTED });
                        for _ in 0..random.below(3) {
                            let name: &[u8] = random.of(&[
                                &b"alt0"[..],
                                b"alt1",
                                b"a-much-longer-alternative-name",
                                b"tun0",
                                b"a/b",
                                b"",
                            ]);
                            to.string(random.of(&[53, 53, 53, 3]), name);
                        }
                        to.end(open);
                    } else {
                        to.u32(libc::IFLA_EXT_MASK, random.of(&[0, 1, 8, 9]));
                    }
                }
                17 => {
                    to.u32(
                        random.of(&[30, 31, 32, 47, 50, 51, 15, 44]),
                        random.of(&[0, 1]),
                    );
                }
                18 => {
                    to.attribute(random.of(&[65, 66, 70, 90, 500]), &[0; 4]);
                }
                19 => {
                    to.attribute(random.of(&[14, 12, 24, 25, 46, 49, 54, 61]), &[0; 4]);
                }
                20 => {
                    to.attribute(random.of(&[4, 13, 27, 29, 10]), &[1, 2]);
                }
                21 => {
                    to.u32(libc::IFLA_GROUP, random.of(&[1, 5, 7]));
                }
                _ => {
                    to.u32(5, random.of(&[0, 3]));
                }
            }
        }
    })
}

fn rule(random: &mut Random) -> Vec<u8> {
    let kind = random.of(&[32, 32, 32, 33, 33, 34]);
    let mut flags = 5;
    if kind == 34 {
        flags |= random.of(&[0x300, 0x300, 0x300, 0]);
    } else if random.one_in(2) {
        flags |= random.of(&[0x200, 0x400, 0x600, 8, 0x100]);
    }
    let family = random.of(&[2, 2, 2, 10, 10, 10, 0, 200]);
    let mut own = vec![family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if kind != 34 || random.one_in(4) {
        own[4] = random.of(&[0, 100, 254, 255, 1]);
        own[7] = random.of(&[1, 1, 1, 1, 0, 2, 3, 6, 7, 8, 9]);
        own[3] = random.of(&[0, 0, 0, 0, 0x10, 3, 0x20]);
        if random.one_in(6) {
            own[8] = random.of(&[2, 1, 4]);
        }
        if random.one_in(3) {
            own[1] = random.of(&[0, 8, 24, 32, 33, 64, 128, 129]);
        }
        if random.one_in(3) {
            own[2] = random.of(&[0, 8, 24, 32, 33, 64, 128, 129]);
        }
    }
    let (v4, v6) = (
        [10, 1, 2, 3],
        [0xfd, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
    );
    support::net::request(kind, flags, &own, |to| {
        if own[1] != 0 && !random.one_in(8) {
            to.attribute(1, if family == 10 { &v6[..] } else { &v4 });
        }
        if own[2] != 0 && !random.one_in(8) {
            to.attribute(2, if family == 10 { &v6[..] } else { &v4 });
        }
        if kind != 34 && random.one_in(2) {
            to.u32(6, random.of(&[0, 1, 100, 1000, 1001, 32766, u32::MAX]));
        }
        if kind == 34 && !random.one_in(5) {
            return;
        }
        for _ in 0..random.below(3) {
            match random.below(14) {
                0 => {
                    to.string(
                        3,
                        random.of(&[&b"tun0"[..], b"tap0", b"none0", b"lo", b"ren0"]),
                    );
                }
                1 => {
                    to.string(
                        17,
                        random.of(&[&b"tun0"[..], b"none0", b"sixteen-bytes-xx"]),
                    );
                }
                2 => {
                    to.u32(10, random.of(&[0, 1, 5]));
                }
                3 => {
                    to.u32(16, random.of(&[0, 0xff]));
                }
                4 => {
                    to.u32(15, random.of(&[0, 50, 100, 254, 1000]));
                }
                5 => {
                    to.u32(4, random.of(&[0, 50, 1000, 2000]));
                }
                6 => {
                    to.u32(14, random.of(&[0, 8, u32::MAX]));
                }
                7 => {
                    to.u32(13, random.of(&[0, 5, u32::MAX]));
                }
                8 => {
                    to.u8(21, random.of(&[0, 3, 4]));
                }
                9 => {
                    to.u8(22, random.of(&[0, 6, 17]));
                }
                10 => {
                    let range =
                        random.of(&[[1u16, 2], [5, 5], [9, 3], [0, 0], [0, 65535], [1, 65535]]);
                    let bytes = [range[0].to_ne_bytes(), range[1].to_ne_bytes()].concat();
                    to.attribute(random.of(&[23, 24]), &bytes);
                }
                11 => {
                    to.u8(25, random.of(&[0, 1, 63, 64]));
                }
                12 => {
                    to.u64(12, random.of(&[0, 7]));
                }
                _ => {
                    to.u32(random.of(&[26, 27, 11, 40]), random.of(&[0, 1]));
                }
            }
        }
    })
}

fn neighbour(random: &mut Random) -> Vec<u8> {
    let kind = random.of(&[28, 28, 28, 29, 30, 30]);
    let mut flags = 5;
    if kind == 28 {
        flags |= random.of(&[0x400, 0x400, 0x500, 0x600, 0, 0x100]);
    }
    if kind == 30 {
        flags |= random.of(&[0, 0x300]);
    }
    let family = random.of(&[2, 2, 2, 10, 10, 10, 0, 7, 200]);
    let index = if flags & 0x300 == 0x300 && kind == 30 {
        0
    } else {
        random.of(&[3, 3, 3, 2, 1, 0, 99])
    };
    let mut own = vec![family, 0, 0, 0];
    own.extend(i32::to_ne_bytes(index));
    // States that the kernel would leave by itself after some time are compared elsewhere.
    let state: u16 = if kind == 30 && !random.one_in(8) {
        0
    } else {
        random.of(&[0x80, 0x80, 0x40, 0, 4, 0x20])
    };
    own.extend(state.to_ne_bytes());
    let flag = random.of(&[0, 0, 0, 0x80, 8, 8, 0x10, 2, 4, 0x20, 0x40]);
    own.push(if kind == 30 { flag & 8 } else { flag });
    own.push(0);
    support::net::request(kind, flags, &own, |to| {
        let last = random.of(&[1, 2, 3]);
        if kind == 30 && flags & 0x300 != 0 {
            if random.one_in(2) {
                to.u32(random.of(&[8, 9]), random.of(&[0, 2, 3, 99]));
            }
            return;
        }
        match random.below(9) {
            0 => {}
            1 => {
                to.attribute(1, &[10, 2]);
            }
            _ if family == 10 => {
                to.attribute(1, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
            }
            _ => {
                to.attribute(1, &[10, 2, 0, last]);
            }
        }
        if kind != 30 && !random.one_in(4) {
            let address: &[u8] = random.of(&[
                &[2, 0, 0, 0, 0, 9][..],
                &[2, 0, 0, 0, 0, 8],
                &[1, 2],
                &[2, 0, 0, 0, 0, 9, 1, 1],
            ]);
            to.attribute(2, address);
        }
        if kind == 28 && random.one_in(5) {
            to.u8(12, random.of(&[0, 42]));
        }
        if random.one_in(9) {
            to.u32(random.of(&[15, 16, 4, 13]), random.of(&[0, 2, 3, 8]));
        }
    })
}

fn other(random: &mut Random) -> Vec<u8> {
    let kind = random.of(&[
        94, 94, 95, 82, 82, 90, 38, 42, 46, 102, 66, 74, 62, 86, 86, 54, 70, 98, 110, 114,
    ]);
    let flags = 5 | random.of(&[0, 0x300]);
    let family = random.of(&[0, 2, 10, 7]);
    if kind == 66 && flags == 5 {
        return other(random);
    }
    let mut own = vec![family, 0, 0, 0];
    match kind {
        94 | 95 => {
            own.extend(u32::to_ne_bytes(random.of(&[2, 3, 1, 0, 99])));
            own.extend(u32::to_ne_bytes(
                random.of(&[1, 1, 2, 8, 0x10, 0x1f, 0, 0x40]),
            ));
        }
        38 | 42 | 46 | 102 => {
            own.extend(i32::to_ne_bytes(random.of(&[0, 99])));
            own.extend([0; 12]);
        }
        66 if random.one_in(4) => own.extend([0; 4]),
        74 => own.extend([0; 8]),
        _ => {}
    }
    support::net::request(kind, flags, &own, |to| match kind {
        82 if random.one_in(2) => {
            to.u32(
                1,
                random.of(&[1, 2, 3, 99, u32::MAX, u32::MAX - 1, u32::MAX - 2]),
            );
        }
        90 if random.one_in(2) => {
            to.u32(random.of(&[1, 3]), random.of(&[0, u32::MAX]));
        }
        94 if random.one_in(3) => {
            let open = to.begin(1 | NESTED);
            to.u32(4, random.of(&[1, 2, 0xf, 0x80]));
            to.end(open);
        }
        95 if random.one_in(2) => {
            to.u8(2, random.of(&[0, 2]));
        }
        _ => {}
    })
}
