//! The environment variables that tell the library what to do: their names, and the values that
//! they may have. Whoever composes an environment and whoever reads it, above all the preloaded
//! library, takes them from here. Reading allocates nothing, so that the library can do it between
//! fork and exec.

#![forbid(unsafe_code)]

use log::LevelFilter;

/// Path of the net's directory.
pub const NET: &str = "MEMTUN_NET";
/// The net that the first process of a tree of processes chose. Where it equals [`NET`], a process
/// that makes the net makes it private.
pub const TREE: &str = "MEMTUN_TREE";
/// Number of the user whose net it is. Empty means the caller's own.
pub const OWNER: &str = "MEMTUN_NET_OWNER";
/// Identifies the directory that the net's path leads to, see [`Place`].
pub const PLACE: &str = "MEMTUN_NET_PLACE";
/// Paths of the special devices, see [`devices`].
pub const DEVICES: &str = "MEMTUN_DEVICES";
/// Says whether a new interface is up, see [`link`].
pub const LINK: &str = "MEMTUN_LINK";
/// Says whether bells are exact, see [`bell`].
pub const BELL: &str = "MEMTUN_BELL";
/// Says how long a wait begins awake, see [`busy_poll`].
pub const BUSY_POLL: &str = "MEMTUN_BUSY_POLL";
/// Says what is logged, see [`log_level`].
pub const LOG: &str = "MEMTUN_LOG";
/// Says what the programs of a net see of the machine, see [`host`].
pub const HOST: &str = "MEMTUN_HOST";
/// Path of the command, by which the library starts a host process.
pub const COMMAND: &str = "MEMTUN_COMMAND";
/// Path of the library, for those who look for it.
pub const LIBRARY: &str = "MEMTUN_LIBRARY";

/// The variables that a new program image must find, in this order.
pub const INHERITED: &[&str] = &[
    NET, TREE, OWNER, PLACE, DEVICES, LINK, BELL, BUSY_POLL, LOG, HOST, COMMAND,
];

/// The special device that there is where [`DEVICES`] says nothing.
pub const DEFAULT_DEVICE: &[u8] = b"/dev/net/tun";

/// Can this path be a special device? Returns the path in pieces, without empty and "." components,
/// each name behind a slash. None means that the path is not absolute, contains "..", or contains
/// the colon that separates devices or a NUL.
pub fn device(path: &[u8]) -> Option<impl Iterator<Item = &[u8]> + Clone> {
    let parts = path.split(|b| *b == b'/');
    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
    let is_one = path.first() == Some(&b'/')
        && !path.iter().any(|b| matches!(*b, b':' | 0))
        && parts.clone().next().is_some()
        && parts.clone().all(|part| part != b"..");
    is_one.then(|| parts.flat_map(|part| [b"/".as_slice(), part]))
}

/// What [`device`] wants, as the end of a sentence that refuses a path.
pub const DEVICE_REMEDY: &str = "give an absolute path without \"..\" and ':'";

/// Splits `PATH[:PATH...]` into the paths as they were written.
pub fn devices(setting: &[u8]) -> impl Iterator<Item = &[u8]> {
    setting
        .split(|b| *b == b':')
        .filter(|path| !path.is_empty())
}

/// Reads `up` or `down` as whether a new interface is up. Empty says nothing, which means up. None
/// is returned for anything else.
pub fn link(setting: &[u8]) -> Option<bool> {
    match setting {
        b"up" | b"" => Some(true),
        b"down" => Some(false),
        _ => None,
    }
}

/// Returns the word that [`link`] reads back.
pub fn link_word(up: bool) -> &'static str {
    if up {
        "up"
    } else {
        "down"
    }
}

/// Reads `lazy` or `exact` as whether bells are exact: silent as soon as the last packet is read.
/// Empty says nothing, which means lazy. None is returned for anything else.
pub fn bell(setting: &[u8]) -> Option<bool> {
    match setting {
        b"lazy" | b"" => Some(false),
        b"exact" => Some(true),
        _ => None,
    }
}

/// Returns the word that [`bell`] reads back.
pub fn bell_word(exact: bool) -> &'static str {
    match exact {
        true => "exact",
        false => "lazy",
    }
}

/// The longest time in microseconds for which a wait begins awake, where nothing else is said: that
/// which the kernel's documentation recommends for net.core.busy_poll.
pub const BUSY_POLL_DEFAULT: u32 = 50;

/// Reads the longest time in microseconds for which a wait begins awake; 0 means that it never
/// does. Empty says nothing, which means [`BUSY_POLL_DEFAULT`]. None is returned for what is no
/// number, or more than a tenth of a second.
pub fn busy_poll(setting: &[u8]) -> Option<u32> {
    const MOST: u32 = 100_000;
    if setting.is_empty() {
        return Some(BUSY_POLL_DEFAULT);
    }
    let is_number = setting.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(setting).ok().filter(|_| is_number)?;
    text.parse().ok().filter(|time| *time <= MOST)
}

/// What the programs of a net see beside the net's interfaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    /// The machine's own interfaces, addresses and routes.
    Merged,
    /// A loopback and the uplinks that were declared, as in a network namespace of its own.
    Isolated,
    /// The machine as if there were no net: no addresses, no routes, no host process.
    Off,
}

/// Reads `merged`, `isolated` or `off`. Empty says nothing, which means merged. None is returned
/// for anything else.
pub fn host(setting: &[u8]) -> Option<Host> {
    match setting {
        b"merged" | b"" => Some(Host::Merged),
        b"isolated" => Some(Host::Isolated),
        b"off" => Some(Host::Off),
        _ => None,
    }
}

/// What [`host`] wants, as the end of a sentence that refuses a value.
pub const HOST_REMEDY: &str = "say merged, isolated or off";

/// Returns the word that [`host`] reads back.
pub fn host_word(host: Host) -> &'static str {
    match host {
        Host::Merged => "merged",
        Host::Isolated => "isolated",
        Host::Off => "off",
    }
}

/// Reads `off`, `error`, `warn`, `info`, `debug` or `trace`. Empty says nothing, which means warn.
/// None is returned for anything else.
pub fn log_level(setting: &[u8]) -> Option<LevelFilter> {
    Some(match setting {
        b"off" => LevelFilter::Off,
        b"error" => LevelFilter::Error,
        b"warn" | b"" => LevelFilter::Warn,
        b"info" => LevelFilter::Info,
        b"debug" => LevelFilter::Debug,
        b"trace" => LevelFilter::Trace,
        _ => return None,
    })
}

/// What [`log_level`] wants, as the end of a sentence that refuses a value.
pub const LOG_REMEDY: &str = "say off, error, warn, info, debug or trace; taking warn";

/// Reads the number of a user; None for anything else.
pub fn owner(setting: &[u8]) -> Option<u32> {
    std::str::from_utf8(setting).ok()?.parse().ok()
}

/// `DEVICE:INODE:PATH`: the directory that the net's path led to where the program was started. In
/// a sandbox the same path may lead elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Device number of the directory.
    pub device: u64,
    /// Inode of the directory.
    pub inode: u64,
    /// Path of the directory.
    pub path: &'a [u8],
}

impl<'a> Place<'a> {
    /// Reads the value of the variable; None for a value that does not have that form.
    pub fn parse(setting: &'a [u8]) -> Option<Place<'a>> {
        let mut parts = setting.splitn(3, |b| *b == b':');
        let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
        let (device, inode) = (number()?, number()?);
        let path = parts.next()?;
        Some(Place {
            device,
            inode,
            path,
        })
    }

    /// Returns the value as it stands in the variable.
    pub fn written(&self) -> Vec<u8> {
        let numbers = format!("{}:{}:", self.device, self.inode);
        [numbers.as_bytes(), self.path].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_is() {
        let normal =
            |path: &str| device(path.as_bytes()).map(|parts| parts.flatten().copied().collect());
        assert_eq!(normal("/dev/net/tun"), Some(b"/dev/net/tun".to_vec()));
        assert_eq!(normal("//dev/./x/"), Some(b"/dev/x".to_vec()));
        for bad in [
            "",
            "/",
            "/.",
            "dev/net/tun",
            "/dev/../tun",
            "/dev/a:b",
            "/a\0b",
        ] {
            assert_eq!(normal(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_list_of_devices() {
        let found: Vec<&[u8]> = devices(b":/a:/b/c::").collect();
        assert_eq!(found, [&b"/a"[..], b"/b/c"]);
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place {
            device: 7,
            inode: u64::MAX,
            path: b"/a:b",
        };
        assert_eq!(Place::parse(&place.written()), Some(place));
        for bad in ["", "7", "7:8", "x:8:/a", "7:-8:/a"] {
            assert_eq!(Place::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(
            [link(b"up"), link(b""), link(b"down"), link(b"Up")],
            [Some(true), Some(true), Some(false), None]
        );
        assert_eq!(link(link_word(false).as_bytes()), Some(false));
        for (word, what) in [
            ("", Some(Host::Merged)),
            ("merged", Some(Host::Merged)),
            ("isolated", Some(Host::Isolated)),
            ("off", Some(Host::Off)),
            ("Off", None),
        ] {
            assert_eq!(host(word.as_bytes()), what, "{word}");
        }
        for (word, time) in [
            ("", Some(50)),
            ("0", Some(0)),
            ("20", Some(20)),
            ("100000", Some(100_000)),
            ("100001", None),
            ("+1", None),
            ("-1", None),
            ("off", None),
        ] {
            assert_eq!(busy_poll(word.as_bytes()), time, "{word}");
        }
        assert_eq!(host(host_word(Host::Off).as_bytes()), Some(Host::Off));
        assert_eq!(log_level(b"off"), Some(LevelFilter::Off));
        assert_eq!(log_level(b""), Some(LevelFilter::Warn));
        assert_eq!(log_level(b"loud"), None);
        assert_eq!(
            [owner(b"0"), owner(b""), owner(b"me")],
            [Some(0), None, None]
        );
    }
}
