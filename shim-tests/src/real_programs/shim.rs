//! The driver's side under the shim. These tests use the `memtun` crate only in this file.

use memtun::{NetOptions, Sending};
use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{End, SOON};

pub struct ShimEnd {
    iface: memtun::Interface,
    packets: RefCell<memtun::Subscriber>,
}

impl ShimEnd {
    pub fn wait(net: &Path, name: &str) -> Result<Self, String> {
        let net = joined(net).map_err(|e| e.to_string())?;
        let iface = net
            .wait_interface_within(name, SOON)
            .map_err(|e| e.to_string())?;
        let packets = RefCell::new(iface.subscribe());
        Ok(Self { iface, packets })
    }
}

/// The net, which the program makes: a net that root made would be closed to an ordinary user.
fn joined(net: &Path) -> memtun::Result<memtun::Net> {
    let end = Instant::now() + SOON;
    loop {
        // Root has to say whose net it joins.
        let owner = std::fs::metadata(net).map(|found| found.uid());
        let options = owner.map_or(NetOptions::new(), |uid| NetOptions::new().owner(uid));
        match options.open(net) {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            joined => return joined,
        }
    }
}

impl End for ShimEnd {
    fn set_link(&self, up: bool) {
        if let Err(error) = self.iface.set_up(up) {
            panic!("the link: {error}");
        }
    }

    fn put(&self, packet: &[u8]) {
        if let Err(error) = self.iface.inject_with(packet, Sending::new().within(SOON)) {
            panic!("inject of {} bytes: {error}", packet.len());
        }
    }

    fn take(&self, timeout: Duration) -> Option<Vec<u8>> {
        let packet = self.packets.borrow_mut().recv_within(timeout);
        match packet {
            Ok(packet) => Some(packet.data),
            Err(error) if error.errno().0 == libc::EAGAIN => None,
            Err(error) => panic!("recv: {error}"),
        }
    }
}
