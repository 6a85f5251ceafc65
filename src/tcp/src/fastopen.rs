//! Data in a SYN (RFC 7413): cookies, and which SYN's data is taken (tcp_fastopen.c).
#![forbid(unsafe_code)]

use std::hash::Hasher;
use std::net::IpAddr;

use crate::Segment;

/// The option's kind, and that of experiments with the number that says it is this one.
const KIND: u8 = 34;
const EXPERIMENT: u8 = 254;
const MAGIC: [u8; 2] = [0xf9, 0x89];
/// The length of our cookies.
pub(crate) const COOKIE: usize = 8;

/// What a socket that listens does with data in a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FastOpen {
    /// What cookies are made with.
    pub key: [u8; 16],
    /// Data is taken without a cookie, too.
    pub trusts: bool,
}

/// The option that a SYN, or its answer, has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A cookie is asked for.
    Empty,
    /// This is the cookie.
    Told(Cookie),
}

/// A cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) bytes: [u8; COOKIE],
    /// It stands in the option of experiments.
    pub(crate) experimental: bool,
}

/// What becomes of a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its data is no data.
    Plain,
    /// The same, and the answer has this cookie.
    Told(Cookie),
    /// The connection is open at once, with the data.
    Taken,
}

/// What a SYN's option has: a cookie, or an empty place for one, and whether it is that of
/// experiments.
fn asked<'a>(segment: &Segment<'a>) -> Option<(&'a [u8], bool)> {
    let found = segment.options().find_map(|(kind, data)| match kind {
        KIND => Some((data, false)),
        EXPERIMENT => Some((data.strip_prefix(&MAGIC)?, true)),
        _ => None,
    });
    // tcp_parse_fastopen_option.
    let fits = |data: &[u8]| data.len() <= 16 && data.len().is_multiple_of(2) && data.len() != 2;
    found.filter(|(data, _)| fits(data))
}

impl FastOpen {
    /// The cookie of a host (__tcp_fastopen_cookie_gen_cipher).
    fn cookie(&self, source: IpAddr, destination: IpAddr) -> [u8; COOKIE] {
        let half = |at: usize| {
            let bytes = &self.key[at..at + 8];
            bytes
                .iter()
                .rev()
                .fold(0, |all, &byte| all << 8 | u64::from(byte))
        };
        // SipHash-2-4 with a key that others may know: no other one of std's is that.
        #[allow(deprecated)]
        let mut hasher = std::hash::SipHasher::new_with_keys(half(0), half(8));
        let mut bytes = Vec::with_capacity(32);
        for address in [source, destination] {
            match address {
                IpAddr::V4(v4) => bytes.extend(v4.octets()),
                IpAddr::V6(v6) => bytes.extend(v6.octets()),
            }
        }
        hasher.write(&bytes);
        hasher.finish().to_le_bytes()
    }

    /// What becomes of a SYN (tcp_try_fastopen).
    pub(crate) fn judge(&self, segment: &Segment<'_>) -> Verdict {
        let asked = asked(segment);
        if asked.is_none() && segment.payload.is_empty() {
            return Verdict::Plain;
        }
        if self.trusts {
            return Verdict::Taken;
        }
        let Some((said, experimental)) = asked else {
            return Verdict::Plain;
        };
        let bytes = self.cookie(segment.source.ip(), segment.destination.ip());
        match said == bytes {
            true => Verdict::Taken,
            false => Verdict::Told(Cookie {
                bytes,
                experimental,
            }),
        }
    }
}

impl Place {
    /// Writes the option, to a multiple of four bytes.
    pub(crate) fn option(&self, out: &mut Vec<u8>) {
        match self {
            Place::Empty => out.extend([KIND, 2, 1, 1]),
            Place::Told(cookie) => cookie.option(out),
        }
    }
}

impl Cookie {
    fn option(&self, out: &mut Vec<u8>) {
        match self.experimental {
            true => out.extend([EXPERIMENT, 4 + COOKIE as u8, MAGIC[0], MAGIC[1]]),
            false => out.extend([KIND, 2 + COOKIE as u8]),
        }
        out.extend(self.bytes);
        if !self.experimental {
            out.extend([1, 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{build, Plain, SYN};

    fn packet(options: &[u8], data: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        let plain = Plain {
            source: "192.0.2.1:40000".parse().expect("an address"),
            destination: "192.168.0.1:8080".parse().expect("an address"),
            sequence: 0,
            acknowledgement: 0,
            flags: SYN,
            window: 1000,
            options,
        };
        build(&plain, &mut packet);
        packet.extend_from_slice(data);
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet
    }

    #[test]
    fn a_cookie_is_linuxs_and_only_that_lets_data_in() {
        let key = [0xa1, 0xb2, 0xc3, 0xd4].map(|byte| [byte; 4]).concat();
        let fast = FastOpen {
            key: key.try_into().expect("sixteen"),
            trusts: false,
        };
        let judged = |fast: &FastOpen, options: &[u8], data: &[u8]| {
            let packet = packet(options, data);
            fast.judge(&Segment::read(&packet).expect("a segment"))
        };
        // What a kernel says with that key.
        let bytes = [0x30, 0x21, 0xb9, 0xd8, 0x89, 0x01, 0x7e, 0xeb];
        let told = |experimental| {
            Verdict::Told(Cookie {
                bytes,
                experimental,
            })
        };
        assert_eq!(judged(&fast, &[34, 2, 1, 1], b"data"), told(false));
        assert_eq!(judged(&fast, &[254, 4, 0xf9, 0x89], b""), told(true));
        assert_eq!(judged(&fast, &[254, 4, 0xf9, 0x88], b""), Verdict::Plain);
        assert_eq!(judged(&fast, &[], b"data"), Verdict::Plain);
        let wrong = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
        assert_eq!(judged(&fast, &wrong, b"data"), told(false));
        let mut right = wrong;
        right[2..10].copy_from_slice(&bytes);
        assert_eq!(judged(&fast, &right, b"data"), Verdict::Taken);
        let trusting = FastOpen {
            trusts: true,
            ..fast
        };
        assert_eq!(judged(&trusting, &[], b"data"), Verdict::Taken);
        assert_eq!(judged(&trusting, &[], b""), Verdict::Plain);
    }
}
