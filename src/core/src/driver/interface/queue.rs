//! A tunnel's queue as an injector holds it.
#![forbid(unsafe_code)]

use crate::driver::joined::Joined;
use crate::{sys, Errno};
use memtun_kernel::net::NetDir;
use memtun_kernel::tun::filter::KnownProgram;
use memtun_shm::layout::TunnelState;
use memtun_shm::Mapped;
use memtun_sys::KeptFifo;

/// A tunnel that packets are injected into.
pub(super) struct Queue {
    /// Inode of the tunnel's bell.
    pub(super) inode: u64,
    /// State of the tunnel, which all processes share.
    pub(super) tunnel: Mapped<TunnelState>,
    /// Packet filter of the tunnel, as far as this process has read it.
    pub(super) program: KnownProgram,
    /// A descriptor of the bell that this process keeps open.
    kept: KeptFifo,
}

impl Queue {
    /// The queue of a tunnel that is open now.
    ///
    /// # Errors
    /// - ENODEV: the tunnel is not open.
    pub(super) fn new(dir: &NetDir, inode: u64) -> Result<Queue, Errno> {
        let tunnel = dir.tunnel(inode).map_err(|_| Errno(libc::ENODEV))?;
        Ok(Queue {
            inode,
            tunnel,
            program: KnownProgram::default(),
            kept: KeptFifo::none_yet(inode),
        })
    }

    /// A descriptor of the bell. If the process holds the tunnel itself, it is the process's own
    /// descriptor. Else it is one that is kept, with a high number and close-on-exec; it is checked
    /// before each use because the process may have closed it unknowingly. The caller holds the
    /// tunnel's lock.
    pub(super) fn bell(&self, net: &Joined) -> Result<i32, Errno> {
        if let Some(own) = net.local().descriptor(self.inode) {
            return Ok(own);
        }
        if let Some(kept) = self.kept.number() {
            return Ok(kept);
        }
        // The kept descriptor no longer belongs to this value: whoever has its number now keeps it.
        let fd = net
            .dir()
            .open_bell(self.inode)
            .map_err(|_| Errno(libc::ENODEV))?;
        Ok(self.kept.keep(sys::duplicate_high(fd.raw()).unwrap_or(fd)))
    }
}
