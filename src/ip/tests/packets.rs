//! Packets as they are built and read: each by what it must say, and any bytes without a panic.

use memtun_ip::arp::Arp;
use memtun_ip::discovery::{self, Discovery, Flags};
use memtun_ip::ethernet::{self, Frame};
use memtun_ip::group::{self, Message, Query, Record};
use memtun_ip::icmp::echo::Echo;
use memtun_ip::icmp::{self, v4, v6};
use memtun_ip::tcp::{self, Segment};
use memtun_ip::udp::{self, Datagram};
use memtun_ip::{
    checksum, offload, protocol, Embedded, Head, IcmpError, Malformed, NoRoom, Packet,
};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const A4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const A6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
const B6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

fn datagram(from: IpAddr, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut room = vec![0; payload.len() + 48];
    let head = Head::new(from, to, protocol::UDP);
    let length = udp::write(&mut room, &head, (1000, 2000), payload).unwrap();
    room.truncate(length);
    room
}

#[test]
fn a_datagram_is_what_linux_sends() {
    let bytes = datagram(A4, B4, b"hello");
    assert_eq!(
        bytes,
        [
            0x45, 0, 0, 33, 0, 0, 0x40, 0, 64, 17, 0x26, 0xca, 10, 0, 0, 1, 10, 0, 0, 2, 3, 0xe8,
            7, 0xd0, 0, 13, 0x9c, 0x47, b'h', b'e', b'l', b'l', b'o'
        ]
    );
    let packet = Packet::parse(&bytes).unwrap();
    let datagram = Datagram::parse(&packet).unwrap();
    assert_eq!((datagram.source, datagram.destination), (1000, 2000));
    assert_eq!(datagram.payload, b"hello");
}

#[test]
fn a_checksum_of_zero_is_sent_as_ones() {
    // The payload is chosen so that the sum over all of it is ones.
    let bytes = datagram(A4, B4, &[0, 0]);
    let sum = u16::from_be_bytes([bytes[26], bytes[27]]);
    let bytes = datagram(A4, B4, &sum.to_be_bytes());
    assert_eq!(bytes[26..28], [0xff, 0xff]);
    assert!(Datagram::parse(&Packet::parse(&bytes).unwrap()).is_some());
}

#[test]
fn only_ipv4_takes_a_datagram_without_a_checksum() {
    for (from, to, at, taken) in [(A4, B4, 26, true), (A6, B6, 46, false)] {
        let mut bytes = datagram(from, to, b"hello");
        bytes[at..at + 2].copy_from_slice(&[0, 0]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(Datagram::parse(&packet).is_some(), taken, "{to}");
        bytes[at] = 1;
        let packet = Packet::parse(&bytes).unwrap();
        assert!(Datagram::parse(&packet).is_none(), "{to}");
    }
}

#[test]
fn a_checksum_that_is_left_to_hardware_is_completed() {
    for (from, to, at) in [(A4, B4, 20), (A6, B6, 40)] {
        let mut bytes = datagram(from, to, b"hello");
        // The checksum of the pseudo header alone, as a sender leaves it there.
        let length = (bytes.len() - at) as u32;
        let mut sum = u32::from(protocol::UDP) + length;
        for pair in bytes[if at == 20 { 12 } else { 8 }..at].chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        bytes[at + 6..at + 8].copy_from_slice(&(sum as u16).to_be_bytes());
        let packet = Packet::parse(&bytes).unwrap();
        assert!(Datagram::parse(&packet).is_none(), "{to}");
        let completed = offload::completed(&packet).unwrap();
        assert_eq!(completed, datagram(from, to, b"hello"));
        bytes[at + 7] ^= 1;
        assert_eq!(offload::completed(&Packet::parse(&bytes).unwrap()), None);
        assert_eq!(
            offload::completed(&Packet::parse(&completed).unwrap()),
            None
        );
    }
}

#[test]
fn a_header_is_checked_as_the_kernel_does() {
    let good = datagram(A4, B4, b"hello");
    let wrong = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        memtun_ip::head::refresh_checksum(&mut bytes);
        Packet::parse(&bytes).map(|packet| packet.bytes().len())
    };
    assert_eq!(wrong(0, 0x44), Err(Malformed::Header));
    assert_eq!(wrong(0, 0x55), Err(Malformed::Header));
    assert_eq!(wrong(3, 34), Err(Malformed::Truncated));
    assert_eq!(wrong(3, 19), Err(Malformed::Header));
    assert_eq!(wrong(3, 30), Ok(30));
    let mut bytes = good.clone();
    bytes[8] = 63;
    assert_eq!(Packet::parse(&bytes), Err(Malformed::Checksum));
    assert_eq!(Packet::parse(&good[..12]), Err(Malformed::Header));
}

#[test]
fn an_error_quotes_as_much_as_linux_does() {
    for (from, to, longest) in [(A4, B4, 576), (A6, B6, 1280)] {
        let bytes = datagram(from, to, &[7; 1400]);
        let packet = Packet::parse(&bytes).unwrap();
        let error = match to.is_ipv6() {
            false => IcmpError::v4(v4::UNREACHABLE, v4::PORT, 0),
            true => IcmpError::v6(v6::UNREACHABLE, v6::PORT, 0),
        };
        assert!(error.may_answer(&packet, false));
        let (head, mut room) = (error.head(&packet, to), [0; 1500]);
        let length = error.write(&mut room, &head, packet.bytes()).unwrap();
        assert_eq!(length, longest);
        let answer = Packet::parse(&room[..length]).unwrap();
        assert!(icmp::is_right(&answer));
        assert!(!error.may_answer(&answer, false), "an error about an error");
        let (read, quoted) = IcmpError::parse(&answer).unwrap();
        assert_eq!(read, error);
        let embedded = Embedded::parse(quoted).unwrap();
        assert_eq!(embedded.protocol, protocol::UDP);
        assert_eq!(embedded.local, SocketAddr::new(from, 1000));
        assert_eq!(embedded.remote, SocketAddr::new(to, 2000));
        assert!(embedded.data().iter().all(|byte| *byte == 7));
        assert_eq!(error.errno(), Some((111, true)));
    }
}

#[test]
fn some_packets_never_get_an_error() {
    let error = IcmpError::v4(v4::UNREACHABLE, v4::PORT, 0);
    let multicast = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 5));
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let everybody = IpAddr::V4(Ipv4Addr::BROADCAST);
    for (from, to, may) in [
        (A4, B4, true),
        (A4, multicast, false),
        (A4, everybody, false),
        (nobody, B4, false),
        (multicast, B4, false),
    ] {
        let bytes = datagram(from, to, b"x");
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(error.may_answer(&packet, false), may, "{from} {to}");
    }
    let group = IpAddr::V6(ethernet::ALL_NODES);
    let bytes = datagram(A6, group, b"x");
    let packet = Packet::parse(&bytes).unwrap();
    assert!(!IcmpError::v6(v6::UNREACHABLE, v6::PORT, 0).may_answer(&packet, false));
    assert!(IcmpError::v6(v6::TOO_BIG, 0, 1280).may_answer(&packet, false));
    let mut piece = datagram(A4, B4, &[0; 64]);
    piece[6..8].copy_from_slice(&[0x20, 2]);
    memtun_ip::head::refresh_checksum(&mut piece);
    assert!(!error.may_answer(&Packet::parse(&piece).unwrap(), false));
}

#[test]
fn a_reset_answers_as_rfc_793_says() {
    for (from, to) in [(A4, B4), (A6, B6)] {
        let segment = |flags: &dyn Fn(&mut etherparse::TcpHeader)| {
            let mut header = etherparse::TcpHeader::new(1000, 80, 500, 100);
            header.acknowledgment_number = 900;
            flags(&mut header);
            let head = Head::new(from, to, protocol::TCP);
            let mut room = vec![0; 80];
            let at = head.length();
            room[at..at + 20].copy_from_slice(&header.to_bytes());
            room[at + 20..at + 23].copy_from_slice(b"abc");
            let total = head.write(&mut room, 23).unwrap();
            room.truncate(total);
            let sum = checksum::with_pseudo_header(from, to, protocol::TCP, &room[at..]);
            room[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
            let (packet, mut answer) = (Packet::parse(&room).unwrap(), [0; 80]);
            tcp::reset(&mut answer, &packet).unwrap().map(|length| {
                let packet = Packet::parse(&answer[..length]).unwrap();
                let segment = Segment::parse(&packet).unwrap().header;
                assert_eq!(
                    (segment.source_port(), segment.destination_port()),
                    (80, 1000)
                );
                assert!(segment.rst());
                let (number, ack) = (segment.sequence_number(), segment.acknowledgment_number());
                (number, segment.ack().then_some(ack))
            })
        };
        assert_eq!(segment(&|header| header.syn = true), Some((0, Some(504))));
        assert_eq!(segment(&|header| header.fin = true), Some((0, Some(504))));
        assert_eq!(segment(&|header| header.ack = true), Some((900, None)));
        assert_eq!(segment(&|header| header.rst = true), None);
    }
}

#[test]
fn an_echo_is_read_and_answered() {
    for (from, to, protocol) in [(A4, B4, protocol::ICMP), (A6, B6, protocol::ICMP6)] {
        let (mut room, data) = ([0; 100], b"abcdefgh");
        let request = Echo {
            reply: false,
            code: 0,
            id: 77,
            sequence: 3,
            data,
        };
        let length = request
            .write(&mut room, &Head::new(from, to, protocol))
            .unwrap();
        let packet = Packet::parse(&room[..length]).unwrap();
        assert!(icmp::is_right(&packet));
        assert_eq!(Echo::parse(&packet), Some(request));
        let mut wrong = room;
        wrong[length - 1] ^= 1;
        assert!(!icmp::is_right(&Packet::parse(&wrong[..length]).unwrap()));
    }
}

#[test]
fn arp_is_read_and_written() {
    let request = Arp {
        reply: false,
        sender: ([2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 0, 0, 1)),
        target: ([0; 6], Ipv4Addr::new(10, 0, 0, 2)),
    };
    let bytes = request.frame(ethernet::BROADCAST);
    let frame = Frame::parse(&bytes).unwrap();
    assert_eq!(
        (frame.ethertype, frame.destination),
        (ethernet::ARP, [0xff; 6])
    );
    assert_eq!(frame.payload[..8], [0, 1, 8, 0, 6, 4, 0, 1]);
    assert_eq!(Arp::parse(frame.payload), Some(request));
}

#[test]
fn neighbours_are_asked_for_and_answered() {
    let (IpAddr::V6(a), IpAddr::V6(b)) = (A6, B6) else {
        unreachable!()
    };
    let (mut room, mac) = ([0; 100], [2, 0, 0, 0, 0, 1]);
    let group = ethernet::solicited_node(b);
    assert_eq!(group.to_string(), "ff02::1:ff00:2");
    assert_eq!(
        ethernet::of_group(group.into()),
        [0x33, 0x33, 0xff, 0, 0, 2]
    );
    let length = discovery::solicitation(&mut room, (a, group), b, Some(mac)).unwrap();
    let packet = Packet::parse(&room[..length]).unwrap();
    assert!(icmp::is_right(&packet));
    let asked = Discovery::Solicitation {
        target: b,
        link: Some(mac),
        nonce: false,
    };
    assert_eq!(Discovery::parse(&packet), Some(asked));
    let mut far = room;
    far[7] = 64;
    assert_eq!(
        Discovery::parse(&Packet::parse(&far[..length]).unwrap()),
        None
    );
    let flags = Flags {
        solicited: true,
        replaces: true,
        router: false,
    };
    let length = discovery::advertisement(&mut room, (b, a), b, Some(mac), flags).unwrap();
    let answered = Discovery::Advertisement {
        target: b,
        router: false,
        solicited: true,
        replaces: true,
        link: Some(mac),
    };
    let packet = Packet::parse(&room[..length]).unwrap();
    assert_eq!(Discovery::parse(&packet), Some(answered));
}

#[test]
fn groups_are_asked_for_and_reported() {
    let four = IpAddr::V4(Ipv4Addr::new(239, 1, 2, 3));
    let six = IpAddr::V6(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 9));
    for (from, group) in [(A4, four), (A6, six)] {
        for message in [
            Message::Report,
            Message::Leave,
            Message::Version3(Record::ToExclude),
        ] {
            let mut room = [0; 100];
            let length = group::write(&mut room, from, group, message, &[]).unwrap();
            let packet = Packet::parse(&room[..length]).unwrap();
            assert!(packet.router_alert && packet.hop_limit == 1, "{message:?}");
            match packet.protocol {
                protocol::IGMP => assert_eq!(checksum::of(packet.payload()), 0),
                _ => assert!(icmp::is_right(&packet)),
            }
            assert_eq!(Query::parse(&packet), None);
        }
    }
    let mut query = [0x11, 100, 0, 0, 239, 1, 2, 3];
    let sum = checksum::of(&query);
    query[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut room = [0; 28];
    room[20..].copy_from_slice(&query);
    Head::new(A4, B4, protocol::IGMP)
        .write(&mut room, 8)
        .unwrap();
    let asked = Query {
        group: Some(four),
        version: 2,
    };
    assert_eq!(Query::parse(&Packet::parse(&room).unwrap()), Some(asked));
}

#[test]
fn options_of_ipv6_are_refused_as_linux_refuses_them() {
    // Header, one hop-by-hop header of eight bytes, and UDP.
    let with = |option: [u8; 6]| {
        let plain = datagram(A6, B6, b"x");
        let mut bytes = plain[..40].to_vec();
        bytes.extend_from_slice(&[protocol::UDP, 0]);
        bytes.extend_from_slice(&option);
        bytes.extend_from_slice(&plain[40..]);
        bytes[5] += 8;
        bytes[6] = 0;
        bytes
    };
    let bytes = with([1, 4, 0, 0, 0, 0]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(
        (packet.protocol, packet.problem, packet.dropped),
        (17, None, false)
    );
    assert!(Datagram::parse(&packet).is_some());
    let bytes = with([0x5e, 4, 0, 0, 0, 0]);
    assert!(Packet::parse(&bytes).unwrap().dropped);
    for (kind, always) in [(0x9e, true), (0xde, false)] {
        let bytes = with([kind, 4, 0, 0, 0, 0]);
        let problem = Packet::parse(&bytes).unwrap().problem.unwrap();
        assert_eq!((problem.code, problem.pointer), (2, 42));
        assert_eq!(problem.even_for_groups, always);
    }
    let bytes = with([5, 2, 0, 0, 1, 0]);
    assert!(Packet::parse(&bytes).unwrap().router_alert);
}

#[test]
fn no_room_is_no_panic() {
    let head = Head::new(A4, B4, protocol::UDP);
    for length in 0..32 {
        let mut room = vec![0; length];
        assert_eq!(udp::write(&mut room, &head, (1, 2), b"abcd"), Err(NoRoom));
        assert_eq!(
            group::write(&mut room[..length.min(31)], A4, B4, Message::Report, &[]),
            Err(NoRoom)
        );
    }
    let mixed = Head::new(A4, B6, protocol::UDP);
    assert_eq!(
        udp::write(&mut [0; 100], &mixed, (1, 2), b"abcd"),
        Err(NoRoom)
    );
    assert_eq!(
        udp::finish(&mut [0; 70_000], &head, (1, 2), 65_508),
        Err(NoRoom)
    );
}

fn read_everything(bytes: &[u8]) {
    let _ = Embedded::parse(bytes);
    let _ = Arp::parse(bytes);
    let _ = Frame::parse(bytes);
    let Ok(packet) = Packet::parse(bytes) else {
        return;
    };
    let (mut room, mut error) = ([0; 1500], IcmpError::v4(3, 3, 0));
    error.v6 = packet.is_v6();
    if error.may_answer(&packet, false) {
        let head = error.head(&packet, packet.destination);
        error.write(&mut room, &head, packet.bytes()).unwrap();
    }
    let _ = (Datagram::parse(&packet), Segment::parse(&packet).is_some());
    let _ = (
        Echo::parse(&packet),
        IcmpError::parse(&packet),
        Query::parse(&packet),
    );
    let _ = (
        Discovery::parse(&packet),
        packet.options(),
        icmp::is_right(&packet),
    );
    let _ = tcp::reset(&mut room, &packet);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    /// Right headers in front of any bytes go further.
    #[test]
    fn any_payload_is_read_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        protocol in prop_oneof![Just(0u8), Just(43), Just(44), Just(51), Just(60), Just(1), Just(2),
            Just(6), Just(17), Just(58)],
        v6 in any::<bool>(),
        hops in prop_oneof![Just(255u8), any::<u8>()],
    ) {
        let mut head = if v6 { Head::new(A6, B6, protocol) } else { Head::new(A4, B4, protocol) };
        head.hop_limit = hops;
        let mut room = vec![0; head.length()];
        room.extend_from_slice(&bytes);
        head.write(&mut room, bytes.len()).unwrap();
        read_everything(&room);
    }

    #[test]
    fn options_of_any_bytes_harm_nobody(
        bytes in proptest::collection::vec(
            prop_oneof![Just(7u8), Just(68), Just(131), 0..44u8, any::<u8>()], 0..44),
        is_own in any::<bool>(),
    ) {
        use memtun_ip::Options;
        let own = std::net::Ipv4Addr::new(10, 9, 0, 1);
        let looked = |_| is_own;
        let received = match Options::received(&bytes, own, 7, &looked) {
            Ok(options) | Err((_, options)) => options,
        };
        let set = Options::set(&bytes, &looked).ok();
        for options in [Some(received), set, received.echo(&looked)].into_iter().flatten() {
            let mut filled = options;
            filled.pass(own);
            filled.fill(own, own, 7);
            prop_assert_eq!(filled.bytes().len(), options.bytes().len());
            options.undone();
        }
    }

    #[test]
    fn a_changed_datagram_is_refused_or_another(
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
        v6 in any::<bool>(),
    ) {
        let mut bytes = if v6 { datagram(A6, B6, &payload) } else { datagram(A4, B4, &payload) };
        let before = bytes.clone();
        let header = if v6 { 40 } else { 20 };
        let at = header + at.index(bytes.len() - header);
        bytes[at] ^= 1 << bit;
        let packet = Packet::parse(&bytes).unwrap();
        // Ones and zero are the same sum, and zero is none.
        let other = Datagram::parse(&packet).is_none() || bytes[header + 6..header + 8] == [0, 0];
        prop_assert!(other, "{before:?}");
    }
}
