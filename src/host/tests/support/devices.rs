//! A tun driver that is only values: `lo`, `tun0` and `tap0`, as they are in a new namespace where
//! a program has made both.

use memtun_abi::{Errno, Name};
use memtun_host::devices::Devices;
use memtun_stack::link::{Counters, Driver, Extra};
use memtun_stack::Link;

/// The links.
#[derive(Clone, Debug)]
pub struct Fake {
    pub links: Vec<Link>,
}

/// Indexes of the links.
pub const LO: u32 = 1;
pub const TUN: u32 = 2;
pub const TAP: u32 = 3;

/// Address of the tap.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn link(index: u32, name: &str, flags: i32, kind: u16, address: &[u8], driver: u32) -> Link {
    Link {
        extra: Extra {
            index,
            name: Name::new(name).expect("a name"),
            flags: flags as u32,
            mtu: if driver == 0 { 65536 } else { 1500 },
            txqueuelen: 500,
            link_type: kind,
            address: address.to_vec(),
            ..Extra::default()
        },
        carrier: true,
        counters: Counters::default(),
        driver: (driver != 0).then_some(Driver {
            flags: driver,
            owner: -1,
            group: -1,
            queues: 1,
            detached: 0,
        }),
    }
}

impl Fake {
    pub fn new() -> Fake {
        let tun = libc::IFF_POINTOPOINT | libc::IFF_NOARP | libc::IFF_MULTICAST;
        let tap = libc::IFF_BROADCAST | libc::IFF_MULTICAST;
        Fake {
            links: vec![
                link(
                    LO,
                    "lo",
                    libc::IFF_LOOPBACK,
                    libc::ARPHRD_LOOPBACK,
                    &[0; 6],
                    0,
                ),
                link(TUN, "tun0", tun, 0xfffe, &[], 1),
                link(TAP, "tap0", tap, libc::ARPHRD_ETHER, &MAC, 2),
            ],
        }
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
        self.find(index)?.extra.flags = flags;
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
        self.find(index)?.extra.address = address.to_vec();
        Ok(())
    }
    fn rename(&mut self, index: u32, name: &Name) -> Result<(), Errno> {
        self.find(index)?.extra.name = *name;
        Ok(())
    }
    fn set_carrier(&mut self, index: u32, carrier: bool) -> Result<(), Errno> {
        self.find(index)?.carrier = carrier;
        Ok(())
    }
    fn delete(&mut self, index: u32) -> Result<(), Errno> {
        self.find(index)?;
        self.links.retain(|link| link.extra.index != index);
        Ok(())
    }
    fn may_configure(&self) -> bool {
        true
    }
}
