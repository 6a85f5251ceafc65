//! Interfaces that exist before the program starts, as `ip tuntap add` makes them.
#![forbid(unsafe_code)]

use super::uplink::prefix;
use crate::failure::{say, Failure};
use memtun::{ifreq, uapi, Address, IoSystem, MemoryIoSystem, Name, Net, Timeout, TunnelClass};
use std::net::IpAddr;

/// An interface to be made, from `NAME[=ADDR/LEN]`.
#[derive(Clone, Debug)]
pub struct Premade {
    name: Name,
    address: Option<(IpAddr, u8)>,
}

/// Parses the option's value. The error is the end of a sentence about it.
pub fn parse(text: &str) -> Result<Premade, String> {
    let (name, address) = match text.split_once('=') {
        Some((name, address)) => (name, Some(prefix(address)?)),
        None => (text, None),
    };
    let name: Name = name.parse().map_err(|e: memtun::Error| e.to_string())?;
    match name.pattern() {
        Ok(None) => Ok(Premade { name, address }),
        _ => Err("give a plain name, as tun0, not a pattern".into()),
    }
}

/// Makes persistent interfaces of one kind (IFF_TUN or IFF_TAP), with their addresses where the net
/// is `hosted`; those that exist already stay.
pub fn make(
    net: &Net,
    wanted: &[Premade],
    kind: u32,
    up: bool,
    hosted: bool,
) -> Result<(), Failure> {
    let system = MemoryIoSystem::new(net);
    system.register_special_device(DEVICE, TunnelClass);
    for Premade { name, address } in wanted {
        let name = name.to_string();
        let fd = system
            .open(DEVICE, libc::O_RDWR | libc::O_CLOEXEC, 0)
            .map_err(|e| failure(&name, e))?;
        let made = system
            .ioctl(fd, uapi::TUNSETIFF, &ifreq(&name, kind | uapi::IFF_NO_PI))
            .and_then(|_| system.ioctl(fd, uapi::TUNSETPERSIST, &1i32.to_ne_bytes()));
        let closed = system.close(fd);
        made.map(|_| ())
            .and(closed)
            .map_err(|e| failure(&name, e))?;
        let interface = net.wait_interface_within(&name, Timeout::NOW)?;
        interface.set_up(up)?;
        match address {
            Some(address) if hosted => {
                let address = Address::new(address.0, address.1);
                match interface.add_address(&address) {
                    // A named net stays from one run to the next.
                    Err(e) if e.errno().0 == libc::EEXIST => {}
                    added => added?,
                }
            }
            Some((address, length)) => say(&format!(
                "{name}: MEMTUN_HOST=off: going on without {address}/{length}; send to any address"
            )),
            None => {}
        }
    }
    Ok(())
}

const DEVICE: &str = "/dev/net/tun";

fn failure(name: &str, e: memtun::Errno) -> Failure {
    let why = match e.0 {
        libc::EBUSY => "it is in use; choose another name".into(),
        libc::EINVAL => "there is an interface of another kind by that name; choose another".into(),
        libc::EPERM => "the net denies it; take that back with memtun reset".into(),
        _ => memtun::cause(e).unwrap_or("look at memtun fault".into()),
    };
    Failure::bad_input(format!("{name}: cannot make it: {e}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        assert!(parse("tun0").unwrap().address.is_none());
        assert_eq!(parse("t=fd00::1/64").unwrap().address.unwrap().1, 64);
        for bad in [
            "",
            "a/b",
            "tun%d",
            "tun0=",
            "tun0=10.0.0.1",
            "tun0=10.0.0.1/33",
            "sixteen-bytes-xx",
            "tun0=x/8",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
