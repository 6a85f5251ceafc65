//! The inbound queue and the outbound log at their limits.

use memtun::Sending;
mod common;

use common::{FRAME, WAIT};
use memtun::uapi::{
    IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_TUN, TUNSETIFF,
    TUNSETQUEUE,
};
use memtun::{
    ifreq, Errno, Interface, IoSystem, MemoryIoSystem, Net, TransmitCounters, TunnelClass,
};
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);

fn attached(flags: u32) -> (MemoryIoSystem, i32, Interface) {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    let fd = open(&system, flags);
    let interface = system
        .net()
        .wait_interface_within("q0", WAIT)
        .expect("the interface");
    (system, fd, interface)
}

fn open(system: &MemoryIoSystem, flags: u32) -> i32 {
    let fd = system
        .open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0)
        .expect("open");
    system
        .ioctl(fd, TUNSETIFF, &ifreq("q0", flags | IFF_NO_PI))
        .expect("TUNSETIFF");
    fd
}

/// A packet of `len` bytes that begins with its number.
fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut packet = vec![0x45; len];
    packet[1..5].copy_from_slice(&number.to_be_bytes());
    packet
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[1], packet[2], packet[3], packet[4]])
}

#[test]
fn the_queue_holds_txqueuelen_packets_and_refuses_aloud() {
    for (flags, limit) in [(IFF_TUN, 500), (IFF_TAP, 1000)] {
        let (system, fd, interface) = attached(flags);
        let accepted = (0..limit + 20)
            .filter(|i| {
                interface
                    .inject_with(&numbered(*i, 60), Sending::new().within(NOW))
                    .is_ok()
            })
            .count();
        assert_eq!(accepted as u32, limit);
        assert_eq!(interface.info().tx.dropped, 20, "each refusal is counted");
        for i in 0..limit {
            assert_eq!(number(&system.read(fd, 100).expect("a packet")), i);
        }
        assert_eq!(system.read(fd, 100), Err(Errno(libc::EAGAIN)));
    }
}

#[test]
fn five_hundred_of_the_largest_packets_fit() {
    let (system, fd, interface) = attached(IFF_TUN);
    interface.set_mtu(65535).expect("an mtu");
    for i in 0..500 {
        interface
            .inject_with(&numbered(i, 65535), Sending::new().within(NOW))
            .expect("room");
    }
    for i in 0..500 {
        let packet = system.read(fd, 65535).expect("a packet");
        assert_eq!((number(&packet), packet.len()), (i, 65535));
    }
}

#[test]
fn sizes_of_all_kinds_go_round_the_ring_many_times() {
    let (system, fd, interface) = attached(IFF_TUN);
    interface.set_mtu(65535).expect("an mtu");
    interface.set_txqueuelen(100_000).expect("a length");
    let mut seed = 1u64;
    let (mut sent, mut read) = (0u32, 0u32);
    for _ in 0..40_000 {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        let len = 5 + (seed >> 40) as usize % if seed >> 62 == 0 { 65000 } else { 1500 };
        if seed >> 33 & 3 != 0 {
            if interface
                .inject_with(&numbered(sent, len), Sending::new().within(NOW))
                .is_ok()
            {
                sent += 1;
            }
        } else {
            for _ in 0..seed >> 35 & 7 {
                if let Ok(packet) = system.read(fd, 65535) {
                    assert_eq!(number(&packet), read);
                    assert!(packet[5..].iter().all(|b| *b == 0x45));
                    read += 1;
                }
            }
        }
    }
    while let Ok(packet) = system.read(fd, 65535) {
        assert_eq!(number(&packet), read);
        read += 1;
    }
    assert_eq!(sent, read);
}

#[test]
fn a_shorter_queue_keeps_the_oldest() {
    let (system, fd, interface) = attached(IFF_TUN);
    for i in 0..10 {
        interface
            .inject_with(&numbered(i, 60), Sending::new().within(NOW))
            .expect("room");
    }
    interface.set_txqueuelen(5).expect("a length");
    let read: Vec<u32> = std::iter::from_fn(|| system.read(fd, 100).ok())
        .map(|p| number(&p))
        .collect();
    assert_eq!(read, [0, 1, 2, 3, 4]);
    interface.set_txqueuelen(0).expect("a length");
    assert_eq!(
        interface
            .inject_with(FRAME, Sending::new().within(NOW))
            .expect_err("no room")
            .errno(),
        Errno(libc::EAGAIN)
    );
}

#[test]
fn an_injector_waits_for_room() {
    let (system, fd, interface) = attached(IFF_TUN);
    interface.set_txqueuelen(1).expect("a length");
    interface
        .inject_with(&numbered(0, 60), Sending::new().within(NOW))
        .expect("room");
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| interface.inject_with(&numbered(1, 60), Sending::new().within(WAIT)));
        while system.read(fd, 100).is_err() {}
        waiting
            .join()
            .expect("no panic")
            .expect("room after a read");
    });
    assert_eq!(number(&system.read(fd, 100).expect("the second")), 1);
}

#[test]
fn a_queue_that_goes_round_is_full_before_what_was_not_read() {
    const LEN: usize = 60_000;
    let (system, fd, interface) = attached(IFF_TUN);
    interface.set_txqueuelen(5000).expect("a length");
    interface.set_mtu(65_535).expect("an mtu");
    let mut next = 0;
    let mut fill = || {
        let how = Sending::new().within(NOW);
        while interface.inject_with(&numbered(next, LEN), how).is_ok() {
            next += 1;
        }
        next
    };
    let full = fill();
    for number in 0..full / 2 {
        assert_eq!(system.read(fd, LEN), Ok(numbered(number, LEN)));
    }
    let last = fill();
    assert!(last > full + full / 4, "{full} and {last}");
    for number in full / 2..last {
        let packet = system.read(fd, LEN).expect("a packet");
        assert!(packet == numbered(number, LEN), "packet {number} of {last}");
    }
    assert!(system.read(fd, LEN).is_err());
}

/// Time for which this thread has run, in hundredths of a second.
fn ran() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("a stat");
    let (_, behind) = stat.rsplit_once(") ").expect("a name");
    let times = behind.split(' ').skip(11).take(2);
    times
        .map(|time| time.parse::<u64>().expect("a number"))
        .sum()
}

#[test]
fn an_injector_waits_for_room_in_bytes_asleep() {
    const LEN: usize = 60_000;
    let (system, fd, interface) = attached(IFF_TUN);
    interface.set_txqueuelen(5000).expect("a length");
    interface.set_mtu(65_535).expect("an mtu");
    let put = |number: u32, time| {
        let frame = numbered(number, LEN);
        interface.inject_with(&frame, Sending::new().within(time))
    };
    let fit = (0..5000)
        .take_while(|number| put(*number, NOW).is_ok())
        .count() as u32;
    assert!((100..5000).contains(&fit), "{fit}");
    let before = ran();
    let refused = put(fit, Some(Duration::from_millis(800)));
    assert_eq!(refused.unwrap_err().errno(), Errno(libc::EAGAIN));
    assert!(ran() - before < 10, "it did not sleep");
    let frames = [numbered(fit, LEN), numbered(fit + 1, LEN)];
    let before = ran();
    let how = Sending::new().within(Some(Duration::from_millis(800)));
    let refused = interface.inject_many_with(&frames, how);
    assert_eq!(refused.unwrap_err().done(), 0);
    assert!(ran() - before < 10, "it did not sleep");
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| interface.inject_many_with(&frames, Sending::new().within(WAIT)));
        for number in 0..fit + 2 {
            let packet = loop {
                match system.read(fd, LEN) {
                    Ok(packet) => break packet,
                    Err(_) => std::thread::yield_now(),
                }
            };
            assert_eq!(self::number(&packet), number);
        }
        waiting.join().expect("no panic").expect("room after reads");
    });
}

#[test]
fn a_packet_that_is_only_offered_is_counted_when_it_is_taken() {
    let (system, fd, interface) = attached(IFF_TUN);
    interface.set_txqueuelen(1).expect("a length");
    interface
        .offer(&numbered(0, 60), Sending::new().within(NOW))
        .expect("room");
    for _ in 0..3 {
        let full = interface.offer(&numbered(1, 60), Sending::new().within(NOW));
        assert_eq!(full.expect_err("full").errno(), Errno(libc::EAGAIN));
    }
    assert_eq!(interface.info().tx.dropped, 0, "nothing is refused yet");
    let full = interface.inject_with(&numbered(1, 60), Sending::new().within(NOW));
    assert_eq!(full.expect_err("full").errno(), Errno(libc::EAGAIN));
    assert_eq!(interface.info().tx.dropped, 1);
    assert_eq!(number(&system.read(fd, 100).expect("the first")), 0);
    interface
        .offer_ip(&numbered(2, 60), Sending::new().within(NOW))
        .expect("room");
    assert_eq!(number(&system.read(fd, 100).expect("the second")), 2);
}

#[test]
fn what_a_receiver_has_passed_over_is_said_to_whoever_waits_in_vain() {
    let (system, fd, interface) = attached(IFF_TUN);
    let address = |text: &str| text.parse::<std::net::SocketAddr>().expect("an address");
    let (from, to) = (address("10.0.0.1:1"), address("10.0.0.9:7"));
    let receiver = interface.receive_udp(to);
    let mut wrong = memtun::packet::build(from, to, b"x").expect("a packet");
    *wrong.last_mut().expect("the payload") ^= 1;
    let other = memtun::packet::build(from, address("10.0.0.9:53"), b"x").expect("a packet");
    let mut header = memtun::packet::build(from, to, b"x").expect("a packet");
    header[8] -= 1;
    for packet in [&other, &wrong, &other, &header] {
        system.write(fd, packet).expect("write");
    }
    let words = "q0: no datagram to 10.0.0.9:7 in time; passed over: 2 datagrams to port 53, \
                 1 with a wrong IP checksum, 1 with a wrong UDP checksum";
    for _ in 0..2 {
        let late = receiver.recv_within(NOW).expect_err("nothing for it");
        assert_eq!(
            (late.errno(), late.to_string().as_str()),
            (Errno(libc::EAGAIN), words)
        );
    }
    system
        .write(
            fd,
            &memtun::packet::build(from, to, b"right").expect("a packet"),
        )
        .expect("write");
    assert_eq!(receiver.recv_within(NOW).expect("a datagram"), b"right");
    let late = receiver.recv_within(NOW).expect_err("nothing more");
    assert_eq!(late.to_string(), "q0: no datagram to 10.0.0.9:7 in time");
}

#[test]
fn a_receiver_of_any_address_says_which_it_has_waited_for() {
    let (system, fd, interface) = attached(IFF_TUN);
    let address = |text: &str| text.parse::<std::net::SocketAddr>().expect("an address");
    let (from, to) = (address("[fd00::1]:1"), address("[fd00::9]:7"));
    let six = memtun::packet::build(from, to, b"six").expect("a packet");
    system.write(fd, &six).expect("write");
    let in_vain = |to: &str| {
        let late = interface.receive_udp(address(to)).recv_within(NOW);
        late.expect_err("nothing for it").to_string()
    };
    assert_eq!(
        in_vain("0.0.0.0:7"),
        "q0: no datagram to 0.0.0.0:7 in time; passed over: 1 datagram to host fd00::9"
    );
    assert_eq!(
        in_vain("[::]:53"),
        "q0: no datagram to port 53 in time; passed over: 1 datagram to port 7"
    );
    let any = interface.receive_udp(address("[::]:7"));
    assert_eq!(any.recv_within(NOW).expect("a datagram"), b"six");
}

#[test]
fn what_a_link_cannot_be_is_said_with_what_it_can() {
    for (kind, most) in [(IFF_TUN, 65535), (IFF_TAP, 65521)] {
        let (_system, _fd, interface) = attached(kind);
        for wrong in [0, 67, most + 1, u32::MAX] {
            let refused = interface.set_mtu(wrong).expect_err("the kernel's limits");
            let words = format!("q0: mtu {wrong}: give 68 to {most}");
            assert_eq!(refused.errno(), Errno(libc::EINVAL));
            assert_eq!(refused.to_string(), words);
        }
        interface.set_mtu(68).expect("the least");
        interface.set_mtu(most).expect("the most");
        for (wrong, why) in [
            ("a/b", "cannot be an interface name: 1 to 15 bytes"),
            ("", "cannot be an interface name"),
            ("sixteen-letters-", "1 to 15 bytes"),
            ("a%", "one %d"),
            ("a%d%d", "one %d"),
        ] {
            let refused = interface.set_name(wrong).expect_err("no name");
            assert_eq!(refused.errno(), Errno(libc::EINVAL));
            assert!(refused.to_string().contains(why), "{refused}");
        }
        interface.set_name("q%d").expect("a pattern");
    }
}

#[test]
fn what_cannot_be_injected_is_said() {
    let (_system, _fd, interface) = attached(IFF_TUN);
    let errno = |frame: &[u8]| {
        interface
            .inject_with(frame, Sending::new().within(NOW))
            .expect_err("refused")
            .errno()
            .0
    };
    assert_eq!(errno(&[0x45; 1501]), libc::EMSGSIZE);
    assert_eq!(errno(&[]), libc::EINVAL);
    interface.set_up(false).expect("down");
    assert_eq!(errno(FRAME), libc::ENETDOWN);
    interface.delete().expect("deleted");
    assert_eq!(errno(FRAME), libc::ENODEV);
}

#[test]
fn every_subscriber_sees_every_packet_once() {
    let (system, fd, interface) = attached(IFF_TUN);
    system.write(fd, &numbered(0, 60)).expect("write");
    let (mut one, mut other) = (interface.subscribe(), interface.subscribe());
    system.write(fd, &numbered(1, 1400)).expect("write");
    for subscriber in [&mut one, &mut other] {
        let read: Vec<u32> = std::iter::from_fn(|| subscriber.recv_within(NOW).ok())
            .map(|p| number(&p.data))
            .collect();
        assert_eq!(read, [0, 1]);
    }
}

#[test]
fn a_subscriber_that_is_overtaken_is_told_how_many_it_lost() {
    let (system, fd, interface) = attached(IFF_TUN);
    let late = interface.subscribe();
    const WRITTEN: u32 = 20_000;
    for i in 0..WRITTEN {
        system.write(fd, &numbered(i, 1400)).expect("write");
    }
    let told = late.recv_within(NOW).expect_err("overtaken");
    assert_eq!(told.errno(), Errno(libc::ENOBUFS));
    let lost = told.lost() as u32;
    let (number_lost, next) = (
        format!(": {lost} packets"),
        format!("packet {}, ", lost + 1),
    );
    let text = told.to_string();
    assert!(
        text.contains(&number_lost) && text.contains(&next),
        "{text}"
    );
    for i in lost..WRITTEN {
        assert_eq!(number(&late.recv_within(NOW).expect("a packet").data), i);
    }
    assert_eq!(
        late.recv_within(NOW).expect_err("nothing left").errno(),
        Errno(libc::EAGAIN)
    );
}

#[test]
fn subscribers_without_a_lock_never_see_a_torn_packet() {
    let (system, fd, interface) = attached(IFF_TUN);
    const WRITTEN: u32 = 60_000;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let subscriber = interface.subscribe();
                scope.spawn(move || {
                    let (mut next, mut lost) = (0, 0u64);
                    while next < WRITTEN {
                        match subscriber.recv_within(WAIT) {
                            Ok(packet) => {
                                let n = number(&packet.data);
                                assert_eq!(packet.data.len(), 600 + n as usize % 900);
                                assert!(packet.data[5..].iter().all(|b| *b == 0x45), "torn");
                                assert!(n >= next);
                                next = n + 1;
                            }
                            Err(e) if e.errno().0 == libc::ENOBUFS => lost += 1,
                            Err(e) => panic!("{e}"),
                        }
                    }
                    lost
                })
            })
            .collect();
        for i in 0..WRITTEN {
            system
                .write(fd, &numbered(i, 600 + i as usize % 900))
                .expect("write");
        }
        for reader in readers {
            reader.join().expect("a reader");
        }
    });
}

#[test]
fn a_packet_larger_than_anything_is_refused_and_the_log_stays_whole() {
    let (system, fd, interface) = attached(IFF_TUN);
    system.write(fd, &numbered(1, 60)).expect("write");
    assert_eq!(
        system.write(fd, &vec![0x45; 9 << 20]),
        Err(Errno(libc::ENOBUFS))
    );
    assert_eq!(
        number(&interface.recv_within(NOW).expect("the first").data),
        1
    );
    system
        .write(fd, &numbered(2, 4_700_000))
        .expect("as large as the kernel takes");
    assert_eq!(
        interface
            .recv_within(NOW)
            .expect("the large one")
            .data
            .len(),
        4_700_000
    );
}

#[test]
fn a_flow_stays_on_one_queue_and_answers_follow() {
    let (system, first, interface) = attached(IFF_TUN | IFF_MULTI_QUEUE);
    let second = open(&system, IFF_TUN | IFF_MULTI_QUEUE);
    let address = |port: u16| std::net::SocketAddr::from(([10, 0, 0, 1], port));
    let peer = address(9);
    let packet = |port| memtun::packet::build(address(port), peer, b"x").expect("a packet");
    for port in 1..=64 {
        interface
            .inject_with(&packet(port), Sending::new().within(NOW))
            .expect("room");
    }
    let count = |fd| std::iter::from_fn(|| system.read(fd, 100).ok()).count();
    let (a, b) = (count(first), count(second));
    assert!(a > 0 && b > 0 && a + b == 64, "{a} and {b}");
    for (port, fd) in [(1000, first), (1001, second), (1002, first), (1003, second)] {
        let answer = memtun::packet::build(peer, address(port), b"x").expect("a packet");
        system.write(fd, &answer).expect("write");
        interface
            .inject_with(&packet(port), Sending::new().within(NOW))
            .expect("room");
        assert_eq!(
            system.read(fd, 100).as_deref(),
            Ok(&packet(port)[..]),
            "port {port}"
        );
    }
}

#[test]
fn who_wrote_a_flow_last_gets_its_answers() {
    const FLAGS: u32 = IFF_TUN | IFF_MULTI_QUEUE;
    let (system, first, interface) = attached(FLAGS);
    let (second, third) = (open(&system, FLAGS), open(&system, FLAGS));
    let ends: [std::net::SocketAddr; 4] =
        ["10.0.0.1:7", "10.0.0.2:9", "[fd00::1]:7", "[fd00::2]:9"].map(|end| end.parse().unwrap());
    let exchange = |fd, [own, peer]: [std::net::SocketAddr; 2]| {
        let written = memtun::packet::build(own, peer, b"x").expect("a packet");
        system.write(fd, &written).expect("write");
        let answer = memtun::packet::build(peer, own, b"y").expect("a packet");
        let sent = interface.inject_with(&answer, Sending::new().within(NOW));
        sent.expect("room");
        assert_eq!(system.read(fd, 100), Ok(answer), "{own} by {fd}");
    };
    let (v4, v6) = ([ends[0], ends[1]], [ends[2], ends[3]]);
    for flow in [v4, v6, [ends[0], ends[0]]] {
        for fd in [
            first, first, second, second, first, third, first, third, third, second, second,
        ] {
            exchange(fd, flow);
        }
        exchange(first, [ends[1], ends[0]]);
        exchange(second, flow);
    }
    // The last queue takes the place of the one that goes, and the flows of that.
    exchange(third, v4);
    system.close(first).expect("close");
    for fd in [third, second, second, third, third, second] {
        exchange(fd, v4);
        exchange(fd, v6);
    }
}

/// Writes a packet through the last of four queues, and then others that differ from it in one
/// place: all are flows of their own, whose answers come to that queue.
fn teaches_each(kind: u32, first: &[u8], places: &[usize]) {
    let flags = kind | IFF_MULTI_QUEUE;
    for at in places {
        let (system, _, interface) = attached(flags);
        let last = [(); 3].map(|()| open(&system, flags))[2];
        let packets = (0..8u8).map(|number| {
            let mut packet = first.to_vec();
            packet[*at] ^= 16 * number;
            packet
        });
        for packet in packets.clone() {
            system.write(last, &packet).expect("write");
        }
        for packet in packets {
            let how = Sending::new().within(NOW);
            interface.inject_with(&packet, how).expect("room");
            assert_eq!(system.read(last, 200), Ok(packet), "byte {at}");
        }
    }
}

#[test]
fn each_flow_is_taught_by_itself() {
    let ends = ["10.1.2.3:7", "10.4.5.6:9", "[fd00::1]:7", "[fd00::2]:9"];
    let ends = ends.map(|end| end.parse::<std::net::SocketAddr>().unwrap());
    let v4 = memtun::packet::build(ends[0], ends[1], b"payload").expect("a packet");
    let v6 = memtun::packet::build(ends[2], ends[3], b"payload").expect("a packet");
    // Addresses and ports.
    let (of_v4, of_v6) = (
        [12, 15, 16, 19, 20, 21, 22, 23],
        [8, 16, 23, 24, 32, 39, 40, 41, 42, 43],
    );
    teaches_each(IFF_TUN, &v4, &of_v4);
    teaches_each(IFF_TUN, &v6, &of_v6);
    let behind = |places: &[usize]| -> Vec<_> { places.iter().map(|at| at + 14).collect() };
    let frame =
        |ethertype: u16, packet: &[u8]| [&[2; 12][..], &ethertype.to_be_bytes(), packet].concat();
    teaches_each(IFF_TAP, &frame(0x0800, &v4), &behind(&of_v4));
    teaches_each(IFF_TAP, &frame(0x86dd, &v6), &behind(&of_v6));
}

/// Packets that look like one flow and are of several: UDP and TCP, a fragment, one with options.
#[test]
fn what_only_looks_like_the_last_flow_is_taught_anew() {
    let flags = IFF_TUN | IFF_MULTI_QUEUE;
    let ends = ["10.1.2.3:7", "10.4.5.6:9", "[fd00::1]:7", "[fd00::2]:9"];
    let ends = ends.map(|end| end.parse::<std::net::SocketAddr>().unwrap());
    let v4 = memtun::packet::build(ends[0], ends[1], b"payload").expect("a packet");
    let v6 = memtun::packet::build(ends[2], ends[3], b"payload").expect("a packet");
    let cases: [(&[u8], usize, u8); 6] = [
        (&v4, 9, 6),
        (&v4, 6, 0x20),
        (&v4, 7, 1),
        (&v4, 0, 0x46),
        (&v6, 6, 6),
        (&v6, 6, 44),
    ];
    for (first, at, with) in cases {
        // Each time other addresses, because a queue may be the right one by chance.
        for number in 0..8 {
            let (system, _, interface) = attached(flags);
            let last = [(); 3].map(|()| open(&system, flags))[2];
            let mut first = first.to_vec();
            first[18] ^= number;
            let mut other = first.clone();
            other[at] = with;
            for packet in [&first, &other] {
                system.write(last, packet).expect("write");
            }
            for packet in [&other, &first] {
                let how = Sending::new().within(NOW);
                interface.inject_with(packet, how).expect("room");
                assert_eq!(system.read(last, 200).as_ref(), Ok(packet), "byte {at}");
            }
        }
    }
}

#[test]
fn a_queue_that_comes_back_in_another_place_teaches_its_flow_anew() {
    let flags = IFF_TUN | IFF_MULTI_QUEUE;
    let (system, first, interface) = attached(flags);
    let _others = [(); 2].map(|()| open(&system, flags));
    let ends = ["10.1.2.3:7", "10.4.5.6:9"].map(|end| end.parse().unwrap());
    let [own, peer]: [std::net::SocketAddr; 2] = ends;
    let written = memtun::packet::build(own, peer, b"x").expect("a packet");
    let answer = memtun::packet::build(peer, own, b"y").expect("a packet");
    let exchange = || {
        system.write(first, &written).expect("write");
        let sent = interface.inject_with(&answer, Sending::new().within(NOW));
        sent.expect("room");
        assert_eq!(system.read(first, 100), Ok(answer.clone()));
    };
    exchange();
    for flag in [IFF_DETACH_QUEUE, IFF_ATTACH_QUEUE] {
        let switched = system.ioctl(first, TUNSETQUEUE, &ifreq("", flag));
        switched.expect("TUNSETQUEUE");
    }
    exchange();
}

#[test]
fn a_net_that_is_removed_leaves_nothing() {
    let (system, fd, interface) = attached(IFF_TUN);
    let path = system.net().path().to_owned();
    assert!(!system.net().is_idle().expect("a look"));
    system.close(fd).expect("close");
    assert!(interface.is_gone());
    assert!(system.net().is_idle().expect("a look"));
    let mut left: Vec<_> = std::fs::read_dir(&path)
        .expect("the net")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, [".memtun-net-private", ".memtun-net-state"]);
    drop((system, interface));
    assert!(!path.exists());
}

/// A queue that an interface names is ready. However long the program takes between any two
/// instructions of its TUNSETIFF, a driver gets neither "no program is attached" nor "it is gone"
/// while a queue is being attached.
#[cfg(target_arch = "x86_64")]
#[test]
fn whoever_finds_an_interface_or_its_second_queue_can_send_to_it_at_once() {
    use common::steps::{stepped, Stack};
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    /// Every SAMPLE-th instruction is looked at, because each look takes 20 ms.
    const SAMPLE: usize = 97;
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    let (asked, answered, taken) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let (net, done) = (system.net().clone(), usize::MAX);
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut refused = Vec::new();
            loop {
                let now = asked.load(SeqCst);
                if now == done {
                    return refused;
                }
                if now != answered.load(SeqCst) {
                    let found = net.interface("q0").expect("a look");
                    match found.map(|found| found.inject_with(FRAME, Sending::new().within(NOW))) {
                        Some(Ok(())) => drop(taken.fetch_add(1, SeqCst)),
                        Some(Err(e)) if e.errno().0 != libc::EAGAIN => refused.push(e.to_string()),
                        _ => (),
                    }
                    answered.store(now, SeqCst);
                }
                std::thread::yield_now();
            }
        });
        let mut look = |step: usize| {
            if step.is_multiple_of(SAMPLE) {
                let number = asked.fetch_add(1, SeqCst) + 1;
                while answered.load(SeqCst) != number {
                    std::hint::spin_loop();
                }
            }
            true
        };
        for _queue in 0..2 {
            let fd = system
                .open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0)
                .expect("open");
            let request = ifreq("q0", IFF_TUN | IFF_MULTI_QUEUE | IFF_NO_PI);
            let mut answer = None;
            let code = || answer = Some(system.ioctl(fd, TUNSETIFF, &request));
            let steps = stepped(Stack::Own, code, &mut look);
            assert!(steps > 20 * SAMPLE, "{steps} instructions");
            answer.expect("stepped").expect("TUNSETIFF");
        }
        asked.store(done, SeqCst);
        let refused = looks.join().expect("the looks");
        assert!(refused.is_empty(), "{refused:?}");
        assert!(taken.load(SeqCst) > 0, "none came in between");
    });
}

#[test]
fn what_a_closed_tunnel_did_not_read_is_counted_by_the_net_alone() {
    let (system, fd, interface) = attached(IFF_TUN);
    for i in 0..7 {
        interface
            .inject_with(&numbered(i, 60), Sending::new().within(NOW))
            .expect("room");
    }
    system.close(fd).expect("close");
    assert!(interface.is_gone());
    assert_eq!(
        interface.info().tx,
        TransmitCounters::default(),
        "as the kernel's driver"
    );
    assert_eq!(system.net().discarded(), 7);
}

#[test]
fn a_persistent_interface_without_its_program_has_no_carrier() {
    let (system, fd, interface) = attached(IFF_TUN);
    let persist = 1i32.to_ne_bytes();
    system
        .ioctl(fd, memtun::uapi::TUNSETPERSIST, &persist)
        .expect("TUNSETPERSIST");
    let running = || interface.info().flags & libc::IFF_RUNNING as u32 != 0;
    assert!(running());
    // As when the program is killed, nothing announces the end, and the number stays taken.
    // SAFETY: nobody uses the descriptor any more.
    assert_eq!(unsafe { libc::dup2(0, fd) }, fd);
    assert!(!running());
    assert!(interface.info().tunnels.is_empty() && interface.info().is_up());
    open(&system, IFF_TUN);
    assert!(running());
}
