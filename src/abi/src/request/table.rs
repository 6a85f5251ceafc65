//! The table of requests.
#![forbid(unsafe_code)]

use super::code::{io, ior, iow, iowr, sock};
use super::ctype::*;
use super::row::Answer::{self, Exact, Stack};
use super::row::Argument::{In, InOut, Out, Unused, Value};
use super::row::Named::{self, Index, NameBehind, Nowhere, Own};
use super::row::{approximate, host, refused, Need, On, Request};
use crate::Label;
use libc::{EINVAL, ENOTTY, EOPNOTSUPP};

/// One row has its documentation; its name; its number from its parts, where the name is new; how
/// many numbers it has, where more than one. Behind the arrow come the argument, the descriptor,
/// the permission, where the interface is named, and what memtun does.
macro_rules! requests {
    ($(
        #[doc = $doc:literal]
        $name:ident $(= $number:expr)? $(, $count:literal)? =>
        $argument:expr, $on:ident, $need:ident, $interface:expr, $answer:expr;
    )*) => {
        /// The numbers of the requests, by name.
        pub mod number {
            #[allow(unused_imports)]
            use super::*;
            $($(#[doc = $doc] pub const $name: u32 = $number;)?)*
        }
        /// Every request that memtun knows by name.
        pub static REQUESTS: &[Request] = &[$(Request {
            name: Label::new(stringify!($name)),
            number: number::$name,
            count: 1 $(* $count)?,
            argument: $argument,
            on: On::$on,
            need: Need::$need,
            interface: $interface,
            answer: $answer,
            doc: Label::new($doc.trim_ascii()),
        }),*];
    };
}

/// The name stands at the beginning of the argument, as in `ifr_name`.
const IFR_NAME: Named = Named::Name(0);

const NO_BOND: Answer = refused(EOPNOTSUPP, "a tun is no bond");
const NO_BRIDGE: Answer = refused(EOPNOTSUPP, "a tun is no bridge");
const NO_KERNEL: Answer = refused(ENOTTY, "not implemented by the kernel");
const NO_CHIP: Answer = refused(EOPNOTSUPP, "a tun has no such hardware");
const NO_EBPF: Answer = approximate("eBPF programs are not run: the descriptor of one gets EINVAL");
const NO_ENDIAN: Answer = refused(EINVAL, "as in kernels without CONFIG_TUN_VNET_CROSS_LE");
const NO_FILE: Answer = refused(EINVAL, "a device is no regular file");
const NAMES_NONE: Answer = host("it names no interface of the net");
const OF_PROCESS: Answer = approximate("the namespace is the one that the process is in");

requests! {
    // Requests on tunnels.
    /// Accepted, without effect.
    TUNSETNOCSUM = iow(b'T', 200, INT) => Value, Attached, Ioctl, Own, Exact;
    /// Debug level; accepted, without effect.
    TUNSETDEBUG = iow(b'T', 201, INT) => Value, Attached, Ioctl, Own, Exact;
    /// Attaches to an interface, makes it if need be (which wants "net_admin"), and says its name.
    TUNSETIFF = iow(b'T', 202, INT) => InOut(IFREQ), Tunnel, Ioctl, Own,
        approximate("IFF_NAPI and IFF_NAPI_FRAGS are kept and without effect");
    /// Keeps the interface after the last close.
    TUNSETPERSIST = iow(b'T', 203, INT) => Value, Attached, Ioctl, Own, Exact;
    /// Which user may attach without "net_admin".
    TUNSETOWNER = iow(b'T', 204, INT) => Value, Attached, Ioctl, Own, Exact;
    /// ARPHRD_* of the interface.
    TUNSETLINK = iow(b'T', 205, INT) => Value, Attached, Ioctl, Own, Exact;
    /// Which group may attach without "net_admin".
    TUNSETGROUP = iow(b'T', 206, INT) => Value, Attached, Ioctl, Own, Exact;
    /// IFF_* that the driver knows.
    TUNGETFEATURES = ior(b'T', 207, UINT) => Out(UINT), Tunnel, Ioctl, Nowhere, Exact;
    /// Offloads that the program can handle (TUN_F_*).
    TUNSETOFFLOAD = iow(b'T', 208, UINT) => Value, Attached, Ioctl, Own,
        approximate("combinations are checked as by the driver; packets are not cut or joined, whatever is set");
    /// Addresses that a tap accepts.
    TUNSETTXFILTER = iow(b'T', 209, UINT) => In(TUN_FILTER), Tap, Ioctl, Own, Exact;
    /// Name and flags of the interface.
    TUNGETIFF = ior(b'T', 210, UINT) => Out(IFREQ), Attached, Ioctl, Own, Exact;
    /// Bytes of the send buffer.
    TUNGETSNDBUF = ior(b'T', 211, INT) => Out(INT), Attached, Ioctl, Own, Exact;
    /// Bytes of the send buffer.
    TUNSETSNDBUF = iow(b'T', 212, INT) => In(INT), Attached, Ioctl, Own,
        approximate("poll(2) looks at it, no packet is counted in it");
    /// Socket filter of a tap.
    TUNATTACHFILTER = iow(b'T', 213, FPROG) => In(FPROG), Tap, Ioctl, Own, Exact;
    /// Takes the socket filter of a tap away.
    TUNDETACHFILTER = iow(b'T', 214, FPROG) => Unused, Tap, Ioctl, Own, Exact;
    /// Bytes of the vnet header.
    TUNGETVNETHDRSZ = ior(b'T', 215, INT) => Out(INT), Attached, Ioctl, Own, Exact;
    /// Bytes of the vnet header.
    TUNSETVNETHDRSZ = iow(b'T', 216, INT) => In(INT), Attached, Ioctl, Own, Exact;
    /// Attaches or detaches one queue.
    TUNSETQUEUE = iow(b'T', 217, INT) => In(IFREQ), Tunnel, Ioctl, Own, Exact;
    /// Index that the next TUNSETIFF gives to what it makes.
    TUNSETIFINDEX = iow(b'T', 218, UINT) => In(UINT), Tunnel, Ioctl, Nowhere, Exact;
    /// Socket filter of a tap.
    TUNGETFILTER = ior(b'T', 219, FPROG) => Out(FPROG), Tap, Ioctl, Own, Exact;
    /// Whether vnet headers are in little endian.
    TUNSETVNETLE = iow(b'T', 220, INT) => In(INT), Attached, Ioctl, Own, Exact;
    /// Whether vnet headers are in little endian.
    TUNGETVNETLE = ior(b'T', 221, INT) => Out(INT), Attached, Ioctl, Own, Exact;
    /// Whether vnet headers are in big endian.
    TUNSETVNETBE = iow(b'T', 222, INT) => In(INT), Attached, Ioctl, Own, NO_ENDIAN;
    /// Whether vnet headers are in big endian.
    TUNGETVNETBE = ior(b'T', 223, INT) => Out(INT), Attached, Ioctl, Own, NO_ENDIAN;
    /// eBPF program that chooses a queue.
    TUNSETSTEERINGEBPF = ior(b'T', 224, INT) => In(INT), Attached, Ioctl, Own, NO_EBPF;
    /// eBPF program that drops packets.
    TUNSETFILTEREBPF = ior(b'T', 225, INT) => In(INT), Attached, Ioctl, Own, NO_EBPF;
    /// Carrier of the link.
    TUNSETCARRIER = iow(b'T', 226, INT) => In(INT), Attached, Ioctl, Own,
        approximate("IFF_RUNNING follows at once, where the kernel takes up to a second");
    /// A descriptor of the interface's network namespace; wants "net_admin".
    TUNGETDEVNETNS = io(b'T', 227) => Unused, Attached, NetAdmin, Own, OF_PROCESS;
    /// A descriptor of the network namespace that the device was opened in.
    SIOCGSKNS = sock(0x4c) => Unused, Tunnel, NetAdmin, Nowhere, OF_PROCESS;
    /// Hardware address of the tunnel's own interface.
    SIOCGIFHWADDR = sock(0x27) => InOut(IFREQ), Attached, Ioctl, Own, Exact;
    /// Hardware address of the tunnel's own interface.
    SIOCSIFHWADDR = sock(0x24) => In(IFREQ), Attached, Ioctl, Own, Exact;

    // Requests on every descriptor.
    /// Whether reading and writing do not wait.
    FIONBIO = io(b'T', 0x21) => In(INT), Any, Ioctl, Own, Exact;
    /// Whether readiness is signalled.
    FIOASYNC = io(b'T', 0x52) => In(INT), Any, Ioctl, Own,
        approximate("a call that sleeps on the tunnel may be signalled, too, when it wakes");
    /// Close on exec.
    FIOCLEX = io(b'T', 0x51) => Unused, Any, Ioctl, Own, Exact;
    /// No close on exec.
    FIONCLEX = io(b'T', 0x50) => Unused, Any, Ioctl, Own, Exact;
    /// Size of a block.
    FIGETBSZ = io(0, 2) => Out(INT), Any, Ioctl, Own, Exact;
    /// Size of a file.
    FIOQSIZE = io(b'T', 0x60) => Out(LOFF), Any, Ioctl, Own, refused(ENOTTY, "a device is no regular file");
    /// Shares blocks of another file.
    FICLONE = iow(0x94, 9, INT) => Value, Any, Ioctl, Own,
        refused(EINVAL, "a device is no regular file; the other descriptor is not looked at");
    /// Shares blocks of another file.
    FICLONERANGE = iow(0x94, 13, CLONE_RANGE) => In(CLONE_RANGE), Any, Ioctl, Own, NO_FILE;
    /// Shares equal blocks.
    FIDEDUPERANGE = iowr(0x94, 54, DEDUPE_RANGE) => In(DEDUPE_RANGE), Any, Ioctl, Own, NO_FILE;
    /// Where the blocks of a file are.
    FS_IOC_FIEMAP = iowr(b'f', 11, FIEMAP) => InOut(FIEMAP), Any, Ioctl, Own,
        refused(EOPNOTSUPP, "a device has no blocks");

    // Requests on sockets that are about an interface of the net.
    /// Name of an index.
    SIOCGIFNAME = sock(0x10) => InOut(IFREQ), Socket, Ioctl, Index(16), Exact;
    /// Not implemented by the kernel.
    SIOCSIFLINK = sock(0x11) => In(IFREQ), Socket, Ioctl, IFR_NAME, NO_KERNEL;
    /// Flags.
    SIOCGIFFLAGS = sock(0x13) => InOut(IFREQ), Socket, Ioctl, IFR_NAME,
        approximate("IFF_RUNNING follows the carrier at once, where the kernel takes up to a second");
    /// Flags.
    SIOCSIFFLAGS = sock(0x14) => In(IFREQ), Socket, NetAdmin, IFR_NAME, Exact;
    /// Address.
    SIOCGIFADDR = sock(0x15) => InOut(IFREQ), Inet, Ioctl, IFR_NAME, Stack;
    /// Address.
    SIOCSIFADDR = sock(0x16) => In(IFREQ), Inet, NetAdmin, IFR_NAME, Stack;
    /// Adds an address of IPv6.
    SIOCSIFADDR => In(IN6_IFREQ), Inet6, NetAdmin, Index(20), Stack;
    /// The other end's address.
    SIOCGIFDSTADDR = sock(0x17) => InOut(IFREQ), Inet, Ioctl, IFR_NAME, Stack;
    /// The other end's address.
    SIOCSIFDSTADDR = sock(0x18) => In(IFREQ), Inet, NetAdmin, IFR_NAME, Stack;
    /// The other end's address, of sit tunnels.
    SIOCSIFDSTADDR => In(IN6_IFREQ), Inet6, Nothing, Nowhere, host("a tun is no sit tunnel");
    /// Broadcast address.
    SIOCGIFBRDADDR = sock(0x19) => InOut(IFREQ), Inet, Ioctl, IFR_NAME, Stack;
    /// Broadcast address.
    SIOCSIFBRDADDR = sock(0x1a) => In(IFREQ), Inet, NetAdmin, IFR_NAME, Stack;
    /// Netmask.
    SIOCGIFNETMASK = sock(0x1b) => InOut(IFREQ), Inet, Ioctl, IFR_NAME, Stack;
    /// Netmask.
    SIOCSIFNETMASK = sock(0x1c) => In(IFREQ), Inet, NetAdmin, IFR_NAME, Stack;
    /// Metric, always 0.
    SIOCGIFMETRIC = sock(0x1d) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, Exact;
    /// Metric.
    SIOCSIFMETRIC = sock(0x1e) => In(IFREQ), Socket, NetAdmin, IFR_NAME, refused(EOPNOTSUPP, "no interface has one");
    /// Memory of a device.
    SIOCGIFMEM = sock(0x1f) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, NO_KERNEL;
    /// Memory of a device.
    SIOCSIFMEM = sock(0x20) => In(IFREQ), Socket, Ioctl, IFR_NAME, NO_KERNEL;
    /// Largest packet.
    SIOCGIFMTU = sock(0x21) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, Exact;
    /// Largest packet.
    SIOCSIFMTU = sock(0x22) => In(IFREQ), Socket, NetAdmin, IFR_NAME, Exact;
    /// Renames the interface.
    SIOCSIFNAME = sock(0x23) => In(IFREQ), Socket, NetAdmin, IFR_NAME, Exact;
    /// Hardware address.
    SIOCSIFHWADDR => In(IFREQ), Socket, NetAdmin, IFR_NAME, Exact;
    /// Encapsulation.
    SIOCGIFENCAP = sock(0x25) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, NO_KERNEL;
    /// Encapsulation.
    SIOCSIFENCAP = sock(0x26) => In(IFREQ), Socket, Ioctl, IFR_NAME, NO_KERNEL;
    /// Hardware address.
    SIOCGIFHWADDR => InOut(IFREQ), Socket, Ioctl, IFR_NAME, Exact;
    /// Slave of a line.
    SIOCGIFSLAVE = sock(0x29) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, refused(EINVAL, "a tun has none");
    /// Slave of a line.
    SIOCSIFSLAVE = sock(0x30) => In(IFREQ), Socket, NetAdmin, IFR_NAME, refused(EINVAL, "a tun has none");
    /// Adds a group of hardware addresses.
    SIOCADDMULTI = sock(0x31) => In(IFREQ), Socket, NetAdmin, IFR_NAME, Stack;
    /// Takes a group of hardware addresses away.
    SIOCDELMULTI = sock(0x32) => In(IFREQ), Socket, NetAdmin, IFR_NAME, Stack;
    /// Index of a name.
    SIOCGIFINDEX = sock(0x33) => InOut(IFREQ), Socket, Ioctl, IFR_NAME,
        approximate("beside the machine's, indexes that the net chooses begin at 1001");
    /// Private flags of the interface.
    SIOCSIFPFLAGS = sock(0x34) => In(IFREQ), Inet, Ioctl, IFR_NAME, refused(EINVAL, "IPv4 has none");
    /// Private flags of the interface.
    SIOCGIFPFLAGS = sock(0x35) => InOut(IFREQ), Inet, Ioctl, IFR_NAME, refused(EINVAL, "IPv4 has none");
    /// Deletes an address.
    SIOCDIFADDR = sock(0x36) => In(IFREQ), Inet, Ioctl, IFR_NAME, NO_KERNEL;
    /// Deletes an address of IPv6.
    SIOCDIFADDR => In(IN6_IFREQ), Inet6, NetAdmin, Index(20), Stack;
    /// Hardware address of broadcasts.
    SIOCSIFHWBROADCAST = sock(0x37) => In(IFREQ), Socket, NetAdmin, IFR_NAME, Stack;
    /// Length of the transmit queue in packets.
    SIOCGIFTXQLEN = sock(0x42) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, Exact;
    /// Length of the transmit queue in packets.
    SIOCSIFTXQLEN = sock(0x43) => In(IFREQ), Socket, NetAdmin, IFR_NAME, Exact;
    /// What ethtool(8) asks.
    SIOCETHTOOL = sock(0x46) => InOut(IFREQ), Socket, Ioctl, IFR_NAME,
        approximate("the answer to ETHTOOL_SFEATURES is always 0");
    /// Which registers of a chip are in use.
    SIOCGMIIPHY = sock(0x47) => InOut(IFREQ), Socket, NetAdmin, IFR_NAME, NO_CHIP;
    /// Register of a chip.
    SIOCGMIIREG = sock(0x48) => InOut(IFREQ), Socket, NetAdmin, IFR_NAME, NO_CHIP;
    /// Register of a chip.
    SIOCSMIIREG = sock(0x49) => In(IFREQ), Socket, NetAdmin, IFR_NAME, NO_CHIP;
    /// Settings of a wide-area device.
    SIOCWANDEV = sock(0x4a) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, NO_CHIP;
    /// Resources of a device, all 0.
    SIOCGIFMAP = sock(0x70) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, Exact;
    /// Resources of a device.
    SIOCSIFMAP = sock(0x71) => In(IFREQ), Socket, NetAdmin, IFR_NAME, NO_CHIP;
    /// Adds an interface to a bond.
    SIOCBONDENSLAVE = sock(0x90) => In(IFREQ), Socket, NetAdmin, IFR_NAME, NO_BOND;
    /// Takes an interface out of a bond.
    SIOCBONDRELEASE = sock(0x91) => In(IFREQ), Socket, NetAdmin, IFR_NAME, NO_BOND;
    /// Hardware address of a bond.
    SIOCBONDSETHWADDR = sock(0x92) => In(IFREQ), Socket, NetAdmin, IFR_NAME, NO_BOND;
    /// State of an interface in a bond.
    SIOCBONDSLAVEINFOQUERY = sock(0x93) => InOut(IFREQ), Socket, NetAdmin, IFR_NAME, NO_BOND;
    /// State of a bond.
    SIOCBONDINFOQUERY = sock(0x94) => InOut(IFREQ), Socket, NetAdmin, IFR_NAME, NO_BOND;
    /// Chooses an interface of a bond.
    SIOCBONDCHANGEACTIVE = sock(0x95) => In(IFREQ), Socket, Ioctl, IFR_NAME, NO_BOND;
    /// Adds an interface to a bridge.
    SIOCBRADDIF = sock(0xa2) => In(IFREQ), Socket, NetAdmin, IFR_NAME, NO_BRIDGE;
    /// Takes an interface out of a bridge.
    SIOCBRDELIF = sock(0xa3) => In(IFREQ), Socket, NetAdmin, IFR_NAME, NO_BRIDGE;
    /// Time stamps of hardware.
    SIOCSHWTSTAMP = sock(0xb0) => InOut(IFREQ), Socket, NetAdmin, IFR_NAME, NO_CHIP;
    /// Time stamps of hardware.
    SIOCGHWTSTAMP = sock(0xb1) => InOut(IFREQ), Socket, Ioctl, IFR_NAME, NO_CHIP;
    /// Requests that a driver defines.
    SIOCDEVPRIVATE = sock(0xf0), 16 => InOut(IFREQ), Socket, Ioctl, IFR_NAME, refused(EOPNOTSUPP, "a tun defines none");
    /// The wireless extensions.
    SIOCIWFIRST = io(0x8b, 0), 256 => InOut(IWREQ), Socket, Ioctl, IFR_NAME, refused(EOPNOTSUPP, "a tun is not wireless; ENOTTY where the machine has no wireless extensions");

    // Requests on sockets about routes and neighbours, which may name an interface of the net.
    /// Adds a route.
    SIOCADDRT = sock(0x0b) => In(RTENTRY), Inet, NetAdmin, NameBehind(88), Stack;
    /// Adds a route of IPv6.
    SIOCADDRT => In(IN6_RTMSG), Inet6, NetAdmin, Index(76), Stack;
    /// Deletes a route.
    SIOCDELRT = sock(0x0c) => In(RTENTRY), Inet, NetAdmin, NameBehind(88), Stack;
    /// Deletes a route of IPv6.
    SIOCDELRT => In(IN6_RTMSG), Inet6, NetAdmin, Index(76), Stack;
    /// Deletes a neighbour.
    SIOCDARP = sock(0x53) => In(ARPREQ), Inet, NetAdmin, Named::Name(52), Stack;
    /// Hardware address of a neighbour.
    SIOCGARP = sock(0x54) => InOut(ARPREQ), Inet, Ioctl, Named::Name(52), Stack;
    /// Sets a neighbour.
    SIOCSARP = sock(0x55) => In(ARPREQ), Inet, NetAdmin, Named::Name(52), Stack;

    // Requests on sockets about something else.
    /// Reverse neighbours, which the kernel has no more.
    SIOCDRARP = sock(0x60), 3 => Unused, Socket, Nothing, Nowhere, NAMES_NONE;
    /// Who gets the socket's signals.
    FIOSETOWN = sock(0x01) => In(INT), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Who gets the socket's signals.
    SIOCSPGRP = sock(0x02) => In(INT), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Who gets the socket's signals.
    FIOGETOWN = sock(0x03) => Out(INT), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Who gets the socket's signals.
    SIOCGPGRP = sock(0x04) => Out(INT), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Whether urgent data is next.
    SIOCATMARK = sock(0x05) => Out(INT), Socket, Nothing, Nowhere, NAMES_NONE;
    /// When the last packet came.
    SIOCGSTAMP_OLD = sock(0x06) => Out(TIMEVAL), Socket, Nothing, Nowhere, NAMES_NONE;
    /// When the last packet came.
    SIOCGSTAMPNS_OLD = sock(0x07) => Out(TIMESPEC), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Not implemented by the kernel.
    SIOCRTMSG = sock(0x0d) => Unused, Socket, Nothing, Nowhere, NAMES_NONE;
    /// Addresses of all interfaces.
    SIOCGIFCONF = sock(0x12) => InOut(IFCONF), Socket, Nothing, Nowhere,
        host("the net's addresses are put behind the host's");
    /// Not implemented by the kernel.
    SIOCGIFCOUNT = sock(0x38) => Unused, Socket, Nothing, Nowhere, NAMES_NONE;
    /// Bridges, the old way.
    SIOCGIFBR = sock(0x40) => InOut(BRIDGE), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Bridges, the old way.
    SIOCSIFBR = sock(0x41) => InOut(BRIDGE), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Bytes that were not sent yet.
    SIOCOUTQNSD = sock(0x4b) => Out(INT), Socket, Nothing, Nowhere, NAMES_NONE;
    /// A descriptor of the socket's network namespace.
    SIOCGSKNS => Unused, Socket, Nothing, Nowhere, NAMES_NONE;
    /// Frame relay, which the kernel has no more.
    SIOCADDDLCI = sock(0x80), 2 => Unused, Socket, Nothing, Nowhere, NAMES_NONE;
    /// VLANs; their interface is not looked for.
    SIOCGIFVLAN = sock(0x82) => InOut(VLAN), Socket, Nothing, Nowhere, NAMES_NONE;
    /// VLANs; their interface is not looked for.
    SIOCSIFVLAN = sock(0x83) => InOut(VLAN), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Makes a bridge.
    SIOCBRADDBR = sock(0xa0) => In(NAME), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Deletes a bridge.
    SIOCBRDELBR = sock(0xa1) => In(NAME), Socket, Nothing, Nowhere, NAMES_NONE;
    /// Requests that a protocol defines.
    SIOCPROTOPRIVATE = sock(0xe0), 16 => Unused, Socket, Nothing, Nowhere, NAMES_NONE;
}
