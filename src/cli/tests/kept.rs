//! The connection to the host process that a process keeps which asks often: whatever becomes of
//! it, the next question is answered, and nothing of the program's is touched.

mod hosting;

use hosting::*;
use memtun::Net;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{ask, Question, Start, What};
use memtun_sys::{self as sys, Fd};
use std::io::{pipe, Read};
use std::os::fd::AsRawFd;
use std::sync::Barrier;

/// Starts the command, as a library that keeps a connection.
#[derive(Default)]
struct Keeps(Counted);

impl Start for Keeps {
    fn start(&self, net: &NetDir, before: u64) -> Result<Option<Fd>, Errno> {
        self.0.start(net, before)
    }

    fn keeps(&self) -> bool {
        true
    }
}

/// Asks something about a socket that is none.
fn try_ask(net: &Net, start: &Keeps) -> Result<(), Errno> {
    let question = Question {
        uid: sys::effective_uid(),
        pid: sys::getpid() as u32,
        ..question(What::Bind)
    };
    ask(net.dir(), start, &question, &[b"no question"], &mut |_| {})
}

fn asks(net: &Net, start: &Keeps) {
    assert_eq!(try_ask(net, start), Err(Errno(libc::EINVAL)));
}

/// Returns the number and the file of the connection that is kept.
fn kept() -> Option<(i32, String)> {
    let (first, last) = (56, 63);
    (first..=last).find_map(|fd| {
        let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
        let link = link.to_str()?.to_owned();
        link.starts_with("socket:").then_some((fd, link))
    })
}

/// Asks until a connection is kept, which a question does that follows another one at once.
fn keep(net: &Net, start: &Keeps) -> (i32, String) {
    until("kept", || {
        asks(net, start);
        kept().is_some()
    });
    kept().expect("kept")
}

// One test, because a process keeps one connection.
#[test]
fn whatever_becomes_of_it_the_next_question_is_answered() {
    let (net, start) = (Net::temporary().expect("net"), Keeps::default());
    assert_eq!(set(net.dir(), &start, "a", "1"), Ok(()));
    asks(&net, &start);
    assert_eq!(kept(), None, "who asks once keeps nothing");
    let first = keep(&net, &start);
    asks(&net, &start);
    assert_eq!(kept().as_ref(), Some(&first), "it is used again");

    // The program closes whatever it has.
    // SAFETY: nobody uses the descriptor in this moment.
    unsafe { libc::close(first.0) };
    let second = keep(&net, &start);
    assert_ne!(second.1, first.1);

    // The program puts something else in its place, which stays its own.
    let (mut reads, writes) = pipe().expect("pipe");
    // SAFETY: as above.
    let put = unsafe { libc::dup2(writes.as_raw_fd(), second.0) };
    assert_eq!(put, second.0);
    keep(&net, &start);
    // SAFETY: the descriptor is that of the pipe.
    let written = unsafe { libc::write(second.0, b"!".as_ptr().cast(), 1) };
    assert_eq!(written, 1);
    // SAFETY: as above.
    unsafe { libc::close(second.0) };
    drop(writes);
    let mut all = Vec::new();
    reads.read_to_end(&mut all).expect("read");
    assert_eq!(all, b"!", "no question went into it");

    // A child has another one, and its parent's stays.
    let before = keep(&net, &start);
    // SAFETY: the child makes system calls only.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let answered = (0..4).all(|_| try_ask(&net, &start) == Err(Errno(libc::EINVAL)));
        // SAFETY: the child ends here.
        unsafe { libc::_exit(i32::from(!answered)) };
    }
    let mut status = 0;
    // SAFETY: the child is this test's own.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert_eq!(status, 0, "the child is answered");
    asks(&net, &start);
    assert_eq!(kept(), Some(before));

    // Threads do not wait for one another, and none gets another one's answer.
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                (0..200).for_each(|_| asks(&net, &start));
            });
        }
    });

    // The host process leaves who is silent.
    let (fd, _) = keep(&net, &start);
    let mut fds = [libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }];
    let patience = std::time::Duration::from_secs(20);
    assert_eq!(sys::poll(&mut fds, Some(patience)), Ok(1));
    keep(&net, &start);

    // It is killed, or stopped.
    for signal in [libc::SIGKILL, libc::SIGSTOP] {
        let old = hosts(net.path());
        keep(&net, &start);
        old.iter().for_each(|pid| kill(*pid, signal));
        asks(&net, &start);
        until("another one", || {
            !hosts(net.path()).iter().all(|pid| old.contains(pid))
        });
        keep(&net, &start);
    }
    end(net);
}
