//! Many packets from the program at once.
#![forbid(unsafe_code)]

use super::receive::{packet, Packet, Subscriber, UdpReceiver};
use super::Interface;
use crate::deadline::{Deadline, Timeout};
use memtun_abi::error::Result;
use std::net::SocketAddr;

/// A packet that [`Subscriber::take_many`] shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Shown<'p> {
    /// The bytes of the packet, see [`Packet::data`].
    pub data: &'p [u8],
    /// Ethertype in host byte order.
    pub ethertype: u16,
    /// When the program wrote the packet, in nanoseconds since the epoch.
    pub time_ns: u64,
}

impl Subscriber {
    /// Waits up to five seconds for the next packet that the program wrote, and receives it with
    /// those behind it that are there already: up to `most` packets, in their order. It waits for
    /// none but the first. With 0 for `most` it receives none.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv`], when there is no packet before the error; else the next
    /// call has it.
    pub fn recv_many(&self, most: usize) -> Result<Vec<Packet>> {
        self.recv_many_within(most, Timeout::DEFAULT)
    }

    /// The same as [`Subscriber::recv_many`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv_many`].
    pub fn recv_many_within(
        &self,
        most: usize,
        timeout: impl Into<Timeout>,
    ) -> Result<Vec<Packet>> {
        let mut packets = Vec::new();
        self.take_until(most, Deadline::after(timeout), |data, record| {
            packets.push(packet(data, record));
            true
        })?;
        Ok(packets)
    }

    /// The same as [`Subscriber::recv_many_within`] for packets that are put elsewhere: each is
    /// shown to `take`, which answers whether it took it. The first one that it did not take ends
    /// the call, and is received next. Returns how many were taken. No other thread receives at
    /// this subscriber while `take` runs.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv_many`].
    pub fn take_many(
        &self,
        most: usize,
        timeout: impl Into<Timeout>,
        mut take: impl FnMut(Shown<'_>) -> bool,
    ) -> Result<usize> {
        self.take_until(most, Deadline::after(timeout), |data, record| {
            take(Shown {
                data,
                ethertype: record.ethertype,
                time_ns: record.time_ns,
            })
        })
    }
}

impl Interface {
    /// The next packets that the program wrote, as [`Subscriber::recv_many`] receives them. Each
    /// packet is given once per `Interface` value.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv_many`].
    pub fn recv_many(&self, most: usize) -> Result<Vec<Packet>> {
        self.reader.recv_many(most)
    }

    /// The same as [`Interface::recv_many`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`Subscriber::recv_many`].
    pub fn recv_many_within(
        &self,
        most: usize,
        timeout: impl Into<Timeout>,
    ) -> Result<Vec<Packet>> {
        self.reader.recv_many_within(most, timeout)
    }

    /// The same as [`Subscriber::take_many`] at the position of [`Interface::recv`].
    ///
    /// # Errors
    /// The same as [`Subscriber::recv_many`].
    pub fn take_many(
        &self,
        most: usize,
        timeout: impl Into<Timeout>,
        take: impl FnMut(Shown<'_>) -> bool,
    ) -> Result<usize> {
        self.reader.take_many(most, timeout, take)
    }
}

impl UdpReceiver {
    /// The next datagrams, each with its source address: waits up to five seconds for the first,
    /// and gives it with those behind it that are there already, up to `most`. With 0 for `most` it
    /// receives none.
    ///
    /// # Errors
    /// The same as [`UdpReceiver::recv_from`], when there is no datagram before the error; else the
    /// next call has it.
    pub fn recv_many(&self, most: usize) -> Result<Vec<(Vec<u8>, SocketAddr)>> {
        self.recv_many_within(most, Timeout::DEFAULT)
    }

    /// The same as [`UdpReceiver::recv_many`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`UdpReceiver::recv_many`].
    pub fn recv_many_within(
        &self,
        most: usize,
        timeout: impl Into<Timeout>,
    ) -> Result<Vec<(Vec<u8>, SocketAddr)>> {
        let mut datagrams = Vec::new();
        self.take_many(most, timeout, |payload, source| {
            datagrams.push((payload.to_vec(), source));
            true
        })?;
        Ok(datagrams)
    }

    /// The same as [`UdpReceiver::recv_many_within`] for datagrams that are put elsewhere: each
    /// payload is shown to `take` with its source, as [`Subscriber::take_many`] shows packets.
    ///
    /// # Errors
    /// The same as [`UdpReceiver::recv_many`].
    pub fn take_many(
        &self,
        most: usize,
        timeout: impl Into<Timeout>,
        take: impl FnMut(&[u8], SocketAddr) -> bool,
    ) -> Result<usize> {
        self.take_until(most, Deadline::after(timeout), take)
    }
}
