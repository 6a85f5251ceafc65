//! Waiting for a change of the net: every waiter is woken, and looks again at what only it knows
//! of.

use memtun::Timeout;
mod common;

use common::WAIT;
use memtun::uapi::{IFF_NO_PI, IFF_TUN, TUNSETIFF, TUNSETPERSIST};
use memtun::{ifreq, Deadline, IoSystem, MemoryIoSystem, Net, TunnelClass};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Longer than a sleeper goes without looking around, because the look must not be what ends the
/// wait.
const NEVER_THAT_LONG: Duration = Duration::from_secs(60);

fn system() -> MemoryIoSystem {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    system
}

fn attached(system: &MemoryIoSystem, name: &str) -> i32 {
    let fd = system.open("/dev/net/tun", libc::O_RDWR, 0).expect("open");
    system
        .ioctl(fd, TUNSETIFF, &ifreq(name, IFF_TUN | IFF_NO_PI))
        .expect("TUNSETIFF");
    fd
}

fn now(net: &Net) -> u32 {
    net.wait_change(0, Timeout::NOW)
}

#[test]
fn a_tunnel_that_takes_up_a_persistent_interface_is_a_change() {
    let system = system();
    let fd = attached(&system, "w0");
    system
        .ioctl(fd, TUNSETPERSIST, &1i32.to_ne_bytes())
        .expect("TUNSETPERSIST");
    system.close(fd).expect("close");
    let seen = now(system.net());
    attached(&system, "w0");
    assert_ne!(system.net().wait_change(seen, WAIT), seen);
}

#[test]
fn a_capturer_that_waits_for_something_else_is_woken() {
    let system = system();
    attached(&system, "w1");
    let enough = AtomicBool::new(false);
    let asleep = AtomicBool::new(false);
    let mut capture = system.net().capture().expect("a capture");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            capture.recv_while(NEVER_THAT_LONG, |_| {
                asleep.store(true, SeqCst);
                !enough.load(SeqCst)
            })
        });
        let end = Deadline::after(WAIT);
        while !asleep.load(SeqCst) {
            assert!(!end.is_over(), "it does not ask");
            std::thread::yield_now();
        }
        let begun = Instant::now();
        enough.store(true, SeqCst);
        system.net().wake();
        let answer = waiting.join().expect("no panic");
        assert_eq!(answer.expect_err("no packet").errno().0, libc::EAGAIN);
        assert!(begun.elapsed() < WAIT, "it waited on");
    });
}
