//! Answers that are given later than their question was put, by any thread.
#![forbid(unsafe_code)]

use crate::service::Packets;
use memtun_abi::Errno;
use memtun_stack::ask::Answer;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_sys::{self as sys, Fd};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Answers that were given, until they are sent.
pub struct Later {
    answers: Mutex<Answers>,
    /// Wakes the thread that sends them.
    wakes: UnixStream,
}

#[derive(Default)]
struct Answers {
    /// Each with the number of its connection.
    all: Vec<(u64, Vec<u8>)>,
    /// Is the thread that sends them about to look?
    looks: bool,
    /// Is nothing sent any more? Who waits then puts the question again, to another one.
    over: bool,
}

impl Later {
    /// None yet. `wakes` wakes the thread that sends them.
    pub fn new(wakes: UnixStream) -> Later {
        let answers = Mutex::default();
        Later { answers, wakes }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        let answers = self.answers.lock();
        answers.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the answers out. `looks` says that the caller will look again soon, and needs not be
    /// woken.
    pub fn take(&self, looks: bool) -> Vec<(u64, Vec<u8>)> {
        let mut answers = self.lock();
        answers.looks = looks;
        std::mem::take(&mut answers.all)
    }

    /// Says that nothing is sent any more.
    pub fn end(&self) {
        self.lock().over = true;
    }

    fn put(&self, connection: u64, packet: Vec<u8>) {
        let mut answers = self.lock();
        answers.all.push((connection, packet));
        if answers.all.len() == 1 && !answers.looks {
            // A byte that does not fit is not needed: the thread has been woken already.
            let _ = (&self.wakes).write(&[0]);
        }
    }
}

/// Whoever has put a question, as far as an answer from any thread needs it.
pub struct Asker {
    /// Its socket, which does not block.
    pub socket: Fd,
    /// Is an answer to come that is given later? Until then nothing else is sent to it.
    pub waits: AtomicBool,
}

/// Who waits for the answer to a question, which may come later and from any thread. Whoever drops
/// it has no answer, as long as the host process answers at all.
pub struct Reply {
    later: Arc<Later>,
    /// Number of the connection.
    connection: u64,
    asker: Arc<Asker>,
    /// Number of the question.
    question: u64,
    given: bool,
}

impl Reply {
    /// A reply to a question that was put on a connection, both by their numbers.
    pub fn new(later: Arc<Later>, connection: u64, asker: Arc<Asker>, question: u64) -> Reply {
        Reply {
            later,
            connection,
            asker,
            question,
            given: false,
        }
    }

    /// Gives the answer. An asker that is gone is no error.
    pub fn give(mut self, answer: Result<&SocketAnswer, Errno>) {
        self.put(answer);
    }

    /// Says that the answer is given otherwise.
    pub fn forget(mut self) {
        self.given = true;
    }

    fn put(&mut self, answer: Result<&SocketAnswer, Errno>) {
        self.given = true;
        let packet = match answer {
            Ok(answer) => {
                let head = Answer {
                    id: self.question,
                    errno: 0,
                    more: false,
                    datagrams: 0,
                };
                [head.to_bytes().as_slice(), &answer.to_bytes()].concat()
            }
            Err(errno) => refusal(self.question, errno.0).concat(),
        };
        // Whoever has its answer may ask again at once.
        self.asker.waits.store(false, SeqCst);
        if sys::send(self.asker.socket.as_fd(), &[&packet]).is_err() {
            self.later.put(self.connection, packet);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.given && !self.later.lock().over {
            self.put(Err(Errno(libc::ETIMEDOUT)));
        }
    }
}

/// Returns the packets of an answer that is an errno.
pub fn refusal(id: u64, errno: i32) -> Packets {
    let head = Answer {
        id,
        errno,
        more: false,
        datagrams: 0,
    };
    vec![head.to_bytes().to_vec()]
}
