//! A net as a driver has joined it. [`Net`](crate::Net) and everything that it gives out share one
//! such value.
#![forbid(unsafe_code)]

use super::outward::Outward;
use crate::{sys, Errno};
use memtun_calls::inet::pending::Pending;
use memtun_kernel::net::{Local, NetDir};
use memtun_shm::layout::InterfaceState;
use memtun_shm::lock::Patience;
use memtun_shm::Mapped;
use memtun_stack::sockets::Table;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// A net that was joined. The last holder of the value removes the net, if it is a temporary one.
pub(crate) struct Joined {
    dir: NetDir,
    local: Box<dyn Local + Send + Sync>,
    remove: bool,
    made_by: i32,
    /// The table of the net's sockets, once there is one.
    table: OnceLock<Table>,
    /// What drivers' sockets keep.
    pub(crate) outward: Outward,
    /// Sockets of this process that have begun to connect.
    pub(crate) pending: Pending,
}

impl Joined {
    /// `local` knows the tunnels of the calling process; `remove` says that the net is removed when
    /// this value is dropped.
    pub(crate) fn new(dir: NetDir, local: Box<dyn Local + Send + Sync>, remove: bool) -> Joined {
        Joined {
            dir,
            local,
            remove,
            made_by: sys::getpid(),
            table: OnceLock::new(),
            outward: Outward::default(),
            pending: Pending::new(),
        }
    }

    /// The table of the net's sockets; none where the net has had no address yet.
    pub(crate) fn sockets(&self) -> Result<Option<&Table>, Errno> {
        if self.table.get().is_none() && self.dir.has_inet() {
            if let Some(table) = Table::open(&self.dir)? {
                return Ok(Some(self.table.get_or_init(|| table)));
            }
        }
        Ok(self.table.get())
    }

    /// The files of the net.
    pub(crate) fn dir(&self) -> &NetDir {
        &self.dir
    }

    /// The tunnels of the calling process.
    pub(crate) fn local(&self) -> &dyn Local {
        &*self.local
    }

    /// The directory of the net.
    pub(crate) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.dir.path()))
    }

    /// Clears up after the dead tunnels of an interface.
    pub(crate) fn look_after(&self, interface: &Mapped<InterfaceState>) {
        // If the lock is not free at once, the work is left to its holder or to the next look.
        if let Ok(_lock) = self.dir.lock_for(Patience::Driver(Some(Duration::ZERO))) {
            if interface.is_going() {
                // Whoever began to delete the interface may have died, so the deletion is finished
                // here.
                let name = memtun_shm::load_name(&interface.name);
                let _ = self.dir.find_interface(&name, self.local());
            }
            for inode in interface.queue_inodes() {
                self.dir.reap_tunnel(inode, self.local());
            }
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        // The copy of a forked child does not end the net.
        if self.remove && self.made_by == sys::getpid() {
            self.dir.let_capturer_find(self.local());
            let _ = self.dir.remove();
        }
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Net").field(&self.path()).finish()
    }
}
