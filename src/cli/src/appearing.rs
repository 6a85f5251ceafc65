//! Waiting for a file that somebody will make.
#![forbid(unsafe_code)]

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A watch on the directory that is nearest to a path.
pub struct Watch(OwnedFd);

impl Watch {
    /// Makes a descriptor that becomes readable when something is made in the directory of the
    /// path, or, as long as there is no such directory, in the nearest one above it. None means
    /// that the system has no watches left.
    pub fn on(path: &Path) -> Option<Watch> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let path = std::path::absolute(path).ok()?;
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
        let watched =
            |dir: &Path| inotify::add_watch(&fd, dir, flags | WatchFlags::ONLYDIR).is_ok();
        let found = path.ancestors().any(watched);
        found.then_some(Watch(fd))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
