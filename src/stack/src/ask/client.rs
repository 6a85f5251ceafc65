//! The side of whoever asks.
#![forbid(unsafe_code)]

use super::Question;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;

/// How a host process is started for a net that has none.
pub trait Start {
    /// Starts a host process, and returns without waiting for it.
    ///
    /// # Errors
    ///
    /// What keeps it from being started, for example ENOENT when the command cannot be found.
    fn start(&self, net: &NetDir) -> Result<(), Errno>;
}

/// Puts a question to the host process of the net, and calls `each` with the payload of each packet
/// of its answer. A host process is started first where there is none. Allocates nothing.
///
/// # Errors
///
/// - The errno of the answer.
/// - ETIMEDOUT when no host process answers within the patience of a program's call.
/// - What starting one fails with.
pub fn ask(
    net: &NetDir,
    start: &dyn Start,
    question: &Question,
    payload: &[&[u8]],
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), Errno> {
    let _ = (net, start, question, payload, each);
    Err(Errno(libc::ENOSYS))
}
