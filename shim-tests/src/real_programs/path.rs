//! Two ends with programs in between: what goes in at one end comes out at the other, whole and in
//! order.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{wire, End, SOON};

/// How the packets of a [`Path`] look on its ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// The ends carry IP packets, as a TUN does.
    Packets,
    /// The ends carry Ethernet frames, as a TAP does.
    Frames,
}

/// A tunnel through programs, from one interface to another.
pub struct Path {
    near: Box<dyn End>,
    far: Box<dyn End>,
    carries: Carries,
}

/// Number of packets in flight at a time: well below what a UDP socket between the programs holds.
const WINDOW: usize = 24;
const BURST: usize = 100;
/// Length of the largest payload in bytes: with every program's overhead it is still below 1,500
/// bytes.
const LARGEST: usize = 1300;

impl Path {
    /// A path between two interfaces.
    pub fn new(near: Box<dyn End>, far: Box<dyn End>, carries: Carries) -> Self {
        Self { near, far, carries }
    }

    /// Waits until packets get through in both directions, from `near` to `far` first.
    pub fn establish(&self, near: &str, far: &str) {
        let (near, far) = (address(near), address(far));
        self.probe(&*self.near, &*self.far, near, far);
        self.probe(&*self.far, &*self.near, far, near);
    }

    fn packet(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let packet = wire::udp(from, to, payload);
        match self.carries {
            Carries::Packets => packet,
            // The frame has the sender's address, so that a bridge between the ends learns who is
            // where.
            Carries::Frames => wire::frame([2, 0, 0, 0, 0, from.port() as u8], &packet),
        }
    }

    /// Repeats a probe until it comes out, and then sends another one, so that no copy of the first
    /// is still under way.
    fn probe(&self, into: &dyn End, out: &dyn End, from: SocketAddr, to: SocketAddr) {
        let end = Instant::now() + SOON;
        for round in 0..2 {
            let probe = self.packet(from, to, format!("probe {round}").as_bytes());
            'probing: loop {
                assert!(Instant::now() < end, "no packet gets from {from} to {to}");
                into.put(&probe);
                let patience = Instant::now() + Duration::from_millis(250);
                while let Some(packet) =
                    out.take(patience.saturating_duration_since(Instant::now()))
                {
                    if packet == probe {
                        break 'probing;
                    }
                }
            }
        }
        while out.take(Duration::from_millis(50)).is_some() {}
    }

    /// Checks one packet and then a burst of growing size, in both directions.
    pub fn check(&self, near: &str, far: &str) {
        let (near, far) = (address(near), address(far));
        self.check_one_way(&*self.near, &*self.far, near, far);
        self.check_one_way(&*self.far, &*self.near, far, near);
        assert_eq!(
            self.near.take(Duration::from_millis(20)),
            None,
            "one too many"
        );
        assert_eq!(
            self.far.take(Duration::from_millis(20)),
            None,
            "one too many"
        );
    }

    fn check_one_way(&self, into: &dyn End, out: &dyn End, from: SocketAddr, to: SocketAddr) {
        let one = self.packet(from, to, b"one packet");
        into.put(&one);
        assert_eq!(out.take(SOON), Some(one), "one packet from {from} to {to}");

        let mut under_way = VecDeque::new();
        for number in 0..BURST {
            let len = number * (LARGEST - 100) / (BURST - 1);
            let packet = self.packet(from, to, &wire::payload(number, len));
            into.put(&packet);
            under_way.push_back((number, packet));
            if under_way.len() == WINDOW {
                expect_next(out, &mut under_way);
            }
        }
        while !under_way.is_empty() {
            expect_next(out, &mut under_way);
        }
    }
}

fn expect_next(out: &dyn End, under_way: &mut VecDeque<(usize, Vec<u8>)>) {
    let (number, packet) = under_way.pop_front().expect("called with one under way");
    assert_eq!(
        out.take(SOON),
        Some(packet),
        "packet {number} of the burst, whole and in order"
    );
}

fn address(text: &str) -> SocketAddr {
    let host: IpAddr = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    // The two ports differ, so that no program can mistake an echo for the packet.
    let last = match host {
        IpAddr::V4(host) => host.octets()[3],
        IpAddr::V6(host) => host.octets()[15],
    };
    SocketAddr::new(host, 7000 + u16::from(last))
}
