//! Names of hosts: libc asks nameservers by calls of its own (see `inet::resolver`). The other two
//! functions, getaddrinfo(3) and getnameinfo(3), are in `scopes`.
#![allow(
    clippy::too_many_arguments,
    reason = "they are those of the C library's functions"
)]

use super::aio::{notify, Event};
use super::scopes::my_getaddrinfo;
use crate::inet;
use crate::inet::resolver::{resolving, resolving_by};
use crate::real::{hooks, real};
use crate::symbols;
use libc::{addrinfo, c_char, c_int, c_void, hostent, size_t, socklen_t};

/// Does libc have res_query(3) by another name only? Since glibc 2.34 that one is for programs that
/// were linked before, and what dlsym(3) finds is the other.
fn is_old() -> bool {
    symbols::next(c"res_query").is_null()
}

/// `struct gaicb` of netdb.h.
#[repr(C)]
pub struct Request {
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    list: *mut addrinfo,
    answer: c_int,
    reserved: [c_int; 5],
}

/// getaddrinfo_a(3) in a net that has addresses. libc asks in threads of its own, in which no call
/// comes by here; so everything is asked before this returns, which a program may find as it finds
/// a fast nameserver.
#[cold]
#[inline(never)]
extern "C" fn ask_at_once(list: *const *mut Request, count: c_int, event: *const Event) -> c_int {
    for at in 0..count.max(0) as usize {
        // SAFETY: the list is the caller's and has `count` elements, each NULL or a request that is
        // the library's until it is answered.
        unsafe {
            let request = *list.add(at);
            if let Some(request) = request.as_mut() {
                let (node, service) = (request.node, request.service);
                let list = &raw mut request.list;
                request.answer = my_getaddrinfo(node, service, request.hints, list);
            }
        }
    }
    // SAFETY: the event is NULL or the caller's.
    if let Some(event) = unsafe { event.as_ref() } {
        notify(event, SI_ASYNCNL);
    }
    0
}

/// The signal comes from a lookup of names (siginfo.h).
const SI_ASYNCNL: c_int = -60;
/// getaddrinfo_a(3) waits (netdb.h).
const GAI_WAIT: c_int = 0;
/// It does not.
const GAI_NOWAIT: c_int = 1;

hooks! {
    fn getaddrinfo_a(mode: c_int, list: *const *mut Request, count: c_int, event: *const Event) -> c_int => my_getaddrinfo_a {
        match mode {
            GAI_WAIT if inet::looks_anew() => ask_at_once(list, count, std::ptr::null()),
            GAI_NOWAIT if inet::looks_anew() => ask_at_once(list, count, event),
            _ => real!(getaddrinfo_a(mode, list, count, event)),
        }
    }
    fn gethostbyname(name: *const c_char) -> *mut hostent => my_gethostbyname {
        resolving(|| real!(gethostbyname(name)))
    }
    fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent => my_gethostbyname2 {
        resolving(|| real!(gethostbyname2(name, family)))
    }
    fn gethostbyaddr(address: *const c_void, length: socklen_t, family: c_int) -> *mut hostent => my_gethostbyaddr {
        resolving(|| real!(gethostbyaddr(address, length, family)))
    }
    fn gethostbyname_r(name: *const c_char, host: *mut hostent, room: *mut c_char, length: size_t, found: *mut *mut hostent, error: *mut c_int) -> c_int => my_gethostbyname_r {
        resolving(|| real!(gethostbyname_r(name, host, room, length, found, error)))
    }
    fn gethostbyname2_r(name: *const c_char, family: c_int, host: *mut hostent, room: *mut c_char, length: size_t, found: *mut *mut hostent, error: *mut c_int) -> c_int => my_gethostbyname2_r {
        resolving(|| real!(gethostbyname2_r(name, family, host, room, length, found, error)))
    }
    fn gethostbyaddr_r(address: *const c_void, size: socklen_t, family: c_int, host: *mut hostent, room: *mut c_char, length: size_t, found: *mut *mut hostent, error: *mut c_int) -> c_int => my_gethostbyaddr_r {
        resolving(|| real!(gethostbyaddr_r(address, size, family, host, room, length, found, error)))
    }
    fn res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_res_query {
        resolving(|| real!(res_query(name, class, kind, answer, length)))
    }
    fn res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_res_search {
        resolving(|| real!(res_search(name, class, kind, answer, length)))
    }
    fn __res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_old_res_query {
        resolving(|| match is_old() {
            true => real!(__res_query(name, class, kind, answer, length)),
            false => real!(res_query(name, class, kind, answer, length)),
        })
    }
    fn __res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_old_res_search {
        resolving(|| match is_old() {
            true => real!(__res_search(name, class, kind, answer, length)),
            false => real!(res_search(name, class, kind, answer, length)),
        })
    }
    fn res_querydomain(name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_res_querydomain {
        resolving(|| real!(res_querydomain(name, domain, class, kind, answer, length)))
    }
    fn __res_querydomain(name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_old_res_querydomain {
        resolving(|| match is_old() {
            true => real!(__res_querydomain(name, domain, class, kind, answer, length)),
            false => real!(res_querydomain(name, domain, class, kind, answer, length)),
        })
    }
    fn res_send(query: *const u8, size: c_int, answer: *mut u8, length: c_int) -> c_int => my_res_send {
        resolving(|| real!(res_send(query, size, answer, length)))
    }
    fn __res_send(query: *const u8, size: c_int, answer: *mut u8, length: c_int) -> c_int => my_old_res_send {
        resolving(|| match is_old() {
            true => real!(__res_send(query, size, answer, length)),
            false => real!(res_send(query, size, answer, length)),
        })
    }
    fn res_nquery(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_res_nquery {
        resolving_by(state, || real!(res_nquery(state, name, class, kind, answer, length)))
    }
    fn __res_nquery(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_old_res_nquery {
        resolving_by(state, || match is_old() {
            true => real!(__res_nquery(state, name, class, kind, answer, length)),
            false => real!(res_nquery(state, name, class, kind, answer, length)),
        })
    }
    fn res_nsearch(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_res_nsearch {
        resolving_by(state, || real!(res_nsearch(state, name, class, kind, answer, length)))
    }
    fn __res_nsearch(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_old_res_nsearch {
        resolving_by(state, || match is_old() {
            true => real!(__res_nsearch(state, name, class, kind, answer, length)),
            false => real!(res_nsearch(state, name, class, kind, answer, length)),
        })
    }
    fn res_nquerydomain(state: *mut c_void, name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_res_nquerydomain {
        resolving_by(state, || real!(res_nquerydomain(state, name, domain, class, kind, answer, length)))
    }
    fn __res_nquerydomain(state: *mut c_void, name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut u8, length: c_int) -> c_int => my_old_res_nquerydomain {
        resolving_by(state, || match is_old() {
            true => real!(__res_nquerydomain(state, name, domain, class, kind, answer, length)),
            false => real!(res_nquerydomain(state, name, domain, class, kind, answer, length)),
        })
    }
    fn res_nsend(state: *mut c_void, query: *const u8, size: c_int, answer: *mut u8, length: c_int) -> c_int => my_res_nsend {
        resolving_by(state, || real!(res_nsend(state, query, size, answer, length)))
    }
    fn __res_nsend(state: *mut c_void, query: *const u8, size: c_int, answer: *mut u8, length: c_int) -> c_int => my_old_res_nsend {
        resolving_by(state, || match is_old() {
            true => real!(__res_nsend(state, query, size, answer, length)),
            false => real!(res_nsend(state, query, size, answer, length)),
        })
    }
}
