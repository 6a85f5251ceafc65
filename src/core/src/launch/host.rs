//! Starts the host process of a net.
#![forbid(unsafe_code)]

use crate::Errno;
use memtun_kernel::NetDir;
use memtun_stack::ask::Start;

pub(crate) struct Starter;

impl Start for Starter {
    fn start(&self, _: &NetDir, _: u64) -> Result<(), Errno> {
        Err(Errno(libc::ENOSYS))
    }
}

pub(crate) fn starter() -> Starter {
    Starter
}
