//! The net as IP looks at it for each packet: links, own addresses and settings, read once for each
//! generation.
#![forbid(unsafe_code)]

use crate::engine::route::lookup::LOOPBACK;
use crate::message::conf::{self, Of};
use crate::World;
use memtun_ip::ethernet::Mac;
use memtun_stack::{Address, Link, Neighbour};
use memtun_tcp::Offer;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An interface of the net.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its link-layer address; None of a tun.
    pub mac: Option<Mac>,
    /// Is it up?
    pub up: bool,
    /// Are there no neighbours to be asked for (IFF_NOARP)?
    pub no_arp: bool,
    /// The longest packet of IPv4.
    pub mtu: u32,
    /// The longest packet of IPv6; None where there is no IPv6.
    pub mtu_v6: Option<u32>,
    /// Hop limit of what is sent by IPv6.
    pub hop_limit: u8,
    /// Are packets of IPv4 forwarded that come in here?
    pub forwards: bool,
    /// Is it a router of IPv6?
    pub router: bool,
    /// `arp_ignore`, `arp_announce`, `arp_accept` and `drop_gratuitous_arp`.
    pub arp: [i32; 4],
    /// Are ARP requests answered for others that a route leads to (`proxy_arp`)?
    pub proxy_arp: bool,
    /// `rp_filter`.
    pub reverse_path: i32,
    /// Are redirects sent (`send_redirects`)?
    pub sends_redirects: bool,
}

/// Settings of the net.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Hop limit of what is sent by IPv4.
    pub ttl: u8,
    /// Is IPv6 forwarded?
    pub forwards_v6: bool,
    /// Is no echo request answered?
    pub ignores_echo: [bool; 2],
    /// Is none to a broadcast address or to a group of IPv4 answered?
    pub ignores_broadcast_echo: bool,
    /// Is none to a group of IPv6 answered?
    pub ignores_multicast_echo: bool,
    /// Milliseconds between two errors to one host, by family.
    pub rate_limit: [u64; 2],
    /// Which types of ICMP messages are limited.
    pub rate_mask: u32,
    /// Errors of all hosts in a second, and at once.
    pub per_second: [u64; 2],
    /// Seconds for which pieces are kept, by family.
    pub piece_time: [u64; 2],
    /// Is the MTU of paths not discovered (`ip_no_pmtu_disc`)?
    pub ignores_mtu: bool,
    /// The smallest MTU of a path that is believed.
    pub smallest_mtu: u32,
    /// What a SYN offers.
    pub offer: Offer,
    /// Milliseconds between two challenges of one connection.
    pub challenges: u64,
    /// Are SYNs answered by cookies (`tcp_syncookies` of 2)?
    pub cookies: bool,
    /// Does a window stay what it was while nothing is sent (`tcp_slow_start_after_idle` of 0)?
    pub rests: bool,
    /// Bits of `tcp_fastopen`: who may send data in a SYN.
    pub fast_open: i64,
    /// The key of its cookies, if one is set.
    pub fast_open_key: Option<[u8; 16]>,
}

/// The net of one generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// The generation.
    pub generation: u64,
    /// The net's own interfaces.
    pub interfaces: Vec<Interface>,
    /// Their addresses, and those that were given to the net's loopback.
    pub addresses: Vec<Address>,
    /// The neighbours that the state has for them.
    pub neighbours: Vec<Neighbour>,
    /// The settings.
    pub settings: Settings,
}

impl View {
    /// Returns a net without anything.
    pub fn empty() -> View {
        View {
            generation: u64::MAX,
            interfaces: Vec::new(),
            addresses: Vec::new(),
            neighbours: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// Reads the net.
    pub fn of(world: &World<'_>, generation: u64) -> View {
        let links = world.links.iter().filter(|link| link.driver.is_some());
        let interfaces: Vec<Interface> = links.map(|link| interface(world, link)).collect();
        let own = |index: u32| interfaces.iter().any(|it| it.index == index);
        let addresses = world.state.addresses.iter();
        let is_own = |it: &&Address| own(it.index) || is_of_loopback(it.index, it.local);
        let addresses = addresses.filter(is_own).copied().collect();
        let neighbours = world.state.neighbours.iter();
        let neighbours = neighbours.filter(|it| own(it.index) || it.index == 0);
        View {
            generation,
            addresses,
            neighbours: neighbours.cloned().collect(),
            settings: settings(world),
            interfaces,
        }
    }

    /// Returns the interface of an index.
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|it| it.index == index)
    }

    /// Has the net this address? One of a single link counts at that link only.
    pub fn owns(&self, address: IpAddr, index: u32) -> bool {
        let everywhere = match address {
            IpAddr::V6(address) => !address.is_unicast_link_local(),
            IpAddr::V4(_) => true,
        };
        let mut all = self.addresses.iter();
        all.any(|own| own.local == address && (everywhere || own.index == index))
    }

    /// Returns the first address of IPv4 on a link.
    pub fn first_v4(&self, index: u32) -> Option<Ipv4Addr> {
        let mut of_link = self.addresses.iter().filter(|own| own.index == index);
        of_link.find_map(|own| match own.local {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// Returns the entry of an address on a link.
    pub fn address_of(&self, address: IpAddr, index: u32) -> Option<&Address> {
        let mut all = self.addresses.iter();
        all.find(|own| own.local == address && own.index == index)
    }

    /// Returns an address of a link that is of that link alone, to speak to neighbours by.
    pub fn link_local(&self, index: u32) -> Option<Ipv6Addr> {
        let mut all = self.addresses.iter().filter(|own| own.index == index);
        all.find_map(|own| match own.local {
            IpAddr::V6(local)
                if local.is_unicast_link_local() && own.flags & libc::IFA_F_TENTATIVE == 0 =>
            {
                Some(local)
            }
            _ => None,
        })
    }

    /// Is it a broadcast address of a link?
    pub fn is_broadcast(&self, address: IpAddr, index: u32) -> bool {
        let IpAddr::V4(address) = address else {
            return false;
        };
        let mut own = self.addresses.iter().filter(|own| own.index == index);
        address.is_broadcast()
            || own.any(|own| {
                let IpAddr::V4(local) = own.local else {
                    return false;
                };
                let host = u32::MAX.checked_shr(own.prefix.into()).unwrap_or(0);
                let whole = u32::from(local) | host;
                own.broadcast == Some(address) || own.prefix < 31 && whole == u32::from(address)
            })
    }

    /// Has a link neighbours that are asked for?
    pub fn has_neighbours(&self, index: u32) -> bool {
        self.interface(index).is_some_and(|it| !it.no_arp)
    }

    /// Is it a group of routers, and this host one?
    pub fn is_router_group(&self, index: u32, group: Ipv6Addr) -> bool {
        group == memtun_ip::ethernet::ALL_ROUTERS
            && self.interface(index).is_some_and(|it| it.router)
    }

    /// Is this address one that its link has asked others for, and may not use yet?
    pub fn is_tentative(address: &Address) -> bool {
        address.flags & libc::IFA_F_TENTATIVE != 0 && address.flags & libc::IFA_F_OPTIMISTIC == 0
    }
}

/// Is it an address that was given to the net's loopback, and is reached by any interface? Those
/// that a loopback has by itself are the machine's.
pub(super) fn is_of_loopback(index: u32, address: IpAddr) -> bool {
    index == LOOPBACK && !address.to_canonical().is_loopback()
}

fn interface(world: &World<'_>, link: &Link) -> Interface {
    let of = Of::Link(link);
    let v4 = |name: &str| conf::v4(world.state, of, name);
    let widest = |name: &str| v4(name).max(conf::v4(world.state, Of::All, name));
    let has_v6 =
        conf::has_inet6(world.state, link) && conf::v6(world.state, of, "disable_ipv6") == 0;
    let v6 = |name: &str| conf::v6(world.state, of, name);
    Interface {
        index: link.extra.index,
        mac: link.extra.address.as_slice().try_into().ok(),
        up: link.is_up(),
        no_arp: link.extra.flags & libc::IFF_NOARP as u32 != 0,
        mtu: link.extra.mtu,
        mtu_v6: has_v6.then(|| v6("mtu").max(0) as u32),
        hop_limit: v6("hop_limit").clamp(0, 255) as u8,
        forwards: v4("forwarding") != 0
            || world.setting(b"ipv4/ip_forward").is_some_and(|on| on != 0),
        router: v6("forwarding") != 0,
        arp: [
            widest("arp_ignore"),
            widest("arp_announce"),
            widest("arp_accept"),
            widest("drop_gratuitous_arp"),
        ],
        proxy_arp: widest("proxy_arp") != 0,
        reverse_path: widest("rp_filter"),
        sends_redirects: widest("send_redirects") != 0,
    }
}

/// What sockets of TCP offer on which nothing was set. What the net has not set is the machine's.
fn offer(world: &World<'_>) -> Offer {
    let text = |path: &str| {
        let set = world.state.sysctls.iter();
        let set = set.map(|it| (&it.path[..], &it.value[..]));
        let own = set
            .filter(|it| it.0 == path.as_bytes())
            .map(|it| it.1)
            .next();
        let own = own.and_then(|value| std::str::from_utf8(value).ok());
        own.map(str::to_owned).unwrap_or_else(|| machines(path))
    };
    let is_on = |path: &str| text(path).trim() != "0";
    let buffers = text("ipv4/tcp_rmem");
    let mut buffers = buffers.split_whitespace().map(|it| it.parse().unwrap_or(0));
    let (_, first, most) = (buffers.next(), buffers.next(), buffers.next());
    let usual = Offer {
        timestamps: is_on("ipv4/tcp_timestamps"),
        selective: is_on("ipv4/tcp_sack"),
        scale: is_on("ipv4/tcp_window_scaling").then_some(0),
        asks_ecn: text("ipv4/tcp_ecn").trim() == "1",
        takes_ecn: is_on("ipv4/tcp_ecn"),
        ..Offer::default()
    };
    let most = most.unwrap_or(6_291_456);
    usual.of_buffer(first.unwrap_or(131_072), Some(most))
}

/// The first key of cookies: four numbers, each of whose bytes the last one is the first of.
fn fast_open_key(world: &World<'_>) -> Option<[u8; 16]> {
    let mut set = world.state.sysctls.iter();
    let set = set.find(|it| it.path == b"ipv4/tcp_fastopen_key")?;
    let text = std::str::from_utf8(&set.value).ok()?;
    let mut key = [0; 16];
    let numbers = text.trim().split(',').next()?.split('-');
    for (to, number) in key.chunks_exact_mut(4).zip(numbers) {
        to.copy_from_slice(&u32::from_str_radix(number, 16).ok()?.to_le_bytes());
    }
    Some(key)
}

/// What the machine has set.
fn machines(path: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).unwrap_or_default()
}

fn settings(world: &World<'_>) -> Settings {
    let number = |path: &str, default: i64| world.setting(path.as_bytes()).unwrap_or(default);
    let at_least_0 = |path: &str, default: i64| number(path, default).max(0) as u64;
    Settings {
        ttl: number("ipv4/ip_default_ttl", 64).clamp(1, 255) as u8,
        forwards_v6: conf::v6(world.state, Of::All, "forwarding") != 0,
        ignores_echo: [
            number("ipv4/icmp_echo_ignore_all", 0) != 0,
            number("ipv6/icmp/echo_ignore_all", 0) != 0,
        ],
        ignores_broadcast_echo: number("ipv4/icmp_echo_ignore_broadcasts", 1) != 0,
        ignores_multicast_echo: number("ipv6/icmp/echo_ignore_multicast", 0) != 0,
        rate_limit: [
            at_least_0("ipv4/icmp_ratelimit", 1000),
            at_least_0("ipv6/icmp/ratelimit", 1000),
        ],
        rate_mask: at_least_0("ipv4/icmp_ratemask", 6168) as u32,
        per_second: [
            at_least_0("ipv4/icmp_msgs_per_sec", 1000),
            at_least_0("ipv4/icmp_msgs_burst", 50),
        ],
        piece_time: [
            at_least_0("ipv4/ipfrag_time", 30),
            at_least_0("ipv6/ip6frag_time", 60),
        ],
        ignores_mtu: number("ipv4/ip_no_pmtu_disc", 0) == 1,
        smallest_mtu: at_least_0("ipv4/route/min_pmtu", 552) as u32,
        offer: offer(world),
        challenges: at_least_0("ipv4/tcp_invalid_ratelimit", 500),
        cookies: number("ipv4/tcp_syncookies", 1) == 2,
        rests: number("ipv4/tcp_slow_start_after_idle", 1) == 0,
        fast_open: number("ipv4/tcp_fastopen", 1),
        fast_open_key: fast_open_key(world),
    }
}
