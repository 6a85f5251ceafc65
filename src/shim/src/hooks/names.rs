//! Names and indices of interfaces. libc asks the kernel for these with calls of its own, past the
//! hook of ioctl(2).

use crate::interfaces::{self, Answer};
use crate::real::{hooks, real};
use crate::table::{is_netlink, is_packets};
use crate::{errno, inet, netlink, packets, sockios, uaccess};
use libc::{c_char, c_int, c_uint, c_void, if_nameindex as if_nameindex_t, ifaddrs, socklen_t};
use memtun_abi::request::{may_name_interface, may_route_multicasts};
use memtun_calls::ifaddrs::{Address, Entry, NAME, STATISTICS};
use std::ffi::CStr;

hooks! {
    fn if_nametoindex(name: *const c_char) -> c_uint => my_if_nametoindex {
        match errno::keep(|| uaccess::c_string(name).map_or(Answer::Ask, interfaces::index_of)) {
            Answer::Is(index) => index,
            Answer::Ask => real!(if_nametoindex(name)),
            Answer::Gone => {
                errno::set(libc::ENODEV);
                0
            }
        }
    }
    fn if_indextoname(index: c_uint, name: *mut c_char) -> *mut c_char => my_if_indextoname {
        match errno::keep(|| interfaces::name_of(index)) {
            Answer::Is(found) if uaccess::copy_out(name as usize, found.padded()).is_ok() => name,
            Answer::Gone => {
                errno::set(libc::ENXIO);
                std::ptr::null_mut()
            }
            _ => {
                let host = real!(if_indextoname(index, name));
                if errno::keep(|| uaccess::c_string(host).is_ok_and(interfaces::is_known)) {
                    errno::set(libc::ENXIO);
                    std::ptr::null_mut()
                } else {
                    host
                }
            }
        }
    }
    fn if_nameindex() -> *mut if_nameindex_t => my_if_nameindex {
        let host = real!(if_nameindex());
        if !host.is_null() && interfaces::are_all() {
            // SAFETY: the list is libc's, and the program does not have it yet.
            unsafe { make_empty(host) };
        }
        if host.is_null() { host } else { errno::keep(|| joined(host, &interfaces::all())) }
    }
    fn getifaddrs(list: *mut *mut ifaddrs) -> c_int => my_getifaddrs {
        if let Some(entries) = errno::keep(interfaces::addresses) {
            return c_list(&entries, list);
        }
        let answer = real!(getifaddrs(list));
        if answer == 0 {
            // SAFETY: libc has just stored its list there.
            errno::keep(|| unsafe { drop_known(&mut *list) });
        }
        answer
    }
    fn setsockopt(fd: c_int, level: c_int, option: c_int, value: *const c_void, length: socklen_t) -> c_int => my_setsockopt {
        let host = || real!(setsockopt(fd, level, option, value, length));
        inet::sending::forget_options();
        if is_netlink(fd) {
            let set = netlink::set_option(fd, level, option, value, length);
            return set.map_or_else(host, |answer| answer as c_int);
        }
        if is_packets(fd) {
            return packets::set_option(fd, level, option, value, length).unwrap_or_else(host);
        }
        if may_name_interface(level, option) {
            if let Some(answer) = inet::membership::refuse_membership(level, option) { return answer; }
            if let Some(answer) = sockios::set_option(fd, level, option, value, length) {
                if answer == 0 && inet::is_active() { inet::calls::option_set(fd, level, option); }
                return answer;
            }
            if let Some(answer) = inet::membership::refuse_elsewhere(fd, level, option, value, length) { return answer; }
            let answer = host();
            if answer == 0 {
                sockios::option_replaced(fd, level, option);
                if inet::is_active() { inet::calls::option_set(fd, level, option); }
            } else if errno::get() == libc::EPERM {
                let kept = sockios::option_refused(fd, level, option, value, length);
                return kept.unwrap_or(answer);
            }
            return answer;
        }
        if may_route_multicasts(level, option) {
            if let Some(answer) = sockios::route_multicasts(fd, level, option) {
                return answer;
            }
        }
        if option == libc::TCP_CORK && level == libc::IPPROTO_TCP && inet::is_active() {
            if let Some(answer) = inet::pushing::set_cork(fd, value, length) { return answer; }
        }
        let answer = host();
        if answer == 0 && inet::is_active() { inet::calls::option_set(fd, level, option); }
        answer
    }
}

/// Takes the entries out of getifaddrs(3)'s list whose names are names of the net's interfaces.
/// freeifaddrs(3) frees the first element, which is one block with all others, so that element must
/// stay the first: it gets the contents of its successor.
///
/// # Safety
/// `list` is what getifaddrs has stored.
unsafe fn drop_known(list: &mut *mut ifaddrs) {
    // SAFETY: every element is NULL or a valid struct of the list, and names are NUL-terminated.
    unsafe {
        let known = |entry: *mut ifaddrs| {
            !(*entry).ifa_name.is_null()
                && interfaces::is_known(CStr::from_ptr((*entry).ifa_name).to_bytes())
        };
        let first = *list;
        while !first.is_null() && known(first) {
            let next = (*first).ifa_next;
            if next.is_null() {
                libc::freeifaddrs(first);
                *list = next;
                return;
            }
            first.write(next.read());
        }
        let mut at = first;
        while !at.is_null() {
            let next = (*at).ifa_next;
            if !next.is_null() && known(next) {
                (*at).ifa_next = (*next).ifa_next;
            } else {
                at = next;
            }
        }
    }
}

/// One element of getifaddrs(3)'s list, with all that it points to.
#[repr(C)]
struct Element {
    entry: ifaddrs,
    address: Address,
    netmask: Address,
    broadcast: Address,
    data: [u32; STATISTICS / 4],
    name: [u8; NAME],
}

/// Makes the list of getifaddrs(3) in one block, which freeifaddrs(3) frees as one.
fn c_list(entries: &[Entry], list: *mut *mut ifaddrs) -> c_int {
    let null = std::ptr::null_mut();
    if entries.is_empty() {
        return errno::give(uaccess::write(list, &null).map(|()| 0)) as c_int;
    }
    // SAFETY: the size is that of the elements.
    let block = unsafe { libc::calloc(entries.len(), size_of::<Element>()) }.cast::<Element>();
    if block.is_null() {
        return -1;
    }
    for (i, entry) in entries.iter().enumerate() {
        let is_last = i + 1 == entries.len();
        // SAFETY: the block has room for as many elements as there are entries, and zeroes are
        // valid for all that they hold.
        let (element, next) = unsafe { (&mut *block.add(i), block.add(i + usize::from(!is_last))) };
        fn put(room: &mut Address, given: &Option<Address>) -> *mut libc::sockaddr {
            match given {
                Some(address) => {
                    *room = *address;
                    room.as_mut_ptr().cast()
                }
                None => std::ptr::null_mut(),
            }
        }
        element.name = entry.name;
        element.entry.ifa_next = if is_last { null } else { next.cast() };
        element.entry.ifa_name = element.name.as_mut_ptr().cast();
        element.entry.ifa_flags = entry.flags;
        element.entry.ifa_addr = put(&mut element.address, &entry.address);
        element.entry.ifa_netmask = put(&mut element.netmask, &entry.netmask);
        element.entry.ifa_ifu = put(&mut element.broadcast, &entry.broadcast);
        if let Some(data) = &entry.data {
            for (to, word) in element.data.iter_mut().zip(data.chunks_exact(4)) {
                *to = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
            }
            element.entry.ifa_data = element.data.as_mut_ptr().cast();
        }
    }
    errno::give(uaccess::write(list, &block.cast::<ifaddrs>()).map(|()| 0)) as c_int
}

/// Makes a list of if_nameindex(3) empty.
///
/// # Safety
/// The list is libc's, and nobody has it yet.
unsafe fn make_empty(list: *mut if_nameindex_t) {
    // SAFETY: the list ends with index 0, and each name is a block of its own.
    unsafe {
        let mut at = 0;
        while (*list.add(at)).if_index != 0 {
            libc::free((*list.add(at)).if_name.cast());
            at += 1;
        }
        list.write(list.add(at).read());
    }
}

/// The host's list without the names of the net's interfaces, and the net's interfaces behind it.
/// if_freenameindex(3) frees each name and the array, so they come from libc's allocator.
fn joined(host: *mut if_nameindex_t, ours: &[(u32, memtun_abi::Name)]) -> *mut if_nameindex_t {
    let mut count = 0;
    // SAFETY: libc's list ends with index 0 and a NULL name; this function may resize it, as the
    // caller would be allowed to free it.
    unsafe {
        let mut at = 0;
        while (*host.add(at)).if_index != 0 {
            let entry = host.add(at).read();
            let is_ours = ours.iter().any(|(index, _)| *index == entry.if_index);
            if is_ours || interfaces::is_known(CStr::from_ptr(entry.if_name).to_bytes()) {
                libc::free(entry.if_name.cast());
            } else {
                host.add(count).write(entry);
                count += 1;
            }
            at += 1;
        }
        host.add(count).write(host.add(at).read());
        if ours.is_empty() {
            return host;
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
