//! A neighbour: `struct neighbour`, `struct pneigh_entry`.
#![forbid(unsafe_code)]

use crate::address::Head;
use crate::wire::{family_of, u16_at, u32_at, Attributes, Message, Writer};
use std::net::IpAddr;

/// Length in bytes of `struct ndmsg`.
pub const HEADER: usize = 12;
/// Longest link-layer address in bytes (MAX_ADDR_LEN).
pub const MAX_LLADDR: usize = 32;

/// A neighbour on a link, or an address that is answered for (proxy).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Index of the interface.
    pub index: u32,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its link-layer address, empty while it is unknown.
    pub lladdr: Vec<u8>,
    /// NUD_* state.
    pub state: u16,
    /// NTF_* flags; NTF_PROXY says that it is an address that is answered for.
    pub flags: u8,
    /// NTF_EXT_* flags.
    pub more_flags: u32,
    /// RTN_* of the address.
    pub kind: u8,
    /// RTPROT_*: who made it.
    pub protocol: u8,
    /// When it was last confirmed, used and updated, in hundredths of a second of CLOCK_BOOTTIME.
    pub times: [u32; 3],
}

/// NDA_PROTOCOL of linux/neighbour.h.
pub const NDA_PROTOCOL: u16 = 12;
/// NDA_FLAGS_EXT of linux/neighbour.h.
pub const NDA_FLAGS_EXT: u16 = 15;

/// States in which the link-layer address is known (NUD_VALID).
pub const NUD_VALID: u16 = 0xde;

impl Neighbour {
    /// Is its link-layer address known?
    pub fn is_valid(&self) -> bool {
        self.state & NUD_VALID != 0
    }

    /// Is it an address that is answered for?
    pub fn is_proxy(&self) -> bool {
        self.flags & libc::NTF_PROXY != 0
    }

    /// Returns how often it has been asked for by now. The kernel begins with the number of
    /// questions that it puts to one who is known (ucast_solicit); one follows each second.
    fn probes(&self, now: u32) -> u32 {
        match self.state {
            libc::NUD_INCOMPLETE => 4 + (now.wrapping_sub(self.times[2]) / 100).min(2),
            _ => 0,
        }
    }

    /// Appends the neighbour as a message RTM_NEWNEIGH or another `kind`, in the kernel's order of
    /// attributes. `now` is the time of the answer; None leaves times as they are, for the state's
    /// file.
    pub fn write(&self, to: &mut Writer, head: Head, now: Option<u32>) {
        let mut own = [0; HEADER];
        own[0] = family_of(self.address);
        own[4..8].copy_from_slice(&self.index.to_ne_bytes());
        own[8..10].copy_from_slice(&self.state.to_ne_bytes());
        own[10] = self.flags;
        own[11] = self.kind;
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(&own)
            .ip(libc::NDA_DST, self.address);
        let proxy = self.flags & libc::NTF_PROXY != 0;
        if now.is_none() || !proxy && self.is_valid() {
            to.attribute(libc::NDA_LLADDR, &self.lladdr);
        }
        if !proxy || now.is_none() {
            // struct nda_cacheinfo: confirmed, used, updated, refcnt.
            let mut cache = [0; 16];
            for (to, time) in cache.chunks_exact_mut(4).zip(self.times) {
                let age = now.map_or(time, |now| now.wrapping_sub(time));
                to.copy_from_slice(&age.to_ne_bytes());
            }
            to.u32(libc::NDA_PROBES, now.map_or(0, |now| self.probes(now)))
                .attribute(libc::NDA_CACHEINFO, &cache);
        }
        if self.protocol != 0 {
            to.u8(NDA_PROTOCOL, self.protocol);
        }
        if self.more_flags != 0 {
            to.u32(NDA_FLAGS_EXT, self.more_flags);
        }
    }

    /// Reads what [`Neighbour::write`] wrote, or what a kernel's dump holds. None where something
    /// is missing or impossible.
    pub fn read(message: &Message<'_>) -> Option<Neighbour> {
        let body = message.body;
        let attributes = Attributes::behind(body.get(..HEADER).map(|_| body)?, HEADER);
        let cache = attributes
            .get(libc::NDA_CACHEINFO)
            .map_or(&[][..], |a| a.value);
        let lladdr = attributes
            .get(libc::NDA_LLADDR)
            .map_or(&[][..], |a| a.value);
        Some(Neighbour {
            index: u32_at(body, 4)?,
            address: attributes.get(libc::NDA_DST)?.ip()?,
            lladdr: (lladdr.len() <= MAX_LLADDR).then(|| lladdr.to_vec())?,
            state: u16_at(body, 8)?,
            flags: body[10],
            kind: body[11],
            protocol: attributes
                .get(NDA_PROTOCOL)
                .and_then(|a| a.u8())
                .unwrap_or(0),
            more_flags: attributes
                .get(NDA_FLAGS_EXT)
                .and_then(|a| a.u32())
                .unwrap_or(0),
            times: std::array::from_fn(|i| u32_at(cache, 4 * i).unwrap_or(0)),
        })
    }
}
