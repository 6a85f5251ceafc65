//! `_dl_find_object` for libgcc's unwinder, which build.rs links into the library.
//!
//! libgcc calls this function to find the unwind table of an address. glibc has it from version
//! 2.35 on, and would be asked for it alone in a library that version 2.34 can load otherwise. This
//! one is hidden, so that no other unwinder finds it. It is slower, which does not matter for a
//! panic in this library.

use libc::{c_int, c_void, dl_phdr_info, size_t};

/// `struct dl_find_object` of dlfcn.h, as x86-64 and aarch64 have it.
#[repr(C)]
struct Found {
    flags: u64,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *mut c_void,
    eh_frame: *mut c_void,
    reserved: [u64; 7],
}

struct Search {
    address: usize,
    found: Option<(usize, usize, usize)>,
}

/// Looks at one loaded object: notes its extent and its PT_GNU_EH_FRAME if the address lies in it.
unsafe extern "C" fn look(info: *mut dl_phdr_info, _: size_t, search: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr passes an object whose program headers are mapped, and the pointer
    // that `find_object` gave it.
    let (info, search, headers) = unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (info, &mut *search.cast::<Search>(), headers)
    };
    let base = info.dlpi_addr as usize;
    let (mut start, mut end, mut within, mut table) = (usize::MAX, 0, false, None);
    for header in headers {
        let from = base.wrapping_add(header.p_vaddr as usize);
        let to = from.wrapping_add(header.p_memsz as usize);
        match header.p_type {
            libc::PT_LOAD => {
                (start, end) = (start.min(from), end.max(to));
                within |= (from..to).contains(&search.address);
            }
            libc::PT_GNU_EH_FRAME => table = Some(from),
            _ => {}
        }
    }
    if !within {
        return 0;
    }
    search.found = table.map(|table| (start, end, table));
    1
}

/// Finds the object that an address belongs to. Returns 0, or -1 when no object with unwind tables
/// has it.
unsafe extern "C" fn find_object(address: *mut c_void, found: *mut Found) -> c_int {
    let mut search = Search {
        address: address as usize,
        found: None,
    };
    // SAFETY: `look` is called only before this call returns, with a pointer to `search`.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    let Some((start, end, table)) = search.found else {
        return -1;
    };
    let answer = Found {
        flags: 0,
        map_start: start as *mut c_void,
        map_end: end as *mut c_void,
        link_map: std::ptr::null_mut(),
        eh_frame: table as *mut c_void,
        reserved: [0; 7],
    };
    // SAFETY: the unwinder gives room for one value.
    unsafe { found.write(answer) };
    0
}

// Any other library's unwinder could be bound to an exported symbol, and Rust has no attribute
// against that. A symbol that is written in assembly can be hidden.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".globl _dl_find_object",
    ".hidden _dl_find_object",
    ".type _dl_find_object, @function",
    "_dl_find_object:",
    "jmp {}",
    sym find_object
);
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".globl _dl_find_object",
    ".hidden _dl_find_object",
    ".type _dl_find_object, %function",
    "_dl_find_object:",
    "b {}",
    sym find_object
);
