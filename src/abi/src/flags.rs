//! Flags of an interface and of TUNSETIFF, and the sizes of headers (linux/if_tun.h,
//! linux/if_arp.h, linux/if_ether.h).
#![forbid(unsafe_code)]

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
