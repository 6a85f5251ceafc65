//! Clears up a whole net, and removes it. Only memtun's own files are removed.
#![forbid(unsafe_code)]

use super::captured::is_capturer_alive;
use super::{
    claim, images, life, number_of, numbered, Directory, Local, NetDir, BELL, CAPTURER, ERRORS,
    FILTER, GONE, GROUPS, HOST, INET, LINK, NEW, PACKET, PACKETS, PRIVATE, SAID, SOCKETS, STACK,
    STATE, TUNNEL, VIEW,
};
use crate::shm::layout::{Header, InterfaceState, Kind};
use crate::shm::Mapped;
use crate::{sys, Errno, Name};
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

impl NetDir {
    /// Clears up after everything that is dead in the net, and returns the inodes of the living
    /// tunnels' bells in ascending order. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// What opening or reading the net's directory fails with.
    pub fn sweep(&self, local: &dyn Local) -> Result<Vec<u64>, Errno> {
        let captured = self.capturer_lives();
        let dir = self.open_dir()?;
        let mut entries: Vec<CString> = Vec::new();
        dir.each_entry(|entry| {
            entries.push(entry.to_owned());
            true
        })?;
        let mut living = Vec::new();
        for entry in &entries {
            if let Some(inode) = number_of(BELL, entry) {
                if !self.reap_tunnel(inode, local) {
                    living.push(inode);
                }
            } else if let Some(inode) = number_of(TUNNEL, entry) {
                // The tunnel's bell is gone when a process died while it cleared up.
                let bell = dir.inode(numbered(BELL, inode)?.cstr());
                if matches!(bell, Err(Errno(libc::ENOENT))) {
                    let _ = dir.unlink(entry);
                }
            } else if is_abandoned(&dir, entry)
                || !captured && (entry.as_c_str() == CAPTURER || number_of(GONE, entry).is_some())
            {
                let _ = dir.unlink(entry);
            }
        }
        let (mut indices, mut unknown) = (Vec::new(), false);
        for entry in &entries {
            if let Some(name) = Name::new(entry.to_bytes()).filter(Name::is_valid) {
                match self.find_interface(&name, local) {
                    Ok(Some(interface)) => indices.push(interface.ifindex.load(Relaxed) as u64),
                    Ok(None) => {}
                    // The file is not an interface's, or cannot be read now: its link's FIFO must
                    // stay.
                    Err(_) => unknown = true,
                }
            }
        }
        for entry in &entries {
            // The FIFO's interface is gone; whoever deleted it was killed in the middle of that.
            if !unknown && number_of(LINK, entry).is_some_and(|index| !indices.contains(&index)) {
                let _ = dir.unlink(entry);
            }
        }
        living.sort_unstable();
        self.sweep_filters(&entries, &living);
        Ok(living)
    }

    /// Makes the calling process leave a private net. The net is removed if this was its last
    /// member and no descriptor of a tunnel is left anywhere. This takes no lock and allocates
    /// nothing, because a process may end in any way. Returns whether the net is gone.
    pub fn leave_private(&self) -> bool {
        self.life.end();
        self.remove_if_deserted()
    }

    /// Removes a private net that has no members. Unlike [`NetDir::leave_private`] this is for a
    /// process that stays as it is. Returns whether the net is gone.
    pub fn remove_if_deserted(&self) -> bool {
        let Ok(dir) = self.open_dir() else {
            return false;
        };
        if !remove_if_deserted(&dir).is_ok_and(|gone| gone) {
            return false;
        }
        let removed = dir.remove(self.path());
        self.dismiss_host();
        removed.is_ok()
    }

    /// Removes the net now, whoever uses it.
    ///
    /// # Errors
    ///
    /// - ENOTEMPTY, with a name, when the directory holds something that is not memtun's. That
    ///   stays, and so does the directory.
    /// - What opening the directory or removing a file fails with, without a name.
    pub fn remove(&self) -> Result<(), (Errno, Option<CString>)> {
        /// Number of times that somebody may have made a file after the last look: the host process
        /// does until it has heard, and so does whoever joins the net just now.
        const TRIES: usize = 100;
        let plain = |e| (e, None);
        let dir = self.open_dir().map_err(plain)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let removed = match remove_files(&dir).map_err(plain)? {
                None => dir.remove(self.path()).map_err(plain),
                Some(name) => Err((Errno(libc::ENOTEMPTY), Some(name))),
            };
            self.dismiss_host();
            match removed {
                Err((Errno(libc::ENOTEMPTY), None)) if tries < TRIES => {}
                removed => return removed,
            }
        }
    }
}

/// Removes the private nets of this user in which nobody lives from `base`, a directory like
/// /dev/shm. `prefix` is what the nets' names begin with.
pub fn sweep_base(base: &CStr, prefix: &[u8]) {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let Ok(parent) = sys::open_internal(base, flags, 0) else {
        return;
    };
    let mut names: Vec<CString> = Vec::new();
    let _ = sys::each_entry(parent.as_fd(), |entry| {
        if is_chosen_name(entry.to_bytes(), prefix) {
            names.push(entry.to_owned());
        }
        true
    });
    for name in names {
        // The directory of another user is refused here, and so is a link or anything else that
        // only has such a name.
        if let Ok(dir) = Directory::verify_at(parent.raw(), &name, None) {
            if remove_if_deserted(&dir) == Ok(true) {
                let _ = dir.remove_at(parent.raw(), &name);
            }
        }
    }
}

/// Is this name `PREFIX` and two numbers, as [`crate::net::temporary::name`] makes it?
fn is_chosen_name(name: &[u8], prefix: &[u8]) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    name.strip_prefix(prefix).is_some_and(|rest| {
        let mut parts = rest.split(|b| *b == b'-');
        let both = [parts.next(), parts.next()];
        parts.next().is_none() && both.into_iter().all(|part| part.is_some_and(is_number))
    })
}

/// Removes the files of a private net in which nobody lives. Returns true when the directory may be
/// removed; it is empty then unless somebody put something else there.
fn remove_if_deserted(dir: &Directory) -> Result<bool, Errno> {
    let (state, _) = match dir.open(STATE, libc::O_RDWR, libc::S_IFREG) {
        Ok(opened) => opened,
        Err(Errno(libc::ENOENT)) => {
            // The process that made it may have died before the state was there; one that lives
            // begins anew. The mark is made first: without it this may be anybody's directory, and
            // only an empty one may go.
            let marked = dir.inode(PRIVATE).is_ok();
            let mut empty = true;
            dir.each_entry(|entry| {
                let may_go = || marked && is_abandoned(dir, entry) && dir.unlink(entry).is_ok();
                empty &= entry == PRIVATE || may_go();
                true
            })?;
            return Ok(empty && remove_mark(dir));
        }
        Err(e) => return Err(e),
    };
    if dir.open(PRIVATE, libc::O_RDONLY, libc::S_IFREG).is_err() {
        return Ok(false);
    }
    // As long as this descriptor is open nobody becomes a member. A member that has left for
    // another image has noted that before.
    if life::exclude_members(&state).is_err()
        || images::is_any_on_the_way(&state)
        || is_capturer_alive(dir)
    {
        return Ok(false);
    }
    let mut alive = false;
    dir.each_entry(|entry| {
        let is_bell = number_of(BELL, entry).is_some();
        alive = is_bell && claim(dir, entry, libc::S_IFIFO).is_err();
        !alive
    })?;
    if alive {
        return Ok(false);
    }
    remove_files(dir)?;
    Ok(true)
}

/// Removes memtun's files from a net. Returns the name of something that is not memtun's, if there
/// is any.
fn remove_files(dir: &Directory) -> Result<Option<CString>, Errno> {
    /// Number of passes over the directory: somebody may go on making files for a while.
    const PASSES: usize = 1000;
    let mut other = None;
    for _ in 0..PASSES {
        let mut found = false;
        other = None;
        let mut failed = Ok(());
        // Removing entries while reading the directory may skip some, so it is read again from the
        // beginning until a pass finds nothing.
        dir.each_entry(|entry| {
            if entry == PRIVATE {
                // The mark goes last: a process that is killed before that leaves a net that is
                // still known to be private, and that somebody else can remove.
                return true;
            }
            if !is_ours(dir, entry) {
                other = Some(entry.to_owned());
                return true;
            }
            let removed = match entry == VIEW {
                true => remove_tree(dir.raw(), entry),
                false => dir.unlink(entry),
            };
            match removed {
                // Somebody has made something in the directory of the view since.
                Ok(()) | Err(Errno(libc::ENOTEMPTY)) => found = true,
                Err(Errno(libc::ENOENT)) => {}
                Err(e) => failed = Err(e),
            }
            failed.is_ok()
        })?;
        failed?;
        if !found {
            break;
        }
    }
    remove_mark(dir);
    Ok(other)
}

/// Removes a directory with all that is in it.
fn remove_tree(parent: i32, name: &CStr) -> Result<(), Errno> {
    /// Number of passes over the directory: somebody may be making files in it.
    const PASSES: usize = 100;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let dir = match sys::openat_internal(parent, name, flags, 0) {
        Ok(dir) => dir,
        Err(Errno(libc::ENOTDIR | libc::ELOOP)) => return sys::unlinkat(parent, name, 0),
        Err(e) => return Err(e),
    };
    for _ in 0..PASSES {
        sys::rewind(dir.as_fd())?;
        let mut any = false;
        sys::each_entry(dir.as_fd(), |entry| {
            any = true;
            if let Err(Errno(libc::EISDIR | libc::EPERM)) = sys::unlinkat(dir.raw(), entry, 0) {
                let _ = remove_tree(dir.raw(), entry);
            }
            true
        })?;
        if !any {
            break;
        }
    }
    sys::unlinkat(parent, name, libc::AT_REMOVEDIR)
}

/// Removes the mark of a private net, unless somebody is making a net there. Returns true when
/// there is no mark any more.
fn remove_mark(dir: &Directory) -> bool {
    let is_missing = |name| matches!(dir.inode(name), Err(Errno(libc::ENOENT)));
    match claim(dir, PRIVATE, libc::S_IFREG) {
        Ok(Some(_mark)) => is_missing(STATE) && dir.unlink(PRIVATE).is_ok(),
        Ok(None) => is_missing(PRIVATE),
        Err(_) => false,
    }
}

/// Is this one of the files that memtun makes? An interface's file is recognised by what it holds,
/// because it may have any name.
fn is_ours(dir: &Directory, entry: &CStr) -> bool {
    if [
        STATE, CAPTURER, PRIVATE, SOCKETS, PACKETS, GROUPS, INET, VIEW,
    ]
    .contains(&entry)
    {
        return true;
    }
    if entry.to_bytes().starts_with(NEW) {
        return true;
    }
    if [
        TUNNEL, BELL, FILTER, LINK, GONE, SAID, HOST, STACK, PACKET, ERRORS,
    ]
    .iter()
    .any(|kind| number_of(kind, entry).is_some())
    {
        return true;
    }
    if Name::new(entry.to_bytes()).is_none_or(|name| !name.is_valid()) {
        return false;
    }
    let Ok((file, st)) = dir.open(entry, libc::O_RDONLY, libc::S_IFREG) else {
        return false;
    };
    let mut head = [0; 64];
    let read = sys::pread(file.raw(), &mut head, 0).is_ok();
    read && Mapped::<InterfaceState>::is_length(st.st_size as u64)
        && Header::of_bytes(&head) == Some(Kind::Interface as u32)
}

/// Was this file being made by a process that died?
fn is_abandoned(dir: &Directory, entry: &CStr) -> bool {
    if !entry.to_bytes().starts_with(NEW) {
        return false;
    }
    let kind = if dir.is_fifo(entry) {
        libc::S_IFIFO
    } else {
        libc::S_IFREG
    };
    claim(dir, entry, kind).is_ok()
}
