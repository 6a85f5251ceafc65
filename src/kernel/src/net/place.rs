//! Who and where a process is, as far as that decides what it can reach.
#![forbid(unsafe_code)]

use crate::sys;

/// What decides which files a process can reach: its user and its root directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Effective user id of the process.
    pub(super) user: u32,
    /// Device and inode of the root directory; None when they cannot be read.
    pub(super) root: Option<(u64, u64)>,
}

impl Place {
    /// Returns the place of the calling process, now.
    pub fn here() -> Place {
        let root = sys::fstatat(libc::AT_FDCWD, c"/", 0);
        Place {
            user: sys::effective_uid(),
            root: root.ok().map(|st| (st.st_dev, st.st_ino)),
        }
    }
}
