//! Values as people type them. The errors are ends of sentences about the value.
#![forbid(unsafe_code)]

use memtun::launch::settings::{self, DEVICE_REMEDY};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How long to wait; None means for ever.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeout(pub Option<Duration>);

/// Parses seconds, which may have a fraction, or "forever".
pub fn timeout(text: &str) -> Result<Timeout, String> {
    if text == "forever" {
        return Ok(Timeout(None));
    }
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|s| *s >= 0.0 && s.is_finite());
    let time = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
    time.map(|t| Timeout(Some(t)))
        .ok_or_else(|| "give seconds such as 0.5, or forever".into())
}

/// Parses `HOST:PORT`, with an IPv6 host in brackets. Names are not looked up, because there is no
/// resolver in a net.
pub fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "give an address and a port, as 10.0.0.1:7 or [fd00::1]:7".into())
}

/// Parses where a datagram comes from: an endpoint, or an address alone, whose port becomes 0.
pub fn source(text: &str) -> Result<SocketAddr, String> {
    let bare = || bare_address(text).map(|ip| SocketAddr::new(ip, 0));
    let answer = text.parse().ok().or_else(bare);
    answer.ok_or_else(|| {
        "give an address, with or without a port, as 10.0.0.1:7 or [fd00::1]:7".into()
    })
}

/// Parses which datagrams to receive, `[HOST:]PORT`. Without a host those to any host are meant,
/// which :: stands for.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    let any = |port: u16| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let port_alone = text.parse().ok().map(any);
    let both = || text.parse::<SocketAddr>().ok();
    let answer = port_alone.or_else(both).filter(|to| to.port() != 0);
    answer.ok_or_else(|| {
        "give a port from 1 to 65535, or an address and a port, as 10.0.0.1:7 or [fd00::1]:7".into()
    })
}

fn bare_address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

/// A user or group by number; None when an empty value was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct User(pub Option<u32>);

/// Parses a user's name or number. A name may be looked up anywhere that nsswitch.conf(5) says.
/// Empty means nobody, as for --net.
pub fn user(text: &str) -> Result<User, String> {
    if text.is_empty() {
        return Ok(User(None));
    }
    // The highest number is no user's: chown(2) takes it to mean that the owner stays.
    if let Some(uid) = text.parse().ok().filter(|uid| *uid != u32::MAX) {
        return Ok(User(Some(uid)));
    }
    match nix::unistd::User::from_name(text) {
        Ok(Some(user)) => Ok(User(Some(user.uid.as_raw()))),
        Ok(None) => Err("there is no such user; give a user's name or number".into()),
        Err(e) => Err(format!(
            "cannot be looked up: {}; give the user's number",
            e.desc()
        )),
    }
}

/// Parses a group's name or number, like [`user`].
pub fn group(text: &str) -> Result<User, String> {
    if text.is_empty() {
        return Ok(User(None));
    }
    if let Some(gid) = text.parse().ok().filter(|gid| *gid != u32::MAX) {
        return Ok(User(Some(gid)));
    }
    match nix::unistd::Group::from_name(text) {
        Ok(Some(group)) => Ok(User(Some(group.gid.as_raw()))),
        Ok(None) => Err("there is no such group; give a group's name or number".into()),
        Err(e) => Err(format!(
            "cannot be looked up: {}; give the group's number",
            e.desc()
        )),
    }
}

/// Parses the path of a special device, as MEMTUN_DEVICES accepts it.
pub fn device(text: &str) -> Result<PathBuf, String> {
    match settings::device(text.as_bytes()) {
        Some(_) => Ok(PathBuf::from(text)),
        None => Err(format!("{DEVICE_REMEDY}, as /dev/net/tun")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(
            timeout("0.5"),
            Ok(Timeout(Some(Duration::from_millis(500))))
        );
        assert_eq!(timeout("0"), Ok(Timeout(Some(Duration::ZERO))));
        assert_eq!(timeout("forever"), Ok(Timeout(None)));
        for bad in ["", "-1", "nan", "inf", "1e300", "5s"] {
            assert!(timeout(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        assert_eq!(endpoint("[fd00::1]:7").unwrap().to_string(), "[fd00::1]:7");
        assert_eq!(source("10.1.2.9").unwrap().to_string(), "10.1.2.9:0");
        assert_eq!(source("fd00::9").unwrap().to_string(), "[fd00::9]:0");
        for bad in [
            "",
            "10.0.0.1",
            "10.0.0.1:65536",
            "localhost:7",
            "fd00::1:7:",
            "10.0.0.1:7 ",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listening_places() {
        assert_eq!(
            listen("7"),
            Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 7)))
        );
        assert_eq!(
            listen("10.0.0.1:7"),
            Ok("10.0.0.1:7".parse().expect("an address"))
        );
        for bad in ["0", "70000", "10.0.0.1:0", ":7", "tun0"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn users() {
        assert_eq!(user("1234"), Ok(User(Some(1234))));
        assert_eq!(user("root"), Ok(User(Some(0))));
        assert_eq!(user(""), Ok(User(None)));
        for bad in ["4294967295", "-1", "no such user", "0x10"] {
            assert!(user(bad).is_err(), "{bad}");
        }
    }
}
