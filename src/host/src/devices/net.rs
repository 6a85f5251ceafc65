//! The interfaces of a net, in its shared memory.
#![forbid(unsafe_code)]

use super::Devices;
use memtun_abi::{Errno, Name};
use memtun_kernel::link::ethtool::{Change, Settings};
use memtun_kernel::link::Link as _;
use memtun_kernel::net::{NetDir, NoTunnels};
use memtun_kernel::policy::{Permission, Policy};
use memtun_shm::layout::InterfaceState;
use memtun_shm::Mapped;
use memtun_stack::{link, Link};
use std::sync::atomic::Ordering::SeqCst;

/// The interfaces of a net as they were found, which the next question need not look for again
/// while nobody has told of a change of them.
#[derive(Default)]
pub struct Found {
    interfaces: Vec<Mapped<InterfaceState>>,
    /// [`changes`](memtun_shm::layout::NetState::changes) of the net before they were looked for;
    /// None while they have to be.
    changes: Option<u32>,
    /// Have they been looked at in the train that is taken now?
    train: Train,
}

/// Many packets that are taken in one go. They meet one state of the interfaces: to look whether
/// each program still lives costs more than all else that is done for a packet.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Train {
    #[default]
    None,
    /// Nobody has looked yet.
    Begun,
    /// Those that were found are alive.
    Looked,
}

impl Found {
    /// Says that many packets are taken in one go from here on, or are taken.
    pub fn train(&mut self, begins: bool) {
        self.train = match begins {
            true => Train::Begun,
            false => Train::None,
        };
    }

    /// Looks for the interfaces, unless they have been found and nobody has told of a change.
    fn look(&mut self, net: &NetDir) -> Result<(), Errno> {
        let changes = Some(net.changes.load(SeqCst));
        // A program that was killed has told nobody.
        let alive = |it: &Mapped<InterfaceState>| net.is_alive(it, &NoTunnels);
        let are_here = self.changes == changes
            && (self.train == Train::Looked || self.interfaces.iter().all(alive));
        if !are_here || Some(net.changes.load(SeqCst)) != changes {
            self.changes = None;
            self.interfaces = link::of_net(net, &NoTunnels)?;
            self.changes = changes;
        }
        if self.train == Train::Begun {
            self.train = Train::Looked;
        }
        Ok(())
    }

    /// Says that the interfaces have to be looked for again.
    pub fn forget(&mut self) {
        *self = Found {
            train: self.train,
            ..Found::default()
        };
    }
}

/// The interfaces of a net during one question. The net's lock is held during each call.
pub struct NetDevices<'n> {
    net: &'n NetDir,
    found: &'n mut Found,
    /// What was read of the interfaces, until one is changed through this value: one question sees
    /// one state of them, though several of its parts look.
    seen: Option<Vec<Link>>,
    /// Does a driver ask, whom the net's permissions do not concern?
    driver: bool,
}

impl NetDevices<'_> {
    /// Looks at the interfaces of a net.
    pub fn new<'n>(net: &'n NetDir, found: &'n mut Found) -> NetDevices<'n> {
        NetDevices {
            net,
            found,
            seen: None,
            driver: false,
        }
    }

    /// Says whether a driver asks, whom the net's permissions do not concern.
    pub fn for_driver(self, driver: bool) -> Self {
        Self { driver, ..self }
    }

    /// Runs `run` with an interface, and tells those who wait for changes.
    fn change(
        &mut self,
        index: u32,
        run: impl FnOnce(&NetDir, &Mapped<InterfaceState>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.seen = None;
        let _lock = self.net.lock()?;
        let found = self.net.find_by_index(index, &NoTunnels)?;
        self.net
            .announced(run(self.net, &found.ok_or(Errno(libc::ENODEV))?))
    }
}

impl Devices for NetDevices<'_> {
    fn links(&mut self) -> Result<Vec<Link>, Errno> {
        if let Some(seen) = &self.seen {
            return Ok(seen.clone());
        }
        let _lock = self.net.lock()?;
        self.found.look(self.net)?;
        let links = self.found.interfaces.iter();
        let links: Vec<Link> = links
            .map(|interface| Link::of_interface(interface))
            .collect();
        self.seen = Some(links.clone());
        Ok(links)
    }

    fn set_flags(&mut self, index: u32, flags: u32) -> Result<(), Errno> {
        self.change(index, |net, interface| {
            net.set_flags(interface, flags, &NoTunnels);
            Ok(())
        })
    }

    fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Errno> {
        self.change(index, |_, interface| interface.set_mtu(mtu.into()))
    }

    fn set_txqueuelen(&mut self, index: u32, packets: u32) -> Result<(), Errno> {
        self.change(index, |net, interface| {
            net.set_txqueuelen(interface, packets, &NoTunnels)
        })
    }

    fn set_address(&mut self, index: u32, address: [u8; 6]) -> Result<(), Errno> {
        self.change(index, |_, interface| interface.set_mac(address))
    }

    fn rename(&mut self, index: u32, name: &Name) -> Result<(), Errno> {
        self.change(index, |net, interface| {
            net.rename_interface(interface, name, &NoTunnels)
        })
    }

    fn set_carrier(&mut self, index: u32, carrier: bool) -> Result<(), Errno> {
        self.change(index, |_, interface| interface.change_carrier(carrier))
    }

    fn ethtool(&mut self, index: u32) -> Result<Settings, Errno> {
        let _lock = self.net.lock()?;
        let found = self.net.find_by_index(index, &NoTunnels)?;
        Ok(Settings::of(&*found.ok_or(Errno(libc::ENODEV))?))
    }

    fn set_ethtool(&mut self, index: u32, change: Change) -> Result<(), Errno> {
        self.change(index, |_, interface| {
            change.make(interface);
            Ok(())
        })
    }

    fn delete(&mut self, index: u32) -> Result<(), Errno> {
        self.change(index, |net, interface| {
            net.delete_interface(interface, &NoTunnels);
            Ok(())
        })
    }

    fn may_configure(&self) -> bool {
        self.driver || self.net.permit_check(Permission::NetAdmin).is_ok()
    }
}
