//! What the kernel is told of a registration, brought in line with the state of its tunnel.
#![forbid(unsafe_code)]

use super::instances::{self, DEEPEST};
use super::registrations::{
    self, mark, told, Registration, Target, EDGE, EXCLUSIVE, OUT, SHOT, WOKEN_BY_DELETION,
};
use super::{adopt, sharing};
use crate::errno;
use crate::host;
use crate::waiting::state::{link_bell, LinkBell, State, Why, GLANCE, MOMENT};
use libc::{c_int, epoll_event, timespec};
use memtun_sys::quiet::{may, Extra};

/// What a look at the registrations of one epoll descriptor found.
#[derive(Default)]
pub struct Look {
    /// Links to wait for.
    pub links: Vec<LinkBell>,
    /// There is something that cannot be waited for: look again after a moment.
    pub nap: Option<timespec>,
    /// The kernel reports what is not so, and cannot be told: the descriptor is always ready.
    pub is_false: bool,
    /// Another process has changed something before this one could.
    is_stale: bool,
    /// That is not looked at any more.
    is_last: bool,
}

impl Look {
    fn nap_at_most(&mut self, moment: timespec) {
        if self.nap.is_none_or(|n| moment.tv_nsec < n.tv_nsec) {
            self.nap = Some(moment);
        }
    }
}

/// Changes the kernel's registration. False when the kernel does not know it any more.
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
        // Such a registration cannot be changed, only be made anew.
        call(libc::EPOLL_CTL_DEL);
        call(libc::EPOLL_CTL_ADD)
    } else {
        call(libc::EPOLL_CTL_MOD)
    };
    if refused != 0 && refused != libc::ENOENT {
        // The number is closed here, or another's, and the kernel goes on reporting the tunnel by
        // it.
        registration.fix();
    }
    sharing::changed(epoll);
    refused != libc::ENOENT
}

/// The mark that a registration with a wait queue should have now; None when it has it.
fn next_mark(registration: &Registration, state: State) -> Option<u32> {
    let events = registration.events();
    match (state, registration.mark()) {
        (_, mark::DEAD | mark::SPENT) => None,
        // The link came up before the deletion, and put it on the ready list.
        (State::Error, mark::FRESH | mark::QUIET)
            if events & WOKEN_BY_DELETION == 0
                && events & OUT != 0
                && registration.has_been_woken() =>
        {
            Some(mark::PLAIN)
        }
        // Nobody puts it on the ready list; where it stands there, the kernel reports it.
        (State::Error, mark::FRESH) if events & WOKEN_BY_DELETION == 0 => Some(mark::QUIET),
        (State::Error, mark) if mark < mark::GONE && events & WOKEN_BY_DELETION == 0 => None,
        (State::Error, mark::GONE) | (State::Quiet(_), mark::QUIET) => None,
        (State::Error, _) => Some(mark::GONE),
        (State::Plain, mark::PLAIN) => None,
        (State::Plain, _) => Some(mark::PLAIN),
        (State::Quiet(_), mark::PLAIN | mark::FRESH) if events & OUT == 0 => None,
        // A full capture takes the place of a full send buffer: the next edge is when it has room.
        (State::Quiet(Why::Capturer), mark::PLAIN) if events & SHOT == 0 => Some(mark::QUIET),
        // An edge or a single shot says nothing of its own when the link goes down.
        (State::Quiet(_), mark::PLAIN) if events & (EDGE | SHOT) != 0 => None,
        (State::Quiet(_), _) => Some(mark::QUIET),
    }
}

/// Brings the kernel's registrations in line with the links.
pub fn look(epoll: c_int) -> Look {
    look_from(instances::of(epoll), Some(epoll))
}

/// The same of an instance of which no number need be known.
pub fn look_at(instance: u32) -> Look {
    look_from(instance, instances::number_of(instance))
}

fn look_from(instance: u32, epoll: Option<c_int>) -> Look {
    const TURNS: usize = 4;
    for _ in 1..TURNS {
        adopt::catch_up();
        let mut found = Look::default();
        look_into(instance, epoll, &mut found, 0);
        if !found.is_stale {
            return found;
        }
    }
    // Others go on changing them.
    let mut found = Look {
        is_last: true,
        ..Look::default()
    };
    look_into(instance, epoll, &mut found, 0);
    found
}

fn look_into(instance: u32, epoll: Option<c_int>, found: &mut Look, depth: usize) {
    for registration in registrations::of(instance) {
        if let Target::Epoll(inner) = registration.target() {
            if depth < DEEPEST {
                look_into(inner, instances::number_of(inner), found, depth + 1);
            }
            continue;
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
            // The epoll descriptor may have been closed, and its number be another's now.
            if !is_as_told && !modify(epoll, registration, told(registration.events(), next)) {
                registration.forget();
                continue;
            }
            if registration.is_fixed() && registration.mark() == mark::QUIET && next == mark::PLAIN
            {
                // Its number is another file's now: what the kernel cannot be told is reported from
                // here.
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
            continue;
        }
        let link = match state {
            State::Quiet(Why::Link) => registration.descriptor().and_then(link_bell),
            State::Quiet(Why::Capturer) => {
                found.nap_at_most(GLANCE);
                continue;
            }
            _ => continue,
        };
        match link {
            Some(link) if !registration.is_fixed() => found.links.push(link),
            _ => {
                found.is_false |= registration.is_fixed() && events & (EDGE | SHOT) == 0;
                found.nap_at_most(MOMENT);
            }
        }
    }
}
