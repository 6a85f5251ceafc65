//! Interfaces: finding, making, deleting and renaming them, and what their links tell.
#![forbid(unsafe_code)]

use super::{interface_file, numbered, temporary_name, Directory, Local, NetDir, LINK};
use crate::shm::layout::{Attachment, InterfaceState, GOING, GONE};
use crate::shm::lock::Patience;
use crate::shm::{load_name, store_name, Mapped};
use crate::sys::{self, Fd, PathBuf};
use crate::tun::bell;
use crate::{Errno, Name};
use std::ffi::CStr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

impl NetDir {
    /// An interface by name, dead or alive. EUCLEAN when a file of that name is not an interface.
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

    /// An interface by name, after clearing up after its dead tunnels. Wants the net's lock.
    pub fn find_interface(
        &self,
        name: &Name,
        local: &dyn Local,
    ) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        let Some(interface) = self.open_interface(name)? else {
            return Ok(None);
        };
        if load_name(&interface.name) != *name {
            // Somebody died in the middle of a rename: the file's name is the truth.
            store_name(&interface.name, name);
        }
        if interface.is_going() {
            // Somebody died, or was stopped, between marking it and taking its name away.
            self.finish_deletion(&interface, local);
            return Ok(None);
        }
        for inode in interface.queue_inodes() {
            if self.reap_tunnel(inode, local) {
                // Also one that died before it was attached, or is attached under another name.
                let _lock = self.lock_interface(&interface, Patience::Brief);
                interface.remove_queue(inode);
            }
        }
        if interface.is_orphan() {
            // Its maker died between publishing the name and attaching, or with the detachment half
            // done.
            self.delete_interface(&interface, local);
        }
        Ok((!interface.is_going()).then_some(interface))
    }

    /// An interface by name, as it is on record: for somebody who could not get the net's lock.
    pub fn look_up(&self, name: &Name) -> Result<Option<Mapped<InterfaceState>>, Errno> {
        Ok(self
            .open_interface(name)?
            .filter(|interface| !interface.is_going()))
    }

    /// The interface that has this index. Wants the net's lock.
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

    /// Publishes a new interface under its name when `fill` has made it complete. Wants the net's
    /// lock. EEXIST when somebody was faster.
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

    /// Says that the set of interfaces, or a link's state, has changed.
    pub fn announce(&self) {
        self.changes.fetch_add(1, SeqCst);
        if self.waiters.load(SeqCst) != 0 {
            sys::futex_wake_all(&self.changes);
        }
        self.ring_capturer();
    }

    /// Numbers of the default patterns have to be looked for from the beginning again.
    pub fn forget_numbers(&self) {
        for taken in &self.numbers_taken {
            taken.store(0, Relaxed);
        }
    }

    /// Deletes an interface: its name goes at once, its tunnels are unattached again, whoever waits
    /// is woken. Wants the net's lock.
    pub fn delete_interface(&self, interface: &Mapped<InterfaceState>, local: &dyn Local) {
        let claimed = interface
            .deleted
            .compare_exchange(0, GOING, AcqRel, Acquire);
        if claimed.is_ok() {
            self.finish_deletion(interface, local);
        }
    }

    /// What belongs to a deletion that has begun. Every step may be made twice; the name goes when
    /// the rest is done, so that whoever finds it finishes what somebody left who died. Wants
    /// the net's lock.
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
            // Without the lock there may be a byte too many in the bell, which the next reader
            // takes out.
            let own = local.descriptor(inode).is_some();
            self.with_bell(inode, local, |fd| bell::alarm(&tunnel, fd, own));
        }
        self.take_name_away(interface);
        {
            // Nobody writes into a log that the capturer has read to its end; a writer that does
            // not go on is not waited for.
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

    /// The file of an interface that is deleted loses its name, if it is still this one's.
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

    /// The name that a pattern gives: that with the lowest free number; a plain name is one. Wants
    /// the net's lock.
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

    /// Gives an interface another name, or the one that a pattern gives. Wants the net's lock.
    /// EEXIST when it is taken.
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
        if name.as_bytes() == b"lo" || self.find_interface(name, local)?.is_some() {
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
        self.announce();
        Ok(())
    }

    /// The FIFO on which somebody can wait for the link of an interface to come up or the interface
    /// to go.
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

    /// Makes the link's FIFO agree with the link. Wants the net's lock.
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

    /// Runs something with a descriptor of a tunnel's bell: the process's own if it has one.
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

    /// The link of an interface came up: who waits for it is woken.
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

/// Takes a file from under its name, to one that nobody else knows, if it is still the one that is
/// meant: `is_it` sees what it holds, None when that is damaged. Whoever was stopped before this
/// finds another interface under the name, made by who took the net's lock from it; that one gets
/// its name back. ENODEV then.
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
