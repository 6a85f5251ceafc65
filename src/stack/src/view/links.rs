//! The links that the net shows, read without an allocation.
#![forbid(unsafe_code)]

use super::tree::Tree;
use crate::link::{Counters, Driver, DECLARED, GROUPS, HEADER, RECEIVES_ALL, STATES};
use crate::state::{self, View};
use crate::wire::{u16_at, u32_at, Attributes, Message};
use memtun_abi::{Errno, Name};
use memtun_shm::layout::InterfaceState;
use memtun_shm::{load_name, Mapped};
use memtun_sys::{self as sys, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

/// Longest link-layer address that is kept, in bytes (MAX_ADDR_LEN).
const LONGEST_ADDRESS: usize = 32;

/// A link-layer address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardwareAddress {
    bytes: [u8; LONGEST_ADDRESS],
    length: usize,
}

impl HardwareAddress {
    fn new(bytes: &[u8]) -> HardwareAddress {
        let mut address = HardwareAddress {
            length: bytes.len().min(LONGEST_ADDRESS),
            ..HardwareAddress::default()
        };
        address.bytes[..address.length].copy_from_slice(&bytes[..address.length]);
        address
    }
    /// Returns the bytes of the address; none for a tun.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A link as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Index of the link.
    pub index: u32,
    /// Its name.
    pub name: Name,
    /// Its flags, without IFF_RUNNING and what else follows from other things.
    pub flags: u32,
    /// Its mtu in bytes.
    pub mtu: u32,
    /// Length of its queue in packets.
    pub txqueuelen: u32,
    /// ARPHRD_* of the link.
    pub link_type: u16,
    /// Its address.
    pub address: HardwareAddress,
    /// Its broadcast address.
    pub broadcast: HardwareAddress,
    /// Group of links.
    pub group: u32,
    /// IF_LINK_MODE_*.
    pub link_mode: u8,
    /// Has it a carrier?
    pub carrier: bool,
    /// How often the carrier has come, and how often it has gone.
    pub carrier_changes: [u32; 2],
    /// Has it gone down since it first came up?
    pub was_down: bool,
    /// Does its driver receive what is sent to every address, though nobody has set that?
    pub receives_all: bool,
    /// IF_OPER_* as the host last told it.
    pub operstate: u8,
    /// Speed in megabits a second, and DUPLEX_*.
    pub speed: (u32, u8),
    /// Was its address set? Otherwise it is a random one.
    pub address_is_set: bool,
    /// Its counters.
    pub counters: Counters,
    /// What the tun driver says; None for a declared link.
    pub driver: Option<Driver>,
}

impl Seen {
    fn of_interface(interface: &InterfaceState) -> Seen {
        let tap = interface.is_tap();
        let address = HardwareAddress::new(if tap { &[0xff; 6] } else { &[] });
        Seen {
            index: interface.ifindex.load(Relaxed),
            name: load_name(&interface.name),
            flags: interface.if_flags.load(Relaxed),
            mtu: interface.mtu.load(Relaxed),
            txqueuelen: interface.txqueuelen.load(Relaxed),
            link_type: interface.link_type.load(Relaxed) as u16,
            address: match tap {
                true => HardwareAddress::new(&interface.mac()),
                false => HardwareAddress::default(),
            },
            broadcast: address,
            group: 0,
            link_mode: 0,
            carrier: interface.carrier.load(Relaxed) != 0,
            carrier_changes: [
                interface.carrier_ups.load(Relaxed),
                interface.carrier_downs.load(Relaxed),
            ],
            was_down: false,
            receives_all: false,
            operstate: 0,
            speed: (
                interface.link_settings[0].load(Relaxed),
                interface.link_settings[1].load(Relaxed).to_ne_bytes()[0],
            ),
            address_is_set: interface.mac_is_set.load(Relaxed) != 0,
            counters: Counters::of_interface(interface),
            driver: Some(Driver::of_interface(interface)),
        }
    }

    /// Reads a declared link out of the state; None for any other message.
    fn declared(message: &Message<'_>) -> Option<Seen> {
        let (body, attributes) = link(message)?;
        if attributes.get(DECLARED)?.u8()? == 0 {
            return None;
        }
        let bytes = |kind| attributes.get(kind).map(|a| HardwareAddress::new(a.value));
        Some(Seen {
            index: u32_at(body, 4)?,
            name: Name::new(attributes.get(libc::IFLA_IFNAME)?.string())?,
            flags: u32_at(body, 8)? & !(libc::IFF_RUNNING as u32),
            mtu: attributes.get(libc::IFLA_MTU)?.u32()?,
            txqueuelen: attributes.get(libc::IFLA_TXQLEN)?.u32()?,
            link_type: u16_at(body, 2)?,
            address: bytes(libc::IFLA_ADDRESS)?,
            broadcast: bytes(libc::IFLA_BROADCAST)?,
            group: attributes.get(libc::IFLA_GROUP)?.u32()?,
            link_mode: attributes.get(libc::IFLA_LINKMODE)?.u8()?,
            carrier: true,
            carrier_changes: [0; 2],
            was_down: false,
            receives_all: false,
            operstate: 0,
            speed: (0, 0),
            address_is_set: false,
            counters: Counters::default(),
            driver: None,
        })
    }

    /// Takes over what only the host knows of this link.
    fn add(&mut self, message: &Message<'_>) -> bool {
        let Some((body, attributes)) = link(message) else {
            return false;
        };
        if u32_at(body, 4) != Some(self.index) {
            return false;
        }
        let number = |kind| attributes.get(kind).and_then(|a| a.u32());
        self.group = number(libc::IFLA_GROUP).unwrap_or(0);
        self.link_mode = attributes
            .get(libc::IFLA_LINKMODE)
            .and_then(|a| a.u8())
            .unwrap_or(0);
        let bits = attributes.get(STATES).and_then(|a| a.u8());
        self.was_down = bits.unwrap_or(0) & 8 != 0;
        self.receives_all = bits.unwrap_or(0) & RECEIVES_ALL != 0;
        let operstate = attributes.get(libc::IFLA_OPERSTATE);
        self.operstate = operstate.and_then(|a| a.u8()).unwrap_or(0);
        let broadcast = attributes.get(libc::IFLA_BROADCAST);
        if let Some(own) = broadcast.filter(|a| !a.value.is_empty()) {
            self.broadcast = HardwareAddress::new(own.value);
        }
        true
    }

    /// Is it up?
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Is it a tap of the net's?
    pub fn is_tap(&self) -> bool {
        let driver = self.driver;
        driver.is_some_and(|driver| driver.flags & memtun_abi::uapi::IFF_TUN == 0)
    }

    /// Has it IPv6? A link with an mtu below IPv6's least one has not.
    pub fn has_ipv6(&self) -> bool {
        /// IPV6_MIN_MTU.
        const LEAST: u32 = 1280;
        self.mtu >= LEAST
    }
}

/// The body and the attributes of a message that describes a link in the state's file.
fn link<'m>(message: &Message<'m>) -> Option<(&'m [u8], Attributes<'m>)> {
    let body = message.body;
    if message.kind != libc::RTM_NEWLINK || body.len() < HEADER {
        return None;
    }
    Some((body, Attributes::behind(body, HEADER)))
}

/// What was changed in the net on a link of the machine's.
pub(crate) struct Overlay {
    pub(crate) index: u32,
    pub(crate) flags: u32,
    pub(crate) mtu: u32,
    pub(crate) txqueuelen: u32,
    pub(crate) group: u32,
}

/// Says to whom a name belongs.
#[allow(clippy::large_enum_variant, reason = "nothing may be allocated here")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// To this link of the net.
    Ours(Seen),
    /// To nobody: a link of the net had it, or the machine is not seen.
    Nobodys,
    /// To the machine, if to anybody.
    Machines,
}

impl Tree<'_> {
    /// Maps an interface of the net by its name.
    pub(crate) fn interface(&self, name: &Name) -> Option<Mapped<InterfaceState>> {
        let found = match self.lock {
            Some(_) => self.net.find_interface(name, self.local),
            None => self.net.look_up(name),
        };
        found.ok().flatten()
    }

    /// Says to whom a name belongs.
    pub fn whose(&self, name: &Name) -> Whose {
        if let Some(interface) = self.interface(name) {
            let mut seen = Seen::of_interface(&interface);
            let _ = state::each_message(self.net, |message| !seen.add(message));
            return Whose::Ours(seen);
        }
        let mut found = None;
        let _ = state::each_message(self.net, |message| {
            found = Seen::declared(message).filter(|seen| seen.name == *name);
            found.is_none()
        });
        match found {
            Some(seen) => Whose::Ours(seen),
            None if self.net.knows(name) || self.view() == View::Isolated => Whose::Nobodys,
            None => Whose::Machines,
        }
    }

    /// Returns the name of a link of the net's by its index.
    pub fn name_of(&self, index: u32) -> Option<Name> {
        let mut name = None;
        self.each_link(&mut |seen| {
            name = (seen.index == index).then_some(seen.name);
            name.is_none()
        });
        name
    }

    /// Calls `each` with the links of the net by ascending index, declared ones first, until `each`
    /// returns false.
    pub fn each_link(&self, each: &mut dyn FnMut(&Seen) -> bool) {
        /// Number of interfaces that are put into order at a time.
        const BATCH: usize = 64;
        let mut more = true;
        let _ = state::each_message(self.net, |message| {
            if let Some(seen) = Seen::declared(message) {
                more = each(&seen);
            }
            more
        });
        let mut last = 0;
        while more {
            let mut batch = [(u32::MAX, Name::default()); BATCH];
            let mut count = 0;
            let _ = self.net.each_name(|name| {
                let Some(interface) = self.interface(&name) else {
                    return true;
                };
                let index = interface.ifindex.load(Relaxed);
                if index > last {
                    let at = batch[..count].partition_point(|(other, _)| *other < index);
                    if at < BATCH {
                        count = (count + 1).min(BATCH);
                        batch[at..count].rotate_right(1);
                        batch[at] = (index, name);
                    }
                }
                true
            });
            for (index, name) in &batch[..count] {
                last = *index;
                let Some(interface) = self.interface(name) else {
                    continue;
                };
                let mut seen = Seen::of_interface(&interface);
                let _ = state::each_message(self.net, |message| !seen.add(message));
                more = more && each(&seen);
            }
            more = more && count == BATCH;
        }
    }

    /// Returns what was changed in the net on a link of the machine's, as far as a file of /sys
    /// shows it; None where nothing was.
    pub(crate) fn overlay(&self, name: &Name) -> Option<Overlay> {
        let parts = [super::place::CLASS, b"/", name.as_bytes(), b"/ifindex"];
        let path = PathBuf::concat(&parts).ok()?;
        let file = sys::open(path.cstr(), libc::O_RDONLY | libc::O_CLOEXEC, 0).ok()?;
        let mut room = [0; 16];
        let n = sys::read(file.raw(), &mut room).ok()?;
        let index = std::str::from_utf8(room[..n].trim_ascii()).ok()?;
        let index: u32 = index.parse().ok()?;
        let mut found = None;
        let _ = state::each_message(self.net, |message| {
            let own = link(message).filter(|(body, _)| u32_at(body, 4) == Some(index));
            found = own.and_then(|(body, attributes)| {
                let number = |kind| attributes.get(kind)?.u32();
                Some(Overlay {
                    index,
                    flags: u32_at(body, 8)?,
                    mtu: number(libc::IFLA_MTU)?,
                    txqueuelen: number(libc::IFLA_TXQLEN)?,
                    group: number(libc::IFLA_GROUP)?,
                })
            });
            found.is_none()
        });
        found
    }

    /// Hands on the description of a link of the net's (IFLA_IFALIAS), if it has one.
    ///
    /// # Errors
    ///
    /// What `run` fails with.
    pub(crate) fn alias(
        &self,
        index: u32,
        run: impl FnOnce(&[u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let (mut run, mut answer) = (Some(run), Ok(()));
        let _ = state::each_message(self.net, |message| {
            let Some((body, attributes)) = link(message) else {
                return true;
            };
            if u32_at(body, 4) != Some(index) {
                return true;
            }
            if let (Some(alias), Some(run)) = (attributes.get(libc::IFLA_IFALIAS), run.take()) {
                answer = run(alias.value);
            }
            false
        });
        answer
    }
}

impl Tree<'_> {
    /// Hands on each of the groups that programs have added to a link of the net's.
    pub(crate) fn groups(&self, index: u32, run: &mut dyn FnMut(&[u8; 6])) {
        let _ = state::each_message(self.net, |message| {
            let Some((body, attributes)) = link(message) else {
                return true;
            };
            let is_it = u32_at(body, 4) == Some(index);
            if let (true, Some(groups)) = (is_it, attributes.get(GROUPS)) {
                let six = groups.value.chunks_exact(6).map(<&[u8; 6]>::try_from);
                six.flatten().for_each(&mut *run);
            }
            !is_it
        });
    }
}

/// Is this a message that describes a link of this name?
pub(crate) fn is_named(message: &Message<'_>, name: &Name) -> bool {
    link(message).is_some_and(|(_, attributes)| {
        let found = attributes.get(libc::IFLA_IFNAME);
        found.is_some_and(|a| a.string() == name.as_bytes())
    })
}
