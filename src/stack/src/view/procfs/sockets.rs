//! The sockets in /proc/net: tcp, udp, icmp and raw, for IPv4 and IPv6, and how many there are. The
//! machine's lines are shown, where the machine is seen, with the net's names in those of the net's
//! sockets.
#![forbid(unsafe_code)]

use super::parts::decimal;
use crate::sockets::shown::{Listed, Names, Shown};
use crate::sockets::{Protocol, Table};
use crate::state::View;
use crate::view::place::NetFile;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use memtun_abi::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A list of sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct List {
    /// The protocol; None for raw sockets.
    protocol: Option<Protocol>,
    v6: bool,
}

impl List {
    fn of(file: NetFile) -> Option<List> {
        use Protocol::{Icmp, Icmp6, Tcp, Udp};
        let (protocol, v6) = match file {
            NetFile::Tcp => (Some(Tcp), false),
            NetFile::Tcp6 => (Some(Tcp), true),
            NetFile::Udp => (Some(Udp), false),
            NetFile::Udp6 => (Some(Udp), true),
            NetFile::Icmp => (Some(Icmp), false),
            NetFile::Icmp6 => (Some(Icmp6), true),
            NetFile::Raw => (None, false),
            NetFile::Raw6 => (None, true),
            _ => return None,
        };
        Some(List { protocol, v6 })
    }

    /// The protocol of the machine's sockets in this list, as far as the net may use them.
    fn native(&self) -> Option<Protocol> {
        self.protocol
            .filter(|it| matches!(it, Protocol::Tcp | Protocol::Udp))
    }
}

impl Tree<'_> {
    /// Appends a list of sockets.
    pub(super) fn sockets(&self, file: NetFile, text: &mut Text<'_>) -> Result<(), Errno> {
        let Some(list) = List::of(file) else {
            return self.packets(file, text);
        };
        let (mut headed, mut number) = (false, 0);
        let merged = self.view() == View::Merged;
        let table = self.table_of_sockets();
        self.each_machines_line(file, &mut |line| {
            if !headed {
                headed = true;
                text.put(line);
                return Ok(());
            }
            let listed = list
                .native()
                .and_then(|protocol| listed(line, protocol, list.v6));
            let shown = match (&table, &listed) {
                (Some(table), Some(listed)) => table.shown(listed),
                _ => Shown::Machine,
            };
            match shown {
                Shown::Net(names) if Some(names.protocol) == list.protocol => {
                    put(line, Some(&names), number_of(file, &mut number), text);
                }
                Shown::Machine if merged => put(line, None, number_of(file, &mut number), text),
                _ => {}
            }
            Ok(())
        })?;
        self.packets(file, text)
    }

    /// Appends how many sockets there are of the net's.
    pub(super) fn socket_counts(&self, file: NetFile, text: &mut Text<'_>) -> Result<(), Errno> {
        let v6 = file == NetFile::Sockstat6;
        let lists = match v6 {
            true => [NetFile::Tcp6, NetFile::Udp6, NetFile::Raw6],
            false => [NetFile::Tcp, NetFile::Udp, NetFile::Raw],
        };
        let mut counts = [Count::default(); 3];
        for (count, list) in counts.iter_mut().zip(lists) {
            *count = self.count(list)?;
        }
        let [tcp, udp, raw] = counts;
        let in_use = [tcp, udp, raw].map(|count| count.all - count.waiting);
        if v6 {
            let [tcp, udp, raw] = in_use;
            say!(
                text,
                "TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse 0\n"
            );
            say!(text, "RAW6: inuse {raw}\nFRAG6: inuse 0 memory 0\n");
            return Ok(());
        }
        let mut six = 0;
        for list in [NetFile::Tcp6, NetFile::Udp6, NetFile::Raw6] {
            let count = self.count(list)?;
            six += count.all - count.waiting;
        }
        say!(text, "sockets: used {}\n", in_use.iter().sum::<u32>() + six);
        let waiting = tcp.waiting + self.count(NetFile::Tcp6)?.waiting;
        let [tcp, udp, raw] = in_use;
        say!(
            text,
            "TCP: inuse {tcp} orphan 0 tw {waiting} alloc {tcp} mem 0\n"
        );
        say!(
            text,
            "UDP: inuse {udp} mem 0\nUDPLITE: inuse 0\nRAW: inuse {raw}\n"
        );
        say!(text, "FRAG: inuse 0 memory 0\n");
        Ok(())
    }

    fn count(&self, file: NetFile) -> Result<Count, Errno> {
        /// TCP_TIME_WAIT, as the lines show it.
        const TIME_WAIT: u128 = 6;
        let (mut count, mut rest) = (Count::default(), 0);
        let mut line = [0; 128];
        let mut sink = |part: &[u8]| {
            // What counts stands at the beginning of a line.
            for byte in part {
                match (byte, line.get_mut(rest)) {
                    (b'\n', _) => {
                        count.all += 1;
                        let state = super::parts::hex(&line[..rest.min(128)], 3);
                        count.waiting += u32::from(state == Some(TIME_WAIT));
                        rest = 0;
                        continue;
                    }
                    (byte, Some(to)) => *to = *byte,
                    _ => {}
                }
                rest += 1;
            }
            Ok(())
        };
        let mut text = Text::new(&mut sink);
        self.sockets(file, &mut text)?;
        text.end()?;
        // The first line is the head.
        count.all = count.all.saturating_sub(1);
        Ok(count)
    }

    /// Maps the table of the net's sockets.
    fn table_of_sockets(&self) -> Option<Table> {
        match self.net.has_inet() {
            true => Table::open(self.net).ok().flatten(),
            false => None,
        }
    }
}

/// How many sockets a list has.
#[derive(Clone, Copy, Default)]
struct Count {
    all: u32,
    /// Those in TIME_WAIT.
    waiting: u32,
}

/// The number that a line begins with: lines of TCP are counted.
fn number_of(file: NetFile, number: &mut u32) -> Option<u32> {
    let counted = matches!(file, NetFile::Tcp | NetFile::Tcp6);
    counted.then(|| {
        *number += 1;
        *number - 1
    })
}

/// Reads a line of the machine's.
fn listed(line: &[u8], protocol: Protocol, v6: bool) -> Option<Listed> {
    let name = |at: usize| {
        let (address, port) = super::parts::field(line, at)?.split_once(':')?;
        let address = match v6 {
            false => {
                let number = u32::from_str_radix(address, 16).ok()?;
                IpAddr::V4(Ipv4Addr::from(number.to_ne_bytes()))
            }
            true => {
                let mut octets = [0; 16];
                for (to, at) in octets.chunks_exact_mut(4).zip((0..32).step_by(8)) {
                    let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
                    to.copy_from_slice(&word.to_ne_bytes());
                }
                IpAddr::V6(Ipv6Addr::from(octets))
            }
        };
        Some(SocketAddr::new(
            address,
            u16::from_str_radix(port, 16).ok()?,
        ))
    };
    Some(Listed {
        protocol,
        local: name(1)?,
        remote: name(2)?,
        inode: decimal(line, 9)?.into(),
        cookie: 0,
    })
}

/// Appends an address as the lists have it.
pub(super) fn put_address(address: IpAddr, text: &mut Text<'_>) {
    match address {
        IpAddr::V4(address) => say!(text, "{:08X}", u32::from_ne_bytes(address.octets())),
        IpAddr::V6(address) => {
            for word in address.octets().chunks_exact(4) {
                let word = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
                say!(text, "{word:08X}");
            }
        }
    }
}

/// Appends a line of the machine's with other names, and with another number at its beginning.
fn put(line: &[u8], names: Option<&Names>, number: Option<u32>, text: &mut Text<'_>) {
    let colon = line.iter().position(|b| *b == b':').map_or(0, |at| at + 1);
    match number {
        Some(number) => say!(text, "{number:width$}:", width = colon.saturating_sub(1)),
        None => text.put(&line[..colon]),
    }
    let Some(names) = names else {
        return text.put(&line[colon..]);
    };
    for name in [names.local, names.remote] {
        text.put(b" ");
        put_address(name.ip(), text);
        say!(text, ":{:04X}", name.port());
    }
    // Both names are followed by one blank each.
    let mut blanks = line.iter().enumerate().skip(colon + 1);
    let second = blanks.by_ref().filter(|(_, b)| **b == b' ').nth(1);
    text.put(&line[second.map_or(line.len(), |(at, _)| at)..]);
}
