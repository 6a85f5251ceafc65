//! Carries out TUNSETIFF: finds or makes the interface (`tun_set_iff`, `tun_attach`).
#![forbid(unsafe_code)]

use super::Tunnel;
use crate::link::Link;
use crate::net::{Local, NetDir, Refused};
use crate::policy::Policy;
use crate::shm::layout::{Attachment, InterfaceState, MAX_QUEUES};
use crate::shm::lock::Patience;
use crate::shm::{load_name, store_name, Mapped};
use crate::tun::bell;
use crate::uapi::*;
use crate::{sys, Argument, Errno, Name, Permission};
use std::ops::Deref;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

/// What a process gives a new interface that it makes.
#[derive(Clone, Copy, Debug)]
pub struct AttachOptions {
    /// Is the interface up from the start? MEMTUN_LINK says so.
    pub link_up: bool,
}

/// Names that are never tunnel interfaces, in any network namespace.
const FOREIGN: &[&[u8]] = &[b"lo"];

impl<N: Deref<Target = NetDir>> Tunnel<N> {
    /// Carries out TUNSETIFF with the ifreq at `arg`, in the kernel's order of checks.
    pub(super) fn set_iff(
        &self,
        fd: i32,
        arg: &mut impl Argument,
        options: AttachOptions,
        local: &dyn Local,
    ) -> Result<(), Errno> {
        let mut ifreq = IfReq([0; IfReq::SIZE]);
        arg.fetch(&mut ifreq.0)?;
        let _lock = self.net.lock()?;
        if self.attachment() != Attachment::None {
            return Err(Errno(libc::EEXIST));
        }
        let flags = ifreq.flags() as u32;
        let wanted = ifreq.name();
        let name = self.policy_name(&wanted);
        /// Number of attempts. Others make interfaces while this process holds the net's lock only
        /// where it was taken for stopped, or where a signal handler interrupts it.
        const TRIES: usize = 8;
        let mut attached = self.attach(fd, &name, flags, options, local, arg);
        for _ in 1..TRIES {
            if attached.as_ref().err() != Some(&Errno(libc::EEXIST)) {
                break;
            }
            attached = self.attach(fd, &name, flags, options, local, arg);
        }
        let interface = attached.map_err(|e| self.net.refused(Refused::Attach, e))?;
        store_name(&self.state.requested_name, &wanted);
        self.state.requested_flags.store(flags, Relaxed);
        ifreq.set_name(&load_name(&interface.name));
        if self.attachment() != Attachment::None {
            self.set_interface(interface);
        }
        // The device stays even when the program's memory cannot take its name.
        arg.store(&ifreq.0)
    }

    /// Returns the name that the net's policy makes of the requested one. Twisted's
    /// `MemoryIOSystem` gives every interface another name than the requested one, to catch
    /// programs that ignore the answer.
    fn policy_name(&self, wanted: &Name) -> Name {
        let suffix = load_name(&self.net.rename);
        let suffix = suffix.as_bytes();
        if suffix.is_empty() || wanted.as_bytes().is_empty() || wanted.as_bytes().contains(&b'%') {
            return *wanted;
        }
        let kept = wanted.as_bytes().len().min(15 - suffix.len());
        let joined = sys::PathBuf::concat(&[&wanted.as_bytes()[..kept], suffix]).ok();
        joined.and_then(|j| Name::new(j.bytes())).unwrap_or(*wanted)
    }

    /// Finds or makes the interface and adds this tunnel to it. The caller holds the net's lock.
    fn attach(
        &self,
        fd: i32,
        name: &Name,
        flags: u32,
        options: AttachOptions,
        local: &dyn Local,
        arg: &impl Argument,
    ) -> Result<Mapped<InterfaceState>, Errno> {
        let is_foreign = FOREIGN.contains(&name.as_bytes()) || local.is_declared(&self.net, name);
        let existing = if is_foreign {
            Err(())
        } else {
            Ok(self.net.find_interface(name, local)?)
        };
        let interface = match existing {
            Err(()) => {
                return Err(Errno(if flags & IFF_TUN_EXCL != 0 {
                    libc::EBUSY
                } else {
                    libc::EINVAL
                }))
            }
            Ok(Some(interface)) => {
                let has = interface.tun_flags.load(Relaxed);
                let same_type = flags & IFF_TUN != 0 && has & IFF_TUN != 0
                    || flags & IFF_TAP != 0 && has & IFF_TAP != 0;
                if flags & IFF_TUN_EXCL != 0 {
                    return Err(Errno(libc::EBUSY));
                }
                if !same_type || (has ^ flags) & IFF_MULTI_QUEUE != 0 {
                    return Err(Errno(libc::EINVAL));
                }
                if !interface.is_open_to_caller() {
                    self.net.permit_check(Permission::NetAdmin)?;
                }
                if has & IFF_MULTI_QUEUE == 0 && interface.attached.load(Relaxed) > 0 {
                    return Err(Errno(libc::EBUSY));
                }
                let queues = interface.queue_count();
                if queues >= MAX_QUEUES {
                    return Err(Errno(libc::E2BIG));
                }
                let inherited = match flags & IFF_NOFILTER {
                    0 => self.inherit_program(&interface, arg),
                    _ => None,
                };
                // See `inherit_program` for why the tunnel becomes a queue only where it did not
                // get the program.
                let joins = !matches!(inherited, Some(Ok(())));
                if has & IFF_MULTI_QUEUE == 0 || queues + usize::from(joins) < 2 {
                    // A persistent device takes the framing of the first tunnel that attaches
                    // again.
                    let kept = has & (IFF_TUN | IFF_TAP | IFF_PERSIST);
                    interface
                        .tun_flags
                        .store(kept | flags & KEPT_FLAGS, Relaxed);
                    interface.set_carrier(flags & IFF_NO_CARRIER == 0);
                }
                if queues == 0 {
                    // Its send buffer starts anew.
                    interface.sndbuf.store(i32::MAX, Relaxed);
                }
                if !joins {
                    return Ok(interface);
                }
                interface
            }
            Ok(None) => return self.create(fd, name, flags, options, local),
        };
        self.add_to(&interface, fd)?;
        Ok(interface)
    }

    /// Adds this tunnel to an interface that others may change meanwhile, because they took this
    /// process for stopped.
    fn add_to(&self, interface: &Mapped<InterfaceState>, fd: i32) -> Result<(), Errno> {
        let _lock = self.net.lock_interface(interface, Patience::Program)?;
        let single = interface.tun_flags.load(Relaxed) & IFF_MULTI_QUEUE == 0;
        if single && interface.attached.load(Relaxed) > 0 {
            return Err(Errno(libc::EBUSY));
        }
        self.become_queue(interface, fd)?;
        if interface.deleted.load(SeqCst) != 0 {
            // The interface was deleted meanwhile, and the deletion has not seen this queue.
            self.unattach();
            return Err(Errno(libc::EEXIST));
        }
        self.net.announce();
        Ok(())
    }

    /// Makes this tunnel a queue of an interface that is locked or that nobody else sees yet. The
    /// tunnel is ready before the interface names it, so that whoever finds it there can use it.
    fn become_queue(&self, interface: &InterfaceState, fd: i32) -> Result<(), Errno> {
        let lock = self
            .net
            .lock_tunnel(self.inode, &self.state, Patience::Program)?;
        lock.queue().clear();
        bell::silence(&self.state, fd, false);
        store_name(&self.state.name, &load_name(&interface.name));
        self.state
            .ifindex
            .store(interface.ifindex.load(Relaxed), Relaxed);
        self.state
            .attachment
            .store(Attachment::Attached as u32, SeqCst);
        interface
            .add_queue(self.inode)
            .inspect_err(|_| self.unattach())?;
        self.bring_program(interface);
        Ok(())
    }

    fn unattach(&self) {
        self.state
            .attachment
            .store(Attachment::None as u32, Release);
    }

    /// Makes a new interface that has this tunnel as its queue.
    fn create(
        &self,
        fd: i32,
        wanted: &Name,
        flags: u32,
        options: AttachOptions,
        local: &dyn Local,
    ) -> Result<Mapped<InterfaceState>, Errno> {
        self.net.permit_check(Permission::NetAdmin)?;
        let kind = match flags & (IFF_TUN | IFF_TAP) {
            0 => return Err(Errno(libc::EINVAL)),
            IFF_TAP => IFF_TAP,
            _ => IFF_TUN,
        };
        if flags & IFF_NAPI_FRAGS != 0 && (flags & IFF_NAPI == 0 || kind == IFF_TUN) {
            return Err(Errno(libc::EINVAL));
        }
        let default = if kind == IFF_TUN { b"tun%d" } else { b"tap%d" };
        let pattern = if wanted.as_bytes().is_empty() {
            Name::new(default).unwrap_or_default()
        } else {
            *wanted
        };
        let name = self.choose_name(&pattern, local)?;
        let ifindex = match self.state.wanted_ifindex.load(Relaxed) {
            0 => self.net.take_ifindex(),
            wanted if self.net.find_by_index(wanted, local)?.is_some() => {
                return Err(Errno(libc::EBUSY))
            }
            wanted => wanted,
        };
        let interface = self.net.create_interface(&name, |new| {
            new.set_defaults(
                kind | flags & (KEPT_FLAGS | IFF_NO_CARRIER),
                ifindex,
                options.link_up,
            );
            self.become_queue(new, fd)
        });
        let interface = interface.inspect_err(|_| self.unattach())?;
        self.net.announce();
        Ok(interface)
    }

    /// Returns the name with the lowest free number for a pattern, or a plain name itself
    /// (`dev_get_valid_name`).
    fn choose_name(&self, pattern: &Name, local: &dyn Local) -> Result<Name, Errno> {
        let Some((prefix, suffix)) = pattern.pattern()? else {
            return if pattern.is_valid() {
                Ok(*pattern)
            } else {
                Err(Errno(libc::EINVAL))
            };
        };
        let remembered = match (prefix, suffix) {
            (b"tun", b"") => Some(0),
            (b"tap", b"") => Some(1),
            _ => None,
        };
        let me = sys::getpid() as u32;
        let first = remembered
            .filter(|kind| self.net.number_owner[*kind].load(Relaxed) == me)
            .map_or(0, |kind| self.net.numbers_taken[kind].load(Relaxed));
        for number in first..=u16::MAX as u32 * 8 {
            let Some(name) = Name::numbered(prefix, number, suffix) else {
                return Err(Errno(libc::EINVAL));
            };
            if !name.is_valid() {
                return Err(Errno(libc::EINVAL));
            }
            if self.net.find_interface(&name, local)?.is_none() {
                if let Some(kind) = remembered.filter(|_| number == first) {
                    self.net.number_owner[kind].store(me, Relaxed);
                    self.net.numbers_taken[kind].store(number + 1, Relaxed);
                }
                return Ok(name);
            }
        }
        Err(Errno(libc::ENFILE))
    }

    /// Carries out TUNSETQUEUE: attaches or detaches this queue.
    pub(super) fn set_queue(&self, fd: i32, flags: u32, arg: &impl Argument) -> Result<(), Errno> {
        let _net = self.net.lock()?;
        let invalid = Err(Errno(libc::EINVAL));
        let Ok(interface) = self.interface() else {
            return invalid;
        };
        let attached = self.attachment() == Attachment::Attached;
        // With both bits set, the kernel tests IFF_ATTACH_QUEUE first, and only an attached queue
        // gets to the other test.
        let attach = match (flags & IFF_ATTACH_QUEUE != 0, flags & IFF_DETACH_QUEUE != 0) {
            (true, _) if !attached => true,
            (false, true) if attached => false,
            _ => return invalid,
        };
        if interface.tun_flags.load(Acquire) & IFF_MULTI_QUEUE == 0 {
            return invalid;
        }
        let inherited = match attach {
            true => self.inherit_program(&interface, arg),
            false => None,
        };
        if let Some(Ok(())) = inherited {
            // See `inherit_program` for why the queue stays as it is.
            return Ok(());
        }
        let _interface = self.net.lock_interface(&interface, Patience::Program)?;
        interface.switch_queue(self.inode, attach)?;
        let tunnel = self
            .net
            .lock_tunnel(self.inode, &self.state, Patience::Program)?;
        let state = if attach {
            Attachment::Attached
        } else {
            Attachment::Detached
        };
        self.state.attachment.store(state as u32, Release);
        if !attach {
            self.net.discard(&tunnel);
            bell::silence(&self.state, fd, false);
        }
        // The queue is attached even where it could not get the program, and the answer says why.
        inherited.unwrap_or(Ok(()))
    }
}
