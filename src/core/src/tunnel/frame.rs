//! What stands in front of a packet on the program's side: packet information and vnet header, and the checks of
//! `tun_get_user` and `tun_put_user` in their order.

use crate::shm::layout::InterfaceState;
use crate::shm::ring::Packet;
use crate::uapi::*;
use crate::Errno;
use std::sync::atomic::Ordering::Relaxed;

const EINVAL: Errno = Errno(libc::EINVAL);

/// Memory of the program that a read fills.
pub trait Sink {
    /// Bytes that it takes.
    fn len(&self) -> usize;
    /// Is there no room at all?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Stores `data` at `offset`, which lies within. EFAULT when the program's memory is not writable there.
    fn put(&mut self, offset: usize, data: &[u8]) -> Result<(), Errno>;
}

/// Memory of the program that a write reads.
pub trait Source {
    /// Bytes that it holds.
    fn len(&self) -> usize;
    /// Is there nothing?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `room` from `offset` on; the range lies within. EFAULT when the program's memory is not readable there.
    fn copy(&self, offset: usize, room: &mut [u8]) -> Result<(), Errno>;
}

impl Sink for [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
    fn put(&mut self, offset: usize, data: &[u8]) -> Result<(), Errno> {
        self[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

impl Sink for &mut [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
    fn put(&mut self, offset: usize, data: &[u8]) -> Result<(), Errno> {
        Sink::put(*self, offset, data)
    }
}

impl Source for &[u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
    fn copy(&self, offset: usize, room: &mut [u8]) -> Result<(), Errno> {
        room.copy_from_slice(&self[offset..offset + room.len()]);
        Ok(())
    }
}

/// The headers that an interface's packets carry.
pub(super) struct Framing {
    tap: bool,
    pi: bool,
    vnet: usize,
}

/// A written packet after its headers were looked at.
pub(super) struct Written {
    /// Where the payload begins in the source.
    pub offset: usize,
    /// Its length.
    pub len: usize,
    tap: bool,
    /// Protocol of the packet information, if there is one and it counts.
    proto: Option<u16>,
    vnet: Option<VnetHeader>,
}

impl Framing {
    #[inline]
    pub fn of(interface: &InterfaceState) -> Framing {
        let flags = interface.tun_flags.load(Relaxed);
        Framing {
            tap: flags & IFF_TUN == 0,
            pi: flags & IFF_NO_PI == 0,
            vnet: if flags & IFF_VNET_HDR != 0 {
                interface.vnet_hdr_size.load(Relaxed).max(0) as usize
            } else {
                0
            },
        }
    }

    /// Gives a packet to a reader: bytes given. The packet is lost also when this fails, as in the kernel.
    #[inline]
    pub fn give(&self, packet: &Packet<'_>, sink: &mut impl Sink) -> Result<usize, Errno> {
        let room = sink.len();
        let mut at = 0;
        if self.pi {
            if room < PI_SIZE {
                return Err(EINVAL);
            }
            let cut = room < packet.data.len() + self.vnet + PI_SIZE;
            let flags = if cut { TUN_PKT_STRIP } else { 0 };
            let [f0, f1] = flags.to_ne_bytes();
            let [p0, p1] = packet.ethertype.to_be_bytes();
            sink.put(0, &[f0, f1, p0, p1])?;
            at = PI_SIZE;
        }
        if self.vnet > 0 {
            if room - at < self.vnet {
                return Err(EINVAL);
            }
            // Nothing is offloaded on this side, so the header says nothing.
            let zeroes = [0u8; 256];
            let end = at + self.vnet;
            while at < end {
                let some = (end - at).min(zeroes.len());
                sink.put(at, &zeroes[..some])?;
                at += some;
            }
        }
        let some = packet.data.len().min(room - at);
        // A payload that the program's memory cannot take is not an error of the driver's (the iterator just stops).
        let _ = sink.put(at, &packet.data[..some]);
        Ok(at + some)
    }

    /// Looks at the headers of a written packet.
    #[inline]
    pub fn take(&self, source: &impl Source) -> Result<Written, Errno> {
        let mut written = Written {
            offset: 0,
            len: source.len(),
            tap: self.tap,
            proto: None,
            vnet: None,
        };
        if self.pi {
            if written.len < PI_SIZE {
                return Err(EINVAL);
            }
            let mut pi = [0u8; PI_SIZE];
            source.copy(0, &mut pi)?;
            written.proto = Some(u16::from_be_bytes([pi[2], pi[3]]));
            written.skip(PI_SIZE);
        }
        let mut least = 0;
        if self.vnet > 0 {
            if written.len < self.vnet {
                return Err(EINVAL);
            }
            let mut header = [0u8; VNET_HDR_SIZE as usize];
            source.copy(written.offset, &mut header)?;
            written.skip(self.vnet);
            let header = VnetHeader::parse(&header);
            least = header.hdr_len as usize;
            if least > written.len {
                return Err(EINVAL);
            }
            written.vnet = Some(header);
        }
        if self.tap && (written.len < ETH_HLEN || least > 0 && least < ETH_HLEN) {
            return Err(EINVAL);
        }
        Ok(written)
    }
}

impl Written {
    fn skip(&mut self, n: usize) {
        self.offset += n;
        self.len -= n;
    }

    /// The ethertype that the host sees; EINVAL where the driver cannot tell (a tun without packet information looks at
    /// the version nibble, and at nothing else).
    #[inline]
    pub fn ethertype(&self, packet: &[u8]) -> Result<u16, Errno> {
        if self.tap {
            let proto = u16::from_be_bytes([packet[12], packet[13]]);
            // eth_type_trans: below 1536 it is an 802.3 length; ETH_P_802_2, or ETH_P_802_3 for raw IPX.
            return Ok(match proto {
                1536.. => proto,
                _ if packet.get(14..16) == Some(&[0xff, 0xff]) => 0x0001,
                _ => 0x0004,
            });
        }
        match (self.proto, packet.first().map(|b| b >> 4)) {
            (Some(proto), _) => Ok(proto),
            (None, Some(4)) => Ok(ETH_P_IP),
            (None, Some(6)) => Ok(ETH_P_IPV6),
            _ => Err(EINVAL),
        }
    }

    /// The checks of `virtio_net_hdr_to_skb`.
    #[inline]
    pub fn check_vnet(&self, packet: &[u8], tap: bool) -> Result<(), Errno> {
        match &self.vnet {
            None => Ok(()),
            Some(header) => header.check(packet, tap),
        }
    }
}

/// struct virtio_net_hdr, in the machine's byte order.
struct VnetHeader {
    flags: u8,
    gso_type: u8,
    hdr_len: u16,
    gso_size: u16,
    csum_start: u16,
    csum_offset: u16,
}

const NEEDS_CSUM: u8 = 1;
const GSO_ECN: u8 = 0x80;
const GSO_TCPV4: u8 = 1;
const GSO_UDP: u8 = 3;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;

impl VnetHeader {
    fn parse(b: &[u8; 10]) -> VnetHeader {
        let word = |at: usize| u16::from_ne_bytes([b[at], b[at + 1]]);
        let mut header = VnetHeader {
            flags: b[0],
            gso_type: b[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        };
        if header.flags & NEEDS_CSUM != 0 {
            let least = header
                .csum_start
                .wrapping_add(header.csum_offset)
                .wrapping_add(2);
            header.hdr_len = header.hdr_len.max(least);
        }
        header
    }

    fn check(&self, packet: &[u8], tap: bool) -> Result<(), Errno> {
        let ip = packet
            .get(if tap { ETH_HLEN } else { 0 }..)
            .unwrap_or_default();
        let version = ip.first().map_or(0, |b| b >> 4);
        let needs_csum = self.flags & NEEDS_CSUM != 0;
        let mut transport = 0;
        if self.gso_type != 0 {
            let (wanted, protocol, header) = match self.gso_type & !GSO_ECN {
                GSO_TCPV4 => (Some(4), Some(6), 20),
                GSO_TCPV6 => (Some(6), Some(6), 20),
                GSO_UDP => (None, Some(17), 8),
                GSO_UDP_L4 => (None, Some(17), 8),
                _ => return Err(EINVAL),
            };
            transport = header;
            let carried = match version {
                4 => ip.get(9),
                6 => ip.get(6),
                _ => None,
            };
            if self.gso_size == 0
                || wanted.is_some_and(|w| w != version)
                || carried.is_some() && carried.copied() != protocol
                || self.gso_type & !GSO_ECN == GSO_UDP_L4 && !needs_csum
            {
                return Err(EINVAL);
            }
            // A segment size that no packet could have (GSO_BY_FRAGS).
            if self.gso_size == 0xffff {
                return Err(EINVAL);
            }
        }
        if needs_csum {
            let (start, offset) = (self.csum_start as usize, self.csum_offset as usize);
            // skb_partial_csum_set, and the network header must lie in front of the transport's.
            let headers = packet.len() - ip.len() + if version == 6 { 40 } else { 20 };
            if start + offset + 2 > packet.len()
                || start < headers
                || start + transport > packet.len()
            {
                return Err(EINVAL);
            }
        }
        Ok(())
    }
}
