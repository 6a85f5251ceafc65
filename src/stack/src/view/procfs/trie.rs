//! The trie in which the kernel keeps IPv4 routes (net/ipv4/fib_trie.c), as far as it can be told
//! from the routes: how much a node branches depends on how full it is, and a little on the order
//! in which routes came and went, which is not imitated.
#![forbid(unsafe_code)]

/// Most routes that are put into a trie.
pub(super) const MOST: usize = 512;

/// A route in the trie.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    /// Its destination.
    pub(super) key: u32,
    pub(super) prefix: u8,
    pub(super) scope: u8,
    pub(super) kind: u8,
    pub(super) priority: u32,
}

/// A part of the trie, and how many nodes are above it.
pub(super) enum Part<'e> {
    Node(Node, usize),
    /// The routes of one destination.
    Leaf(&'e [Entry], usize),
}

/// A node that branches.
pub(super) struct Node {
    /// What everything below it begins with, and how many bits that are.
    pub(super) key: u32,
    pub(super) prefix: u32,
    /// Number of bits by which it branches.
    pub(super) bits: u32,
    /// Number of children that branch by the very next bit.
    pub(super) full: u32,
    /// Number of places without a child.
    pub(super) empty: u32,
}

/// Puts routes into the order in which the trie has them.
pub(super) fn sort(entries: &mut [Entry]) {
    entries.sort_unstable_by_key(|e| (e.key, u8::MAX - e.prefix, e.priority));
}

/// Calls `each` with the parts of the trie of these routes, which are in order.
pub(super) fn walk(entries: &[Entry], each: &mut dyn FnMut(Part<'_>)) {
    if !entries.is_empty() {
        part(entries, 0, each);
    }
}

fn part(entries: &[Entry], above: usize, each: &mut dyn FnMut(Part<'_>)) {
    let Some(top) = top_bit(entries) else {
        return each(Part::Leaf(entries, above));
    };
    let mut bits = 1;
    let (full, used) = loop {
        let position = top + 1 - bits;
        let (mut full, mut used) = (0, 0);
        for child in children(entries, position) {
            used += 1;
            full += u32::from(top_bit(child).is_some_and(|bit| bit + 1 == position));
        }
        // `should_inflate`: a node branches by one bit more as long as that leaves it full enough,
        // which the first one is earlier.
        let least = if above == 0 { 30 } else { 50 };
        let is_full = 50 * u64::from(used + full) >= least << bits;
        if position == 0 || used + full < 2 || !is_full {
            break (full, used);
        }
        bits += 1;
    };
    let key = entries.first().map_or(0, |entry| entry.key);
    let shift = top + 1;
    let node = Node {
        key: key
            .checked_shr(shift)
            .unwrap_or(0)
            .checked_shl(shift)
            .unwrap_or(0),
        prefix: 32 - shift,
        bits,
        full,
        empty: (1 << bits) - used,
    };
    each(Part::Node(node, above));
    for child in children(entries, top + 1 - bits) {
        part(child, above + 1, each);
    }
}

/// The highest bit in which the destinations differ; None where there is but one.
fn top_bit(entries: &[Entry]) -> Option<u32> {
    let differing = entries.first()?.key ^ entries.last()?.key;
    differing.checked_ilog2()
}

/// The routes that have the same bits from this one on, group by group.
fn children(entries: &[Entry], position: u32) -> impl Iterator<Item = &[Entry]> {
    entries.chunk_by(move |a, b| a.key >> position == b.key >> position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn shown(keys: &[[u8; 4]]) -> Vec<String> {
        let mut entries: Vec<Entry> = keys
            .iter()
            .map(|key| Entry {
                key: u32::from_be_bytes(*key),
                ..Entry::default()
            })
            .collect();
        sort(&mut entries);
        let mut lines = Vec::new();
        walk(&entries, &mut |part| {
            lines.push(match part {
                Part::Node(n, above) => format!(
                    "{above} {}/{} {} {} {}",
                    Ipv4Addr::from(n.key),
                    n.prefix,
                    n.bits,
                    n.full,
                    n.empty
                ),
                Part::Leaf(leaf, above) => format!("{above} {}", Ipv4Addr::from(leaf[0].key)),
            });
        });
        lines
    }

    #[test]
    fn a_trie_branches_as_the_kernels_does() {
        assert_eq!(shown(&[[10, 9, 0, 1]]), ["0 10.9.0.1"]);
        assert_eq!(
            shown(&[[10, 9, 0, 0], [10, 9, 0, 1], [10, 9, 0, 255]]),
            [
                "0 10.9.0.0/24 2 0 2",
                "1 10.9.0.0/31 1 0 0",
                "2 10.9.0.0",
                "2 10.9.0.1",
                "1 10.9.0.255"
            ]
        );
        assert_eq!(
            shown(&[[10, 9, 0, 0], [127, 0, 0, 0], [192, 168, 7, 0]])[0],
            "0 0.0.0.0/0 3 0 5"
        );
    }
}
