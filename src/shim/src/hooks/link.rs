//! Names and indices of interfaces. libc asks the kernel with calls of its own for these, past our `ioctl`.

use crate::errno;
use crate::real::{hooks, real};
use crate::{sockios, user};
use libc::{c_char, c_uint, if_nameindex as if_nameindex_t};

hooks! {
    fn if_nametoindex(name: *const c_char) -> c_uint => my_if_nametoindex {
        match errno::keep(|| user::c_string(name).map_or(0, sockios::index_of)) {
            0 => real!(if_nametoindex(name)),
            index => index,
        }
    }
    fn if_indextoname(index: c_uint, name: *mut c_char) -> *mut c_char => my_if_indextoname {
        match errno::keep(|| sockios::name_of(index)) {
            Some(found) if user::copy_out(name as usize, found.padded()).is_ok() => name,
            _ => real!(if_indextoname(index, name)),
        }
    }
    fn if_nameindex() -> *mut if_nameindex_t => my_if_nameindex {
        let host = real!(if_nameindex());
        let ours = errno::keep(sockios::all);
        if ours.is_empty() { host } else { joined(host, &ours) }
    }
}

/// The host's list with the net's interfaces behind it. if_freenameindex(3) frees each name and the array, so they are of
/// libc's allocator.
fn joined(host: *mut if_nameindex_t, ours: &[(u32, memtun_core::Name)]) -> *mut if_nameindex_t {
    let mut count = 0;
    // SAFETY: libc's list ends with index 0 and a NULL name; it is ours to resize, as the caller's would be to free.
    unsafe {
        while !host.is_null() && (*host.add(count)).if_index != 0 {
            count += 1;
        }
        let size = (count + ours.len() + 1) * size_of::<if_nameindex_t>();
        let list = libc::realloc(host.cast(), size).cast::<if_nameindex_t>();
        if list.is_null() {
            return host;
        }
        for (i, (index, name)) in ours.iter().enumerate() {
            let copy = libc::strdup(name.padded().as_ptr().cast());
            list.add(count + i).write(if_nameindex_t {
                if_index: *index,
                if_name: copy,
            });
        }
        list.add(count + ours.len()).write(if_nameindex_t {
            if_index: 0,
            if_name: std::ptr::null_mut(),
        });
        list
    }
}
