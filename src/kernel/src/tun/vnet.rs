//! The header in front of a packet on an interface with IFF_VNET_HDR (struct virtio_net_hdr and its
//! longer forms): which ones the driver refuses. The driver looks at offsets and sizes, and hardly
//! ever at the packet: a header may say TCP over IPv4 in front of something else.
#![forbid(unsafe_code)]

use crate::shm::SharedBytes;
use crate::uapi::{ETH_HLEN, VNET_HDR_SIZE};
use crate::Errno;

/// The answer to a header that the driver refuses.
const REFUSED: Result<(), Errno> = Err(Errno(libc::EINVAL));

const NEEDS_CSUM: u8 = 1;

const GSO_TCPV4: u8 = 1;
const GSO_UDP: u8 = 3;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_UDP_TUNNEL_IPV4: u8 = 0x20;
const GSO_UDP_TUNNEL_IPV6: u8 = 0x40;
const GSO_UDP_TUNNEL: u8 = GSO_UDP_TUNNEL_IPV4 | GSO_UDP_TUNNEL_IPV6;
const GSO_ECN: u8 = 0x80;

const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const UDP: usize = 8;
/// Offset in bytes of the checksum in a TCP header.
const TCP_CHECK: usize = 16;
/// Offset in bytes of the checksum in a UDP header.
const UDP_CHECK: usize = 6;
/// UDP_MAX_SEGMENTS of the kernel.
const MOST_SEGMENTS: usize = 128;
/// The kernel counts in 16 bits where a checksum starts, and begins to count this many bytes before
/// the packet (NET_SKB_PAD).
const HEADROOM: usize = 64;
/// A segment size that the kernel keeps for itself.
const GSO_BY_FRAGS: u16 = 0xffff;

/// The fields of the header, in the machine's byte order. TUNSETVNETLE changes nothing on
/// little-endian machines.
pub(super) struct VnetHeader {
    flags: u8,
    gso_type: u8,
    /// Length of the headers in bytes; at least up to the end of the checksum, where one has to be
    /// computed.
    pub hdr_len: u16,
    gso_size: u16,
    csum_start: u16,
    csum_offset: u16,
    /// Offsets in bytes of the outer transport header and of the inner network header; None where
    /// the header is too short to have them.
    tunnel: Option<(u16, u16)>,
}

impl VnetHeader {
    /// Length in bytes of the longest form, which has a hash and the offsets of a UDP tunnel.
    pub const LONGEST: usize = 24;

    /// Returns how many bytes the driver reads of a header of `size` bytes.
    pub fn parsed_size(size: usize) -> usize {
        if size >= Self::LONGEST {
            Self::LONGEST
        } else {
            VNET_HDR_SIZE as usize
        }
    }

    pub fn parse(b: &[u8; Self::LONGEST], parsed: usize) -> VnetHeader {
        let word = |at: usize| u16::from_ne_bytes([b[at], b[at + 1]]);
        let little = |at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
        let mut header = VnetHeader {
            flags: b[0],
            gso_type: b[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
            tunnel: (parsed == Self::LONGEST).then(|| (little(20), little(22))),
        };
        if header.flags & NEEDS_CSUM != 0 {
            let end = header.csum_start as u32 + header.csum_offset as u32 + 2;
            // The driver keeps the length in 16 bits.
            header.hdr_len = end.max(header.hdr_len as u32) as u16;
        }
        header
    }

    /// Makes the checks of `virtio_net_hdr_tnl_to_skb`.
    pub fn check(&self, packet: SharedBytes<'_>) -> Result<(), Errno> {
        let tunnel = self.gso_type & GSO_UDP_TUNNEL;
        if tunnel == 0 {
            return self.check_plain(packet, self.gso_type);
        }
        let Some((outer_transport, inner_network)) = self.tunnel else {
            return REFUSED;
        };
        let inner_type = self.gso_type & !(GSO_ECN | GSO_UDP_TUNNEL);
        if tunnel == GSO_UDP_TUNNEL
            || inner_type == 0
            || inner_type == GSO_UDP
            || self.flags & NEEDS_CSUM == 0
        {
            return REFUSED;
        }
        let outer_ip = match tunnel {
            GSO_UDP_TUNNEL_IPV6 => IPV6,
            _ => IPV4,
        };
        let inner_ip = match inner_type {
            GSO_TCPV6 => IPV6,
            _ => IPV4,
        };
        let (outer_transport, inner_network) = (outer_transport as usize, inner_network as usize);
        let inner_transport = self.csum_start as usize;
        if outer_transport < ETH_HLEN + outer_ip
            || inner_network < outer_transport + UDP
            || inner_transport < inner_network + inner_ip
        {
            return REFUSED;
        }
        self.check_plain(packet, self.gso_type & !GSO_UDP_TUNNEL)?;
        // The header does not say over which IP the inner UDP goes, but the packet does.
        let version = packet.get(inner_network).map_or(0, |b| b >> 4);
        if inner_type == GSO_UDP_L4 && version == 6 && inner_transport < inner_network + IPV6 {
            return REFUSED;
        }
        Ok(())
    }

    /// Makes the checks of `virtio_net_hdr_to_skb`.
    fn check_plain(&self, packet: SharedBytes<'_>, gso_type: u8) -> Result<(), Errno> {
        let kind = gso_type & !GSO_ECN;
        let (network, transport) = match (gso_type, kind) {
            (0, _) => (IPV4, 0),
            (_, GSO_TCPV4) => (IPV4, TCP),
            (_, GSO_TCPV6) => (IPV6, TCP),
            (_, GSO_UDP | GSO_UDP_L4) => (IPV4, UDP),
            _ => return REFUSED,
        };
        let segments = gso_type != 0;
        if segments && self.gso_size == 0 {
            return REFUSED;
        }
        let needs_csum = self.flags & NEEDS_CSUM != 0;
        let (start, offset) = (self.csum_start as usize, self.csum_offset as usize);
        let headers = if needs_csum { start } else { network } + transport;
        if needs_csum
            && (start < network
                || start + offset + 2 > packet.len()
                || start + HEADROOM >= u16::MAX as usize)
        {
            return REFUSED;
        }
        if (needs_csum || segments) && headers > packet.len() {
            return REFUSED;
        }
        if !segments {
            return Ok(());
        }
        let fits = match kind {
            GSO_UDP_L4 => {
                needs_csum
                    && offset == UDP_CHECK
                    && gso_type == GSO_UDP_L4
                    && packet.len() - headers <= self.gso_size as usize * MOST_SEGMENTS
            }
            GSO_TCPV4 | GSO_TCPV6 => !needs_csum || offset == TCP_CHECK,
            _ => true,
        };
        if !fits || self.gso_size == GSO_BY_FRAGS {
            return REFUSED;
        }
        Ok(())
    }
}
