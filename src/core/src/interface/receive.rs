//! Packets from the program: subscribers of the outbound log, and receivers of datagrams.

use super::{deadline, nap};
use crate::error::Result;
use crate::shm::layout::InterfaceState;
use crate::shm::log::{Cursor, Entry};
use crate::shm::{load_name, Mapped};
use crate::sys;
use crate::{udp, Errno, Error, Net};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::{Acquire, SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A packet as the network sees it: no packet information, no vnet header; a TAP's frame whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The bytes.
    pub data: Vec<u8>,
    /// Host byte order.
    pub ethertype: u16,
    /// When the program wrote it, nanoseconds since the epoch.
    pub time_ns: u64,
}

/// Reads the outbound log with a cursor of its own.
pub struct Subscriber {
    net: Net,
    state: Arc<Mapped<InterfaceState>>,
    cursor: Cursor,
    buffer: Vec<u8>,
}

impl Subscriber {
    pub(super) fn new(net: Net, state: Arc<Mapped<InterfaceState>>) -> Subscriber {
        let cursor = state.log_cursor(false);
        Subscriber {
            net,
            state,
            cursor,
            buffer: Vec::new(),
        }
    }

    /// The next packet, waiting up to `timeout` (None: for ever). With a timeout of zero it sees every packet whose write
    /// was complete before the call.
    ///
    /// Errors: EAGAIN nothing in time; ENOBUFS this subscriber was overtaken and so many packets are lost to it, the next
    /// call goes on with the middle of what is kept; ENODEV the interface is gone and everything it wrote has been read.
    pub fn recv(&mut self, timeout: Option<Duration>) -> Result<Packet> {
        let end = deadline(timeout);
        let name = |s: &Self| load_name(&s.state.name);
        loop {
            // The program may write and end between our look at the log and our look at the interface.
            let gone = self.state.deleted.load(Acquire) != 0;
            match self.state.log_read(&mut self.cursor, &mut self.buffer) {
                Entry::Packet(record) => {
                    return Ok(Packet {
                        data: std::mem::take(&mut self.buffer),
                        ethertype: record.ethertype,
                        time_ns: record.time_ns,
                    });
                }
                Entry::Lost(n) => {
                    let text = format!(
                        "{}: {n} packets were overwritten before they were received",
                        name(self)
                    );
                    return Err(Error::new(libc::ENOBUFS, text));
                }
                Entry::Empty if gone => {
                    return Err(Error::new(
                        libc::ENODEV,
                        format!("{}: the interface is gone", name(self)),
                    ));
                }
                Entry::Empty => {}
            }
            let Some(time) = nap(end) else {
                return Err(Error::new(
                    libc::EAGAIN,
                    format!("{}: no packet in time", name(self)),
                ));
            };
            self.sleep(time);
        }
    }

    fn sleep(&self, time: Duration) {
        let state = &self.state;
        state.log_waiters.fetch_add(1, SeqCst);
        let seen = state.log_event.load(SeqCst);
        let mut timed_out = false;
        if state.log_next().number() <= self.cursor.number() && state.deleted.load(Acquire) == 0 {
            timed_out =
                sys::futex_wait(&state.log_event, seen, Some(time)) == Err(Errno(libc::ETIMEDOUT));
        }
        state.log_waiters.fetch_sub(1, SeqCst);
        if timed_out {
            self.net.look_after(state);
        }
    }
}

/// Datagrams to one address, out of everything the program writes: the seed's `receiveUDP`, but it really filters.
pub struct UdpReceiver {
    pub(super) packets: Subscriber,
    pub(super) host: Option<IpAddr>,
    pub(super) port: u16,
}

impl UdpReceiver {
    /// The next datagram's payload. Errors as [`Subscriber::recv`].
    pub fn recv(&mut self, timeout: Option<Duration>) -> Result<Vec<u8>> {
        self.recv_from(timeout).map(|(payload, _)| payload)
    }

    /// The next datagram's payload and where it came from. Fragments and datagrams with a wrong checksum are not
    /// datagrams here, as for a socket.
    pub fn recv_from(&mut self, timeout: Option<Duration>) -> Result<(Vec<u8>, SocketAddr)> {
        let end = deadline(timeout);
        loop {
            let left = end.map(|e| e.saturating_duration_since(Instant::now()));
            let packet = self.packets.recv(left)?;
            let tap = self.packets.state.is_tap();
            let Some(datagram) = udp::parse(&packet.data, packet.ethertype, tap) else {
                continue;
            };
            let to = datagram.destination;
            if to.port() == self.port && self.host.is_none_or(|h| h == to.ip()) {
                return Ok((datagram.payload.to_vec(), datagram.source));
            }
        }
    }
}
