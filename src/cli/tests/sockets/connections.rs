//! Connections that a program begins, seen from the tunnel.

use crate::support::{Place, Socket};
use memtun::IoSystem;
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_sys::inet;
use memtun_tcp::segment::{build, Plain, ACK, PSH, SYN};
use memtun_tcp::Segment;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Where the other end's numbers begin.
const THEIRS: u32 = 5000;

/// A connection that a program was told of.
struct Begun {
    socket: Socket,
    /// What the socket is to be bound to, and where it is to connect to.
    bind: SocketAddr,
    to: SocketAddr,
    /// Its name in the net, and the number of its first byte.
    own: SocketAddr,
    ours: u32,
}

/// Reads the next packet of a connection that this is true of. What was left by another one is
/// passed over.
fn next(place: &Place, is_it: impl Fn(&Segment<'_>) -> bool) -> Vec<u8> {
    /// An answer that nobody thinks of leaves when the connection is given up, after ten seconds.
    const SOON: Duration = Duration::from_secs(5);
    let end = Instant::now() + SOON;
    loop {
        let packet = place.system.read(place.tunnel, 65536).unwrap_or_default();
        if Segment::read(&packet).is_some_and(|it| is_it(&it)) {
            return packet;
        }
        assert!(Instant::now() < end, "no such segment comes");
        std::thread::yield_now();
    }
}

/// Lets a socket connect to another host, which answers.
///
/// A program is told so only if the answer comes within two milliseconds. Where the machine was
/// busy then, it is another case, and not looked at here.
fn connected(place: &Place) -> Begun {
    for port in 1..100 {
        let socket = Socket::tcp();
        let (answer, own, ours) = answered(place, &socket, ([10, 1, 0, 9], port).into());
        match answer {
            SocketAnswer::Carried(Some(bind), to) if to.port() == place.table().ports().open => {
                return Begun {
                    socket,
                    bind,
                    to,
                    own,
                    ours,
                };
            }
            answer => println!("{port}: {answer:?}"),
        }
    }
    panic!("the machine is too busy");
}

fn answered(place: &Place, socket: &Socket, name: SocketAddr) -> (SocketAnswer, SocketAddr, u32) {
    let mut asked = socket.asked;
    asked.name = Some(name);
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| place.ask(What::Connect, &asked));
        let packet = next(place, |it| it.destination == name && it.has(SYN));
        let syn = Segment::read(&packet).expect("a segment");
        let ours = syn.sequence.wrapping_add(1);
        let plain = Plain {
            source: name,
            destination: syn.source,
            sequence: THEIRS,
            acknowledgement: ours,
            flags: SYN | ACK,
            window: 65535,
            options: &[],
        };
        let mut room = Vec::new();
        build(&plain, &mut room);
        place.write(&room);
        let answer = answered.join().expect("no panic");
        (answer.expect("connected"), syn.source, ours)
    })
}

/// Reads the next segment of a connection: its flags, numbers and bytes.
fn segment(place: &Place, of: &Begun) -> (u8, u32, u32, Vec<u8>) {
    let packet = next(place, |it| it.source == of.own);
    let it = Segment::read(&packet).expect("a segment");
    let (numbers, bytes) = ((it.sequence, it.acknowledgement), it.payload.to_vec());
    (it.flags, numbers.0, numbers.1, bytes)
}

#[test]
fn the_other_side_is_answered_whether_the_program_comes_or_not() {
    let place = Place::new(&["10.1.0.1/24"]);
    let stays_away = connected(&place);
    let answer = (ACK, stays_away.ours, THEIRS + 1, Vec::new());
    assert_eq!(segment(&place, &stays_away), answer);

    let comes = connected(&place);
    let socket = comes.socket.fd.as_fd();
    inet::bind_name(socket, &comes.bind).expect("bound");
    // On the loopback it is there when the call returns, and the call does not say so.
    let begun = inet::connect_name(socket, &comes.to);
    assert_eq!(begun, Err(Errno(libc::EINPROGRESS)));
    memtun_sys::send(socket, &[b"first"]).expect("sent");
    let answer = (ACK, comes.ours, THEIRS + 1, Vec::new());
    assert_eq!(segment(&place, &comes), answer);
    let data = (ACK | PSH, comes.ours, THEIRS + 1, b"first".to_vec());
    assert_eq!(segment(&place, &comes), data);
}
