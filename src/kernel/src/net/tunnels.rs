//! Tunnels: how one is made, how it is known to be alive, and how others clear up after a dead one.
#![forbid(unsafe_code)]

use super::{claim, numbered, temporary_name, Directory, Local, NetDir, NoTunnels, BELL, TUNNEL};
use crate::shm::layout::{Attachment, InterfaceState, TunnelState};
use crate::shm::lock::Patience;
use crate::shm::{load_name, Mapped, TunnelGuard};
use crate::sys::{self, Fd};
use crate::tun::bell;
use crate::Errno;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

impl NetDir {
    /// Makes and publishes a tunnel. Returns the descriptor of its bell, opened with `flags` (with
    /// O_RDWR as access mode) and locked, which the caller owns; the bell's inode; and the mapped
    /// state.
    ///
    /// # Errors
    ///
    /// What making, opening or mapping the tunnel's files fails with.
    pub fn create_tunnel(&self, flags: i32) -> Result<(Fd, u64, Mapped<TunnelState>), Errno> {
        let (bell, inode, state) = self.make(|dir| {
            let temporary = temporary_name()?;
            let state = dir.create::<TunnelState>(temporary.cstr())?;
            let made = create_bell(dir, flags).and_then(|(bell, inode)| {
                state.open_flags.store(flags as u32, Relaxed);
                let name = numbered(TUNNEL, inode)?;
                // The bell's inode is new, so a file with its number is left over from a bell that
                // is gone.
                let _ = dir.unlink(name.cstr());
                dir.link(temporary.cstr(), name.cstr()).inspect_err(|_| {
                    if let Ok(name) = numbered(BELL, inode) {
                        let _ = dir.unlink(name.cstr());
                    }
                })?;
                Ok((bell, inode))
            });
            let _ = dir.unlink(temporary.cstr());
            made.map(|(bell, inode)| (bell, inode, state))
        })?;
        match sys::lowest(bell) {
            Ok(bell) => Ok((bell, inode, state)),
            Err(e) => {
                self.reap_tunnel(inode, &NoTunnels);
                Err(e)
            }
        }
    }

    /// Maps the state of the tunnel whose bell has this inode.
    ///
    /// # Errors
    ///
    /// ENOENT when there is no such tunnel, EUCLEAN when its file is damaged, and what mapping it
    /// fails with otherwise.
    pub fn tunnel(&self, inode: u64) -> Result<Mapped<TunnelState>, Errno> {
        self.open_dir()?
            .map(numbered(TUNNEL, inode)?.cstr())
            .map_err(|(e, _)| e)
    }

    /// Takes a tunnel's lock. If a process died with it and left the bell in a wrong state, the
    /// bell is repaired.
    ///
    /// # Errors
    ///
    /// EAGAIN when the calling thread holds the lock already, or when it is not released in time.
    #[inline]
    pub fn lock_tunnel<'t>(
        &self,
        inode: u64,
        tunnel: &'t Mapped<TunnelState>,
        patience: Patience,
    ) -> Result<TunnelGuard<'t>, Errno> {
        let locked = tunnel.lock(self, patience, || {
            if let Ok(fd) = self.open_bell(inode) {
                bell::repair(tunnel, fd.raw());
            }
        });
        if locked.is_err() {
            self.complain(patience, &tunnel.name, tunnel.is_lock_mine());
        }
        locked
    }

    /// Takes a tunnel's lock if it is free. None says nothing but that [`NetDir::lock_tunnel`] is
    /// to be asked.
    #[inline(always)]
    pub fn lock_tunnel_at_once<'t>(
        &self,
        tunnel: &'t Mapped<TunnelState>,
    ) -> Option<TunnelGuard<'t>> {
        tunnel.lock_at_once(self)
    }

    /// Clears up after a tunnel if its last descriptor is gone, and returns whether it is. The
    /// caller holds the net's lock.
    pub fn reap_tunnel(&self, inode: u64, local: &dyn Local) -> bool {
        let Ok(dir) = self.open_dir() else {
            return false;
        };
        if local.descriptor(inode).is_some() {
            return false;
        }
        let Ok(name) = numbered(BELL, inode) else {
            return false;
        };
        // The bell stays open until the end: as long as somebody has it open, no new one can get
        // its inode.
        let Ok(_bell) = claim(&dir, name.cstr(), libc::S_IFIFO) else {
            return false;
        };
        if let Ok(tunnel) = self.tunnel(inode) {
            let name = load_name(&tunnel.name);
            if tunnel.attachment.load(Relaxed) != Attachment::None as u32 {
                if let Ok(Some(interface)) = self.open_interface(&name) {
                    if interface.ifindex.load(Relaxed) == tunnel.ifindex.load(Relaxed) {
                        self.leave(&interface, inode, &tunnel, local);
                    }
                }
            }
            self.remove_filter(tunnel.filter.load(Relaxed));
        }
        for kind in [TUNNEL, BELL] {
            if let Ok(name) = numbered(kind, inode) {
                let _ = dir.unlink(name.cstr());
            }
        }
        true
    }

    /// Takes a dead tunnel off its interface. The interface ends with its last tunnel unless it is
    /// persistent.
    fn leave(
        &self,
        interface: &Mapped<InterfaceState>,
        inode: u64,
        tunnel: &Mapped<TunnelState>,
        local: &dyn Local,
    ) {
        // This goes on even when somebody holds the interface's lock and does not let it go: the
        // queue is gone, whoever counts it.
        let _interface_lock = self.lock_interface(interface, Patience::Brief);
        interface.remove_queue(inode);
        let locked = self.lock_tunnel(inode, tunnel, Patience::Brief);
        tunnel.attachment.store(Attachment::None as u32, Release);
        match &locked {
            Ok(locked) => self.discard(locked),
            // The tunnel's file goes, and the packets in it go with it.
            Err(_) => self.discarded(tunnel, tunnel.ring.queued()),
        }
        drop(locked);
        drop(_interface_lock);
        if interface.queue_count() == 0 {
            if interface.is_persistent() {
                interface.set_carrier(false);
                self.announce();
            } else {
                self.delete_interface(interface, local);
            }
        }
    }

    /// Drops the packets that are queued in a tunnel. The net counts them; the interface does not,
    /// as with the kernel's driver.
    pub fn discard(&self, tunnel: &TunnelGuard<'_>) {
        self.discarded(tunnel, tunnel.queue().clear());
    }

    fn discarded(&self, tunnel: &TunnelState, lost: u32) {
        self.discarded.fetch_add(lost.into(), Relaxed);
        if tunnel.room_waiters.load(SeqCst) != 0 {
            tunnel.room_event.fetch_add(1, SeqCst);
            sys::futex_wake_all(&tunnel.room_event);
        }
    }
}

fn create_bell(dir: &Directory, flags: i32) -> Result<(Fd, u64), Errno> {
    const LARGEFILE: i32 = 0o100000;
    let dropped = libc::O_ACCMODE | libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC;
    let flags = flags & !dropped
        | libc::O_RDWR
        | if cfg!(target_arch = "aarch64") {
            0o400000
        } else {
            LARGEFILE
        };
    let temporary = temporary_name()?;
    let (fd, inode) = dir.create_fifo(temporary.cstr(), flags)?;
    let name = numbered(BELL, inode)?;
    let _ = dir.unlink(name.cstr());
    match dir.rename(temporary.cstr(), name.cstr()) {
        Ok(()) => Ok((fd, inode)),
        Err(e) => {
            let _ = dir.unlink(temporary.cstr());
            Err(e)
        }
    }
}
