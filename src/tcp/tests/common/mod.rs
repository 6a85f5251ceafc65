//! Two connections and a wire between them, in a time of their own.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use memtun_tcp::segment::{build, Plain};
use memtun_tcp::{Connection, Segment, Settings, State};

pub const MILLI: Duration = Duration::from_millis(1);

/// xorshift64*, so that each run is the same.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// True so many times of a thousand.
    pub fn happens(&mut self, of_thousand: u64) -> bool {
        (self.next() >> 32) % 1000 < of_thousand
    }
}

/// What the wire does to packets.
#[derive(Debug, Clone)]
pub struct Path {
    pub delay: Duration,
    /// Of a thousand packets, so many are lost.
    pub loss: u64,
    /// So many leave at once, while the others wait for the delay (netem's reorder).
    pub reorder: u64,
    /// Bytes in a second.
    pub rate: u64,
    pub random: Random,
    /// Both ends have BBR.
    pub bbr: bool,
}

impl Path {
    pub fn quick() -> Path {
        Path {
            delay: MILLI / 10,
            loss: 0,
            reorder: 0,
            rate: 1_000_000_000,
            random: Random(0x1234_5678_9abc_def1),
            bbr: false,
        }
    }
}

pub fn settings(seed: u64) -> Settings {
    Settings {
        mtu: 1500,
        maximum: 0,
        seed,
        clock: 0x0102_0304,
        hop_limit: 64,
        service: 0,
        offer: memtun_tcp::Offer::default(),
        patience: MILLI * 500,
        fast_open: None,
        asks_cookie: false,
        cookies: false,
        rests: false,
    }
}

/// Two ends; a packet in flight has the time of its arrival and a number.
pub struct World {
    pub now: Duration,
    pub ends: [Option<Connection>; 2],
    pub path: Path,
    pub flight: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    pub free_at: [Duration; 2],
    pub count: u64,
    pub lost: u64,
}

impl World {
    pub fn new(path: Path) -> World {
        let local = "10.0.0.1:1000".parse().expect("an address");
        let remote = "10.0.0.2:2000".parse().expect("an address");
        let now = Duration::from_secs(100);
        let mut active =
            Connection::connect(local, remote, &settings(1), now).expect("a connection");
        if path.bbr {
            active.use_bbr();
        }
        World {
            now,
            ends: [Some(active), None],
            path,
            flight: BTreeMap::new(),
            free_at: [now; 2],
            count: 0,
            lost: 0,
        }
    }

    fn put(&mut self, from: usize, packets: Vec<Vec<u8>>) {
        for packet in packets {
            self.count += 1;
            let wire = Duration::from_nanos(packet.len() as u64 * 1_000_000_000 / self.path.rate);
            let start = self.free_at[from].max(self.now);
            self.free_at[from] = start + wire;
            if self.path.random.happens(self.path.loss) {
                self.lost += 1;
                continue;
            }
            let early = self.path.random.happens(self.path.reorder);
            let delay = if early {
                Duration::ZERO
            } else {
                self.path.delay
            };
            self.flight
                .insert((start + wire + delay, self.count), (1 - from, packet));
        }
    }

    pub fn poll(&mut self, end: usize) {
        let mut packets = Vec::new();
        if let Some(connection) = &mut self.ends[end] {
            while !connection.poll(self.now, &mut |packet| packets.push(packet.to_vec())) {}
        }
        self.put(end, packets);
    }

    /// Goes on to what happens next. False where nothing will.
    pub fn step(&mut self) -> bool {
        let arrival = self.flight.keys().next().map(|&(at, _)| at);
        let now = self.now;
        let timers = [0, 1].map(|end| self.ends[end].as_mut().and_then(|c| c.poll_at(now)));
        let Some(next) = timers.into_iter().flatten().chain(arrival).min() else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some(entry) = self.flight.first_entry().filter(|e| e.key().0 <= self.now) {
            let (end, packet) = entry.remove();
            self.deliver(end, &packet);
        }
        for end in [0, 1] {
            self.poll(end);
        }
        true
    }

    pub fn deliver(&mut self, end: usize, packet: &[u8]) {
        let mut packets = Vec::new();
        let now = self.now;
        match &mut self.ends[end] {
            Some(connection) => {
                connection.segment(packet, now, &mut |packet| packets.push(packet.to_vec()));
            }
            slot => {
                *slot = Connection::accept(packet, &settings(2), now);
                if let Some(connection) = slot.as_mut().filter(|_| self.path.bbr) {
                    connection.use_bbr();
                }
            }
        }
        self.put(end, packets);
    }

    /// Steps until both ends are open.
    pub fn open(&mut self) {
        let both = |world: &World| {
            world
                .ends
                .iter()
                .all(|end| end.as_ref().is_some_and(|c| c.state() == State::Open))
        };
        while !both(self) {
            assert!(self.step(), "nothing happens any more");
        }
    }
}

/// The byte at this place of a stream.
pub fn byte(place: usize) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Sends `total` bytes from the first end to the second, looks at each, and ends both ways.
/// Returns how long it took.
pub fn transfer(world: &mut World, total: usize) -> Duration {
    world.open();
    let began = world.now;
    let (mut written, mut read) = (0, 0);
    let mut chunk = vec![0; 65536];
    loop {
        let [Some(from), Some(to)] = &mut world.ends else {
            panic!("an end is gone")
        };
        while written < total && from.room() > 0 {
            let count = from.room().min(total - written).min(chunk.len());
            for (index, place) in chunk[..count].iter_mut().enumerate() {
                *place = byte(written + index);
            }
            written += from.write(&chunk[..count]);
        }
        if written == total {
            from.close();
        }
        loop {
            let count = to.read(&mut chunk);
            for (index, &got) in chunk[..count].iter().enumerate() {
                assert_eq!(got, byte(read + index), "byte {}", read + index);
            }
            read += count;
            if count == 0 {
                break;
            }
        }
        if to.is_read() {
            break;
        }
        for end in [0, 1] {
            world.poll(end);
        }
        assert!(world.step(), "nothing happens any more after {read} bytes");
        for end in world.ends.iter().flatten() {
            assert_eq!(end.state(), State::Open, "after {read} bytes: {end:?}");
        }
        assert!(
            world.now - began < Duration::from_secs(3600),
            "after {read} bytes"
        );
    }
    assert_eq!(read, total);
    world.now - began
}

pub fn here() -> SocketAddr {
    "10.0.0.1:1000".parse().expect("an address")
}

pub fn there() -> SocketAddr {
    "10.0.0.2:2000".parse().expect("an address")
}

pub fn polled(connection: &mut Connection, now: Duration) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while !connection.poll(now, &mut |packet| out.push(packet.to_vec())) {}
    out
}

pub fn given(connection: &mut Connection, packet: &[u8], now: Duration) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    connection.segment(packet, now, &mut |packet| out.push(packet.to_vec()));
    out
}

/// Sequence, acknowledgement, flags, length of data.
pub fn shown(packets: &[Vec<u8>]) -> Vec<(u32, u32, u8, usize)> {
    let show = |packet: &Vec<u8>| {
        let segment = Segment::parse(packet).expect("a segment with the right checksum");
        (
            segment.sequence,
            segment.acknowledgement,
            segment.flags,
            segment.payload.len(),
        )
    };
    packets.iter().map(show).collect()
}

/// A packet of the other side's without data.
pub fn told(
    sequence: u32,
    acknowledgement: u32,
    flags: u8,
    window: u16,
    options: &[u8],
) -> Vec<u8> {
    let plain = Plain {
        source: there(),
        destination: here(),
        sequence,
        acknowledgement,
        flags,
        window,
        options,
    };
    let mut packet = Vec::new();
    build(&plain, &mut packet);
    packet
}
