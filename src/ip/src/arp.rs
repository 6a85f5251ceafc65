//! ARP for IPv4 over Ethernet.
#![forbid(unsafe_code)]

use crate::ethernet::{self, Mac};
use etherparse::{ArpEthIpv4Packet, ArpOperation, ArpPacketSlice};
use std::net::Ipv4Addr;

/// Length in bytes of the message alone.
pub const LENGTH: usize = 28;

/// A request or a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// Is it a reply?
    pub reply: bool,
    /// Who sends it.
    pub sender: (Mac, Ipv4Addr),
    /// Who is asked, or answered.
    pub target: (Mac, Ipv4Addr),
}

impl Arp {
    /// Reads a message; None of what is neither a request nor a reply of IPv4 over Ethernet.
    pub fn parse(bytes: &[u8]) -> Option<Arp> {
        let slice = ArpPacketSlice::from_slice(bytes).ok()?;
        let packet = slice.to_packet().try_eth_ipv4().ok()?;
        let reply = match packet.operation {
            ArpOperation::REQUEST => false,
            ArpOperation::REPLY => true,
            _ => return None,
        };
        Some(Arp {
            reply,
            sender: (packet.sender_mac, packet.sender_ipv4.into()),
            target: (packet.target_mac, packet.target_ipv4.into()),
        })
    }

    /// Returns the frame of the message to `destination`.
    pub fn frame(&self, destination: Mac) -> [u8; ethernet::HEADER + LENGTH] {
        let operation = match self.reply {
            true => ArpOperation::REPLY,
            false => ArpOperation::REQUEST,
        };
        let packet = ArpEthIpv4Packet {
            operation,
            sender_mac: self.sender.0,
            sender_ipv4: self.sender.1.octets(),
            target_mac: self.target.0,
            target_ipv4: self.target.1.octets(),
        };
        let mut frame = [0; ethernet::HEADER + LENGTH];
        let header = ethernet::header(destination, self.sender.0, ethernet::ARP);
        frame[..ethernet::HEADER].copy_from_slice(&header);
        frame[ethernet::HEADER..].copy_from_slice(&packet.to_bytes());
        frame
    }
}
