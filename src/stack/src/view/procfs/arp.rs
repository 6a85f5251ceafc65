//! /proc/net/arp.
#![forbid(unsafe_code)]

use super::parts::{machines_name, spaces, written};
use crate::view::links::Whose;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use crate::wire::{u16_at, u32_at, Attributes, Message};
use crate::{neighbour, state};
use memtun_abi::{Errno, Name};
use std::net::IpAddr;

const HEADER: &str =
    "IP address       HW type     Flags       HW address            Mask     Device\n";

impl Tree<'_> {
    pub(super) fn arp(&self, headed: bool, text: &mut Text<'_>) -> Result<(), Errno> {
        if !headed {
            text.put(HEADER.as_bytes());
        }
        state::each_message(self.net, |message| {
            let _ = self.arp_line(message, text);
            true
        })
        .map(drop)
    }

    fn arp_line(&self, message: &Message<'_>, text: &mut Text<'_>) -> Option<()> {
        const NUD_INCOMPLETE_OR_FAILED: u16 = 0x01 | 0x20;
        const NUD_NOARP: u16 = 0x40;
        const NUD_PERMANENT: u16 = 0x80;
        /// ATF_PERM and ATF_PUBL.
        const PUBLISHED: u32 = 0xc;
        if message.kind != libc::RTM_NEWNEIGH {
            return None;
        }
        let body = message.body;
        let attributes = Attributes::behind(body, neighbour::HEADER);
        let IpAddr::V4(address) = attributes.get(libc::NDA_DST)?.ip()? else {
            return None;
        };
        let (index, state) = (u32_at(body, 4)?, u16_at(body, 8)?);
        let proxy = body.get(10)? & libc::NTF_PROXY != 0;
        if !proxy && (state & !NUD_NOARP == 0) {
            return None;
        }
        let flags = match state {
            _ if proxy => PUBLISHED,
            state if state & NUD_PERMANENT != 0 => 6,
            state if state & NUD_INCOMPLETE_OR_FAILED != 0 => 0,
            _ => 2,
        };
        let name = match index {
            0 => None,
            index => Some(self.name_of(index).or_else(|| machines_name(index))?),
        };
        let (link, length) = match name.map(|name| self.whose(&name)) {
            None => (0, 6),
            Some(Whose::Ours(seen)) => (seen.link_type, seen.address.bytes().len()),
            Some(_) => (1, 6),
        };
        let mut shown = [0u8; 16];
        let written = written(&mut shown, format_args!("{address}"));
        text.put(&shown[..written]);
        spaces(text, 16 - written);
        say!(text, " 0x{link:<10x}0x{flags:<10x}");
        // So many bytes as an address of the link has, none of a tun. Of what is published the
        // kernel tells six, whatever the link.
        let length = if proxy { 6 } else { length.min(6) };
        let lladdr = attributes.get(libc::NDA_LLADDR).filter(|_| !proxy);
        let mut bytes = [0; 6];
        if let Some(lladdr) = lladdr {
            let n = lladdr.value.len().min(6);
            bytes[..n].copy_from_slice(&lladdr.value[..n]);
        }
        for (at, byte) in bytes[..length].iter().enumerate() {
            say!(text, "{}{byte:02x}", if at > 0 { ":" } else { "" });
        }
        if length == 0 {
            spaces(text, 17);
        }
        text.put(b"     *        ");
        text.put(name.as_ref().map_or(b"*", Name::as_bytes));
        text.put(b"\n");
        Some(())
    }
}
