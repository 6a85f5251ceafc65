//! Names of interfaces in addresses of IPv6, such as `fe80::1%tun0`. libc turns them into indices
//! and back with calls of its own.

use crate::interfaces::{self, Answer};
use crate::real::{hooks, real};
use crate::{errno, uaccess};
use libc::{addrinfo, c_char, c_int, sockaddr, sockaddr_in6, socklen_t};
use memtun_abi::{Errno, Name};
use std::net::Ipv6Addr;

/// Longest text of an address with an index behind it, and its end.
const TEXT: usize = 64;

hooks! {
    fn getaddrinfo(node: *const c_char, service: *const c_char, hints: *const addrinfo, list: *mut *mut addrinfo) -> c_int => my_getaddrinfo {
        match errno::keep(|| with_index(node)) {
            Scope::Machines => real!(getaddrinfo(node, service, hints, list)),
            Scope::Index(text) => real!(getaddrinfo(text.as_ptr().cast(), service, hints, list)),
            Scope::Nobodys => libc::EAI_NONAME,
        }
    }
    fn getnameinfo(address: *const sockaddr, length: socklen_t, host: *mut c_char, room: socklen_t, service: *mut c_char, service_room: socklen_t, flags: c_int) -> c_int => my_getnameinfo {
        let answer = real!(getnameinfo(address, length, host, room, service, service_room, flags));
        let named = answer == 0 && !host.is_null() && room > 0;
        match named && errno::keep(|| name_scope(address, length, host, room)).is_err() {
            true => libc::EAI_OVERFLOW,
            false => answer,
        }
    }
}

/// What stands behind the `%` of an address.
enum Scope {
    /// Nothing, or what libc finds by itself.
    Machines,
    /// An interface of the net: the address with its index.
    Index([u8; TEXT]),
    /// The name of an interface that is not to be seen.
    Nobodys,
}

/// May an address have an interface behind it? Only those of one link do.
fn is_of_a_link(address: &Ipv6Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_unicast_link_local() || first == 0xff && matches!(second & 0xf, 1 | 2)
}

fn with_index(node: *const c_char) -> Scope {
    let Ok(text) = uaccess::c_string(node) else {
        return Scope::Machines;
    };
    let Some(sign) = text.iter().position(|b| *b == b'%') else {
        return Scope::Machines;
    };
    let address = std::str::from_utf8(&text[..sign])
        .ok()
        .and_then(|text| text.parse().ok());
    if !address.is_some_and(|address| is_of_a_link(&address)) {
        return Scope::Machines;
    }
    let name = &text[sign + 1..];
    match interfaces::index_of(name) {
        Answer::Is(index) => {
            with_number(&text[..=sign], index).map_or(Scope::Machines, Scope::Index)
        }
        Answer::Gone if !name.iter().all(u8::is_ascii_digit) => Scope::Nobodys,
        Answer::Gone | Answer::Ask => Scope::Machines,
    }
}

fn with_number(start: &[u8], index: u32) -> Option<[u8; TEXT]> {
    let number = Name::numbered(b"", index, b"")?;
    let mut text = [0; TEXT];
    let (before, behind) = text.split_at_mut_checked(start.len())?;
    before.copy_from_slice(start);
    behind.get_mut(..=number.as_bytes().len())?[..number.as_bytes().len()]
        .copy_from_slice(number.as_bytes());
    Some(text)
}

/// Puts the name of the net's interface, or the number of one that is not to be seen, behind the
/// address that libc has written to `host`.
fn name_scope(
    address: *const sockaddr,
    length: socklen_t,
    host: *mut c_char,
    room: socklen_t,
) -> Result<(), Errno> {
    let mut given = [0; size_of::<sockaddr_in6>()];
    if (length as usize) < given.len() || uaccess::copy_in(address as usize, &mut given).is_err() {
        return Ok(());
    }
    let scope = u32::from_ne_bytes([given[24], given[25], given[26], given[27]]);
    if given[..2] != (libc::AF_INET6 as u16).to_ne_bytes() || scope == 0 {
        return Ok(());
    }
    let text = uaccess::c_string(host)?;
    let Some(sign) = text.iter().position(|b| *b == b'%') else {
        return Ok(());
    };
    let name = match interfaces::name_of(scope) {
        Answer::Is(name) => name,
        Answer::Gone => Name::numbered(b"", scope, b"").ok_or(Errno(libc::EINVAL))?,
        Answer::Ask => return Ok(()),
    };
    let behind = sign + 1;
    if behind + name.as_bytes().len() >= room as usize {
        return Err(Errno(libc::EOVERFLOW));
    }
    uaccess::copy_out(host as usize + behind, name.as_bytes())?;
    uaccess::copy_out(host as usize + behind + name.as_bytes().len(), &[0])
}
