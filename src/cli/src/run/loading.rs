//! Did anybody load the library while the program ran?
//!
//! The dynamic linker opens a preloaded library at each start of a program, and a watch on the file
//! sees that. This needs no help from the program's side, so it works where there is none. Other
//! runs at the same time open the file as well: a program that did not load it goes unnoticed then,
//! but none is accused wrongly.
#![forbid(unsafe_code)]

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A watch on the library's file.
pub struct Watch(OwnedFd);

impl Watch {
    /// Begins to watch the library's file. None means that the system has no watches left.
    pub fn on(library: &Path) -> Option<Watch> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        inotify::add_watch(&fd, library, WatchFlags::OPEN).ok()?;
        Some(Watch(fd))
    }

    /// Has nobody opened the file?
    pub fn saw_nothing(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 512];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        matches!(events.next(), Err(rustix::io::Errno::AGAIN))
    }
}
