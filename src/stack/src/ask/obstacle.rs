//! Why a net has no host process that answers, in words.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::{settings, Cause};
use std::fmt;

/// What an errno means with which asking the host process failed, and what to do about it: the end
/// of a sentence that begins with what was asked. Allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Obstacle(pub Errno);

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = self.0;
        let remedy = match errno.0 {
            libc::EUCLEAN => "the state of the net's host is damaged: remove the net's directory",
            libc::ENOENT => "the net was removed, or the state of its host is: use another net; or another root directory hides it",
            libc::ETIMEDOUT => "the net's host process does not answer: memtun host says why",
            libc::EPROTO => {
                "the net's host process is of another version than what asks it: end it, and use one installation for \
                 all programs of the net"
            },
            libc::ENOSYS => {
                return write!(
                    f,
                    "{errno}: the net's host process could not be started: install the command memtun beside the \
                     library, or name it in {}",
                    settings::COMMAND
                )
            }
            _ if Cause(errno).is_known() => return write!(f, "{errno}: {}", Cause(errno)),
            _ => return write!(f, "{errno}"),
        };
        write!(f, "{errno}: {remedy}")
    }
}
