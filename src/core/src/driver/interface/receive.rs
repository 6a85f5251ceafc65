//! Packets from the program: subscribers of the outbound log, and receivers of datagrams.
#![forbid(unsafe_code)]

use super::passed::{takes, PassedOver};
use crate::deadline::{Deadline, Timeout};
use crate::driver::joined::Joined;
use crate::packet::{self, Found};
use crate::{Error, ErrorKind};
use memtun_abi::error::Result;
use memtun_kernel::busy;
use memtun_kernel::net::Received;
use memtun_shm::layout::InterfaceState;
use memtun_shm::log::{Cursor, Entry, Record};
use memtun_shm::{load_name, Mapped};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A packet as the network sees it: without packet information and vnet header, and for a TAP the
/// whole Ethernet frame.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Packet {
    /// The bytes of the packet.
    pub data: Vec<u8>,
    /// Ethertype in host byte order.
    pub ethertype: u16,
    /// When the program wrote the packet, in nanoseconds since the epoch.
    pub time_ns: u64,
}

/// Reads what the program writes, with a position of its own in the outbound log. Threads may share
/// one subscriber: each packet goes to one of them, and no thread waits for another thread's wait.
pub struct Subscriber {
    net: Arc<Joined>,
    state: Arc<Mapped<InterfaceState>>,
    /// The position in the log. Its lock is held for one look at the log, never during a wait.
    cursor: Mutex<Cursor>,
}

/// What a look at the log finds.
enum Look {
    /// So many packets were given away, or none that the caller had room for.
    Packets(usize),
    /// There is nothing before the record of this number.
    Nothing(u64),
}

impl Subscriber {
    pub(super) fn new(net: Arc<Joined>, state: Arc<Mapped<InterfaceState>>) -> Subscriber {
        let cursor = Mutex::new(state.log().cursor(false));
        Subscriber { net, state, cursor }
    }

    /// The next packet that the program wrote; waits up to five seconds for it.
    ///
    /// # Errors
    /// - EAGAIN: no packet came in time.
    /// - ENOBUFS: the program overtook this subscriber, and [`Error::lost`] says how many packets
    ///   it lost; the next call goes on with the middle of what is kept.
    /// - ENODEV: the interface is gone and everything that the program wrote to it has been read.
    /// - EUCLEAN: the file of the interface was cut short or overwritten.
    pub fn recv(&self) -> Result<Packet> {
        self.recv_within(Timeout::DEFAULT)
    }

    /// The same as [`Subscriber::recv`] with a timeout of the caller's. With [`Timeout::NOW`] it
    /// sees every packet whose write was complete before the call, unless another thread got it.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv`].
    pub fn recv_within(&self, timeout: impl Into<Timeout>) -> Result<Packet> {
        self.recv_until(Deadline::after(timeout))
    }

    fn recv_until(&self, end: Deadline) -> Result<Packet> {
        let mut received = None;
        self.take_until(1, end, |data, record| {
            received = Some(packet(data, record));
            true
        })?;
        received.ok_or_else(|| self.nothing_in_time())
    }

    /// Waits for a packet, and gives it and up to `most` that are there away as
    /// [`Subscriber::look`] does.
    pub(super) fn take_until(
        &self,
        most: usize,
        end: Deadline,
        mut take: impl FnMut(&mut Vec<u8>, &Record) -> bool,
    ) -> Result<usize> {
        loop {
            let next = match self.look(most, &mut take)? {
                Look::Packets(taken) => return Ok(taken),
                Look::Nothing(next) => next,
            };
            let time = end.nap().ok_or_else(|| self.nothing_in_time())?;
            self.sleep(next, time);
        }
    }

    /// Fails with EAGAIN when the time is over and everything before the record of number `due` has
    /// been looked at.
    fn give_up_after(&self, end: Deadline, due: u64) -> Result<()> {
        if !end.is_over() || self.lock().number() < due {
            return Ok(());
        }
        Err(self.nothing_in_time())
    }

    fn lock(&self) -> MutexGuard<'_, Cursor> {
        self.cursor
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn nothing_in_time(&self) -> Error {
        let name = load_name(&self.state.name);
        Error::new(libc::EAGAIN, format!("{name}: no packet in time"))
    }

    /// Gives up to `most` packets to `take`, which may keep the bytes, and answers whether it took
    /// them; a packet that it did not take is the next one still. What is wrong behind packets that
    /// were taken is left to the next call. The position is locked meanwhile.
    fn look(
        &self,
        most: usize,
        mut take: impl FnMut(&mut Vec<u8>, &Record) -> bool,
    ) -> Result<Look> {
        // The state is read again after the log, because the program may write and end between the
        // look at the log and this look.
        let gone = self.state.is_gone();
        let (mut data, mut taken) = (Vec::new(), 0);
        let mut cursor = self.lock();
        let entry = loop {
            if taken == most {
                return Ok(Look::Packets(taken));
            }
            let kept = *cursor;
            let entry = self.state.log().read(&mut cursor, &mut data);
            match &entry {
                Entry::Packet(record) if take(&mut data, record) => {
                    taken += 1;
                    continue;
                }
                Entry::Empty => {}
                Entry::Lost(_) if taken == 0 => {}
                Entry::Packet(_) | Entry::Lost(_) => *cursor = kept,
            }
            break entry;
        };
        let (next, expected) = (cursor.number(), cursor.expected());
        drop(cursor);
        let name = || load_name(&self.state.name);
        match entry {
            Entry::Packet(_) => Ok(Look::Packets(taken)),
            _ if taken > 0 => Ok(Look::Packets(taken)),
            Entry::Lost(n) => {
                let next = expected.map_or(0, |before| before + 1);
                let text = format!(
                    "{}: {n} packets were overwritten before they were received; the next call goes on with the \
                     program's packet {next}, in the middle of what is kept",
                    name()
                );
                Err(Error::new(libc::ENOBUFS, text).of_kind(ErrorKind::Lost { count: n }))
            }
            Entry::Empty if self.state.is_damaged() => Err(Error::new(
                libc::EUCLEAN,
                "the interface's file was cut short or overwritten by another process; start anew in a fresh net",
            )),
            Entry::Empty if gone => Err(Error::new(
                libc::ENODEV,
                format!("{}: the interface is gone", name()),
            )),
            Entry::Empty => Ok(Look::Nothing(next)),
        }
    }

    /// Sleeps until there is a record of number `next`, or until `time` has passed.
    fn sleep(&self, next: u64, time: Duration) {
        let state = &self.state;
        let nothing_new = || state.log.next().number() <= next && !state.is_gone();
        let most = time.as_nanos().min(u32::MAX.into()) as u32;
        let peer = &state.written_on;
        if let Some(time) = busy::RECEIVES.time(peer) {
            if busy::RECEIVES.wait(time.min(most), peer, || !nothing_new()) {
                return;
            }
        }
        if state.log.sleep(time, nothing_new) {
            self.net.look_after(state);
        }
    }
}

/// Makes a packet of what the log says, and of its bytes.
pub(super) fn packet(data: &mut Vec<u8>, record: &Record) -> Packet {
    Packet {
        data: std::mem::take(data),
        ethertype: record.ethertype,
        time_ns: record.time_ns,
    }
}

/// Packets that a receiver of datagrams looks at before it lets other threads look.
const LOOKED: usize = 1024;

/// Receives the datagrams to one address, out of everything that the program writes. It stands for
/// `receiveUDP` of Twisted's `MemoryIOSystem`, but it really filters by the address. Threads may
/// share one, as they may share a [`Subscriber`].
pub struct UdpReceiver {
    packets: Subscriber,
    to: SocketAddr,
    passed: Mutex<PassedOver>,
    /// What the net's host is told, so that it answers nobody that nobody listens.
    received: Option<Received>,
}

impl Drop for UdpReceiver {
    fn drop(&mut self) {
        if let Some(received) = self.received {
            self.packets.net.dir().stop_receiving(received);
        }
    }
}

impl UdpReceiver {
    pub(super) fn new(packets: Subscriber, to: SocketAddr) -> UdpReceiver {
        UdpReceiver {
            received: packets.net.dir().start_receiving(to.port()),
            packets,
            to,
            passed: Mutex::default(),
        }
    }

    /// The payload of the next datagram; waits up to five seconds for it.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv`].
    pub fn recv(&self) -> Result<Vec<u8>> {
        self.recv_within(Timeout::DEFAULT)
    }

    /// The same as [`UdpReceiver::recv`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv`].
    pub fn recv_within(&self, timeout: impl Into<Timeout>) -> Result<Vec<u8>> {
        self.recv_from_within(timeout).map(|(payload, _)| payload)
    }

    /// The payload of the next datagram and its source address. As for a socket, fragments and
    /// datagrams with a wrong checksum or length do not count as datagrams.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv`]. The sentence of EAGAIN says what has been passed over
    /// since the last datagram.
    pub fn recv_from(&self) -> Result<(Vec<u8>, SocketAddr)> {
        self.recv_from_within(Timeout::DEFAULT)
    }

    /// The same as [`UdpReceiver::recv_from`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`UdpReceiver::recv_from`].
    pub fn recv_from_within(&self, timeout: impl Into<Timeout>) -> Result<(Vec<u8>, SocketAddr)> {
        let mut received = None;
        self.take_until(1, Deadline::after(timeout), |payload, source| {
            received = Some((payload.to_vec(), source));
            true
        })?;
        received.ok_or_else(|| Error::new(libc::EAGAIN, self.in_vain()))
    }

    /// Waits for a datagram, and gives it and up to `most` that are there away as
    /// [`Subscriber::look`] does.
    pub(super) fn take_until(
        &self,
        most: usize,
        end: Deadline,
        take: impl FnMut(&[u8], SocketAddr) -> bool,
    ) -> Result<usize> {
        self.find(most, end, take).map_err(|e| match e.errno().0 {
            libc::EAGAIN => Error::new(libc::EAGAIN, self.in_vain()),
            _ => e,
        })
    }

    fn find(
        &self,
        most: usize,
        end: Deadline,
        mut take: impl FnMut(&[u8], SocketAddr) -> bool,
    ) -> Result<usize> {
        // The call ends at this record when its time is over: a program that writes other packets
        // faster than they are looked at must not keep the caller longer.
        let due = self.packets.state.log.next().number();
        let tap = self.packets.state.is_tap();
        let (mut taken, mut over) = (0, most == 0);
        while !over {
            let looked = self.packets.look(most.max(LOOKED), |data, record| {
                let found = packet::find(data, record.ethertype, tap);
                let Some((payload, source)) = self.wanted(&found) else {
                    self.passed().add(&found, self.to);
                    return true;
                };
                if taken == most || !take(payload, source) {
                    over = true;
                    return false;
                }
                taken += 1;
                *self.passed() = PassedOver::default();
                true
            })?;
            if taken > 0 || over {
                break;
            }
            self.packets.give_up_after(end, due)?;
            if let Look::Nothing(next) = looked {
                let time = end.nap().ok_or_else(|| self.packets.nothing_in_time())?;
                self.packets.sleep(next, time);
            }
        }
        Ok(taken)
    }

    /// Returns the payload and the source of a datagram that is for this receiver.
    fn wanted<'p>(&self, found: &Found<'p>) -> Option<(&'p [u8], SocketAddr)> {
        match found {
            Found::Datagram(datagram) => {
                let to = datagram.destination;
                let wanted = to.port() == self.to.port() && takes(self.to.ip(), to.ip());
                wanted.then_some((datagram.payload, datagram.source))
            }
            _ => None,
        }
    }

    fn passed(&self) -> MutexGuard<'_, PassedOver> {
        self.passed
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The sentence for a caller that has waited in vain.
    fn in_vain(&self) -> String {
        let name = load_name(&self.packets.state.name);
        let to = match self.to {
            // :: is any address of either family. For 0.0.0.0 what goes to IPv6 is passed over, so
            // the sentence names that one.
            to if to.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => format!("port {}", to.port()),
            to => to.to_string(),
        };
        format!("{name}: no datagram to {to} in time{}", self.passed())
    }
}
