//! Ways of packets, found by the engine and remembered while nothing changes, and the MTUs of
//! paths.
#![forbid(unsafe_code)]

use super::ground::Ground;
use crate::engine::route::lookup::{self, Flow, Found, LOOPBACK};
use crate::World;
use memtun_stack::route::rtf;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Most ways of each direction that are remembered.
const MOST: usize = 4096;
/// For how long a path's MTU is believed (`ip_rt_mtu_expires`, `ip6_rt_mtu_expires`).
const MTU_TIME: Duration = Duration::from_secs(600);
const RTAX_MTU: u16 = 2;
const RTAX_HOPLIMIT: u16 = 10;

/// The way of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// The interface by which it leaves.
    pub ifindex: u32,
    /// The source address, unspecified where there is none.
    pub source: IpAddr,
    /// Whom it is given to.
    pub next_hop: IpAddr,
    /// RTN_* of what becomes of it.
    pub kind: u8,
    /// The longest packet that passes.
    pub mtu: u32,
    /// The longest packet that the link and the route let pass, whatever is known of the path.
    pub link_mtu: u32,
    /// Hop limit of what is sent.
    pub hops: u8,
    /// Length of the prefix of the route.
    pub prefix: u8,
    /// Does the route name a gateway?
    pub gateway: bool,
}

impl Way {
    /// Returns the way to a group on a link.
    pub fn on_link(index: u32, source: IpAddr, group: IpAddr) -> Way {
        Way {
            ifindex: index,
            source,
            next_hop: group,
            kind: libc::RTN_MULTICAST,
            mtu: 1280,
            link_mtu: 1280,
            hops: 1,
            prefix: 0,
            gateway: false,
        }
    }

    /// Returns the way from one end to another that are both on this host.
    pub fn within(source: IpAddr, to: IpAddr) -> Way {
        /// The MTU of a loopback.
        const MTU: u32 = 65_536;
        Way {
            kind: libc::RTN_LOCAL,
            mtu: MTU,
            link_mtu: MTU,
            hops: 64,
            ..Way::on_link(LOOPBACK, source, to)
        }
    }

    /// Does it lead to this host itself?
    pub fn is_local(&self) -> bool {
        self.kind == libc::RTN_LOCAL || self.kind == libc::RTN_ANYCAST
    }

    /// Is it for everybody on the link?
    pub fn is_broadcast(&self) -> bool {
        self.kind == libc::RTN_BROADCAST
    }
}

/// What becomes of a packet that comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is for this host.
    Local,
    /// It is for everybody on the link.
    Broadcast,
    /// It is for an address of this host that others may have, too.
    Anycast,
    /// It is for somebody else, whom this way leads to.
    Forward(Way),
    /// No way leads there; an errno.
    Refused(i32),
}

/// A number that is another one when a way may be, and of which kind it is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Generation {
    by_neighbours: bool,
    number: u64,
}

type Key = (IpAddr, IpAddr, [u32; 3], u8, (u8, u16, u16), Option<u32>);

fn key(flow: &Flow, by_ports: bool) -> Key {
    let (source, destination) = flow.ports;
    let ports = match by_ports {
        true => (flow.protocol, source, destination),
        false => (0, 0, 0),
    };
    let numbers = [flow.oif, flow.iif, flow.mark];
    (flow.to, flow.from, numbers, flow.tos, ports, flow.uid)
}

/// The MTU of the path to a host.
#[derive(Clone, Copy)]
struct Path {
    mtu: u32,
    /// Until when it is believed.
    until: Duration,
    /// The link by which the path begins, whose end is that of the path; 0 if that is not known.
    ifindex: u32,
}

/// The ways that are remembered.
#[derive(Default)]
pub struct Routes {
    generation: Generation,
    /// Do neighbours decide about ways?
    by_neighbours: bool,
    /// Can two flows between the same addresses have different ways?
    by_ports: bool,
    out: HashMap<Key, Result<Way, i32>>,
    input: HashMap<Key, Verdict>,
    /// The last ones: packets come in trains.
    last_out: Option<(Key, Result<Way, i32>)>,
    last_input: Option<(Key, Verdict)>,
    /// MTUs of the paths to hosts.
    paths: HashMap<IpAddr, Path>,
    learned: u32,
}

impl Routes {
    /// Returns what changes with all that ways depend on.
    pub(super) fn generation(&self, ground: &dyn Ground) -> Generation {
        let number = match self.by_neighbours {
            true => ground.generation(),
            false => ground.ways_generation(),
        };
        Generation {
            by_neighbours: self.by_neighbours,
            number,
        }
    }

    /// Forgets all ways when the generation is another one.
    fn refresh(&mut self, ground: &mut dyn Ground) {
        let generation = self.generation(ground);
        if self.generation != generation || self.out.len() + self.input.len() > MOST {
            (self.by_ports, self.by_neighbours) = (true, true);
            ground.consult(&mut |world| {
                self.by_ports = ports_matter(world);
                self.by_neighbours = neighbours_matter(world);
                self.paths
                    .retain(|_, path| path.ifindex == 0 || world.link(path.ifindex).is_some());
            });
            // To look may have changed something, which is found with the next packet.
            self.generation = match self.by_neighbours == generation.by_neighbours {
                true => generation,
                false => self.generation(ground),
            };
            self.out.clear();
            self.input.clear();
            (self.last_out, self.last_input) = (None, None);
        }
    }

    /// Finds the way of what this host sends.
    ///
    /// # Errors
    ///
    /// The errno of the lookup.
    pub fn output(
        &mut self,
        ground: &mut dyn Ground,
        now: Duration,
        flow: &Flow,
    ) -> Result<Way, i32> {
        self.refresh(ground);
        let key = key(flow, self.by_ports);
        if let Some((_, known)) = self.last_out.filter(|last| last.0 == key) {
            return known.map(|way| self.with_path(way, flow.to, now));
        }
        let mut found = Err(libc::ENETDOWN);
        match self.out.get(&key) {
            Some(known) => found = *known,
            None => {
                ground.consult(&mut |world| {
                    found = lookup::lookup(world, flow).map(|found| way(world, flow, &found));
                });
                self.out.insert(key, found);
            }
        }
        self.last_out = Some((key, found));
        found.map(|way| self.with_path(way, flow.to, now))
    }

    /// Finds out what becomes of a packet that has come in by `flow.iif`.
    pub fn input(&mut self, ground: &mut dyn Ground, flow: &Flow) -> Verdict {
        self.refresh(ground);
        let key = key(flow, self.by_ports);
        if let Some((_, known)) = self.last_input.filter(|last| last.0 == key) {
            return known;
        }
        let mut verdict = Verdict::Refused(libc::ENETDOWN);
        match self.input.get(&key) {
            Some(known) => verdict = *known,
            None => {
                ground.consult(&mut |world| verdict = input(world, flow));
                self.input.insert(key, verdict);
            }
        }
        self.last_input = Some((key, verdict));
        verdict
    }

    /// Notes the MTU of the path to a host.
    pub fn set_path_mtu(&mut self, to: IpAddr, mtu: u32, now: Duration) {
        if self.paths.len() >= MOST {
            self.paths.retain(|_, path| path.until > now);
        }
        if self.paths.len() < MOST || self.paths.contains_key(&to) {
            let path = Path {
                mtu,
                until: now + MTU_TIME,
                ifindex: self.link_towards(to),
            };
            let before = self.paths.insert(to, path);
            if before.is_none_or(|before| before.mtu != mtu) {
                self.learned = self.learned.wrapping_add(1);
            }
        }
    }

    /// Returns the link by which packets to a host have gone; 0 where none is remembered.
    fn link_towards(&self, to: IpAddr) -> u32 {
        let mut ways = self.out.iter().filter(|(key, _)| key.0 == to);
        let way = ways.find_map(|(_, way)| way.ok());
        way.map_or(0, |way| way.ifindex)
    }

    /// Returns a number that changes with each MTU that is learned.
    pub(super) fn paths_generation(&self) -> u32 {
        self.learned
    }

    /// Returns the MTU of the path to a host, and for how long it is still believed.
    pub fn path_mtu(&self, to: IpAddr, now: Duration) -> Option<(u32, Duration)> {
        let path = self.paths.get(&to)?;
        (path.until > now).then(|| (path.mtu, path.until - now))
    }

    fn with_path(&self, way: Way, to: IpAddr, now: Duration) -> Way {
        match self.path_mtu(to, now) {
            Some((mtu, _)) => Way {
                mtu: way.mtu.min(mtu),
                ..way
            },
            None => way,
        }
    }
}

/// Does it decide about ways which neighbours are there? Some of several next hops are passed over
/// that are known to be missing.
fn neighbours_matter(world: &World<'_>) -> bool {
    let careful = world.setting(b"ipv4/fib_multipath_use_neigh").unwrap_or(0) != 0;
    careful || !world.state.objects.is_empty()
}

/// Do ports or the protocol decide about ways: by a rule, or among several next hops?
fn ports_matter(world: &World<'_>) -> bool {
    const FRA_IP_PROTO: u16 = 22;
    const FRA_SPORT_RANGE: u16 = 23;
    const FRA_DPORT_RANGE: u16 = 24;
    let by_rule = world.state.rules.iter().any(|rule| {
        let attributes = rule.attributes();
        let all = [FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE];
        all.iter().any(|kind| attributes.get(*kind).is_some())
    });
    let policies = [
        &b"ipv4/fib_multipath_hash_policy"[..],
        b"ipv6/fib_multipath_hash_policy",
    ];
    by_rule
        || policies
            .iter()
            .any(|name| world.setting(name).unwrap_or(0) != 0)
}

fn way(world: &World<'_>, flow: &Flow, found: &Found) -> Way {
    let route = found.hit.as_ref().map(|hit| &hit.route);
    let kind = match (found.to, route) {
        (IpAddr::V6(to), _) if to.is_multicast() => libc::RTN_MULTICAST,
        (IpAddr::V6(_), Some(route)) if route.flags & rtf::LOCAL != 0 => libc::RTN_LOCAL,
        (IpAddr::V6(_), Some(route)) if route.flags & rtf::ANYCAST != 0 => libc::RTN_ANYCAST,
        _ => found.kind,
    };
    let metric = |number: u16| {
        let metrics = route.map_or(&[][..], |route| &route.metrics);
        let found = metrics.iter().find(|metric| metric.0 == number);
        found.map(|metric| metric.1).filter(|value| *value != 0)
    };
    let v6 = flow.to.is_ipv6();
    let link = world.link(found.index);
    let link_mtu = link.map_or(0, |link| match v6 {
        true => crate::message::conf::v6(world.state, crate::message::conf::Of::Link(link), "mtu")
            as u32,
        false => link.extra.mtu,
    });
    let mtu = metric(RTAX_MTU).unwrap_or(link_mtu).min(link_mtu.max(1280));
    let hop_limit = metric(RTAX_HOPLIMIT).map(|limit| limit.min(255) as u8);
    Way {
        ifindex: found.index,
        source: found.source,
        next_hop: found.gateway.unwrap_or(found.to),
        kind,
        mtu,
        link_mtu: mtu,
        hops: hop_limit.unwrap_or_else(|| first_hop_limit(world, found.index, v6)),
        prefix: route.map_or(0, |route| route.prefix),
        gateway: found.gateway.is_some(),
    }
}

fn first_hop_limit(world: &World<'_>, index: u32, v6: bool) -> u8 {
    use crate::message::conf;
    let limit = match (v6, world.link(index)) {
        (true, Some(link)) => conf::v6(world.state, conf::Of::Link(link), "hop_limit").into(),
        (true, None) => 64,
        (false, _) => world.setting(b"ipv4/ip_default_ttl").unwrap_or(64),
    };
    limit.clamp(1, 255) as u8
}

fn input(world: &World<'_>, flow: &Flow) -> Verdict {
    let found = match flow.to {
        IpAddr::V4(_) => lookup::input_v4(world, flow),
        IpAddr::V6(_) => lookup::lookup(world, flow),
    };
    let found = match found {
        Ok(found) => found,
        Err(errno) => return Verdict::Refused(errno),
    };
    let way = way(world, flow, &found);
    match way.kind {
        libc::RTN_BROADCAST => Verdict::Broadcast,
        libc::RTN_ANYCAST => Verdict::Anycast,
        _ if way.is_local() || way.ifindex == LOOPBACK => Verdict::Local,
        _ => Verdict::Forward(way),
    }
}
