//! Many packets in one call, in both directions.

mod common;

use common::WAIT;
use memtun::uapi::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TUN, TUNSETIFF};
use memtun::{
    ifreq, Direction, Errno, Error, ErrorKind, Interface, IoSystem, MemoryIoSystem, Net, Sending,
    Timeout, TunnelClass,
};

fn open(system: &MemoryIoSystem, flags: u32) -> i32 {
    let fd = system
        .open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0)
        .expect("open");
    let request = ifreq("q0", IFF_TUN | IFF_NO_PI | flags);
    system.ioctl(fd, TUNSETIFF, &request).expect("TUNSETIFF");
    fd
}

fn attached(flags: u32) -> (MemoryIoSystem, i32, Interface) {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    let fd = open(&system, flags);
    let interface = system.net().wait_interface_within("q0", WAIT);
    (system, fd, interface.expect("the interface"))
}

/// Packets that begin with their numbers.
fn numbered(numbers: std::ops::Range<u32>, len: usize) -> Vec<Vec<u8>> {
    let one = |number: u32| {
        let mut packet = vec![0x45; len];
        packet[1..5].copy_from_slice(&number.to_be_bytes());
        packet
    };
    numbers.map(one).collect()
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[1], packet[2], packet[3], packet[4]])
}

fn read_all(system: &MemoryIoSystem, fd: i32) -> Vec<u32> {
    let packets = std::iter::from_fn(|| match system.read(fd, 1 << 16) {
        Err(Errno(libc::EAGAIN)) => None,
        packet => Some(number(&packet.expect("a packet"))),
    });
    packets.collect()
}

fn now() -> Sending {
    Sending::new().within(Timeout::NOW)
}

fn failed(answer: Result<(), Error>) -> (i32, usize) {
    let e = answer.expect_err("it is refused");
    (e.errno().0, e.done())
}

#[test]
fn all_frames_go_in_and_in_their_order() {
    let (system, fd, interface) = attached(0);
    interface.inject_many::<Vec<u8>>(&[]).expect("nothing");
    interface.inject_many(&numbered(0..400, 60)).expect("room");
    assert_eq!(read_all(&system, fd), (0..400).collect::<Vec<_>>());
    // A run ends with so many bytes, too.
    interface.set_mtu(65535).expect("an mtu");
    let large = numbered(0..40, 40_000);
    interface.inject_many(&large).expect("room");
    assert_eq!(read_all(&system, fd), (0..40).collect::<Vec<_>>());
    assert_eq!(interface.info().rx.packets, 0);
    assert_eq!(interface.info().tx.packets, 440);
    assert_eq!(interface.info().tx.dropped, 0);
}

#[test]
fn a_full_queue_says_how_many_went_in_and_counts_one_refusal() {
    let (system, fd, interface) = attached(0);
    let frames = numbered(0..600, 60);
    let refused = interface.inject_many_with(&frames, now());
    let kind = refused.as_ref().expect_err("it is refused").kind();
    assert_eq!(kind, ErrorKind::Full);
    assert_eq!(failed(refused), (libc::EAGAIN, 500));
    assert_eq!(interface.info().tx.dropped, 1);
    let offered = interface.offer_many(&frames[500..], now());
    assert_eq!(failed(offered), (libc::EAGAIN, 0));
    assert_eq!(interface.info().tx.dropped, 1, "it was only offered");
    assert_eq!(read_all(&system, fd), (0..500).collect::<Vec<_>>());
    interface.offer_many(&frames[500..], now()).expect("room");
    assert_eq!(read_all(&system, fd), (500..600).collect::<Vec<_>>());
}

#[test]
fn a_frame_that_is_refused_ends_the_call_behind_those_that_went_in() {
    let (system, fd, interface) = attached(0);
    for (at, odd, errno) in [
        (0, vec![], libc::EINVAL),
        (7, vec![], libc::EINVAL),
        (32, vec![0x45; 1501], libc::EMSGSIZE),
        (33, vec![0x45; 1501], libc::EMSGSIZE),
    ] {
        let mut frames = numbered(0..50, 60);
        frames[at] = odd;
        assert_eq!(failed(interface.inject_many(&frames)), (errno, at));
        assert_eq!(read_all(&system, fd), (0..at as u32).collect::<Vec<_>>());
    }
    interface.set_up(false).expect("it is set down");
    let refused = interface.inject_many(&numbered(0..3, 60));
    assert_eq!(failed(refused), (libc::ENETDOWN, 0));
    interface.set_up(true).expect("it is set up");
    interface.set_carrier(false).expect("no carrier");
    let refused = interface.inject_many(&numbered(0..3, 60));
    assert_eq!(failed(refused), (libc::ENETDOWN, 0));
    assert_eq!(
        interface.info().tx.dropped,
        1,
        "as the kernel, only without a carrier"
    );
    system.close(fd).expect("close");
    let refused = interface.inject_many(&numbered(0..3, 60));
    assert_eq!(failed(refused), (libc::ENODEV, 0));
}

#[test]
fn an_injector_of_many_waits_for_room() {
    let (system, fd, interface) = attached(0);
    interface.set_txqueuelen(40).expect("a length");
    std::thread::scope(|s| {
        let injector = s.spawn(|| {
            interface.inject_many_with(&numbered(0..5000, 60), Sending::new().within(WAIT))
        });
        let mut next = 0;
        while next < 5000 {
            match system.read(fd, 100) {
                Err(Errno(libc::EAGAIN)) => std::thread::yield_now(),
                packet => {
                    assert_eq!(number(&packet.expect("a packet")), next);
                    next += 1;
                }
            }
        }
        let done = injector.join().expect("no panic");
        done.expect("there was room in time");
    });
    assert_eq!(interface.info().tx.dropped, 0);
}

#[test]
fn each_flow_of_many_goes_to_its_queue() {
    let (system, first, interface) = attached(IFF_MULTI_QUEUE);
    let second = open(&system, IFF_MULTI_QUEUE);
    // Datagrams of two flows in turns, which the program has put on a queue each.
    let flow = |port: u8, number: u32| {
        let mut packet = vec![0; 32];
        packet[0] = 0x45;
        packet[9] = 17;
        packet[20..24].copy_from_slice(&[0, port, 0, port]);
        packet[28..32].copy_from_slice(&number.to_be_bytes());
        packet
    };
    for (fd, port) in [(first, 1), (second, 2)] {
        system.write(fd, &flow(port, 0)).expect("it is written");
    }
    let frames: Vec<_> = (0..100).map(|n| flow(1 + (n / 3 % 2) as u8, n)).collect();
    interface.inject_many(&frames).expect("room");
    for (fd, port) in [(first, 1), (second, 2)] {
        let wanted: Vec<_> = frames.iter().filter(|f| f[21] == port).cloned().collect();
        let got: Vec<_> = std::iter::from_fn(|| system.read(fd, 100).ok()).collect();
        assert_eq!(got, wanted);
    }
}

#[test]
fn each_packet_of_many_is_captured() {
    let (system, fd, interface) = attached(0);
    let mut capture = system.net().capture().expect("a capture");
    interface.inject_many(&numbered(0..50, 60)).expect("room");
    interface.set_txqueuelen(60).expect("a length");
    let refused = interface.inject_many_with(&numbered(50..70, 60), now());
    assert_eq!(failed(refused), (libc::EAGAIN, 10));
    capture.stop().expect("it stops");
    let mut seen = Vec::new();
    while let Ok(packet) = capture.recv_within(Timeout::NOW) {
        assert_eq!(packet.direction, Direction::Inbound);
        seen.push((number(&packet.data), packet.refused));
    }
    let mut wanted: Vec<_> = (0..60).map(|n| (n, None)).collect();
    wanted.push((60, Some(Errno(libc::EAGAIN))));
    assert_eq!(seen, wanted);
    assert_eq!(read_all(&system, fd), (0..60).collect::<Vec<_>>());
}

fn write(system: &MemoryIoSystem, fd: i32, packets: &[Vec<u8>]) {
    for packet in packets {
        system.write(fd, packet).expect("it is written");
    }
}

#[test]
fn many_are_received_as_far_as_they_are_there() {
    let (system, fd, interface) = attached(0);
    let none = interface.recv_many_within(10, Timeout::NOW);
    assert_eq!(none.expect_err("nothing yet").errno().0, libc::EAGAIN);
    let packets = numbered(0..25, 60);
    write(&system, fd, &packets);
    let numbers = |most| {
        let some = interface.recv_many(most).expect("packets");
        let numbers = some.iter().map(|packet| number(&packet.data));
        numbers.collect::<Vec<_>>()
    };
    assert!(numbers(0).is_empty());
    assert_eq!(numbers(10), (0..10).collect::<Vec<_>>());
    assert_eq!(number(&interface.recv().expect("a packet").data), 10);
    assert_eq!(numbers(1000), (11..25).collect::<Vec<_>>());
    system.close(fd).expect("close");
    let gone = interface.recv_many(10).expect_err("it is gone");
    assert_eq!(gone.errno().0, libc::ENODEV);
}

#[test]
fn a_packet_that_is_not_taken_comes_next() {
    let (system, fd, interface) = attached(0);
    write(&system, fd, &numbered(0..9, 60));
    let mut taken = Vec::new();
    let some = interface.take_many(100, Timeout::NOW, |packet| {
        let room = taken.len() < 4;
        if room {
            taken.push((number(packet.data), packet.ethertype));
        }
        room
    });
    assert_eq!(some.expect("packets"), 4);
    assert_eq!(taken, [0, 1, 2, 3].map(|n| (n, 0x0800)));
    let none = interface.take_many(100, Timeout::NOW, |_| false);
    assert_eq!(none.expect("a packet is there"), 0);
    assert_eq!(number(&interface.recv().expect("a packet").data), 4);
}

#[test]
fn a_loss_ends_a_call_and_is_told_by_the_next() {
    let (system, fd, interface) = attached(0);
    let all = interface.subscribe();
    write(&system, fd, &numbered(0..3, 60));
    assert_eq!(number(&interface.recv().expect("a packet").data), 0);
    // More than the log keeps.
    interface.set_mtu(65535).expect("an mtu");
    write(&system, fd, &numbered(3..600, 65_000));
    for reader in [&all, &interface.subscribe()] {
        let mut got = 0;
        let mut lost = 0;
        loop {
            match reader.recv_many_within(7, Timeout::NOW) {
                Ok(packets) => got += packets.len() as u64,
                Err(e) if e.kind() == ErrorKind::Timeout => break,
                Err(e) => lost += e.lost(),
            }
        }
        assert!(got > 0);
        if std::ptr::eq(reader, &all) {
            assert_eq!(got + lost, 600);
            assert!(lost > 0);
        } else {
            assert_eq!(lost, 0);
        }
    }
}

#[test]
fn datagrams_to_one_address_are_received_together() {
    let (system, fd, interface) = attached(0);
    let source = "10.0.0.1:7".parse().expect("an address");
    let receiver = interface.receive_udp("10.0.0.2:9".parse().expect("an address"));
    let datagram = |to: &str, text: &[u8]| {
        let to = to.parse().expect("an address");
        memtun::packet::build(source, to, text).expect("a datagram")
    };
    let written: Vec<_> = (0..20u8)
        .flat_map(|n| [datagram("10.0.0.2:9", &[n]), datagram("10.0.0.2:10", &[n])])
        .collect();
    write(&system, fd, &written);
    let texts = |most| {
        let some = receiver.recv_many_within(most, Timeout::NOW);
        some.map(|some| {
            assert!(some.iter().all(|(_, from)| *from == source));
            some.into_iter()
                .map(|(text, _)| text[0])
                .collect::<Vec<_>>()
        })
    };
    assert!(texts(0).expect("none").is_empty());
    assert_eq!(texts(6).expect("some"), (0..6).collect::<Vec<_>>());
    assert_eq!(receiver.recv().expect("one"), [6]);
    assert_eq!(texts(100).expect("the rest"), (7..20).collect::<Vec<_>>());
    let none = texts(1).expect_err("none is left");
    assert_eq!(
        none.to_string(),
        "q0: no datagram to 10.0.0.2:9 in time; passed over: 1 datagram to port 10"
    );
}

#[test]
fn datagrams_to_the_program_are_sent_together() {
    let (system, fd, interface) = attached(0);
    let to = "10.0.0.2:9".parse().expect("an address");
    let texts: Vec<_> = (0..40u8).map(|n| vec![n; 20]).collect();
    let from = interface.send_udp_many(&texts, to).expect("room");
    for text in &texts {
        let packet = memtun::packet::build(from, to, text).expect("a datagram");
        assert_eq!(system.read(fd, 100), Ok(packet));
    }
    let too_long = [vec![0; 20], vec![0; 1 << 16], vec![0; 20]];
    let refused = interface.send_udp_many(&too_long, to).map(|_| ());
    assert_eq!(failed(refused), (libc::EINVAL, 0));
    assert_eq!(system.read(fd, 100), Err(Errno(libc::EAGAIN)));
}
