//! A net without processes: what the tests of the host's functions have in common.
pub use super::devices::{interface, loopback, Fake};
use memtun_abi::uapi::*;
use memtun_host::netlink::{answer, Asker};
use memtun_host::world::{Event, Machine, Watched};
use memtun_host::World;
use memtun_stack::wire::Writer;
use memtun_stack::State;

/// A network namespace in memory: `lo`, a tun of index 2 and a tap of index 3.
pub struct Net {
    pub state: Watched,
    pub fake: Fake,
    pub machine: Machine,
    pub events: Vec<Event>,
    pub asker: Asker,
}

impl Net {
    pub fn new() -> Net {
        let state = State {
            links: vec![loopback()],
            ..State::default()
        };
        let fake = Fake::with(vec![
            interface(2, "tun0", IFF_TUN | IFF_NO_PI),
            interface(3, "tap0", IFF_TAP | IFF_NO_PI),
        ]);
        Net {
            state: state.into(),
            fake,
            machine: Machine::default(),
            events: Vec::new(),
            asker: Asker {
                port: 77,
                options: memtun_stack::ask::option::EXT_ACK,
                uid: 0,
            },
        }
    }

    pub fn with<R>(&mut self, run: impl FnOnce(&mut World<'_>) -> R) -> R {
        let mut world = World {
            state: &mut self.state,
            links: Vec::new(),
            machine: self.machine.clone(),
            devices: &mut self.fake,
            events: Vec::new(),
            later: None,
            now: 1000,
            port: 0,
            sequence: 0,
        };
        let result = run(&mut world);
        self.events.append(&mut world.events);
        result
    }

    /// Asks, and returns the datagrams of the answer.
    pub fn ask(&mut self, request: &[u8]) -> Vec<Vec<u8>> {
        let asker = self.asker;
        self.with(|world| answer(world, asker, request))
    }
}

/// Makes a request.
pub fn request(kind: u16, flags: i32, own: &[u8], attributes: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut to = Writer::default();
    to.message(kind, flags as u16, 1, 0).raw(own);
    attributes(&mut to);
    to.take()
}

/// Makes `struct ifinfomsg`.
pub fn ifinfo(family: u8, index: i32, flags: u32, change: u32) -> Vec<u8> {
    let mut own = vec![family, 0, 0, 0];
    own.extend(index.to_ne_bytes());
    own.extend(flags.to_ne_bytes());
    own.extend(change.to_ne_bytes());
    own
}
