//! Tries to write through a number.
#![forbid(unsafe_code)]

pub fn by_a_system_call(address: usize) {
    memtun_sys::syscall(0, [0, address, 1, 0, 0, 0]); //~ E0133
}

pub fn by_a_copy(address: usize) {
    memtun_sys::guard::copy(address, address, 1); //~ E0133
}

pub fn by_a_touch(address: usize) {
    memtun_sys::guard::touch(address); //~ E0133
}

pub fn by_zeroes(address: usize) {
    let _ = memtun_sys::map_zeroes_over(address as *mut u8, 4096); //~ E0133
}

pub fn by_mending(address: usize) {
    memtun_shm::truncated::mend(address); //~ E0133
}

pub fn by_reading_a_string(address: usize) -> Option<usize> {
    memtun_sys::guard::string_length(address, 100) //~ E0133
}
