//! Which names sockets can have beside one another: the kernel is asked the same.

use crate::hosting::inside;
use crate::support::{Place, Socket};
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::{set, SocketAnswer};
use memtun_sys::{self as sys, inet};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::Command;

/// Number of sockets that are tried.
const STEPS: usize = 1500;
/// Most sockets at once.
const MOST: usize = 6;

const NAMES: [(i32, &str); 7] = [
    (libc::AF_INET, "0.0.0.0"),
    (libc::AF_INET, "10.1.0.1"),
    (libc::AF_INET, "10.1.0.2"),
    (libc::AF_INET, "10.1.0.3"),
    (libc::AF_INET6, "[::]"),
    (libc::AF_INET6, "[fd00::1]"),
    (libc::AF_INET6, "[::ffff:10.1.0.1]"),
];

fn listen(socket: &Socket) -> Result<(), Errno> {
    sys::listen(socket.fd.as_fd(), 5)
}

fn errno<T>(done: &Result<T, Errno>) -> i32 {
    done.as_ref().err().map_or(0, |e| e.0)
}

#[test]
fn names_beside_one_another_are_those_that_the_kernel_allows() {
    let own = "kernel::names_beside_one_another_are_those_that_the_kernel_allows";
    if !inside(own, &["unshare", "-Urn"]) {
        return;
    }
    let script =
        "ip link set lo up && ip addr add 10.1.0.1/24 dev lo && ip addr add 10.1.0.2/24 dev lo && \
                  ip addr add fd00::1/64 dev lo nodad";
    let done = Command::new("sh").args(["-c", script]).status();
    assert!(done.expect("started").success());
    let place = Place::new(&["10.1.0.1/24", "10.1.0.2/24", "fd00::1/64"]);
    let given = std::env::var("SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    let mut seed: u64 = given.unwrap_or_else(sys::random);
    println!("seed {seed}");
    let mut next = |below: usize| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    let mut pairs: Vec<(Socket, Socket, String)> = Vec::new();
    let mut told = String::new();
    let (mut counts, mut quick) = ([0; 2], 0);
    for step in 0..STEPS {
        if pairs.len() >= MOST || next(4) == 0 && !pairs.is_empty() {
            let gone = next(pairs.len());
            told.push_str(&format!("{step}: close {gone}\n"));
            drop(pairs.remove(gone));
            continue;
        }
        let (family, address) = NAMES[next(NAMES.len())];
        let kind = [libc::SOCK_STREAM, libc::SOCK_DGRAM][next(2)];
        let mut flags = 0;
        for flag in [set::REUSE_ADDRESS, set::REUSE_PORT] {
            if next(2) == 0 {
                flags |= flag;
            }
        }
        if family == libc::AF_INET6 && next(3) == 0 {
            flags |= set::V6ONLY;
        }
        let listens = kind == libc::SOCK_STREAM && next(2) == 0;
        let port = 5000 + next(2);
        let name = format!("{address}:{port}");
        let kernel = Socket::new(family, kind).with(flags);
        let ours = Socket::new(family, kind).with(flags);
        // The kernel's sockets and the native ones of the net's do not see each other.
        let real = format!("{address}:{}", port + 1000);
        let real: SocketAddr = real.parse().expect("a name");
        let by_kernel = inet::bind_name(kernel.fd.as_fd(), &real);
        let by_us = ours.bind(&place, &name);
        told.push_str(&format!(
            "{step}: {kind} {flags:#x} {name}: kernel {by_kernel:?}, here {by_us:?}\n"
        ));
        let live: Vec<_> = pairs.iter().map(|pair| pair.2.as_str()).collect();
        let said = told.lines().last().unwrap_or_default();
        // What sockets of TCP that are gone have set stays with a port that others have
        // (`tb->fastreuse`), and then it is shared with more than it should be.
        let shares = flags & (set::REUSE_ADDRESS | set::REUSE_PORT) != 0;
        let is_quick = kind == libc::SOCK_STREAM && shares && by_kernel.is_ok();
        if is_quick && errno(&by_us) == libc::EADDRINUSE {
            quick += 1;
            continue;
        }
        assert_eq!(
            errno(&by_kernel),
            errno(&by_us),
            "{said}\n{}",
            live.join("\n")
        );
        counts[usize::from(by_kernel.is_err())] += 1;
        if by_kernel.is_err() {
            continue;
        }
        if listens {
            let by_kernel = listen(&kernel);
            let by_us = match place.ask(What::ListenOn, &ours.asked) {
                Ok(SocketAnswer::Done) => listen(&ours),
                Ok(other) => panic!("{other:?}"),
                Err(e) => Err(e),
            };
            told.push_str(&format!(
                "{step}: listen: kernel {by_kernel:?}, here {by_us:?}\n"
            ));
            let said = told.lines().last().unwrap_or_default();
            assert_eq!(
                errno(&by_kernel),
                errno(&by_us),
                "{said}\n{}",
                live.join("\n")
            );
        }
        let native = inet::own_name(ours.fd.raw());
        let said = told.lines().last().unwrap_or_default();
        pairs.push((kernel, ours, format!("{said}, {native:?}")));
    }
    assert!(quick <= STEPS / 100, "{quick} of {STEPS}");
    assert!(counts.iter().all(|count| *count > STEPS / 10), "{counts:?}");
}
