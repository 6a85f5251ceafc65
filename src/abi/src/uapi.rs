//! Numbers and structs of linux/if_tun.h, linux/if.h and linux/sockios.h.
#![forbid(unsafe_code)]

use crate::Name;

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: u32 = $value;)*
        /// Requests by name, for faults and logs.
        pub const REQUESTS: &[(&str, u32)] = &[$((stringify!($name), $name)),*];
    };
}

requests! {
    /// Debug level, accepted.
    TUNSETNOCSUM = 0x4004_54c8;
    /// Debug level, accepted.
    TUNSETDEBUG = 0x4004_54c9;
    /// Attach to an interface.
    TUNSETIFF = 0x4004_54ca;
    /// Keep the interface after the last close.
    TUNSETPERSIST = 0x4004_54cb;
    /// Who may attach.
    TUNSETOWNER = 0x4004_54cc;
    /// ARPHRD_* of the interface.
    TUNSETLINK = 0x4004_54cd;
    /// Which group may attach.
    TUNSETGROUP = 0x4004_54ce;
    /// IFF_* that this driver knows.
    TUNGETFEATURES = 0x8004_54cf;
    /// Offloads that the program can handle (TUN_F_*).
    TUNSETOFFLOAD = 0x4004_54d0;
    /// Addresses that a tap accepts.
    TUNSETTXFILTER = 0x4004_54d1;
    /// Name and flags.
    TUNGETIFF = 0x8004_54d2;
    /// Send buffer.
    TUNGETSNDBUF = 0x8004_54d3;
    /// Send buffer.
    TUNSETSNDBUF = 0x4004_54d4;
    /// Socket filter of a tap.
    TUNATTACHFILTER = 0x4010_54d5;
    /// Socket filter of a tap.
    TUNDETACHFILTER = 0x4010_54d6;
    /// Size of the vnet header.
    TUNGETVNETHDRSZ = 0x8004_54d7;
    /// Size of the vnet header.
    TUNSETVNETHDRSZ = 0x4004_54d8;
    /// Attach or detach one queue.
    TUNSETQUEUE = 0x4004_54d9;
    /// Index that the next TUNSETIFF gives.
    TUNSETIFINDEX = 0x4004_54da;
    /// Socket filter of a tap.
    TUNGETFILTER = 0x8010_54db;
    /// Vnet header in little endian.
    TUNSETVNETLE = 0x4004_54dc;
    /// Vnet header in little endian.
    TUNGETVNETLE = 0x8004_54dd;
    /// Link carrier.
    TUNSETCARRIER = 0x4004_54e2;
    /// A descriptor of the interface's network namespace.
    TUNGETDEVNETNS = 0x54e3;
    /// A descriptor of the network namespace that the device was opened in.
    SIOCGSKNS = 0x894c;
    /// Flags of an interface.
    SIOCGIFFLAGS = 0x8913;
    /// Flags of an interface.
    SIOCSIFFLAGS = 0x8914;
    /// Addresses of an interface, as lists and one by one.
    SIOCGIFCONF = 0x8912;
    /// Address.
    SIOCGIFADDR = 0x8915;
    /// Address.
    SIOCSIFADDR = 0x8916;
    /// The other end's address.
    SIOCGIFDSTADDR = 0x8917;
    /// The other end's address.
    SIOCSIFDSTADDR = 0x8918;
    /// Broadcast address.
    SIOCGIFBRDADDR = 0x8919;
    /// Broadcast address.
    SIOCSIFBRDADDR = 0x891a;
    /// Netmask.
    SIOCGIFNETMASK = 0x891b;
    /// Netmask.
    SIOCSIFNETMASK = 0x891c;
    /// Metric.
    SIOCGIFMETRIC = 0x891d;
    /// Metric.
    SIOCSIFMETRIC = 0x891e;
    /// Memory of a device.
    SIOCGIFMEM = 0x891f;
    /// Name.
    SIOCSIFNAME = 0x8923;
    /// Slave of a line.
    SIOCGIFSLAVE = 0x8929;
    /// Flags of an address.
    SIOCSIFPFLAGS = 0x8934;
    /// Flags of an address.
    SIOCGIFPFLAGS = 0x8935;
    /// Registers of a network chip, the first.
    SIOCGMIIPHY = 0x8947;
    /// Registers of a network chip, the last.
    SIOCSMIIREG = 0x8949;
    /// Resources of a device.
    SIOCGIFMAP = 0x8970;
    /// Largest packet.
    SIOCGIFMTU = 0x8921;
    /// Largest packet.
    SIOCSIFMTU = 0x8922;
    /// Hardware address.
    SIOCSIFHWADDR = 0x8924;
    /// Hardware address.
    SIOCGIFHWADDR = 0x8927;
    /// Index to name.
    SIOCGIFNAME = 0x8910;
    /// Name to index.
    SIOCGIFINDEX = 0x8933;
    /// Length of the transmit queue.
    SIOCGIFTXQLEN = 0x8942;
    /// Length of the transmit queue.
    SIOCSIFTXQLEN = 0x8943;
    /// Addresses of groups that an interface listens to.
    SIOCADDMULTI = 0x8931;
    /// Addresses of groups that an interface listens to.
    SIOCDELMULTI = 0x8932;
    /// What ethtool(8) asks.
    SIOCETHTOOL = 0x8946;
    /// No waiting, of any descriptor.
    FIONBIO = 0x5421;
    /// Signals, of any descriptor.
    FIOASYNC = 0x5452;
    /// Close on exec, of any descriptor.
    FIOCLEX = 0x5451;
    /// No close on exec, of any descriptor.
    FIONCLEX = 0x5450;
}

/// Layer 3 interface.
pub const IFF_TUN: u32 = 0x0001;
/// Layer 2 interface.
pub const IFF_TAP: u32 = 0x0002;
/// Receive path through NAPI.
pub const IFF_NAPI: u32 = 0x0010;
/// Fragments through NAPI.
pub const IFF_NAPI_FRAGS: u32 = 0x0020;
/// A new interface has no carrier.
pub const IFF_NO_CARRIER: u32 = 0x0040;
/// Several queues.
pub const IFF_MULTI_QUEUE: u32 = 0x0100;
/// Queue is attached.
pub const IFF_ATTACH_QUEUE: u32 = 0x0200;
/// Queue is detached.
pub const IFF_DETACH_QUEUE: u32 = 0x0400;
/// Interface survives its last close.
pub const IFF_PERSIST: u32 = 0x0800;
/// No 4-byte packet information.
pub const IFF_NO_PI: u32 = 0x1000;
/// TUNGETIFF's bit for "no filter attached": the same value as IFF_NO_PI.
pub const IFF_NOFILTER: u32 = 0x1000;
/// Accepted, without effect.
pub const IFF_ONE_QUEUE: u32 = 0x2000;
/// Virtio header in front of packets.
pub const IFF_VNET_HDR: u32 = 0x4000;
/// Fail when the interface exists.
pub const IFF_TUN_EXCL: u32 = 0x8000;
/// What TUNGETFEATURES says.
pub const FEATURES: u32 = 0x7173;

/// Bits of IFF_* that an interface keeps from TUNSETIFF.
pub const KEPT_FLAGS: u32 =
    IFF_NAPI | IFF_NAPI_FRAGS | IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_MULTI_QUEUE;

/// Packet information flag: the packet was cut.
pub const TUN_PKT_STRIP: u16 = 1;
/// Bytes of the packet information header.
pub const PI_SIZE: usize = 4;
/// Bytes of an Ethernet header.
pub const ETH_HLEN: usize = 14;
/// Smallest virtio_net_hdr.
pub const VNET_HDR_SIZE: i32 = 10;

/// ARPHRD_NONE: a tun.
pub const ARPHRD_NONE: u16 = 0xfffe;
/// ARPHRD_ETHER: a tap.
pub const ARPHRD_ETHER: u16 = 1;

/// Ethertype of IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// Ethertype of IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd;

/// struct ifreq: 16 bytes of name and 24 of union.
#[derive(Clone, Copy)]
pub struct IfReq(pub [u8; IfReq::SIZE]);

impl IfReq {
    /// sizeof(struct ifreq) on 64-bit machines.
    pub const SIZE: usize = 40;
    /// The name, cut to 15 bytes as the kernel does.
    pub fn name(&self) -> Name {
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(&self.0[..16]);
        Name::from_ifreq(&bytes)
    }
    /// `ifr_flags`.
    pub fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.0[16], self.0[17]])
    }
    /// Sets `ifr_flags`.
    pub fn set_flags(&mut self, flags: u16) {
        self.0[16..18].copy_from_slice(&flags.to_ne_bytes());
    }
    /// `ifr_mtu`, `ifr_ifindex`, `ifr_qlen`.
    pub fn int(&self) -> i32 {
        i32::from_ne_bytes([self.0[16], self.0[17], self.0[18], self.0[19]])
    }
    /// Sets `ifr_mtu`, `ifr_ifindex` or `ifr_qlen`.
    pub fn set_int(&mut self, value: i32) {
        self.0[16..20].copy_from_slice(&value.to_ne_bytes());
    }
    /// Writes a name as the kernel's strcpy does: bytes behind its NUL keep what they held; the last byte is zero.
    pub fn set_name(&mut self, name: &Name) {
        let bytes = name.as_bytes();
        self.0[..bytes.len()].copy_from_slice(bytes);
        self.0[bytes.len()] = 0;
        self.0[15] = 0;
    }
}
