//! The registrations of tunnels, and of other epoll instances, that this process knows.
#![forbid(unsafe_code)]

use super::instances::DEEPEST;
use crate::table::{self, OwnTunnels};
use crate::waiting::state::State;
use libc::{c_int, epoll_event};
use memtun_calls::readiness::epoll_bits;
use memtun_kernel::net::Local;
use memtun_kernel::tun::{Readiness, Tunnel};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use memtun_sys::KeptFifo;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

pub const OUT: u32 = (libc::EPOLLOUT | libc::EPOLLWRNORM | libc::EPOLLWRBAND) as u32;
pub const IN: u32 = (libc::EPOLLIN | libc::EPOLLRDNORM) as u32;
pub const ERR: u32 = libc::EPOLLERR as u32;
/// The driver wakes who asked for one of these when the interface is deleted (`sock_def_readable`);
/// others find out only where they stand on epoll's ready list.
pub const WOKEN_BY_DELETION: u32 = IN | (libc::EPOLLPRI | libc::EPOLLRDBAND) as u32;
pub const SHOT: u32 = libc::EPOLLONESHOT as u32;
pub const EDGE: u32 = libc::EPOLLET as u32;
pub const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
/// Stands in the kernel's registration instead of EPOLLOUT while that is left out: a FIFO never
/// reports it, and a process that inherits the instance sees what was asked.
pub const OUT_LEFT_OUT: u32 = libc::EPOLLMSG as u32;
/// The same for EPOLLONESHOT: a bit without a meaning, which the kernel keeps.
pub const SHOT_LEFT_OUT: u32 = 1 << 11;

/// What the kernel has been told.
pub mod mark {
    /// What the program asked.
    pub const PLAIN: u32 = 0;
    /// The same, while the tunnel is not writable: the kernel says it once, and nobody has cared
    /// yet.
    pub const FRESH: u32 = 1;
    /// The same without EPOLLOUT.
    pub const QUIET: u32 = 2;
    /// Nothing: the interface was deleted.
    pub const GONE: u32 = 3;
    /// Nothing: registered while unattached, without a wait queue.
    pub const DEAD: u32 = 4;
    /// A single shot that was fired for nothing, and that this process cannot arm again: it looks
    /// by itself.
    pub const SPENT: u32 = 5;
}

/// What is registered.
#[derive(Clone, Copy, PartialEq)]
pub enum Target {
    /// A tunnel, by its inode.
    Tunnel(u64),
    /// Another epoll instance.
    Epoll(u32),
}

pub struct Registration {
    /// 1 + (instance << 32 | number), 0 when free.
    key: AtomicU64,
    /// The tunnel's inode, 0 for an epoll instance.
    inode: AtomicU64,
    /// A descriptor of the tunnel in this process, -1 for none; of another epoll instance its
    /// number here.
    own: AtomicI32,
    events: AtomicU32,
    mark: AtomicU32,
    /// 1: on the ready list, for what only we can report.
    listed: AtomicU32,
    /// 1: this process cannot change what the kernel has been told; 2: and the kernel does not
    /// know that it is a single shot.
    fixed: AtomicU32,
    data: AtomicU64,
    /// [`Tunnel::told_of_room`] when it was last told that there is no room.
    woken: AtomicU32,
}

/// A number that is the tunnel's for a moment.
///
/// Another thread may have closed a range of numbers meanwhile, and have something of its own
/// there.
pub struct Lent(#[allow(dead_code)] KeptFifo);

const PLACES: usize = 2048;
static TABLE: [Registration; PLACES] = [const {
    Registration {
        key: AtomicU64::new(0),
        inode: AtomicU64::new(0),
        own: AtomicI32::new(-1),
        events: AtomicU32::new(0),
        mark: AtomicU32::new(0),
        listed: AtomicU32::new(0),
        fixed: AtomicU32::new(0),
        data: AtomicU64::new(0),
        woken: AtomicU32::new(0),
    }
}; PLACES];
/// Places beyond have never been used.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Registrations of tunnels in the table.
static TUNNELS: AtomicUsize = AtomicUsize::new(0);

/// A registered number that is closed in this process, while the target lives: no number that can
/// be asked for.
const CLOSED: u32 = 1 << 31;

fn key(instance: u32, number: u32) -> u64 {
    1 + ((instance as u64) << 32 | number as u64)
}

impl Registration {
    fn parts(&self) -> Option<(u32, u32)> {
        let key = self.key.load(Acquire).checked_sub(1)?;
        Some(((key >> 32) as u32, key as u32))
    }
    fn is_of(&self, instance: u32) -> bool {
        self.parts().is_some_and(|(i, _)| i == instance)
    }
    /// The instance.
    pub fn instance(&self) -> u32 {
        self.parts().map_or(u32::MAX, |(instance, _)| instance)
    }
    /// The number that was registered.
    pub fn number(&self) -> c_int {
        self.parts().map_or(-1, |(_, n)| (n & !CLOSED) as c_int)
    }
    /// Is the number that was registered not the tunnel's here?
    pub fn is_away(&self) -> bool {
        self.parts().is_some_and(|(_, n)| n & CLOSED != 0)
    }
    /// The number that was registered is not the tunnel's here.
    pub fn number_is_away(&self) {
        if let Some((instance, number)) = self.parts() {
            self.key.store(key(instance, number | CLOSED), Release);
        }
    }
    /// The number that was registered is free: gives it to the tunnel for the time of a call. The
    /// kernel knows a registration by the file and its number, and looks the number up in the
    /// caller's table.
    pub fn lend_number(&self) -> Option<Lent> {
        let Target::Tunnel(inode) = self.target() else {
            return None;
        };
        // Takes fcntl(2), fstat(2) and close(2), which a sandbox may not know of the program.
        if !may(Extra::Flags) || !may(Extra::Files) {
            return None;
        }
        let number = self.number();
        let lent = KeptFifo::none_yet(inode);
        let got = lent.keep(sys::duplicate_from(self.descriptor()?, number, true).ok()?);
        (got == number).then_some(Lent(lent))
    }
    pub fn target(&self) -> Target {
        match self.inode.load(Relaxed) {
            0 => Target::Epoll(self.own.load(Relaxed) as u32),
            inode => Target::Tunnel(inode),
        }
    }
    /// What the program asked.
    pub fn events(&self) -> u32 {
        self.events.load(Relaxed)
    }
    /// The program asks something else.
    pub fn ask(&self, events: u32, data: u64) {
        self.events.store(events, Relaxed);
        self.data.store(data, Relaxed);
    }
    pub fn data(&self) -> u64 {
        self.data.load(Relaxed)
    }
    pub fn mark(&self) -> u32 {
        self.mark.load(Acquire)
    }
    pub fn set_mark(&self, mark: u32) {
        self.mark.store(mark, Release);
    }
    pub fn is_fixed(&self) -> bool {
        self.fixed.load(Relaxed) != 0
    }
    pub fn fix(&self) {
        self.fixed.store(1, Relaxed);
    }
    /// It is a single shot that the kernel goes on reporting: only who made it can tell the kernel.
    pub fn never_ends(&self) -> bool {
        self.fixed.load(Relaxed) == 2
    }
    pub fn fix_with_shot_hidden(&self, hidden: bool) {
        self.fixed.store(1 + hidden as u32, Relaxed);
    }
    pub fn is_listed(&self) -> bool {
        self.listed.load(Relaxed) != 0
    }
    /// Is it on the ready list? It is not any more.
    pub fn take_listed(&self) -> bool {
        self.listed.swap(0, Relaxed) != 0
    }
    /// A single shot was fired: nothing is asked any more, as in the kernel's registration
    /// (EP_PRIVATE_BITS).
    pub fn disarm(&self) {
        self.events.fetch_and(EDGE | SHOT | EXCLUSIVE, Relaxed);
    }
    /// May the kernel not know that it is a single shot ([`told_to_others`])?
    pub fn may_hide_shot(&self) -> bool {
        self.mark() == mark::FRESH && self.events() & SHOT != 0
    }
    pub fn set_listed(&self, listed: bool) {
        self.listed.store(listed as u32, Relaxed);
    }
    pub fn forget(&self) {
        let is_tunnel = matches!(self.target(), Target::Tunnel(_));
        if self.key.swap(0, AcqRel) != 0 && is_tunnel {
            TUNNELS.fetch_sub(1, Relaxed);
        }
    }

    /// A descriptor of the tunnel in this process.
    pub fn descriptor(&self) -> Option<c_int> {
        let Target::Tunnel(inode) = self.target() else {
            return None;
        };
        let own = self.own.load(Relaxed);
        if table::hold(own).is_some_and(|t| t.inode() == inode) {
            return Some(own);
        }
        let other = OwnTunnels.descriptor(inode)?;
        self.own.store(other, Relaxed);
        Some(other)
    }

    /// The tunnel's readiness. One that this process does not hold itself is looked up in the net.
    pub fn readiness(&self) -> Option<Readiness> {
        let Target::Tunnel(inode) = self.target() else {
            return None;
        };
        match self.descriptor() {
            // An edge is not looked at again until something happens, and then nobody has been told
            // that there is no room.
            Some(fd) if self.events() & EDGE != 0 && self.mark() == mark::PLAIN => {
                table::hold(fd).map(|tunnel| tunnel.glance())
            }
            Some(fd) => table::hold(fd).map(|tunnel| tunnel.readiness()),
            None => {
                let net = crate::net::existing()?;
                match Tunnel::join(net, inode) {
                    Ok(tunnel) => Some(tunnel.readiness()),
                    // The last descriptor anywhere is closed, and with it the kernel's
                    // registration.
                    Err(_) => {
                        self.forget();
                        None
                    }
                }
            }
        }
    }

    /// It was told that there is no room: it is woken when there is.
    pub fn ask_for_room(&self) {
        if let Some(tunnel) = self.descriptor().and_then(table::hold) {
            tunnel.readiness();
        }
    }

    /// It is told that there is no room.
    pub fn is_told_of_no_room(&self) {
        if let Some(tunnel) = self.descriptor().and_then(table::hold) {
            self.woken.store(tunnel.told_of_room(), Relaxed);
        }
    }
    /// Has it been woken since?
    pub fn has_been_woken(&self) -> bool {
        let tunnel = self.descriptor().and_then(table::hold);
        tunnel.is_some_and(|tunnel| tunnel.told_of_room() != self.woken.load(Relaxed))
    }

    pub fn state(&self) -> State {
        self.readiness().map_or(State::Plain, State::of)
    }

    /// What a look at the tunnel finds, in epoll's bits.
    pub fn look(&self) -> u32 {
        self.readiness().map_or(0, epoll_bits)
    }
}

fn used() -> &'static [Registration] {
    &TABLE[..USED.load(Acquire).min(PLACES)]
}

/// What the kernel is told of a registration with this mark.
pub fn told(events: u32, mark: u32) -> u32 {
    match mark {
        mark::PLAIN | mark::FRESH => events,
        // The kernel knows few bits of exclusive ones.
        mark::QUIET if events & EXCLUSIVE != 0 => events & !OUT,
        mark::QUIET => events & !OUT | OUT_LEFT_OUT,
        _ => 0,
    }
}

/// What the kernel is told of a new registration of a tunnel that is not writable, in an instance
/// that other processes have: they see that the event is for nothing, and a single shot is not
/// fired by it.
pub fn told_to_others(events: u32) -> u32 {
    match events {
        // The kernel knows few bits of exclusive ones.
        _ if events & EXCLUSIVE != 0 || events & OUT == 0 => events,
        _ if events & SHOT != 0 => events & !SHOT | OUT_LEFT_OUT | SHOT_LEFT_OUT,
        _ => events | OUT_LEFT_OUT,
    }
}

/// Are there registrations of tunnels?
#[inline]
pub fn any() -> bool {
    TUNNELS.load(Relaxed) != 0
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Registration> {
    used().iter().filter(|r| r.parts().is_some())
}

/// Those of an instance.
pub fn of(instance: u32) -> impl Iterator<Item = &'static Registration> {
    used().iter().filter(move |r| r.is_of(instance))
}

/// Those of a tunnel, by a number of it that was registered.
pub fn of_number(fd: c_int) -> impl Iterator<Item = &'static Registration> {
    all().filter(move |r| r.parts().is_some_and(|(_, number)| number == fd as u32))
}

/// Those of a tunnel, whatever number it was registered by.
pub fn of_inode(inode: u64) -> impl Iterator<Item = &'static Registration> {
    all().filter(move |r| r.target() == Target::Tunnel(inode))
}

pub fn find(instance: u32, fd: c_int) -> Option<&'static Registration> {
    let key = key(instance, fd as u32);
    used().iter().find(|r| r.key.load(Acquire) == key)
}

/// Enters a registration, or changes what is known of it.
pub fn remember(instance: u32, fd: c_int, target: Target, event: epoll_event, mark: u32) {
    let own = match target {
        Target::Tunnel(_) => fd,
        Target::Epoll(instance) => instance as c_int,
    };
    let fill = |r: &Registration| {
        r.own.store(own, Relaxed);
        r.events.store(event.events, Relaxed);
        r.data.store(event.u64, Relaxed);
        r.fixed.store(0, Relaxed);
        r.is_told_of_no_room();
        let ready = mark >= mark::GONE && r.look() & (event.events | ERR) != 0;
        r.set_listed(ready);
        r.set_mark(mark);
    };
    if let Some(known) = find(instance, fd) {
        if known.target() == target {
            return fill(known);
        }
        known.forget();
    }
    for (i, place) in TABLE.iter().enumerate() {
        let wanted = key(instance, fd as u32);
        if place
            .key
            .compare_exchange(0, wanted, AcqRel, Relaxed)
            .is_ok()
        {
            match target {
                Target::Tunnel(inode) => {
                    place.inode.store(inode, Relaxed);
                    TUNNELS.fetch_add(1, Relaxed);
                }
                Target::Epoll(_) => place.inode.store(0, Relaxed),
            }
            fill(place);
            USED.fetch_max(i + 1, AcqRel);
            return;
        }
    }
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Relaxed) {
        log::warn!(
            "more than {PLACES} epoll registrations of tunnels: link changes do not reach the rest"
        );
    }
}

/// A tunnel's descriptor has been closed here. The kernel's registration stays as long as the
/// tunnel has another, in any process.
pub fn number_closed(fd: c_int) {
    if !any() {
        return;
    }
    of_number(fd)
        .filter(|r| matches!(r.target(), Target::Tunnel(_)))
        .for_each(Registration::number_is_away);
}

/// A tunnel's number that was registered, and closed since, may be the same tunnel's again: then it
/// is the same registration.
pub fn is_back(instance: u32, fd: c_int, inode: u64) {
    let away = find(instance, (fd as u32 | CLOSED) as c_int);
    if let Some(known) = away.filter(|r| r.target() == Target::Tunnel(inode)) {
        known.key.store(key(instance, fd as u32), Release);
    }
}

/// Is this instance registered edge-triggered in another, or in one that is? Then it has to tell
/// each event anew.
fn tells_edges(instance: u32, depth: usize) -> bool {
    depth < DEEPEST
        && all().any(|r| {
            r.target() == Target::Epoll(instance)
                && (r.events() & EDGE != 0 || tells_edges(r.instance(), depth + 1))
        })
}

fn ring_always(instance: u32, depth: usize) {
    for registration in of(instance) {
        match registration.target() {
            Target::Epoll(inner) if depth < DEEPEST => ring_always(inner, depth + 1),
            Target::Epoll(_) => {}
            Target::Tunnel(_) => {
                if let Some(tunnel) = registration.descriptor().and_then(table::hold) {
                    tunnel.ring_always();
                }
            }
        }
    }
}

/// Something was registered in an instance: where somebody up there waits for edges, each packet
/// has to be one.
pub fn ring_for_edges(instance: u32) {
    if tells_edges(instance, 0) {
        ring_always(instance, 0);
    }
}

/// A tunnel has ended, and the kernel's registrations of it.
pub fn tunnel_ended(inode: u64) {
    if any() {
        of_inode(inode).for_each(Registration::forget);
    }
}

/// An instance has ended.
pub fn instance_ended(instance: u32) {
    of(instance).for_each(Registration::forget);
}
