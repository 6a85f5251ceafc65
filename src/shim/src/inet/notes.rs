//! Which descriptors are sockets of UDP, as far as this process knows.
#![forbid(unsafe_code)]
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use crate::{errno, packets, process, table};
use libc::c_int;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};

/// Called with a new socket of UDP, or one that came from another process.
#[cold]
#[inline(never)]
pub extern "C" fn note(fd: c_int) {
    let is_ours = || {
        let option = |option| sys::int_option(fd, libc::SOL_SOCKET, option);
        let family = option(libc::SO_DOMAIN);
        (family == Ok(libc::AF_INET) || family == Ok(libc::AF_INET6))
            && option(libc::SO_PROTOCOL) == Ok(libc::IPPROTO_UDP)
    };
    // Nothing is done with them where a sandbox forbids to ask.
    if !may(Extra::Sockets) {
        return;
    }
    errno::keep(|| match is_ours() {
        _ if packets::adopt(fd) => {}
        true => drop(table::enter_datagrams(fd)),
        false => table::forget_datagrams(fd),
    });
}

/// Notes the sockets of UDP that this process has, which were made before the net had an address.
pub fn note_all() {
    if process::owns_memory() {
        let _ = sys::each_descriptor(|fd| {
            let st = sys::fstat(fd);
            if st.is_ok_and(|st| sys::is_kind(&st, libc::S_IFSOCK)) {
                note(fd);
            }
        });
    }
}
