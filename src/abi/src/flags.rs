//! Flags of an interface and of TUNSETIFF, and sizes of headers (linux/if_tun.h, linux/if_arp.h,
//! linux/if_ether.h).
#![forbid(unsafe_code)]

/// The interface is a TUN, which carries IP packets.
pub const IFF_TUN: u32 = 0x0001;
/// The interface is a TAP, which carries Ethernet frames.
pub const IFF_TAP: u32 = 0x0002;
/// Written packets are received through NAPI.
pub const IFF_NAPI: u32 = 0x0010;
/// NAPI takes the fragments of written packets.
pub const IFF_NAPI_FRAGS: u32 = 0x0020;
/// A new interface begins without a carrier.
pub const IFF_NO_CARRIER: u32 = 0x0040;
/// The interface may have several queues.
pub const IFF_MULTI_QUEUE: u32 = 0x0100;
/// TUNSETQUEUE attaches the queue.
pub const IFF_ATTACH_QUEUE: u32 = 0x0200;
/// TUNSETQUEUE detaches the queue, or TUNGETIFF says that it is detached.
pub const IFF_DETACH_QUEUE: u32 = 0x0400;
/// The interface survives its last close.
pub const IFF_PERSIST: u32 = 0x0800;
/// Packets have no packet information in front, which has 4 bytes.
pub const IFF_NO_PI: u32 = 0x1000;
/// TUNGETIFF says with this bit that no filter is attached. It has the same value as IFF_NO_PI.
pub const IFF_NOFILTER: u32 = 0x1000;
/// The flag is accepted and has no effect.
pub const IFF_ONE_QUEUE: u32 = 0x2000;
/// Packets have a virtio header in front.
pub const IFF_VNET_HDR: u32 = 0x4000;
/// TUNSETIFF fails when the interface exists.
pub const IFF_TUN_EXCL: u32 = 0x8000;
/// The flags that TUNGETFEATURES returns.
pub const FEATURES: u32 = 0x7173;

/// The flags of TUNSETIFF that an interface keeps.
pub const KEPT_FLAGS: u32 =
    IFF_NAPI | IFF_NAPI_FRAGS | IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_MULTI_QUEUE;

/// Flag of the packet information: the packet was cut.
pub const TUN_PKT_STRIP: u16 = 1;
/// Length of the packet information in bytes.
pub const PI_SIZE: usize = 4;
/// Length of an Ethernet header in bytes.
pub const ETH_HLEN: usize = 14;
/// Length of the shortest virtio_net_hdr in bytes.
pub const VNET_HDR_SIZE: i32 = 10;

/// Link type of a TUN.
pub const ARPHRD_NONE: u16 = 0xfffe;
/// Link type of a TAP.
pub const ARPHRD_ETHER: u16 = 1;

/// Ethertype of IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// Ethertype of IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd;
