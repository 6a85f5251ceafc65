//! A tunnel's queue as an injector holds it.
#![forbid(unsafe_code)]

use crate::driver::joined::Joined;
use crate::{sys, Errno};
use memtun_kernel::net::NetDir;
use memtun_shm::layout::TunnelState;
use memtun_shm::Mapped;
use memtun_sys::KeptFifo;

/// A tunnel that packets are injected into.
pub(super) struct Queue {
    /// Inode of its bell.
    pub(super) inode: u64,
    /// Its state.
    pub(super) tunnel: Mapped<TunnelState>,
    /// A descriptor of its bell.
    kept: KeptFifo,
}

impl Queue {
    /// Of a tunnel that is open now. ENODEV when it is not.
    pub(super) fn new(dir: &NetDir, inode: u64) -> Result<Queue, Errno> {
        let tunnel = dir.tunnel(inode).map_err(|_| Errno(libc::ENODEV))?;
        Ok(Queue {
            inode,
            tunnel,
            kept: KeptFifo::none_yet(inode),
        })
    }

    /// A descriptor of the bell: the process's own if it holds the tunnel itself; else one that is
    /// kept, high and close-on-exec, and looked at before each use because the process may have
    /// closed it unknowingly. Wants the tunnel's lock.
    pub(super) fn bell(&self, net: &Joined) -> Result<i32, Errno> {
        if let Some(own) = net.local().descriptor(self.inode) {
            return Ok(own);
        }
        if let Some(kept) = self.kept.number() {
            return Ok(kept);
        }
        // Not ours any more: whoever has the number now keeps it.
        let fd = net
            .dir()
            .open_bell(self.inode)
            .map_err(|_| Errno(libc::ENODEV))?;
        Ok(self.kept.keep(sys::duplicate_high(fd.raw()).unwrap_or(fd)))
    }
}
