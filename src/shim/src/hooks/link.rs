//! Names and indices of interfaces. libc asks the kernel with calls of its own for these, past our `ioctl`.

use crate::errno;
use crate::real::{hooks, real};
use crate::{sockios, user};
use libc::{c_char, c_uint};

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
}
