//! A queueing discipline or a class of one: `struct Qdisc`, `struct Qdisc_class_common`.
#![forbid(unsafe_code)]

use crate::wire::{u32_at, Attributes, Message, Writer};

/// Length in bytes of `struct tcmsg`.
pub const HEADER: usize = 20;

/// TCA_KIND of linux/rtnetlink.h.
pub const TCA_KIND: u16 = 1;
/// TCA_OPTIONS of linux/rtnetlink.h.
pub const TCA_OPTIONS: u16 = 2;
/// [`Traffic::base`], which no message of the kernel has.
const BASE: u16 = 0x3f00;

/// A queueing discipline of a link, or a class of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Index of the interface.
    pub index: u32,
    /// Its number: the discipline's is in the upper 16 bits, the class's in the lower. 0 for a
    /// discipline that the kernel has made by itself.
    pub handle: u32,
    /// Where it hangs: [`ROOT`], [`INGRESS`], or the number of a class.
    pub parent: u32,
    /// Its kind, for example `pfifo`.
    pub kind: Vec<u8>,
    /// What TCA_OPTIONS holds; None where there is no such attribute.
    pub options: Option<Vec<u8>>,
    /// Is it a class?
    pub is_class: bool,
    /// Is it left out of what is listed (TCQ_F_INVISIBLE)?
    pub is_hidden: bool,
    /// Of a discipline, how many packets and bytes the link had sent when it was made. Of a class
    /// of htb, what it may send at once.
    pub base: [u64; 2],
}

/// The parent of a link's own discipline (TC_H_ROOT).
pub const ROOT: u32 = u32::MAX;
/// The parent of the discipline of what a link receives (TC_H_INGRESS).
pub const INGRESS: u32 = 0xffff_fff1;

impl Traffic {
    /// Appends it as a message, for the state's file.
    pub fn write(&self, to: &mut Writer) {
        let kind = match self.is_class {
            true => libc::RTM_NEWTCLASS,
            false => libc::RTM_NEWQDISC,
        };
        let mut own = [0; HEADER];
        own[4..8].copy_from_slice(&self.index.to_ne_bytes());
        own[8..12].copy_from_slice(&self.handle.to_ne_bytes());
        own[12..16].copy_from_slice(&self.parent.to_ne_bytes());
        own[16..20].copy_from_slice(&u32::from(self.is_hidden).to_ne_bytes());
        to.message(kind, 0, 0, 0)
            .raw(&own)
            .string(TCA_KIND, &self.kind);
        if let Some(options) = &self.options {
            to.attribute(TCA_OPTIONS, options);
        }
        to.attribute(BASE, &self.base.map(u64::to_ne_bytes).concat());
    }

    /// Reads what [`Traffic::write`] wrote. None where something is missing or impossible.
    pub fn read(message: &Message<'_>) -> Option<Traffic> {
        let body = message.body;
        let attributes = Attributes::behind(body.get(..HEADER).map(|_| body)?, HEADER);
        let base = attributes.get(BASE)?.value;
        let word = |at: usize| Some(u64::from_ne_bytes(base.get(at..at + 8)?.try_into().ok()?));
        Some(Traffic {
            index: u32_at(body, 4)?,
            handle: u32_at(body, 8)?,
            parent: u32_at(body, 12)?,
            kind: attributes.get(TCA_KIND)?.string().to_vec(),
            options: attributes.get(TCA_OPTIONS).map(|a| a.value.to_vec()),
            is_class: message.kind == libc::RTM_NEWTCLASS,
            is_hidden: u32_at(body, 16)? != 0,
            base: [word(0)?, word(8)?],
        })
    }
}
