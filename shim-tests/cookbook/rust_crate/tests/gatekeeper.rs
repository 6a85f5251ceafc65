//! Shows an integration test that starts the crate's own binary under the shim, in a fresh net for
//! each test:
//!
//!     (cd ../../.. && cargo build --release -p memtun-shim)       # once
//!     cargo test
//!
//! No environment variable is needed, and the tests run side by side.

use memtun::{Interface, Net, Permission, UnderShim};
use memtun::{Sending, Timeout};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Option<Duration> = Some(Duration::from_secs(10));

/// A gatekeeper for ports 7 and 9 on tun0. It is ended with the test, even when the test fails.
struct Gatekeeper {
    program: Child,
    tun: Interface,
}

impl Gatekeeper {
    fn start(net: &Net) -> Gatekeeper {
        let program = Command::new(env!("CARGO_BIN_EXE_gatekeeper"))
            .args(["tun0", "7", "9"])
            .under(net)
            .expect("can run under the shim")
            .spawn()
            .expect("starts");
        let tun = net
            .wait_interface_within("tun0", SOON)
            .expect("attaches to tun0");
        Gatekeeper { program, tun }
    }

    /// Sends a datagram to a port of the program. Returns the source address.
    fn send(&self, port: u16, data: &[u8]) -> SocketAddr {
        let to = SocketAddr::from(([10, 0, 0, 1], port));
        let from = SocketAddr::from(([10, 0, 0, 2], 40000 + port));
        self.tun
            .send_udp_with(data, to, Sending::new().source(from).within(SOON))
            .expect("sent")
    }

    fn answer(&self, to: SocketAddr) -> Vec<u8> {
        let receiver = self.tun.receive_udp(to);
        receiver.recv_within(SOON).expect("an answer")
    }
}

impl Drop for Gatekeeper {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn open_ports_are_echoed_and_others_are_not() {
    let net = Net::temporary().expect("a net");
    let keeper = Gatekeeper::start(&net);
    keeper.send(8, b"let me in");
    let friend = keeper.send(7, b"hello");
    assert_eq!(keeper.answer(friend), b"hello");
    // The program takes packets in order: by now it has dropped the first.
    let only = keeper.tun.recv_within(Timeout::NOW).expect("a packet");
    assert_eq!(&only.data[28..], b"hello");
    keeper
        .tun
        .recv_within(Timeout::NOW)
        .expect_err("there was only one");
}

#[test]
fn interrupted_calls_are_made_again() {
    let net = Net::temporary().expect("a net");
    let keeper = Gatekeeper::start(&net);
    for fault in ["read=EINTR@1-2", "write=EINTR@1"] {
        net.fault(&fault.parse().expect("a fault")).expect("set");
    }
    for port in [7, 9] {
        let friend = keeper.send(port, b"still there?");
        assert_eq!(keeper.answer(friend), b"still there?");
    }
    assert!(net.faults().is_empty(), "both have struck");
}

#[test]
fn an_ordinary_socket_goes_through_the_tunnel() {
    let net = Net::temporary().expect("a net");
    let keeper = Gatekeeper::start(&net);
    let address = "10.0.0.2/24".parse().expect("an address");
    keeper.tun.add_address(&address).expect("added");
    let socket = net
        .bind_udp(SocketAddr::from(([10, 0, 0, 2], 0)))
        .expect("a socket");
    socket.std().set_read_timeout(SOON).expect("set");
    let door = SocketAddr::from(([10, 0, 0, 1], 9));
    socket.send_to(b"hello", door).expect("sent");
    let mut answer = [0; 100];
    let (length, from) = socket.recv_from(&mut answer).expect("an answer");
    assert_eq!((&answer[..length], from), (&b"hello"[..], door));
}

#[test]
fn without_permission_it_ends_with_the_reason() {
    let net = Net::temporary().expect("a net");
    net.deny(Permission::Ioctl);
    let output = Command::new(env!("CARGO_BIN_EXE_gatekeeper"))
        .arg("tun0")
        .under(&net)
        .expect("can run under the shim")
        .stdin(Stdio::null())
        .output()
        .expect("starts");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Operation not permitted"), "{said}");
}
