//! Why the machine refused what the kernel's own driver would have given, and what can be done
//! about it.
#![forbid(unsafe_code)]

use crate::{sys, Errno};
use std::fmt;

/// Explains an errno that a file operation or a mapping of a net failed with, for a message to the
/// user. Displaying it allocates nothing.
pub struct Cause(pub Errno);

impl Cause {
    /// Is there more to say about this errno than its name?
    pub fn is_known(&self) -> bool {
        matches!(
            self.0 .0,
            libc::ENOMEM
                | libc::EFBIG
                | libc::EMFILE
                | libc::ENFILE
                | libc::ENOSPC
                | libc::EDQUOT
                | libc::EROFS
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |f: &mut fmt::Formatter<'_>, name, option, bytes: u64, why| {
            write!(
                f,
                "{why} {name} (ulimit -{option}) is {bytes}: raise it with prlimit(1) or ulimit"
            )
        };
        match self.0 .0 {
            libc::ENOMEM => {
                let room = sys::address_space_left();
                let little = room.filter(|(_, left)| *left < 1 << 20);
                let locked = sys::soft_limit(libc::RLIMIT_MEMLOCK);
                match (little, room, locked) {
                    (Some((limited, _)), _, _) | (None, Some((limited, _)), None) => limit(
                        f,
                        "RLIMIT_AS",
                        'v',
                        limited as u64,
                        "no address space is left,",
                    ),
                    (None, _, Some(bytes)) => limit(
                        f,
                        "RLIMIT_MEMLOCK",
                        'l',
                        bytes,
                        "no memory can be mapped; if the program locks its memory (mlockall),",
                    ),
                    (None, None, None) => f.write_str("the machine has no memory left"),
                }
            }
            libc::EFBIG => {
                let bytes = sys::longest_file();
                let why = "the files of a tunnel need 136 KiB each, and";
                limit(f, "the hard limit RLIMIT_FSIZE", 'f', bytes, why)
            }
            libc::EMFILE => {
                let number = sys::soft_limit(libc::RLIMIT_NOFILE).unwrap_or(0);
                let why = "the process has as many descriptors as it may;";
                limit(f, "RLIMIT_NOFILE", 'n', number, why)
            }
            libc::ENFILE => f.write_str("the machine has as many open files as it may (fs.file-max)"),
            libc::ENOSPC => f.write_str(
                "its file system is full, or has no inode left: free some room, or choose another directory (MEMTUN_NET)",
            ),
            libc::EDQUOT => f.write_str("your quota there is used up: free some room"),
            libc::EROFS => {
                f.write_str("its file system is read-only; choose another directory (MEMTUN_NET)")
            }
            _ => fmt::Display::fmt(&self.0, f),
        }
    }
}
