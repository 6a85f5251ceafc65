//! `struct ifreq` of linux/if.h.
#![forbid(unsafe_code)]

use crate::Name;

/// A struct ifreq: 16 bytes of name and 24 bytes of union.
#[derive(Clone, Copy)]
pub struct IfReq(pub [u8; IfReq::SIZE]);

impl Default for IfReq {
    /// Returns an ifreq whose bytes are all zero.
    fn default() -> IfReq {
        IfReq([0; IfReq::SIZE])
    }
}

impl IfReq {
    /// `sizeof(struct ifreq)` on 64-bit machines, in bytes.
    pub const SIZE: usize = 40;
    /// Returns the name, cut to 15 bytes as the kernel does.
    pub fn name(&self) -> Name {
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(&self.0[..16]);
        Name::from_ifreq(&bytes)
    }
    /// Returns `ifr_flags`.
    pub fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.0[16], self.0[17]])
    }
    /// Sets `ifr_flags`.
    pub fn set_flags(&mut self, flags: u16) {
        self.0[16..18].copy_from_slice(&flags.to_ne_bytes());
    }
    /// Returns the union as an int: `ifr_mtu`, `ifr_ifindex` or `ifr_qlen`.
    pub fn int(&self) -> i32 {
        i32::from_ne_bytes([self.0[16], self.0[17], self.0[18], self.0[19]])
    }
    /// Sets `ifr_mtu`, `ifr_ifindex` or `ifr_qlen`.
    pub fn set_int(&mut self, value: i32) {
        self.0[16..20].copy_from_slice(&value.to_ne_bytes());
    }
    /// Writes a name as the kernel's strcpy does: bytes behind its NUL keep what they held, and the
    /// last byte becomes zero.
    pub fn set_name(&mut self, name: &Name) {
        let bytes = name.as_bytes();
        self.0[..bytes.len()].copy_from_slice(bytes);
        self.0[bytes.len()] = 0;
        self.0[15] = 0;
    }
}
