//! Tries to keep a queue, its bytes or an interface for longer than the lock, or than the call.
#![forbid(unsafe_code)]

use memtun_kernel::net::NetDir;
use memtun_kernel::tun::Tunnel;
use memtun_shm::layout::TunnelState;
use memtun_shm::lock::Patience;
use memtun_shm::Mapped;

pub fn queue(net: &NetDir, tunnel: &Mapped<TunnelState>) -> Option<u32> {
    let guard = tunnel.lock(net, Patience::Program, || {}).ok()?;
    let queue = guard.queue();
    drop(guard); //~ E0505
    Some(queue.clear())
}

pub fn bytes(net: &NetDir, tunnel: &Mapped<TunnelState>) -> Option<usize> {
    let guard = tunnel.lock(net, Patience::Program, || {}).ok()?;
    let data = guard.queue().pop(|packet| packet.data)?;
    drop(guard); //~ E0505
    Some(data.copy_to(&mut [0; 10]))
}

pub fn guard(net: &NetDir, tunnel: Mapped<TunnelState>) {
    let guard = tunnel.lock(net, Patience::Program, || {});
    drop(tunnel); //~ E0505
    drop(guard);
}

pub fn interface(tunnel: Tunnel<&NetDir>) -> bool {
    let interface = tunnel.interface();
    drop(tunnel); //~ E0505
    interface.is_ok_and(|interface| interface.is_up())
}
