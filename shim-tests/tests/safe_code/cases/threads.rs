//! Gives a queue, a log or bytes of them to a thread that does not hold the lock.
#![forbid(unsafe_code)]

use memtun_kernel::net::NetDir;
use memtun_shm::layout::{InterfaceState, TunnelState};
use memtun_shm::lock::Patience;
use memtun_shm::log::Sort;
use memtun_shm::Mapped;

fn sent<T: Send>(_: &T) {}

pub fn guard(net: &NetDir, tunnel: &Mapped<TunnelState>) {
    if let Ok(guard) = tunnel.lock(net, Patience::Program, || {}) {
        sent(&guard); //~ E0277
        sent(&&guard); //~ E0277
    }
}

pub fn queue(net: &NetDir, tunnel: &Mapped<TunnelState>) {
    if let Ok(guard) = tunnel.lock(net, Patience::Program, || {}) {
        sent(&guard.queue()); //~ E0277
        sent(&&guard.queue()); //~ E0277
        guard.queue().pop(|packet| sent(&packet.data)); //~ E0277
    }
}

pub fn log(net: &NetDir, interface: &Mapped<InterfaceState>) {
    if let Ok(guard) = interface.lock(net, Patience::Program, || {}) {
        sent(&guard.log_writer()); //~ E0277
        let _ = guard.log_writer().append(Sort::Written, 1, |room| {
            sent(&room); //~ E0277
            Ok(0)
        });
    }
}
