//! Tries to give up locks that are held, or to end a mapping that is used.
#![forbid(unsafe_code)]

use memtun_kernel::net::NetDir;
use memtun_kernel::tun::Tunnel;
use memtun_shm::layout::TunnelState;
use memtun_shm::{lock, Mapped};

pub fn by_a_jump() {
    lock::leaving(usize::MAX); //~ E0133
}

pub fn before_a_fork() {
    lock::before_fork(); //~ E0133
}

pub fn by_a_word(word: *mut u8) -> Mapped<TunnelState> {
    Mapped::from_word(word) //~ E0133
}

pub fn into_a_word(tunnel: Mapped<TunnelState>) -> *mut u8 {
    tunnel.into_word() //~ E0133
}

pub fn by_a_false_promise(tunnel: Tunnel<&NetDir>) -> Tunnel<&NetDir> {
    tunnel.alone_when(|_| true) //~ E0133
}
