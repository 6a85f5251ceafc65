//! A tunnel's queue as one who sends into it holds it.
#![forbid(unsafe_code)]

use crate::net::{Local, NetDir};
use crate::shm::layout::TunnelState;
use crate::shm::Mapped;
use crate::sys::{self, KeptFifo};
use crate::tun::filter::KnownProgram;
use crate::Errno;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;

/// A tunnel that packets are sent into.
pub struct Queue {
    /// Inode of the tunnel's bell.
    pub inode: u64,
    /// State of the tunnel, which all processes share.
    pub tunnel: Mapped<TunnelState>,
    /// Packet filter of the tunnel, as far as this process has read it.
    pub(super) program: KnownProgram,
    /// The descriptor by which this process held the tunnel at the last look, or -1.
    own: AtomicI32,
    /// A descriptor of the bell that this process keeps open.
    kept: KeptFifo,
}

impl Queue {
    /// Returns the queue of a tunnel that is open now. Allocates nothing.
    ///
    /// # Errors
    ///
    /// ENODEV: the tunnel is not open. EMFILE, ENFILE, ENOMEM: it cannot be had for that.
    pub fn new(dir: &NetDir, inode: u64) -> Result<Queue, Errno> {
        let tunnel = dir.tunnel(inode);
        let tunnel = tunnel.map_err(|e| e.if_lack_or(Errno(libc::ENODEV)))?;
        Ok(Queue {
            inode,
            tunnel,
            program: KnownProgram::default(),
            own: AtomicI32::new(-1),
            kept: KeptFifo::none_yet(inode),
        })
    }

    /// Returns a descriptor of the bell. If the process holds the tunnel itself, it is the
    /// process's own descriptor. Else it is one that is kept, with a high number and close-on-exec;
    /// it is checked before each use because the process may have closed it unknowingly. The caller
    /// holds the tunnel's lock.
    ///
    /// # Errors
    ///
    /// ENODEV: the bell is gone. EMFILE, ENFILE: it cannot be had for that.
    pub(super) fn bell(&self, net: &NetDir, local: &dyn Local) -> Result<i32, Errno> {
        // All tunnels of the process are looked at once, and then that one alone.
        let own = self.own.load(Relaxed);
        if own >= 0 && local.is_descriptor(own, self.inode) {
            return Ok(own);
        }
        if let Some(own) = local.descriptor(self.inode) {
            self.own.store(own, Relaxed);
            return Ok(own);
        }
        if let Some(kept) = self.kept.number() {
            return Ok(kept);
        }
        // The kept descriptor no longer belongs to this value: whoever has its number now keeps it.
        let fd = net.open_bell(self.inode);
        let fd = fd.map_err(|e| e.if_lack_or(Errno(libc::ENODEV)))?;
        Ok(self.kept.keep(sys::duplicate_high(fd.raw()).unwrap_or(fd)))
    }
}
