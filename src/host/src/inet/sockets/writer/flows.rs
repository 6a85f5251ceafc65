//! Flows, and the aliases that stand for them.
#![forbid(unsafe_code)]

use super::{key_of, Slot, Writer};
use memtun_shm::layout::{Rows, FLOWS_OF_SLICE, FLOW_WORDS};
use memtun_stack::sockets::row;
use memtun_stack::sockets::table::Alias;
use memtun_stack::sockets::{Flow, Protocol};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// For so long the alias of a flow that is over means that flow: a datagram that came from it may
/// not have been received yet.
const AFTERLIFE: Duration = Duration::from_secs(20);
/// For so long a flow of datagrams is kept after its last one.
const IDLE: Duration = Duration::from_secs(60);

impl Writer {
    /// Returns the flow of an alias.
    pub fn flow(&self, alias: Ipv4Addr) -> Option<Flow> {
        self.table.flow(alias)
    }

    /// Returns the alias of a flow that goes on.
    pub fn alias_of(&self, flow: &Flow) -> Option<Ipv4Addr> {
        let at = *self.flows.get(&key_of(flow))?;
        match self.slots.get(at)? {
            Slot::Live(_) => self.table.address_of(Alias::Flow(at)),
            _ => None,
        }
    }

    /// Gives an alias to a flow. The same flow of datagrams has the same alias. None says that
    /// there is none left: see [`Writer::reclaim`].
    pub fn new_flow(&mut self, flow: &Flow) -> Option<Ipv4Addr> {
        let tcp = flow.protocol == Protocol::Tcp;
        let idle = (!tcp).then(Instant::now);
        if let (false, Some(at)) = (tcp, self.flows.get(&key_of(flow)).copied()) {
            if self.slots[at] != Slot::Free {
                self.slots[at] = Slot::Live(idle);
                return self.table.address_of(Alias::Flow(at));
            }
        }
        let at = self.free_slot()?;
        self.table.mapped().reserve_row(Rows::Flows, at).ok()?;
        let (row, set) = self.table.flow_row(at)?;
        if let Some(old) = self.table.flow_at(at) {
            if self.flows.get(&key_of(&old)) == Some(&at) {
                self.flows.remove(&key_of(&old));
            }
        }
        row::write(row, &flow.to_words());
        set.store(0, Relaxed);
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Slot::Free);
        }
        self.slots[at] = Slot::Live(idle);
        self.flows.insert(key_of(flow), at);
        self.next_flow = at + 1;
        self.table.address_of(Alias::Flow(at))
    }

    /// Number of flows that the slices have room for.
    fn room_for_flows(&self) -> usize {
        let slices = self.slices();
        let count = slices.iter().take_while(|base| **base != 0).count();
        count * FLOWS_OF_SLICE
    }

    fn free_slot(&self) -> Option<usize> {
        let room = self.room_for_flows();
        let free = |at: &usize| self.slots.get(*at).is_none_or(|slot| *slot == Slot::Free);
        let start = if self.next_flow < room {
            self.next_flow
        } else {
            0
        };
        (start..room).chain(0..start).find(free)
    }

    /// Changes a flow.
    pub fn set_flow(&mut self, alias: Ipv4Addr, flow: &Flow) {
        let Some(Alias::Flow(at)) = self.table.what(alias) else {
            return;
        };
        if let Some((row, _)) = self.table.flow_row(at) {
            row::write(row, &flow.to_words());
        }
    }

    /// Says that a flow is over.
    pub fn end_flow(&mut self, alias: Ipv4Addr) {
        let Some(Alias::Flow(at)) = self.table.what(alias) else {
            return;
        };
        if let Some(slot @ Slot::Live(_)) = self.slots.get_mut(at) {
            *slot = Slot::Over(Instant::now());
        }
    }

    /// Makes an alias free at once, which no native socket has had.
    pub fn take_back(&mut self, alias: Ipv4Addr) {
        if let Some(Alias::Flow(at)) = self.table.what(alias) {
            if at < self.slots.len() {
                self.free(at);
            }
        }
    }

    fn free(&mut self, at: usize) {
        if let Some(flow) = self.table.flow_at(at) {
            if self.flows.get(&key_of(&flow)) == Some(&at) {
                self.flows.remove(&key_of(&flow));
            }
        }
        self.clear::<FLOW_WORDS>(Rows::Flows, at);
        self.slots[at] = Slot::Free;
    }

    /// Makes aliases free whose flows are over, or have been idle, and which no native socket
    /// uses. Returns how many.
    pub fn reclaim(&mut self, now: Instant, is_used: impl Fn(Ipv4Addr) -> bool) -> usize {
        let mut count = 0;
        let connected: HashSet<Ipv4Addr> = self.all().filter_map(|(_, it)| it.entry.flow).collect();
        for at in 0..self.slots.len() {
            let Some(alias) = self.table.address_of(Alias::Flow(at)) else {
                continue;
            };
            let may_go = match self.slots[at] {
                Slot::Free | Slot::Live(None) => false,
                Slot::Live(Some(last)) => {
                    now.saturating_duration_since(last) > IDLE && !connected.contains(&alias)
                }
                Slot::Over(since) => now.saturating_duration_since(since) > AFTERLIFE,
            };
            if !may_go || is_used(alias) {
                continue;
            }
            self.free(at);
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtun_kernel::net::{Create, Join, NetDir};
    use memtun_stack::sockets::Table;

    fn flow(number: u32, protocol: Protocol) -> Flow {
        Flow {
            protocol,
            local: (Ipv4Addr::new(10, 0, 0, 1), 1).into(),
            remote: (Ipv4Addr::from(number), 2).into(),
            ifindex: 0,
            mss: 0,
            error: 0,
        }
    }

    #[test]
    fn aliases_are_given_in_a_circle_and_none_twice() {
        let name = format!("memtun-flows-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let how = Join {
            create: Create::Named,
            owner: None,
            member: true,
        };
        let net = NetDir::join(path.to_str().expect("text").as_bytes(), how).expect("a net");
        let table = Table::of(net.make_inet().expect("made"));
        let mut writer = Writer::new(table);
        assert_eq!(writer.new_flow(&flow(0, Protocol::Tcp)), None, "no slice");
        writer.set_slice(0, 127 << 24 | 3 << 14);
        let all: Vec<Ipv4Addr> = (0..FLOWS_OF_SLICE as u32)
            .map(|number| {
                let flow = flow(number, Protocol::Tcp);
                let alias = writer.new_flow(&flow).expect("room");
                assert_eq!(writer.flow(alias), Some(flow));
                alias
            })
            .collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), FLOWS_OF_SLICE);
        let late = flow(u32::MAX, Protocol::Udp);
        assert_eq!(writer.new_flow(&late), None, "all are used");
        writer.end_flow(all[5]);
        writer.end_flow(all[7]);
        // Something may still come that was sent from it.
        let now = Instant::now();
        assert_eq!(writer.reclaim(now, |_| false), 0);
        assert!(writer.flow(all[5]).is_some());
        let later = now + AFTERLIFE + Duration::from_secs(1);
        assert_eq!(writer.reclaim(later, |alias| alias == all[5]), 1);
        assert_eq!(writer.new_flow(&late), Some(all[7]));
        assert_eq!(writer.new_flow(&late), Some(all[7]), "the same flow");
        assert_eq!(writer.flow(all[7]), Some(late));
        // Another host process goes on with them.
        let table = Table::of(net.make_inet().expect("mapped"));
        let next = Writer::new(table);
        assert_eq!(next.flow(all[9]), Some(flow(9, Protocol::Tcp)));
        net.remove().expect("removed");
    }
}
