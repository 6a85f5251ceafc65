//! A link as the host sees it: what the tun driver has in shared memory, and what only the host
//! knows.
#![forbid(unsafe_code)]

use crate::wire::{u16_at, u32_at, Attributes, Message, Writer, NESTED};
use memtun_abi::uapi::IFF_TUN;
use memtun_abi::{Errno, Name};
use memtun_kernel::link::ethtool::Plain;
use memtun_kernel::link::{hardware_address, LONGEST_ADDRESS};
use memtun_kernel::net::{Local, NetDir};
use memtun_shm::layout::InterfaceState;
use memtun_shm::{load_name, Mapped};
use std::sync::atomic::Ordering::Relaxed;

/// Length in bytes of `struct ifinfomsg`.
pub const HEADER: usize = 16;
/// IFLA_INFO_KIND of a device that the net does not make: `lo`, or an uplink that was declared.
pub(crate) const DECLARED: u16 = 0x3f00;
/// Bits: has IPv6 started on the link, has it gone down since it first came up, and others of
/// [`Extra`].
pub(crate) const STATES: u16 = 0x3f01;
/// IFLA_INET6_TOKEN, which is nested elsewhere in the kernel's messages.
const TOKEN: u16 = 0x3f02;
/// [`Notified`].
const NOTIFIED: u16 = 0x3f05;
/// Addresses that the link receives beside its own, one behind the other.
pub(crate) const UNICAST: u16 = 0x3f03;
/// Groups that the link receives beside those of IP, one behind the other.
pub(crate) const GROUPS: u16 = 0x3f04;
/// The features that are wanted, where they are not those of a new link.
const FEATURES: u16 = 0x3f06;
/// The addresses of all routers of its networks, one behind the other.
pub(crate) const ANYCASTS: u16 = 0x3f07;
/// [`Extra::ip_since`].
const IP_SINCE: u16 = 0x3f08;
/// A bit of [`STATES`].
pub(crate) const RECEIVES_ALL: u8 = 64;
const GSO_MAX_SEGS: u16 = 40;
const GSO_MAX_SIZE: u16 = 41;
const CARRIER_UPS: u16 = 47;
const CARRIER_DOWNS: u16 = 48;
const GRO_MAX_SIZE: u16 = 58;
const GSO_IPV4_MAX_SIZE: u16 = 63;
const GRO_IPV4_MAX_SIZE: u16 = 64;

/// States of operation of RFC 2863 (IF_OPER_*).
pub mod oper {
    /// Nothing is known.
    pub const UNKNOWN: u8 = 0;
    /// No packet passes.
    pub const DOWN: u8 = 2;
    /// The link is being tested.
    pub const TESTING: u8 = 4;
    /// The link waits for something, for example a password.
    pub const DORMANT: u8 = 5;
    /// Packets pass.
    pub const UP: u8 = 6;
}

/// What only the host knows of a link. For a link of the machine, or one that was declared, also
/// what the tun driver would know.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extra {
    /// Index of the link.
    pub index: u32,
    /// The name that it had when the host last looked.
    pub name: Name,
    /// The flags that it had when the host last looked, as SIOCGIFFLAGS returns them.
    pub flags: u32,
    /// The mtu in bytes that it had when the host last looked.
    pub mtu: u32,
    /// The length of the queue that it had when the host last looked.
    pub txqueuelen: u32,
    /// ARPHRD_* of the link.
    pub link_type: u16,
    /// The link-layer address that it had when the host last looked.
    pub address: Vec<u8>,
    /// The link-layer broadcast address, empty for the default.
    pub broadcast: Vec<u8>,
    /// Group of links (IFLA_GROUP).
    pub group: u32,
    /// Description (IFLA_IFALIAS).
    pub alias: Vec<u8>,
    /// Other names (IFLA_ALT_IFNAME), oldest first.
    pub other_names: Vec<Vec<u8>>,
    /// IF_LINK_MODE_*.
    pub link_mode: u8,
    /// State of operation while it is up (IF_OPER_*).
    pub operstate: u8,
    /// How often its carrier had come when the host last looked.
    pub carrier_ups: u32,
    /// How often its carrier had gone when the host last looked.
    pub carrier_downs: u32,
    /// Has it gone down since it first came up?
    pub was_down: bool,
    /// Has IPv6 started on it since it came up (IF_READY)?
    pub ready: bool,
    /// Have routers been asked for since then (IF_RS_SENT)?
    pub asked: bool,
    /// Has it got all of its settings of IPv4, so that those of new links do not become its own any
    /// more (`ipv4_devconf_setall`)?
    pub settled: bool,
    /// Does it receive what is sent to every address, because it is to receive more addresses than
    /// its own (`uc_promisc`)? While it is down that stays as it was.
    pub receives_all: bool,
    /// Has IPv4 ended on it, because its mtu is too small?
    pub without_inet4: bool,
    /// Which places it took among the links of IPv4 and of IPv6 when these began on it: the highest
    /// is the newest one.
    pub ip_since: [u32; 2],
    /// IFLA_GSO_MAX_SEGS, None for the default.
    pub gso_max_segs: Option<u32>,
    /// IFLA_GSO_MAX_SIZE, None for the default.
    pub gso_max_size: Option<u32>,
    /// IFLA_GRO_MAX_SIZE, None for the default.
    pub gro_max_size: Option<u32>,
    /// IFLA_GSO_IPV4_MAX_SIZE, None for the default.
    pub gso_ipv4_max_size: Option<u32>,
    /// IFLA_GRO_IPV4_MAX_SIZE, None for the default.
    pub gro_ipv4_max_size: Option<u32>,
    /// The host's part of IPv6 addresses that routers advertise (IFLA_INET6_TOKEN).
    pub token: [u8; 16],
    /// What the tun driver said when the host last looked; None where there is none.
    pub notified: Option<Notified>,
    /// Link-layer addresses that it receives beside its own (`dev->uc`), oldest first.
    pub unicast: Vec<[u8; 6]>,
    /// Link-layer groups that programs have added (`dev->mc`), oldest first.
    pub groups: Vec<[u8; 6]>,
    /// The addresses of all routers of its networks (`idev->ac_list`), newest first.
    pub anycasts: Vec<[u8; 16]>,
    /// The features that are wanted of a link without a tun driver (bits of NETIF_F_*), None for
    /// those of a new one.
    pub features: Option<u64>,
    /// Is this a link without a tun driver, which the net declares: `lo`, or an uplink?
    pub declared: bool,
}

impl Extra {
    /// Appends it as a message, for the state's file.
    pub fn write(&self, to: &mut Writer, kind: u16) {
        let mut own = [0; HEADER];
        own[2..4].copy_from_slice(&self.link_type.to_ne_bytes());
        own[4..8].copy_from_slice(&self.index.to_ne_bytes());
        own[8..12].copy_from_slice(&self.flags.to_ne_bytes());
        to.message(kind, 0, 0, 0)
            .raw(&own)
            .string(libc::IFLA_IFNAME, self.name.as_bytes())
            .u32(libc::IFLA_MTU, self.mtu)
            .u32(libc::IFLA_TXQLEN, self.txqueuelen)
            .attribute(libc::IFLA_ADDRESS, &self.address)
            .attribute(libc::IFLA_BROADCAST, &self.broadcast)
            .u32(libc::IFLA_GROUP, self.group)
            .attribute(libc::IFLA_IFALIAS, &self.alias)
            .u8(libc::IFLA_LINKMODE, self.link_mode)
            .u8(DECLARED, self.declared.into())
            .u8(libc::IFLA_OPERSTATE, self.operstate)
            .u32(CARRIER_UPS, self.carrier_ups)
            .u32(CARRIER_DOWNS, self.carrier_downs)
            .u8(
                STATES,
                u8::from(self.ready) << 2
                    | u8::from(self.was_down) << 3
                    | u8::from(self.asked) << 4
                    | u8::from(self.settled) << 5
                    | u8::from(self.receives_all) << 6
                    | u8::from(self.without_inet4) << 7,
            )
            .attribute(IP_SINCE, &self.ip_since.map(u32::to_ne_bytes).concat())
            .attribute(TOKEN, &self.token);
        for (kind, list) in [(UNICAST, &self.unicast), (GROUPS, &self.groups)] {
            if !list.is_empty() {
                to.attribute(kind, list.as_flattened());
            }
        }
        if !self.anycasts.is_empty() {
            to.attribute(ANYCASTS, self.anycasts.as_flattened());
        }
        let limits = [
            (GSO_MAX_SEGS, self.gso_max_segs),
            (GSO_MAX_SIZE, self.gso_max_size),
            (GRO_MAX_SIZE, self.gro_max_size),
            (GSO_IPV4_MAX_SIZE, self.gso_ipv4_max_size),
            (GRO_IPV4_MAX_SIZE, self.gro_ipv4_max_size),
        ];
        for (kind, limit) in limits {
            if let Some(limit) = limit {
                to.u32(kind, limit);
            }
        }
        if let Some(features) = self.features {
            to.attribute(FEATURES, &features.to_ne_bytes());
        }
        if let Some(notified) = self.notified {
            to.attribute(NOTIFIED, &notified.to_bytes());
        }
        let open = to.begin(libc::IFLA_PROP_LIST | NESTED);
        for name in &self.other_names {
            to.string(libc::IFLA_ALT_IFNAME, name);
        }
        to.end(open);
    }

    /// Reads what [`Extra::write`] wrote. None where something is missing or impossible.
    pub fn read(message: &Message<'_>) -> Option<Extra> {
        let body = message.body;
        let attributes = Attributes::behind(body.get(..HEADER).map(|_| body)?, HEADER);
        let bytes = |kind| attributes.get(kind).map(|a| a.value.to_vec());
        let limit = |kind| attributes.get(kind).and_then(|a| a.u32());
        let list = |kind| -> Vec<[u8; 6]> {
            let bytes = attributes.get(kind).map_or(&[][..], |a| a.value);
            let six = bytes.chunks_exact(6).map(<[u8; 6]>::try_from);
            six.flatten().collect()
        };
        Some(Extra {
            index: u32_at(body, 4)?,
            name: Name::new(attributes.get(libc::IFLA_IFNAME)?.string())?,
            flags: u32_at(body, 8)?,
            mtu: attributes.get(libc::IFLA_MTU)?.u32()?,
            txqueuelen: attributes.get(libc::IFLA_TXQLEN)?.u32()?,
            link_type: u16_at(body, 2)?,
            address: bytes(libc::IFLA_ADDRESS)?,
            broadcast: bytes(libc::IFLA_BROADCAST)?,
            group: attributes.get(libc::IFLA_GROUP)?.u32()?,
            alias: bytes(libc::IFLA_IFALIAS)?,
            other_names: attributes
                .get(libc::IFLA_PROP_LIST)?
                .attributes()
                .map(|a| a.string().to_vec())
                .collect(),
            link_mode: attributes.get(libc::IFLA_LINKMODE)?.u8()?,
            operstate: attributes.get(libc::IFLA_OPERSTATE)?.u8()?,
            carrier_ups: attributes.get(CARRIER_UPS)?.u32()?,
            carrier_downs: attributes.get(CARRIER_DOWNS)?.u32()?,
            ready: attributes.get(STATES)?.u8()? & 4 != 0,
            was_down: attributes.get(STATES)?.u8()? & 8 != 0,
            asked: attributes.get(STATES)?.u8()? & 16 != 0,
            settled: attributes.get(STATES)?.u8()? & 32 != 0,
            receives_all: attributes.get(STATES)?.u8()? & RECEIVES_ALL != 0,
            without_inet4: attributes.get(STATES)?.u8()? & 128 != 0,
            ip_since: {
                let bytes = attributes.get(IP_SINCE).map_or(&[][..], |a| a.value);
                [0, 4].map(|at| u32_at(bytes, at).unwrap_or(0))
            },
            gso_max_segs: limit(GSO_MAX_SEGS),
            gso_max_size: limit(GSO_MAX_SIZE),
            gro_max_size: limit(GRO_MAX_SIZE),
            gso_ipv4_max_size: limit(GSO_IPV4_MAX_SIZE),
            gro_ipv4_max_size: limit(GRO_IPV4_MAX_SIZE),
            token: attributes.get(TOKEN)?.value.try_into().ok()?,
            notified: match attributes.get(NOTIFIED) {
                Some(a) => Some(Notified::of_bytes(a.value)?),
                None => None,
            },
            unicast: list(UNICAST),
            groups: list(GROUPS),
            anycasts: {
                let bytes = attributes.get(ANYCASTS).map_or(&[][..], |a| a.value);
                let each = bytes.chunks_exact(16).map(<[u8; 16]>::try_from);
                each.flatten().collect()
            },
            features: attributes.get(FEATURES).map(|_| features_of(&attributes)),
            declared: attributes.get(DECLARED)?.u8()? != 0,
        })
    }
}

/// Returns the features that are wanted of a link without a tun driver.
pub(crate) fn features_of(attributes: &Attributes<'_>) -> u64 {
    let noted = attributes
        .get(FEATURES)
        .and_then(|a| a.value.try_into().ok());
    noted.map_or(Plain::WANTED, u64::from_ne_bytes)
}

/// The counters of a link, from the host's side: rx is what the program wrote (`struct
/// rtnl_link_stats64`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Packets that the program wrote.
    pub rx_packets: u64,
    /// Packets that the program read.
    pub tx_packets: u64,
    /// Bytes that the program wrote.
    pub rx_bytes: u64,
    /// Bytes that the program read.
    pub tx_bytes: u64,
    /// Refused writes.
    pub rx_dropped: u64,
    /// Packets for the program that found the queue full or gone.
    pub tx_dropped: u64,
    /// Writes with an impossible vnet header.
    pub rx_frame_errors: u64,
}

impl Counters {
    /// Reads the counters of an interface of the net.
    pub(crate) fn of_interface(interface: &InterfaceState) -> Counters {
        let load = |word: &std::sync::atomic::AtomicU64| word.load(Relaxed);
        let stats = &interface.stats;
        Counters {
            rx_packets: load(&stats.rx_packets),
            tx_packets: load(&stats.tx_packets),
            rx_bytes: load(&stats.rx_bytes),
            tx_bytes: load(&stats.tx_bytes),
            rx_dropped: load(&stats.rx_dropped),
            tx_dropped: load(&stats.tx_dropped),
            rx_frame_errors: load(&stats.rx_frame_errors),
        }
    }
}

/// What of the tun driver's part listeners are told when it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notified {
    /// The flags of TUNSETIFF, and IFF_PERSIST.
    pub flags: u32,
    /// User of TUNSETOWNER, -1 for none.
    pub owner: i32,
    /// Group of TUNSETGROUP, -1 for none.
    pub group: i32,
    /// What of segmentation and checksums is left to the program (NETIF_F_*).
    pub features: u64,
}

impl Notified {
    fn of_interface(interface: &InterfaceState) -> Notified {
        Notified {
            flags: interface.tun_flags.load(Relaxed),
            owner: interface.owner.load(Relaxed),
            group: interface.group.load(Relaxed),
            features: memtun_kernel::link::ethtool::active(interface),
        }
    }

    fn to_bytes(self) -> Vec<u8> {
        let words = [self.flags, self.owner as u32, self.group as u32];
        let mut bytes = words.map(u32::to_ne_bytes).concat();
        bytes.extend(self.features.to_ne_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Notified> {
        Some(Notified {
            flags: u32_at(bytes, 0)?,
            owner: u32_at(bytes, 4)? as i32,
            group: u32_at(bytes, 8)? as i32,
            features: u64::from_ne_bytes(bytes.get(12..20)?.try_into().ok()?),
        })
    }
}

/// The part of a link that is the tun driver's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Driver {
    /// IFF_TUN or IFF_TAP, and the other flags of TUNSETIFF.
    pub flags: u32,
    /// User of TUNSETOWNER, -1 for none.
    pub owner: i32,
    /// Group of TUNSETGROUP, -1 for none.
    pub group: i32,
    /// Number of queues that are attached.
    pub queues: u32,
    /// Number of queues that were detached by TUNSETQUEUE.
    pub detached: u32,
}

impl Driver {
    /// Reads what the tun driver says of an interface of the net.
    pub(crate) fn of_interface(interface: &InterfaceState) -> Driver {
        Driver {
            flags: interface.tun_flags.load(Relaxed),
            owner: interface.owner.load(Relaxed),
            group: interface.group.load(Relaxed),
            queues: interface.attached_queues() as u32,
            detached: (interface.queue_count() - interface.attached_queues()) as u32,
        }
    }
}

/// A link as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// What the host knows. Name, flags, mtu, queue length and address are those of now.
    pub extra: Extra,
    /// Has it a carrier?
    pub carrier: bool,
    /// The counters.
    pub counters: Counters,
    /// What the tun driver says; None for `lo` and uplinks.
    pub driver: Option<Driver>,
}

impl Link {
    /// Describes an interface of the net. What only the host knows has its default values.
    pub fn of_interface(interface: &InterfaceState) -> Link {
        let (address, len) = hardware_address(interface);
        let mut broadcast = [0; LONGEST_ADDRESS];
        broadcast[..6].fill(if interface.is_tap() { 0xff } else { 0 });
        Link {
            extra: Extra {
                index: interface.ifindex.load(Relaxed),
                name: load_name(&interface.name),
                flags: interface.flags(),
                mtu: interface.mtu.load(Relaxed),
                txqueuelen: interface.txqueuelen.load(Relaxed),
                link_type: interface.link_type.load(Relaxed) as u16,
                address: address[..len].to_vec(),
                broadcast: broadcast[..len].to_vec(),
                carrier_ups: interface.carrier_ups.load(Relaxed),
                carrier_downs: interface.carrier_downs.load(Relaxed),
                notified: Some(Notified::of_interface(interface)),
                ..Extra::default()
            },
            carrier: interface.carrier.load(Relaxed) != 0,
            counters: Counters::of_interface(interface),
            driver: Some(Driver::of_interface(interface)),
        }
    }

    /// Is it up (IFF_UP)?
    pub fn is_up(&self) -> bool {
        self.extra.flags & libc::IFF_UP as u32 != 0
    }

    /// Is it a tun, which carries IP packets without a link layer?
    pub fn is_tun(&self) -> bool {
        self.driver
            .is_some_and(|driver| driver.flags & IFF_TUN != 0)
    }

    /// Is it the loopback?
    pub fn is_loopback(&self) -> bool {
        self.extra.flags & libc::IFF_LOOPBACK as u32 != 0
    }
}

/// Returns the interfaces of the net by ascending index. The caller holds the net's lock.
///
/// # Errors
///
/// What reading the net's directory fails with, and EMFILE, ENFILE or ENOMEM where an interface
/// cannot be looked at: whoever took that one for deleted would take its addresses away.
pub fn of_net(net: &NetDir, local: &dyn Local) -> Result<Vec<Mapped<InterfaceState>>, Errno> {
    let (mut names, mut found) = (Vec::new(), Vec::new());
    net.each_name(|name| {
        names.push(name);
        true
    })?;
    for name in names {
        match net.find_interface(&name, local) {
            Ok(Some(interface)) => found.push(interface),
            Err(e @ Errno(libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => return Err(e),
            // Somebody else's file is no interface.
            Ok(None) | Err(_) => {}
        }
    }
    found.sort_unstable_by_key(|interface| interface.ifindex.load(Relaxed));
    Ok(found)
}
