//! Whether sockets are still there.
#![forbid(unsafe_code)]

use super::diag::{Native, LISTEN};
use super::names::{is_any, native_protocol, plain};
use super::open::Open;
use super::writer::Known;
use memtun_stack::sockets::table::{self, native_v4};
use memtun_stack::sockets::{flag, Entry, Protocol};
use memtun_sys as sys;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// For so long a socket that was asked for may not be bound yet.
const BIRTH: Duration = Duration::from_secs(2);
/// For so long a socket that was seen is taken to be there.
pub const FRESH: Duration = Duration::from_millis(table::FRESH as u64);

impl Open {
    /// Is the socket of a row there? One that is gone is removed.
    pub fn is_alive(&mut self, row: usize, fresh: Duration) -> bool {
        let Some(known) = self.writer.at(row).copied() else {
            return false;
        };
        if known.seen.elapsed() < fresh {
            return true;
        }
        let alive = self.is_where_it_was(&known.entry) || self.is_there(row);
        match alive {
            true => self.writer.seen(row),
            false => self.writer.remove(row),
        }
        alive
    }

    /// Does the kernel find a socket quickly, by its name?
    fn is_where_it_was(&mut self, entry: &Entry) -> bool {
        let protocol = native_protocol(entry.protocol);
        let listens = entry.flags & flag::LISTENS != 0;
        if protocol == Protocol::Tcp && !listens {
            return false;
        }
        let any = is_any(entry.native.ip());
        let address: IpAddr = match (any, native_v4(entry.native.ip())) {
            (false, Some(address)) => address.into(),
            (_, _) if entry.native.is_ipv6() => Ipv6Addr::LOCALHOST.into(),
            (_, _) => Ipv4Addr::LOCALHOST.into(),
        };
        let datagram = self.natives.ports.datagram;
        let other: IpAddr = match (entry.flow, address) {
            (Some(alias), _) => alias.into(),
            (None, IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
            (None, address) => address,
        };
        let (own, other) = (
            SocketAddr::new(address, entry.native.port()),
            SocketAddr::new(other, datagram),
        );
        let found = self.diag.exact(protocol, own, other);
        found.is_some_and(|found| is_of(&found, entry))
    }

    /// Is the socket of a row anywhere?
    pub fn is_there(&mut self, row: usize) -> bool {
        let Some(known) = self.writer.at(row).copied() else {
            return false;
        };
        let entry = &known.entry;
        let protocol = native_protocol(entry.protocol);
        let natives = self.diag.of_port(protocol, entry.native.port());
        let found = natives.iter().any(|native| is_of(native, entry));
        found
            || protocol == Protocol::Tcp && self.may_be_silent(&known)
            || known.since.elapsed() < BIRTH && is_held(known.asker, entry.inode)
    }

    /// May this be a socket of TCP that is bound and does nothing yet, of which nobody tells before
    /// Linux 6.8?
    fn may_be_silent(&self, known: &Known) -> bool {
        let entry = &known.entry;
        !self.tells_all
            && sys::inet::is_held(libc::SOCK_STREAM, &entry.native)
            && is_held(known.asker, entry.inode)
    }

    /// Is what came from this native name to that one from a socket of the net?
    ///
    /// Who has the name now says it. Where nobody has it, what came was left by the one that had it
    /// last.
    pub fn speaks(&mut self, protocol: Protocol, speaker: SocketAddr, hearer: SocketAddr) -> bool {
        self.writer.forget_late();
        let rows = self.writer.all().filter(|(_, known)| {
            known.entry.protocol == protocol && is_within(speaker, known.entry.native)
        });
        let rows: Vec<usize> = rows.map(|(row, _)| row).collect();
        let protocol = native_protocol(protocol);
        if protocol == Protocol::Tcp {
            return match self.diag.exact(protocol, speaker, hearer) {
                // What no process has any more has its cookie still.
                Some(found) if found.state != LISTEN && (found.inode, found.cookie) != (0, 0) => {
                    self.is_of_net(&found) || self.writer.had(found.cookie)
                }
                // It was reset.
                _ => self.writer.table().has_name(Protocol::Tcp, speaker),
            };
        }
        // An end that nobody has noticed is noticed with this, so that it is forgotten in time.
        for row in &rows {
            self.is_alive(*row, FRESH);
        }
        let natives = self.diag.of_port(protocol, speaker.port());
        let (mut named, mut wild): (Vec<&Native>, Vec<&Native>) = (Vec::new(), Vec::new());
        for native in &natives {
            match plain(native.own).ip() {
                address if address.is_unspecified() => wild.push(native),
                address if address == speaker.ip() => named.push(native),
                _ => {}
            }
        }
        // Several may share a name, and each may have spoken.
        let holders = if named.is_empty() { wild } else { named };
        holders.iter().all(|holder| self.is_of_net(holder))
            && self.writer.table().has_name(protocol, speaker)
    }

    /// Is this native socket one of the net's?
    fn is_of_net(&self, native: &Native) -> bool {
        match native.cookie {
            0 => self
                .writer
                .all()
                .any(|(_, known)| is_of(native, &known.entry)),
            cookie => self.writer.row_of(cookie).is_some(),
        }
    }

    /// Removes all sockets that are gone.
    pub fn sweep(&mut self) {
        let mut natives = self.diag.of_port(Protocol::Tcp, 0);
        natives.extend(self.diag.of_port(Protocol::Udp, 0));
        let cookies: HashSet<u64> = natives.iter().map(|native| native.cookie).collect();
        let inodes: HashSet<u64> = natives.iter().map(|native| native.inode).collect();
        let is_there = |entry: &Entry| match cookies.len() > 1 {
            true => cookies.contains(&entry.cookie),
            false => inodes.contains(&entry.inode),
        };
        let gone = self.writer.all().filter(|(_, known)| {
            let unseen =
                native_protocol(known.entry.protocol) == Protocol::Tcp && self.may_be_silent(known);
            known.since.elapsed() > BIRTH && !is_there(&known.entry) && !unseen
        });
        let gone: Vec<usize> = gone.map(|(row, _)| row).collect();
        for row in gone {
            self.writer.remove(row);
        }
    }
}

/// Is a native name this one, or one that contains it?
fn is_within(name: SocketAddr, native: SocketAddr) -> bool {
    let native = plain(native);
    native.port() == name.port() && (native.ip().is_unspecified() || native.ip() == name.ip())
}

/// Is this the native socket of an entry?
pub fn is_of(native: &Native, entry: &Entry) -> bool {
    match native.cookie {
        0 => native.inode == entry.inode && native.inode != 0,
        cookie => cookie == entry.cookie,
    }
}

/// Has a process a descriptor of the socket of an inode, which it is about to bind?
pub fn is_held(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.any(|link| link.as_os_str() == wanted.as_str())
}
