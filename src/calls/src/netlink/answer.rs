//! The answer to a request on its way into the queue of the program's socket.
//!
//! The kernel continues a long dump when the program receives. Here the answer is complete when the
//! program's send returns, as far as the queue has room. Where it has not, the last datagram in the
//! queue says how the answer goes on, and the receive that meets it asks again and leaves out what
//! the program has had. So nothing is kept in a process, and whoever has the socket goes on.
#![forbid(unsafe_code)]

use super::diag::{self, Diag};
use super::generic::{End, Who};
use super::SOL_NETLINK;
use super::{generic, mark, seal};
use crate::host::{asked, numbered, Host};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{self, option, Question, What};
use memtun_stack::state::Seal;
use memtun_stack::wire::{u16_at, u32_at, Message, Messages, HEADER};
use memtun_sys::privilege::{self, Call};
use memtun_sys::{self as sys, Fd, Room};

/// The type of the datagram that says how an answer goes on. No message of rtnetlink has it.
const GOES_ON: u16 = 0x6d74;
/// Length in bytes of its head: a message's header, and the number of the question.
const HEAD: usize = HEADER + 8;
/// Length in bytes of datagrams that need no mapping.
const SMALL: usize = 4096;

/// Options of netlink sockets that change an answer, and the bits by which the host process is told
/// of them.
const OPTIONS: [(i32, u16); 3] = [
    (libc::NETLINK_EXT_ACK, option::EXT_ACK),
    (libc::NETLINK_CAP_ACK, option::CAP_ACK),
    (libc::NETLINK_GET_STRICT_CHK, option::STRICT),
];

/// A request of the program.
pub(super) struct Request<'r> {
    /// What the program has sent.
    pub bytes: &'r [u8],
    /// Port of the program's socket.
    pub port: u32,
    /// Number of the question, which stays the same when it is asked again.
    pub id: u64,
    /// Number of datagrams of the answer that the program has had.
    pub had: u32,
    /// Protocol of the socket. A request is one message, but for NETLINK_ROUTE.
    pub protocol: i32,
}

impl Request<'_> {
    fn is_generic(&self) -> bool {
        self.protocol == libc::NETLINK_GENERIC
    }
}

/// Gets the answer to a request and puts it into the queue of the socket.
///
/// # Errors
///
/// - What asking the host process fails with, see [`ask::ask`].
/// - What sending the request to the machine's kernel fails with.
pub(super) fn answer(host: &impl Host, fd: i32, request: &Request<'_>) -> Result<(), Errno> {
    let port = request.port;
    let mut queue = Queue {
        fd,
        port,
        seal: seal::of(fd),
        had: request.had,
        count: 0,
        full: false,
    };
    if is_busy(&queue, request) {
        refuse(&mut queue, request.bytes, libc::EBUSY);
        return Ok(());
    }
    let asked = asked(host)?;
    if asked.is_some()
        && request.protocol == libc::NETLINK_SOCK_DIAG
        && diag::is_of_files(request.bytes)
    {
        refuse(&mut queue, request.bytes, libc::ENOENT);
        return Ok(());
    }
    let who = match asked {
        Some(net) if request.is_generic() => generic::who(host, net, request.bytes),
        Some(_) if request.protocol == libc::NETLINK_SOCK_DIAG => Who::Machine,
        Some(_) => Who::Host,
        None => Who::Machine,
    };
    let mut said = Said::default();
    if who != Who::Host {
        let joined = asked.filter(|_| who == Who::Both);
        let hides =
            request.is_generic() && asked.is_some() && generic::is_hidden(host, request.bytes);
        let mut diag = asked
            .filter(|_| request.protocol == libc::NETLINK_SOCK_DIAG)
            .and_then(|net| Diag::new(host, net, request.bytes));
        let mut way = Way {
            joined,
            guarded: asked.is_some(),
            hides,
            diag: diag.as_mut(),
        };
        let mut complete = machine(request, &mut queue, &mut way, &mut said)?;
        if way.diag.is_some_and(|diag| diag.asks_again()) {
            way.diag = None;
            complete = machine(request, &mut queue, &mut way, &mut said)?;
        }
        if complete {
            if queue.full {
                queue.goes_on(request);
            }
            return Ok(());
        }
    }
    if let Some(net) = asked.filter(|_| who != Who::Machine) {
        let kind = if request.is_generic() {
            option::GENERIC
        } else {
            0
        };
        let question = Question {
            options: options(fd) | kind,
            port,
            ..numbered(host, What::Netlink, request.id)
        };
        let mut put = |datagram: &[u8]| queue.put_after(datagram, &said);
        let mut changed = [0; SMALL];
        let changed = match who {
            Who::Both => generic::without_device(net, request.bytes, true, &mut changed),
            _ => None,
        };
        let bytes = changed.unwrap_or(request.bytes);
        ask::ask(net, host.start(), &question, &[bytes], &mut put)?;
    }
    if queue.full {
        queue.goes_on(request);
    }
    Ok(())
}

/// Is this a dump while another one is not read to its end? The kernel has one at a time: it has
/// ended when its last message is the next one, or in the next datagram.
fn is_busy(queue: &Queue, request: &Request<'_>) -> bool {
    if request.had > 0 || request.bytes.len() < HEADER || !is_dump(request) {
        return false;
    }
    // Most often nothing is queued, and nothing is copied.
    let mut room = [0; SMALL];
    let Ok((length, from)) = sys::receive_netlink(queue.fd, &mut room, libc::MSG_PEEK) else {
        return false;
    };
    let mut messages = Messages(&room[..length.min(SMALL)]).peekable();
    let is_part = |message: &Message<'_>| message.flags & libc::NLM_F_MULTI as u16 != 0;
    from.port == queue.port
        && messages.peek().is_some_and(is_part)
        && messages.all(|message| message.kind != libc::NLMSG_DONE as u16)
}

/// Answers a request with the error EBUSY (`netlink_ack`).
fn refuse(queue: &mut Queue, request: &[u8], errno: i32) {
    /// NLM_F_CAPPED.
    const CAPPED: u16 = 0x100;
    /// Length in bytes of the head of an error message: a message's header, and the errno.
    const ERROR: usize = HEADER + 4;
    let capped = options(queue.fd) & option::CAP_ACK != 0 || ERROR + request.len() > SMALL;
    let quoted = if capped { HEADER } else { request.len() };
    let length = ERROR + quoted;
    let mut room = [0; SMALL];
    room[..4].copy_from_slice(&(length as u32).to_ne_bytes());
    room[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
    if capped {
        room[6..8].copy_from_slice(&CAPPED.to_ne_bytes());
    }
    room[8..12].copy_from_slice(&request[8..12]);
    room[12..HEADER].copy_from_slice(&queue.port.to_ne_bytes());
    room[HEADER..ERROR].copy_from_slice(&(-errno).to_ne_bytes());
    room[ERROR..length].copy_from_slice(&request[..quoted]);
    queue.put(&room[..length]);
}

/// Returns the bits of the options that are set on the program's socket.
fn options(fd: i32) -> u16 {
    let is_set = |name: i32| sys::int_option(fd, SOL_NETLINK, name).is_ok_and(|v| v != 0);
    OPTIONS
        .iter()
        .filter(|(name, _)| is_set(*name))
        .fold(0, |bits, (_, bit)| bits | bit)
}

/// The queue of the program's socket.
struct Queue {
    fd: i32,
    port: u32,
    seal: Option<Seal>,
    had: u32,
    /// Number of datagrams of the answer so far.
    count: u32,
    /// Has a datagram found no room? The rest of the answer is left for later.
    full: bool,
}

impl Queue {
    fn put(&mut self, datagram: &[u8]) {
        if self.full || datagram.is_empty() {
            return;
        }
        let is_new = self.count >= self.had;
        if is_new && !(self.has_room(datagram.len()) && self.send(datagram)) {
            self.full = true;
            return;
        }
        self.count += 1;
    }

    /// Puts a datagram of the second part of a list. Where its end says nothing, what the end of
    /// the first part has `said` is said.
    fn put_after(&mut self, datagram: &[u8], said: &Said) {
        match generic::end_of(datagram) {
            End::Well(at) if said.length > 0 && !generic::says(&datagram[at..]) => {
                self.put(&datagram[..at]);
                self.put(&said.bytes[..said.length]);
            }
            _ => self.put(datagram),
        }
    }

    fn send(&self, datagram: &[u8]) -> bool {
        send(self.fd, self.port, &self.seal, datagram)
    }

    /// Is there room for a datagram of this length, and behind it for the one that says how the
    /// answer goes on? The kernel takes anything into an empty queue.
    fn has_room(&self, length: usize) -> bool {
        /// What the kernel needs for a datagram besides its bytes, at most.
        const OVERHEAD: usize = 1024;
        let Ok((queued, room)) = sys::receive_queue(self.fd) else {
            return true;
        };
        queued == 0 || queued as usize + 2 * (length + OVERHEAD) + SMALL <= room as usize
    }

    /// Says at the end of the queue how the answer to the request goes on. An answer that tells
    /// what a change has led to is lost instead, as it is in the kernel.
    fn goes_on(&self, request: &Request<'_>) {
        let length = HEAD + request.bytes.len();
        if !is_dump(request) || length > SMALL {
            return mark::change(self.fd, mark::LOST, 0);
        }
        let mut room = [0; SMALL];
        room[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        room[4..6].copy_from_slice(&GOES_ON.to_ne_bytes());
        room[8..12].copy_from_slice(&self.count.max(self.had).to_ne_bytes());
        room[HEADER..HEAD].copy_from_slice(&request.id.to_ne_bytes());
        room[HEAD..length].copy_from_slice(request.bytes);
        // The receive looks for it from before it is there.
        mark::change(self.fd, mark::GOES_ON, 0);
        let sent = self.send(&room[..length])
            || with_option(self.fd, libc::SO_RCVBUF, 64 << 10, || {
                self.send(&room[..length])
            });
        if !sent {
            mark::change(self.fd, mark::LOST, mark::GOES_ON);
        }
    }
}

/// Sends a datagram with the socket's seal to the socket itself. Returns false when that fails.
fn send(fd: i32, port: u32, seal: &Option<Seal>, datagram: &[u8]) -> bool {
    let seal = seal.as_ref().map_or::<&[u8], _>(&[], |seal| seal);
    let parts = [datagram, seal];
    match sys::send_netlink(fd, port, &parts) {
        Ok(()) => true,
        // The program has made the buffer for what it sends small; answers are not limited by it.
        Err(Errno(libc::EMSGSIZE)) => with_option(fd, libc::SO_SNDBUF, 128 << 10, || {
            sys::send_netlink(fd, port, &parts).is_ok()
        }),
        Err(_) => false,
    }
}

/// Runs something while a buffer of the socket is larger by so many bytes.
fn with_option(fd: i32, name: i32, more: i32, run: impl Fn() -> bool) -> bool {
    let Ok(before) = sys::int_option(fd, libc::SOL_SOCKET, name) else {
        return false;
    };
    // The kernel doubles what it is given.
    let set = |value: i32| sys::set_int_option(fd, libc::SOL_SOCKET, name, value / 2);
    let _ = set(before.saturating_add(more));
    let done = run();
    let _ = set(before);
    done
}

/// Does each message of a request only ask for a dump?
fn is_dump(request: &Request<'_>) -> bool {
    let is_route = request.protocol == libc::NETLINK_ROUTE;
    Messages(request.bytes).all(|message| message.is_list() && (!is_route || message.kind % 4 == 2))
}

/// The end of the machine's part of a list, if it says a sentence.
struct Said {
    bytes: [u8; Self::MOST],
    length: usize,
}

impl Said {
    /// Length in bytes of the longest that is kept.
    const MOST: usize = 512;

    fn take(&mut self, end: &[u8]) {
        if generic::says(end) && end.len() <= Self::MOST {
            self.bytes[..end.len()].copy_from_slice(end);
            self.length = end.len();
        }
    }
}

impl Default for Said {
    fn default() -> Said {
        Said {
            bytes: [0; Self::MOST],
            length: 0,
        }
    }
}

/// How the machine's kernel is asked.
struct Way<'w, 'n, 'r> {
    /// The net whose own list follows the machine's.
    joined: Option<&'n NetDir>,
    /// Must the kernel change nothing?
    guarded: bool,
    /// Must the program see nothing of what is listed?
    hides: bool,
    /// How what is said of the net's sockets is shown.
    diag: Option<&'w mut Diag<'r>>,
}

/// Lets the machine's kernel answer a request, on a socket of its own. Of a list that is `joined`
/// with that of a net the good end is left out, and what it says is kept. The machine's interfaces
/// are `guarded` where programs have a net. Returns true when the answer is complete.
fn machine(
    request: &Request<'_>,
    queue: &mut Queue,
    way: &mut Way<'_, '_, '_>,
    said: &mut Said,
) -> Result<bool, Errno> {
    let Way {
        joined,
        guarded,
        hides,
        ref mut diag,
    } = *way;
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, request.protocol)?;
    let set = options(queue.fd);
    for (name, bit) in OPTIONS {
        if set & bit != 0 {
            let _ = sys::set_int_option(socket.raw(), SOL_NETLINK, name, 1);
        }
    }
    let mut changed = [0; SMALL];
    let changed =
        joined.and_then(|net| generic::without_device(net, request.bytes, false, &mut changed));
    let mut all = [0; SMALL];
    let all = match diag {
        Some(diag) => diag.request(request.bytes, &mut all),
        None => None,
    };
    let bytes = changed.or(all).unwrap_or(request.bytes);
    let send = || sys::send_netlink(socket.raw(), 0, &[bytes]);
    // The kernel carries the request out in this call.
    let had_to_yield = match guarded {
        false => send().map(|()| false)?,
        true => match privilege::without_net_admin(send) {
            Call::Made(sent) => sent.map(|()| false)?,
            Call::Without(sent) => sent.map(|()| true)?,
            Call::Not => return Err(Errno(libc::EACCES)),
        },
    };
    let own = sys::netlink_name(socket.raw())?.port;
    let mut small = [0; SMALL];
    let mut large = None;
    while !queue.full {
        let Some(length) = next_length(&socket) else {
            break;
        };
        let room = match length {
            ..=SMALL => &mut small[..length],
            _ => grown(&mut large, length)?,
        };
        let Ok((n, _)) = sys::receive_netlink(socket.raw(), room, 0) else {
            break;
        };
        let datagram = &mut room[..n.min(length)];
        give_port(datagram, own, queue.port);
        if had_to_yield {
            generic::tell_refused(request.bytes, datagram);
        }
        match generic::end_of(datagram) {
            End::Well(at) if joined.is_some() => {
                queue.put(&datagram[..at]);
                said.take(&datagram[at..]);
                return Ok(false);
            }
            // Who has the device that the request names knows better what is wrong with it.
            End::Refused if changed.is_some() => return Ok(false),
            // What the machine lists for administrators only, the net lists for its own programs.
            End::Refused if joined.is_some() && generic::is_forbidden(datagram) => {
                return Ok(false);
            }
            _ if hides => queue.put(generic::without_list(datagram)),
            _ if diag.is_some() => {
                let shown = diag.as_mut().map(|diag| diag.show(datagram));
                queue.put(shown.unwrap_or_default());
            }
            _ => queue.put(datagram),
        }
    }
    Ok(true)
}

/// Returns the length in bytes of the next datagram, which stays in the queue. The kernel makes the
/// next part of a dump as long as the room of the longest receive so far, so the room is exact.
fn next_length(socket: &Fd) -> Option<usize> {
    sys::receive_netlink(socket.raw(), &mut [], libc::MSG_PEEK)
        .ok()
        .map(|(length, _)| length)
}

/// Returns memory of this length, which is kept for the next time.
fn grown(room: &mut Option<Room>, length: usize) -> Result<&mut [u8], Errno> {
    if room.as_mut().is_none_or(|room| room.bytes().len() < length) {
        *room = Some(Room::new(length.next_multiple_of(64 << 10))?);
    }
    match room {
        Some(room) => Ok(&mut room.bytes()[..length]),
        None => Err(Errno(libc::ENOMEM)),
    }
}

/// Replaces the port in the headers of all messages.
fn give_port(datagram: &mut [u8], own: u32, port: u32) {
    let mut at = 0;
    while let Some(length) = u32_at(datagram, at) {
        if u32_at(datagram, at + 12) == Some(own) {
            datagram[at + 12..at + 16].copy_from_slice(&port.to_ne_bytes());
        }
        at += memtun_stack::wire::align((length as usize).max(HEADER));
    }
}

/// Called before a receive where [`mark::GOES_ON`] is set: when the next datagram says how an
/// answer goes on, it is taken and the rest of the answer is put into the queue.
pub(super) fn go_on(host: &impl Host, fd: i32) {
    let own = match sys::netlink_name(fd) {
        Ok(name) => name.port,
        Err(_) => return,
    };
    let mut room = [0; SMALL];
    loop {
        // Only the head is looked at until it is known.
        let peeked = sys::receive_netlink(fd, &mut room[..HEAD], libc::MSG_PEEK);
        if !peeked.is_ok_and(|(_, from)| is_going_on(&room, from.port, own)) {
            return;
        }
        mark::change(fd, 0, mark::GOES_ON);
        let Ok((length, from)) = sys::receive_netlink(fd, &mut room, 0) else {
            return;
        };
        if !is_going_on(&room, from.port, own) || !(HEAD..=SMALL).contains(&length) {
            // Another thread was faster, and this was a datagram for the program.
            let _ = send(fd, own, &seal::of(fd), &room[..length.min(SMALL)]);
            return;
        }
        let mut id = [0; 8];
        id.copy_from_slice(&room[HEADER..HEAD]);
        let request = Request {
            bytes: &room[HEAD..length],
            port: own,
            id: u64::from_ne_bytes(id),
            had: u32_at(&room, 8).unwrap_or(0),
            protocol: mark::protocol(mark::of(fd).unwrap_or(0)),
        };
        if answer(host, fd, &request).is_err() {
            mark::change(fd, mark::LOST, 0);
        }
    }
}

fn is_going_on(head: &[u8], from: u32, own: u32) -> bool {
    from == own && u16_at(head, 4) == Some(GOES_ON)
}
