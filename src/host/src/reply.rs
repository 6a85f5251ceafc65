//! Answers that are given later than their question was put, by any thread.
#![forbid(unsafe_code)]

use crate::service::Packets;
use memtun_abi::Errno;
use memtun_stack::ask::Answer;
use memtun_stack::sockets::question::SocketAnswer;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

/// Answers that were given, until they are sent.
pub struct Later {
    answers: Mutex<Vec<(u64, Vec<u8>)>>,
    /// Wakes the thread that sends them.
    wakes: UnixStream,
}

impl Later {
    /// None yet. `wakes` wakes the thread that sends them.
    pub fn new(wakes: UnixStream) -> Later {
        let answers = Mutex::default();
        Later { answers, wakes }
    }

    /// Takes the answers out, each with the number of its connection.
    pub fn take(&self) -> Vec<(u64, Vec<u8>)> {
        let answers = self.answers.lock();
        std::mem::take(&mut *answers.unwrap_or_else(PoisonError::into_inner))
    }
}

/// Who waits for the answer to a question, which may come later and from any thread. Whoever drops
/// it has no answer.
pub struct Reply {
    later: Arc<Later>,
    /// Number of the connection.
    connection: u64,
    /// Number of the question.
    question: u64,
    given: bool,
}

impl Reply {
    /// A reply to a question that was put on a connection, both by their numbers.
    pub fn new(later: Arc<Later>, connection: u64, question: u64) -> Reply {
        Reply {
            later,
            connection,
            question,
            given: false,
        }
    }

    /// Gives the answer. An asker that is gone is no error.
    pub fn give(mut self, answer: Result<&SocketAnswer, Errno>) {
        self.put(answer);
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
        let answers = self.later.answers.lock();
        let mut answers = answers.unwrap_or_else(PoisonError::into_inner);
        answers.push((self.connection, packet));
        if answers.len() == 1 {
            // A byte that does not fit is not needed: the thread has been woken already.
            let _ = (&self.later.wakes).write(&[0]);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.given {
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
