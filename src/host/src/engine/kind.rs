//! What kind of IPv6 address an address is (`ipv6_addr_type`).
#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

/// Is it link-local (fe80::/10)?
pub fn is_link_local(a: Ipv6Addr) -> bool {
    a.segments()[0] & 0xffc0 == 0xfe80
}

/// Is it site-local (fec0::/10)?
pub fn is_site_local(a: Ipv6Addr) -> bool {
    a.segments()[0] & 0xffc0 == 0xfec0
}

/// Is it good for one link or this host only?
pub fn is_of_link(a: Ipv6Addr) -> bool {
    match a.is_multicast() {
        true => matches!(a.segments()[0] & 0xf, 1 | 2),
        false => is_link_local(a) || a.is_loopback(),
    }
}

/// Is it of one host (IPV6_ADDR_UNICAST)? An IPv4 address in one of IPv6 is not.
pub fn is_unicast(a: Ipv6Addr) -> bool {
    !a.is_multicast() && !a.is_unspecified() && a.to_ipv4_mapped().is_none()
}

/// Returns the scope of the address as RT_SCOPE_* (`rt_scope`).
pub fn scope(a: Ipv6Addr) -> u8 {
    let multicast = a.is_multicast().then(|| a.segments()[0] & 0xf);
    match multicast {
        Some(1) => libc::RT_SCOPE_HOST,
        Some(2) => libc::RT_SCOPE_LINK,
        Some(5) => libc::RT_SCOPE_SITE,
        Some(_) => libc::RT_SCOPE_UNIVERSE,
        None if a.is_loopback() => libc::RT_SCOPE_HOST,
        None if is_link_local(a) => libc::RT_SCOPE_LINK,
        None if is_site_local(a) => libc::RT_SCOPE_SITE,
        None => libc::RT_SCOPE_UNIVERSE,
    }
}

/// Returns the scope as a number that is larger for a wider one (`ipv6_addr_src_scope`).
pub fn width(a: Ipv6Addr) -> u16 {
    if a.is_multicast() {
        return a.segments()[0] & 0xf;
    }
    if is_link_local(a) || a.is_loopback() {
        return 2;
    }
    if is_site_local(a) {
        return 5;
    }
    14
}
