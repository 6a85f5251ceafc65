//! Uplinks and addresses as they are typed.
#![forbid(unsafe_code)]

use memtun::Name;
use memtun_host::first::Uplink;
use std::net::IpAddr;

/// Parses `NAME=ADDR/LEN[,via=GATEWAY]`. The error is the end of a sentence about it.
pub fn parse(text: &str) -> Result<Uplink, String> {
    let example = "write NAME=ADDR/LEN[,via=GATEWAY], as eth0=192.0.2.10/24,via=192.0.2.1";
    let (name, rest) = text.split_once('=').ok_or(example)?;
    let name: Name = name.parse().map_err(|e: memtun::Error| e.to_string())?;
    if name.pattern() != Ok(None) || name.as_bytes() == b"lo" {
        return Err("give a plain name, as eth0".into());
    }
    let (address, via) = match rest.split_once(',') {
        None => (rest, None),
        Some((address, via)) => (address, Some(via.strip_prefix("via=").ok_or(example)?)),
    };
    let address = prefix(address)?;
    let via = via
        .map(|via| via.parse().map_err(|_| example))
        .transpose()?;
    if via.is_some_and(|via: IpAddr| via.is_ipv4() != address.0.is_ipv4()) {
        return Err("give a gateway of the address's family".into());
    }
    if let Some(via) = via.filter(|via| !can_reach(address, *via)) {
        let (own, length) = address;
        return Err(format!(
            "the gateway {via} is not in the network of {own}/{length}; give one that is"
        ));
    }
    Ok(Uplink { name, address, via })
}

/// Is a gateway another one's address in the network that comes with an address, or link-local?
fn can_reach((own, length): (IpAddr, u8), via: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let differ = bits(own) ^ bits(via);
    let is_link_local = matches!(via, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80);
    differ != 0 && (is_link_local || differ.leading_zeros() >= u32::from(length))
}

/// Parses `ADDR/LEN`. The error is the end of a sentence about it.
pub fn prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let length = length
            .parse()
            .ok()
            .filter(|l| *l <= if address.is_ipv4() { 32 } else { 128 })?;
        Some((address, length))
    });
    parsed.ok_or_else(|| "give an address and a prefix length, as 10.0.0.1/24 or fd00::1/64".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uplinks() {
        let all = parse("eth0=192.0.2.10/24,via=192.0.2.1").expect("uplink");
        assert_eq!(all.name.as_bytes(), b"eth0");
        assert_eq!(all.address, ("192.0.2.10".parse().unwrap(), 24));
        assert_eq!(all.via, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(parse("e=fd00::1/64").expect("uplink").via, None);
        for good in ["e=10.0.0.1/0,via=8.8.8.8", "e=fd00::1/64,via=fe80::1"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "eth0",
            "eth0=",
            "eth%d=10.0.0.1/8",
            "lo=10.0.0.1/8",
            "eth0=10.0.0.1",
            "eth0=10.0.0.1/33",
            "eth0=10.0.0.1/8,10.0.0.2",
            "eth0=10.0.0.1/8,via=",
            "eth0=10.0.0.1/8,via=fd00::1",
            "eth0=10.0.0.1/8,via=11.0.0.1",
            "eth0=10.0.0.1/8,via=10.0.0.1",
            "eth0=fd00::1/64,via=fd00:0:0:1::1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
