//! Sockets that no hook sees: those that libc's resolver makes by calls of its own. Their
//! nameserver is the alias of a flow whose own end has no port, which is everybody's of the net's
//! user; who sends there gets a name of the net with the first datagram.
#![forbid(unsafe_code)]

use super::asker::Asker;
use super::diag::Native;
use super::names::native;
use super::rules::Name;
use super::verdict::Verdict;
use super::Sockets;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::{flag, Entry, Flow, Protocol};
use std::net::{Ipv4Addr, SocketAddr};

impl Sockets {
    /// Says where a socket that no hook sees sends to reach a name: where it is one that packets
    /// of the net reach.
    pub fn unseen_path(
        &mut self,
        asker: &Asker<'_>,
        to: SocketAddr,
        verdict: Verdict,
    ) -> SocketAnswer {
        let way = match verdict {
            Verdict::Away(way) if !way.broadcast && !way.multicast => way,
            Verdict::Local(_) => {
                // What is bound to the alias of any address answers from there.
                let target = self.target(Protocol::Udp, to, to, 0);
                let apart = target.filter(|it| it.entry.flags & flag::FALLBACK != 0);
                return apart.map_or(SocketAnswer::Machine, |it| {
                    SocketAnswer::Carried(None, it.native)
                });
            }
            _ => return SocketAnswer::Machine,
        };
        let Some(open) = &mut self.open else {
            return SocketAnswer::Machine;
        };
        let flow = Flow {
            protocol: asker.question.protocol,
            local: SocketAddr::new(way.source, 0),
            remote: to,
            ifindex: 0,
            mss: 0,
            error: 0,
        };
        match open.new_flow(&flow) {
            Some(alias) => {
                let port = open.natives.ports.datagram;
                SocketAnswer::Carried(None, native(alias, port, false))
            }
            None => SocketAnswer::Machine,
        }
    }

    /// Returns the flow of a socket that has sent to such an alias, with its own port.
    pub fn adopt_unseen(
        &mut self,
        socket: &Native,
        from: SocketAddr,
        alias: Ipv4Addr,
        flow: &Flow,
    ) -> Option<Flow> {
        let open = self.open.as_mut()?;
        let known = open.writer.socket(socket.cookie).map(|it| it.entry);
        if let Some(entry) = known.filter(|entry| entry.flow == Some(alias)) {
            return Some(Flow {
                local: entry.local,
                ..*flow
            });
        }
        let name = Name {
            protocol: flow.protocol,
            v6: false,
            v6_only: false,
            address: flow.local.ip(),
            device: 0,
            reuse: false,
            reuse_port: false,
            uid: socket.uid,
            listens: false,
        };
        // It has no socket of the net's with that port beside it; else it asks again by another.
        if socket.cookie == 0 || open.is_port_taken(&name, from.port(), socket.cookie, true) {
            return None;
        }
        let local = SocketAddr::new(flow.local.ip(), from.port());
        let entry = Entry {
            cookie: socket.cookie,
            inode: socket.inode,
            uid: socket.uid,
            protocol: flow.protocol,
            family: libc::AF_INET as u16,
            local,
            native: from,
            remote: Some(flow.remote),
            flow: Some(alias),
            device: 0,
            flags: 0,
        };
        open.put(&entry, 0).ok()?;
        Some(Flow { local, ..*flow })
    }

    /// Is it the socket of such a flow, which knows nothing of reports?
    pub fn is_unseen(&self, entry: &Entry) -> bool {
        let flow = entry.flow.and_then(|alias| self.flow(alias));
        flow.is_some_and(|flow| flow.local.port() == 0)
    }
}
