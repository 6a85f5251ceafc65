//! How the host process of a net lives: who starts it sees nothing of it, and it may be killed or
//! stopped at any moment.

mod hosting;

use hosting::*;
use memtun::Net;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{Command, Start};
use memtun_stack::State;
use memtun_sys::{self as sys, Fd};
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

#[test]
fn of_twenty_that_are_started_at_once_one_stays() {
    for _ in 0..5 {
        let net = Net::temporary().expect("net");
        let starts = Counted::default();
        let barrier = std::sync::Barrier::new(20);
        std::thread::scope(|scope| {
            for i in 0..20 {
                let (net, starts, barrier) = (net.dir(), &starts, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    assert_eq!(set(net, starts, &format!("key{i}"), "1"), Ok(()));
                });
            }
        });
        for i in 0..20 {
            assert_eq!(get(net.dir(), &format!("key{i}")).as_deref(), Some("1"));
        }
        until("one is left", || hosts(net.path()).len() == 1);
        end(net);
    }
}

#[test]
fn no_answered_change_is_lost_when_it_is_killed_at_any_moment() {
    /// With more of them a start takes as long as there is time between two kills.
    const MOST_ADDRESSES: u16 = 600;
    let net = Net::temporary().expect("net");
    let index = interface(&net, "tun0");
    let (start, over) = (Counted::default(), AtomicBool::new(false));
    let kills = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seed = sys::random();
            while !over.load(SeqCst) {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                sys::nap(Duration::from_micros(seed >> 32 & 0xffff));
                for pid in hosts(net.path()) {
                    kill(pid, libc::SIGKILL);
                    kills.fetch_add(1, SeqCst);
                }
            }
        });
        let _over = Over(&over);
        let begin = Instant::now();
        let mut rounds = 0u16;
        while kills.load(SeqCst) < 300 && begin.elapsed() < Duration::from_secs(40) {
            if rounds < MOST_ADDRESSES {
                let added = add_address(net.dir(), &start, index, rounds.to_be_bytes());
                assert_eq!(added, Ok(()), "{rounds}: nothing is done twice");
            }
            let value = rounds.to_string();
            let key = format!("key{}", rounds % 7);
            assert_eq!(set(net.dir(), &start, &key, &value), Ok(()), "{rounds}");
            assert_eq!(get(net.dir(), &key), Some(value));
            let state = State::load(net.dir()).expect("readable").expect("there");
            // IPv6 has addresses of its own.
            let v4 = state.addresses.iter().filter(|a| a.local.is_ipv4());
            let v4: Vec<_> = v4.map(|a| a.local).collect();
            let added = MOST_ADDRESSES.min(rounds + 1);
            assert_eq!(v4.len(), usize::from(added), "{v4:?}");
            rounds += 1;
        }
        assert!(rounds >= 100, "{rounds} rounds");
    });
    let killed = kills.load(SeqCst);
    assert!(killed >= 100, "{killed} kills");
    // Whoever was killed in the middle of a start leaves nothing that is not removed.
    assert_eq!(set(net.dir(), &start, "last", "1"), Ok(()));
    end(net);
}

#[test]
fn one_that_is_stopped_is_replaced_and_answers_nobody_any_more() {
    let net = Net::temporary().expect("net");
    let start = Counted::default();
    assert_eq!(set(net.dir(), &start, "a", "1"), Ok(()));
    let [first] = hosts(net.path())[..] else {
        panic!("one host process");
    };
    kill(first, libc::SIGSTOP);
    let begin = Instant::now();
    assert_eq!(set(net.dir(), &start, "b", "2"), Ok(()));
    assert!(begin.elapsed() < Duration::from_secs(4));
    kill(first, libc::SIGCONT);
    until("the first one ends", || !hosts(net.path()).contains(&first));
    assert_eq!(set(net.dir(), &start, "c", "3"), Ok(()));
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        assert_eq!(get(net.dir(), key).as_deref(), Some(value));
    }
    end(net);
}

#[test]
fn it_is_told_at_once_that_its_net_is_gone() {
    let mut time = Duration::ZERO;
    for _ in 0..10 {
        let net = Net::temporary().expect("net");
        assert_eq!(set(net.dir(), &Counted::default(), "a", "1"), Ok(()));
        let begin = Instant::now();
        end(net);
        time += begin.elapsed();
    }
    // By itself it looks once in a second, which would take five.
    assert!(time < Duration::from_millis(1500), "{time:?}");
}

/// Asserts that no call that waits for any child sees one, and that none has told of its end.
fn sees_no_child(when: &str) {
    let no_child = |what: &str, answer: i32| {
        let errno = std::io::Error::last_os_error().raw_os_error();
        assert_eq!((answer, errno), (-1, Some(libc::ECHILD)), "{what} {when}");
    };
    let none = std::ptr::null_mut();
    // SAFETY: without a place for a status or for resources, waitpid(2) and wait4(2) store nothing;
    // waitid(2) writes to a local.
    unsafe {
        no_child("waitpid", libc::waitpid(-1, none, libc::WNOHANG));
        let wait4 = libc::wait4(-1, none, libc::WNOHANG, std::ptr::null_mut());
        no_child("wait4", wait4);
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let how = libc::WEXITED | libc::WSTOPPED | libc::WNOHANG;
        no_child("waitid", libc::waitid(libc::P_ALL, 0, &mut info, how));
    }
    assert_eq!(SIGNALS.load(SeqCst), 0, "SIGCHLD {when}");
}

/// How often SIGCHLD came.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(_: i32) {
    SIGNALS.fetch_add(1, SeqCst);
}

fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// Starts and ends host processes, of which the calling process, which gets orphans, sees nothing.
fn has_them_unseen() {
    let handler: extern "C" fn(i32) = count_signal;
    // SAFETY: the handler changes one atomic number.
    unsafe { libc::signal(libc::SIGCHLD, handler as libc::sighandler_t) };
    let children = || {
        let children = std::fs::read_dir("/proc/self/task")
            .expect("/proc")
            .map(|task| {
                let list = task.expect("a thread").path().join("children");
                std::fs::read_to_string(list).unwrap_or_default()
            });
        let children = children.collect::<Vec<_>>().join(" ");
        let pids = children.split_whitespace();
        pids.map(|pid| pid.parse().expect("a number"))
            .collect::<Vec<i32>>()
    };
    let net = Net::temporary().expect("net");
    let start = Counted::default();
    for value in ["1", "2", "3"] {
        assert_eq!(set(net.dir(), &start, "a", value), Ok(()));
        sees_no_child("while it runs");
        assert_eq!(
            children().len(),
            1,
            "one that keeps it, and none of those before"
        );
        for pid in hosts(net.path()) {
            kill(pid, libc::SIGKILL);
        }
        until("it is gone", || hosts(net.path()).is_empty());
        until("the one that kept it has ended", || {
            children().iter().all(|pid| is_zombie(*pid))
        });
        sees_no_child("at its end");
    }
    // Threads that ask at the same time start several, of which one stays.
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (net, start, barrier) = (net.dir(), &start, &barrier);
            scope.spawn(move || {
                barrier.wait();
                assert_eq!(set(net, start, "b", "1"), Ok(()));
            });
        }
    });
    for pid in hosts(net.path()) {
        kill(pid, libc::SIGKILL);
    }
    until("they are gone", || hosts(net.path()).is_empty());
    until("those that kept them have ended", || {
        children().iter().all(|pid| is_zombie(*pid))
    });
    assert_eq!(set(net.dir(), &start, "a", "4"), Ok(()));
    assert_eq!(
        children().len(),
        1,
        "one that keeps it, and none of all those before"
    );
    let missing = Command {
        given: Some(b"/bin/memtun-is-not-here"),
        ..Command::default()
    };
    assert!(missing.start(net.dir(), 0).is_err());
    sees_no_child("where there is none");
    end(net);
    sees_no_child("at the end of the net");
    // With an address somebody stands by, who starts the next one.
    let net = Net::temporary().expect("net");
    let index = interface(&net, "tun0");
    assert_eq!(add_address(net.dir(), &start, index, [0, 1]), Ok(()));
    let path = net.path();
    for _ in 0..3 {
        until("one stands by", || standbys(path).len() == 1);
        // The host process has started it by another one, which has its name for a moment, so who
        // follows is known by its number.
        let epoch = || net.dir().host_epoch.load(Acquire);
        let before = epoch();
        hosts(path).iter().for_each(|pid| kill(*pid, libc::SIGKILL));
        until("another one follows", || epoch() != before);
        sees_no_child("while another one runs");
        let standby = standbys(path);
        standby.iter().for_each(|pid| kill(*pid, libc::SIGKILL));
        until("another one stands by", || {
            standbys(path).len() == 1 && standbys(path) != standby
        });
        sees_no_child("while another one stands by");
    }
    end(net);
    sees_no_child("at the end of that net");
    until("those that kept them have ended", || {
        children().iter().all(|pid| is_zombie(*pid))
    });
}

#[test]
fn pid_1_does_not_get_it_as_a_child() {
    let name = "pid_1_does_not_get_it_as_a_child";
    if inside(name, &["unshare", "-Urpf", "--mount-proc", "--kill-child"]) {
        has_them_unseen();
    }
}

#[test]
fn a_subreaper_does_not_get_it_as_a_child() {
    // The process of this test would get the orphans of others as well.
    if inside("a_subreaper_does_not_get_it_as_a_child", &["env"]) {
        // SAFETY: the option takes a number.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        has_them_unseen();
    }
}

/// Starts a command that ends at once, as one that is killed does, and then the real one.
struct Late {
    failures: usize,
    starts: Counted,
}

impl Start for Late {
    fn start(&self, net: &NetDir, before: u64) -> Result<Option<Fd>, Errno> {
        if self.starts.0.load(SeqCst) >= self.failures {
            return self.starts.start(net, before);
        }
        self.starts.0.fetch_add(1, SeqCst);
        let command = Command {
            given: Some(b"/bin/true"),
            ..Command::default()
        };
        command.start(net, before)
    }
}

#[test]
fn one_that_dies_as_it_begins_is_followed_at_once() {
    let net = Net::temporary().expect("net");
    let start = Late {
        failures: 5,
        starts: Counted::default(),
    };
    let begin = Instant::now();
    assert_eq!(set(net.dir(), &start, "a", "1"), Ok(()));
    let time = begin.elapsed();
    assert!(time < Duration::from_secs(2), "{time:?}");
    end(net);
    // Who never becomes one is not started without end.
    let net = Net::temporary().expect("net");
    let start = Late {
        failures: usize::MAX,
        starts: Counted::default(),
    };
    let timed_out = Err(Errno(libc::ETIMEDOUT));
    assert_eq!(set(net.dir(), &start, "a", "1"), timed_out);
    let starts = start.starts.0.load(SeqCst);
    assert!((10..80).contains(&starts), "{starts}");
    end(net);
}

#[test]
fn four_that_change_addresses_lose_nothing_in_a_hundred_kills() {
    const KILLS: usize = 100;
    let net = Net::temporary().expect("net");
    let index = interface(&net, "tun0");
    let (kills, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let added: Vec<u16> = std::thread::scope(|scope| {
        let _over = Over(&over);
        let changers: Vec<_> = (0..4u8)
            .map(|who| {
                let (net, over, kills) = (net.dir(), &over, &kills);
                scope.spawn(move || {
                    let start = Counted::default();
                    let mut added = 0u8;
                    while kills.load(SeqCst) < KILLS && !over.load(SeqCst) {
                        // A state of thousands of addresses would be what takes the time.
                        if added < 200 {
                            let answer = add_address(net, &start, index, [who, added]);
                            assert_eq!(answer, Ok(()), "{who} {added}: lost or done twice");
                            added += 1;
                        }
                        let key = format!("key{who}");
                        assert_eq!(set(net, &start, &key, "1"), Ok(()));
                    }
                    u16::from(added)
                })
            })
            .collect();
        let mut seed = sys::random();
        while kills.load(SeqCst) < KILLS && changers.iter().any(|thread| !thread.is_finished()) {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            sys::nap(Duration::from_micros(seed >> 32 & 0xffff));
            for pid in hosts(net.path()) {
                kill(pid, libc::SIGKILL);
                kills.fetch_add(1, SeqCst);
            }
        }
        let threads = changers.into_iter();
        threads
            .map(|thread| thread.join().expect("no change failed"))
            .collect()
    });
    let state = State::load(net.dir()).expect("readable").expect("there");
    let mut found: Vec<_> = state.addresses.iter().map(|a| a.local).collect();
    found.retain(std::net::IpAddr::is_ipv4);
    assert_eq!(
        found.len(),
        usize::from(added.iter().sum::<u16>()),
        "{added:?}"
    );
    assert_eq!(set(net.dir(), &Counted::default(), "last", "1"), Ok(()));
    end(net);
}
