//! Which place of /sys or /proc a path names.
#![forbid(unsafe_code)]

use super::sysctl::{self, Entry, Row};
use memtun_abi::Name;

/// The directory of the links that every program looks into.
pub const CLASS: &[u8] = b"/sys/class/net";
/// The directory in which a link without a card has its own one.
pub const VIRTUAL: &[u8] = b"/sys/devices/virtual/net";
/// The directory of the settings of the network stack.
pub const SETTINGS: &[u8] = b"/proc/sys/net/";

/// Settings that every link has, all of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settings {
    /// net/ipv4/conf
    Conf4,
    /// net/ipv6/conf
    Conf6,
    /// net/ipv4/neigh
    Neigh4,
    /// net/ipv6/neigh
    Neigh6,
}

impl Settings {
    /// All of them.
    pub const ALL: [Settings; 4] = [
        Settings::Conf4,
        Settings::Conf6,
        Settings::Neigh4,
        Settings::Neigh6,
    ];

    /// Returns the path of the directory below /proc/sys/net.
    pub fn directory(self) -> &'static str {
        match self {
            Settings::Conf4 => "ipv4/conf",
            Settings::Conf6 => "ipv6/conf",
            Settings::Neigh4 => "ipv4/neigh",
            Settings::Neigh6 => "ipv6/neigh",
        }
    }

    /// Returns the files of a link there.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = Entry> {
        self.rows().iter().map(Row::entry)
    }

    fn rows(self) -> &'static [Row] {
        match self {
            Settings::Conf4 => &sysctl::CONF4,
            Settings::Conf6 => &sysctl::CONF6,
            Settings::Neigh4 => &sysctl::NEIGH4,
            Settings::Neigh6 => &sysctl::NEIGH6,
        }
    }

    /// Are these IPv6's?
    pub fn is_v6(self) -> bool {
        matches!(self, Settings::Conf6 | Settings::Neigh6)
    }

    /// Returns the file of that name.
    pub fn entry(self, name: &[u8]) -> Option<Entry> {
        let rows = self.rows();
        let found = rows.binary_search_by(|row| row.entry().name.as_bytes().cmp(name));
        found.ok().map(|at| rows[at].entry())
    }
}

/// A file of /proc/net in which links, addresses, routes or sockets stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetFile {
    /// The links and their counters.
    Dev,
    /// Multicast addresses of links.
    DevMcast,
    /// IPv4 routes of the main table.
    Route,
    /// IPv6 routes.
    Ipv6Route,
    /// IPv6 addresses.
    IfInet6,
    /// IPv4 neighbours.
    Arp,
    /// IPv4 multicast groups.
    Igmp,
    /// IPv6 multicast groups.
    Igmp6,
    /// IPv4 routes of all tables, as a trie.
    FibTrie,
    /// How these tries are shaped.
    FibTriestat,
    /// What IPv4 and what is above it have counted.
    Snmp,
    /// More of that.
    Netstat,
    /// What IPv6 and what is above it have counted.
    Snmp6,
    /// Sockets of TCP.
    Tcp,
    /// Sockets of TCP for IPv6.
    Tcp6,
    /// Sockets of UDP.
    Udp,
    /// Sockets of UDP for IPv6.
    Udp6,
    /// Sockets that send echo requests.
    Icmp,
    /// Sockets that send echo requests of ICMPv6.
    Icmp6,
    /// Raw sockets.
    Raw,
    /// Raw sockets of IPv6.
    Raw6,
    /// How many sockets there are.
    Sockstat,
    /// How many sockets of IPv6 there are.
    Sockstat6,
    /// Packet sockets.
    Packet,
}

const NET_FILES: [(&str, NetFile); 24] = [
    ("dev", NetFile::Dev),
    ("dev_mcast", NetFile::DevMcast),
    ("route", NetFile::Route),
    ("ipv6_route", NetFile::Ipv6Route),
    ("if_inet6", NetFile::IfInet6),
    ("arp", NetFile::Arp),
    ("igmp", NetFile::Igmp),
    ("igmp6", NetFile::Igmp6),
    ("fib_trie", NetFile::FibTrie),
    ("fib_triestat", NetFile::FibTriestat),
    ("snmp", NetFile::Snmp),
    ("netstat", NetFile::Netstat),
    ("snmp6", NetFile::Snmp6),
    ("tcp", NetFile::Tcp),
    ("tcp6", NetFile::Tcp6),
    ("udp", NetFile::Udp),
    ("udp6", NetFile::Udp6),
    ("icmp", NetFile::Icmp),
    ("icmp6", NetFile::Icmp6),
    ("raw", NetFile::Raw),
    ("raw6", NetFile::Raw6),
    ("sockstat", NetFile::Sockstat),
    ("sockstat6", NetFile::Sockstat6),
    ("packet", NetFile::Packet),
];

/// The directory in /proc/net of what IPv6 has counted on each link.
pub const COUNTERS: &[u8] = b"dev_snmp6";

impl NetFile {
    /// Returns the machine's own file.
    pub fn path(self) -> &'static [u8] {
        match self {
            NetFile::Dev => b"/proc/self/net/dev",
            NetFile::DevMcast => b"/proc/self/net/dev_mcast",
            NetFile::Route => b"/proc/self/net/route",
            NetFile::Ipv6Route => b"/proc/self/net/ipv6_route",
            NetFile::IfInet6 => b"/proc/self/net/if_inet6",
            NetFile::Arp => b"/proc/self/net/arp",
            NetFile::Igmp => b"/proc/self/net/igmp",
            NetFile::Igmp6 => b"/proc/self/net/igmp6",
            NetFile::FibTrie => b"/proc/self/net/fib_trie",
            NetFile::FibTriestat => b"/proc/self/net/fib_triestat",
            NetFile::Snmp => b"/proc/self/net/snmp",
            NetFile::Netstat => b"/proc/self/net/netstat",
            NetFile::Snmp6 => b"/proc/self/net/snmp6",
            NetFile::Tcp => b"/proc/self/net/tcp",
            NetFile::Tcp6 => b"/proc/self/net/tcp6",
            NetFile::Udp => b"/proc/self/net/udp",
            NetFile::Udp6 => b"/proc/self/net/udp6",
            NetFile::Icmp => b"/proc/self/net/icmp",
            NetFile::Icmp6 => b"/proc/self/net/icmp6",
            NetFile::Raw => b"/proc/self/net/raw",
            NetFile::Raw6 => b"/proc/self/net/raw6",
            NetFile::Sockstat => b"/proc/self/net/sockstat",
            NetFile::Sockstat6 => b"/proc/self/net/sockstat6",
            NetFile::Packet => b"/proc/self/net/packet",
        }
    }

    /// Is it about the namespace as a whole? Where the machine is seen, it is the machine's.
    pub fn is_of_namespace(self) -> bool {
        matches!(
            self,
            NetFile::FibTriestat
                | NetFile::Snmp
                | NetFile::Netstat
                | NetFile::Snmp6
                | NetFile::Sockstat
                | NetFile::Sockstat6
        )
    }

    /// Is it a list of sockets?
    pub fn lists_sockets(self) -> bool {
        use NetFile::{Icmp, Icmp6, Packet, Raw, Raw6, Tcp, Tcp6, Udp, Udp6};
        matches!(
            self,
            Tcp | Tcp6 | Udp | Udp6 | Icmp | Icmp6 | Raw | Raw6 | Packet
        )
    }
}

/// A place that a path names, given that the path has no link in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place<'p> {
    /// A place of which nothing is known here.
    Other,
    /// /sys/class/net
    Class,
    /// Something in /sys/class/net.
    ClassEntry(Name),
    /// /sys/devices/virtual/net
    Virtual,
    /// A link's own directory, or what the rest of the path names in it.
    Device(Name, &'p [u8]),
    /// The directory of a link that has a card, or what the rest of the path names in it.
    Card(Name, &'p [u8]),
    /// A file of /proc/net.
    Net(NetFile),
    /// The directory in /proc/net of what IPv6 has counted on each link.
    Counters,
    /// What IPv6 has counted on a link.
    CountersOf(Name),
    /// The directory of settings of one kind.
    Settings(Settings),
    /// The directory of such settings of a link, or of `all` or `default`.
    SettingsOf(Settings, Name),
    /// A file whose writing forgets routes that are cached.
    Flush,
    /// A setting; None where no link has one of that name.
    Setting(Settings, Name, Option<Entry>),
    /// Something else below /proc/sys/net, by its path there.
    Wide(&'p [u8]),
}

impl<'p> Place<'p> {
    /// Says which place an absolute path names. The path has no empty components, no `.` and no
    /// `..`.
    pub fn of(path: &'p [u8]) -> Place<'p> {
        place(path).unwrap_or(Place::Other)
    }
}

fn place(path: &[u8]) -> Option<Place<'_>> {
    if path == CLASS {
        return Some(Place::Class);
    }
    if path == VIRTUAL {
        return Some(Place::Virtual);
    }
    if let Some(rest) = below(path, CLASS) {
        let (name, more) = component(rest);
        return more
            .is_empty()
            .then_some(Place::ClassEntry(Name::new(name)?));
    }
    if let Some(rest) = below(path, VIRTUAL) {
        let (name, more) = component(rest);
        return Some(Place::Device(Name::new(name)?, more));
    }
    if path == &SETTINGS[..SETTINGS.len() - 1] {
        return Some(Place::Wide(b""));
    }
    if let Some(rest) = path.strip_prefix(SETTINGS) {
        return setting(rest).or(Some(Place::Wide(rest)));
    }
    if path.starts_with(b"/sys/devices/") {
        let net = path.windows(5).position(|part| part == b"/net/")?;
        let (name, more) = component(&path[net + 5..]);
        return Some(Place::Card(Name::new(name)?, more));
    }
    let inside = in_proc_net(path)?;
    if let Some(rest) = inside.strip_prefix(COUNTERS) {
        return match rest {
            [] => Some(Place::Counters),
            _ => Name::new(rest.strip_prefix(b"/")?).map(Place::CountersOf),
        };
    }
    let file = std::str::from_utf8(inside).ok()?;
    let found = NET_FILES.iter().find(|(name, _)| *name == file)?;
    Some(Place::Net(found.1))
}

fn setting(rest: &[u8]) -> Option<Place<'_>> {
    if rest == b"ipv4/ip_forward" {
        // It is the same number as this one.
        let forwarding = Settings::Conf4.entry(b"forwarding");
        return Some(Place::Setting(
            Settings::Conf4,
            Name::new(b"all")?,
            forwarding,
        ));
    }
    if matches!(rest, b"ipv4/route/flush" | b"ipv6/route/flush") {
        return Some(Place::Flush);
    }
    let of = |settings: &Settings| rest.strip_prefix(settings.directory().as_bytes());
    let settings = Settings::ALL.into_iter().find(|s| of(s).is_some())?;
    let rest = of(&settings)?;
    if rest.is_empty() {
        return Some(Place::Settings(settings));
    }
    let (name, more) = component(rest.strip_prefix(b"/")?);
    let name = Name::new(name)?;
    let (file, behind) = component(more);
    Some(match file {
        b"" => Place::SettingsOf(settings, name),
        file => {
            let entry = settings.entry(file).filter(|_| behind.is_empty());
            Place::Setting(settings, name, entry)
        }
    })
}

/// The part of a path below a directory.
fn below<'p>(path: &'p [u8], directory: &[u8]) -> Option<&'p [u8]> {
    path.strip_prefix(directory)?.strip_prefix(b"/")
}

/// Splits the first component off a path.
pub fn component(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (path, b""),
    }
}

/// The part of a path below /proc/net, by whatever name of that directory.
fn in_proc_net(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"/proc/")?;
    let (first, more) = component(rest);
    if first == b"net" {
        return Some(more);
    }
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if first == b"self" || is_number(first) {
        if let Some(rest) = more.strip_prefix(b"net/") {
            return Some(rest);
        }
        let (task, more) = component(more.strip_prefix(b"task/")?);
        return more.strip_prefix(b"net/").filter(|_| is_number(task));
    }
    more.strip_prefix(b"net/")
        .filter(|_| first == b"thread-self")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_file_is_known() {
        for path in [
            "/proc/net/dev",
            "/proc/self/net/dev",
            "/proc/thread-self/net/dev",
            "/proc/17/net/dev",
            "/proc/self/task/18/net/dev",
            "/proc/17/task/18/net/dev",
        ] {
            assert_eq!(
                Place::of(path.as_bytes()),
                Place::Net(NetFile::Dev),
                "{path}"
            );
        }
        for path in [
            "/proc/net/tcp7",
            "/proc/net",
            "/proc/self/task/x/net/dev",
            "/proc/net/dev/x",
            "/sys/class/network",
            "/sys/class/net/tun0/mtu",
            "/sys/class/net/a-name-that-no-link-has",
        ] {
            assert_eq!(Place::of(path.as_bytes()), Place::Other, "{path}");
        }
    }

    #[test]
    fn links_and_settings_are_known() {
        let tun0 = Name::new(b"tun0").expect("a name");
        let all = Name::new(b"all").expect("a name");
        assert_eq!(Place::of(b"/sys/class/net"), Place::Class);
        assert_eq!(Place::of(b"/sys/class/net/tun0"), Place::ClassEntry(tun0));
        assert_eq!(
            Place::of(b"/sys/devices/virtual/net/tun0/queues/rx-0"),
            Place::Device(tun0, b"queues/rx-0")
        );
        let entry = Settings::Conf6.entry(b"disable_ipv6");
        assert!(entry.is_some());
        assert_eq!(
            Place::of(b"/proc/sys/net/ipv6/conf/tun0/disable_ipv6"),
            Place::Setting(Settings::Conf6, tun0, entry)
        );
        assert_eq!(
            Place::of(b"/proc/sys/net/ipv4/neigh/tun0/none"),
            Place::Setting(Settings::Neigh4, tun0, None)
        );
        assert_eq!(
            Place::of(b"/sys/devices/pci0000:00/0000:00:03.0/net/eth0/queues/rx-0"),
            Place::Card(Name::new(b"eth0").expect("a name"), b"queues/rx-0")
        );
        assert_eq!(
            Place::of(b"/proc/sys/net/core/somaxconn"),
            Place::Wide(b"core/somaxconn")
        );
        let forwarding = Settings::Conf4.entry(b"forwarding");
        assert_eq!(
            Place::of(b"/proc/sys/net/ipv4/ip_forward"),
            Place::Setting(Settings::Conf4, all, forwarding)
        );
    }
}
