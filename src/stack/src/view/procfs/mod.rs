//! The files of /proc/net in which links, addresses, routes and neighbours stand: first what the
//! machine's kernel says, where the machine is seen, and then the net's own lines; routes stand in
//! the kernel's order.
//!
//! | module | subject |
//! |---|---|
//! | `dev`, `multicast`, `arp`, `route`, `ipv6_route`, `if_inet6`, `fib_trie` | the net's lines of these files |
//! | `counters` | what the protocols have counted |
//! | `packets` | packet sockets and raw ones |
//! | `sockets` | sockets, and how many there are |
//! | `machine` | the machine's lines |
//! | `trie` | the shape of a trie |
//! | `order` | the order of routes |
//! | `route_line` | a route as the lines show it |
//! | `parts` | what they have in common |
#![forbid(unsafe_code)]

mod arp;
mod counters;
mod dev;
mod fib_trie;
mod if_inet6;
mod ipv6_route;
mod machine;
mod multicast;
mod order;
mod packets;
mod parts;
mod route;
mod route_line;
mod sockets;
mod trie;

use super::place::NetFile;
use super::text::Text;
use super::tree::Tree;
use crate::state::View;
use memtun_abi::Errno;

impl Tree<'_> {
    /// Makes the text of a file of /proc/net.
    ///
    /// # Errors
    ///
    /// What reading the machine's file or the net fails with.
    pub(super) fn net_file(&self, file: NetFile, text: &mut Text<'_>) -> Result<(), Errno> {
        let merged = self.view() == View::Merged;
        let headed = match file {
            // Their lines stand among the machine's.
            NetFile::Route => return self.routes(merged, text),
            NetFile::Ipv6Route => return self.ipv6_routes(merged, text),
            NetFile::Snmp | NetFile::Netstat | NetFile::Snmp6 => {
                return self.counters(file, text);
            }
            NetFile::Sockstat | NetFile::Sockstat6 => return self.socket_counts(file, text),
            file if file.lists_sockets() => return self.sockets(file, text),
            _ => merged && self.machines_lines(file, text)? > 0,
        };
        match file {
            NetFile::Dev => self.dev(headed, text),
            NetFile::DevMcast => self.dev_mcast(text),
            NetFile::Igmp => self.igmp(headed, text),
            NetFile::Igmp6 => self.igmp6(text),
            NetFile::Arp => self.arp(headed, text)?,
            NetFile::IfInet6 => self.if_inet6(text)?,
            NetFile::FibTrie => self.fib_trie(text)?,
            NetFile::FibTriestat => self.fib_triestat(text)?,
            _ => {}
        }
        Ok(())
    }
}
