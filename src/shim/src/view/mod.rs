//! The files under /sys and /proc in which the links of this process's net stand.
//!
//! What such a file holds and what writing it does is `memtun_stack::view`'s; here is how a program
//! reaches it.
//!
//! * A **file** that is opened becomes a memory file with the text, opened again through /proc so
//!   that the kernel itself keeps to O_RDONLY and O_WRONLY. Its name says what it is
//!   (`memtun:/sys/...`), so that the descriptor is known in whatever process it comes to. The
//!   table marks it, and `read` and `write` come here for it: a read from the beginning makes the
//!   text anew, as the kernel does, and a write is carried out at once.
//! * A **directory** that is opened is a real one in the net, made when it is needed with the
//!   entries that it should have. So readdir, seekdir, fchdir, openat and what libc does by itself
//!   work on it. A path that begins there, by descriptor or as the working directory, is mapped
//!   back first.
//!
//! | module | subject |
//! |---|---|
//! | `names` | what a path in the net, or a memory file, stands for |
//! | `paths` | what a path of the program's names |
//! | `file` | opening and reading a file |
//! | `writing` | writing into a file |
//! | `directory` | the directories in the net |
//! | `asked` | what kind of file a descriptor is, for calls that ask that |
//! | `refusals` | what cannot be done in the view |
//! | `status` | stat(2) and access(2) |
//! | `stdio` | what libc has written by itself |
//! | `watched` | files that epoll instances wait for |
//! | `unlike` | what a memory file would do, and a file of the view does not |

mod asked;
mod directory;
mod file;
mod names;
mod paths;
mod refusals;
mod status;
mod stdio;
mod unlike;
mod watched;
mod writing;

pub use asked::{
    allocates, changes_attribute, changes_owner, controls, lacks_behind, requested, syncs,
};
pub use directory::{entered, works_there};
pub use file::{
    adopt, duplicated, leads_there, may_be_reached, open, reached, read, refuses_again, seek,
};
pub use names::{behind_link, is_filled, shown};
pub use paths::{
    changed, cut, file_systems, granted, limits_of, may_begin_in, no_handle, real_path,
    redirect_directory, redirect_watch, root_of, target, Change, FileSystem, Redirected,
};
pub use refusals::{attribute, changing_attribute, making, removing, Making, Removal};
pub use status::{access, of_descriptor, of_path, root_of_descriptor};
pub use stdio::{closing, flushed, replacing};
pub use unlike::{maps, moves, open_within};
pub use watched::{has_news, in_place_of};
pub use writing::{write, Source};
