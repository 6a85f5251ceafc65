//! Counts of the datagrams that a receiver has passed over, for a caller that has waited in vain.
#![forbid(unsafe_code)]

use crate::packet::{Flaw, Found};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Number of addresses that are told apart; further ones are counted together.
const ADDRESSES: usize = 4;

const FLAWS: [(Flaw, &str); 4] = [
    (Flaw::IpChecksum, "with a wrong IP checksum"),
    (Flaw::IpLength, "with a wrong IP length"),
    (Flaw::UdpLength, "with a wrong UDP length"),
    (Flaw::UdpChecksum, "with a wrong UDP checksum"),
];

/// What was passed over since the last datagram that was received.
#[derive(Default)]
pub(super) struct PassedOver {
    ports: Vec<(u16, u64)>,
    hosts: Vec<(IpAddr, u64)>,
    elsewhere: u64,
    /// Number of datagrams with each flaw, in the order of [`FLAWS`].
    flawed: [u64; FLAWS.len()],
    fragments: u64,
}

impl PassedOver {
    /// Counts a datagram that is not for the receiver of the address `wanted`. A packet that is no
    /// datagram at all is not counted.
    pub(super) fn add(&mut self, found: &Found<'_>, wanted: SocketAddr) {
        match found {
            Found::Datagram(datagram) | Found::Flawed(_, datagram) => {
                let to: SocketAddr = datagram.destination;
                if to.port() != wanted.port() {
                    self.elsewhere += count(&mut self.ports, to.port());
                } else if !takes(wanted.ip(), to.ip()) {
                    self.elsewhere += count(&mut self.hosts, to.ip());
                } else if let Found::Flawed(flaw, _) = found {
                    let counts = FLAWS.iter().zip(&mut self.flawed);
                    counts
                        .filter(|((known, _), _)| known == flaw)
                        .for_each(|(_, n)| *n += 1);
                }
            }
            Found::Fragment(to) if takes(wanted.ip(), *to) => self.fragments += 1,
            Found::Fragment(_) | Found::Other => {}
        }
    }
}

/// Does a socket that is bound to the address `bound` get what is sent to `to`? An unspecified
/// address stands for any address of its family, and that of IPv6 for any address at all.
pub(super) fn takes(bound: IpAddr, to: IpAddr) -> bool {
    match bound {
        IpAddr::V4(any) if any.is_unspecified() => to.is_ipv4(),
        IpAddr::V6(any) if any.is_unspecified() => true,
        one => one == to,
    }
}

/// Counts `what` under its own entry. Returns 1 when there is no room for another entry, else 0.
fn count<T: PartialEq>(known: &mut Vec<(T, u64)>, what: T) -> u64 {
    if let Some((_, n)) = known.iter_mut().find(|(k, _)| *k == what) {
        *n += 1;
        return 0;
    }
    if known.len() == ADDRESSES {
        return 1;
    }
    known.push((what, 1));
    0
}

/// Writes a clause for the end of a sentence: "; passed over: 2 datagrams to port 53, 1 with a
/// wrong UDP checksum". It is empty when nothing was passed over.
impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(
            self.ports
                .iter()
                .map(|(port, n)| (*n, format!("to port {port}"))),
        );
        parts.extend(
            self.hosts
                .iter()
                .map(|(host, n)| (*n, format!("to host {host}"))),
        );
        parts.push((self.elsewhere, "to other addresses".into()));
        let flawed = self.flawed.iter().zip(FLAWS);
        parts.extend(flawed.map(|(n, (_, what))| (*n, what.into())));
        parts.push((self.fragments, "in fragments".into()));
        let told = parts.iter().filter(|(n, _)| *n > 0);
        for (i, (n, what)) in told.enumerate() {
            match (i, *n) {
                (0, 1) => write!(f, "; passed over: 1 datagram {what}")?,
                (0, n) => write!(f, "; passed over: {n} datagrams {what}")?,
                (_, n) => write!(f, ", {n} {what}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Datagram;

    fn to(address: &str) -> Found<'static> {
        Found::Datagram(Datagram {
            source: "10.0.0.1:1".parse().expect("an address"),
            destination: address.parse().expect("an address"),
            payload: b"",
        })
    }

    #[test]
    fn each_reason_is_told_with_its_number() {
        let mut passed = PassedOver::default();
        assert_eq!(passed.to_string(), "");
        let wanted: SocketAddr = "10.0.0.9:7".parse().expect("an address");
        passed.add(&to("10.0.0.9:53"), wanted);
        assert_eq!(passed.to_string(), "; passed over: 1 datagram to port 53");
        passed.add(&to("10.0.0.8:53"), wanted);
        passed.add(&to("10.0.0.8:7"), wanted);
        let Found::Datagram(damaged) = to("10.0.0.9:7") else {
            unreachable!()
        };
        passed.add(&Found::Flawed(Flaw::UdpChecksum, damaged), wanted);
        let Found::Datagram(damaged) = to("10.0.0.9:7") else {
            unreachable!()
        };
        passed.add(&Found::Flawed(Flaw::IpChecksum, damaged), wanted);
        for port in 100..110 {
            passed.add(&to(&format!("10.0.0.9:{port}")), wanted);
        }
        passed.add(&Found::Other, wanted);
        assert_eq!(
            passed.to_string(),
            "; passed over: 2 datagrams to port 53, 1 to port 100, 1 to port 101, 1 to port 102, 1 to host 10.0.0.8, \
             7 to other addresses, 1 with a wrong IP checksum, 1 with a wrong UDP checksum"
        );
    }
}
