//! A net without processes: what the tests of the host's functions have in common.
#![allow(dead_code)]

use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_host::devices::Devices;
use memtun_host::netlink::{answer, Asker};
use memtun_host::world::{Event, Machine, Watched};
use memtun_host::World;
use memtun_stack::link::{Counters, Driver};
use memtun_stack::wire::Writer;
use memtun_stack::{Extra, Link, State};

const RUNNING: u32 = libc::IFF_RUNNING as u32;
const UP: u32 = libc::IFF_UP as u32;
const SETTABLE: u32 = 0xf3a5;

/// The tun driver's side in memory.
#[derive(Default)]
pub struct Fake {
    pub links: Vec<Link>,
    pub denies: bool,
}

/// Makes a tun or a tap as TUNSETIFF does.
pub fn interface(index: u32, name: &str, flags: u32) -> Link {
    let tun = flags & IFF_TUN != 0;
    let kind = if tun {
        libc::IFF_POINTOPOINT | libc::IFF_NOARP
    } else {
        libc::IFF_BROADCAST
    };
    Link {
        extra: Extra {
            index,
            name: Name::new(name.as_bytes()).unwrap(),
            flags: (kind | libc::IFF_MULTICAST) as u32,
            mtu: 1500,
            txqueuelen: if tun { 500 } else { 1000 },
            link_type: if tun { ARPHRD_NONE } else { ARPHRD_ETHER },
            address: if tun { vec![] } else { vec![2, 0, 0, 0, 0, 1] },
            broadcast: if tun { vec![] } else { vec![255; 6] },
            ..Extra::default()
        },
        carrier: true,
        counters: Counters::default(),
        driver: Some(Driver {
            flags,
            owner: -1,
            group: -1,
            queues: 1,
            detached: 0,
        }),
    }
}

/// Makes the loopback as a new network namespace has it.
pub fn loopback() -> Extra {
    Extra {
        index: 1,
        name: Name::new(b"lo").unwrap(),
        flags: libc::IFF_LOOPBACK as u32,
        mtu: 65536,
        txqueuelen: 1000,
        link_type: libc::ARPHRD_LOOPBACK,
        address: vec![0; 6],
        broadcast: vec![0; 6],
        declared: true,
        ..Extra::default()
    }
}

impl Fake {
    fn find(&mut self, index: u32) -> Result<&mut Link, Errno> {
        let mut links = self.links.iter_mut();
        links
            .find(|link| link.extra.index == index)
            .ok_or(Errno(libc::ENODEV))
    }
}

impl Devices for Fake {
    fn links(&mut self) -> Result<Vec<Link>, Errno> {
        Ok(self.links.clone())
    }
    fn set_flags(&mut self, index: u32, flags: u32) -> Result<(), Errno> {
        let link = self.find(index)?;
        let extra = &mut link.extra;
        extra.flags = flags & SETTABLE | extra.flags & !SETTABLE & !RUNNING;
        if extra.flags & UP != 0 && link.carrier {
            extra.flags |= RUNNING;
        }
        Ok(())
    }
    fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Errno> {
        self.find(index)?.extra.mtu = mtu;
        Ok(())
    }
    fn set_txqueuelen(&mut self, index: u32, packets: u32) -> Result<(), Errno> {
        self.find(index)?.extra.txqueuelen = packets;
        Ok(())
    }
    fn set_address(&mut self, index: u32, address: [u8; 6]) -> Result<(), Errno> {
        if address[0] & 1 != 0 || address == [0; 6] {
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        self.find(index)?.extra.address = address.to_vec();
        Ok(())
    }
    fn rename(&mut self, index: u32, name: &Name) -> Result<(), Errno> {
        self.find(index)?.extra.name = *name;
        Ok(())
    }
    fn set_carrier(&mut self, index: u32, carrier: bool) -> Result<(), Errno> {
        let link = self.find(index)?;
        if link.carrier != carrier {
            link.carrier = carrier;
            if carrier {
                link.extra.carrier_ups += 1;
            } else {
                link.extra.carrier_downs += 1;
            }
            link.extra.flags &= !RUNNING;
            if link.extra.flags & UP != 0 && carrier {
                link.extra.flags |= RUNNING;
            }
        }
        Ok(())
    }
    fn delete(&mut self, index: u32) -> Result<(), Errno> {
        self.find(index)?;
        self.links.retain(|link| link.extra.index != index);
        Ok(())
    }
    fn may_configure(&self) -> bool {
        !self.denies
    }
}

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
        let fake = Fake {
            links: vec![
                interface(2, "tun0", IFF_TUN | IFF_NO_PI),
                interface(3, "tap0", IFF_TAP | IFF_NO_PI),
            ],
            denies: false,
        };
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
