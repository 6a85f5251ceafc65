//! Tries to close or replace a descriptor of somebody else's.
#![forbid(unsafe_code)]

use memtun_sys::Fd;

pub fn by_its_number() {
    let _ = memtun_sys::close(1); //~ E0133
}

pub fn by_taking_it_over() {
    drop(Fd::from_raw(1)); //~ E0133
}

pub fn by_another_in_its_place() {
    let _ = memtun_sys::duplicate_onto(0, 1, 0); //~ E0133
}
