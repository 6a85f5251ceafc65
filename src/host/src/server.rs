//! The sockets of a host process: whoever connects puts questions, one packet each.
//!
//! Nobody can keep others from being answered. Nothing here blocks; whoever does not read its
//! answer, or asks nothing, is left after a while, and at once when there are too many. A program
//! whose connection ends without an answer puts its question again.
#![forbid(unsafe_code)]

use crate::service::{Packets, Replaced, Service};
use memtun_abi::Errno;
use memtun_stack::ask::{Answer, Question, LONGEST, QUESTION};
use memtun_sys::{self as sys, Fd};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Most connections at once.
const MOST: usize = 200;
/// For so long a connection may be of no use.
const PATIENCE: Duration = Duration::from_secs(2);

/// One connection.
struct Connection {
    socket: Fd,
    /// Packets that have not been sent yet.
    rest: VecDeque<Vec<u8>>,
    /// When it was last of use.
    since: Instant,
}

/// All connections.
pub struct Server {
    listener: Fd,
    /// User to whom the net belongs, who may ask.
    owner: u32,
    connections: Vec<Connection>,
    room: Vec<u8>,
}

impl Server {
    /// Serves on a socket that listens.
    pub fn new(listener: Fd, owner: u32) -> Server {
        Server {
            listener,
            owner,
            connections: Vec::new(),
            room: vec![0; QUESTION + LONGEST + 1],
        }
    }

    /// Is nobody connected?
    pub fn is_idle(&self) -> bool {
        self.connections.is_empty()
    }

    /// Appends what is waited for.
    pub fn wait_for(&self, fds: &mut Vec<libc::pollfd>) {
        let wait = |socket: &Fd, events| libc::pollfd {
            fd: socket.raw(),
            events,
            revents: 0,
        };
        fds.push(wait(&self.listener, libc::POLLIN));
        for connection in &self.connections {
            let events = match connection.rest.is_empty() {
                true => libc::POLLIN,
                false => libc::POLLOUT,
            };
            fds.push(wait(&connection.socket, events));
        }
    }

    /// Serves those of the descriptors of [`Server::wait_for`] that have something. Returns the
    /// number of questions that were answered.
    ///
    /// # Errors
    ///
    /// [`Replaced`] says that nothing may be answered any more.
    pub fn serve(
        &mut self,
        fds: &[libc::pollfd],
        service: &mut Service<'_>,
    ) -> Result<usize, Replaced> {
        let mut answered = 0;
        let ready = |at: usize| fds.get(at).is_some_and(|fd| fd.revents != 0);
        let mut at = 0;
        let mut failed = Ok(());
        let room = &mut self.room;
        self.connections.retain_mut(|connection| {
            at += 1;
            if !ready(at) {
                return connection.since.elapsed() < PATIENCE;
            }
            let went = failed.and_then(|()| connection.go_on(room, service));
            match went {
                Ok(questions) => {
                    answered += questions;
                    true
                }
                Err(End::Closed) => false,
                Err(End::Replaced) => {
                    failed = Err(End::Replaced);
                    false
                }
            }
        });
        if failed.is_err() {
            return Err(Replaced);
        }
        if ready(0) {
            answered += self.accept(service)?;
        }
        Ok(answered)
    }

    /// Accepts connections, and answers what has been asked on them already.
    fn accept(&mut self, service: &mut Service<'_>) -> Result<usize, Replaced> {
        /// Number of connections that are accepted before others have their turn.
        const AT_ONCE: usize = 64;
        let mut answered = 0;
        for _ in 0..AT_ONCE {
            match sys::accept(self.listener.as_fd()) {
                Ok(socket) => {
                    let mut connection = Connection {
                        socket,
                        rest: VecDeque::new(),
                        since: Instant::now(),
                    };
                    if !self.may_ask(&connection.socket) {
                        continue;
                    }
                    match connection.go_on(&mut self.room, service) {
                        Ok(questions) => answered += questions,
                        Err(End::Closed) => continue,
                        Err(End::Replaced) => return Err(Replaced),
                    }
                    self.connections.push(connection);
                }
                // There is no descriptor left.
                Err(Errno(libc::EMFILE | libc::ENFILE)) if !self.connections.is_empty() => {
                    self.connections.remove(0);
                }
                Err(Errno(libc::EINTR | libc::ECONNABORTED)) => {}
                Err(_) => break,
            }
            if self.connections.len() > MOST {
                self.connections.remove(0);
            }
        }
        Ok(answered)
    }

    /// May whoever has connected ask: the net's owner or root?
    fn may_ask(&self, socket: &Fd) -> bool {
        let peer = sys::peer(socket.as_fd());
        peer.is_ok_and(|peer| peer.uid == self.owner || peer.uid == 0)
    }
}

/// Why a connection ends.
#[derive(Clone, Copy)]
enum End {
    Closed,
    Replaced,
}

impl Connection {
    /// Sends what is left, and takes the next question. Returns the number of questions.
    fn go_on(&mut self, room: &mut [u8], service: &mut Service<'_>) -> Result<usize, End> {
        self.send()?;
        if !self.rest.is_empty() {
            return Ok(0);
        }
        let n = match sys::receive(self.socket.as_fd(), room, 0) {
            Ok(0) => return Err(End::Closed),
            Ok(n) => n,
            Err(Errno(libc::EAGAIN | libc::EINTR)) => return Ok(0),
            Err(_) => return Err(End::Closed),
        };
        self.since = Instant::now();
        let answer = match Question::of_bytes(&room[..n]) {
            Some((question, payload)) if payload.len() <= LONGEST => service
                .answer(&question, payload)
                .map_err(|Replaced| End::Replaced)?,
            Some((question, _)) => refusal(question.id, libc::EMSGSIZE),
            // Somebody of another version asks; that one does not understand the answer, either.
            None => refusal(0, libc::EPROTO),
        };
        self.rest.extend(answer);
        self.send()?;
        Ok(1)
    }

    fn send(&mut self) -> Result<(), End> {
        while let Some(packet) = self.rest.front() {
            match sys::send(self.socket.as_fd(), &[packet]) {
                Ok(_) => {
                    self.rest.pop_front();
                    self.since = Instant::now();
                }
                Err(Errno(libc::EINTR)) => {}
                Err(Errno(libc::EAGAIN)) => return Ok(()),
                Err(_) => return Err(End::Closed),
            }
        }
        Ok(())
    }
}

fn refusal(id: u64, errno: i32) -> Packets {
    let head = Answer {
        id,
        errno,
        more: false,
        datagrams: 0,
    };
    vec![head.to_bytes().to_vec()]
}
