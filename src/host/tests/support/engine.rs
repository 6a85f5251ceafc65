//! The engine with a tun driver that is only values.

use super::devices::Fake;
use memtun_host::engine::address;
use memtun_host::netlink::{answer, Asker};
use memtun_host::world::{Machine, Watched};
use memtun_host::World;
use memtun_stack::ask::option;
use memtun_stack::Route;
use std::sync::Arc;

/// The engine's side.
pub struct Engine {
    pub state: Watched,
    pub machine: Machine,
    pub fake: Fake,
    pub events: Vec<Vec<u8>>,
    pub asker: Asker,
    pub now: u32,
}

impl Engine {
    pub fn new(port: u32) -> Engine {
        Engine {
            state: Watched::default(),
            machine: Machine::default(),
            fake: Fake::new(),
            events: Vec::new(),
            asker: Asker {
                port,
                options: option::EXT_ACK,
                uid: 0,
            },
            now: 100_000,
        }
    }

    pub fn with<T>(&mut self, act: impl FnOnce(&mut World<'_>, Asker) -> T) -> T {
        let links = self.fake.links.clone();
        let mut world = World {
            state: &mut self.state,
            links,
            machine: std::mem::take(&mut self.machine),
            devices: &mut self.fake,
            events: Vec::new(),
            later: None,
            now: self.now,
            port: 0,
            sequence: 0,
        };
        let result = act(&mut world, self.asker);
        self.machine = world.machine;
        let events = world.events.into_iter().map(|event| event.message);
        self.events.extend(events);
        result
    }

    pub fn send(&mut self, request: &[u8], strict: bool) -> Vec<Vec<u8>> {
        self.asker.options = option::EXT_ACK | if strict { option::STRICT } else { 0 };
        self.with(|world, asker| answer(world, asker, request))
    }

    /// Makes a request of ioctl(2). Returns the errno, and the argument as it is afterwards.
    pub fn ioctl(&mut self, family: u32, request: u32, argument: &[u8]) -> (i32, Vec<u8>) {
        let mut argument = argument.to_vec();
        let result =
            self.with(|world, _| memtun_host::ioctl::answer(world, family, request, &mut argument));
        (result.err().map_or(0, |failure| failure.errno.0), argument)
    }

    /// Are there several ways to one destination?
    pub fn has_multipath(&self) -> bool {
        let routes = &self.state.routes;
        let twin = |(a, b): (&Arc<Route>, &Arc<Route>)| {
            !a.is_v4() && (a.table, a.to, a.prefix) == (b.table, b.to, b.prefix)
        };
        routes.iter().any(|route| route.hops.len() > 1)
            || routes.iter().zip(routes.iter().skip(1)).any(twin)
    }

    /// Changes the flags or the mtu of a link, with all that follows.
    pub fn set_link(&mut self, index: u32, up: Option<bool>, mtu: Option<u32>) {
        let links = &mut self.fake.links;
        let link = links
            .iter_mut()
            .find(|link| link.extra.index == index)
            .expect("a link");
        let was_up = link.is_up();
        let before = link.extra.mtu;
        let running = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
        match up {
            Some(true) => link.extra.flags |= running,
            Some(false) => link.extra.flags &= !running,
            None => {}
        }
        link.extra.mtu = mtu.unwrap_or(before);
        self.with(|world, _| {
            if mtu.is_some_and(|mtu| mtu != before) {
                address::mtu_has_changed(world, index, before);
            }
            match up {
                Some(true) if !was_up => address::link_is_up(world, index),
                Some(false) if was_up => address::link_is_down(world, index),
                _ => {}
            }
        });
    }
}

/// Says what the engine has.
pub fn state(engine: &Engine) -> String {
    let mut text = String::new();
    for link in &engine.fake.links {
        text += &format!(
            "link {} flags {:x} mtu {}\n",
            link.extra.index, link.extra.flags, link.extra.mtu
        );
    }
    for a in &engine.state.addresses {
        text += &format!(
            "address {} {}/{} peer {} scope {} flags {:x}\n",
            a.index, a.local, a.prefix, a.peer, a.scope, a.flags
        );
    }
    for r in engine.state.routes.iter() {
        text += &format!(
            "route {}/{} table {} kind {} scope {} tos {} priority {} protocol {} source {:?} flags {:x} {:?}\n",
            r.to, r.prefix, r.table, r.kind, r.scope, r.tos, r.priority, r.protocol, r.source, r.flags,
            r.hops.iter().map(|h| (h.index, h.gateway, h.flags, h.weight)).collect::<Vec<_>>()
        );
    }
    text
}
