//! The native socket of a connection, whose other end is the program's.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno as Native;
use rustix::net::{self, sockopt, AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags};
use rustix::net::{SocketAddrAny, SocketType};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What the kernel keeps for a leg each way (it doubles it for what it needs itself): enough for
/// the loopback, and little beside what the program's own socket keeps.
const BUFFER: usize = 128 * 1024;

/// How a native connect stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Connected {
    Yes,
    NotYet,
    No(Errno),
}

/// What an event says of a leg.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Event {
    pub readable: bool,
    pub writable: bool,
    /// Something is wrong.
    pub failed: bool,
    /// There is an end behind the bytes.
    pub ends: bool,
    /// There is an urgent byte.
    pub urgent: bool,
}

/// A native socket.
pub(super) struct Leg {
    socket: OwnedFd,
    /// What is known of it without asking: each is true until the kernel has said EAGAIN, and
    /// again when an event says so.
    pub readable: bool,
    pub writable: bool,
    pub room_is_waited_for: bool,
    /// Urgent data has come, and is not read yet.
    urgent: bool,
    /// An event has just said what there is, and whether that has been read since.
    told: Option<bool>,
    /// It was read without an event. One may have been on its way, and does not know of that.
    looked: bool,
    /// An event has said that something is wrong.
    pub failed: bool,
    /// An event has said that there is an end behind the bytes: no other event says so again.
    pub ends: bool,
    /// Bytes have been written since it was looked at.
    written: bool,
    /// Bytes have been written since it was last made to answer at once.
    is_late: bool,
    /// The program's socket waits for no answers (TCP_NODELAY).
    pub no_delay: bool,
    /// Bytes that have come from the program.
    pub came: u64,
    /// The program has said all.
    pub ended: bool,
    /// The program was told that the other side has said all.
    pub shut: bool,
    /// Its end is a reset.
    is_reset: bool,
}

/// How the program's end is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gone {
    /// The program has reset it.
    Ended,
    /// Nobody was there for what was written.
    Answered,
}

/// What came of reading or writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moved {
    /// So many bytes.
    Some(usize),
    /// Nothing now.
    Later,
    /// The program's end is closed: no more bytes that way.
    End,
    /// The program's end is gone.
    Broken,
}

impl Moved {
    /// Returns it with how many bytes it stands for.
    pub fn counted(self) -> (usize, Moved) {
        match self {
            Moved::Some(count) => (count, self),
            _ => (0, self),
        }
    }
}

fn errno(e: Native) -> Errno {
    Errno(e.raw_os_error())
}

/// Sets on a socket what a leg has. One that listens hands it on to those that it accepts.
pub(super) fn prepare(socket: BorrowedFd<'_>) {
    // A leg without them is slower or larger, and works.
    let _ = sockopt::set_tcp_nodelay(socket, true);
    // Urgent data is read where it stands.
    let _ = sockopt::set_socket_oobinline(socket, true);
    // A host process that is killed must not look like an end of what the other side has sent.
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
    let _ = sockopt::set_socket_send_buffer_size(socket, BUFFER);
    let _ = sockopt::set_socket_recv_buffer_size(socket, BUFFER);
}

impl Leg {
    /// Takes a socket that is prepared.
    fn of(socket: OwnedFd) -> Leg {
        Leg {
            socket,
            readable: true,
            writable: true,
            room_is_waited_for: false,
            urgent: false,
            told: None,
            looked: false,
            failed: false,
            ends: false,
            written: false,
            is_late: false,
            no_delay: false,
            came: 0,
            ended: false,
            shut: false,
            is_reset: false,
        }
    }

    /// Accepts one, with the name of the program's end, at a listener that is prepared. None where
    /// nobody has connected.
    pub fn accepted(listener: BorrowedFd<'_>) -> Option<(Leg, Option<SocketAddr>)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (socket, other) = net::acceptfrom_with(listener, flags).ok()?;
        Some((Leg::of(socket), other.and_then(name)))
    }

    /// Makes one with a name of its own, which others may have, too, if they are `shared`.
    ///
    /// # Errors
    ///
    /// EMFILE, EADDRINUSE and others.
    pub fn bound(name: &SocketAddr, shared: bool) -> Result<Leg, Errno> {
        let family = match name {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None).map_err(errno)?;
        if shared {
            sockopt::set_socket_reuseport(&socket, true).map_err(errno)?;
        }
        net::bind(&socket, name).map_err(errno)?;
        prepare(socket.as_fd());
        Ok(Leg::of(socket))
    }

    /// Waits for programs that connect.
    ///
    /// # Errors
    ///
    /// EADDRINUSE.
    pub fn listen(&self) -> Result<(), Errno> {
        net::listen(&self.socket, 0).map_err(errno)
    }

    /// Lets no packet through that comes from a socket with a usual hop limit (IP_MINTTL).
    pub fn take_no_answer(&self) {
        const IP_MINTTL: i32 = 21;
        let raw = self.socket.as_raw_fd();
        let _ = memtun_sys::set_int_option(raw, libc::IPPROTO_IP, IP_MINTTL, 255);
    }

    /// Begins to connect, and looks how far that came: on the loopback it is decided at once, and
    /// the second call says so.
    pub fn connect(&self, to: &SocketAddr) -> Connected {
        let begun = net::connect(&self.socket, to);
        let is_pending = |e| matches!(e, Native::INPROGRESS | Native::INTR | Native::ALREADY);
        match begun {
            Err(e) if is_pending(e) => match net::connect(&self.socket, to) {
                Ok(()) | Err(Native::ISCONN) => Connected::Yes,
                Err(e) if is_pending(e) => Connected::NotYet,
                Err(e) => Connected::No(errno(e)),
            },
            Err(e) => Connected::No(errno(e)),
            Ok(()) => Connected::Yes,
        }
    }

    /// Looks how far a connect came.
    pub fn connected(&self) -> Connected {
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let _ = poll(&mut fds, Some(&at_once));
        let events = fds[0].revents();
        if events.is_empty() {
            return Connected::NotYet;
        }
        match sockopt::socket_error(&self.socket) {
            Ok(Err(e)) | Err(e) => Connected::No(errno(e)),
            Ok(Ok(())) => Connected::Yes,
        }
    }

    /// Its own name.
    pub fn own_name(&self) -> Option<SocketAddr> {
        name(net::getsockname(&self.socket).ok()?)
    }

    /// The program's end.
    pub fn other_name(&self) -> Option<SocketAddr> {
        name(net::getpeername(&self.socket).ok()??)
    }

    /// Gives bytes to the program.
    pub fn write(&mut self, bytes: &[u8]) -> Moved {
        self.send(bytes, SendFlags::empty())
    }

    fn send(&mut self, bytes: &[u8], more: SendFlags) -> Moved {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT | more;
        loop {
            match net::send(&self.socket, bytes, flags) {
                Ok(count) => {
                    self.writable = count == bytes.len();
                    (self.written, self.is_late) = (true, true);
                    return Moved::Some(count);
                }
                Err(Native::INTR) => {}
                Err(Native::AGAIN) => {
                    self.writable = false;
                    return Moved::Later;
                }
                Err(_) => return Moved::Broken,
            }
        }
    }

    /// Gives an urgent byte to the program.
    pub fn write_urgent(&mut self, byte: &[u8]) -> Moved {
        self.send(byte, SendFlags::OOB)
    }

    /// Takes what an event says.
    pub fn hear(&mut self, event: &Event) {
        self.readable |= event.readable;
        self.writable |= event.writable;
        self.failed |= event.failed;
        self.ends |= event.ends;
        self.urgent |= event.urgent;
        self.told = Some(std::mem::take(&mut self.looked));
    }

    /// What the program has sent has come, whether its event has or not.
    pub fn look(&mut self) {
        (self.readable, self.failed) = (true, true);
    }

    /// Begins to read. Returns whether an event has said what comes first; what comes after the
    /// first read none has.
    pub fn is_told(&mut self) -> bool {
        match self.told.take() {
            Some(read_since) => !read_since,
            None => {
                self.looked |= self.readable;
                false
            }
        }
    }

    /// Is the next byte that is read an urgent one? `told`: if it was, an event would have said so.
    pub fn is_at_mark(&self, told: bool) -> bool {
        let may = self.urgent || !told;
        may && memtun_sys::is_at_mark(self.socket.as_raw_fd()).unwrap_or(false)
    }

    /// Takes an urgent byte from the program, the next one.
    pub fn read_urgent(&mut self, room: &mut [u8]) -> Moved {
        // Behind it more may be, of which no event tells.
        self.urgent = true;
        let moved = self.read(&mut room[..1]);
        self.urgent = !matches!(moved, Moved::Some(_));
        moved
    }

    /// Takes bytes from the program.
    pub fn read(&mut self, room: &mut [u8]) -> Moved {
        loop {
            match net::recv(&self.socket, &mut *room, RecvFlags::DONTWAIT) {
                Ok((0, _)) => {
                    self.ended = true;
                    return Moved::End;
                }
                Ok((count, _)) => {
                    // Fewer than there was room for are all that there were. What comes after them
                    // makes an event. An urgent byte, behind which more may be, has made one.
                    self.readable = count == room.len() || self.ends || self.urgent;
                    self.came = self.came.wrapping_add(count as u64);
                    self.answer();
                    return Moved::Some(count);
                }
                Err(Native::INTR) => {}
                Err(Native::AGAIN) => {
                    self.readable = false;
                    return Moved::Later;
                }
                Err(_) => return Moved::Broken,
            }
        }
    }

    /// Acknowledges at once what was read. Who has written is given time by the kernel to do so
    /// again (40 ms), and what the program writes next would wait for that in its own socket.
    fn answer(&mut self) {
        if !self.no_delay && std::mem::take(&mut self.is_late) {
            let _ = sockopt::set_tcp_quickack(&self.socket, true);
        }
    }

    /// Looks whether the program's end is gone. On the loopback it has answered when the write is
    /// over.
    pub fn gone(&mut self) -> Option<Gone> {
        let failed = std::mem::take(&mut self.failed);
        let written = std::mem::take(&mut self.written);
        let looks = failed || written;
        let is_gone = looks && !matches!(sockopt::socket_error(&self.socket), Ok(Ok(())));
        is_gone.then_some(match written {
            true => Gone::Answered,
            false => Gone::Ended,
        })
    }

    /// Tells the program that the other side has said all.
    pub fn shut(&mut self) {
        if !std::mem::replace(&mut self.shut, true) {
            let _ = net::shutdown(&self.socket, Shutdown::Write);
        }
    }

    /// Ends it so that the program sees ECONNRESET.
    pub fn reset(mut self) {
        self.is_reset = true;
        // At once: what it is closed by comes later.
        let _ = net::connect_unspec(&self.socket);
    }
}

impl Leg {
    /// Lets the program see ECONNRESET when it is closed, unless it has been told that the other
    /// side has said all.
    pub fn break_off(&mut self) {
        self.is_reset |= !self.shut;
    }
}

impl Drop for Leg {
    /// Closes it: what has been written is delivered, unless it is reset.
    fn drop(&mut self) {
        if !self.is_reset {
            let _ = sockopt::set_socket_linger(&self.socket, None);
        }
    }
}

impl AsFd for Leg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A name of the kernel's in std's words.
pub(super) fn name(name: SocketAddrAny) -> Option<SocketAddr> {
    SocketAddr::try_from(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    /// Reads what comes within less than the time that the kernel may wait with an answer (40 ms).
    fn soon(leg: &mut Leg, room: &mut [u8]) -> Moved {
        let mut fds = [PollFd::new(&leg.socket, PollFlags::IN)];
        let time = Timespec {
            tv_sec: 0,
            tv_nsec: 30_000_000,
        };
        let _ = poll(&mut fds, Some(&time));
        leg.read(room)
    }

    #[test]
    fn a_leg_is_read_until_there_is_nothing_more_and_not_beyond() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let name = listener.local_addr().expect("its name");
        let mut program = TcpStream::connect(name).expect("a program");
        let (mut leg, _) = Leg::accepted(listener.as_fd()).expect("a leg");
        let mut room = [0; 100];
        program.write_all(&[1; 108]).expect("written");
        assert_eq!(soon(&mut leg, &mut room), Moved::Some(100));
        assert!(leg.readable, "there may be more");
        assert_eq!(leg.read(&mut room), Moved::Some(8));
        assert!(!leg.readable, "more makes an event");
        // An event that has told of the end tells of it once.
        program.write_all(b"last").expect("written");
        drop(program);
        (leg.readable, leg.ends) = (true, true);
        assert_eq!(soon(&mut leg, &mut room), Moved::Some(4));
        assert!(leg.readable);
        assert_eq!(leg.read(&mut room), Moved::End);
    }

    #[test]
    fn an_urgent_byte_is_found_whatever_event_has_told_of_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        prepare(listener.as_fd());
        let name = listener.local_addr().expect("its name");
        let mut program = TcpStream::connect(name).expect("a program");
        let press = |program: &TcpStream| net::send(program, b"!", SendFlags::OOB).expect("sent");
        let (mut leg, _) = Leg::accepted(listener.as_fd()).expect("a leg");
        let mut room = [0; 2];
        let heard = Event {
            readable: true,
            ..Event::default()
        };

        press(&program);
        let told = leg.is_told();
        assert!(leg.is_at_mark(told), "before the first event");
        assert_eq!(leg.read_urgent(&mut room), Moved::Some(1));

        program.write_all(b"ab").expect("written");
        leg.hear(&heard);
        let _ = leg.is_told();
        leg.hear(&heard);
        let told = leg.is_told();
        assert!(
            told && !leg.is_at_mark(told),
            "an event says what comes first"
        );
        assert_eq!(soon(&mut leg, &mut room), Moved::Some(2));
        press(&program);
        assert!(leg.is_at_mark(false), "behind what the event has told of");
        assert_eq!(leg.read_urgent(&mut room), Moved::Some(1));

        // It is read by somebody else between an event and what is done about it.
        program.write_all(b"ab").expect("written");
        leg.look();
        let told = leg.is_told();
        assert!(!leg.is_at_mark(told));
        assert_eq!(soon(&mut leg, &mut room), Moved::Some(2));
        press(&program);
        leg.hear(&heard);
        let told = leg.is_told();
        assert!(leg.is_at_mark(told), "the event is older");
    }

    #[test]
    fn what_a_program_writes_does_not_wait_for_an_answer_of_the_legs() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        prepare(listener.as_fd());
        let name = listener.local_addr().expect("its name");
        let mut program = TcpStream::connect(name).expect("a program");
        let (mut leg, _) = Leg::accepted(listener.as_fd()).expect("a leg");
        let mut room = [0; 100];
        // Who answers is given time to answer again.
        for _ in 0..5 {
            program.write_all(b"question").expect("written");
            assert_eq!(soon(&mut leg, &mut room), Moved::Some(8));
            assert_eq!(leg.write(b"answer"), Moved::Some(6));
            program.read_exact(&mut room[..6]).expect("read");
        }
        program.write_all(b"one").expect("written");
        program.write_all(b"two").expect("written");
        assert_eq!(soon(&mut leg, &mut room), Moved::Some(3));
        assert_eq!(soon(&mut leg, &mut room), Moved::Some(3));
    }
}
