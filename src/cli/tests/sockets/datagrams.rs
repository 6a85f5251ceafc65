//! Datagrams from the tunnel to sockets, and back.

use crate::support::{Place, Socket};
use memtun::IoSystem;
use memtun_ip::{udp, Head, Packet};
use memtun_stack::ask::What;
use memtun_stack::sockets::question::{set, SocketAnswer, Wire};
use memtun_stack::sockets::Protocol;
use memtun_sys::inet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

/// Makes a datagram.
pub fn datagram(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let head = Head::new(from.ip(), to.ip(), 17);
    let mut room = vec![0; 2048];
    let length = udp::write(&mut room, &head, (from.port(), to.port()), payload);
    room.truncate(length.expect("room"));
    room
}

fn alias(name: SocketAddr) -> std::net::Ipv4Addr {
    memtun_stack::sockets::table::native_v4(name.ip()).expect("an alias")
}

#[test]
fn a_datagram_reaches_the_socket_of_its_address_and_that_of_any() {
    let place = Place::new(&["10.1.0.1/24", "fd00::1/64"]);
    for (family, bound, to, from) in [
        (
            libc::AF_INET,
            "10.1.0.1:4000",
            "10.1.0.1:4000",
            "10.1.0.9:77",
        ),
        (
            libc::AF_INET,
            "0.0.0.0:4001",
            "10.1.0.1:4001",
            "10.1.0.9:77",
        ),
        (
            libc::AF_INET6,
            "[fd00::1]:4002",
            "[fd00::1]:4002",
            "[fd00::9]:77",
        ),
        (
            libc::AF_INET6,
            "[::]:4003",
            "[fd00::1]:4003",
            "[fd00::9]:77",
        ),
        (libc::AF_INET6, "[::]:4004", "10.1.0.1:4004", "10.1.0.9:77"),
        (libc::AF_INET, "10.1.0.1:53", "10.1.0.1:53", "10.1.0.9:77"),
    ] {
        let socket = Socket::new(family, libc::SOCK_DGRAM);
        socket.bind(&place, bound).expect(bound);
        place.write(&datagram(from, to, b"hello"));
        let (got, name) = socket.receive();
        assert_eq!(got, b"hello", "{bound}");
        let flow = place.table().flow(alias(name)).expect("a flow");
        assert_eq!(flow.remote, from.parse().unwrap(), "{bound}");
        assert_eq!(flow.local, to.parse().unwrap(), "{bound}");
        assert_eq!(flow.ifindex, place.index);
        assert_eq!(name.port(), place.table().ports().datagram);
    }
}

#[test]
fn one_that_hears_nothing_of_ipv4_is_reached_by_the_loopback_of_ipv6() {
    let place = Place::new(&["fd00::1/64"]);
    let socket = Socket::new(libc::AF_INET6, libc::SOCK_DGRAM).with(set::V6ONLY);
    socket.bind(&place, "[::]:4005").expect("bound");
    place.write(&datagram("[fd00::9]:77", "[fd00::1]:4005", b"six"));
    let (got, name) = socket.receive();
    assert_eq!(got, b"six");
    assert!(name.ip().is_loopback());
    let flow = place.table().flow_of_v6_port(Protocol::Udp, name.port());
    assert_eq!(
        flow.expect("a flow").remote,
        "[fd00::9]:77".parse().unwrap()
    );
}

#[test]
fn where_nobody_listens_the_sender_is_told() {
    let place = Place::new(&["10.1.0.1/24"]);
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"hello"));
    let answer = place.read();
    let packet = Packet::parse(&answer).expect("a packet");
    assert_eq!(
        (packet.protocol, packet.payload()[..2].to_vec()),
        (1, vec![3, 3])
    );
    // A socket that is closed hears nothing any more.
    let socket = Socket::udp();
    socket.bind(&place, "10.1.0.1:4000").expect("bound");
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"one"));
    assert_eq!(socket.receive().0, b"one");
    drop(socket);
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"two"));
    crate::hosting::until("the sender is told", || {
        place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"more"));
        place.system.read(place.tunnel, 2048).is_ok()
    });
}

#[test]
fn the_way_of_a_datagram_and_what_is_sent_to_its_alias() {
    let place = Place::new(&["10.1.0.1/24"]);
    let socket = Socket::udp();
    socket.bind(&place, "0.0.0.0:4000").expect("bound");
    let mut asked = socket.asked;
    asked.name = Some("10.1.0.9:77".parse().unwrap());
    asked.flags |= set::NEEDS_ALIAS;
    let SocketAnswer::Path(path) = place.ask(What::Path, &asked).expect("a way") else {
        panic!("no way");
    };
    assert_eq!(path.source, "10.1.0.1".parse::<IpAddr>().unwrap());
    assert_eq!((path.ifindex, path.mtu, path.hops), (place.index, 1500, 64));
    assert_eq!((path.wire, path.broadcast), (Wire::Bare, false));
    // What was found out is worth something until something changes.
    let answers = [(); 3].map(|()| place.ask(What::Path, &asked).expect("a way"));
    let last = place.table().generation(place.net.dir());
    for answer in answers {
        assert!(
            matches!(answer, SocketAnswer::Path(path) if path.generation == last),
            "{answer:?}"
        );
    }
    // What no hook sees is sent on by the host process.
    let datagram = inet::Datagram {
        to: path.alias.expect("an alias"),
        from: None,
        hops: 0,
        tos: None,
    };
    inet::send_datagram(socket.fd.as_fd(), &datagram, &[b"by itself"]).expect("sent");
    let sent = place.read();
    let packet = Packet::parse(&sent).expect("a packet");
    let parsed = udp::Datagram::parse(&packet).expect("a datagram");
    assert_eq!((parsed.source, parsed.destination), (4000, 77));
    assert_eq!(parsed.payload, b"by itself");
    assert_eq!(packet.source, "10.1.0.1".parse::<IpAddr>().unwrap());
    // All of a network.
    asked.name = Some("10.1.0.255:77".parse().unwrap());
    assert_eq!(
        place.ask(What::Path, &asked),
        Err(memtun_abi::Errno(libc::EACCES))
    );
    asked.flags |= set::BROADCAST;
    let answer = place.ask(What::Path, &asked);
    assert!(
        matches!(answer, Ok(SocketAnswer::Path(path)) if path.broadcast),
        "{answer:?}"
    );
}

#[test]
fn a_driver_that_receives_a_port_counts_as_a_socket() {
    let place = Place::new(&["10.1.0.1/24"]);
    let interface = place.net.interface("tun0").expect("looked").expect("there");
    let receiver = interface.receive_udp("10.1.0.1:4000".parse().unwrap());
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"for the driver"));
    assert_eq!(receiver.recv().expect("a datagram"), b"for the driver");
    // What is answered next is the answer to what follows.
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4001", b"for nobody"));
    let refused = |answer: &[u8]| u16::from_be_bytes([answer[50], answer[51]]);
    assert_eq!(refused(&place.read()), 4001);
    drop(receiver);
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"for nobody"));
    assert_eq!(refused(&place.read()), 4000);
}
