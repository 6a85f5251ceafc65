//! Packets as values: what stands in them, and bytes that are built as Linux builds them. Pure
//! functions of bytes: nothing here knows a net, a socket or a clock.
//!
//! What builds a packet writes into the caller's buffer and allocates nothing, because the library
//! does so inside of any program, in signal handlers too. Only [`reassembly`] keeps bytes.
//!
//! | module | subject |
//! |---|---|
//! | [`packet`] | [`Packet`]: an IP packet that has come in, checked as `ip_rcv` and `ip6_rcv` do |
//! | [`extension`] | the headers between an IPv6 header and what it carries |
//! | [`head`] | [`Head`]: the IP header of a packet that is built |
//! | [`checksum`] | the Internet checksum with and without a pseudo header |
//! | [`offload`] | checksums that a sender has left to its hardware |
//! | [`udp`], [`tcp`] | datagrams; what a closed port answers to a segment |
//! | [`icmp`] | echo, errors, and the flow that an error is about |
//! | [`fragment`], [`reassembly`] | packets in pieces, both ways |
//! | [`ethernet`], [`arp`], [`discovery`] | link headers, ARP, neighbour discovery |
//! | [`group`] | IGMP and MLD |
//! | [`options`] | options of IPv4 |

#![forbid(unsafe_code)]

pub mod arp;
pub mod checksum;
pub mod discovery;
pub mod ethernet;
pub mod extension;
pub mod fragment;
pub mod group;
pub mod head;
pub mod icmp;
pub mod offload;
pub mod options;
pub mod packet;
pub mod reassembly;
pub mod tcp;
pub mod udp;

pub use extension::Fragment;
pub use head::{Head, NoRoom};
pub use icmp::embedded::Embedded;
pub use icmp::error::IcmpError;
pub use options::Options;
pub use packet::{Malformed, Packet};

/// Numbers of protocols, of `Head::protocol` and `Packet::protocol`.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMP6: u8 = 58;
    /// No next header.
    pub const NONE: u8 = 59;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}
