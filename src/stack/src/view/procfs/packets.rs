//! The net's packet sockets, raw ones and those of echo requests in /proc/net: packet, raw, raw6,
//! icmp and icmp6. Behind the machine's lines stand those of the net's.
#![forbid(unsafe_code)]

use crate::sockets::raw::is_open;
use crate::sockets::raw::kept::Kept;
use crate::state::View;
use crate::view::place::NetFile;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use memtun_abi::Errno;
use memtun_sys::{self as sys, Room};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most bytes of sockets that are looked at.
const MOST: usize = 1 << 20;
/// TCP_ESTABLISHED and TCP_CLOSE, which say whether there is another end.
const CONNECTED: u8 = 1;
const NOT_CONNECTED: u8 = 7;

/// Is it a socket of this list?
fn is_of(kept: &Kept, file: NetFile) -> bool {
    let kind = kept.order.kind;
    let v6 = kind.family == libc::AF_INET6;
    match file {
        NetFile::Packet => kind.is_packet(),
        NetFile::Icmp | NetFile::Icmp6 => {
            // One without an identifier has not been bound.
            kind.is_ping() && kept.id != 0 && v6 == (file == NetFile::Icmp6)
        }
        NetFile::Raw | NetFile::Raw6 => {
            !kind.is_packet() && !kind.is_ping() && v6 == (file == NetFile::Raw6)
        }
        _ => false,
    }
}

impl Tree<'_> {
    /// Appends the net's sockets of a list.
    pub(super) fn packets(&self, file: NetFile, text: &mut Text<'_>) -> Result<(), Errno> {
        if file == NetFile::Packet {
            let merged = self.view() == View::Merged;
            let mut headed = false;
            self.each_machines_line(file, &mut |line| {
                if merged || !headed {
                    text.put(line);
                }
                headed = true;
                Ok(())
            })?;
        }
        let Ok((opened, length)) = self.net.packets_file() else {
            return Ok(());
        };
        let mut room = Room::new(length.min(MOST))?;
        let read = sys::pread(opened.raw(), room.bytes(), 0)?;
        let mut rest = &room.bytes()[..read.min(length)];
        while let Some((kept, _, behind)) = Kept::of_bytes(rest) {
            // The host process finds out that one is closed when it has something for it.
            if is_of(&kept, file) && is_open(self.net, kept.order.inode) {
                line(file, &kept, text);
            }
            rest = behind;
        }
        Ok(())
    }
}

fn line(file: NetFile, kept: &Kept, text: &mut Text<'_>) {
    let (inode, bound) = (kept.order.inode, kept.order.bound);
    if file == NetFile::Packet {
        let kind = kept.order.kind.kind;
        let (protocol, index) = (bound.protocol, bound.ifindex);
        let running = u8::from(protocol != 0);
        let references = 2 + running;
        say!(
            text,
            "0000000000000000 {references:<6} {kind:<4} {protocol:04x}   {index:<5} {running:1} "
        );
        return say!(text, "{:<6} {:<6} {inode:<6}\n", 0, sys::effective_uid());
    }
    let v6 = matches!(file, NetFile::Raw6 | NetFile::Icmp6);
    let any: IpAddr = match v6 {
        true => Ipv6Addr::UNSPECIFIED.into(),
        false => Ipv4Addr::UNSPECIFIED.into(),
    };
    match file {
        NetFile::Raw => say!(text, "{:4}:", kept.own_port()),
        _ => say!(text, "{:5}:", kept.own_port()),
    }
    let ports = [
        kept.own_port(),
        if file == NetFile::Raw { 0 } else { kept.port },
    ];
    for (address, port) in [kept.own, kept.peer].into_iter().zip(ports) {
        text.put(b" ");
        super::sockets::put_address(address.unwrap_or(any), text);
        say!(text, ":{port:04X}");
    }
    let state = match kept.peer {
        Some(_) => CONNECTED,
        None => NOT_CONNECTED,
    };
    say!(text, " {state:02X} 00000000:00000000 00:00000000 00000000 ");
    let uid = sys::effective_uid();
    say!(text, "{uid:5} {:8} {inode} 2 0000000000000000 0", 0);
    if file == NetFile::Icmp {
        text.put(b"      ");
    }
    text.put(b"\n");
}
