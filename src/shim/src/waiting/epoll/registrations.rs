//! Keeps the registrations in epoll instances that this process knows: those of tunnels, and those
//! of other epoll instances.

use super::index::{self, Keys, Places, Whose};
use super::instances::DEEPEST;
use crate::concern;
use crate::table::{self, OwnTunnels};
use crate::waiting::state::State;
use crate::zeroed::{Zeroed, Zeroes};
use libc::{c_int, epoll_event};
use memtun_calls::readiness::epoll_bits;
use memtun_kernel::net::Local;
use memtun_kernel::tun::{Readiness, Tunnel};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use memtun_sys::KeptFifo;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// The events that report that a tunnel is writable.
pub const OUT: u32 = (libc::EPOLLOUT | libc::EPOLLWRNORM | libc::EPOLLWRBAND) as u32;
/// The events that report that a packet or an inner epoll instance's event can be read.
pub const IN: u32 = (libc::EPOLLIN | libc::EPOLLRDNORM) as u32;
/// EPOLLERR, which is reported whether the program asks for it or not.
pub const ERR: u32 = libc::EPOLLERR as u32;
/// The events whose registrations the driver wakes when the interface is deleted
/// (`sock_def_readable`). Other registrations report the deletion only while they stand on epoll's
/// ready list.
pub const WOKEN_BY_DELETION: u32 = IN | (libc::EPOLLPRI | libc::EPOLLRDBAND) as u32;
/// EPOLLONESHOT: the registration (a "single shot") reports once and is then disarmed.
pub const SHOT: u32 = libc::EPOLLONESHOT as u32;
/// EPOLLET: the registration is edge-triggered.
pub const EDGE: u32 = libc::EPOLLET as u32;
/// EPOLLEXCLUSIVE: an event wakes only some of the instances that wait for it.
pub const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
/// The sign that stands in the kernel's registration while EPOLLOUT is left out. A FIFO never
/// reports this event, and a process that inherits the instance reads from it that the program
/// asked for EPOLLOUT.
pub const OUT_LEFT_OUT: u32 = libc::EPOLLMSG as u32;
/// The sign that stands in the kernel's registration while EPOLLONESHOT is left out. The bit has no
/// meaning to the kernel, which keeps it.
pub const SHOT_LEFT_OUT: u32 = 1 << 11;

/// The values that say what the kernel has been told for a registration.
pub mod mark {
    /// The kernel was told what the program asked.
    pub const PLAIN: u32 = 0;
    /// The kernel was told what the program asked although the tunnel is not writable. It reports
    /// the tunnel as writable once, and the registration has not been corrected yet.
    pub const FRESH: u32 = 1;
    /// The kernel was told what the program asked, without EPOLLOUT.
    pub const QUIET: u32 = 2;
    /// The kernel was told no events, because the interface was deleted.
    pub const GONE: u32 = 3;
    /// The tunnel was registered while it was unattached, so the registration has no wait queue.
    /// The kernel was told no events, or a single shot that only wakes a sleeping thread.
    pub const DEAD: u32 = 4;
    /// The kernel fired a single shot although the tunnel was not writable, and this process cannot
    /// arm it again. This process looks at the tunnel itself.
    pub const SPENT: u32 = 5;
}

pub use super::index::Target;

/// One registration in an epoll instance, or a free place ([`index`]). Zeroes are a free place.
pub struct Registration {
    /// 1 + (instance << 32 | registered number, with [`CLOSED`] as a flag), or 0 for a free place.
    key: AtomicU64,
    /// The tunnel's inode, or 0 when the target is an epoll instance.
    inode: AtomicU64,
    /// 1 + a descriptor of the tunnel in this process, which may have been closed since. When the
    /// target is an epoll instance, this is 1 + that instance.
    own: AtomicU32,
    /// The events that the program asked.
    events: AtomicU32,
    /// What the kernel has been told ([`mark`]).
    mark: AtomicU32,
    /// 1 while the registration stands on the ready list of what only this process can report.
    listed: AtomicU32,
    /// 0 while this process can change what the kernel has been told. It is 1 when it cannot, and
    /// 2 when it cannot and the kernel does not know that the registration is a single shot.
    fixed: AtomicU32,
    /// The datum that the program registered, which events carry back to it.
    data: AtomicU64,
    /// The value of [`Tunnel::told_of_room`] when the registration was last told that there is no
    /// room.
    woken: AtomicU32,
    /// By what the place is found.
    keys: Keys,
}

/// A descriptor number that is the tunnel's until this value is dropped, which closes it.
///
/// The number is closed only if it is still the tunnel's: another thread may have closed a range of
/// numbers meanwhile, and have opened something of its own under it.
pub struct Lent(#[allow(dead_code)] KeptFifo);

/// The flag of a registered number that is closed in this process, while the target lives. A lookup
/// by descriptor number does not find such a registration.
const CLOSED: u32 = 1 << 31;

/// Returns the key of the registration of this number in this instance.
fn key(instance: u32, number: u32) -> u64 {
    1 + ((instance as u64) << 32 | number as u64)
}

/// The key of a place that is being freed: no registration has it, and nobody takes it.
const LEAVING: u64 = u64::MAX;

/// Returns the instance and the number of a key, or `None` for that of a free place.
fn parts(key: u64) -> Option<(u32, u32)> {
    let key = key.checked_sub(1).filter(|_| key != LEAVING)?;
    Some(((key >> 32) as u32, key as u32))
}

impl Registration {
    /// Returns the place in which this stands.
    fn place(&self) -> Option<usize> {
        let first = std::ptr::from_ref(&PLACES.get()?.list[0]).addr();
        Some((std::ptr::from_ref(self).addr() - first) / size_of::<Registration>())
    }
    /// Notes that something about this has changed.
    pub fn changed(&self) {
        if let Some(at) = self.place() {
            index::changed(at);
        }
    }
    fn own(&self) -> u32 {
        self.own.load(Relaxed).wrapping_sub(1)
    }
    fn set_own(&self, own: u32) {
        self.own.store(own.wrapping_add(1), Relaxed);
    }
    /// Returns the instance and the registered number with its flag, or `None` for a free place.
    fn parts(&self) -> Option<(u32, u32)> {
        parts(self.key.load(Acquire))
    }
    /// Is this a registration in that instance?
    fn is_of(&self, instance: u32) -> bool {
        self.parts().is_some_and(|(i, _)| i == instance)
    }
    /// Returns the instance in which this is registered, or `u32::MAX` for a free place.
    pub fn instance(&self) -> u32 {
        self.parts().map_or(u32::MAX, |(instance, _)| instance)
    }
    /// Returns the descriptor number that was registered, or -1 for a free place.
    pub fn number(&self) -> c_int {
        self.parts().map_or(-1, |(_, n)| (n & !CLOSED) as c_int)
    }
    /// Is the number that was registered no descriptor of the tunnel in this process?
    pub fn is_away(&self) -> bool {
        self.parts().is_some_and(|(_, n)| n & CLOSED != 0)
    }
    /// Notes that the number that was registered is no descriptor of the tunnel in this process.
    pub fn number_is_away(&self) {
        let before = self.key.load(Acquire);
        if let Some((instance, number)) = parts(before) {
            let away = key(instance, number | CLOSED);
            let _ = self.key.compare_exchange(before, away, AcqRel, Acquire);
            self.changed();
        }
    }
    /// Makes the registered number, if it is free, a descriptor of the tunnel for the time of a
    /// call, because the kernel knows a registration by the file and its number, and looks the
    /// number up in the caller's descriptor table. It is `None` when another file has the number,
    /// this process does not hold the tunnel, or a sandbox may forbid the calls.
    pub fn lend_number(&self) -> Option<Lent> {
        let Target::Tunnel(inode) = self.target() else {
            return None;
        };
        // Lending takes fcntl(2), fstat(2) and close(2), which a sandbox may forbid where the
        // program itself does not make these calls.
        if !may(Extra::Flags) || !may(Extra::Files) {
            return None;
        }
        let number = self.number();
        let lent = KeptFifo::none_yet(inode);
        let got = lent.keep(sys::duplicate_from(self.descriptor()?, number, true).ok()?);
        (got == number).then_some(Lent(lent))
    }
    /// Returns what is registered.
    pub fn target(&self) -> Target {
        match self.inode.load(Relaxed) {
            0 => Target::Epoll(self.own()),
            inode => Target::Tunnel(inode),
        }
    }
    /// Returns the events that the program asked, as epoll's bits.
    pub fn events(&self) -> u32 {
        self.events.load(Relaxed)
    }
    /// Notes that the program asks these events now, with this datum.
    pub fn ask(&self, events: u32, data: u64) {
        let before = (
            self.events.swap(events, Relaxed),
            self.data.swap(data, Relaxed),
        );
        if let (Some((instance, _)), Some(at)) = (self.parts(), self.place()) {
            self.keys.set_datum(instance, data, at);
        }
        if before != (events, data) {
            self.changed();
        }
    }
    /// Returns the datum that the program registered.
    pub fn data(&self) -> u64 {
        self.data.load(Relaxed)
    }
    /// Returns what the kernel has been told ([`mark`]).
    pub fn mark(&self) -> u32 {
        self.mark.load(Acquire)
    }
    /// Notes what the kernel has been told ([`mark`]).
    pub fn set_mark(&self, mark: u32) {
        if self.mark.load(Relaxed) != mark {
            self.mark.store(mark, Release);
            self.changed();
        }
    }
    /// Notes that this was ready when somebody looked for one in its instance.
    pub fn is_ready_in(&self, instance: u32) {
        if let Some(at) = self.place() {
            index::is_ready_in(instance, at);
        }
    }
    /// Is this process unable to change what the kernel has been told?
    pub fn is_fixed(&self) -> bool {
        self.fixed.load(Relaxed) != 0
    }
    /// Notes that this process cannot change what the kernel has been told.
    pub fn fix(&self) {
        self.set_fixed(1);
    }
    fn set_fixed(&self, fixed: u32) {
        if self.fixed.swap(fixed, Relaxed) != fixed {
            self.changed();
        }
    }
    /// Does the kernel go on reporting this single shot, because it was not told that it is one?
    /// This process cannot tell it; only the process that made the registration can.
    pub fn never_ends(&self) -> bool {
        self.fixed.load(Relaxed) == 2
    }
    /// Notes that this process cannot change what the kernel has been told, and whether
    /// EPOLLONESHOT is left out of it.
    pub fn fix_with_shot_hidden(&self, hidden: bool) {
        self.set_fixed(1 + hidden as u32);
    }
    /// Does the registration stand on the ready list of what only this process can report?
    pub fn is_listed(&self) -> bool {
        self.listed.load(Relaxed) != 0
    }
    /// Takes the registration off that ready list. Returns whether it stood there.
    pub fn take_listed(&self) -> bool {
        self.listed.swap(0, Relaxed) != 0
    }
    /// Notes that a single shot was fired: the registration asks no events any more, as the
    /// kernel's own keeps only the bits of EP_PRIVATE_BITS.
    pub fn disarm(&self) {
        self.events.fetch_and(EDGE | SHOT | EXCLUSIVE, Relaxed);
        self.changed();
    }
    /// Is this a single shot that was fired?
    pub fn is_disarmed(&self) -> bool {
        self.events() & !(EDGE | EXCLUSIVE) == SHOT
    }
    /// May this be a single shot of which the kernel was not told that it is one
    /// ([`told_to_others`])?
    pub fn may_hide_shot(&self) -> bool {
        self.mark() == mark::FRESH && self.events() & SHOT != 0
    }
    /// Puts the registration on the ready list of what only this process can report, or takes it
    /// off.
    pub fn set_listed(&self, listed: bool) {
        if self.listed.swap(listed as u32, Relaxed) != listed as u32 {
            self.changed();
        }
    }
    /// Frees the place in the table. The kernel's registration is not changed.
    pub fn forget(&self) {
        let (target, key) = (self.target(), self.key.load(Acquire));
        let (Some((instance, number)), Some(at)) = (parts(key), self.place()) else {
            return;
        };
        // Who frees it takes it first: what is found by a datum or an inode is another
        // registration, from the moment on in which the place is free.
        let taken = self.key.compare_exchange(key, LEAVING, AcqRel, Acquire);
        if taken.is_ok() {
            self.keys.nothing(at);
            self.key.store(0, Release);
            index::left(at, Whose::of(instance, number & !CLOSED, target));
        }
    }

    /// Returns a descriptor of the tunnel in this process. It stays the program's, and the caller
    /// does not close it. It is `None` for an epoll instance, or when this process has none.
    pub fn descriptor(&self) -> Option<c_int> {
        let Target::Tunnel(inode) = self.target() else {
            return None;
        };
        let own = self.own() as c_int;
        if table::hold(own).is_some_and(|t| t.inode() == inode) {
            return Some(own);
        }
        let other = OwnTunnels.descriptor(inode)?;
        self.set_own(other as u32);
        Some(other)
    }

    /// Returns the tunnel's readiness. A tunnel that this process does not hold is looked up in the
    /// net. It is `None` for an epoll instance, or when the tunnel has ended.
    pub fn readiness(&self) -> Option<Readiness> {
        let Target::Tunnel(inode) = self.target() else {
            return None;
        };
        match self.descriptor() {
            // The kernel does not look at an edge-triggered registration again until something
            // happens. So nobody is told here that there is no room, and nobody is to be woken.
            Some(fd) if self.events() & EDGE != 0 && self.mark() == mark::PLAIN => {
                table::hold(fd).map(|tunnel| tunnel.glance())
            }
            Some(fd) => table::hold(fd).map(|tunnel| tunnel.readiness()),
            None => {
                let net = crate::net::existing()?;
                match Tunnel::join(net, inode) {
                    Ok(tunnel) => Some(tunnel.readiness()),
                    // The tunnel's last descriptor in any process is closed, and with it the
                    // kernel's registration has ended.
                    Err(_) => {
                        self.forget();
                        None
                    }
                }
            }
        }
    }

    /// Asks the tunnel for its readiness, so that this registration is woken when there is room.
    pub fn ask_for_room(&self) {
        if let Some(tunnel) = self.descriptor().and_then(table::hold) {
            tunnel.readiness();
        }
    }

    /// Notes that the registration is told now that there is no room ([`Self::has_been_woken`]).
    pub fn is_told_of_no_room(&self) {
        if let Some(tunnel) = self.descriptor().and_then(table::hold) {
            self.woken.store(tunnel.told_of_room(), Relaxed);
        }
    }
    /// Has the tunnel woken its waiters since the registration was told that there is no room?
    pub fn has_been_woken(&self) -> bool {
        let tunnel = self.descriptor().and_then(table::hold);
        tunnel.is_some_and(|tunnel| tunnel.told_of_room() != self.woken.load(Relaxed))
    }

    /// Returns the state of the tunnel, which is plain when its readiness is not known.
    pub fn state(&self) -> State {
        self.readiness().map_or(State::Plain, State::of)
    }

    /// Waits until a packet whose bell has rung is queued.
    pub fn await_queued(&self) {
        if let Some(tunnel) = self.descriptor().and_then(table::hold) {
            tunnel.await_queued();
        }
    }

    /// Is a packet queued that this asks for? The answer is no as well where that takes more than a
    /// glance.
    pub fn has_packet(&self) -> bool {
        let Target::Tunnel(inode) = self.target() else {
            return false;
        };
        self.events() & IN != 0
            && self.mark() < mark::GONE
            && table::hold(self.own() as c_int)
                .is_some_and(|tunnel| tunnel.inode() == inode && tunnel.has_packet())
    }

    /// Returns the tunnel's readiness as epoll's bits, or 0 when it is not known.
    pub fn look(&self) -> u32 {
        self.readiness().map_or(0, epoll_bits)
    }
}

/// Returns the events that the kernel is told for a registration with this mark, of which the
/// program asked `events`.
pub fn told(events: u32, mark: u32) -> u32 {
    match mark {
        mark::PLAIN | mark::FRESH => events,
        // The kernel refuses the sign, as most other bits, in an exclusive registration.
        mark::QUIET if events & EXCLUSIVE != 0 => events & !OUT,
        mark::QUIET => events & !OUT | OUT_LEFT_OUT,
        _ => 0,
    }
}

/// Returns the events that the kernel is told for a new registration of a tunnel that is not
/// writable, in an instance that other processes have as well. The signs in it show them that the
/// kernel's event is not true, and a single shot is not spent on that event.
pub fn told_to_others(events: u32) -> u32 {
    match events {
        // The kernel refuses the signs, as most other bits, in an exclusive registration.
        _ if events & EXCLUSIVE != 0 || events & OUT == 0 => events,
        _ if events & SHOT != 0 => events & !SHOT | OUT_LEFT_OUT | SHOT_LEFT_OUT,
        _ => events | OUT_LEFT_OUT,
    }
}

/// The places of all registrations.
struct All {
    list: [Registration; index::PLACES],
}

// SAFETY: it is made of atomic numbers, and a registration of zeroes is a free place.
unsafe impl Zeroes for All {}

static PLACES: Zeroed<All> = Zeroed::new();

impl Whose {
    fn of(instance: u32, number: u32, target: Target) -> Whose {
        Whose {
            instance,
            number,
            target,
        }
    }
}

/// Returns the places that have ever been used.
fn used() -> &'static [Registration] {
    PLACES
        .get()
        .map_or(&[], |places| &places.list[..index::used()])
}

/// Returns the places among which what is asked for stands.
fn at(places: Places) -> &'static [Registration] {
    match places {
        Places::Nowhere => &[],
        Places::At(at) => used().get(at..=at).unwrap_or(&[]),
        Places::Anywhere => used(),
    }
}

/// Returns places among which are all registrations that were made with this number.
fn with_number(number: u32) -> &'static [Registration] {
    match at(index::with_number(number)) {
        [one] if one.number() != number as c_int => used(),
        places => places,
    }
}

/// Returns all known registrations.
pub fn all() -> impl Iterator<Item = &'static Registration> {
    used().iter().filter(|r| r.parts().is_some())
}

pub use index::{all_changed, any, any_nested_in, any_tunnel_in, is_nothing_cared_for};

/// Returns the known registrations in an instance.
pub fn of(instance: u32) -> impl Iterator<Item = &'static Registration> {
    let used = match any_tunnel_in(instance) || any_nested_in(instance) {
        true => used(),
        false => &[],
    };
    used.iter().filter(move |r| r.is_of(instance))
}

/// Returns how many registrations are known in an instance.
pub fn count_in(instance: u32) -> usize {
    index::count_in(instance).unwrap_or_else(|| of(instance).count())
}

/// Returns the registration that was ready when somebody last looked for one in this instance.
pub fn ready_in(instance: u32) -> Option<&'static Registration> {
    let ready = used().get(index::ready_in(instance)?);
    ready.filter(|r| r.is_of(instance))
}

/// Returns the known registrations in an instance, from the one of [`ready_in`] on: often the
/// next one that is ready is it, or one that was registered soon after it.
pub fn of_from_ready(instance: u32) -> impl Iterator<Item = &'static Registration> {
    let used = used();
    let begin = index::ready_in(instance).unwrap_or(0).min(used.len());
    let (before, after) = used.split_at(begin);
    let all = after.iter().chain(before);
    all.filter(move |r| r.is_of(instance))
}

/// Returns the registrations in an instance that a thread looks at before it waits: those that have
/// changed, or for which the last look returned true.
pub fn cares_in(instance: u32) -> impl Iterator<Item = &'static Registration> {
    let cares = index::cares().filter_map(|at| used().get(at));
    cares.filter(move |r| r.is_of(instance))
}

/// Looks at those registrations. `needs_care` is asked the next time only about those for which it
/// returns true.
pub fn look_at_cares(instance: u32, mut needs_care: impl FnMut(&'static Registration) -> bool) {
    index::look_at_cares(|at| match used().get(at) {
        Some(registration) if registration.is_of(instance) => needs_care(registration),
        Some(registration) => registration.parts().is_some(),
        // A word of marks was set whole, and this place was never used.
        None => false,
    });
}

/// Returns the known registrations, in all instances, that were made with this number, unless it
/// was closed since.
pub fn of_number(fd: c_int) -> impl Iterator<Item = &'static Registration> {
    let with_number =
        move |r: &&Registration| r.parts().is_some_and(|(_, number)| number == fd as u32);
    self::with_number(fd as u32).iter().filter(with_number)
}

/// Returns the known registrations of a tunnel, in all instances and with any number.
pub fn of_inode(inode: u64) -> impl Iterator<Item = &'static Registration> {
    let is_its =
        move |r: &&Registration| r.parts().is_some() && r.target() == Target::Tunnel(inode);
    at(index::with_inode(inode)).iter().filter(is_its)
}

/// Returns the registration of this number in this instance, if it is known.
pub fn find(instance: u32, fd: c_int) -> Option<&'static Registration> {
    let key = key(instance, fd as u32);
    let candidates = at(index::with_key(instance, fd as u32 & !CLOSED));
    candidates.iter().find(|r| r.key.load(Acquire) == key)
}

/// Returns the registrations of this number in this instance: one, and one more where the number
/// was closed and is a descriptor again.
pub fn both(instance: u32, fd: c_int) -> impl Iterator<Item = &'static Registration> {
    let numbers = [fd, (fd as u32 | CLOSED) as c_int];
    numbers.into_iter().filter_map(move |fd| find(instance, fd))
}

/// Takes hold of the tunnels in which a packet is waited for in this instance, as far as `places`
/// go. Returns false where there are more, or other instances in this one.
pub fn hold_few(instance: u32, places: &mut [Option<table::Held>]) -> bool {
    /// A look at so many places costs less than what it is for.
    const LOOKS: usize = 64;
    if index::used() > LOOKS || index::any_nested_in(instance) {
        return false;
    }
    let mut places = places.iter_mut();
    for registration in of(instance).filter(|r| r.events() & IN != 0) {
        let Some(place) = places.next() else {
            return false;
        };
        *place = registration.descriptor().and_then(table::hold);
    }
    true
}

/// Returns the registration with this datum in this instance, and whether no other one has it.
pub fn with_datum(instance: u32, data: u64) -> Option<(&'static Registration, bool)> {
    let has_it = |r: &&Registration| r.is_of(instance) && r.data() == data;
    let places = index::with_datum(instance, data);
    let is_alone = matches!(places, Places::At(_));
    let mut matching = at(places).iter().filter(has_it);
    let first = matching.next()?;
    Some((first, is_alone || matching.next().is_none()))
}

/// Enters a registration, or changes what is known of it. A registration of the same number with
/// another target is forgotten. When there is no room, a warning is logged once.
pub fn remember(instance: u32, fd: c_int, target: Target, event: epoll_event, mark: u32) {
    let own = match target {
        Target::Tunnel(_) => fd as u32,
        Target::Epoll(instance) => instance,
    };
    let fill = |r: &Registration| {
        r.set_own(own);
        r.ask(event.events, event.u64);
        r.set_fixed(0);
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
    let wanted = key(instance, fd as u32);
    concern::note(concern::TUNNEL);
    let places = PLACES.make().map_or(&[][..], |places| &places.list);
    let claims = |at: usize| {
        let key = places.get(at).map(|place| &place.key);
        key.is_some_and(|key| key.compare_exchange(0, wanted, AcqRel, Relaxed).is_ok())
    };
    let entered = index::enter(Whose::of(instance, fd as u32, target), claims);
    let Some((at, place)) = entered.and_then(|at| Some((at, places.get(at)?))) else {
        static SAID: AtomicBool = AtomicBool::new(false);
        if !SAID.swap(true, Relaxed) {
            log::warn!(
                "too many epoll registrations of tunnels: link changes do not reach the rest"
            );
        }
        // Nobody silences the bell before a wait, or looks at what the kernel reports.
        if let Some(tunnel) = table::hold(fd) {
            tunnel.be_exact(fd);
        }
        return;
    };
    let inode = match target {
        Target::Tunnel(inode) => Some(inode),
        Target::Epoll(_) => None,
    };
    place.inode.store(inode.unwrap_or(0), Relaxed);
    place.keys.set_inode(inode, at);
    fill(place);
    place.changed();
}

/// Notes that a tunnel's descriptor is closed in this process. The registration stays known,
/// because the kernel keeps its own as long as the tunnel has another descriptor, in any process.
pub fn number_closed(fd: c_int) {
    of_number(fd)
        .filter(|r| matches!(r.target(), Target::Tunnel(_)))
        .for_each(Registration::number_is_away);
}

/// Notes that `fd` is a descriptor of the tunnel with this inode. If the number was registered and
/// closed since, and it was the same tunnel's, the registration is found by the number again.
pub fn is_back(instance: u32, fd: c_int, inode: u64) {
    let away = find(instance, (fd as u32 | CLOSED) as c_int);
    if let Some(known) = away.filter(|r| r.target() == Target::Tunnel(inode)) {
        let (away, back) = (key(instance, fd as u32 | CLOSED), key(instance, fd as u32));
        let _ = known.key.compare_exchange(away, back, AcqRel, Acquire);
        known.changed();
    }
}

/// Is this instance registered edge-triggered in another one, directly or through instances between
/// them? Then it has to report each event anew.
fn tells_edges(instance: u32, depth: usize) -> bool {
    depth < DEEPEST
        && index::is_within(instance)
        && all().any(|r| {
            r.target() == Target::Epoll(instance)
                && (r.events() & EDGE != 0 || tells_edges(r.instance(), depth + 1))
        })
}

/// Makes every packet ring for the tunnels that are registered in an instance or in one nested in
/// it.
fn ring_always(instance: u32, depth: usize) {
    for registration in of(instance) {
        match registration.target() {
            Target::Epoll(inner) if depth < DEEPEST => ring_always(inner, depth + 1),
            Target::Epoll(_) => {}
            Target::Tunnel(_) => {
                if let Some(fd) = registration.descriptor() {
                    if let Some(tunnel) = table::hold(fd) {
                        tunnel.ring_always(fd);
                    }
                }
            }
        }
    }
}

/// Notes that something was registered in an instance. If an outer instance waits for its edges,
/// every packet for a tunnel has to be an edge, so every packet rings from now on.
pub fn ring_for_edges(instance: u32) {
    if tells_edges(instance, 0) {
        ring_always(instance, 0);
    }
}

/// Forgets the registrations of a tunnel that has ended: the kernel's own ended with it.
pub fn tunnel_ended(inode: u64) {
    of_inode(inode).for_each(Registration::forget);
}

/// Forgets the registrations in an instance that has no descriptor left in this process. Those of
/// it in other instances have ended, too, unless another process has the instance as well.
pub fn instance_ended(instance: u32, is_shared: bool) {
    of(instance).for_each(Registration::forget);
    if !is_shared && index::is_within(instance) {
        let is_its = |r: &&Registration| r.target() == Target::Epoll(instance);
        all().filter(is_its).for_each(Registration::forget);
    }
}
