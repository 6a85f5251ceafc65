//! SYN cookies: what a host remembers of a SYN that keeps nothing of it (syncookies.c). Nobody's
//! queue is ever full here, so that only who asks for them (net.ipv4.tcp_syncookies of 2) has them,
//! and a connection is kept nevertheless; what stands on the wire is the same.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use crate::{Offer, Segment};

/// The largest segments that a cookie can name, of IPv4 and of IPv6.
const V4: [u16; 4] = [536, 1300, 1440, 1460];
const V6: [u16; 4] = [1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60];

/// How long each answer waits for one: there is only one, and a cookie is good for so long.
pub(crate) const WAITS: [u64; 1] = [60];

/// What is left of this largest segment.
pub(crate) fn maximum(said: u16, of: IpAddr) -> u16 {
    let named = if of.is_ipv4() { V4 } else { V6 };
    let fits = named.iter().rev().find(|&&one| one <= said);
    *fits.unwrap_or(&named[0])
}

/// What is left of an offer: the other options stand in the timestamp.
pub(crate) fn offer(offer: Offer, segment: &Segment<'_>) -> Offer {
    match offer.timestamps && segment.timestamps().is_some() {
        true => offer,
        false => Offer {
            selective: false,
            scale: None,
            ..offer
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_segment_is_one_of_four() {
        let of = |said, address: &str| maximum(said, address.parse().expect("an address"));
        for (said, v4, v6) in [
            (100, 536, 1220),
            (1299, 536, 1220),
            (1300, 1300, 1220),
            (1459, 1440, 1440),
            (8960, 1460, 8940),
        ] {
            assert_eq!((of(said, "10.0.0.1"), of(said, "fd00::1")), (v4, v6));
        }
    }
}
