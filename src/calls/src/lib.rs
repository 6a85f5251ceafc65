//! What a system call on a tunnel, a device path, an interface or a socket means, for any back end.
//!
//! A back end is whoever has the program's call in its hands: the preloaded library, in whose
//! process the program's memory is plain memory, or a supervisor of system calls, which reads that
//! memory from outside. What differs between them is behind traits: [`Memory`] (the program's
//! memory), [`Paths`](path::Paths) (what it sees of the file system), [`Nets`](tunnel::Nets) (which
//! net it is in), and [`Descriptor`](tunnel::Descriptor), [`Socket`](socket::Socket) and `Local`
//! (its descriptors). Nothing here knows of libc's hooks, of its errno, or of a table of one
//! process.
//!
//! | module | subject |
//! |---|---|
//! | [`path`] | does a path lead to a special device? |
//! | [`device`] | what stat and access say of one |
//! | [`tunnel`] | open, read, write, ioctl and the status flags |
//! | [`buffer`] | where they read from and write to |
//! | [`control`] | fcntl, and calls for other kinds of files |
//! | [`readiness`] | poll, select and epoll |
//! | [`interfaces`], [`socket`] | names and lists of interfaces; requests and options of ordinary sockets about them |
//! | [`ancillary`] | control messages of sockets |
//! | [`inet`] | ordinary sockets over the net's interfaces |
//! | [`host`] | the host process, as a call reaches it |
//! | [`netlink`], [`ifaddrs`] | sockets of rtnetlink(7); getifaddrs |
//! | [`fdinfo`] | the text of /proc/PID/fdinfo/N |

#![forbid(unsafe_code)]

pub mod ancillary;
pub mod buffer;
pub mod control;
pub mod device;
pub mod fdinfo;
pub mod host;
pub mod ifaddrs;
pub mod inet;
pub mod interfaces;
mod memory;
pub mod netlink;
pub mod packet;
pub mod path;
pub mod readiness;
pub mod socket;
pub mod tunnel;

pub use memory::{in_user_space, Memory, Place, USER_SPACE};
