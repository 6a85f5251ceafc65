//! A net with a tunnel, and a program's sockets that do what the library would do with them.

use crate::hosting::{question, Counted};
use memtun::{ifreq, uapi, Address, IoSystem, MemoryIoSystem, Net, TunnelClass};
use memtun_abi::Errno;
use memtun_stack::ask::{ask, What};
use memtun_stack::sockets::question::{set, SocketAnswer, SocketQuestion};
use memtun_stack::sockets::{Protocol, Table};
use memtun_sys::{self as sys, inet, Fd};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

/// A net with a tunnel that has an address.
pub struct Place {
    pub net: Net,
    pub start: Counted,
    pub system: MemoryIoSystem,
    pub tunnel: i32,
    pub index: u32,
}

impl Place {
    /// Makes a net whose `tun0` has these addresses.
    pub fn new(addresses: &[&str]) -> Place {
        let net = Net::temporary().expect("net");
        let system = MemoryIoSystem::new(&net);
        system.register_special_device("/dev/net/tun", TunnelClass);
        let tunnel = system.open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0);
        let tunnel = tunnel.expect("open");
        let flags = uapi::IFF_TUN | uapi::IFF_NO_PI;
        system
            .ioctl(tunnel, uapi::TUNSETIFF, &ifreq("tun0", flags))
            .expect("made");
        let index = net.wait_interface("tun0").expect("there").index();
        let place = Place {
            net,
            start: Counted::default(),
            system,
            tunnel,
            index,
        };
        let interface = place.net.interface("tun0").expect("looked").expect("there");
        interface.set_up(true).expect("up");
        // The driver asks the host process, which is started here.
        place.ask_links();
        for address in addresses {
            place.add(address);
        }
        place
    }

    fn ask_links(&self) {
        let links = question(What::Links);
        ask(self.net.dir(), &self.start, &links, &[], &mut |_| {}).expect("answered");
    }

    /// Adds an address such as 10.1.0.1/24.
    pub fn add(&self, address: &str) {
        let (address, length) = address.split_once('/').expect("a prefix");
        let address: IpAddr = address.parse().expect("an address");
        let length = length.parse().expect("a length");
        let interface = self.net.interface("tun0").expect("looked").expect("there");
        let added = interface.add_address(&Address::new(address, length));
        added.expect("added");
    }

    pub fn table(&self) -> Table {
        Table::open(self.net.dir()).expect("opened").expect("there")
    }

    /// Asks about a socket.
    pub fn ask(&self, what: What, asked: &SocketQuestion) -> Result<SocketAnswer, Errno> {
        let mut answer = Err(Errno(libc::EPROTO));
        let mut head = question(what);
        head.uid = sys::effective_uid();
        head.pid = sys::getpid() as u32;
        ask(
            self.net.dir(),
            &self.start,
            &head,
            &[&asked.to_bytes()],
            &mut |bytes| answer = SocketAnswer::of_bytes(bytes),
        )?;
        answer
    }

    /// Writes a packet into the tunnel.
    pub fn write(&self, packet: &[u8]) {
        let written = self.system.write(self.tunnel, packet).expect("written");
        assert_eq!(written, packet.len());
    }

    /// Reads the next packet out of the tunnel, which comes soon.
    pub fn read(&self) -> Vec<u8> {
        let mut packet = None;
        crate::hosting::until("a packet comes", || {
            packet = self.system.read(self.tunnel, 65536).ok();
            packet.is_some()
        });
        packet.expect("a packet")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.net.dir().remove();
    }
}

/// A program's socket.
pub struct Socket {
    pub fd: Fd,
    pub asked: SocketQuestion,
}

impl Socket {
    pub fn new(family: i32, kind: i32) -> Socket {
        let fd = sys::socket(family, kind, 0).expect("a socket");
        let inode = sys::fstat(fd.raw()).expect("there").st_ino;
        let protocol = match kind {
            libc::SOCK_STREAM => Protocol::Tcp,
            _ => Protocol::Udp,
        };
        let asked = SocketQuestion {
            cookie: inet::cookie(fd.raw()).expect("a cookie"),
            inode,
            family: family as u16,
            kind: kind as u16,
            name: None,
            ..SocketQuestion::about(protocol, SocketAddr::from(([0; 4], 0)))
        };
        Socket { fd, asked }
    }

    pub fn udp() -> Socket {
        Socket::new(libc::AF_INET, libc::SOCK_DGRAM)
    }

    pub fn tcp() -> Socket {
        Socket::new(libc::AF_INET, libc::SOCK_STREAM)
    }

    /// Sets an option of SOL_SOCKET, and says so.
    pub fn with(mut self, flags: u32) -> Socket {
        let option = |name| sys::set_int_option(self.fd.raw(), libc::SOL_SOCKET, name, 1);
        if flags & set::REUSE_ADDRESS != 0 {
            option(libc::SO_REUSEADDR).expect("set");
        }
        if flags & set::REUSE_PORT != 0 {
            option(libc::SO_REUSEPORT).expect("set");
        }
        if flags & set::V6ONLY != 0 {
            let (level, name) = (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
            sys::set_int_option(self.fd.raw(), level, name, 1).expect("set");
        }
        self.asked.flags |= flags;
        self
    }

    /// Binds the socket as the library does. Returns the native name; None for one of the
    /// machine's.
    pub fn bind(&self, place: &Place, name: &str) -> Result<Option<SocketAddr>, Errno> {
        let name: SocketAddr = name.parse().expect("a name");
        let mut asked = self.asked;
        asked.name = Some(name);
        for _ in 0..4 {
            let native = match place.ask(What::Bind, &asked)? {
                SocketAnswer::Machine => {
                    inet::bind_name(self.fd.as_fd(), &name)?;
                    return Ok(None);
                }
                SocketAnswer::Bind(native) => native,
                other => panic!("{other:?}"),
            };
            if self.asked.flags & set::V6ONLY != 0 && !native.ip().is_unspecified() {
                let (level, name) = (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
                sys::set_int_option(self.fd.raw(), level, name, 0)?;
            }
            match inet::bind_name(self.fd.as_fd(), &native) {
                Ok(()) => return Ok(Some(native)),
                Err(e) => {
                    println!("{name}: {native} was refused: {e}");
                    asked.failed = e.0 as u32;
                }
            }
        }
        Err(Errno(asked.failed as i32))
    }

    /// Receives a datagram that comes soon, with the native name of who has sent it.
    pub fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut room = [0; 2048];
        let mut fds = [libc::pollfd {
            fd: self.fd.raw(),
            events: libc::POLLIN,
            revents: 0,
        }];
        sys::poll(&mut fds, Some(Duration::from_secs(10))).expect("waited");
        let got = inet::receive_datagram(self.fd.as_fd(), &mut room, 0).expect("a datagram");
        (room[..got.length].to_vec(), got.from.expect("a name"))
    }
}
