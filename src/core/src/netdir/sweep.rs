//! Clearing up a whole net, and removing it.

use super::{Local, NetDir, BELL, CAPTURER, GONE, NEW, STATE, TUNNEL};
use crate::sys::{self, PathBuf};
use crate::{Errno, Name};

impl NetDir {
    /// Clears up after everything that is dead in the net. Wants the net's lock. Inodes of the living tunnels.
    pub fn sweep(&self, local: &dyn Local) -> Result<Vec<u64>, Errno> {
        let captured = self.capturer_lives();
        let mut entries: Vec<Vec<u8>> = Vec::new();
        let dir = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        sys::each_entry(dir.raw(), |entry| {
            entries.push([b"/", entry.to_bytes()].concat());
            true
        })?;
        let mut living = Vec::new();
        for entry in &entries {
            let number = |kind: &[u8]| {
                std::str::from_utf8(entry.strip_prefix(kind)?)
                    .ok()?
                    .parse::<u64>()
                    .ok()
            };
            if let Some(inode) = number(BELL) {
                if !self.reap_tunnel(inode, local) {
                    living.push(inode);
                }
            } else if let Some(inode) = number(TUNNEL) {
                // Its bell is gone when a process died while it cleared up.
                if self.bell_path(inode).is_ok_and(|p| {
                    matches!(
                        sys::fstatat(libc::AT_FDCWD, p.cstr(), 0),
                        Err(Errno(libc::ENOENT))
                    )
                }) {
                    let _ = sys::unlink(PathBuf::concat(&[self.dir.bytes(), entry])?.cstr(), 0);
                }
            } else if entry.starts_with(NEW) {
                let path = PathBuf::concat(&[self.dir.bytes(), entry])?;
                if maker_is_gone(entry) {
                    let _ = sys::unlink(path.cstr(), 0);
                }
            } else if !captured && (entry == CAPTURER || entry.starts_with(GONE)) {
                let _ = sys::unlink(PathBuf::concat(&[self.dir.bytes(), entry])?.cstr(), 0);
            }
        }
        for entry in &entries {
            if let Some(name) = Name::new(&entry[1..]).filter(Name::is_valid) {
                let _ = self.find_interface(&name, local);
            }
        }
        living.sort_unstable();
        Ok(living)
    }

    /// Removes the net if there is nothing in it but its state. Allocates nothing: for a process that ends in any way.
    pub fn remove_if_empty(&self) -> bool {
        let Ok(_lock) = self.lock() else { return false };
        let Ok(fd) = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)
        else {
            return false;
        };
        let mut empty = true;
        let listed = sys::each_entry(fd.raw(), |entry| {
            empty = entry.to_bytes() == &STATE[1..];
            empty
        });
        listed.is_ok() && empty && remove_directory(&self.dir).is_ok()
    }

    /// Removes the net if nothing in it lives: no tunnel, no persistent interface, nothing that is still to be captured.
    /// True when it is gone.
    pub fn remove_if_idle(&self, local: &dyn Local) -> bool {
        let Ok(_lock) = self.lock() else { return false };
        let mut interfaces = 0;
        let idle = self.sweep(local).is_ok_and(|living| living.is_empty())
            && !self.has_gone()
            && self
                .each_name(|_| {
                    interfaces += 1;
                    true
                })
                .is_ok()
            && interfaces == 0;
        idle && remove_directory(&self.dir).is_ok()
    }
}

/// Removes a directory with the files in it (no subdirectories: a net has none).
pub fn remove_directory(dir: &PathBuf) -> Result<(), Errno> {
    let fd = sys::open_internal(dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    // Removing while reading may skip entries: again from the beginning until a pass finds nothing.
    loop {
        let mut found = false;
        let mut failed = Ok(());
        sys::each_entry(fd.raw(), |entry| {
            found = true;
            failed = sys::unlinkat(fd.raw(), entry);
            failed.is_ok()
        })?;
        failed?;
        if !found {
            return sys::unlink(dir.cstr(), libc::AT_REMOVEDIR);
        }
        sys::rewind(fd.raw())?;
    }
}

/// Is the process that began `/.memtun-new-PID-...` no more?
fn maker_is_gone(entry: &[u8]) -> bool {
    let digits = entry[NEW.len()..]
        .split(|b| *b == b'-')
        .next()
        .unwrap_or_default();
    let Some(pid) = std::str::from_utf8(digits)
        .ok()
        .and_then(|d| d.parse::<i32>().ok())
    else {
        return true;
    };
    // SAFETY: signal 0 only asks whether the process is there.
    let answer = unsafe { sys::syscall(libc::SYS_kill, [pid as usize, 0, 0, 0, 0, 0]) };
    answer == -(libc::ESRCH as isize)
}
