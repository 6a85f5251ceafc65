//! `memtun host`: it answers, is started by those who need it, and is replaced when it dies or
//! stops.

use memtun::Net;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{ask, Command, Question, Start, What};
use memtun_stack::State;
use memtun_sys as sys;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

/// Starts the command as the library does, and counts.
struct Counted(AtomicUsize);

impl Start for Counted {
    fn start(&self, net: &NetDir, before: u64) -> Result<(), Errno> {
        self.0.fetch_add(1, SeqCst);
        let command = Command {
            given: Some(env!("CARGO_BIN_EXE_memtun").as_bytes()),
            ..Command::default()
        };
        command.start(net, before)
    }
}

fn question(what: What) -> Question {
    Question {
        what,
        options: 0,
        id: sys::random(),
        port: 0,
        family: 0,
        request: 0,
        uid: 0,
        pid: 0,
    }
}

/// Notes a listener, which is a change of the state.
fn listen(net: &NetDir, start: &Counted, port: u32) -> Result<(), Errno> {
    let payload = [1u64.to_ne_bytes(), 1u64.to_ne_bytes()].concat();
    let question = Question {
        port,
        ..question(What::Listen)
    };
    ask(net, start, &question, &[&payload], &mut |_| {})
}

#[test]
fn who_asks_starts_it_and_it_answers() {
    let net = Net::temporary().expect("net");
    let start = Counted(AtomicUsize::new(0));
    for _ in 0..100 {
        let links = question(What::Links);
        assert_eq!(ask(net.dir(), &start, &links, &[], &mut |_| {}), Ok(()));
    }
    assert_eq!(start.0.load(SeqCst), 1, "it was started once");
    assert!(State::load(net.dir()).expect("readable").is_some());
    assert_eq!(listen(net.dir(), &start, 7), Ok(()));
}
