//! /proc/net/dev.
#![forbid(unsafe_code)]

use super::parts::spaces;
use crate::view::links::Seen;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;

const HEADER: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo \
colls carrier compressed
";

impl Tree<'_> {
    pub(super) fn dev(&self, headed: bool, text: &mut Text<'_>) {
        if !headed {
            text.put(HEADER.as_bytes());
        }
        self.each_link(&mut |seen| {
            line(seen, text);
            true
        });
    }
}

/// Appends a link's line.
fn line(seen: &Seen, text: &mut Text<'_>) {
    let name = seen.name.as_bytes();
    spaces(text, 6usize.saturating_sub(name.len()));
    text.put(name);
    let c = &seen.counters;
    say!(
        text,
        ": {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}\n",
        c.rx_bytes,
        c.rx_packets,
        0,
        c.rx_dropped,
        0,
        c.rx_frame_errors,
        0,
        0,
        c.tx_bytes,
        c.tx_packets,
        0,
        c.tx_dropped,
        0,
        0,
        0,
        0
    );
}
