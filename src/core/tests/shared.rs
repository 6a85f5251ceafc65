//! Threads share one handle: each packet goes to one of them, and no thread waits for another
//! thread's wait.

mod common;

use common::WAIT;
use memtun::uapi::{IFF_NO_PI, IFF_TUN, TUNSETIFF};
use memtun::{ifreq, packet, Errno, Interface, IoSystem, MemoryIoSystem, Net, TunnelClass};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn attached() -> (MemoryIoSystem, i32, Interface) {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    let fd = system
        .open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0)
        .expect("open");
    system
        .ioctl(fd, TUNSETIFF, &ifreq("s0", IFF_TUN | IFF_NO_PI))
        .expect("TUNSETIFF");
    let interface = system.net().wait_interface_within("s0", WAIT);
    (system, fd, interface.expect("the interface"))
}

fn numbered(number: u32) -> Vec<u8> {
    let mut packet = vec![0x45; 60];
    packet[1..5].copy_from_slice(&number.to_be_bytes());
    packet
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[1], packet[2], packet[3], packet[4]])
}

fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
    let from: SocketAddr = ([10, 0, 0, 1], 7).into();
    packet::build(from, ([10, 1, 2, 3], port).into(), payload).expect("a datagram")
}

/// Runs `wait` in a thread and `look` beside it. `look` must not take longer than a moment, and
/// until it is done `wait` has nothing to wait for.
fn beside_a_wait(wait: impl FnOnce() + Send, look: impl Fn()) {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(wait);
        std::thread::sleep(Duration::from_millis(200));
        assert!(!waiting.is_finished(), "it waits");
        let began = Instant::now();
        look();
        let took = began.elapsed();
        assert!(took < Duration::from_millis(300), "it took {took:?}");
        waiting.join().expect("its own time");
    });
}

/// Length of a wait, which must end neither earlier nor much later.
const SECONDS: Duration = Duration::from_millis(1500);

fn times_out<T>(recv: impl FnOnce(Option<Duration>) -> memtun::Result<T>) {
    let began = Instant::now();
    let answer = recv(Some(SECONDS)).err().map(|e| e.errno());
    let took = began.elapsed();
    assert_eq!(answer, Some(Errno(libc::EAGAIN)));
    assert!(
        (SECONDS..SECONDS + Duration::from_millis(300)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn a_look_beside_a_wait_does_not_wait() {
    let (_system, _fd, interface) = attached();
    let nothing =
        |e: Option<memtun::Error>| assert_eq!(e.expect("nothing").errno().0, libc::EAGAIN);
    beside_a_wait(
        || times_out(|t| interface.recv_within(t)),
        || nothing(interface.recv_within(NOW).err()),
    );
    let subscriber = interface.subscribe();
    beside_a_wait(
        || times_out(|t| subscriber.recv_within(t)),
        || nothing(subscriber.recv_within(NOW).err()),
    );
    let receiver = interface.receive_udp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 9)));
    beside_a_wait(
        || times_out(|t| receiver.recv_within(t)),
        || nothing(receiver.recv_within(NOW).err()),
    );
}

#[test]
fn a_look_sees_what_was_written_before_it_while_others_wait() {
    let (system, fd, interface) = attached();
    const ROUNDS: u32 = 2000;
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let takers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut taken = Vec::new();
                    while !end.load(SeqCst) {
                        if let Ok(packet) = interface.recv_within(Duration::from_millis(20)) {
                            taken.push(number(&packet.data));
                        }
                    }
                    taken
                })
            })
            .collect();
        let mut all = Vec::new();
        for i in 0..ROUNDS {
            system.write(fd, &numbered(i)).expect("write");
            match interface.recv_within(NOW) {
                Ok(packet) => all.push(number(&packet.data)),
                Err(e) => assert_eq!(e.errno().0, libc::EAGAIN),
            }
            // Whichever thread has the packet, nothing is left.
            let left = interface.recv_within(NOW).err().map(|e| e.errno().0);
            assert_eq!(left, Some(libc::EAGAIN), "packet {i} was not seen");
        }
        end.store(true, SeqCst);
        for taker in takers {
            all.extend(taker.join().expect("no panic"));
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..ROUNDS), "each once");
    });
}

#[test]
fn threads_share_a_flood_without_a_loss_or_a_double() {
    let (system, fd, interface) = attached();
    const PACKETS: u32 = 40_000;
    let subscriber = interface.subscribe();
    let mut all: Vec<u32> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let taken = std::iter::from_fn(|| {
                        let packet = subscriber.recv_within(Duration::from_millis(500));
                        packet.ok().map(|p| number(&p.data))
                    });
                    let taken: Vec<u32> = taken.collect();
                    assert!(taken.is_sorted(), "in order");
                    taken
                })
            })
            .collect();
        for i in 0..PACKETS {
            system.write(fd, &numbered(i)).expect("write");
        }
        let taken = takers.into_iter().map(|t| t.join().expect("no panic"));
        taken.flatten().collect()
    });
    all.sort_unstable();
    assert!(all.into_iter().eq(0..PACKETS));
}

#[test]
fn other_datagrams_do_not_keep_a_receiver_beyond_its_time() {
    let (system, fd, interface) = attached();
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = datagram(4, b"not this one");
            while !end.load(SeqCst) {
                system.write(fd, &other).expect("write");
            }
        });
        let receiver = interface.receive_udp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 5)));
        for _ in 0..20 {
            let began = Instant::now();
            let none = receiver.recv_within(Duration::from_millis(50));
            assert!(none.is_err());
            assert!(began.elapsed() < Duration::from_millis(500));
        }
        end.store(true, SeqCst);
    });
}
