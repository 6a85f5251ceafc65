//! Names of hosts: libc asks nameservers by calls of its own (see `inet::resolver`). The other two
//! functions, getaddrinfo(3) and getnameinfo(3), are in `scopes`.
#![allow(
    clippy::too_many_arguments,
    reason = "they are those of the C library's functions"
)]

use crate::inet::resolver::{resolving, resolving_by};
use crate::real::{hooks, real};
use crate::symbols;
use libc::{c_char, c_int, c_void, hostent, size_t, socklen_t};

/// Does libc have res_query(3) by another name only? Since glibc 2.34 that one is for programs that
/// were linked before, and what dlsym(3) finds is the other.
fn is_old() -> bool {
    symbols::next(c"res_query").is_null()
}

hooks! {
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
