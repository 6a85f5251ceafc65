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
//! | `node` | what a path names, the text of files |
//! | `list` | what stands in a directory |
//! | [`place`] | which place a path names |
//! | [`links`] | the links that the net shows, and whose a name is |
//! | `sysfs` | a link's own directory |
//! | `procfs` | /proc/net |
//! | [`sysctl`] | /proc/sys/net: the settings, and what may be written into them |
//! | `value` | a value as text |
//! | `sets` | settings that are sets of numbers, or keys |
//! | [`mod@write`] | what writing does |
//! | `first` | settings that only the first namespace has |
//! | [`wide`] | settings of the whole namespace |
//! | [`text`] | text without an allocation |
#![forbid(unsafe_code)]

mod first;
pub mod links;
mod list;
mod node;
pub mod place;
mod procfs;
mod sets;
pub mod sysctl;
mod sysfs;
pub mod text;
mod tree;
mod value;
pub mod wide;
pub mod write;

pub use links::{Seen, Whose};
pub use node::{Directory, File, Node};
pub use tree::{Sort, Tree};
pub use write::Written;
