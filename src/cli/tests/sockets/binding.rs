//! Names of sockets.

use crate::support::{Place, Socket};
use memtun_abi::Errno;
use memtun_stack::sockets::question::set;

const TAKEN: Result<Option<std::net::SocketAddr>, Errno> = Err(Errno(libc::EADDRINUSE));

#[test]
fn the_table_knows_what_was_bound() {
    let place = Place::new(&["10.1.0.1/24"]);
    let table = place.table();
    assert!(table.is_active());
    let socket = Socket::udp();
    let native = socket
        .bind(&place, "10.1.0.1:0")
        .expect("bound")
        .expect("the net's");
    let entry = table.socket(socket.asked.cookie).expect("an entry");
    assert_eq!(entry.native, native);
    assert_eq!(
        entry.local.ip(),
        "10.1.0.1".parse::<std::net::IpAddr>().unwrap()
    );
    assert!((32768..=60999).contains(&entry.local.port()));
    let own = table.own(memtun_stack::sockets::table::native_v4(native.ip()).unwrap());
    assert_eq!(own.map(|own| own.address), Some(entry.local.ip()));
    let missing = Socket::udp().bind(&place, "10.1.0.2:0");
    assert_eq!(missing, Err(Errno(libc::EADDRNOTAVAIL)));
}

#[test]
fn a_port_is_taken_as_long_as_its_socket_lives() {
    let place = Place::new(&["10.1.0.1/24"]);
    for new in [Socket::udp, Socket::tcp] {
        let first = new();
        first.bind(&place, "0.0.0.0:80").expect("bound");
        assert_eq!(new().bind(&place, "10.1.0.1:80"), TAKEN);
        assert_eq!(new().bind(&place, "0.0.0.0:80"), TAKEN);
        drop(first);
        // What another test has just forked has the socket, too, until it executes.
        let begin = std::time::Instant::now();
        while new().bind(&place, "10.1.0.1:80") == TAKEN {
            assert!(begin.elapsed().as_secs() < 5, "free again");
            std::thread::yield_now();
        }
    }
}

#[test]
fn two_nets_have_the_same_ports_and_so_has_the_machine() {
    let places = [Place::new(&["10.1.0.1/24"]), Place::new(&["10.1.0.1/24"])];
    let machine = Socket::tcp();
    let any = "0.0.0.0:0".parse().unwrap();
    memtun_sys::inet::bind_name(std::os::fd::AsFd::as_fd(&machine.fd), &any).expect("bound");
    let port = memtun_sys::inet::own_name(machine.fd.raw())
        .expect("named")
        .port();
    let mut kept = Vec::new();
    for place in &places {
        for name in [
            "0.0.0.0:80".to_owned(),
            format!("0.0.0.0:{port}"),
            format!("10.1.0.1:{}", port - 1),
        ] {
            let socket = Socket::tcp();
            socket.bind(place, &name).expect(&name);
            let entry = place.table().socket(socket.asked.cookie).expect("an entry");
            assert_eq!(entry.local, name.parse().unwrap());
            kept.push(socket);
        }
    }
}

#[test]
fn sockets_of_udp_that_share_a_port_have_native_ones_of_their_own() {
    let place = Place::new(&["10.1.0.1/24"]);
    let shared = || Socket::udp().with(set::REUSE_ADDRESS);
    let (one, other) = (shared(), shared());
    let natives = [&one, &other].map(|it| it.bind(&place, "0.0.0.0:5353").expect("bound"));
    assert_ne!(natives[0], natives[1]);
    assert_eq!(Socket::udp().bind(&place, "0.0.0.0:5353"), TAKEN);
    let table = place.table();
    let native = natives[1].expect("the net's");
    assert_eq!(
        table.net_port(memtun_stack::sockets::Protocol::Udp, native.port()),
        5353
    );
}
