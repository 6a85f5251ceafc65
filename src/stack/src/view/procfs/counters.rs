//! What IP and the protocols above it have counted: /proc/net/snmp, netstat and snmp6, and a file
//! of each link in /proc/net/dev_snmp6, whose counters are 0. Which counters there are, the
//! machine's own files tell.
#![forbid(unsafe_code)]

use crate::counters;
use crate::view::links::Seen;
use crate::view::place::NetFile;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use memtun_abi::Errno;
use memtun_shm::layout::InetState;
use memtun_shm::Mapped;

impl Tree<'_> {
    /// Appends the counters of the whole namespace.
    pub(super) fn counters(&self, file: NetFile, text: &mut Text<'_>) -> Result<(), Errno> {
        let routes = self
            .number_at(b"/proc/sys/net/ipv4/ip_forward")
            .unwrap_or(0)
            != 0;
        let hops = self
            .number_at(b"/proc/sys/net/ipv4/ip_default_ttl")
            .unwrap_or(64);
        let table: Option<Mapped<InetState>> = self.net.open_inet().ok().flatten();
        let table = table.as_deref();
        let settings = [if routes { 1 } else { 2 }, hops];
        let (mut names, mut typed) = (Names::none(), false);
        self.each_machines_line(file, &mut |line| {
            if file != NetFile::Snmp6 {
                counted(line, settings, table, &mut names, text);
                return Ok(());
            }
            if line.starts_with(b"Udp6") && !typed {
                typed = true;
                each_type(table, true, |sent, kind, number| {
                    let way = if sent { "Out" } else { "In" };
                    let digits = if kind < 10 {
                        1
                    } else if kind < 100 {
                        2
                    } else {
                        3
                    };
                    let blanks = 32 - "Icmp6Type".len() - way.len() - digits;
                    say!(text, "Icmp6{way}Type{kind}{:blanks$}\t{number}\n", "");
                });
            }
            counter(line, table, text);
            Ok(())
        })
        .map(drop)
    }

    /// Appends the counters of IPv6 on a link.
    pub(in crate::view) fn counters_of(
        &self,
        seen: &Seen,
        text: &mut Text<'_>,
    ) -> Result<(), Errno> {
        say!(text, "{:<32}\t{}\n", "ifIndex", seen.index);
        self.each_machines_line(NetFile::Snmp6, &mut |line| {
            if line.starts_with(b"Ip6") || line.starts_with(b"Icmp6") {
                counter(line, None, text);
            }
            Ok(())
        })
        .map(drop)
    }
}

/// Appends a line of a protocol's names, or of its counters. IP begins with `settings`, and what
/// TCP begins with are constants of the kernel's.
fn counted(
    line: &[u8],
    settings: [i64; 2],
    table: Option<&InetState>,
    names: &mut Names,
    text: &mut Text<'_>,
) {
    let mut words = line.trim_ascii_end().split(|b| *b == b' ');
    let protocol = words.next().unwrap_or_default();
    // Types of messages are there where some were counted.
    if protocol == b"IcmpMsg:" {
        return;
    }
    let is_number = |word: &[u8]| {
        word.first()
            .is_some_and(|b| b.is_ascii_digit() || *b == b'-')
    };
    if !words.clone().next().is_some_and(is_number) {
        names.keep(line);
        text.put(line);
        return;
    }
    text.put(protocol);
    let known = std::str::from_utf8(protocol).unwrap_or_default();
    for (at, word) in words.enumerate() {
        match (protocol, settings.get(at)) {
            (b"Ip:", Some(setting)) => say!(text, " {setting}"),
            (b"Tcp:", _) if at < 4 => {
                text.put(b" ");
                text.put(word);
            }
            _ => {
                let name = names.at(at + 1);
                let number = table.map_or(0, |table| counters::by_name(table, known, name));
                say!(text, " {number}");
            }
        }
    }
    text.put(b"\n");
    if protocol == b"Icmp:" {
        types_of_icmp(table, text);
    }
}

/// Appends how many messages of each type were counted.
fn types_of_icmp(table: Option<&InetState>, text: &mut Text<'_>) {
    let mut any = false;
    each_type(table, false, |sent, kind, _| {
        if !any {
            text.put(b"IcmpMsg:");
        }
        any = true;
        say!(text, " {}Type{kind}", if sent { "Out" } else { "In" });
    });
    if any {
        text.put(b"\nIcmpMsg:");
        each_type(table, false, |_, _, number| say!(text, " {number}"));
        text.put(b"\n");
    }
}

/// Hands on the types of messages that were counted.
fn each_type(table: Option<&InetState>, v6: bool, each: impl FnMut(bool, u8, u64)) {
    if let Some(table) = table {
        counters::each_type(table, v6, each);
    }
}

/// The names of a line.
struct Names {
    line: [u8; 4096],
    length: usize,
}

impl Names {
    fn none() -> Names {
        Names {
            line: [0; 4096],
            length: 0,
        }
    }

    fn keep(&mut self, line: &[u8]) {
        let line = line.trim_ascii_end();
        self.length = line.len().min(self.line.len());
        self.line[..self.length].copy_from_slice(&line[..self.length]);
    }

    fn at(&self, number: usize) -> &str {
        let mut words = self.line[..self.length].split(|b| *b == b' ');
        let word = words.nth(number).unwrap_or_default();
        std::str::from_utf8(word).unwrap_or_default()
    }
}

/// Appends a line of a name and a counter: of the net, or 0. Lines that are only there when
/// something was counted are left out.
fn counter(line: &[u8], table: Option<&InetState>, text: &mut Text<'_>) {
    let is_by_type = [&b"Icmp6InType"[..], b"Icmp6OutType"];
    if is_by_type.iter().any(|kind| line.starts_with(kind)) {
        return;
    }
    let name = line.split(|b| *b == b'\t').next().unwrap_or(line);
    text.put(name);
    let word = std::str::from_utf8(name.trim_ascii_end()).unwrap_or_default();
    let number = table.map_or(0, |table| counters::by_name(table, "", word));
    say!(text, "\t{number}\n");
}
