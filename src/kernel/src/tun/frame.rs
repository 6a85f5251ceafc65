//! What stands in front of a packet on the program's side: packet information and vnet header. The
//! checks of `tun_get_user` and `tun_put_user` are made in their order.
#![forbid(unsafe_code)]

use super::vnet::VnetHeader;
use crate::shm::layout::InterfaceState;
use crate::shm::ring::Packet;
use crate::shm::SharedBytes;
use crate::uapi::*;
use crate::Errno;
use std::sync::atomic::Ordering::Relaxed;

const EINVAL: Errno = Errno(libc::EINVAL);

/// Memory of the program into which a read(2) puts a packet (inbound).
pub trait Sink {
    /// Length of the memory in bytes.
    fn len(&self) -> usize;
    /// Is there no room at all?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Stores `data` at `offset`. The range lies within the memory.
    ///
    /// # Errors
    ///
    /// EFAULT when the program's memory is not writable there.
    fn put(&mut self, offset: usize, data: &[u8]) -> Result<(), Errno>;
    /// Does the same as [`Sink::put`], from shared memory.
    ///
    /// # Errors
    ///
    /// EFAULT when the program's memory is not writable there.
    fn put_shared(&mut self, offset: usize, data: SharedBytes<'_>) -> Result<(), Errno>;
}

/// Memory of the program that holds a packet that it writes (outbound).
pub trait Source {
    /// Length of the memory in bytes.
    fn len(&self) -> usize;
    /// Is there nothing to read?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `room` with the bytes from `offset` on. The range lies within the memory.
    ///
    /// # Errors
    ///
    /// EFAULT when the program's memory is not readable there.
    fn copy(&self, offset: usize, room: &mut [u8]) -> Result<(), Errno>;
    /// Does the same as [`Source::copy`], into shared memory.
    ///
    /// # Errors
    ///
    /// EFAULT when the program's memory is not readable there.
    fn copy_shared(&self, offset: usize, room: SharedBytes<'_>) -> Result<(), Errno>;
}

impl Sink for [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
    fn put(&mut self, offset: usize, data: &[u8]) -> Result<(), Errno> {
        self[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
    fn put_shared(&mut self, offset: usize, data: SharedBytes<'_>) -> Result<(), Errno> {
        data.copy_to(&mut self[offset..offset + data.len()]);
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
    fn put_shared(&mut self, offset: usize, data: SharedBytes<'_>) -> Result<(), Errno> {
        Sink::put_shared(*self, offset, data)
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
    fn copy_shared(&self, offset: usize, room: SharedBytes<'_>) -> Result<(), Errno> {
        room.store(&self[offset..offset + room.len()]);
        Ok(())
    }
}

/// Which headers stand in front of an interface's packets; `vnet` is the vnet header's length in
/// bytes.
pub(super) struct Framing {
    tap: bool,
    pi: bool,
    vnet: usize,
}

/// A packet that the program wrote, after its headers were read.
pub(super) struct Written {
    /// Offset in the source at which the payload begins.
    pub offset: usize,
    /// Length of the payload in bytes.
    pub len: usize,
    tap: bool,
    /// Protocol of the packet information; None when the interface has none.
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
                // The length is never less than that of the short header, whatever stands in shared
                // memory.
                interface.vnet_hdr_size.load(Relaxed).max(VNET_HDR_SIZE) as usize
            } else {
                0
            },
        }
    }

    /// Gives a packet to a reader, and returns how many bytes were given. As in the kernel, the
    /// packet is lost even when this fails.
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
            // Nothing is offloaded in this direction, so the header is all zeroes.
            let zeroes = [0u8; 256];
            let end = at + self.vnet;
            while at < end {
                let some = (end - at).min(zeroes.len());
                sink.put(at, &zeroes[..some])?;
                at += some;
            }
        }
        Ok(give_bytes(packet.data, sink, at))
    }

    /// Reads the headers of a packet that the program writes, and checks their lengths.
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
            let mut header = [0u8; VnetHeader::LONGEST];
            let parsed = VnetHeader::parsed_size(self.vnet);
            source.copy(written.offset, &mut header[..parsed])?;
            let header = VnetHeader::parse(&header, parsed);
            least = header.hdr_len as usize;
            // The driver compares the length before it skips the bytes of the header that it does
            // not read.
            if least > written.len - parsed {
                return Err(EINVAL);
            }
            written.skip(self.vnet);
            written.vnet = Some(header);
        }
        if self.tap && (written.len < ETH_HLEN || least > 0 && least < ETH_HLEN) {
            return Err(EINVAL);
        }
        Ok(written)
    }
}

/// Does nothing stand in front of an interface's packets?
#[inline(always)]
pub(super) fn is_bare(interface: &InterfaceState) -> bool {
    interface.tun_flags.load(Relaxed) & (IFF_NO_PI | IFF_VNET_HDR) == IFF_NO_PI
}

/// Gives the bytes of a packet behind its headers, which end at `at`. Returns how many bytes were
/// given with them.
#[inline(always)]
pub(super) fn give_bytes(data: SharedBytes<'_>, sink: &mut impl Sink, at: usize) -> usize {
    let some = data.len().min(sink.len() - at);
    // A payload that the program's memory cannot take is not an error of the driver's: the kernel's
    // iterator just stops there.
    let _ = sink.put_shared(at, data.first(some));
    at + some
}

impl Written {
    fn skip(&mut self, n: usize) {
        self.offset += n;
        self.len -= n;
    }

    /// Returns the ethertype that the host sees. EINVAL says that the driver cannot tell: for a TUN
    /// without packet information it looks at the version nibble, and at nothing else.
    #[inline]
    pub fn ethertype(&self, packet: SharedBytes<'_>) -> Result<u16, Errno> {
        if self.tap {
            // The packet of a TAP is never shorter than its Ethernet header, see `take`.
            let byte = |at| packet.get(at).unwrap_or(0);
            let proto = u16::from_be_bytes([byte(12), byte(13)]);
            // As in eth_type_trans, a number below 1536 is an 802.3 length; the type is ETH_P_802_3
            // for raw IPX, and ETH_P_802_2 otherwise.
            return Ok(match proto {
                1536.. => proto,
                _ if packet.get(14) == Some(0xff) && packet.get(15) == Some(0xff) => 0x0001,
                _ => 0x0004,
            });
        }
        match (self.proto, packet.get(0).map(|b| b >> 4)) {
            (Some(proto), _) => Ok(proto),
            (None, Some(4)) => Ok(ETH_P_IP),
            (None, Some(6)) => Ok(ETH_P_IPV6),
            _ => Err(EINVAL),
        }
    }

    /// Does the vnet header fit the packet behind it?
    #[inline]
    pub fn check_vnet(&self, packet: SharedBytes<'_>) -> Result<(), Errno> {
        match &self.vnet {
            None => Ok(()),
            Some(header) => header.check(packet),
        }
    }
}
