//! Real programs, unmodified, with the test on both sides of them.
//!
//! A [`World`] is a place where a program finds `/dev/net/tun`: under the shim in a net of its own
//! and without privileges, or (with `MEMTUN_ON=kernel`, inside `unshare -Urn`) on the kernel's
//! driver. An [`End`] is the far side of one interface; a [`Path`] is two of them with programs in
//! between.

mod end;
pub mod installed;
mod kernel;
mod path;
mod process;
mod shim;
pub mod wire;
mod world;

pub use end::{End, SOON};
pub use path::{Carries, Path};
pub use process::Program;
pub use world::{free_tcp_port, free_udp_port, target_dir, Link, Watchdog, World};

/// Makes two tests of each program: one with its link up from the start, and one with a link that
/// is down at first, flaps while the processors are busy, and then stays up.
#[macro_export]
macro_rules! on_both_links {
    ($($(#[$ignored:meta])? $name:ident)*) => {
        mod link_up {
            $(#[test] $(#[$ignored])? fn $name() { super::$name($crate::real_programs::Link::Up) })*
        }
        mod link_down_at_first {
            $(#[test] $(#[$ignored])? fn $name() { super::$name($crate::real_programs::Link::DownAtFirst) })*
        }
    };
}
