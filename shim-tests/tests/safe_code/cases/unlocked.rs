//! Tries to touch a queue or a log without its lock.
#![forbid(unsafe_code)]

use memtun_kernel::net::NetDir;
use memtun_shm::layout::{InterfaceState, State, TunnelState};
use memtun_shm::lock::Patience;
use memtun_shm::log::Writer;
use memtun_shm::ring::Queue;
use memtun_shm::Mapped;

pub fn queue(tunnel: &Mapped<TunnelState>) {
    tunnel.queue(); //~ E0599
}

pub fn queue_of_ones_own(tunnel: &Mapped<TunnelState>) {
    Queue::new(tunnel); //~ E0624
}

pub fn words_of_a_queue(tunnel: &TunnelState) {
    let _ = &tunnel.ring.ends; //~ E0616
}

pub fn area(tunnel: &Mapped<TunnelState>) {
    tunnel.area(); //~ E0599
}

pub fn log(interface: &Mapped<InterfaceState>) {
    interface.log_writer(); //~ E0599
}

pub fn log_of_ones_own(interface: &Mapped<InterfaceState>) {
    Writer::new(interface); //~ E0624
}

pub fn words_of_a_log(interface: &InterfaceState) {
    let _ = &interface.log.head; //~ E0616
}

pub fn with_the_lock_of_another_kind(net: &NetDir, interface: &Mapped<InterfaceState>) {
    if let Ok(guard) = interface.lock(net, Patience::Program, || {}) {
        guard.queue(); //~ E0599
    }
}

pub fn with_the_bare_lock(net: &NetDir, tunnel: &Mapped<TunnelState>) {
    if let Ok(guard) = State::lock(&**tunnel).lock(net, Patience::Program, || {}) {
        guard.queue(); //~ E0599
    }
}
