//! The side of whoever asks: it connects, starts a host process where none listens, replaces one
//! that is stopped, and puts a question again that was not answered.
#![forbid(unsafe_code)]

use super::kept::{Owner, KEPT};
use super::{option, Answer, Obstacle, Question, ANSWER, LONGEST};
use crate::sockets::question::ANSWER as SOCKET_ANSWER;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_sys::quiet::{may, Extra};
use memtun_sys::{self as sys, Fd, PathBuf, Room};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// How a host process is started for a net that has none.
pub trait Start {
    /// Starts a process that takes the place of the host process of epoch `before`, and returns
    /// without waiting for it. When another process has taken that place already, the new one ends
    /// quietly. The descriptor is at its end (POLLHUP) when the process answers or has ended;
    /// there may be none.
    ///
    /// # Errors
    ///
    /// What keeps it from being started: ENOSYS when the command cannot be found, EAGAIN when
    /// RLIMIT_NPROC allows no other process.
    fn start(&self, net: &NetDir, before: u64) -> Result<Option<Fd>, Errno>;

    /// Returns the path of what is started, for those who are told that it ends at once.
    fn command(&self) -> Option<PathBuf> {
        None
    }

    /// May a connection to the host process be kept for the next question, in a descriptor of this
    /// process's? Not so where its memory is another one's, too.
    fn keeps(&self) -> bool {
        false
    }
}

/// How long a program's call waits for an answer, with everything that has to happen for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a call waits where a host process could not be had a moment ago.
const LITTLE_PATIENCE: Duration = Duration::from_millis(100);
/// How long that moment lasts.
const MOMENT: Duration = Duration::from_secs(10);
/// How long a host process may be silent before it is asked whether it is stopped.
const SUSPICIOUS: Duration = Duration::from_secs(1);
/// How soon a socket that nobody listens on is looked at again, in case that nobody wakes the
/// asker.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a process that was started is given to answer, before another one is started. Where
/// both begin, one of them ends quietly.
const GRACE: Duration = Duration::from_millis(300);
/// How soon after its start a process that has ended without becoming the host process is followed
/// by another one: at first, and at most. The time doubles with each.
const FOLLOWED: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(100)];
/// How long to wait where too many wait to be accepted.
const CROWDED: Duration = Duration::from_millis(2);

/// When this process last waited for a host process in vain, in nanoseconds of CLOCK_MONOTONIC.
static IN_VAIN: AtomicU64 = AtomicU64::new(0);

fn now() -> u64 {
    sys::now_ns(libc::CLOCK_MONOTONIC)
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// Puts a question to the host process of the net, and calls `each` with the payload of its
/// answer, datagram by datagram, if it has one. A host process is started first where there is
/// none. Allocates nothing, and may be called in a signal handler and in a child of vfork(2).
///
/// # Errors
///
/// - The errno of the answer.
/// - ETIMEDOUT when no host process answers within the patience of a program's call.
/// - EMSGSIZE when the payload is longer than [`LONGEST`].
/// - EACCES where the program has forbidden itself the calls for it.
/// - EPROTO when the host process is of another version.
/// - What starting one fails with, see [`Start::start`].
pub fn ask(
    net: &NetDir,
    start: &dyn Start,
    question: &Question,
    payload: &[&[u8]],
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), Errno> {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    if length > LONGEST || payload.len() >= sys::MOST_PARTS {
        return Err(Errno(libc::EMSGSIZE));
    }
    if !may(Extra::Host) {
        return Err(forbidden(net));
    }
    let begin = now();
    let failed = IN_VAIN.load(Relaxed);
    let patience = if failed != 0 && begin.saturating_sub(failed) < nanoseconds(MOMENT) {
        LITTLE_PATIENCE
    } else {
        PATIENCE
    };
    let question = Question {
        net: net.mark(),
        ..*question
    };
    let mut call = Call {
        net,
        start,
        question: &question,
        payload,
        each,
        received: 0,
        started: None,
        grace: GRACE,
        followed: FOLLOWED[0],
        crowded_since: None,
        ended: false,
        answered: false,
        end: begin + nanoseconds(patience),
    };
    let answer = call.run();
    let failed = answer.err().filter(|_| !call.answered);
    let ended = call.ended.then(|| start.command()).flatten();
    IN_VAIN.store(
        match failed {
            Some(Errno(libc::ETIMEDOUT)) => now().max(1),
            _ => 0,
        },
        Relaxed,
    );
    match failed {
        // Whoever looks for the command has said that there is none.
        None | Some(Errno(libc::ENOSYS)) => {}
        Some(e) => say(net, e, ended.as_ref()),
    }
    answer
}

/// Says once that the program has forbidden itself the calls by which the host process is asked,
/// and returns the errno for that.
pub fn forbidden(net: &NetDir) -> Errno {
    let errno = Errno(libc::EACCES);
    say(net, errno, None);
    errno
}

/// Says once why no host process has answered, because a program shows no more than the errno.
/// `ended` is the command of host processes that have ended at once.
fn say(net: &NetDir, why: Errno, ended: Option<&PathBuf>) {
    static SAID: AtomicBool = AtomicBool::new(false);
    // A net that is removed while somebody asks is no reason for a word. Whoever may not ask may
    // not look for it either.
    let is_gone = || may(Extra::Host) && net.is_gone();
    if !log::log_enabled!(log::Level::Warn) || is_gone() || SAID.swap(true, Relaxed) {
        return;
    }
    let kept_in = match why.0 {
        libc::EACCES | libc::EPERM | libc::EAFNOSUPPORT => {
            ": what keeps the program in (seccomp, Landlock, another user) keeps it from the net's host process, or \
             from starting one: ask before that, or let memtun run or memtun host start one outside"
        }
        _ => "",
    };
    let path = net.path().escape_ascii();
    match ended.filter(|_| why.0 == libc::ETIMEDOUT) {
        Some(command) => {
            let command = command.bytes().escape_ascii();
            log::warn!(
                "net {path}: {why}: the command that is started as its host process ends at once: {command} host \
                 --net {path} says why"
            );
        }
        None => log::warn!("net {path}: {}{kept_in}", Obstacle(why)),
    }
}

/// What has become of a connection.
enum Talk {
    /// The answer is complete.
    Answered(Result<(), Errno>),
    /// The connection ended before that; the question has to be put again.
    Lost,
    /// The host process is stopped.
    Stopped,
}

/// A process that was started to become the host process.
struct Started {
    /// The epoch for whose host process it is the successor.
    after: u64,
    at: u64,
    /// When another one is started, because this one may be stopped.
    until: u64,
    /// At its end when the process answers or has ended.
    life: Option<Fd>,
}

struct Call<'c> {
    net: &'c NetDir,
    start: &'c dyn Start,
    question: &'c Question,
    payload: &'c [&'c [u8]],
    each: &'c mut dyn FnMut(&[u8]),
    /// Number of datagrams of the answer that have come. When the question is repeated, so many are
    /// not given to `each` again.
    received: usize,
    started: Option<Started>,
    /// How long a successor is waited for.
    grace: Duration,
    /// How soon a successor that has ended is followed by another one.
    followed: Duration,
    /// Since when too many have waited to be accepted.
    crowded_since: Option<u64>,
    /// Has a host process that was started ended, before this call has found one?
    ended: bool,
    /// Has a host process answered?
    answered: bool,
    end: u64,
}

impl Call<'_> {
    /// Returns how much time is left, at most `most`; None when it is over.
    fn left(&self, most: Duration) -> Option<Duration> {
        match self.end.saturating_sub(now()) {
            0 => None,
            left => Some(Duration::from_nanos(left).min(most)),
        }
    }

    fn run(&mut self) -> Result<(), Errno> {
        let owner = self.owner();
        if let Some(answer) = owner.and_then(|owner| self.ask_on_kept(&owner)) {
            return answer;
        }
        let stays = owner.is_some() && KEPT.is_wanted(now());
        loop {
            // The order matters: a host process that begins between these loads wakes the sleeper.
            let ready = self.net.host_ready.load(SeqCst);
            let epoch = self.net.host_epoch.load(Acquire);
            let connected = match epoch {
                0 => Err(Errno(libc::ENOENT)),
                epoch => connect(self.net, epoch),
            };
            match connected {
                Ok(socket) => match self.talk(socket.as_fd(), stays)? {
                    Talk::Answered(answer) => {
                        self.answered = true;
                        if let Some(owner) = owner.filter(|owner| stays && owner.epoch == epoch) {
                            KEPT.keep(&socket, &owner);
                        }
                        return answer;
                    }
                    // One that ends each connection must not keep the processor busy. It may be the
                    // host process of another net, which is at the same path now.
                    Talk::Lost if self.net.host_epoch.load(Acquire) == epoch => {
                        if self.net.is_gone() {
                            return Err(Errno(libc::ENOENT));
                        }
                        sys::nap(self.left(CROWDED).ok_or(Errno(libc::ETIMEDOUT))?);
                    }
                    Talk::Lost => {}
                    Talk::Stopped => self.start_after(epoch, ready)?,
                },
                Err(Errno(libc::ENOENT | libc::ECONNREFUSED)) => self.start_after(epoch, ready)?,
                Err(Errno(libc::EAGAIN)) => self.crowded(epoch, ready)?,
                Err(Errno(libc::EINTR)) => {}
                Err(e) => return Err(e),
            }
            if self.left(PATIENCE).is_none() {
                return Err(Errno(libc::ETIMEDOUT));
            }
        }
    }

    /// Returns whose connection could be kept for this question; None where there is to be none.
    fn owner(&self) -> Option<Owner> {
        let question = self.question;
        let epoch = self.net.host_epoch.load(Acquire);
        let may = epoch != 0 && question.what.is_about_socket() && self.start.keeps();
        may.then_some(Owner {
            pid: question.pid,
            uid: question.uid,
            net: question.net,
            epoch,
        })
    }

    /// Puts the question on the connection that is kept, if there is one. None says that it has to
    /// be put on another one.
    fn ask_on_kept(&mut self, owner: &Owner) -> Option<Result<(), Errno>> {
        let socket = KEPT.take(owner)?;
        match self.talk(socket, true) {
            Ok(Talk::Answered(answer)) => {
                KEPT.give_back();
                self.answered = true;
                Some(answer)
            }
            // The host process has left who was silent for long, or has ended, or is stopped.
            _ => {
                KEPT.end();
                None
            }
        }
    }

    /// Starts a host process after the one of `epoch`, unless this call has done that already, and
    /// waits for one.
    fn start_after(&mut self, epoch: u64, ready: u32) -> Result<(), Errno> {
        if self.net.host_epoch.load(Acquire) != epoch {
            return Ok(());
        }
        // It is gone, or another root directory hides it, in which nothing can be started for it.
        if self.net.open_dir().err() == Some(Errno(libc::ENOENT)) {
            return Err(Errno(libc::ENOENT));
        }
        let waits = |started: &&mut Started| started.after == epoch && now() < started.until;
        if self.started.as_mut().filter(waits).is_none() {
            let life = self.start.start(self.net, epoch)?;
            let at = now();
            self.started = Some(Started {
                after: epoch,
                at,
                until: at + nanoseconds(self.grace),
                life,
            });
            self.grace = (self.grace * 2).min(PATIENCE);
        }
        self.await_successor(ready)?;
        // Whoever could not become the host process says why.
        let failed = self.net.host_errno.load(SeqCst);
        let failed = if is_errno(failed) { failed } else { 0 };
        let told = self.net.host_ready.load(SeqCst) != ready;
        if failed != 0 && told && self.net.host_epoch.load(Acquire) == epoch {
            return Err(Errno(failed));
        }
        Ok(())
    }

    /// Sleeps until the process that was started answers or has ended, or somebody else says that
    /// he is the host process, or for a while.
    fn await_successor(&mut self, ready: u32) -> Result<(), Errno> {
        let nap = self.left(LOOK_AGAIN).ok_or(Errno(libc::ETIMEDOUT))?;
        let started = self.started.as_mut();
        if let Some((started, life)) = started.and_then(|s| s.life.take().map(|life| (s, life))) {
            let mut fds = [libc::pollfd {
                fd: life.raw(),
                events: 0,
                revents: 0,
            }];
            match sys::poll(&mut fds, Some(nap)) {
                Ok(1) => {
                    self.ended = true;
                    // Whether it answers is looked at next.
                    let soon = started.at + nanoseconds(self.followed);
                    started.until = started.until.min(soon);
                    self.followed = (self.followed * 2).min(FOLLOWED[1]);
                }
                _ => started.life = Some(life),
            }
            return Ok(());
        }
        let until = self.started.as_ref().map(|started| started.until);
        let rest = until.map(|until| Duration::from_nanos(until.saturating_sub(now())));
        let nap = rest.map_or(nap, |rest| rest.min(nap));
        let slept = sys::futex_wait(&self.net.host_ready, ready, Some(nap));
        if slept == Err(Errno(libc::EAGAIN)) {
            // Where futex(2) is forbidden, the processor is given away.
            sys::yield_now();
        }
        Ok(())
    }

    /// Waits where too many wait to be accepted. A host process that does not accept for so long
    /// is stopped, or it hangs.
    fn crowded(&mut self, epoch: u64, ready: u32) -> Result<(), Errno> {
        let since = *self.crowded_since.get_or_insert_with(now);
        if now().saturating_sub(since) >= nanoseconds(SUSPICIOUS) {
            return self.start_after(epoch, ready);
        }
        sys::nap(self.left(CROWDED).ok_or(Errno(libc::ETIMEDOUT))?);
        Ok(())
    }

    /// Puts the question on a connection, which `stays` or not, and receives the answer.
    fn talk(&mut self, socket: BorrowedFd<'_>, stays: bool) -> Result<Talk, Errno> {
        let stays = if stays { option::STAYS } else { 0 };
        let question = Question {
            options: self.question.options | stays,
            ..*self.question
        };
        let head = question.to_bytes();
        let mut parts: [&[u8]; sys::MOST_PARTS] = [&[]; sys::MOST_PARTS];
        parts[0] = &head;
        parts[1..=self.payload.len()].copy_from_slice(self.payload);
        let parts = &parts[..=self.payload.len()];
        loop {
            match sys::send(socket, parts) {
                Ok(_) => break,
                Err(Errno(libc::EINTR)) => {}
                Err(Errno(libc::EAGAIN)) => match self.wait(socket, libc::POLLOUT)? {
                    None => {}
                    Some(talk) => return Ok(talk),
                },
                Err(Errno(libc::EPIPE | libc::ECONNRESET)) => return Ok(Talk::Lost),
                Err(e) => return Err(e),
            }
        }
        let mut count = 0;
        let (mut little, mut much);
        let room = if self.question.what.is_about_socket() {
            little = [0; ANSWER + SOCKET_ANSWER];
            &mut little[..]
        } else {
            much = Room::new(LONGEST + ANSWER + 4)?;
            much.bytes()
        };
        // No answer is there at once.
        if let Some(talk) = self.wait(socket, libc::POLLIN)? {
            return Ok(talk);
        }
        loop {
            // A host process that never ends its answer must not keep the program.
            self.left(PATIENCE).ok_or(Errno(libc::ETIMEDOUT))?;
            let n = match sys::receive(socket, room, libc::MSG_TRUNC) {
                Ok(0) | Err(Errno(libc::ECONNRESET)) => return Ok(Talk::Lost),
                Ok(n) => n,
                Err(Errno(libc::EINTR)) => continue,
                Err(Errno(libc::EAGAIN)) => match self.wait(socket, libc::POLLIN)? {
                    None => continue,
                    Some(talk) => return Ok(talk),
                },
                Err(e) => return Err(e),
            };
            let packet = room.get(..n).and_then(Answer::of_bytes);
            let (answer, payload) = packet.ok_or(Errno(libc::EPROTO))?;
            if answer.id != self.question.id || answer.errno != 0 && !is_errno(answer.errno) {
                return Err(Errno(libc::EPROTO));
            }
            // An ioctl that fails may store something nevertheless.
            for datagram in super::datagrams(&answer, payload) {
                let datagram = datagram.ok_or(Errno(libc::EPROTO))?;
                if count >= self.received && !datagram.is_empty() {
                    (self.each)(datagram);
                }
                count += 1;
                self.received = self.received.max(count);
            }
            if answer.errno != 0 {
                return Ok(Talk::Answered(Err(Errno(answer.errno))));
            }
            if !answer.more {
                return Ok(Talk::Answered(Ok(())));
            }
        }
    }

    /// Waits for the host process. None says to go on; otherwise the connection is of no use any
    /// more.
    fn wait(&self, socket: BorrowedFd<'_>, events: i16) -> Result<Option<Talk>, Errno> {
        let mut fds = [libc::pollfd {
            fd: socket.as_raw_fd(),
            events,
            revents: 0,
        }];
        let time = self.left(SUSPICIOUS).ok_or(Errno(libc::ETIMEDOUT))?;
        match sys::poll(&mut fds, Some(time)) {
            Err(Errno(libc::EINTR)) => Ok(None),
            Err(e) => Err(e),
            Ok(0) if time == SUSPICIOUS && is_stopped(sys::peer(socket.as_fd())?.pid) => {
                Ok(Some(Talk::Stopped))
            }
            Ok(_) => Ok(None),
        }
    }
}

/// Is there a host process that listens, though it may be stopped?
pub fn is_answering(net: &NetDir) -> bool {
    match net.host_epoch.load(Acquire) {
        0 => false,
        epoch => !matches!(
            connect(net, epoch),
            Err(Errno(libc::ENOENT | libc::ECONNREFUSED))
        ),
    }
}

/// Is this the number of an error that a call can fail with?
fn is_errno(number: i32) -> bool {
    (1..1024).contains(&number)
}

/// Connects with the host process of an epoch. Only the owner of the net or root can be one:
/// connect(2) follows a link in the socket's place, which may lead to somebody else's socket. That
/// the net at the path is still this one the host process sees by [`Question::net`].
fn connect(net: &NetDir, epoch: u64) -> Result<Fd, Errno> {
    // A filter may answer as a kernel without sockets, where ENOSYS says that there is no command.
    let refused = |e: Errno| match e.0 {
        libc::ENOSYS => Errno(libc::EACCES),
        _ => e,
    };
    let socket = sys::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0).map_err(refused)?;
    let name = NetDir::host_socket(epoch)?;
    let is_among = |owner| -> Result<bool, Errno> {
        let peer = sys::peer(socket.as_fd())?.uid;
        Ok([owner, sys::effective_uid(), 0].contains(&peer))
    };
    let path = PathBuf::concat(&[net.path(), b"/", name.bytes()])?;
    match sys::connect_path(socket.as_fd(), path.bytes()).map_err(refused) {
        Ok(()) if is_among(net.uid())? => return Ok(socket),
        Ok(()) => {}
        Err(Errno(libc::ENAMETOOLONG)) => {
            let dir = net.open_dir()?;
            super::place::in_directory(dir.raw(), net.path(), &name, |path| {
                sys::connect_path(socket.as_fd(), path).map_err(refused)
            })?;
        }
        Err(Errno(libc::ENOTDIR | libc::ELOOP)) => return Err(Errno(libc::ENOENT)),
        Err(e) => return Err(e),
    }
    // In another user namespace the owner has another number.
    match is_among(net.open_dir()?.id().uid)? {
        true => Ok(socket),
        false => Err(Errno(libc::EPERM)),
    }
}

/// Returns the process id of the host process of this epoch, if it is stopped and of this user.
pub fn stopped(net: &NetDir, epoch: u64) -> Option<i32> {
    let socket = connect(net, epoch).ok()?;
    let peer = sys::peer(socket.as_fd()).ok()?;
    (peer.uid == sys::effective_uid() && is_stopped(peer.pid)).then_some(peer.pid)
}

/// Is the process stopped, by a signal or by a debugger?
pub fn is_stopped(pid: i32) -> bool {
    let stat = || -> Result<bool, Errno> {
        let mut path = PathBuf::concat(&[b"/proc/"])?;
        path.push_number(pid.max(0) as u64)?;
        path.push(b"/stat")?;
        let file = sys::open_internal(path.cstr(), libc::O_RDONLY, 0)?;
        let mut text = [0; 256];
        let n = sys::read(file.as_raw_fd(), &mut text)?;
        // The state is the letter behind the name, which is in parentheses and may hold any.
        let behind = text[..n].iter().rposition(|b| *b == b')');
        let state = behind.and_then(|at| text.get(at + 2));
        Ok(matches!(state, Some(b'T' | b't')))
    };
    stat().unwrap_or(false)
}
