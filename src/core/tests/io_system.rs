//! The same tests against the in-memory system and the kernel's. Code that is written against the
//! trait cannot tell them apart.

use memtun::{Sending, Timeout};
mod common;

use common::{in_namespace, FRAME, WAIT};
use memtun::uapi::{IFF_NO_PI, IFF_TAP, IFF_TUN, TUNGETFEATURES, TUNGETIFF, TUNSETIFF};
use memtun::{ifreq, Errno, IoSystem, MemoryIoSystem, Net, RealSystem, TunnelClass};
use std::net::{IpAddr, SocketAddr};

const DEVICE: &str = "/dev/net/tun";
const FLAGS: i32 = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;

fn memory() -> MemoryIoSystem {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device(DEVICE, TunnelClass);
    system
}

/// What both systems do. `up` gives the interface 10.9.0.1/24 and sets it up, where the system does
/// not do that by itself.
fn behaves_like_a_tun(system: &dyn IoSystem, up: impl Fn(&str)) {
    fn errno<T>(e: i32) -> Result<T, Errno> {
        Err(Errno(e))
    }
    let fd = system.open(DEVICE, FLAGS, 0).expect("open");
    assert_eq!(
        system.read(fd, 100),
        errno(libc::EBADFD),
        "a read before TUNSETIFF"
    );
    assert_eq!(system.ioctl(fd, TUNGETIFF, &[0; 40]), errno(libc::EBADFD));
    assert_eq!(
        system.ioctl(fd, TUNGETFEATURES, &[0; 4]).expect("features"),
        0x7173u32.to_ne_bytes()
    );
    assert_eq!(
        system.ioctl(fd, TUNSETIFF, &ifreq("too/long", IFF_TUN)),
        errno(libc::EINVAL)
    );

    let answer = system
        .ioctl(fd, TUNSETIFF, &ifreq("it%d", IFF_TUN | IFF_NO_PI))
        .expect("TUNSETIFF");
    assert_eq!(&answer[..4], b"it0\0");
    assert_eq!(
        system.ioctl(fd, TUNSETIFF, &ifreq("it1", IFF_TUN)),
        errno(libc::EEXIST),
        "a second TUNSETIFF"
    );
    assert_eq!(
        system.ioctl(fd, 0xdead_beef, b"garbage"),
        errno(libc::EINVAL)
    );
    let second = system.open(DEVICE, FLAGS, 0).expect("open");
    assert_eq!(
        system.ioctl(second, TUNSETIFF, &ifreq("it0", IFF_TUN | IFF_NO_PI)),
        errno(libc::EBUSY)
    );
    assert_eq!(
        system.ioctl(second, TUNSETIFF, &ifreq("it0", IFF_TAP)),
        errno(libc::EINVAL)
    );
    system.close(second).expect("close");
    assert_eq!(system.close(second), errno(libc::EBADF));

    up("it0");
    assert_eq!(system.read(fd, 100), errno(libc::EAGAIN), "an empty queue");
    assert_eq!(system.write(fd, b""), errno(libc::EINVAL));
    assert_eq!(
        system.write(fd, &[0x15; 40]),
        errno(libc::EINVAL),
        "a wrong version"
    );

    let to: SocketAddr = "10.9.0.2:7".parse().expect("an address");
    let from = system.send_udp(b"inward", to).expect("send");
    let packet = system.read(fd, 1500).expect("the datagram");
    assert_eq!(packet.len(), 28 + 6);
    let seen = memtun::packet::parse(&packet, 0x0800, false).expect("a right datagram");
    assert_eq!(
        (seen.source, seen.destination, seen.payload),
        (from, to, &b"inward"[..])
    );

    let host: IpAddr = "10.9.0.1".parse().expect("an address");
    let mut receiver = system.receive_udp(fd, host, 4000).expect("a receiver");
    let answer =
        memtun::packet::build(to, SocketAddr::new(host, 4000), b"outward").expect("a packet");
    assert_eq!(system.write(fd, &answer), Ok(answer.len()));
    assert_eq!(
        receiver.recv_within(WAIT.into()).expect("the answer"),
        b"outward"
    );
    system.close(fd).expect("close");
    assert_eq!(system.write(fd, &answer), errno(libc::EBADF), "after close");
}

#[test]
fn the_memory_system_behaves_like_a_tun() {
    behaves_like_a_tun(&memory(), |_| {});
}

#[test]
fn the_kernel_behaves_like_a_tun() {
    in_namespace("the_kernel_behaves_like_a_tun", || {
        behaves_like_a_tun(&RealSystem, |name| {
            // Router solicitations would stand in the queue. The file is missing where the kernel
            // has no IPv6, and then there are none.
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
            for args in [
                vec!["addr", "add", "10.9.0.1/24", "dev", name],
                vec!["link", "set", name, "up"],
            ] {
                let done = std::process::Command::new("ip").args(&args).status();
                assert!(
                    done.expect("the command ip, of Debian's iproute2")
                        .success(),
                    "ip {args:?}"
                );
            }
        });
    });
}

#[test]
fn an_unknown_path_is_enosys() {
    assert_eq!(
        memory().open("/dev/null", libc::O_RDWR, 0),
        Err(Errno(libc::ENOSYS))
    );
}

#[test]
fn permissions_come_and_go() {
    use memtun::Permission::{Ioctl, NetAdmin, Open};
    let system = memory();
    let eperm = Err(Errno(libc::EPERM));
    system.net().deny(Open);
    assert_eq!(system.open(DEVICE, FLAGS, 0), eperm);
    assert_eq!(system.net().permissions(), [Ioctl, NetAdmin]);
    system.net().permit(Open);
    let fd = system.open(DEVICE, FLAGS, 0).expect("open");
    system.net().deny(Ioctl);
    assert_eq!(
        system.ioctl(fd, TUNSETIFF, &ifreq("p0", IFF_TUN)),
        Err(Errno(libc::EPERM))
    );
    system.net().permit(Ioctl);
    system.net().deny(NetAdmin);
    assert_eq!(
        system.ioctl(fd, TUNSETIFF, &ifreq("p0", IFF_TUN)),
        Err(Errno(libc::EPERM))
    );
    system.net().reset().expect("reset");
    system
        .ioctl(fd, TUNSETIFF, &ifreq("p0", IFF_TUN))
        .expect("TUNSETIFF");
}

#[test]
fn a_tunnel_tells_what_the_seed_tells() {
    let system = memory();
    system.net().set_rename("123").expect("a suffix");
    let fd = system.open(DEVICE, libc::O_RDWR, 0).expect("open");
    let answer = system
        .ioctl(fd, TUNSETIFF, &ifreq("abcdefghijklmno", IFF_TAP))
        .expect("TUNSETIFF");
    assert_eq!(&answer[..16], b"abcdefghijkl123\0");
    let tunnel = system.tunnel(fd).expect("a tunnel");
    assert_eq!(
        tunnel.name.map(|n| n.to_string()).as_deref(),
        Some("abcdefghijkl123")
    );
    assert_eq!(
        tunnel.requested_name.map(|n| n.to_string()).as_deref(),
        Some("abcdefghijklmno")
    );
    assert_eq!(
        (tunnel.mode, tunnel.blocking(), tunnel.close_on_exec()),
        (IFF_TAP, true, false)
    );
    let interface = system
        .net()
        .wait_interface_within("abcdefghijkl123", WAIT)
        .expect("the interface");
    interface
        .deliver_with(&[0x45; 20], Sending::new().within(WAIT))
        .expect("room");
    let (frame, ethertype) = &interface.read_buffer()[0];
    assert_eq!((frame.len(), *ethertype), (34, 0x0800), "framed for a TAP");
    let read = system.read(fd, 100).expect("the frame");
    assert_eq!(read[..4], [0, 0, 8, 0], "packet information");
    assert_eq!(read[4..], frame[..]);
}

#[test]
fn the_send_buffer_of_the_seed_refuses_long_packets() {
    let system = memory();
    system.net().set_send_buffer_size(Some(1024));
    let fd = system.open(DEVICE, FLAGS, 0).expect("open");
    system
        .ioctl(fd, TUNSETIFF, &ifreq("s0", IFF_TUN | IFF_NO_PI))
        .expect("TUNSETIFF");
    assert_eq!(system.write(fd, &[0x45; 1024]), Ok(1024));
    assert_eq!(system.write(fd, &[0x45; 1025]), Err(Errno(libc::ENOBUFS)));
}

#[test]
fn faults_strike_when_they_should_and_lose_nothing() {
    let system = memory();
    let fd = system.open(DEVICE, FLAGS, 0).expect("open");
    let set = |text: &str| {
        system
            .net()
            .fault(&text.parse().expect("a fault"))
            .expect("room for a fault")
    };
    set("ioctl:TUNSETIFF=EBUSY@1");
    assert_eq!(
        system.ioctl(fd, TUNSETIFF, &ifreq("f0", IFF_TUN | IFF_NO_PI)),
        Err(Errno(libc::EBUSY))
    );
    system
        .ioctl(fd, TUNSETIFF, &ifreq("f0", IFF_TUN | IFF_NO_PI))
        .expect("the second try");
    set("read=EINTR@1");
    set("write=ENOBUFS@2-3");
    let interface = system
        .net()
        .wait_interface_within("f0", WAIT)
        .expect("the interface");
    interface
        .inject_with(FRAME, Sending::new().within(Timeout::FOREVER))
        .expect("room");
    assert_eq!(system.read(fd, 100), Err(Errno(libc::EINTR)));
    assert_eq!(
        system.read(fd, 100).as_deref(),
        Ok(FRAME),
        "the packet is still there"
    );
    let writes: Vec<_> = (0..4)
        .map(|_| system.write(fd, FRAME).map_err(|e| e.0))
        .collect();
    assert_eq!(
        writes,
        [
            Ok(FRAME.len()),
            Err(libc::ENOBUFS),
            Err(libc::ENOBUFS),
            Ok(FRAME.len())
        ]
    );
    assert!(system.net().faults().is_empty(), "spent faults are gone");
    set("open=ENOENT");
    assert_eq!(system.open(DEVICE, FLAGS, 0), Err(Errno(libc::ENOENT)));
    assert_eq!(system.net().faults()[0].to_string(), "open=ENOENT");
}

#[test]
fn every_operation_fails_as_it_is_told() {
    const FIONBIO: u32 = 0x5421;
    let system = memory();
    let calls = || {
        let mut gave = Vec::new();
        let fd = match system.open(DEVICE, FLAGS, 0) {
            Ok(fd) => fd,
            Err(e) => return vec![("open", e.0)],
        };
        let mut say = |name, answer: Result<(), Errno>| {
            gave.push((name, answer.map_or_else(|e| e.0, |()| 0)))
        };
        let asked = ifreq("calls0", IFF_TUN | IFF_NO_PI);
        say("TUNSETIFF", system.ioctl(fd, TUNSETIFF, &asked).map(drop));
        say("write", system.write(fd, FRAME).map(drop));
        say("read", system.read(fd, 100).map(drop));
        say(
            "FIONBIO",
            system.ioctl(fd, FIONBIO, &1i32.to_ne_bytes()).map(drop),
        );
        say(
            "SIOCGIFHWADDR",
            system
                .ioctl(fd, memtun::uapi::SIOCGIFHWADDR, &ifreq("calls0", 0))
                .map(drop),
        );
        say("close", system.close(fd));
        assert_eq!(
            system.read(fd, 100),
            Err(Errno(libc::EBADF)),
            "closed all the same"
        );
        gave.retain(|(_, error)| *error != 0 && *error != libc::EAGAIN);
        gave
    };
    let before = calls();
    for (spec, struck) in [
        ("open=5", &["open"][..]),
        ("read=EIO", &["read"]),
        ("write=5", &["write"]),
        ("close=EIO", &["close"]),
        ("ioctl=EIO@2-", &["FIONBIO", "SIOCGIFHWADDR"]),
        ("ioctl:0x5421=5", &["FIONBIO"]),
        ("ioctl:SIOCGIFHWADDR=EIO", &["SIOCGIFHWADDR"]),
    ] {
        let fault: memtun::Fault = spec.parse().expect("a fault");
        system.net().fault(&fault).expect("room for a fault");
        let struck = struck.iter().map(|name| (*name, libc::EIO));
        let gave = calls();
        assert!(
            struck.clone().all(|one| gave.contains(&one)),
            "{spec}: {gave:?}"
        );
        let others = gave.iter().filter(|one| !before.contains(one));
        assert_eq!(others.count(), struck.count(), "{spec}: {gave:?}");
        let listed = system.net().faults()[0]
            .to_string()
            .parse()
            .expect("as it is listed");
        assert_eq!(system.net().take_back(&listed), Ok(true), "{spec}");
        assert_eq!(calls(), before, "{spec}");
    }
    system
        .net()
        .fault(&"ioctl:TUNSETIFF=EIO".parse().expect("a fault"))
        .expect("room");
    assert_eq!(calls()[0], ("TUNSETIFF", libc::EIO));
}
