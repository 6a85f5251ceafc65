//! The kind of an error, for programs that decide by it: the errno alone does not say whether a
//! packet came too late or a queue stayed full.
#![forbid(unsafe_code)]

use crate::Errno;

/// The kind of an [`Error`](crate::Error). More kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It did not happen in time.
    Timeout,
    /// It cannot happen any more: every program that could do it has ended.
    Ended,
    /// The interface or the net is gone.
    Gone,
    /// The reader was overtaken.
    Lost {
        /// Number of packets that the reader has lost.
        count: u64,
    },
    /// The link is down, or has no carrier.
    LinkDown,
    /// The program's inbound queue stayed full, or whoever captures stayed behind.
    Full,
    /// No program is attached to the interface.
    NotAttached,
    /// The packet is longer than the mtu allows.
    TooLarge,
    /// The caller may not do it.
    Denied,
    /// The value can never be right.
    Invalid,
    /// There is no thing of that name.
    NotFound,
    /// None of the other kinds: the errno says what went wrong.
    Other,
}

impl ErrorKind {
    /// Returns the kind of most errors with this number. Where the number has a second meaning,
    /// whoever makes the error names its kind.
    pub(crate) fn of(errno: Errno) -> ErrorKind {
        match errno.0 {
            libc::EAGAIN => ErrorKind::Timeout,
            libc::ENODEV => ErrorKind::Gone,
            libc::ENETDOWN => ErrorKind::LinkDown,
            libc::ENOTCONN => ErrorKind::NotAttached,
            libc::EMSGSIZE => ErrorKind::TooLarge,
            libc::EPERM | libc::EACCES => ErrorKind::Denied,
            libc::EINVAL => ErrorKind::Invalid,
            libc::ENOENT => ErrorKind::NotFound,
            _ => ErrorKind::Other,
        }
    }
}
