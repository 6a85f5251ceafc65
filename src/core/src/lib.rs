//! An in-memory `/dev/net/tun`.
//!
//! A [`Net`] is a directory that processes join; in it are [`Interface`]s with the tunnels that
//! programs have opened. The program's side is a tunnel: the preloaded `libmemtun.so` puts it in
//! place of the kernel's driver, and [`MemoryIoSystem`] gives it to Rust code without any
//! preloading. The driver's side plays the rest of the world: [`Net`] and [`Interface`] send
//! packets in, take packets out, set addresses, routes and neighbours, permissions and faults.
//!
//! ```
//! use memtun::{IoSystem, MemoryIoSystem, Net};
//! let net = Net::temporary()?;
//! let system = MemoryIoSystem::new(&net);
//! system.register_special_device("/dev/net/tun", memtun::TunnelClass);
//! let fd = system.open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0)?;
//! system.ioctl(fd, memtun::uapi::TUNSETIFF, &memtun::ifreq("tun0", memtun::uapi::IFF_TUN | memtun::uapi::IFF_NO_PI))?;
//! let source = system.send_udp(b"hello", "10.0.0.1:7".parse().unwrap())?;
//! assert_eq!(&system.read(fd, 1500)?[28..], b"hello");
//! assert_eq!(source.to_string(), "10.1.2.3:21345");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | module | subject |
//! |---|---|
//! | `deadline` | [`Timeout`] and [`Deadline`]: how long somebody waits |
//! | `driver` | what a test holds: [`Net`], [`Interface`], [`Capture`], snapshots, errors |
//! | [`packet`] | datagrams built and parsed |
//! | [`launch`] | [`UnderShim`]: programs under the shim, from Rust; what can be known of them before they start |
//! | `io` | [`IoSystem`]: [`MemoryIoSystem`] beside [`RealSystem`] |
//! | [`json`] | snapshots and other values as JSON |

// Whatever a public item speaks of can be named by those who use it.
#![warn(unnameable_types)]

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("memtun works on Linux with glibc: its locks and the preloaded library need both");

mod deadline;
mod driver;
mod io;
pub mod launch;
pub mod packet;

pub use deadline::{Deadline, Timeout};
pub use driver::capture::{Capture, Captured, CapturedLink, Direction};
pub use driver::host::{Address, Neighbour, Route};
pub use driver::interface::{
    Interface, InterfaceInfo, Packet, ReceiveCounters, Sending, Shown, Subscriber,
    TransmitCounters, TunnelInfo, UdpReceiver,
};
pub use driver::json;
pub use driver::listed::SocketInfo;
pub use driver::net::{Net, NetInfo, NetOptions};
pub use driver::sockets;
pub use io::{
    ifreq, DatagramReceiver, DeviceClass, IoSystem, MemoryIoSystem, RealSystem, SpecialDevice,
    TunnelClass,
};
pub use launch::{find_library, UnderShim};
pub use memtun_abi::{uapi, Errno, Error, ErrorKind, Name, Result};
pub use memtun_kernel::{Fault, Operation, Permission};

use memtun_kernel::NetDir;

/// A sentence that says which resource was exhausted, and how to get more of it, when a file of a
/// net or its mapping could not be made for this reason. It is `None` where the errno says all that
/// is known.
#[doc(hidden)]
pub fn cause(errno: Errno) -> Option<String> {
    let cause = memtun_kernel::Cause(errno);
    cause.is_known().then(|| cause.to_string())
}

use memtun_sys as sys;
