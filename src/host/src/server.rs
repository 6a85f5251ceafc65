//! The sockets of a host process: whoever connects puts questions, one packet each.
//!
//! Nobody can keep others from being answered. Nothing here blocks; whoever does not read its
//! answer, or asks nothing, is left after a while, and at once when there are too many. A program
//! whose connection ends without an answer puts its question again.
#![forbid(unsafe_code)]

use crate::inet::Shared;
use crate::reply::{refusal, Asker, Later, Reply};
use crate::service::Replaced;
use memtun_abi::Errno;
use memtun_stack::ask::{option, Question, LONGEST, QUESTION};
use memtun_sys::{self as sys, Fd};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most connections at once.
const MOST: usize = 200;
/// For so long a connection may be of no use.
const PATIENCE: Duration = Duration::from_secs(2);

/// One connection.
struct Connection {
    asker: Arc<Asker>,
    /// Its number, which no other has.
    number: u64,
    /// Packets that have not been sent yet.
    rest: VecDeque<Vec<u8>>,
    /// When it was last of use.
    since: Instant,
    /// Does it stay after the answer ([`option::STAYS`])?
    stays: bool,
}

/// All connections.
pub struct Server {
    listener: Fd,
    /// User to whom the net belongs, who may ask.
    owner: u32,
    /// What tells the net from others.
    net: u32,
    connections: Vec<Connection>,
    /// Number of the last connection.
    last: u64,
    later: Arc<Later>,
    room: Vec<u8>,
}

impl Server {
    /// Serves a net ([`Question::net`]) of this owner on a socket that listens. `wakes` wakes
    /// whoever serves.
    pub fn new(listener: Fd, owner: u32, net: u32, wakes: UnixStream) -> Server {
        Server {
            listener,
            owner,
            net,
            connections: Vec::new(),
            last: 0,
            later: Arc::new(Later::new(wakes)),
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
            let mut fd = wait(&connection.asker.socket, events);
            // Whoever is answered by another thread goes away with that, and wakes nobody, unless
            // there are more questions to come.
            if connection.waits() && !connection.stays {
                fd.fd = -1;
            }
            fds.push(fd);
        }
    }

    /// Serves those of the descriptors of [`Server::wait_for`] that have something. Returns the
    /// number of questions that were answered.
    ///
    /// # Errors
    ///
    /// [`Replaced`] says that nothing may be answered any more.
    pub fn serve(&mut self, fds: &[libc::pollfd], shared: &Shared<'_>) -> Result<usize, Replaced> {
        let mut answered = 0;
        self.send_later(true);
        let ready = |at: usize| fds.get(at).is_some_and(|fd| fd.revents != 0);
        let mut at = 0;
        let mut failed = Ok(());
        let (room, net, later) = (&mut self.room, self.net, &self.later);
        self.connections.retain_mut(|connection| {
            at += 1;
            if !ready(at) {
                return connection.waits() || connection.since.elapsed() < PATIENCE;
            }
            let went = failed.and_then(|()| connection.go_on(room, net, shared, later));
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
            answered += self.accept(shared)?;
        }
        self.send_later(false);
        Ok(answered)
    }

    /// Sends what was answered meanwhile. `again` says that this is done once more soon.
    fn send_later(&mut self, again: bool) {
        for (number, packet) in self.later.take(again) {
            let mut connections = self.connections.iter_mut();
            let found = connections.find(|connection| connection.number == number);
            // The asker may be gone. One that cannot be sent to is found closed next.
            let Some(connection) = found else { continue };
            connection.since = Instant::now();
            connection.rest.push_back(packet);
            let _ = connection.send();
        }
    }

    /// Accepts connections, and answers what has been asked on them already.
    fn accept(&mut self, shared: &Shared<'_>) -> Result<usize, Replaced> {
        /// Number of connections that are accepted before others have their turn.
        const AT_ONCE: usize = 64;
        let mut answered = 0;
        for _ in 0..AT_ONCE {
            match sys::accept(self.listener.as_fd()) {
                Ok(socket) => {
                    self.last += 1;
                    let mut connection = Connection {
                        asker: Arc::new(Asker {
                            socket,
                            waits: AtomicBool::new(false),
                        }),
                        number: self.last,
                        rest: VecDeque::new(),
                        since: Instant::now(),
                        stays: false,
                    };
                    if !self.may_ask(&connection.asker.socket) {
                        continue;
                    }
                    match connection.go_on(&mut self.room, self.net, shared, &self.later) {
                        Ok(questions) => answered += questions,
                        Err(End::Closed) => continue,
                        Err(End::Replaced) => return Err(Replaced),
                    }
                    self.connections.push(connection);
                }
                // There is no descriptor left.
                Err(Errno(libc::EMFILE | libc::ENFILE)) if !self.connections.is_empty() => {
                    self.leave_one();
                }
                Err(Errno(libc::EINTR | libc::ECONNABORTED)) => {}
                Err(_) => break,
            }
            if self.connections.len() > MOST {
                self.leave_one();
            }
        }
        Ok(answered)
    }

    /// Leaves the oldest connection, if possible one on which nobody waits.
    fn leave_one(&mut self) {
        let idle = self.connections.iter().position(|it| !it.waits());
        self.connections.remove(idle.unwrap_or(0));
    }

    /// May whoever has connected ask: the net's owner or root?
    fn may_ask(&self, socket: &Fd) -> bool {
        let peer = sys::peer(socket.as_fd());
        peer.is_ok_and(|peer| peer.uid == self.owner || peer.uid == 0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.later.end();
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
    fn go_on(
        &mut self,
        room: &mut [u8],
        net: u32,
        shared: &Shared<'_>,
        later: &Arc<Later>,
    ) -> Result<usize, End> {
        self.send()?;
        if !self.rest.is_empty() {
            return Ok(0);
        }
        let n = match sys::receive(self.asker.socket.as_fd(), room, 0) {
            Ok(0) => return Err(End::Closed),
            Ok(n) => n,
            Err(Errno(libc::EAGAIN | libc::EINTR)) => return Ok(0),
            Err(_) => return Err(End::Closed),
        };
        self.since = Instant::now();
        let answer = match Question::of_bytes(&room[..n]) {
            // One question at a time.
            Some(_) if self.waits() => return Err(End::Closed),
            // Who asks had another net at this path.
            Some((question, _)) if question.net != net => return Err(End::Closed),
            Some((question, payload)) if payload.len() <= LONGEST => {
                self.stays = question.options & option::STAYS != 0;
                // From here on an answer may be sent by another thread, and by this one otherwise.
                self.asker.waits.store(true, SeqCst);
                let asker = self.asker.clone();
                let reply = Reply::new(later.clone(), self.number, asker, question.id);
                let answer = shared.lock().answer(&question, payload, reply);
                match answer.map_err(|Replaced| End::Replaced)? {
                    Some(answer) => {
                        self.asker.waits.store(false, SeqCst);
                        answer
                    }
                    None => return Ok(1),
                }
            }
            Some((question, _)) => refusal(question.id, libc::EMSGSIZE),
            // Somebody of another version asks; that one does not understand the answer, either.
            None => refusal(0, libc::EPROTO),
        };
        self.rest.extend(answer);
        self.send()?;
        Ok(1)
    }

    fn waits(&self) -> bool {
        self.asker.waits.load(SeqCst)
    }

    fn send(&mut self) -> Result<(), End> {
        while let Some(packet) = self.rest.front() {
            match sys::send(self.asker.socket.as_fd(), &[packet]) {
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
