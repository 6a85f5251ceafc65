//! An in-memory `/dev/net/tun`.
//!
//! A [`Net`] is a directory that processes join; in it stand [`Interface`]s with the tunnels that programs have opened.
//! The program's side is a [`Tunnel`](tunnel::Tunnel): what the preloaded `libmemtun.so` puts in place of the kernel's
//! driver, and what [`MemoryIoSystem`] gives to Rust code without any preloading. The driver's side, whoever plays the
//! rest of the world, is [`Net`] and [`Interface`]: packets in, packets out, permissions and faults.
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
//! | [`sys`] | system calls without libc's wrappers |
//! | [`shm`] | layout, locks, inbound ring and outbound log in shared memory |
//! | [`netdir`], [`temporary`] | the files of a net, lifetimes; nets without a name |
//! | `bell`, `device` | readiness of a descriptor; an interface's configuration |
//! | [`tunnel`] | the program's side: read, write, ioctl |
//! | `net`, `interface` | the driver's side |
//! | [`command`] | [`UnderShim`]: programs under the shim, from Rust; what can be known of them before they start |
//! | [`json`] | snapshots as JSON |
//! | `capture` | everything that goes through a net, without loss |
//! | [`udp`] | datagrams built and parsed |
//! | `system` | [`IoSystem`]: [`MemoryIoSystem`] beside [`RealSystem`] |
//! | `cause` | sentences for what the machine refuses |
//! | [`fault`], [`uapi`] | faults and permissions; the kernel's numbers |

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("memtun works on Linux with glibc: its locks and the preloaded library need both");

mod bell;
mod capture;
mod cause;
pub mod command;
mod device;
mod errno;
mod error;
pub mod fault;
mod interface;
pub mod json;
mod name;
mod net;
pub mod netdir;
pub mod shm;
pub mod sys;
mod system;
pub mod temporary;
pub mod tunnel;
pub mod uapi;
pub mod udp;

pub use capture::{Capture, Captured, CapturedLink, Direction};
pub use command::{find_library, UnderShim};
pub use errno::Errno;
pub use error::{Error, Result};
pub use fault::{Fault, Operation, Permission};
pub use interface::{Interface, InterfaceInfo, Packet, Subscriber, TunnelInfo, UdpReceiver};
pub use name::Name;
pub use net::{Net, NetOptions};
pub use netdir::NetDir;
pub use system::{
    ifreq, DeviceClass, IoSystem, MemoryIoSystem, RealSystem, SpecialDevice, TunnelClass,
};
