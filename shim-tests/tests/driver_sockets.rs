//! Sockets of a net for a process that is not under the shim: two nets of this process, whose
//! tunnels it joins by threads.

use memtun::uapi::{IFF_NO_PI, IFF_TUN, TUNSETIFF};
use memtun::{ifreq, IoSystem, MemoryIoSystem, Net, Timeout, TunnelClass};
use shim_tests::build::shim;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A net with one tunnel, which this process has open.
struct Host {
    net: Net,
    system: Arc<MemoryIoSystem>,
    fd: i32,
}

impl Host {
    fn new(addresses: &[&str]) -> Host {
        static COMMAND: Once = Once::new();
        COMMAND.call_once(|| std::env::set_var("MEMTUN_COMMAND", &shim().command));
        let net = Net::temporary().expect("a net");
        let system = Arc::new(MemoryIoSystem::new(&net));
        system.register_special_device("/dev/net/tun", TunnelClass);
        let fd = system.open("/dev/net/tun", libc::O_RDWR, 0).expect("open");
        let request = ifreq("tun0", IFF_TUN | IFF_NO_PI);
        system.ioctl(fd, TUNSETIFF, &request).expect("TUNSETIFF");
        let tun = net.wait_interface_within("tun0", SOON).expect("tun0");
        for address in addresses {
            tun.add_address(&address.parse().expect("an address"))
                .expect("added");
        }
        Host { net, system, fd }
    }
}

/// Two hosts that a wire joins until the value is dropped.
struct Hosts {
    here: Host,
    there: Host,
    wires: Vec<JoinHandle<()>>,
}

impl Hosts {
    fn new() -> Hosts {
        let here = Host::new(&["10.9.0.1/24", "fd00:9::1/64"]);
        let there = Host::new(&["10.9.0.2/24", "fd00:9::2/64"]);
        let wires = [(&here, &there), (&there, &here)].map(|(from, to)| {
            let (from, to) = ((from.system.clone(), from.fd), (to.system.clone(), to.fd));
            thread::spawn(move || {
                while let Ok(packet) = from.0.read(from.1, 65_536) {
                    // What the other end has no room for is lost.
                    let _ = to.0.write(to.1, &packet);
                }
            })
        });
        Hosts {
            here,
            there,
            wires: wires.into(),
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.here, &self.there] {
            if let Ok(Some(tun)) = host.net.interface("tun0") {
                let _ = tun.delete();
            }
        }
        for wire in self.wires.drain(..) {
            let _ = wire.join();
        }
    }
}

fn name(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

#[test]
fn a_stream_has_the_names_of_the_net() {
    let hosts = Hosts::new();
    for (host, any) in [("10.9.0", "0.0.0.0:0"), ("[fd00:9:", "[::]:0")] {
        let end = |number| match host.starts_with('[') {
            true => format!("{host}:{number}]"),
            false => format!("{host}.{number}"),
        };
        let listener = hosts.there.net.listen(name(any)).expect("listens");
        let port = listener.local_addr().expect("its name").port();
        let to = name(&format!("{}:{port}", end(2)));
        let mut stream = hosts.here.net.connect_timeout(to, SOON).expect("connects");
        let (mut accepted, from) = listener.accept().expect("accepts");
        let here = hosts.here.net.socket_calls();
        let there = hosts.there.net.socket_calls();
        assert_eq!(here.peer_addr(&stream).expect("a name"), to);
        assert_eq!(here.local_addr(&stream).expect("a name"), from);
        assert_eq!(there.peer_addr(&accepted).expect("a name"), from);
        assert_eq!(there.local_addr(&accepted).expect("a name"), to);
        assert_eq!(from.ip().to_string(), end(1).trim_matches(['[', ']']));
        let sent = vec![7; 1 << 20];
        thread::scope(|scope| {
            scope.spawn(|| {
                stream.write_all(&sent).expect("sent");
                stream.shutdown(Shutdown::Write).expect("shut down");
            });
            let mut came = Vec::new();
            accepted.read_to_end(&mut came).expect("received");
            assert!(came == sent, "{} of {} bytes", came.len(), sent.len());
        });
    }
}

#[test]
fn a_stream_whose_host_process_is_killed_is_reset_after_what_has_come() {
    let hosts = Hosts::new();
    let to = name("10.9.0.2:80");
    let listener = hosts.there.net.listen(to).expect("listens");
    let stream = hosts.here.net.connect_timeout(to, SOON);
    let mut stream = stream.expect("connects");
    let (mut accepted, _) = listener.accept().expect("accepts");
    stream.write_all(b"part of it").expect("sent");
    let mut first = [0; 4];
    accepted.read_exact(&mut first).expect("received");
    let rest_of = |host: &Host, mut end: TcpStream| {
        end.set_read_timeout(Some(SOON)).expect("set");
        for pid in shim_tests::hosts::hosts(host.net.path()) {
            // SAFETY: kill takes two integers; the process serves a net of this test.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        let mut rest = Vec::new();
        let ended = end.read_to_end(&mut rest).expect_err("cut off");
        assert_eq!(ended.raw_os_error(), Some(libc::ECONNRESET), "{ended}");
        rest
    };
    assert_eq!(rest_of(&hosts.there, accepted), b" of it");
    assert_eq!(rest_of(&hosts.here, stream), b"");
}

#[test]
fn refusals_have_their_errno_and_a_remedy() {
    let hosts = Hosts::new();
    let net = &hosts.here.net;
    let refused = net.connect(name("10.9.0.2:9")).expect_err("nobody listens");
    assert_eq!(refused.errno().0, libc::ECONNREFUSED, "{refused}");
    // Nobody has the address, so nothing comes back.
    let silent = net.connect_timeout(name("10.9.0.77:9"), Duration::from_millis(300));
    let silent = silent.expect_err("nobody answers");
    assert_eq!(silent.errno().0, libc::ETIMEDOUT, "{silent}");
    let unreachable = net.connect(name("203.0.113.1:80")).expect_err("no route");
    assert_eq!(unreachable.errno().0, libc::ENETUNREACH);
    assert!(
        unreachable.to_string().contains("memtun ip route"),
        "{unreachable}"
    );
    let _first = net.listen(name("10.9.0.1:80")).expect("listens");
    let second = net.listen(name("10.9.0.1:80")).expect_err("taken");
    assert_eq!(second.errno().0, libc::EADDRINUSE);
    assert!(
        second.to_string().contains("a socket of the net"),
        "{second}"
    );
    let elsewhere = net.bind_udp(name("10.9.9.9:80")).expect_err("not ours");
    assert_eq!(elsewhere.errno().0, libc::EADDRNOTAVAIL);
    let empty = Host::new(&[]);
    let none = empty
        .net
        .connect(name("10.9.0.2:9"))
        .expect_err("no address");
    assert_eq!(none.errno().0, libc::ENETUNREACH);
    assert!(none.to_string().contains("add_address"), "{none}");
}

#[test]
fn datagrams_are_in_the_queue_when_they_are_sent() {
    let here = Host::new(&["10.9.0.1/24"]);
    let socket = here.net.bind_udp(name("0.0.0.0:0")).expect("a socket");
    for number in 0..3 {
        let data = [number; 5];
        assert_eq!(socket.send_to(&data, name("10.9.0.2:7")).expect("sent"), 5);
        // The tunnel blocks, so this would wait for ever.
        let tunnels = here.net.tunnels().expect("tunnels");
        assert_eq!(tunnels.iter().map(|tunnel| tunnel.queued).sum::<u32>(), 1);
        let packet = here.system.read(here.fd, 1500).expect("a packet");
        assert_eq!(
            (packet[12..20].to_vec(), &packet[28..]),
            (vec![10, 9, 0, 1, 10, 9, 0, 2], &data[..])
        );
    }
    // A way that was found is not kept beyond what it depends on.
    let tun = here.net.wait_interface_within("tun0", SOON).expect("tun0");
    let address = "10.9.0.1/24".parse().expect("an address");
    tun.remove_address(&address).expect("removed");
    let gone = socket
        .send_to(b"lost", name("10.9.0.2:7"))
        .expect_err("no route");
    assert_eq!(gone.errno().0, libc::ENETUNREACH, "{gone}");
    tun.add_address(&"10.9.0.3/24".parse().expect("an address"))
        .expect("added");
    socket.std().set_ttl(9).expect("set");
    socket.send_to(b"again", name("10.9.0.2:7")).expect("sent");
    let packet = here.system.read(here.fd, 1500).expect("a packet");
    assert_eq!(
        (packet[8], packet[15]),
        (9, 3),
        "the new hop limit and the new address"
    );
}

#[test]
fn datagrams_come_with_their_sender() {
    let hosts = Hosts::new();
    let server = hosts
        .there
        .net
        .bind_udp(name("10.9.0.2:7"))
        .expect("a socket");
    let client = hosts
        .here
        .net
        .bind_udp(name("10.9.0.1:0"))
        .expect("a socket");
    for socket in [&server, &client] {
        socket.std().set_read_timeout(Some(SOON)).expect("set");
    }
    client.send_to(b"hello", name("10.9.0.2:7")).expect("sent");
    let mut room = [0; 3];
    let (length, from) = server.recv_from(&mut room).expect("received");
    // The room is shorter than the datagram, and than what says of an error.
    assert_eq!((length, &room), (3, b"hel"));
    assert_eq!(from, client.local_addr().expect("a name"));
    client.connect(name("10.9.0.2:9")).expect("connected");
    client.send(b"anybody?").expect("sent");
    let refused = client.recv(&mut room).expect_err("nobody");
    assert_eq!(refused.errno().0, libc::ECONNREFUSED, "{refused}");
    // Somebody on the machine who knows the native name is not heard.
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let native = server.std().local_addr().expect("a name");
    stranger.send_to(b"boo", native).expect("sent");
    let other = hosts
        .here
        .net
        .bind_udp(name("10.9.0.1:0"))
        .expect("a socket");
    other.send_to(b"yes", name("10.9.0.2:7")).expect("sent");
    let mut room = [0; 100];
    assert_eq!(server.recv_from(&mut room).expect("received").0, 3);
    assert_eq!(&room[..3], b"yes");
}

#[test]
fn nobody_on_the_machine_connects_to_a_listener_of_the_net() {
    let hosts = Hosts::new();
    let listener = hosts
        .there
        .net
        .listen(name("10.9.0.2:80"))
        .expect("listens");
    let native = listener.std().local_addr().expect("a name");
    let mut stranger = TcpStream::connect(native).expect("the machine's kernel lets anybody");
    let _stream = hosts
        .here
        .net
        .connect_timeout(name("10.9.0.2:80"), SOON)
        .expect("connects");
    let (_accepted, from) = listener.accept().expect("accepts");
    assert_eq!(from.ip().to_string(), "10.9.0.1");
    stranger.set_read_timeout(Some(SOON)).expect("set");
    let ended = stranger.read(&mut [0; 1]);
    assert!(
        matches!(&ended, Ok(0))
            || ended.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
    );
}

#[test]
fn a_receiver_counts_as_a_socket() {
    let hosts = Hosts::new();
    let tun = hosts
        .there
        .net
        .wait_interface_within("tun0", SOON)
        .expect("tun0");
    let receiver = tun.receive_udp(name("10.9.0.2:7"));
    let client = hosts
        .here
        .net
        .bind_udp(name("10.9.0.1:0"))
        .expect("a socket");
    client.connect(name("10.9.0.2:7")).expect("connected");
    client.send(b"for a driver").expect("sent");
    assert_eq!(
        receiver.recv_within(SOON).expect("received"),
        b"for a driver"
    );
    // An error would have come with an answer to what is sent after it.
    let echo = hosts
        .there
        .net
        .bind_udp(name("10.9.0.2:8"))
        .expect("a socket");
    let other = hosts
        .here
        .net
        .bind_udp(name("10.9.0.1:0"))
        .expect("a socket");
    other.send_to(b"ping", name("10.9.0.2:8")).expect("sent");
    let mut room = [0; 100];
    let (length, from) = echo.recv_from(&mut room).expect("received");
    echo.send_to(&room[..length], from).expect("sent");
    other.recv_from(&mut room).expect("received");
    let sockets = hosts.here.net.socket_calls();
    let errno = sockets.take_error(&client).expect("asked");
    assert_eq!(errno, None, "nobody has refused it");
    assert!(receiver.recv_within(Timeout::NOW).is_err());
}
