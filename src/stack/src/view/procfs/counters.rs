//! What IP and the protocols above it have counted: /proc/net/snmp, netstat and snmp6, and a file
//! of each link in /proc/net/dev_snmp6. The net's stack sends and receives nothing, so that every
//! counter is 0; which there are, the machine's own files tell.
#![forbid(unsafe_code)]

use crate::view::links::Seen;
use crate::view::place::NetFile;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use memtun_abi::Errno;

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
        self.each_machines_line(file, &mut |line| {
            match file {
                NetFile::Snmp6 => counter(line, text),
                _ => counted(line, [if routes { 1 } else { 2 }, hops], text),
            }
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
                counter(line, text);
            }
            Ok(())
        })
        .map(drop)
    }
}

/// Appends a line of a name and a counter. Lines that are only there when something was counted are
/// left out.
fn counter(line: &[u8], text: &mut Text<'_>) {
    let is_by_type = [&b"Icmp6InType"[..], b"Icmp6OutType"];
    if is_by_type.iter().any(|kind| line.starts_with(kind)) {
        return;
    }
    let name = line.split(|b| *b == b'\t').next().unwrap_or(line);
    text.put(name);
    text.put(b"\t0\n");
}

/// Appends a line of a protocol's names, or of its counters. IP begins with `settings`, and what
/// TCP begins with are constants of the kernel's.
fn counted(line: &[u8], settings: [i64; 2], text: &mut Text<'_>) {
    let mut words = line.trim_ascii_end().split(|b| *b == b' ');
    let protocol = words.next().unwrap_or_default();
    if protocol == b"IcmpMsg:" {
        return;
    }
    let is_number = |word: &[u8]| {
        word.first()
            .is_some_and(|b| b.is_ascii_digit() || *b == b'-')
    };
    if !words.clone().next().is_some_and(is_number) {
        text.put(line);
        return;
    }
    text.put(protocol);
    for (at, word) in words.enumerate() {
        match (protocol, settings.get(at)) {
            (b"Ip:", Some(setting)) => say!(text, " {setting}"),
            (b"Tcp:", _) if at < 4 => {
                text.put(b" ");
                text.put(word);
            }
            _ => text.put(b" 0"),
        }
    }
    text.put(b"\n");
}
