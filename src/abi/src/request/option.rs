//! Options of setsockopt(2) that name an interface, and those of which the net keeps what the
//! kernel does not permit: the mark, by which a routing rule chooses one, and the priority.
#![forbid(unsafe_code)]

use super::row::{approximate, Answer};
use crate::Label;

/// One option that names an interface.
#[derive(Debug)]
pub struct SocketOption {
    /// Name of the macro.
    pub name: Label<32>,
    /// Level of the option (SOL_SOCKET, IPPROTO_*).
    pub level: i32,
    /// Number of the macro.
    pub number: i32,
    /// How the option's value names the interface.
    pub names: Designation,
    /// What memtun does with the option.
    pub answer: Answer,
    /// Description for people, in one line.
    pub doc: Label<120>,
}

/// How an option's value names an interface. Offsets are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Designation {
    /// By its name, of at most 15 bytes.
    Name,
    /// By its index at this offset.
    Index(usize),
    /// By its index in network byte order.
    NetworkIndex,
    /// By an IPv4 address at this offset, and where the value is long enough, by the index behind
    /// it (`struct ip_mreqn`). A value of 4 bytes is the address alone.
    AddressOrIndex(usize),
    /// By an IPv4 address at this offset.
    Address(usize),
    /// Not at all: it is a mark, or another number that wants a permission.
    Mark,
}

macro_rules! options {
    ($(#[doc = $doc:literal] $level:ident $name:ident $(= $number:literal)? => $names:expr;)*) => {
        /// Every option that names an interface.
        pub const SOCKET_OPTIONS: &[SocketOption] = &[$(SocketOption {
            name: Label::new(stringify!($name)),
            level: libc::$level,
            number: options!(@number $name $($number)?),
            names: $names,
            answer: NO_PACKETS,
            doc: Label::new($doc.trim_ascii()),
        }),*];
    };
    (@number $name:ident $number:literal) => { $number };
    (@number $name:ident) => { libc::$name };
}

const NO_PACKETS: Answer = approximate(
    "kept in the net, where the host process looks; the machine's kernel does not know of it",
);

use Designation::{Address, AddressOrIndex, Index, Mark, Name, NetworkIndex};

options! {
    /// Binds a socket to an interface by its name.
    SOL_SOCKET SO_BINDTODEVICE => Name;
    /// Binds a socket to an interface by its index.
    SOL_SOCKET SO_BINDTOIFINDEX => Index(0);
    /// The mark by which routing rules choose, where the kernel does not permit it.
    SOL_SOCKET SO_MARK => Mark;
    /// The priority of what is sent, where the kernel does not permit it.
    SOL_SOCKET SO_PRIORITY => Mark;
    /// The interface from which multicasts go out.
    IPPROTO_IP IP_MULTICAST_IF => AddressOrIndex(4);
    /// Joins a group.
    IPPROTO_IP IP_ADD_MEMBERSHIP => AddressOrIndex(4);
    /// Leaves a group.
    IPPROTO_IP IP_DROP_MEMBERSHIP => AddressOrIndex(4);
    /// Joins a group for one source.
    IPPROTO_IP IP_ADD_SOURCE_MEMBERSHIP => Address(4);
    /// Leaves a group for one source.
    IPPROTO_IP IP_DROP_SOURCE_MEMBERSHIP => Address(4);
    /// Does not hear a source of a group.
    IPPROTO_IP IP_BLOCK_SOURCE = 38 => Address(4);
    /// Hears a source of a group again.
    IPPROTO_IP IP_UNBLOCK_SOURCE = 37 => Address(4);
    /// Sets all sources of a group, and tells them.
    IPPROTO_IP IP_MSFILTER = 41 => Address(4);
    /// The interface from which packets go out.
    IPPROTO_IP IP_UNICAST_IF = 50 => NetworkIndex;
    /// Joins a group.
    IPPROTO_IP MCAST_JOIN_GROUP = 42 => Index(0);
    /// Does not hear a source of a group.
    IPPROTO_IP MCAST_BLOCK_SOURCE = 43 => Index(0);
    /// Hears a source of a group again.
    IPPROTO_IP MCAST_UNBLOCK_SOURCE = 44 => Index(0);
    /// Leaves a group.
    IPPROTO_IP MCAST_LEAVE_GROUP = 45 => Index(0);
    /// Joins a group for one source.
    IPPROTO_IP MCAST_JOIN_SOURCE_GROUP = 46 => Index(0);
    /// Leaves a group for one source.
    IPPROTO_IP MCAST_LEAVE_SOURCE_GROUP = 47 => Index(0);
    /// Sets all sources of a group, and tells them.
    IPPROTO_IP MCAST_MSFILTER = 48 => Index(0);
    /// The interface from which multicasts go out.
    IPPROTO_IPV6 IPV6_MULTICAST_IF => Index(0);
    /// Joins a group.
    IPPROTO_IPV6 IPV6_ADD_MEMBERSHIP => Index(16);
    /// Leaves a group.
    IPPROTO_IPV6 IPV6_DROP_MEMBERSHIP => Index(16);
    /// Takes an address that several hosts have; refused in the net.
    IPPROTO_IPV6 IPV6_JOIN_ANYCAST = 27 => Index(16);
    /// Gives such an address back.
    IPPROTO_IPV6 IPV6_LEAVE_ANYCAST = 28 => Index(16);
    /// The interface from which packets go out.
    IPPROTO_IPV6 IPV6_UNICAST_IF = 76 => NetworkIndex;
    /// Joins a group.
    IPPROTO_IPV6 MCAST_JOIN_GROUP = 42 => Index(0);
    /// Does not hear a source of a group.
    IPPROTO_IPV6 MCAST_BLOCK_SOURCE = 43 => Index(0);
    /// Hears a source of a group again.
    IPPROTO_IPV6 MCAST_UNBLOCK_SOURCE = 44 => Index(0);
    /// Leaves a group.
    IPPROTO_IPV6 MCAST_LEAVE_GROUP = 45 => Index(0);
    /// Joins a group for one source.
    IPPROTO_IPV6 MCAST_JOIN_SOURCE_GROUP = 46 => Index(0);
    /// Leaves a group for one source.
    IPPROTO_IPV6 MCAST_LEAVE_SOURCE_GROUP = 47 => Index(0);
    /// Sets all sources of a group, and tells them.
    IPPROTO_IPV6 MCAST_MSFILTER = 48 => Index(0);
}

/// May this option name an interface? This costs a few instructions.
#[inline]
pub fn may_name_interface(level: i32, number: i32) -> bool {
    match level {
        libc::SOL_SOCKET => matches!(
            number,
            libc::SO_BINDTODEVICE | libc::SO_BINDTOIFINDEX | libc::SO_MARK | libc::SO_PRIORITY
        ),
        libc::IPPROTO_IP | libc::IPPROTO_IPV6 => option_of(level, number).is_some(),
        _ => false,
    }
}

/// Does this option make the machine route multicasts (MRT_INIT to MRT_MAX, and those of IPv6)?
#[inline]
pub fn may_route_multicasts(level: i32, number: i32) -> bool {
    const FIRST: i32 = 200;
    const LAST: i32 = 212;
    matches!(level, libc::IPPROTO_IP | libc::IPPROTO_IPV6) && (FIRST..=LAST).contains(&number)
}

/// Returns the option of this level and number, if it is one that names an interface.
pub fn option_of(level: i32, number: i32) -> Option<&'static SocketOption> {
    SOCKET_OPTIONS
        .iter()
        .find(|o| o.level == level && o.number == number)
}
