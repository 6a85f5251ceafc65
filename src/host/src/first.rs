//! What the first host process of a net begins with: how the machine is seen, and the links that
//! are declared.
#![forbid(unsafe_code)]

use crate::devices::Devices;
use crate::netlink;
use crate::world::{Machine, Watched, World};
use crate::Failure;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::{NetDir, FIRST_IFINDEX, ISOLATED_IFINDEX};
use memtun_stack::state::{State, View};
use memtun_stack::wire::{family_of, u32_at, Messages, Writer};
use memtun_stack::Extra;
use memtun_sys as sys;
use std::net::IpAddr;

/// A link that the net declares, over which its programs believe to reach the world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uplink {
    /// Name of the link.
    pub name: Name,
    /// Its address and the length of the prefix in bits. A link that has several is declared
    /// several times.
    pub address: (IpAddr, u8),
    /// The gateway of its default route.
    pub via: Option<IpAddr>,
}

/// First index of uplinks in a net that has interfaces already.
const LATE_UPLINKS: u32 = 900;

/// What the first host process of a net begins with.
#[derive(Clone, Default, Debug)]
pub struct First {
    /// What is seen of the machine.
    pub view: View,
    /// The uplinks that are declared.
    pub uplinks: Vec<Uplink>,
}

impl First {
    /// Makes the state of a net that has none yet, see [`First::state`], and says at which index
    /// the net's interfaces begin. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// What [`First::state`] fails with.
    pub fn begin(&self, net: &NetDir, devices: &mut dyn Devices, now: u32) -> Result<State, Errno> {
        let mut first = self.clone();
        let behind = ISOLATED_IFINDEX + self.names().len() as u32;
        let numbered = match self.view {
            View::Isolated => net.number_from(behind),
            View::Merged => net.number_from(FIRST_IFINDEX),
        };
        // A program that does not see the machine was there before, and its interfaces have the
        // indexes of the machine's.
        if !numbered {
            first.view = View::Isolated;
        }
        let uplinks_from = if numbered {
            ISOLATED_IFINDEX
        } else {
            LATE_UPLINKS
        };
        first.state(devices, now, uplinks_from)
    }

    /// Returns the state of a net that has none yet. Where the machine is not seen there is a
    /// loopback, as in a new network namespace. It is down, unless there are uplinks: these and the
    /// loopback are set up, and get their addresses and routes, as a program would do it. The
    /// uplinks' indexes begin at `uplinks_from`.
    ///
    /// # Errors
    ///
    /// - EINVAL for the name of an uplink that no interface can have.
    /// - What setting an address or a route fails with, for example ENETUNREACH for a gateway that
    ///   cannot be reached.
    pub fn state(
        &self,
        devices: &mut dyn Devices,
        now: u32,
        uplinks_from: u32,
    ) -> Result<State, Errno> {
        let mut links: Vec<Extra> = Vec::new();
        if self.view == View::Isolated {
            links.push(loopback());
        }
        for (name, index) in self.names().into_iter().zip(uplinks_from..) {
            if !name.is_valid() || name.pattern() != Ok(None) || name.as_bytes() == b"lo" {
                return Err(Errno(libc::EINVAL));
            }
            links.push(uplink(name, index));
        }
        let mut state = State {
            view: self.view,
            links,
            ..State::default()
        };
        if !self.uplinks.is_empty() {
            self.configure(&mut state, devices, now)
                .map_err(|failure| failure.errno)?;
        }
        Ok(state)
    }

    /// Returns the names of the uplinks, each once.
    fn names(&self) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        for Uplink { name, .. } in &self.uplinks {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names
    }

    fn configure(
        &self,
        state: &mut State,
        devices: &mut dyn Devices,
        now: u32,
    ) -> Result<(), Failure> {
        let links: Vec<(Name, u32)> = state.links.iter().map(|l| (l.name, l.index)).collect();
        let index_of = |name: &Name| links.iter().find(|link| link.0 == *name).map_or(0, |l| l.1);
        let mut watched = Watched::from(std::mem::take(state));
        let mut world = World {
            state: &mut watched,
            links: Vec::new(),
            machine: Machine::default(),
            devices,
            events: Vec::new(),
            later: None,
            now,
            port: 0,
            sequence: 0,
        };
        crate::engine::link::look(&mut world)?;
        for (_, index) in &links {
            put(&mut world, &up(*index))?;
        }
        for Uplink { name, address, via } in &self.uplinks {
            let index = index_of(name);
            put(&mut world, &new_address(index, *address))?;
            if let Some(via) = via {
                put(&mut world, &default_route(index, *via))?;
            }
        }
        *state = watched.into_state();
        Ok(())
    }
}

/// Makes a request as a program would, and returns why it was refused.
fn put(world: &mut World<'_>, request: &[u8]) -> Result<(), Failure> {
    let asker = netlink::Asker {
        port: 0,
        options: 0,
        uid: 0,
    };
    let answers = netlink::answer(world, asker, request);
    let errno = answers
        .iter()
        .flat_map(|answer| Messages(answer))
        .find_map(|message| {
            let is_error = message.kind == libc::NLMSG_ERROR as u16;
            is_error.then(|| u32_at(message.body, 0)).flatten()
        });
    match errno {
        Some(0) => Ok(()),
        Some(errno) => Err(Failure::new(-(errno as i32))),
        None => Err(Failure::new(libc::ENOSYS)),
    }
}

const NEW: i32 = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE;

fn up(index: u32) -> Vec<u8> {
    let up = (libc::IFF_UP as u32).to_ne_bytes();
    let mut own = [0; memtun_stack::link::HEADER];
    own[4..8].copy_from_slice(&index.to_ne_bytes());
    own[8..12].copy_from_slice(&up);
    own[12..].copy_from_slice(&up);
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
    let mut to = Writer::default();
    to.message(libc::RTM_NEWLINK, flags as u16, 1, 0).raw(&own);
    to.take()
}

fn new_address(index: u32, (address, length): (IpAddr, u8)) -> Vec<u8> {
    let mut own = [family_of(address), length, 0, 0, 0, 0, 0, 0];
    own[4..].copy_from_slice(&index.to_ne_bytes());
    let mut to = Writer::default();
    to.message(libc::RTM_NEWADDR, NEW as u16, 1, 0)
        .raw(&own)
        .ip(libc::IFA_LOCAL, address)
        .ip(libc::IFA_ADDRESS, address);
    to.take()
}

fn default_route(index: u32, via: IpAddr) -> Vec<u8> {
    let mut own = [0; memtun_stack::route::HEADER];
    own[0] = family_of(via);
    own[4] = libc::RT_TABLE_MAIN;
    own[5] = libc::RTPROT_BOOT;
    own[7] = libc::RTN_UNICAST;
    let mut to = Writer::default();
    // Of several default routes the one that was declared first is the one that counts.
    let flags = NEW | libc::NLM_F_APPEND;
    to.message(libc::RTM_NEWROUTE, flags as u16, 1, 0)
        .raw(&own)
        .ip(libc::RTA_GATEWAY, via)
        .u32(libc::RTA_OIF, index);
    to.take()
}

fn loopback() -> Extra {
    Extra {
        index: 1,
        name: Name::new(b"lo").unwrap_or_default(),
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

fn uplink(name: Name, index: u32) -> Extra {
    // As in eth_hw_addr_random the address is locally administered and unicast.
    let mut address = sys::random().to_ne_bytes()[..6].to_vec();
    address[0] = address[0] & 0xfe | 2;
    Extra {
        index,
        name,
        flags: (libc::IFF_BROADCAST | libc::IFF_MULTICAST) as u32,
        mtu: 1500,
        txqueuelen: 1000,
        link_type: libc::ARPHRD_ETHER,
        address,
        broadcast: vec![0xff; 6],
        declared: true,
        ..Extra::default()
    }
}
