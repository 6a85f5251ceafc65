//! smoltcp, one interface and one socket, behind a few functions: the handshake, the order of what
//! comes, the states. It never has data to send, and its clock stands still: what is sent, and
//! when, others decide.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Address, Ipv6Address};

/// What a connection keeps of bytes that came. The pages are the kernel's until they are touched,
/// and a ring that runs empty begins again at its first page.
const BUFFER: usize = 1024 * 1024;
/// What of it is for what came in order and waits for its reader. What came beyond a gap is no
/// reader's fault: the rest is for that.
pub(crate) const WAITING: u32 = 256 * 1024;

/// What the engine, which has no port 0, is told in place of the other side's port where that is
/// 0. It knows of one connection, so nothing else has that port.
const STAND_IN: u16 = 1;

/// The engine's time.
const NOW: Instant = Instant::from_micros_const(10_000_000);

/// Sockets of connections that are over, with their buffers: to map and to unmap one costs as much
/// as all else that a short connection needs.
static SPARE: Mutex<Vec<Socket<'static>>> = Mutex::new(Vec::new());
/// Number of them at most.
const SPARES: usize = 8;
/// Number of them at most where all are of connections that never opened, whose buffers nobody has
/// touched: a flood of SYNs takes and leaves as many in one go.
const UNTOUCHED: usize = 64;

/// One connection's smoltcp.
pub(crate) struct Engine {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    mtu: usize,
    /// The other side's port is 0.
    stands_in: bool,
}

/// Puts a port into a packet, at this place behind the header of IP.
fn put_port(packet: &mut [u8], at: usize, port: u16) {
    let header = match packet.first() {
        Some(first) if first >> 4 == 4 => usize::from(first & 15) * 4,
        _ => 40,
    };
    if let Some(place) = packet.get_mut(header + at..header + at + 2) {
        place.copy_from_slice(&port.to_be_bytes());
    }
}

/// What is done with a packet that leaves, where the engine has another port for the other side.
fn leaving<'a>(
    stands_in: bool,
    emit: &'a mut dyn FnMut(&mut Vec<u8>),
) -> impl FnMut(&mut Vec<u8>) + 'a {
    move |packet| {
        if stands_in {
            put_port(packet, 2, 0);
        }
        emit(packet);
    }
}

fn spare() -> MutexGuard<'static, Vec<Socket<'static>>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a socket that does nothing yet.
fn socket() -> Socket<'static> {
    let ring = |size| SocketBuffer::new(vec![0; size]);
    let spare = spare().pop();
    let mut socket = spare.unwrap_or_else(|| Socket::new(ring(BUFFER), ring(1)));
    socket.set_ack_delay(None);
    socket
}

impl Drop for Engine {
    fn drop(&mut self) {
        let smoltcp::socket::Socket::Tcp(mut socket) = self.sockets.remove(self.handle);
        // It is closed, and forgets the rest with its next connect or listen.
        let most = match socket.state() {
            State::Listen | State::SynSent | State::SynReceived => UNTOUCHED,
            _ => SPARES,
        };
        socket.abort();
        let mut spare = spare();
        if spare.len() < most {
            spare.push(socket);
        }
    }
}

/// A packet that waits for the engine, and what is done with those that it sends.
struct Wire<'a> {
    incoming: Option<&'a [u8]>,
    scratch: &'a mut Vec<u8>,
    emit: &'a mut dyn FnMut(&mut Vec<u8>),
    mtu: usize,
}

struct Received<'a>(&'a [u8]);

struct Sending<'a> {
    scratch: &'a mut Vec<u8>,
    emit: &'a mut dyn FnMut(&mut Vec<u8>),
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        self.scratch.clear();
        self.scratch.resize(length, 0);
        let result = f(self.scratch);
        (self.emit)(self.scratch);
        result
    }
}

impl Device for Wire<'_> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sending<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let packet = self.incoming.take()?;
        Some((
            Received(packet),
            Sending {
                scratch: self.scratch,
                emit: self.emit,
            },
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending {
            scratch: self.scratch,
            emit: self.emit,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // Checksums are looked at before the engine sees a packet.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

/// An address in the engine's words.
fn endpoint(address: SocketAddr) -> IpEndpoint {
    IpEndpoint::new(address.ip().into(), address.port())
}

impl Engine {
    /// An engine for `local`, which does nothing yet.
    fn new(local: SocketAddr, mtu: usize, seed: u64) -> Engine {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let (mut scratch, mut emit) = (Vec::new(), |_: &mut Vec<u8>| {});
        let mut wire = Wire {
            incoming: None,
            scratch: &mut scratch,
            emit: &mut emit,
            mtu,
        };
        let mut interface = Interface::new(config, &mut wire, NOW);
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(IpAddress::from(local.ip()), 0));
        });
        // Whatever there is to send is sent; which way, others know.
        let routes = interface.routes_mut();
        let _ = match local.ip() {
            IpAddr::V4(_) => routes
                .add_default_ipv4_route(Ipv4Address::UNSPECIFIED)
                .map(drop),
            IpAddr::V6(_) => routes
                .add_default_ipv6_route(Ipv6Address::UNSPECIFIED)
                .map(drop),
        };
        let mut sockets = SocketSet::new(vec![SocketStorage::EMPTY]);
        let handle = sockets.add(socket());
        Engine {
            interface,
            sockets,
            handle,
            mtu,
            stands_in: false,
        }
    }

    /// One that will send a SYN. None where an end cannot be one.
    pub(crate) fn connect(
        local: SocketAddr,
        remote: SocketAddr,
        mtu: usize,
        seed: u64,
    ) -> Option<Engine> {
        let mut engine = Engine::new(local, mtu, seed);
        engine.stands_in = remote.port() == 0;
        let remote = match engine.stands_in {
            true => SocketAddr::new(remote.ip(), STAND_IN),
            false => remote,
        };
        let socket = engine.sockets.get_mut::<Socket>(engine.handle);
        socket
            .connect(
                engine.interface.context(),
                endpoint(remote),
                endpoint(local),
            )
            .ok()?;
        Some(engine)
    }

    /// One that waits for a SYN from there.
    pub(crate) fn listen(
        (local, remote): (SocketAddr, SocketAddr),
        mtu: usize,
        seed: u64,
    ) -> Option<Engine> {
        let mut engine = Engine::new(local, mtu, seed);
        engine.stands_in = remote.port() == 0;
        engine.socket_mut().listen(endpoint(local)).ok()?;
        Some(engine)
    }

    pub(crate) fn socket(&self) -> &Socket<'static> {
        self.sockets.get(self.handle)
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    pub(crate) fn state(&self) -> State {
        self.socket().state()
    }

    /// Gives it one packet, whose checksums are not looked at.
    pub(crate) fn input(
        &mut self,
        packet: &[u8],
        scratch: &mut Vec<u8>,
        emit: &mut dyn FnMut(&mut Vec<u8>),
    ) {
        let mut known = Vec::new();
        if self.stands_in {
            known.extend_from_slice(packet);
            put_port(&mut known, 0, STAND_IN);
        }
        let mut wire = Wire {
            incoming: Some(if self.stands_in { &known } else { packet }),
            scratch,
            emit: &mut leaving(self.stands_in, emit),
            mtu: self.mtu,
        };
        self.interface
            .poll_ingress_single(NOW, &mut wire, &mut self.sockets);
    }

    /// Lets it send what it has to.
    pub(crate) fn output(&mut self, scratch: &mut Vec<u8>, emit: &mut dyn FnMut(&mut Vec<u8>)) {
        /// A SYN, an acknowledgement, a FIN, a RST: it never has more at once.
        const MOST: usize = 8;
        let mut wire = Wire {
            incoming: None,
            scratch,
            emit: &mut leaving(self.stands_in, emit),
            mtu: self.mtu,
        };
        for _ in 0..MOST {
            let result = self
                .interface
                .poll_egress(NOW, &mut wire, &mut self.sockets);
            if result == smoltcp::iface::PollResult::None {
                return;
            }
        }
    }
}
