//! Brings the events that the kernel is told for a registration in line with the state of its
//! tunnel.
#![forbid(unsafe_code)]

use super::instances::{self, DEEPEST};
use super::registrations::{
    self, mark, told, Registration, Target, EDGE, EXCLUSIVE, OUT, SHOT, WOKEN_BY_DELETION,
};
use super::{adopt, sharing};
use crate::waiting::state::{link_bell, LinkBell, State, Why, GLANCE, MOMENT};
use crate::{errno, host, net};
use libc::{c_int, epoll_event, timespec};
use memtun_sys::quiet::{may, Extra};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

/// What a look at the registrations of one epoll instance has found for a thread that will wait.
#[derive(Default)]
pub struct Look {
    /// The FIFOs of the links that are down. The waiting thread polls them beside the epoll
    /// descriptor, and they are closed with this value.
    pub links: Vec<LinkBell>,
    /// The longest time to sleep before the next look, because a change of some
    /// registration's state wakes nobody. It is `None` when everything wakes the waiting thread.
    pub nap: Option<timespec>,
    /// The kernel reports an event that is not true, and this process cannot change the
    /// registration. The epoll descriptor is then always ready, and polling it would not sleep.
    pub is_false: bool,
    /// Another process changed a registration before this one could, so the look must be repeated.
    is_stale: bool,
    /// This is the last attempt: changes by other processes no longer make it stale.
    is_last: bool,
}

impl Look {
    /// Shortens the sleep before the next look to at most this time.
    fn nap_at_most(&mut self, moment: timespec) {
        if self.nap.is_none_or(|n| moment.tv_nsec < n.tv_nsec) {
            self.nap = Some(moment);
        }
    }
}

/// Tells the kernel these events for a registration. Returns false when the kernel does not know
/// the registration any more, and true otherwise, also where this process cannot change it: then
/// [`Registration::is_fixed`] is true, or no `epoll` descriptor is known.
pub fn modify(epoll: Option<c_int>, registration: &Registration, events: u32) -> bool {
    if !may(Extra::Control) {
        registration.fix();
    }
    let Some(epoll) = epoll.filter(|_| !registration.is_fixed()) else {
        return true;
    };
    let mut event = epoll_event {
        events,
        u64: registration.data(),
    };
    let lent = registration.is_away().then(|| registration.lend_number());
    if let Some(None) = lent {
        registration.fix();
        return true;
    }
    let number = registration.number();
    let mut call = |operation| {
        errno::keep(
            || match host::epoll_ctl(epoll, operation, number, &mut event) {
                0 => 0,
                _ => errno::get(),
            },
        )
    };
    sharing::changed(epoll);
    let refused = if registration.events() & EXCLUSIVE != 0 {
        // The kernel refuses to modify an exclusive registration, so it is made anew.
        call(libc::EPOLL_CTL_DEL);
        call(libc::EPOLL_CTL_ADD)
    } else {
        call(libc::EPOLL_CTL_MOD)
    };
    if refused != 0 && refused != libc::ENOENT {
        // The registered number is closed in this process, or another file has it now. The kernel
        // goes on reporting the tunnel, and this process cannot change that.
        registration.fix();
    }
    sharing::changed(epoll);
    refused != libc::ENOENT
}

/// Returns the mark that a registration should get in this state of its tunnel. It is `None` when
/// the registration keeps its mark.
fn next_mark(registration: &Registration, state: State) -> Option<u32> {
    let events = registration.events();
    match (state, registration.mark()) {
        (_, mark::DEAD | mark::SPENT) => None,
        // The link came up before the interface was deleted, and put the registration on the ready
        // list.
        (State::Error, mark::FRESH | mark::QUIET)
            if events & WOKEN_BY_DELETION == 0
                && events & OUT != 0
                && registration.has_been_woken() =>
        {
            Some(mark::PLAIN)
        }
        // The deletion does not put this registration on the ready list. Where it stands there
        // already, the kernel reports it.
        (State::Error, mark::FRESH) if events & WOKEN_BY_DELETION == 0 => Some(mark::QUIET),
        (State::Error, mark) if mark < mark::GONE && events & WOKEN_BY_DELETION == 0 => None,
        (State::Error, mark::GONE) | (State::Quiet(_), mark::QUIET) => None,
        (State::Error, _) => Some(mark::GONE),
        (State::Plain, mark::PLAIN) => None,
        (State::Plain, _) => Some(mark::PLAIN),
        (State::Quiet(_), mark::PLAIN | mark::FRESH) if events & OUT == 0 => None,
        // A full capture buffer takes the place of the driver's full send buffer: the next edge
        // comes when it has room.
        (State::Quiet(Why::Capturer), mark::PLAIN) if events & SHOT == 0 => Some(mark::QUIET),
        // An edge-triggered or single-shot registration reports nothing when the link goes down,
        // so the kernel may keep it as it is.
        (State::Quiet(_), mark::PLAIN) if events & (EDGE | SHOT) != 0 => None,
        (State::Quiet(_), _) => Some(mark::QUIET),
    }
}

/// Notes that every registration may need care, where tunnels may need it for a reason that stands
/// beside no registration: a link of the net has changed, somebody has begun to capture. In a
/// process with several nets that may be so at any time.
pub fn catch_up() {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let Some(net) = net::current() else {
        return;
    };
    let now = u64::from(net.changes.load(Acquire)) << 1 | u64::from(net.is_captured());
    if now != SEEN.load(Acquire) || !net::is_only_one() {
        registrations::all_changed();
        SEEN.store(now, Release);
    }
}

/// Is nothing to be done for a registration before the next wait, unless a change is told? What
/// becomes false without one is an event of the kernel's, which is looked at.
fn is_plain(registration: &Registration) -> bool {
    let may_be_full = || net::current().is_none_or(|net| net.is_captured());
    matches!(registration.target(), Target::Tunnel(_))
        && registration.mark() == mark::PLAIN
        && !registration.is_listed()
        && !registration.is_fixed()
        && (registration.events() & OUT == 0 || !may_be_full())
}

/// Brings the kernel's registrations in the instance of this epoll descriptor in line with the
/// states of their tunnels, and returns what else a waiting thread has to watch.
pub fn look(epoll: c_int) -> Look {
    look_from(instances::of(epoll), Some(epoll))
}

/// Does the work of [`look`] for an instance, of which this process need not have a descriptor
/// number.
pub fn look_at(instance: u32) -> Look {
    look_from(instance, instances::number_of(instance))
}

/// Looks, and looks again a few times when another process changes the registrations meanwhile.
fn look_from(instance: u32, epoll: Option<c_int>) -> Look {
    const TURNS: usize = 4;
    catch_up();
    for _ in 1..TURNS {
        adopt::catch_up();
        let mut found = Look::default();
        look_into(instance, epoll, &mut found, 0);
        if !found.is_stale {
            return found;
        }
    }
    // Other processes go on changing the registrations. The last look takes them as they are, so
    // that this loop ends.
    let mut found = Look {
        is_last: true,
        ..Look::default()
    };
    look_into(instance, epoll, &mut found, 0);
    found
}

/// Makes one look at an instance and at those nested in it, and adds to `found`.
fn look_into(instance: u32, epoll: Option<c_int>, found: &mut Look, depth: usize) {
    registrations::look_at_cares(instance, |registration| {
        if !found.is_stale {
            look_at_one(registration, epoll, found, depth);
        }
        found.is_stale || registration.instance() == instance && !is_plain(registration)
    });
}

/// Looks at one registration.
fn look_at_one(registration: &Registration, epoll: Option<c_int>, found: &mut Look, depth: usize) {
    if let Target::Epoll(inner) = registration.target() {
        if depth < DEEPEST {
            look_into(inner, instances::number_of(inner), found, depth + 1);
        }
        return;
    }
    let state = registration.state();
    if let Some(next) = next_mark(registration, state) {
        if sharing::is_behind() && !found.is_last {
            found.is_stale = true;
            return;
        }
        let is_as_told = registration.mark() == mark::FRESH
            && next == mark::PLAIN
            && !registration.may_hide_shot();
        // The kernel may not know the registration, because the epoll descriptor may have been
        // closed and another file may have its number now.
        if !is_as_told && !modify(epoll, registration, told(registration.events(), next)) {
            registration.forget();
            return;
        }
        if registration.is_fixed() && registration.mark() == mark::QUIET && next == mark::PLAIN {
            // Another file has the registered number now, so the kernel cannot be told. This
            // process reports the event itself.
            registration.set_listed(true);
            registration.set_mark(mark::SPENT);
        } else if !registration.is_fixed() || next == mark::GONE {
            registration.set_listed(next == mark::GONE);
            registration.set_mark(next);
        }
    }
    if registration.never_ends() {
        found.is_false = true;
        found.nap_at_most(MOMENT);
    }
    if matches!(state, State::Quiet(_)) && registration.mark() == mark::QUIET {
        registration.is_told_of_no_room();
    }
    let events = registration.events();
    let waits = registration.mark() == mark::QUIET || registration.is_fixed();
    if !waits || events & OUT == 0 && registration.mark() != mark::QUIET {
        return;
    }
    let link = match state {
        State::Quiet(Why::Link) => registration.descriptor().and_then(link_bell),
        State::Quiet(Why::Capturer) => return found.nap_at_most(GLANCE),
        _ => return,
    };
    match link {
        Some(link) if !registration.is_fixed() => found.links.push(link),
        _ => {
            found.is_false |= registration.is_fixed() && events & (EDGE | SHOT) == 0;
            found.nap_at_most(MOMENT);
        }
    }
}
