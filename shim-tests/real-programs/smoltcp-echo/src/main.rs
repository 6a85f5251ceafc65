//! `smoltcp-echo INTERFACE ADDRESS/LEN... [get ADDRESS:PORT]` runs smoltcp's own TUN interface with
//! echo services of UDP and TCP on port 7, a server of HTTP on port 80, and with smoltcp's
//! automatic answers to pings. With `get` it asks a server of HTTP for `/big` first, and says how
//! much came.

use std::os::fd::AsRawFd;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{wait, Medium, TunTapInterface};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpEndpoint};

/// How many connections each service takes at once.
const AT_ONCE: usize = 8;
/// Bytes that the server of HTTP has.
const MUCH: usize = 5_000_000;

fn much(at: usize) -> u8 {
    (at % 251) as u8
}

/// A connection to one of the services.
struct Served {
    handle: SocketHandle,
    port: u16,
    asked: Vec<u8>,
    sent: usize,
}

impl Served {
    fn new(sockets: &mut SocketSet<'_>, port: u16) -> Served {
        Served {
            handle: sockets.add(connection()),
            port,
            asked: Vec::new(),
            sent: 0,
        }
    }

    /// Does what can be done now; true if that was something.
    fn serve(&mut self, sockets: &mut SocketSet<'_>) -> bool {
        let socket = sockets.get_mut::<tcp::Socket>(self.handle);
        if !socket.is_open() {
            self.asked.clear();
            self.sent = 0;
            socket.listen(self.port).expect("a port");
            return true;
        }
        let moved = match self.port {
            7 => echo(socket),
            _ => self.give(socket),
        };
        if socket.state() == tcp::State::CloseWait && !socket.can_recv() && self.port == 7 {
            socket.close();
        }
        moved
    }

    fn give(&mut self, socket: &mut tcp::Socket<'_>) -> bool {
        let mut moved = false;
        while socket.can_recv() {
            let taken = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
            self.asked.extend(taken.expect("it can receive"));
            moved = true;
        }
        if !self.asked.ends_with(b"\r\n\r\n") || !socket.may_send() {
            return moved;
        }
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {MUCH}\r\n\r\n").into_bytes();
        let all = head.len() + MUCH;
        let byte = |at: usize| match head.get(at) {
            Some(byte) => *byte,
            None => much(at - head.len()),
        };
        while socket.can_send() && self.sent < all {
            let sent = self.sent;
            let given = socket.send(|room| {
                let count = room.len().min(all - sent);
                (0..count).for_each(|i| room[i] = byte(sent + i));
                (count, count)
            });
            self.sent += given.expect("it can send");
            moved = true;
        }
        if self.sent == all {
            socket.close();
        }
        moved
    }
}

fn echo(socket: &mut tcp::Socket<'_>) -> bool {
    let mut moved = false;
    while socket.can_recv() && socket.can_send() {
        let room = socket.send_capacity() - socket.send_queue();
        let taken = socket.recv(|bytes| {
            let count = bytes.len().min(room);
            (count, bytes[..count].to_vec())
        });
        let taken = taken.expect("it can receive");
        socket.send_slice(&taken).expect("it can send");
        moved = true;
    }
    moved
}

fn connection() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; 65536]);
    tcp::Socket::new(buffer(), buffer())
}

/// What was asked of a server.
struct Asked {
    handle: SocketHandle,
    said: bool,
    got: Vec<u8>,
}

impl Asked {
    fn carry_on(&mut self, sockets: &mut SocketSet<'_>) -> bool {
        let socket = sockets.get_mut::<tcp::Socket>(self.handle);
        if socket.can_send() && !self.said {
            let asks = b"GET /big HTTP/1.0\r\n\r\n";
            self.said = socket.send_slice(asks) == Ok(asks.len());
        }
        let mut moved = false;
        while socket.can_recv() {
            let taken = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
            self.got.extend(taken.expect("it can receive"));
            moved = true;
        }
        moved
    }

    /// Says what came, when all has come or nobody was there.
    fn is_over(&self, sockets: &mut SocketSet<'_>) -> bool {
        let socket = sockets.get_mut::<tcp::Socket>(self.handle);
        if !socket.is_open() {
            println!("refused");
            return true;
        }
        if socket.may_recv() || socket.state() == tcp::State::SynSent {
            return false;
        }
        socket.close();
        let body = self.got.windows(4).position(|it| it == b"\r\n\r\n");
        let body = &self.got[body.map_or(0, |at| at + 4)..];
        let sum = body.iter().fold(0_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add((*byte).into())
        });
        println!("got {} bytes, sum {sum}", body.len());
        true
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().expect("the interface's name");
    let mut device = TunTapInterface::new(&name, Medium::Ip).expect("the tun interface");
    let fd = device.as_raw_fd();

    let mut iface = Interface::new(
        Config::new(HardwareAddress::Ip),
        &mut device,
        Instant::now(),
    );
    iface.update_ip_addrs(|addresses| {
        for arg in args.by_ref().take_while(|arg| arg != "get") {
            let address = arg.parse().expect("ADDRESS/LEN");
            addresses.push(address).expect("room for an address");
        }
    });

    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65536]);
    let mut datagrams = udp::Socket::new(buffer(), buffer());
    datagrams.bind(7).expect("port 7");
    let mut sockets = SocketSet::new(vec![]);
    let datagrams = sockets.add(datagrams);
    let ports = [7, 80].into_iter().flat_map(|port| [port; AT_ONCE]);
    let mut served: Vec<Served> = ports.map(|port| Served::new(&mut sockets, port)).collect();
    let mut asked: Vec<Asked> = Vec::new();
    for (number, to) in args.enumerate() {
        let to: std::net::SocketAddr = to.parse().expect("ADDRESS:PORT");
        let handle = sockets.add(connection());
        let socket = sockets.get_mut::<tcp::Socket>(handle);
        let from = 50_000 + number as u16;
        let begun = socket.connect(iface.context(), IpEndpoint::from(to), from);
        begun.expect("an address for it");
        asked.push(Asked {
            handle,
            said: false,
            got: Vec::new(),
        });
    }

    loop {
        let now = Instant::now();
        iface.poll(now, &mut device, &mut sockets);
        let socket = sockets.get_mut::<udp::Socket>(datagrams);
        let mut answered = false;
        while socket.can_recv() && socket.can_send() {
            let (data, from) = socket.recv().expect("it can receive");
            let data = data.to_vec();
            socket.send_slice(&data, from).expect("it can send");
            answered = true;
        }
        for served in &mut served {
            answered |= served.serve(&mut sockets);
        }
        for asked in &mut asked {
            answered |= asked.carry_on(&mut sockets);
        }
        asked.retain(|asked| !asked.is_over(&mut sockets));
        if !answered {
            let delay = iface.poll_delay(now, &sockets);
            wait(fd, delay).expect("select on the tun interface");
        }
    }
}
