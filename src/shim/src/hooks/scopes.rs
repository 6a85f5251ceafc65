//! Names of interfaces in addresses of IPv6, such as `fe80::1%tun0`. libc turns them into indices
//! and back with calls of its own.

use crate::inet::resolver::resolving;
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
            Scope::Machines => resolving(|| real!(getaddrinfo(node, service, hints, list))),
            Scope::Other(text) => {
                let answer = real!(getaddrinfo(text.as_ptr().cast(), service, hints, list));
                if answer == 0 {
                    errno::keep(|| name_as_given(node, list));
                }
                answer
            }
        }
    }
    fn getnameinfo(address: *const sockaddr, length: socklen_t, host: *mut c_char, room: socklen_t, service: *mut c_char, service_room: socklen_t, flags: c_int) -> c_int => my_getnameinfo {
        let answer = resolving(|| real!(getnameinfo(address, length, host, room, service, service_room, flags)));
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
    /// An interface of the net, or one that is not to be seen: the address with what libc finds
    /// behind it.
    Other([u8; TEXT]),
}

/// What no interface can be called, and no number is.
const NOBODY: &[u8] = b"/";

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
            let number = Name::numbered(b"", index, b"");
            number.map_or(Scope::Machines, |number| {
                followed(&text[..=sign], number.as_bytes())
            })
        }
        Answer::Gone if !name.iter().all(u8::is_ascii_digit) => followed(&text[..=sign], NOBODY),
        Answer::Gone | Answer::Ask => Scope::Machines,
    }
}

/// Returns the address with this behind it.
fn followed(start: &[u8], behind: &[u8]) -> Scope {
    let mut text = [0; TEXT];
    let length = start.len() + behind.len();
    if length >= TEXT {
        return Scope::Machines;
    }
    text[..start.len()].copy_from_slice(start);
    text[start.len()..length].copy_from_slice(behind);
    Scope::Other(text)
}

/// Gives the list the name that the program gave, where it has one (AI_CANONNAME).
fn name_as_given(node: *const c_char, list: *mut *mut addrinfo) {
    // SAFETY: libc has stored a list of its own there, whose first entry may have a name that it
    // has allocated and that freeaddrinfo(3) gives to free(3); the caller's name is a string, which
    // libc would have copied in the same way.
    unsafe {
        let first = *list;
        if !(*first).ai_canonname.is_null() {
            let name = libc::strdup(node);
            if !name.is_null() {
                libc::free((*first).ai_canonname.cast());
                (*first).ai_canonname = name;
            }
        }
    }
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
    // libc names the interface of these only: behind others it writes the number.
    let is_named =
        given[8] == 0xfe && given[9] & 0xc0 == 0x80 || given[8] == 0xff && given[9] & 0xf == 2;
    if given[..2] != (libc::AF_INET6 as u16).to_ne_bytes() || scope == 0 || !is_named {
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
