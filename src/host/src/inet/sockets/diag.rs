//! What the machine's kernel knows of its sockets: by netlink (sock_diag(7)), or where that is
//! forbidden by /proc/net.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_stack::sockets::Protocol;
use memtun_sys::{self as sys, Fd};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A native socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Native {
    /// Its own name.
    pub own: SocketAddr,
    /// The other end; port 0 for none.
    pub other: SocketAddr,
    /// TCP_LISTEN and so on.
    pub state: u8,
    /// The user.
    pub uid: u32,
    /// The inode, 0 of one that no process has any more.
    pub inode: u64,
    /// The cookie, 0 where it is not known.
    pub cookie: u64,
    /// Of one that listens, where it is known: how many connections wait to be accepted, and its
    /// backlog.
    pub queue: Option<(u32, u32)>,
}

impl Native {
    /// Do as many connections wait to be accepted as may (sk_acceptq_is_full)?
    pub fn is_full(&self) -> bool {
        self.queue.is_some_and(|(waiting, most)| waiting > most)
    }
}

/// TCP_TIME_WAIT of the kernel.
pub const TIME_WAIT: u8 = 6;
/// TCP_LISTEN of the kernel.
pub const LISTEN: u8 = 10;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const REQUEST: usize = 16 + 56;
const ANY_COOKIE: [u8; 8] = [0xff; 8];
/// Length in bytes of the room for answers.
const ROOM: usize = 32 << 10;

/// The way to ask.
#[derive(Default)]
pub struct Diag {
    socket: Option<Fd>,
    /// Is there no way by netlink?
    forbidden: bool,
    /// Number of the last question.
    number: u32,
    /// Room for answers.
    room: Vec<u8>,
}

impl Diag {
    fn socket(&mut self) -> Option<&Fd> {
        if self.socket.is_none() && !self.forbidden {
            const NETLINK_SOCK_DIAG: i32 = 4;
            match sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, NETLINK_SOCK_DIAG) {
                Ok(socket) => self.socket = Some(socket),
                Err(_) => self.forbidden = true,
            }
        }
        self.socket.as_ref()
    }

    /// Returns the socket of TCP with this own name and this other end, or the one that listens
    /// there; or the socket of UDP that gets what the other end sends to that name.
    pub fn exact(
        &mut self,
        protocol: Protocol,
        own: SocketAddr,
        other: SocketAddr,
    ) -> Option<Native> {
        match self.by_netlink(protocol, own, Some(other)) {
            Some(found) => found.into_iter().next(),
            None => best_of(protocol, own, other),
        }
    }

    /// Returns all sockets whose own port this is, of both families; 0 for any.
    pub fn of_port(&mut self, protocol: Protocol, port: u16) -> Vec<Native> {
        let mut found = Vec::new();
        for any in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Ipv6Addr::UNSPECIFIED.into(),
        ] {
            let own = SocketAddr::new(any, port);
            match self.by_netlink(protocol, own, None) {
                Some(more) => found.extend(more),
                None => found.extend(by_proc(protocol, any.is_ipv6(), port)),
            }
        }
        // Of sockets that are bound and do nothing yet the kernel tells whatever port they have.
        found.retain(|native| port == 0 || native.own.port() == port);
        found
    }

    /// Asks by netlink. None says that there is no way.
    fn by_netlink(
        &mut self,
        protocol: Protocol,
        own: SocketAddr,
        other: Option<SocketAddr>,
    ) -> Option<Vec<Native>> {
        let mut room = std::mem::take(&mut self.room);
        room.resize(ROOM, 0);
        let found = self.ask(&mut room, protocol, own, other);
        self.room = room;
        found
    }

    fn ask(
        &mut self,
        room: &mut [u8],
        protocol: Protocol,
        own: SocketAddr,
        other: Option<SocketAddr>,
    ) -> Option<Vec<Native>> {
        let socket = self.socket()?.raw();
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        // What a list before has left is in the way of the next.
        while other.is_none() && sys::receive_netlink(socket, room, 0).is_ok() {}
        let request = request(protocol, own, other, number);
        if sys::send_netlink(socket, 0, &[&request]).is_err() {
            return self.forbid();
        }
        let mut found = Vec::new();
        loop {
            let n = match sys::receive_netlink(socket, room, 0) {
                Ok((n, _)) => n.min(room.len()),
                Err(Errno(libc::EINTR)) => continue,
                // The kernel answers before it lets go of who asks.
                Err(_) => return Some(found),
            };
            let mut rest = &room[..n];
            while let Some(head) = rest.get(..16) {
                let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
                let kind = u16::from_ne_bytes([head[4], head[5]]);
                let answers = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
                let Some(body) = rest.get(16..length) else {
                    return Some(found);
                };
                // What a question before has left is no answer to this one.
                if answers != number {
                    rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                    continue;
                }
                match kind {
                    DONE => return Some(found),
                    ERROR => {
                        let errno = body
                            .get(..4)
                            .map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                        return match -errno {
                            libc::ENOENT | 0 => Some(found),
                            _ => self.forbid(),
                        };
                    }
                    _ => found.extend(native_of(body)),
                }
                if other.is_some() {
                    return Some(found);
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    fn forbid(&mut self) -> Option<Vec<Native>> {
        self.forbidden = true;
        self.socket = None;
        None
    }
}

/// Makes a `struct inet_diag_req_v2`, the question of this number.
fn request(
    protocol: Protocol,
    own: SocketAddr,
    other: Option<SocketAddr>,
    number: u32,
) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    let dump = libc::NLM_F_ROOT | libc::NLM_F_MATCH;
    let flags = libc::NLM_F_REQUEST | if other.is_none() { dump } else { 0 };
    bytes[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
    bytes[8..12].copy_from_slice(&number.to_ne_bytes());
    let family = if own.is_ipv6() {
        libc::AF_INET6
    } else {
        libc::AF_INET
    };
    bytes[16] = family as u8;
    bytes[17] = protocol as u8;
    // All states: bound sockets that do nothing yet, too.
    bytes[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    // A question about one socket of UDP is put from the sender's side.
    let (source, destination) = match (protocol, other) {
        (_, None) => (own, None),
        (Protocol::Tcp, Some(other)) => (own, Some(other)),
        (_, Some(other)) => (other, Some(own)),
    };
    bytes[24..26].copy_from_slice(&source.port().to_be_bytes());
    if let Some(destination) = destination {
        bytes[26..28].copy_from_slice(&destination.port().to_be_bytes());
        put_address(&mut bytes[28..44], source.ip());
        put_address(&mut bytes[44..60], destination.ip());
    }
    bytes[64..72].copy_from_slice(&ANY_COOKIE);
    bytes
}

fn put_address(bytes: &mut [u8], address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes.copy_from_slice(&address.octets()),
    }
}

/// Reads a `struct inet_diag_msg`.
fn native_of(body: &[u8]) -> Option<Native> {
    let body = body.get(..72)?;
    let v6 = i32::from(body[0]) == libc::AF_INET6;
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let word = |at: usize| u32::from_ne_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    let address = |at: usize| -> IpAddr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&body[at..at + 16]);
        match v6 {
            true => Ipv6Addr::from(octets).into(),
            false => Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into(),
        }
    };
    Some(Native {
        own: SocketAddr::new(address(8), port(4)),
        other: SocketAddr::new(address(24), port(6)),
        state: body[1],
        uid: word(64),
        inode: word(68).into(),
        cookie: u64::from(word(44)) | u64::from(word(48)) << 32,
        queue: (body[1] == LISTEN).then(|| (word(56), word(60))),
    })
}

/// Returns the sockets of a family in /proc/net whose own port this is; 0 for any.
fn by_proc(protocol: Protocol, v6: bool, port: u16) -> Vec<Native> {
    let path = match (protocol, v6) {
        (Protocol::Tcp, false) => "/proc/net/tcp",
        (Protocol::Tcp, true) => "/proc/net/tcp6",
        (_, false) => "/proc/net/udp",
        (_, true) => "/proc/net/udp6",
    };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let all = text.lines().skip(1).filter_map(of_line);
    all.filter(|native| port == 0 || native.own.port() == port)
        .collect()
}

fn of_line(line: &str) -> Option<Native> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let own = name_of(fields.next()?)?;
    let other = name_of(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let mut fields = fields.skip(3);
    let uid = fields.next()?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Native {
        own,
        other,
        state,
        uid,
        inode,
        cookie: 0,
        queue: None,
    })
}

/// Reads a name as /proc/net has it: words in the machine's order, in hexadecimal digits.
fn name_of(field: &str) -> Option<SocketAddr> {
    let (address, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut octets = [0; 16];
            octets.copy_from_slice(words.as_flattened());
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Finds in /proc/net what the kernel would find: the connected one before the bound one before
/// that of any address.
fn best_of(protocol: Protocol, own: SocketAddr, other: SocketAddr) -> Option<Native> {
    let all = by_proc(protocol, false, own.port());
    let all = all.into_iter().chain(by_proc(protocol, true, own.port()));
    let plain = |address: IpAddr| address.to_canonical();
    let score = |native: &Native| -> Option<u32> {
        let same = plain(native.own.ip()) == plain(own.ip());
        if !same && !native.own.ip().is_unspecified() {
            return None;
        }
        let connected = native.other.port() != 0;
        let is_other =
            plain(native.other.ip()) == plain(other.ip()) && native.other.port() == other.port();
        if connected && !is_other {
            return None;
        }
        Some(u32::from(connected) * 4 + u32::from(same) * 2 + u32::from(native.own.is_ipv4()))
    };
    all.filter_map(|native| Some((score(&native)?, native)))
        .max_by_key(|(score, _)| *score)
        .map(|(_, native)| native)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    /// What both ways have to say alike.
    fn known(native: Option<Native>) -> Option<(SocketAddr, u32, u64)> {
        native.map(|native| (native.own, native.uid, native.inode))
    }

    #[test]
    fn proc_says_the_same_as_netlink() {
        let listener = TcpListener::bind("127.0.0.9:0").expect("bound");
        let listens = listener.local_addr().expect("a name");
        let stream = TcpStream::connect(listens).expect("connected");
        let (one, other) = (
            stream.local_addr().expect("a name"),
            stream.peer_addr().expect("a name"),
        );
        let any = UdpSocket::bind("0.0.0.0:0").expect("bound");
        let port = any.local_addr().expect("a name").port();
        let socket = UdpSocket::bind("[::1]:0").expect("bound");
        let six = socket.local_addr().expect("a name");
        let at = |address: [u8; 4], port| SocketAddr::from((address, port));
        let (mut netlink, mut proc) = (Diag::default(), Diag::default());
        proc.forbidden = true;
        let questions = [
            (Protocol::Tcp, listens, at([127, 0, 0, 1], 1)),
            (Protocol::Tcp, one, other),
            (Protocol::Tcp, other, one),
            (
                Protocol::Udp,
                at([127, 5, 6, 7], port),
                at([127, 0, 0, 1], 9),
            ),
            (Protocol::Udp, six, six),
        ];
        for (protocol, own, other) in questions {
            let by_netlink = known(netlink.exact(protocol, own, other));
            assert!(by_netlink.is_some(), "{own}");
            assert_eq!(by_netlink, known(proc.exact(protocol, own, other)), "{own}");
        }
        let nobody = at([127, 0, 0, 9], 1);
        assert_eq!(netlink.exact(Protocol::Tcp, nobody, nobody), None);
        assert_eq!(proc.exact(Protocol::Tcp, nobody, nobody), None);
        for (protocol, port) in [(Protocol::Tcp, listens.port()), (Protocol::Udp, port)] {
            let sorted = |diag: &mut Diag| {
                let mut all = diag.of_port(protocol, port);
                all.retain(|native| native.inode != 0);
                let mut all: Vec<_> = all.iter().map(|it| (it.own, it.inode)).collect();
                all.sort();
                all
            };
            assert_eq!(sorted(&mut netlink), sorted(&mut proc));
            assert!(!sorted(&mut proc).is_empty());
        }
        assert!(!netlink.forbidden, "the machine allows it");
    }
}
