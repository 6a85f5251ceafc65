//! A network namespace as one question finds it: what the net's host knows, the links as they are
//! now, and the machine's own interfaces where they are seen.
#![forbid(unsafe_code)]

use crate::devices::Devices;
use memtun_abi::Name;
use memtun_stack::address::Head;
use memtun_stack::{Address, Link, Neighbour, Route, Rule, State};
use std::ops::{Deref, DerefMut};

/// Something of the machine's, with the message of the machine's kernel that described it. That
/// message is answered as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Own<T> {
    /// What it is.
    pub item: T,
    /// The message, with its header.
    pub message: Vec<u8>,
}

/// What the machine's kernel says of itself, without what the net hides. Nothing where the
/// machine is not seen.
#[derive(Clone, Default, Debug)]
pub struct Machine {
    /// Its links.
    pub links: Vec<Own<Link>>,
    /// Its queueing disciplines, each with the index of its link, when a program has just asked for
    /// them.
    pub disciplines: Vec<Own<u32>>,
    /// Its addresses.
    pub addresses: Vec<Own<Address>>,
    /// Its routes.
    pub routes: Vec<Own<Route>>,
    /// Its rules.
    pub rules: Vec<Own<Rule>>,
    /// Its neighbours.
    pub neighbours: Vec<Own<Neighbour>>,
    /// The kind of queueing discipline that its links get (net.core.default_qdisc); empty where
    /// that is not known.
    pub queueing: Vec<u8>,
}

impl Machine {
    /// Leaves out the links whose names `is_known`, with all that belongs to them: a name that the
    /// net knows is never the machine's.
    pub fn leave_out(&mut self, is_known: impl Fn(&Name) -> bool) {
        let links = self.links.iter().map(|own| &own.item.extra);
        let known = links.filter(|extra| is_known(&extra.name));
        let known: Vec<u32> = known.map(|extra| extra.index).collect();
        if known.is_empty() {
            return;
        }
        self.links
            .retain(|own| !known.contains(&own.item.extra.index));
        self.addresses
            .retain(|own| !known.contains(&own.item.index));
        self.routes.retain(|own| {
            let mut hops = own.item.hops.iter();
            !hops.any(|hop| known.contains(&hop.index))
        });
        self.neighbours
            .retain(|own| !known.contains(&own.item.index));
    }
}

/// Something that listeners are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The group that is told (RTNLGRP_*).
    pub group: u8,
    /// The message.
    pub message: Vec<u8>,
    /// Port of a listener that is not told, because it has been answered with the message itself
    /// (NLM_F_ECHO); 0 for none.
    pub except: u32,
}

/// A state that counts how often it was borrowed for a change, so that a question that only reads
/// costs no comparison of all that there is.
#[derive(Clone, Default, Debug)]
pub struct Watched {
    state: State,
    touches: u64,
}

impl Watched {
    /// Returns how often the state was borrowed for a change.
    pub fn touches(&self) -> u64 {
        self.touches
    }

    /// Returns the state.
    pub fn into_state(self) -> State {
        self.state
    }
}

impl From<State> for Watched {
    fn from(state: State) -> Watched {
        Watched { state, touches: 0 }
    }
}

impl Deref for Watched {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut State {
        self.touches += 1;
        &mut self.state
    }
}

/// A network namespace as one question finds it.
pub struct World<'w> {
    /// What the host knows. A change here is published when the question has been answered.
    pub state: &'w mut Watched,
    /// The net's links as they are now, with what the host knows of each: declared ones and the
    /// interfaces, by ascending index. Those of the machine are in `machine`.
    pub links: Vec<Link>,
    /// What is seen of the machine.
    pub machine: Machine,
    /// The tun driver behind the interfaces.
    pub devices: &'w mut dyn Devices,
    /// What listeners are told, in this order.
    pub events: Vec<Event>,
    /// While something happens to a link: what a work queue of the kernel does and tells when it is
    /// over. None outside of that, where it is told at once.
    pub later: Option<Vec<Event>>,
    /// The time in hundredths of a second of CLOCK_BOOTTIME.
    pub now: u32,
    /// The asker's port, 0 for an ioctl: it stands in the events that it caused.
    pub port: u32,
    /// Number of the asker's message, which stands in the events that it caused.
    pub sequence: u32,
}

impl World<'_> {
    /// Tells the listeners of a group (RTNLGRP_*) a message.
    pub fn tell(&mut self, group: u32, message: Vec<u8>) {
        self.events.push(Event {
            group: group as u8,
            message,
            except: 0,
        });
    }

    /// Runs something of which the kernel leaves a part to a work queue: what [`World::postpone`]
    /// was told is told behind everything else.
    pub fn with_work_queue(&mut self, run: impl FnOnce(&mut Self)) {
        if self.later.is_some() {
            return run(self);
        }
        self.later = Some(Vec::new());
        run(self);
        self.events.extend(self.later.take().unwrap_or_default());
    }

    /// Runs something that the kernel does in a work queue.
    pub fn postpone(&mut self, run: impl FnOnce(&mut Self)) {
        let before = self.events.len();
        run(self);
        if let Some(later) = &mut self.later {
            later.extend(self.events.drain(before..));
        }
    }

    /// Returns the head of an event that the asker's request caused: with its port and number.
    pub fn caused(&self, kind: u16, flags: u16) -> Head {
        Head {
            kind,
            flags,
            sequence: self.sequence,
            port: self.port,
        }
    }

    /// Returns the link of an index, the machine's as well.
    pub fn link(&self, index: u32) -> Option<&Link> {
        let machine = self.machine.links.iter().map(|own| &own.item);
        let mut all = self.links.iter().chain(machine);
        all.find(|link| link.extra.index == index)
    }

    /// Returns the link of a name or another name of it, the machine's as well. The net's come
    /// first.
    pub fn link_named(&self, name: &[u8]) -> Option<&Link> {
        let machine = self.machine.links.iter().map(|own| &own.item);
        let mut all = self.links.iter().chain(machine);
        all.find(|link| {
            link.extra.name.as_bytes() == name
                || link.extra.other_names.iter().any(|other| other == name)
        })
    }

    /// Is this a link of the machine's? What is changed on it stays in the net.
    pub fn is_of_machine(&self, index: u32) -> bool {
        let mut machine = self.machine.links.iter();
        machine.any(|own| own.item.extra.index == index)
    }

    /// Returns all addresses: the machine's, then the net's.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        let machine = self.machine.addresses.iter().map(|own| &own.item);
        machine.chain(&self.state.addresses)
    }

    /// Returns all routes: the machine's, then the net's.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        let machine = self.machine.routes.iter().map(|own| &own.item);
        machine.chain(self.state.routes.iter().map(|route| &**route))
    }
}
