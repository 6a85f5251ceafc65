//! What the net knows of links, addresses and routes, as files under /sys and /proc
//! (net/core/net-sysfs.c, net/core/net-procfs.c and the seq files of net/ipv4 and net/ipv6).
//!
//! A [`Tree`] says what a path names, lists directories, makes the text of files and carries out
//! what is written into them. Nothing here allocates, because a program may look into such a file
//! in a signal handler.
//!
//! | module | subject |
//! |---|---|
//! | `tree` | the tree of a net's files |
//! | `node` | what a path names, directories, the text of files |
//! | [`place`] | which place a path names |
//! | [`links`] | the links that the net shows, and whose a name is |
//! | `sysfs` | a link's own directory |
//! | `procfs` | /proc/net |
//! | [`sysctl`] | /proc/sys/net: the settings, and what may be written into them |
//! | [`mod@write`] | what writing does |
//! | [`wide`] | settings of the whole namespace |
//! | [`text`] | text without an allocation |
#![forbid(unsafe_code)]

pub mod links;
mod node;
pub mod place;
mod procfs;
pub mod sysctl;
mod sysfs;
pub mod text;
mod tree;
pub mod wide;
pub mod write;

pub use links::{Seen, Whose};
pub use node::{Directory, File, Node};
pub use tree::{Sort, Tree};
pub use write::Written;
