//! Who and where a process is.
#![forbid(unsafe_code)]

use crate::sys;

/// What a process sees of the file system: by its user and its root directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Effective user.
    pub(super) user: u32,
    /// Device and inode.
    pub(super) root: Option<(u64, u64)>,
}

impl Place {
    /// The calling process, now.
    pub fn here() -> Place {
        let root = sys::fstatat(libc::AT_FDCWD, c"/", 0);
        Place {
            user: sys::effective_uid(),
            root: root.ok().map(|st| (st.st_dev, st.st_ino)),
        }
    }
}
