//! /proc/net/fib_trie and /proc/net/fib_triestat.
#![forbid(unsafe_code)]

use super::parts::is_of;
use super::route_line::Line;
use super::trie::{self, Entry, Part, MOST};
use crate::state;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use memtun_abi::Errno;
use std::net::{IpAddr, Ipv4Addr};

const MAIN: u32 = libc::RT_TABLE_MAIN as u32;
const LOCAL: u32 = libc::RT_TABLE_LOCAL as u32;

impl Tree<'_> {
    /// Appends the routes of each table as a trie.
    pub(super) fn fib_trie(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        self.each_table(&mut |table| self.table(table, text, show))
    }

    /// Appends how the trie of each table is shaped.
    pub(super) fn fib_triestat(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        text.put(b"Basic info: size of leaf: 48 bytes, size of tnode: 40 bytes.\n");
        self.each_table(&mut |table| self.table(table, text, measure))
    }

    /// Calls `each` with the tables that have routes, in the kernel's order.
    fn each_table(&self, each: &mut dyn FnMut(u32) -> Result<(), Errno>) -> Result<(), Errno> {
        // Tables are found by the low byte of their number.
        let place = |table: u32| (table & 0xff, table);
        let mut last = None;
        loop {
            let mut next: Option<u32> = None;
            state::each_message(self.net, |message| {
                let v4 = message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET);
                let line = v4.then(|| Line::of(message)).flatten();
                // Without rules of their own these two are one trie, which is shown twice.
                let tables = line.map(|line| match line.table {
                    MAIN | LOCAL => [MAIN, LOCAL],
                    other => [other; 2],
                });
                for table in tables.into_iter().flatten() {
                    let is_later = last.is_none_or(|last| place(table) > place(last));
                    if is_later && next.is_none_or(|next| place(table) < place(next)) {
                        next = Some(table);
                    }
                }
                true
            })?;
            let Some(table) = next else {
                return Ok(());
            };
            each(table)?;
            last = Some(table);
        }
    }

    /// Gathers the routes of a table, and hands them on in the order of the trie. Its room on the
    /// stack is no part of its caller's, which mostly makes other files.
    #[inline(never)]
    fn table(
        &self,
        table: u32,
        text: &mut Text<'_>,
        run: fn(&[Entry], &mut Text<'_>),
    ) -> Result<(), Errno> {
        match table {
            MAIN => text.put(b"Main:\n"),
            LOCAL => text.put(b"Local:\n"),
            other => say!(text, "Id {other}:\n"),
        }
        let is_in = |other: u32| match table {
            MAIN | LOCAL => matches!(other, MAIN | LOCAL),
            table => other == table,
        };
        let mut room = [Entry::default(); MOST];
        let mut count = 0;
        state::each_message(self.net, |message| {
            let v4 = message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET);
            let line = v4.then(|| Line::of(message)).flatten();
            if let Some(line) = line.filter(|line| is_in(line.table)) {
                if let (IpAddr::V4(to), Some(entry)) = (line.to, room.get_mut(count)) {
                    *entry = Entry {
                        key: to.into(),
                        prefix: line.prefix,
                        scope: line.scope,
                        kind: line.kind,
                        priority: line.priority,
                    };
                    count += 1;
                }
            }
            count < MOST
        })?;
        trie::sort(&mut room[..count]);
        run(&room[..count], text);
        Ok(())
    }
}

/// Appends the lines of a trie.
fn show(entries: &[Entry], text: &mut Text<'_>) {
    let indent = |text: &mut Text<'_>, depth: usize| say!(text, "{:1$}", "", 2 + 3 * depth);
    trie::walk(entries, &mut |part| match part {
        Part::Node(node, above) => {
            indent(text, above);
            say!(
                text,
                "+-- {}/{} {} {} {}\n",
                Ipv4Addr::from(node.key),
                node.prefix,
                node.bits,
                node.full,
                node.empty
            );
        }
        Part::Leaf(routes, above) => {
            indent(text, above);
            say!(text, "|-- {}\n", Ipv4Addr::from(routes[0].key));
            for route in routes {
                indent(text, above + 1);
                let (scope, kind) = (scope_of(route.scope), kind_of(route.kind));
                say!(text, "/{} {scope} {kind}\n", route.prefix);
            }
        }
    });
}

/// Appends what is counted in a trie.
fn measure(entries: &[Entry], text: &mut Text<'_>) {
    /// Bytes of a leaf, a route in it, a node and a pointer.
    const BYTES: [usize; 4] = [48, 56, 40, 8];
    let (mut leaves, mut depths, mut deepest) = (0, 0, 0);
    let (mut nodes, mut empty, mut sizes) = (0, 0, [0usize; 33]);
    trie::walk(entries, &mut |part| match part {
        Part::Node(node, _) => {
            nodes += 1;
            empty += node.empty;
            sizes[node.bits as usize] += 1;
        }
        Part::Leaf(_, above) => {
            leaves += 1;
            depths += above;
            deepest = deepest.max(above);
        }
    });
    let average = (depths * 100).checked_div(leaves).unwrap_or(0);
    say!(
        text,
        "\tAver depth:     {}.{:02}\n\tMax depth:      {deepest}\n",
        average / 100,
        average % 100
    );
    say!(
        text,
        "\tLeaves:         {leaves}\n\tPrefixes:       {}\n\tInternal nodes: {nodes}\n\t",
        entries.len()
    );
    let mut pointers = 0;
    for (bits, count) in sizes.iter().enumerate().filter(|(_, count)| **count > 0) {
        say!(text, "  {bits}: {count}");
        pointers += count << bits;
    }
    let counts = [leaves, entries.len(), nodes, pointers];
    let bytes: usize = BYTES
        .iter()
        .zip(counts)
        .map(|(size, count)| size * count)
        .sum();
    say!(
        text,
        "\n\tPointers: {pointers}\nNull ptrs: {empty}\nTotal size: {}  kB\n",
        bytes.div_ceil(1024)
    );
}

fn scope_of(scope: u8) -> &'static str {
    match scope {
        libc::RT_SCOPE_UNIVERSE => "universe",
        libc::RT_SCOPE_SITE => "site",
        libc::RT_SCOPE_LINK => "link",
        libc::RT_SCOPE_HOST => "host",
        _ => "nowhere",
    }
}

fn kind_of(kind: u8) -> &'static str {
    match kind {
        libc::RTN_UNICAST => "UNICAST",
        libc::RTN_LOCAL => "LOCAL",
        libc::RTN_BROADCAST => "BROADCAST",
        libc::RTN_MULTICAST => "MULTICAST",
        libc::RTN_BLACKHOLE => "BLACKHOLE",
        libc::RTN_UNREACHABLE => "UNREACHABLE",
        libc::RTN_PROHIBIT => "PROHIBIT",
        libc::RTN_THROW => "THROW",
        _ => "UNSPEC",
    }
}
