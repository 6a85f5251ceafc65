//! What happens to a mapping whose guard is never dropped: the kernel and the thread that took the
//! lock look at the lock later, so its memory stays mapped.
#![forbid(unsafe_code)]

use memtun_shm::layout::TunnelState;
use memtun_shm::lock::{Patience, Peers};
use memtun_shm::Mapped;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};

struct Peer;

impl Peers for Peer {
    fn token(&self) -> u32 {
        1
    }
    fn is_alive(&self, _: u32) -> Option<bool> {
        Some(true)
    }
}

/// Maps a new tunnel's file, which has this name in /proc/self/maps.
fn tunnel(name: &str) -> Mapped<TunnelState> {
    let name = CString::new(name).expect("no NUL");
    let file = memtun_sys::memory_file(&name, 0).expect("a file in memory");
    Mapped::create(&file).expect("a mapping")
}

fn leak(tunnel: &Mapped<TunnelState>) {
    let guard = tunnel.lock(&Peer, Patience::Program, || {});
    std::mem::forget(guard.expect("nobody has the lock"));
}

fn is_mapped(name: &str) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
    maps.contains(&format!("memfd:{name} "))
}

#[test]
fn a_mapping_ends_with_its_value() {
    let mapped = tunnel("memtun-dropped");
    drop(mapped.lock(&Peer, Patience::Program, || {}).expect("free"));
    assert!(is_mapped("memtun-dropped"));
    drop(mapped);
    assert!(!is_mapped("memtun-dropped"));
}

#[test]
fn a_mapping_whose_guard_this_thread_has_leaked_stays() {
    let mapped = tunnel("memtun-mine");
    leak(&mapped);
    drop(mapped);
    assert!(is_mapped("memtun-mine"));
}

#[test]
fn a_mapping_ends_while_another_thread_holds_the_lock_through_another_one() {
    let name = CString::new("memtun-twice").expect("no NUL");
    let file = memtun_sys::memory_file(&name, 0).expect("a file in memory");
    let one = Mapped::<TunnelState>::create(&file).expect("a mapping");
    let size = memtun_sys::fstat(file.as_fd().as_raw_fd()).expect("the file");
    let other = Mapped::<TunnelState>::map(&file, size.st_size as u64).expect("a mapping");
    let guard = one.lock(&Peer, Patience::Program, || {}).expect("free");
    let mappings = || {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
        maps.matches("memfd:memtun-twice ").count()
    };
    let before = mappings();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(other));
    });
    assert!(mappings() < before);
    drop(guard);
}
