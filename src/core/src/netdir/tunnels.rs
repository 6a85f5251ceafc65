//! Tunnels: making one, knowing that it is alive, clearing up after a dead one.

use super::{give_to, is_unlocked, temporary_name, Local, NetDir, BELL, TUNNEL};
use crate::shm::layout::{Attachment, InterfaceState, TunnelState};
use crate::shm::lock::{Guard, Level};
use crate::shm::{load_name, Mapped};
use crate::sys::{self, Fd};
use crate::{bell, Errno};
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

impl NetDir {
    /// Makes a tunnel: its bell opened with `flags` (access mode replaced by O_RDWR), locked, published; its state.
    pub fn create_tunnel(&self, flags: i32) -> Result<(Fd, u64, Mapped<TunnelState>), Errno> {
        let temporary = temporary_name(&self.dir)?;
        let state = Mapped::<TunnelState>::create(temporary.cstr())?;
        give_to(self.owner, &temporary);
        let made = self.create_bell(flags).and_then(|(bell, inode)| {
            state.lock.init()?;
            state.open_flags.store(flags as u32, Relaxed);
            sys::link(temporary.cstr(), self.file(TUNNEL, inode)?.cstr()).inspect_err(|_| {
                if let Ok(path) = self.file(BELL, inode) {
                    let _ = sys::unlink(path.cstr(), 0);
                }
            })?;
            Ok((bell, inode))
        });
        let _ = sys::unlink(temporary.cstr(), 0);
        let (bell, inode) = made?;
        Ok((bell, inode, state))
    }

    fn create_bell(&self, flags: i32) -> Result<(Fd, u64), Errno> {
        const LARGEFILE: i32 = 0o100000;
        let dropped = libc::O_ACCMODE | libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC;
        let flags = flags & !dropped
            | libc::O_RDWR
            | if cfg!(target_arch = "aarch64") {
                0o400000
            } else {
                LARGEFILE
            };
        loop {
            let temporary = temporary_name(&self.dir)?;
            sys::mkfifo(temporary.cstr(), 0o600)?;
            sys::chmod(temporary.cstr(), 0o600)?;
            give_to(self.owner, &temporary);
            let locked = sys::open(temporary.cstr(), flags, 0).and_then(|fd| {
                if flags & libc::O_PATH == 0 {
                    sys::flock(fd.raw(), libc::LOCK_SH | libc::LOCK_NB)?;
                }
                Ok(fd)
            });
            let published = locked.and_then(|fd| {
                let inode = sys::fstat(fd.raw())?.st_ino;
                sys::rename(temporary.cstr(), self.file(BELL, inode)?.cstr())?;
                Ok((fd, inode))
            });
            match published {
                // Somebody who clears up saw the new FIFO before it was locked, and removed it.
                Err(Errno(libc::ENOENT | libc::EAGAIN)) => continue,
                Err(e) => {
                    let _ = sys::unlink(temporary.cstr(), 0);
                    return Err(e);
                }
                made => return made,
            }
        }
    }

    /// The state of a tunnel of this net.
    pub fn tunnel(&self, inode: u64) -> Result<Mapped<TunnelState>, Errno> {
        Mapped::open(self.file(TUNNEL, inode)?.cstr()).map_err(|(e, _)| e)
    }

    /// Locks a tunnel; a bell that a dead process left wrong is put right.
    #[inline]
    pub fn lock_tunnel<'t>(
        &self,
        inode: u64,
        tunnel: &'t Mapped<TunnelState>,
    ) -> Result<Guard<'t>, Errno> {
        tunnel.lock.lock(Level::Tunnel, || {
            if let Ok(fd) = self.open_bell(inode) {
                bell::repair(tunnel, fd.raw());
            }
        })
    }

    /// Is the last descriptor of this tunnel gone? Ask with the net's lock held: the answer is got by taking the
    /// exclusive lock for a moment.
    pub fn is_dead(&self, inode: u64, local: &dyn Local) -> bool {
        if local.descriptor(inode).is_some() {
            return false;
        }
        let Ok(path) = self.file(BELL, inode) else {
            return false;
        };
        is_unlocked(path.cstr())
    }

    /// Clears up after a tunnel if its last descriptor is gone. Wants the net's lock.
    pub fn reap_tunnel(&self, inode: u64, local: &dyn Local) -> bool {
        if !self.is_dead(inode, local) {
            return false;
        }
        if let Ok(tunnel) = self.tunnel(inode) {
            let name = load_name(&tunnel.name);
            if tunnel.attachment.load(Relaxed) != Attachment::None as u32 {
                if let Ok(Some(interface)) = self.open_interface(&name) {
                    if interface.ifindex.load(Relaxed) == tunnel.ifindex.load(Relaxed) {
                        self.leave(&interface, inode, &tunnel, local);
                    }
                }
            }
        }
        for kind in [TUNNEL, BELL] {
            if let Ok(path) = self.file(kind, inode) {
                let _ = sys::unlink(path.cstr(), 0);
            }
        }
        true
    }

    /// Takes a dead tunnel off its interface, which ends with its last one unless it is persistent.
    fn leave(
        &self,
        interface: &Mapped<InterfaceState>,
        inode: u64,
        tunnel: &Mapped<TunnelState>,
        local: &dyn Local,
    ) {
        if let Ok(_interface_lock) = interface.lock.lock(Level::Interface, || {}) {
            interface.remove_queue(inode);
            if let Ok(_lock) = self.lock_tunnel(inode, tunnel) {
                tunnel.attachment.store(Attachment::None as u32, Release);
                self.discard(interface, tunnel);
            }
        }
        if interface.attached.load(Relaxed) + interface.detached.load(Relaxed) == 0 {
            if interface.is_persistent() {
                interface.carrier.store(0, Relaxed);
            } else {
                self.delete_interface(interface, local);
            }
        }
    }

    /// Drops what is queued in a tunnel and counts it.
    pub fn discard(&self, interface: &InterfaceState, tunnel: &Mapped<TunnelState>) {
        let lost = tunnel.clear() as u64;
        interface.stats.tx_dropped.fetch_add(lost, Relaxed);
        self.discarded.fetch_add(lost, Relaxed);
        if tunnel.room_waiters.load(SeqCst) != 0 {
            tunnel.room_event.fetch_add(1, SeqCst);
            sys::futex_wake_all(&tunnel.room_event);
        }
    }
}
