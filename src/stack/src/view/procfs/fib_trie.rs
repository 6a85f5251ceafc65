//! /proc/net/fib_trie.
#![forbid(unsafe_code)]

use super::parts::is_of;
use super::route_line::Line;
use crate::state;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use memtun_abi::Errno;

impl Tree<'_> {
    /// Appends the local addresses and the networks of the net as leaves, in the form in which
    /// programs look for them. How the kernel would compress the trie is not imitated.
    pub(super) fn fib_trie(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        // Without rules of their own both tables are one trie, which is shown twice.
        self.trie("Main:\n", text)?;
        self.trie("Local:\n", text)
    }

    fn trie(&self, name: &str, text: &mut Text<'_>) -> Result<(), Errno> {
        let mut headed = false;
        state::each_message(self.net, |message| {
            if message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET) {
                if let Some(line) = Line::of(message) {
                    if !headed {
                        text.put(name.as_bytes());
                        headed = true;
                    }
                    let scope = match line.scope {
                        libc::RT_SCOPE_UNIVERSE => "universe",
                        libc::RT_SCOPE_SITE => "site",
                        libc::RT_SCOPE_LINK => "link",
                        libc::RT_SCOPE_HOST => "host",
                        _ => "nowhere",
                    };
                    let kind = match line.kind {
                        libc::RTN_UNICAST => "UNICAST",
                        libc::RTN_LOCAL => "LOCAL",
                        libc::RTN_BROADCAST => "BROADCAST",
                        libc::RTN_MULTICAST => "MULTICAST",
                        libc::RTN_BLACKHOLE => "BLACKHOLE",
                        libc::RTN_UNREACHABLE => "UNREACHABLE",
                        libc::RTN_PROHIBIT => "PROHIBIT",
                        libc::RTN_THROW => "THROW",
                        _ => "UNSPEC",
                    };
                    say!(
                        text,
                        "  |-- {}\n     /{} {scope} {kind}\n",
                        line.to,
                        line.prefix
                    );
                }
            }
            true
        })
        .map(drop)
    }
}
