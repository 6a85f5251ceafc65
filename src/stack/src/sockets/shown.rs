//! What is shown of a socket that the machine's kernel lists: in /proc/net, and to who asks for
//! sockets as ss(8) does.
#![forbid(unsafe_code)]

use super::table::{native_v4, Alias};
use super::{flag, Entry, Flow, Protocol, Table};
use memtun_shm::layout::Rows;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::Ordering::Acquire;

/// A socket as the machine's kernel lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its protocol on the machine.
    pub protocol: Protocol,
    /// Its own name.
    pub local: SocketAddr,
    /// The name of the other end; any address and port 0 for none.
    pub remote: SocketAddr,
    /// Its inode, 0 for none.
    pub inode: u64,
    /// Its cookie, 0 where the list does not tell it.
    pub cookie: u64,
}

/// What is shown of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// Nothing: it belongs to the host process.
    Nothing,
    /// It is the machine's, and shown as it is.
    Machine,
    /// It is one of the net's.
    Net(Names),
}

/// The names of a socket of the net.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Names {
    /// The protocol that the program has asked for.
    pub protocol: Protocol,
    /// Its own name.
    pub local: SocketAddr,
    /// The name of the other end; any address and port 0 for none.
    pub remote: SocketAddr,
    /// The interface that it is bound to, 0 for none.
    pub device: u32,
    /// Does it hear nothing of IPv4? A socket that is bound to an address of IPv6 does not.
    pub v6only: bool,
}

impl Table {
    /// Says what is shown of a socket that the machine's kernel lists.
    pub fn shown(&self, listed: &Listed) -> Shown {
        let entry = match listed.cookie {
            0 => self.of_inode(listed.inode),
            cookie => self.socket(cookie),
        };
        // A socket that connects within the net may be bound to the alias of a flow, too.
        if entry.is_none() && self.is_hosts(listed) {
            return Shown::Nothing;
        }
        let flow = self.flow_at_end(listed.protocol, listed.remote);
        let local = match (&flow, &entry) {
            (Some(flow), _) => Some(flow.local),
            (None, Some(entry)) => Some(entry.local),
            (None, None) => self.name_of(listed.protocol, listed.local),
        };
        let remote = match (&flow, &entry) {
            (Some(flow), _) => Some(flow.remote),
            (None, Some(entry)) => entry.remote,
            (None, None) => None,
        };
        let remote = remote.or_else(|| self.name_of(listed.protocol, listed.remote));
        let is_alias = |name: SocketAddr| native_v4(name.ip()).is_some_and(|a| self.is_alias(a));
        if local.is_none() && remote.is_none() {
            // The flow that such a name stood for has ended.
            return match is_alias(listed.local) || is_alias(listed.remote) {
                true => Shown::Nothing,
                false => Shown::Machine,
            };
        }
        let as_listed = |name: Option<SocketAddr>, native: SocketAddr| {
            like(name.unwrap_or(native), native.is_ipv6())
        };
        let local = as_listed(local, listed.local);
        let v6only = match local.ip() {
            IpAddr::V4(_) => false,
            IpAddr::V6(any) if any.is_unspecified() => {
                entry.is_some_and(|entry| entry.flags & flag::V6ONLY != 0)
            }
            IpAddr::V6(address) => address.to_ipv4_mapped().is_none(),
        };
        Shown::Net(Names {
            protocol: entry.map_or(listed.protocol, |entry| entry.protocol),
            local,
            v6only,
            remote: as_listed(remote, listed.remote),
            device: entry.map_or(0, |entry| entry.device),
        })
    }

    /// Returns the flow at whose native end this name stands.
    fn flow_at_end(&self, protocol: Protocol, native: SocketAddr) -> Option<Flow> {
        let flow = match native_v4(native.ip()) {
            Some(alias) => self.flow(alias),
            None if native.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST) => {
                self.flow_of_v6_port(protocol, native.port())
            }
            None => None,
        };
        flow.filter(|flow| {
            let same = flow.protocol == protocol;
            // What sends echo requests is a socket of UDP for the machine.
            same || protocol == Protocol::Udp && flow.protocol != Protocol::Tcp
        })
    }

    /// Is this a socket of the host process?
    fn is_hosts(&self, listed: &Listed) -> bool {
        let ports = self.ports();
        let (ports, protocol): (&[u16], _) = match listed.protocol {
            Protocol::Tcp => (&[ports.plug, ports.open, ports.shut], Protocol::Tcp),
            _ => (&[ports.datagram], Protocol::Udp),
        };
        let is_port = |port: u16| port != 0 && ports.contains(&port);
        let is_flow = |name: SocketAddr| {
            let alias = native_v4(name.ip()).and_then(|alias| self.what(alias));
            matches!(alias, Some(Alias::Flow(_)))
        };
        let is_loopback = |name: SocketAddr| {
            name.ip().is_unspecified()
                || name.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST)
                || native_v4(name.ip()).is_some_and(|address| address.is_loopback())
        };
        let (local, remote) = (listed.local, listed.remote);
        is_flow(local)
            || is_port(local.port()) && is_loopback(local)
            // A connection that keeps the queue of a listener full.
            || is_port(remote.port())
                && listed.protocol == Protocol::Tcp
                && is_loopback(remote)
                && !is_flow(remote)
            || native_v4(local.ip()).is_none()
                && !local.ip().is_unspecified()
                && self.flow_at_end(protocol, local).is_some()
    }

    /// Returns what the net knows of the socket with this inode.
    fn of_inode(&self, inode: u64) -> Option<Entry> {
        if inode == 0 {
            return None;
        }
        self.entries().find(|entry| entry.inode == inode)
    }

    /// Returns what the net knows of each socket.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let rows = self.mapped().socket_rows.load(Acquire) as usize;
        let all = (0..rows.min(Rows::Sockets.count())).filter_map(|at| self.entry_at(at));
        all.filter(|entry| entry.flags & flag::ENDED == 0)
    }
}

/// Returns a name in the family of a list: one of IPv4 is shown as one that is mapped in a list of
/// IPv6, but for the address that stands for any.
fn like(name: SocketAddr, v6: bool) -> SocketAddr {
    match name {
        SocketAddr::V4(v4) if v6 => {
            let address = match v4.ip().is_unspecified() {
                true => Ipv6Addr::UNSPECIFIED,
                false => v4.ip().to_ipv6_mapped(),
            };
            SocketAddrV6::new(address, v4.port(), 0, 0).into()
        }
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{row, Own};
    use memtun_kernel::net::{Create, Join, NetDir};
    use memtun_shm::layout::FLOW_WORDS;
    use std::net::Ipv4Addr;
    use std::sync::atomic::Ordering::Relaxed;

    const BASE: u32 = 127 << 24 | 1 << 14;

    fn name(text: &str) -> SocketAddr {
        text.parse().expect("a name")
    }

    fn alias(at: u32) -> Ipv4Addr {
        Ipv4Addr::from(BASE | at)
    }

    /// A table with one own address, a flow and a socket that listens.
    fn with_table(run: impl FnOnce(&Table)) {
        let place = std::env::temp_dir().join(format!("memtun-shown-{}", std::process::id()));
        let how = Join {
            create: Create::Named,
            owner: None,
            member: false,
        };
        let net = NetDir::join(place.as_os_str().as_encoded_bytes(), how).expect("a net");
        let mapped = net.make_inet().expect("a table");
        mapped.slices[0].store(BASE, Relaxed);
        mapped.own_rows.store(2, Relaxed);
        mapped.socket_rows.store(1, Relaxed);
        mapped
            .ports
            .store(5001 | 5002 << 16 | 5003 << 32 | 5004 << 48, Relaxed);
        mapped.reserve_row(Rows::Sockets, 0).expect("room");
        mapped.reserve_row(Rows::Flows, 0).expect("room");
        let own = Own {
            address: [10, 0, 0, 1].into(),
            scope: 0,
        };
        row::write(mapped.row(Rows::Own, 1).expect("a row"), &own.to_words());
        let flow = Flow {
            protocol: Protocol::Tcp,
            local: name("10.0.0.1:80"),
            remote: name("10.0.0.2:4000"),
            ifindex: 0,
            mss: 0,
            error: 0,
        };
        let flows = mapped.row::<FLOW_WORDS>(Rows::Flows, 0).expect("a row");
        let words = flows.first_chunk().expect("those of the flow");
        row::write(words, &flow.to_words());
        let entry = Entry {
            cookie: 7,
            inode: 70,
            uid: 1,
            protocol: Protocol::Tcp,
            family: libc::AF_INET as u16,
            local: name("0.0.0.0:80"),
            native: name("0.0.0.0:64592"),
            remote: None,
            flow: None,
            device: 3,
            flags: 0,
        };
        let words = entry.to_words(0);
        row::write(mapped.row(Rows::Sockets, 0).expect("a row"), &words);
        run(&Table::of(mapped));
        drop(net);
        let _ = std::fs::remove_dir_all(place);
    }

    #[test]
    fn sockets_of_the_net_have_its_names() {
        with_table(|table| {
            let shown = |local: SocketAddr, remote: &str, inode: u64| {
                table.shown(&Listed {
                    protocol: Protocol::Tcp,
                    local,
                    remote: name(remote),
                    inode,
                    cookie: 0,
                })
            };
            let flow = alias(256);
            let names = |local: &str, remote: &str, device: u32| {
                Shown::Net(Names {
                    protocol: Protocol::Tcp,
                    local: name(local),
                    remote: name(remote),
                    device,
                    v6only: false,
                })
            };
            let any = "0.0.0.0:0";
            assert_eq!(
                shown(name("0.0.0.0:64592"), any, 70),
                names("0.0.0.0:80", any, 3)
            );
            let leg = format!("{flow}:5001");
            assert_eq!(
                shown(name("127.0.0.1:64592"), &leg, 71),
                names("10.0.0.1:80", "10.0.0.2:4000", 0)
            );
            assert_eq!(
                shown((alias(1), 90).into(), any, 72),
                names("10.0.0.1:90", any, 0)
            );
            // The other end of the leg, a listener, and what has ended.
            assert_eq!(
                shown((flow, 5001).into(), "127.0.0.1:64592", 73),
                Shown::Nothing
            );
            assert_eq!(shown(name("0.0.0.0:5002"), any, 74), Shown::Nothing);
            // A socket of a program's that connects within the net is bound to the flow's alias.
            let within = shown((flow, 64592).into(), "127.0.0.1:9", 70);
            assert!(matches!(within, Shown::Net(_)));
            let over = format!("{}:5001", alias(300));
            assert_eq!(shown(name("127.0.0.1:9"), &over, 75), Shown::Nothing);
            assert_eq!(shown(name("127.0.0.1:22"), any, 76), Shown::Machine);
            // The same number of a port is something else on another address.
            assert_eq!(shown(name("192.0.2.1:5002"), any, 77), Shown::Machine);
        });
    }

    #[test]
    fn names_have_the_family_of_the_list() {
        let mapped = like(name("10.0.0.1:80"), true);
        assert_eq!(mapped, name("[::ffff:10.0.0.1]:80"));
        assert_eq!(like(name("0.0.0.0:80"), true), name("[::]:80"));
        assert_eq!(like(name("0.0.0.0:80"), false), name("0.0.0.0:80"));
    }
}
