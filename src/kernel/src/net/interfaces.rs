//! Interfaces: how they are found, made, deleted and renamed, and how others learn of their links.
#![forbid(unsafe_code)]

use super::{interface_file, numbered, temporary_name, Directory, Local, NetDir, LINK};
use crate::shm::layout::{Attachment, InterfaceState, GOING, GONE};
use crate::shm::lock::Patience;
use crate::shm::{load_name, store_name, Mapped};
use crate::sys::{self, Fd, PathBuf};
use crate::tun::bell;
use crate::{Errno, Name};
use memtun_abi::Decimal;
use std::ffi::CStr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

/// Where in the net's view the directories of links stand.
const LINKS: &[u8] = b"/sys/devices/virtual/net/";

impl NetDir {
    /// Maps an interface by name, dead or alive. Returns None when there is none of that name.
    ///
    /// # Errors
    ///
    /// EUCLEAN when the file of that name is not an interface's, and what opening or mapping it
    /// fails with.
    pub fn open_interface(&self, name: &Name) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        if !name.is_valid() {
            return Ok(None);
        }
        match self.open_dir()?.map(interface_file(name)?.cstr()) {
            Ok(interface) => Ok(Some(interface)),
            Err((Errno(libc::ENOENT), _)) => Ok(None),
            Err((e, _)) => Err(e),
        }
    }

    /// Returns an interface by name after clearing up after its dead tunnels. None means that there
    /// is none, or that it ended with its last tunnel. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// The same as [`NetDir::open_interface`].
    pub fn find_interface(
        &self,
        name: &Name,
        local: &dyn Local,
    ) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        let Some(interface) = self.open_interface(name)? else {
            return Ok(None);
        };
        if load_name(&interface.name) != *name {
            // Somebody died in the middle of a rename. The file's name is the truth.
            store_name(&interface.name, name);
        }
        Ok(self.is_alive(&interface, local).then_some(interface))
    }

    /// Clears up after the dead tunnels of an interface that was found before, and says whether it
    /// is still there. The caller holds the net's lock.
    pub fn is_alive(&self, interface: &Mapped<InterfaceState>, local: &dyn Local) -> bool {
        if interface.is_going() {
            // Somebody died or was stopped between marking the interface and taking its name away.
            self.finish_deletion(interface, local);
            return false;
        }
        for inode in interface.queue_inodes() {
            if self.reap_tunnel(inode, local) {
                // The tunnel may have died before it was attached, or be attached under another
                // name.
                let _lock = self.lock_interface(interface, Patience::Brief);
                interface.remove_queue(inode);
            }
        }
        if interface.is_orphan() {
            // The process that made it died between publishing the name and attaching, or in the
            // middle of the detachment.
            self.delete_interface(interface, local);
        }
        !interface.is_going()
    }

    /// Returns an interface by name as it is on record, for callers that could not get the net's
    /// lock.
    ///
    /// # Errors
    ///
    /// The same as [`NetDir::open_interface`].
    pub fn look_up(&self, name: &Name) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        Ok(self
            .open_interface(name)?
            .filter(|interface| !interface.is_going()))
    }

    /// Returns the interface that has this index, or None. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// What reading the net's directory fails with.
    pub fn find_by_index(
        &self,
        ifindex: u32,
        local: &dyn Local,
    ) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        let mut found = None;
        self.each_name(|name| {
            if let Ok(Some(interface)) = self.find_interface(&name, local) {
                if interface.ifindex.load(Relaxed) == ifindex {
                    found = Some(interface);
                }
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// Makes an interface and publishes it under its name after `fill` has completed its state. The
    /// caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// - EEXIST when somebody else made an interface of that name first.
    /// - What `fill` or making the file fails with.
    pub fn create_interface(
        &self,
        name: &Name,
        fill: impl Fn(&Mapped<InterfaceState>) -> Result<(), Errno>,
    ) -> Result<Mapped<InterfaceState>, Errno> {
        self.make(|dir| {
            let temporary = temporary_name()?;
            let interface = dir.create::<InterfaceState>(temporary.cstr())?;
            store_name(&interface.name, name);
            let linked = fill(&interface)
                .and_then(|()| dir.link(temporary.cstr(), interface_file(name)?.cstr()));
            let _ = dir.unlink(temporary.cstr());
            linked.map(|()| interface)
        })
        .inspect(|_| self.remember(name))
    }

    /// Tells those who wait that the set of interfaces, or a link's state, has changed.
    pub fn announce(&self) {
        self.changes.fetch_add(1, SeqCst);
        if self.waiters.load(SeqCst) != 0 {
            sys::futex_wake_all(&self.changes);
        }
        self.ring_capturer();
    }

    /// Tells those who wait of a change that was made, if it was, and returns its result.
    pub fn announced<T, E>(&self, changed: Result<T, E>) -> Result<T, E> {
        if changed.is_ok() {
            self.announce();
        }
        changed
    }

    /// Forgets which numbers of the default patterns are taken, so that they are looked for from
    /// the beginning again.
    pub fn forget_numbers(&self) {
        for taken in &self.numbers_taken {
            taken.store(0, Relaxed);
        }
    }

    /// Deletes an interface: its name goes at once, its tunnels become unattached, and whoever
    /// waits on it is woken. The caller holds the net's lock.
    pub fn delete_interface(&self, interface: &Mapped<InterfaceState>, local: &dyn Local) {
        let claimed = interface
            .deleted
            .compare_exchange(0, GOING, AcqRel, Acquire);
        if claimed.is_ok() {
            self.finish_deletion(interface, local);
        }
    }

    /// Completes a deletion that has begun. Every step may be made twice. The name goes only when
    /// the rest is done, so that whoever finds it finishes the deletion that a dead process left.
    /// The caller holds the net's lock.
    fn finish_deletion(&self, interface: &Mapped<InterfaceState>, local: &dyn Local) {
        for inode in interface.queue_inodes() {
            let Ok(tunnel) = self.tunnel(inode) else {
                continue;
            };
            let locked = self.lock_tunnel(inode, &tunnel, Patience::Brief);
            tunnel.attachment.store(Attachment::None as u32, Release);
            tunnel.deletions.fetch_add(1, Release);
            if let Ok(locked) = &locked {
                self.discard(locked);
            }
            // Without the lock there may be one byte too many in the bell. The next reader takes it
            // out.
            let own = local.descriptor(inode).is_some();
            self.with_bell(inode, local, |fd| bell::alarm(&tunnel, fd, own));
        }
        let index = Decimal::new(interface.ifindex.load(Relaxed).into());
        self.move_directory(&load_name(&interface.name), b"/gone-", index.as_bytes());
        self.take_name_away(interface);
        {
            // Under the lock nobody is writing into the log, which the capturer reads to its end. A
            // writer that does not go on is not waited for.
            let captured = self.is_captured();
            let _lock = captured.then(|| self.lock_interface(interface, Patience::Brief));
            interface.deleted.store(GONE, Release);
        }
        self.ring_link(interface);
        let link = numbered(LINK, interface.ifindex.load(Relaxed) as u64);
        if let (Ok(dir), Ok(link)) = (self.open_dir(), link) {
            let _ = dir.unlink(link.cstr());
        }
        interface.log.announce();
        interface.log.ring();
        self.forget_numbers();
        self.announce();
    }

    /// Takes the name away from the file of a deleted interface, if the file is still this
    /// interface's.
    fn take_name_away(&self, interface: &Mapped<InterfaceState>) {
        let name = load_name(&interface.name);
        let (Ok(dir), Ok(file)) = (self.open_dir(), interface_file(&name)) else {
            return;
        };
        let is_left = |found: Option<&InterfaceState>| found.is_none_or(InterfaceState::is_going);
        let Ok(taken) = take_file(&dir, file.cstr(), is_left) else {
            return;
        };
        if !(self.is_captured() && self.keep_gone(&dir, interface, taken.cstr())) {
            let _ = dir.unlink(taken.cstr());
        }
    }

    /// Returns the name that a pattern stands for: the one with the lowest free number. A plain
    /// name stands for itself. The caller holds the net's lock.
    fn expand(&self, pattern: &Name, local: &dyn Local) -> Result<Name, Errno> {
        let Some((prefix, suffix)) = pattern.pattern()? else {
            return Ok(*pattern);
        };
        for number in 0..=u16::MAX as u32 * 8 {
            let name = Name::numbered(prefix, number, suffix).filter(Name::is_valid);
            let name = name.ok_or(Errno(libc::EINVAL))?;
            if self.find_interface(&name, local)?.is_none() {
                return Ok(name);
            }
        }
        Err(Errno(libc::ENFILE))
    }

    /// Gives an interface another name, or the one that a pattern stands for. The caller holds the
    /// net's lock.
    ///
    /// # Errors
    ///
    /// - EINVAL for a name that is not valid.
    /// - EEXIST when the name is taken.
    /// - ENFILE when every number of the pattern is taken.
    /// - ENODEV when the interface does not have its old name any more.
    pub fn rename_interface(
        &self,
        interface: &Mapped<InterfaceState>,
        name: &Name,
        local: &dyn Local,
    ) -> Result<(), Errno> {
        if !name.is_valid() {
            return Err(Errno(libc::EINVAL));
        }
        let old = load_name(&interface.name);
        if old == *name {
            return Ok(());
        }
        let name = &self.expand(name, local)?;
        let is_foreign = name.as_bytes() == b"lo" || local.is_declared(self, name);
        if is_foreign || self.find_interface(name, local)?.is_some() {
            return Err(Errno(libc::EEXIST));
        }
        let dir = self.open_dir()?;
        let (from, to) = (interface_file(&old)?, interface_file(name)?);
        let index = interface.ifindex.load(Relaxed);
        let is_it = |found: Option<&InterfaceState>| {
            found.is_some_and(|found| !found.is_going() && found.ifindex.load(Relaxed) == index)
        };
        let taken = take_file(&dir, from.cstr(), is_it)?;
        if let Err(e) = dir.rename(taken.cstr(), to.cstr()) {
            let _ = dir.rename(taken.cstr(), from.cstr());
            return Err(e);
        }
        store_name(&interface.name, name);
        self.remember(name);
        for inode in interface.queue_inodes() {
            if let Ok(tunnel) = self.tunnel(inode) {
                store_name(&tunnel.name, name);
            }
        }
        self.forget_numbers();
        self.move_directory(&old, LINKS, name.as_bytes());
        self.announce();
        Ok(())
    }

    /// Moves what stands in the net for a link's directory under /sys, if anything does, so that
    /// whoever has it open has the link under its new name, and never another link.
    fn move_directory(&self, link: &Name, to: &[u8], name: &[u8]) {
        let Ok(view) = self.view_path() else { return };
        let from = PathBuf::concat(&[view.bytes(), LINKS, link.as_bytes()]);
        let to = PathBuf::concat(&[view.bytes(), to, name]);
        if let (Ok(from), Ok(to)) = (from, to) {
            let _ = sys::renameat(libc::AT_FDCWD, from.cstr(), to.cstr());
        }
    }

    /// Opens the FIFO on which somebody can wait for an interface's link to come up, or for the
    /// interface to go. It is made if there is none. The caller owns the descriptor.
    ///
    /// # Errors
    ///
    /// What making or opening the FIFO fails with.
    pub fn open_link_bell(&self, interface: &InterfaceState) -> Result<Fd, Errno> {
        let name = numbered(LINK, interface.ifindex.load(Relaxed) as u64)?;
        let dir = self.open_dir()?;
        let open = || {
            dir.open(name.cstr(), libc::O_RDWR, libc::S_IFIFO)
                .map(|(fd, _)| fd)
        };
        let fd = match open() {
            Err(Errno(libc::ENOENT)) => {
                let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;
                match dir.create_fifo(name.cstr(), flags) {
                    Ok((fd, _)) => fd,
                    Err(Errno(libc::EEXIST)) => open()?,
                    Err(e) => return Err(e),
                }
            }
            opened => opened?,
        };
        interface.link_bell.store(1, SeqCst);
        Ok(fd)
    }

    /// Makes the link's FIFO agree with the link: it is readable while the link is up or the
    /// interface is going. The caller holds the net's lock.
    pub fn ring_link(&self, interface: &InterfaceState) {
        if interface.link_bell.load(SeqCst) == 0 {
            return;
        }
        let Ok(fd) = self.open_link_bell(interface) else {
            return;
        };
        let awake = interface.is_up() || interface.is_going();
        match sys::readable_bytes(fd.raw()) {
            Ok(0) if awake => drop(sys::write(fd.raw(), b"!")),
            Ok(n) if n > 0 && !awake => drop(sys::read(fd.raw(), &mut [0u8; 64])),
            _ => {}
        }
    }

    /// Runs `run` with a descriptor of a tunnel's bell: the process's own if it has one, or else
    /// one that is opened for this call. Nothing runs when the bell cannot be opened.
    pub fn with_bell(&self, inode: u64, local: &dyn Local, run: impl FnOnce(i32)) {
        match local.descriptor(inode) {
            Some(fd) => run(fd),
            None => {
                if let Ok(fd) = self.open_bell(inode) {
                    run(fd.raw());
                }
            }
        }
    }

    /// Silences a tunnel's bell if it rings for nothing.
    pub fn settle_bell(&self, inode: u64, local: &dyn Local) {
        let Ok(tunnel) = self.tunnel(inode) else {
            return;
        };
        let Ok(_lock) = self.lock_tunnel(inode, &tunnel, Patience::Brief) else {
            return;
        };
        if tunnel.attachment.load(Relaxed) != Attachment::None as u32 {
            self.with_bell(inode, local, |fd| bell::packets_taken(&tunnel, fd, false));
        }
    }

    /// Wakes whoever waits for an interface's link, which has come up.
    pub fn link_is_up(&self, interface: &InterfaceState, local: &dyn Local) {
        for inode in interface.queue_inodes() {
            let Ok(tunnel) = self.tunnel(inode) else {
                continue;
            };
            let _lock = self.lock_tunnel(inode, &tunnel, Patience::Brief);
            self.with_bell(inode, local, |fd| {
                bell::link_is_up(&tunnel, fd, || self.open_bell(inode).ok());
            });
        }
    }
}

/// Moves a file from its name to one that nobody else knows, if it is still the one that is meant.
/// `is_it` is given what the file holds, or None when that is damaged. A process that was stopped
/// before this call may find another interface under the name, made by whoever took the net's lock
/// from it. That interface gets its name back, and the answer is ENODEV.
fn take_file(
    dir: &Directory,
    name: &CStr,
    is_it: impl Fn(Option<&InterfaceState>) -> bool,
) -> Result<PathBuf, Errno> {
    let meant = |name: &CStr| match dir.map::<InterfaceState>(name) {
        Ok(found) => is_it(Some(&found)),
        Err((Errno(libc::EUCLEAN), _)) => is_it(None),
        Err(_) => false,
    };
    if !meant(name) {
        return Err(Errno(libc::ENODEV));
    }
    let taken = temporary_name()?;
    dir.rename(name, taken.cstr())?;
    if !meant(taken.cstr()) {
        let _ = dir.rename(taken.cstr(), name);
        return Err(Errno(libc::ENODEV));
    }
    Ok(taken)
}
