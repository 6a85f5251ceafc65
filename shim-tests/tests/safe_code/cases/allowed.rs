//! Safe code can do all of this.
#![forbid(unsafe_code)]

use memtun_kernel::net::NetDir;
use memtun_shm::layout::{InterfaceState, TunnelState};
use memtun_shm::lock::Patience;
use memtun_shm::log::Sort;
use memtun_shm::Mapped;

pub fn queue(net: &NetDir, tunnel: &Mapped<TunnelState>) -> Option<Vec<u8>> {
    let guard = tunnel.lock(net, Patience::Program, || {}).ok()?;
    guard.queue().push(b"packet", 0x800, 500).ok()?;
    guard.queue().pop(|packet| {
        let mut data = Vec::new();
        packet.data.append_to(&mut data);
        data
    })
}

pub fn log(net: &NetDir, interface: &Mapped<InterfaceState>) {
    let mut cursor = interface.log().cursor(true);
    interface.log().read(&mut cursor, &mut Vec::new());
    if let Ok(guard) = interface.lock(net, Patience::Program, || {}) {
        let _ = guard.log_writer().append(Sort::Written, 1, |room| {
            room.store(b"x");
            Ok(0x800)
        });
    }
}

pub fn descriptors() -> Result<(), memtun::Errno> {
    let null = memtun_sys::open(c"/dev/null", 0, 0)?;
    let other = memtun_sys::duplicate_from(null.raw(), 10, true)?;
    memtun_sys::set_status_flags(other.raw(), 0)?;
    drop(std::os::fd::OwnedFd::from(other));
    Ok(())
}
