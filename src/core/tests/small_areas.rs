//! The queue and the log of a process that may make only short files: their areas are smaller, and
//! everything else is the same.

use memtun::Sending;
mod common;

use common::FRAME;
use memtun::uapi::{IFF_NO_PI, IFF_TUN, TUNSETIFF};
use memtun::{ifreq, Errno, IoSystem, MemoryIoSystem, Net, TunnelClass};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);

/// Runs a test of this program again in a process with a lasting limit.
fn limited(test: &str, resource: u32, bytes: u64, run: impl FnOnce()) {
    const INSIDE: &str = "MEMTUN_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return run();
    }
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1");
    let limit = libc::rlimit64 {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: setrlimit(2) is async-signal-safe.
    unsafe {
        command.pre_exec(move || match libc::setrlimit64(resource as _, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    let ended = command.output().expect("this program");
    let text = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

fn attached() -> (MemoryIoSystem, i32, memtun::Interface) {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    let flags = libc::O_RDWR | libc::O_NONBLOCK;
    let fd = system.open("/dev/net/tun", flags, 0).expect("open");
    system
        .ioctl(fd, TUNSETIFF, &ifreq("s0", IFF_TUN | IFF_NO_PI))
        .expect("TUNSETIFF");
    let interface = system.net().wait_interface_within("s0", NOW).expect("it");
    (system, fd, interface)
}

fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut packet = vec![0x45; len];
    packet[1..5].copy_from_slice(&number.to_be_bytes());
    packet
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[1], packet[2], packet[3], packet[4]])
}

/// A pseudo-random length, another one each time.
fn length(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
    5 + (*seed >> 40) as usize % if *seed >> 61 == 0 { 65000 } else { 3000 }
}

#[test]
fn the_queue_and_the_log_go_round_in_a_short_file() {
    const FILE: u64 = 200 << 10;
    limited(
        "the_queue_and_the_log_go_round_in_a_short_file",
        libc::RLIMIT_FSIZE,
        FILE,
        || {
            let (system, fd, interface) = attached();
            interface.set_mtu(65535).expect("an mtu");
            let (mut seed, mut injected, mut read, mut full) = (1, 0, 0, 0);
            for _ in 0..30_000 {
                match interface
                    .inject_with(
                        &numbered(injected, length(&mut seed)),
                        Sending::new().within(NOW),
                    )
                    .map_err(|e| e.errno())
                {
                    Ok(()) => injected += 1,
                    Err(e) => {
                        assert_eq!(e, Errno(libc::EAGAIN));
                        full += 1;
                    }
                }
                if seed >> 33 & 1 != 0 {
                    if let Ok(packet) = system.read(fd, 65535) {
                        assert_eq!(number(&packet), read);
                        assert!(packet[5..].iter().all(|b| *b == 0x45));
                        read += 1;
                    }
                }
            }
            while let Ok(packet) = system.read(fd, 65535) {
                assert_eq!(number(&packet), read);
                read += 1;
            }
            assert_eq!(injected, read);
            assert!(full > 0);

            // Every packet that is written is either received or reported as lost.
            let (mut next, mut lost) = (0, 0);
            for i in 0..30_000 {
                system
                    .write(fd, &numbered(i, length(&mut seed)))
                    .expect("write");
                if seed >> 33 & 7 == 0 {
                    continue;
                }
                for _ in 0..2 {
                    match interface.recv_within(NOW) {
                        Ok(packet) => {
                            assert!(packet.data[5..].iter().all(|b| *b == 0x45));
                            assert!(number(&packet.data) >= next);
                            lost += number(&packet.data) - next;
                            next = number(&packet.data) + 1;
                        }
                        Err(e) if e.errno().0 == libc::ENOBUFS => {}
                        Err(e) => assert_eq!(e.errno(), Errno(libc::EAGAIN)),
                    }
                }
            }
            assert!(lost > 0 && next > 29_000);
            // No log of this size could hold this packet.
            assert_eq!(
                system.write(fd, &vec![0x45; 300 << 10]),
                Err(Errno(libc::ENOBUFS))
            );
            system.write(fd, FRAME).expect("write");
        },
    );
}

#[test]
fn a_thousand_tunnels_fit_into_little_address_space() {
    const SPACE: u64 = 1 << 30;
    limited(
        "a_thousand_tunnels_fit_into_little_address_space",
        libc::RLIMIT_AS,
        SPACE,
        || {
            let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
            system.register_special_device("/dev/net/tun", TunnelClass);
            for i in 0..1000 {
                let flags = libc::O_RDWR | libc::O_NONBLOCK;
                let fd = system.open("/dev/net/tun", flags, 0).expect("open");
                system
                    .ioctl(fd, TUNSETIFF, &ifreq(&format!("a{i}"), IFF_TUN | IFF_NO_PI))
                    .expect("TUNSETIFF");
                system.write(fd, &vec![0x45; 65535]).expect("write");
            }
            // The program has the larger part of the memory for itself.
            let mut own = Vec::<u8>::new();
            own.try_reserve_exact(256 << 20).expect("memory");
        },
    );
}

#[test]
fn a_tunnel_that_is_attached_again_gives_back_what_it_had() {
    limited(
        "a_tunnel_that_is_attached_again_gives_back_what_it_had",
        libc::RLIMIT_AS,
        1 << 30,
        || {
            let (system, fd, interface) = attached();
            interface.delete().expect("delete");
            let left = || memtun_sys::address_space_left().expect("a limit").1;
            let before = left();
            for _ in 0..1000 {
                system
                    .ioctl(fd, TUNSETIFF, &ifreq("s0", IFF_TUN | IFF_NO_PI))
                    .expect("TUNSETIFF");
                system.write(fd, FRAME).expect("write");
                let interface = system.net().wait_interface_within("s0", NOW).expect("it");
                interface.delete().expect("delete");
            }
            assert!(before - left() < 20 << 20, "{before} and {}", left());
        },
    );
}
