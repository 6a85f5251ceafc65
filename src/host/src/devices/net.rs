//! The interfaces of a net, in its shared memory.
#![forbid(unsafe_code)]

use super::Devices;
use memtun_abi::{Errno, Name};
use memtun_kernel::link::Link as _;
use memtun_kernel::net::{NetDir, NoTunnels};
use memtun_kernel::policy::{Permission, Policy};
use memtun_shm::layout::InterfaceState;
use memtun_shm::Mapped;
use memtun_stack::{link, Link};

/// The interfaces of a net. The net's lock is held during each call.
pub struct NetDevices<'n>(pub &'n NetDir);

impl NetDevices<'_> {
    /// Runs `run` with an interface, and tells those who wait for changes.
    fn change(
        &mut self,
        index: u32,
        run: impl FnOnce(&NetDir, &Mapped<InterfaceState>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let _lock = self.0.lock()?;
        let found = self.0.find_by_index(index, &NoTunnels)?;
        run(self.0, &found.ok_or(Errno(libc::ENODEV))?)?;
        self.0.announce();
        Ok(())
    }
}

impl Devices for NetDevices<'_> {
    fn links(&mut self) -> Result<Vec<Link>, Errno> {
        let _lock = self.0.lock()?;
        let interfaces = link::of_net(self.0, &NoTunnels)?;
        let links = interfaces.iter();
        Ok(links
            .map(|interface| Link::of_interface(interface))
            .collect())
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
        self.change(index, |_, interface| {
            interface.set_carrier(carrier);
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
        self.0.permit_check(Permission::NetAdmin).is_ok()
    }
}
