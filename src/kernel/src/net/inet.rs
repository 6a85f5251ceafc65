//! The file of the table of sockets, `.memtun-inet`. It is made when the first address stands on
//! an interface of the net, or when a program of an isolated one uses a socket, and stays until the
//! net is removed: programs have it mapped.
#![forbid(unsafe_code)]

use super::{temporary_name, NetDir, INET};
use crate::shm::layout::InetState;
use crate::shm::Mapped;
use crate::Errno;
use std::sync::atomic::Ordering::{Acquire, Release};

impl NetDir {
    /// May there be a table of sockets? It costs one load.
    #[inline]
    pub fn has_inet(&self) -> bool {
        self.inet.load(Acquire) != 0
    }

    /// Maps the table of the net's sockets. None means that there is none.
    ///
    /// # Errors
    ///
    /// EUCLEAN when the file is not what it should be, and what opening or mapping it fails with.
    pub fn open_inet(&self) -> Result<Option<Mapped<InetState>>, Errno> {
        match self.open_dir()?.map(INET) {
            Ok(table) => Ok(Some(table)),
            Err((Errno(libc::ENOENT), _)) => Ok(None),
            Err((e, _)) => Err(e),
        }
    }

    /// Maps the table of the net's sockets, which is made if there is none, or one that is damaged.
    /// This is for the host process.
    ///
    /// # Errors
    ///
    /// What opening, making or mapping the file fails with.
    pub fn make_inet(&self) -> Result<Mapped<InetState>, Errno> {
        let found = match self.open_inet() {
            Err(Errno(libc::EUCLEAN)) => {
                let _ = self.open_dir()?.unlink(INET);
                None
            }
            found => found?,
        };
        let table = match found {
            Some(table) => table,
            None => self.make(|dir| {
                let temporary = temporary_name()?;
                let table = dir.create::<InetState>(temporary.cstr())?;
                let linked = dir.link(temporary.cstr(), INET);
                let _ = dir.unlink(temporary.cstr());
                match linked {
                    Ok(()) => Ok(table),
                    Err(Errno(libc::EEXIST)) => dir.map(INET).map_err(|(e, _)| e),
                    Err(e) => Err(e),
                }
            })?,
        };
        self.inet.store(1, Release);
        Ok(table)
    }
}
