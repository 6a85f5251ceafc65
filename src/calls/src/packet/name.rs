//! Names of packet sockets (`struct sockaddr_ll`).
#![forbid(unsafe_code)]

use crate::memory::Memory;
use memtun_abi::Errno;

/// Length in bytes of `struct sockaddr_ll`.
pub const LENGTH: usize = 20;
/// Where its address is.
const ADDRESS: usize = 12;

/// A name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkName {
    /// The ethertype in host byte order.
    pub protocol: u16,
    /// The interface.
    pub ifindex: u32,
    /// ARPHRD_* of it.
    pub link_type: u16,
    /// PACKET_HOST and so on.
    pub packet_type: u8,
    /// The address.
    pub address: Option<[u8; 6]>,
}

impl LinkName {
    /// Reads the program's name. None means that it is too short, or of another family.
    ///
    /// # Errors
    ///
    /// EFAULT where it cannot be read.
    pub fn read(memory: &impl Memory, at: usize, length: usize) -> Result<Option<LinkName>, Errno> {
        let mut bytes = [0; LENGTH];
        if length < LENGTH {
            return Ok(None);
        }
        memory.read(at, &mut bytes)?;
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        if i32::from(half(0)) != libc::AF_PACKET || usize::from(bytes[11]) > length - ADDRESS {
            return Ok(None);
        }
        Ok(Some(LinkName {
            protocol: u16::from_be(half(2)),
            ifindex: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            link_type: half(8),
            packet_type: bytes[10],
            address: bytes[ADDRESS..].first_chunk().copied(),
        }))
    }

    /// Returns the bytes.
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
        bytes[2..4].copy_from_slice(&self.protocol.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.ifindex.to_ne_bytes());
        bytes[8..10].copy_from_slice(&self.link_type.to_ne_bytes());
        bytes[10] = self.packet_type;
        if let Some(address) = self.address {
            bytes[11] = 6;
            bytes[ADDRESS..ADDRESS + 6].copy_from_slice(&address);
        }
        bytes
    }
}
