//! A tun driver that is only values.

use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_host::devices::Devices;
use memtun_kernel::link::ethtool::{Change, Settings, MODES};
use memtun_stack::link::{Counters, Driver};
use memtun_stack::{Extra, Link};

/// Indexes of the links that [`Fake::new`] has.
pub const LO: u32 = 1;
pub const TUN: u32 = 2;
pub const TAP: u32 = 3;

/// Address of a tap.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

const RUNNING: u32 = libc::IFF_RUNNING as u32;
const UP: u32 = libc::IFF_UP as u32;
const SETTABLE: u32 = 0xf3a5;

/// The tun driver's side in memory.
pub struct Fake {
    pub links: Vec<Link>,
    pub denies: bool,
    /// What each of them answers ethtool(8).
    pub settings: Settings,
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
            address: if tun { vec![] } else { MAC.to_vec() },
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
    /// Makes a driver with these links.
    pub fn with(links: Vec<Link>) -> Fake {
        Fake {
            links,
            denies: false,
            settings: Settings {
                wanted: 0,
                active: 0,
                modes: [0; MODES],
                messages: 0,
                gathered: 0,
                channels: [1, 1],
                link: false,
            },
        }
    }

    /// Makes a driver with `lo`, `tun0` and `tap0`, as they are in a new namespace where a program
    /// has made both.
    pub fn new() -> Fake {
        let lo = Link {
            extra: Extra {
                declared: false,
                ..loopback()
            },
            carrier: true,
            counters: Counters::default(),
            driver: None,
        };
        Fake::with(vec![
            lo,
            interface(TUN, "tun0", IFF_TUN | IFF_NO_PI),
            interface(TAP, "tap0", IFF_TAP | IFF_NO_PI),
        ])
    }

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
    fn ethtool(&mut self, index: u32) -> Result<Settings, Errno> {
        self.find(index).map(|_| ())?;
        Ok(self.settings)
    }
    fn set_ethtool(&mut self, index: u32, change: Change) -> Result<(), Errno> {
        self.find(index).map(|_| ())?;
        let settings = &mut self.settings;
        match change {
            Change::Wanted(features) => {
                settings.wanted = features;
                settings.active = features;
            }
            Change::Modes(modes) => settings.modes = modes,
            Change::Messages(messages) => settings.messages = messages,
            Change::Gathered(packets) => settings.gathered = packets,
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
