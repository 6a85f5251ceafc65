//! The lines of the machine's own files, where the machine is seen, without those of links that the
//! net knows and of what it hides.
#![forbid(unsafe_code)]

use super::parts::{self, decimal, is_of};
use super::route_line::Line;
use crate::neighbour;
use crate::state;
use crate::view::place::NetFile;
use crate::view::text::Text;
use crate::view::tree::Tree;
use crate::wire::{Attributes, Message};
use memtun_abi::{Errno, Name};
use memtun_sys::{self as sys, PathBuf};
use std::net::IpAddr;

impl Tree<'_> {
    /// Appends the machine's file line by line, without the lines of links that the net knows and
    /// those that it hides. Returns how many lines the file has.
    pub(super) fn machines_lines(
        &self,
        file: NetFile,
        text: &mut Text<'_>,
    ) -> Result<usize, Errno> {
        self.each_machines_line(file, &mut |line| {
            text.put(line);
            Ok(())
        })
    }

    /// Hands on the lines that [`Tree::machines_lines`] appends.
    pub(super) fn each_machines_line(
        &self,
        file: NetFile,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Errno>,
    ) -> Result<usize, Errno> {
        let path = PathBuf::concat(&[file.path()])?;
        let opened = match sys::open(path.cstr(), libc::O_RDONLY | libc::O_CLOEXEC, 0) {
            Ok(opened) => opened,
            // The machine has no IPv6, or shows nothing of its network.
            Err(Errno(libc::ENOENT | libc::EACCES)) => return Ok(0),
            Err(e) => return Err(e),
        };
        let mut room = [0; 4096];
        let (mut filled, mut count, mut keeps) = (0, 0, true);
        loop {
            let n = sys::read(opened.raw(), &mut room[filled..])?;
            let end = filled + n;
            let mut begin = 0;
            while begin < end {
                let found = room[begin..end].iter().position(|b| *b == b'\n');
                let whole = match found {
                    Some(at) => begin + at + 1,
                    // A line that does not fit is handed on in pieces; none of these files has one.
                    None if n == 0 || (begin == 0 && end == room.len()) => end,
                    None => break,
                };
                let line = &room[begin..whole];
                keeps = self.keeps(file, line, count, keeps);
                if keeps {
                    each(line)?;
                }
                count += 1;
                begin = whole;
            }
            if n == 0 {
                return Ok(count);
            }
            room.copy_within(begin..end, 0);
            filled = end - begin;
        }
    }

    /// Is this line of the machine's shown? `before` says whether the one before it was.
    fn keeps(&self, file: NetFile, line: &[u8], number: usize, before: bool) -> bool {
        let headers = match file {
            NetFile::Dev => 2,
            NetFile::Route | NetFile::Arp | NetFile::Igmp => 1,
            _ => 0,
        };
        if number < headers {
            return true;
        }
        let mut fields = line
            .split(|b| b.is_ascii_whitespace())
            .filter(|field| !field.is_empty());
        let device = match file {
            NetFile::Dev => fields
                .next()
                .map(|field| field.split(|b| *b == b':').next().unwrap_or(field)),
            NetFile::Route => fields.next(),
            NetFile::Igmp if line.starts_with(b"\t") => return before,
            NetFile::DevMcast | NetFile::Igmp | NetFile::Igmp6 => fields.nth(1),
            NetFile::Ipv6Route | NetFile::IfInet6 | NetFile::Arp => fields.next_back(),
            // Nothing in these belongs to one link.
            _ => return true,
        };
        let Some(name) = device.and_then(Name::new) else {
            return true;
        };
        if self.net.knows(&name) {
            return false;
        }
        let mut hidden = false;
        let _ = state::each_message(self.net, |message| {
            hidden = state::hidden_of(message).is_some_and(|m| hides(&m, file, line, &name));
            !hidden
        });
        !hidden
    }
}

/// Does this hidden thing stand in the line of the machine's link `name`?
fn hides(hidden: &Message<'_>, file: NetFile, line: &[u8], name: &Name) -> bool {
    let hex = |at: usize| parts::hex(line, at).map(|number| number as u32);
    match hidden.kind {
        libc::RTM_NEWLINK => {
            let attributes = Attributes::behind(hidden.body, crate::link::HEADER);
            attributes
                .get(libc::IFLA_IFNAME)
                .is_some_and(|a| a.string() == name.as_bytes())
        }
        libc::RTM_NEWROUTE if file == NetFile::Route && is_of(hidden, libc::AF_INET) => {
            let Some(route) = Line::of(hidden) else {
                return false;
            };
            let IpAddr::V4(to) = route.to else {
                return false;
            };
            let gateway = match route.gateway {
                Some(IpAddr::V4(gateway)) => u32::from_ne_bytes(gateway.octets()),
                _ => 0,
            };
            let mask = u32::MAX
                .checked_shl(32 - u32::from(route.prefix))
                .unwrap_or(0);
            route.table == u32::from(libc::RT_TABLE_MAIN)
                && hex(1) == Some(u32::from_ne_bytes(to.octets()))
                && hex(2) == Some(gateway)
                && decimal(line, 6) == Some(route.priority)
                && hex(7) == Some(u32::from_ne_bytes(mask.to_be_bytes()))
        }
        libc::RTM_NEWROUTE if file == NetFile::Ipv6Route && is_of(hidden, libc::AF_INET6) => {
            let Some(route) = Line::of(hidden) else {
                return false;
            };
            let IpAddr::V6(to) = route.to else {
                return false;
            };
            parts::hex(line, 0) == Some(u128::from(to))
                && hex(1) == Some(route.prefix.into())
                && hex(5) == Some(route.priority)
        }
        libc::RTM_NEWADDR if file == NetFile::IfInet6 => {
            let attributes = Attributes::behind(hidden.body, crate::address::HEADER);
            let shown = parts::hex(line, 0);
            let address = attributes.get(libc::IFA_ADDRESS).and_then(|a| a.ip());
            matches!(address, Some(IpAddr::V6(v6)) if shown == Some(u128::from(v6)))
        }
        libc::RTM_NEWNEIGH if file == NetFile::Arp => {
            let attributes = Attributes::behind(hidden.body, neighbour::HEADER);
            let address = attributes.get(libc::NDA_DST).and_then(|a| a.ip());
            let shown = parts::field(line, 0).and_then(|text| text.parse::<IpAddr>().ok());
            address.is_some() && shown == address
        }
        _ => false,
    }
}
