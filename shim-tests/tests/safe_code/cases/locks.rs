//! Tries to make a lock anew that is held, or to make one where nothing keeps it.
#![forbid(unsafe_code)]

use memtun_shm::layout::{NetState, State, TunnelState};
use memtun_shm::lock::Lock;

pub fn of_a_file(tunnel: &mut TunnelState) {
    let _ = &mut tunnel.lock; //~ E0616
}

pub fn of_a_net(net: &NetState) {
    let _ = &net.lock; //~ E0616
}

pub fn from_nothing() -> Lock {
    Lock::default() //~ E0599
}

pub fn of_its_words(tunnel: &TunnelState) {
    let _ = &State::lock(tunnel).word; //~ E0616
}

pub fn header(tunnel: &TunnelState) {
    State::header(tunnel).init(TunnelState::KIND, 0); //~ E0624
}
