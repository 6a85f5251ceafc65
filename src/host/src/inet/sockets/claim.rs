//! The slices of the loopback's addresses: which are claimed, by whom, and how one is.
//!
//! Other users may bind what they like there. What they take costs a net that it has a slice for
//! itself, never that it has one: ports that somebody has are gone round, and nobody is believed
//! for his address.
#![forbid(unsafe_code)]

use super::diag::{Diag, Native};
use memtun_abi::Errno;
use memtun_stack::sockets::{Protocol, SLICE_BITS};
use memtun_sys::{self as sys, inet, Fd};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;

/// Last ports of a slice's last address: whoever has one of them has the slice. They are several,
/// because a socket that somebody has bound to one on every address keeps it from all slices.
const PORTS: RangeInclusive<u16> = 65532..=65535;
/// Number of slices of 127.0.0.0/8.
const SLICES: u32 = 1 << (24 - SLICE_BITS);

/// A slice that this process has claimed.
pub struct Claim {
    /// First address of the slice, as a number.
    pub base: u32,
    /// The socket that has claimed it; None where the host process before has not let it go yet,
    /// or where other users have all names for it.
    pub socket: Option<Fd>,
}

/// Returns the address by which a slice is claimed.
fn last(base: u32) -> Ipv4Addr {
    Ipv4Addr::from(base | ((1 << SLICE_BITS) - 1))
}

/// Claims a slice by what name is free.
///
/// # Errors
///
/// EADDRINUSE when none is.
pub fn claim(base: u32) -> Result<Claim, Errno> {
    let socket = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    for port in PORTS.rev() {
        match inet::bind_name(socket.as_fd(), &(last(base), port).into()) {
            Err(Errno(libc::EADDRINUSE)) => {}
            bound => {
                let socket = bound.map(|()| Some(socket))?;
                return Ok(Claim { base, socket });
            }
        }
    }
    Err(Errno(libc::EADDRINUSE))
}

/// Returns the sockets by which slices are claimed, each with the first address of its slice.
fn claims(diag: &mut Diag) -> Vec<(u32, Native)> {
    let natives = PORTS.flat_map(|port| diag.of_port(Protocol::Udp, port));
    let of_slice = natives.filter_map(|native| match native.own.ip() {
        IpAddr::V4(own) if own.is_loopback() => {
            let base = u32::from(own) >> SLICE_BITS << SLICE_BITS;
            (own == last(base)).then_some((base, native))
        }
        _ => None,
    });
    of_slice.collect()
}

/// Has another net of this user a slice? The cookie is that of the socket by which this net has
/// had it.
pub fn is_lost(diag: &mut Diag, base: u32, cookie: u64, owner: u32) -> bool {
    let mut all = claims(diag).into_iter();
    all.any(|(of, by)| of == base && by.cookie != cookie && is_ours(&by, owner))
}

/// Is the socket one of this user, or of the net's owner?
fn is_ours(native: &Native, owner: u32) -> bool {
    [owner, sys::effective_uid()].contains(&native.uid)
}

/// Claims a slice that nobody has. None where another process has claimed it meanwhile: each finds
/// another name free, so both look after they have bound theirs, and whoever is not alone yields.
fn claim_alone(diag: &mut Diag, base: u32) -> Result<Option<Claim>, Errno> {
    let claim = match claim(base) {
        Err(Errno(libc::EADDRINUSE)) => return Ok(None),
        claim => claim?,
    };
    let socket = claim.socket.as_ref().map(Fd::raw);
    let cookie = socket.and_then(|fd| inet::cookie(fd).ok());
    let mut all = claims(diag).into_iter();
    let is_alone = !all.any(|(of, by)| of == base && Some(by.cookie) != cookie);
    Ok(is_alone.then_some(claim))
}

/// Claims a slice that nobody has; where other users have all, one that they have.
///
/// # Errors
///
/// EADDRINUSE when nets of this user have all of them.
pub fn claim_any(diag: &mut Diag, owner: u32) -> Result<Claim, Errno> {
    let claims = claims(diag);
    let all: HashSet<u32> = claims.iter().map(|(base, _)| *base).collect();
    let own = claims.iter().filter(|(_, by)| is_ours(by, owner));
    let own: HashSet<u32> = own.map(|(base, _)| *base).collect();
    let first = sys::random() as u32 % SLICES;
    // The machine's own names of the loopback are in the first slice.
    let slices = (0..SLICES).map(|at| (first + at) % SLICES);
    let slices = slices.filter(|slice| *slice != 0);
    let mut slices = slices.map(|slice| 127 << 24 | slice << SLICE_BITS);
    for base in slices.clone().filter(|base| !all.contains(base)) {
        if let Some(claim) = claim_alone(diag, base)? {
            return Ok(claim);
        }
    }
    let shared = slices.find(|base| !own.contains(base));
    let base = shared.ok_or(Errno(libc::EADDRINUSE))?;
    log::warn!("other users of this machine have bound what keeps the loopback's addresses apart: this net shares some with them");
    let socket = None;
    Ok(Claim { base, socket })
}

#[cfg(test)]
mod tests {
    use super::{claim, claim_alone, claim_any, claims, SLICES, SLICE_BITS};
    use crate::inet::sockets::diag::Diag;
    use memtun_sys as sys;

    #[test]
    fn of_two_that_claim_a_slice_at_once_one_yields() {
        let mut diag = Diag::default();
        let one = claim_any(&mut diag, sys::effective_uid()).expect("a slice");
        assert!(one.base >> SLICE_BITS << SLICE_BITS == one.base && SLICES > 1);
        // This is how it was for who had looked before the other one has bound its name.
        assert!(claim(one.base).is_ok(), "another name is free");
        assert!(claim_alone(&mut diag, one.base).is_ok_and(|it| it.is_none()));
        let of_slice = |diag: &mut Diag| {
            let all = claims(diag).into_iter();
            all.filter(|(base, _)| *base == one.base).count()
        };
        assert_eq!(of_slice(&mut diag), 1, "who yields lets it go");
    }
}
