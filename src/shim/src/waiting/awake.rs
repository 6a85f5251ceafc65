//! Waits that begin awake: for some microseconds a packet is looked for, because that is when the
//! next one comes in a program that talks with a peer on another processor. How long, and whether
//! at all, says `memtun_kernel::busy`.
//!
//! Signals are held back meanwhile. A handler whose signal comes in that time ends the wait as if
//! the thread slept in it.
#![forbid(unsafe_code)]

use super::deadline::{Deadline, Question, NOW};
use super::{epoll, stale};
use crate::table::{self, Held};
use crate::{errno, host};
use libc::{c_int, pollfd};
use memtun_abi::Errno;
use memtun_kernel::busy::{Spinner, READS, WAITS};
use memtun_kernel::tun::InterfaceRef;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};

/// Number of descriptors of a wait that begins awake.
pub const FEW: usize = 8;

/// A place without a descriptor.
pub const NOBODY: pollfd = pollfd {
    fd: -1,
    events: 0,
    revents: 0,
};

/// How often the kernel is asked meanwhile about what is no tunnel.
const TURN: u32 = 4000;

/// How such a beginning ended.
#[derive(Clone, Copy, PartialEq)]
pub enum Awake {
    /// The wait goes on as any other.
    Over,
    /// A signal handler has run, and the wait fails with EINTR.
    Interrupted,
}

/// A tunnel on which a packet is waited for.
struct Source<'t> {
    tunnel: &'t Held,
    interface: InterfaceRef<'t>,
}

impl<'t> Source<'t> {
    /// The tunnel as a source, if nothing is queued, and for how long a packet is waited for.
    fn of(tunnel: &'t Held, spinner: &Spinner) -> Option<(Source<'t>, u32)> {
        if tunnel.state().ring.queued() > 0 || !may(Extra::Awake) {
            return None;
        }
        let interface = tunnel.interface().ok()?;
        let time = spinner.time(&interface.fed_on)?;
        Some((Source { tunnel, interface }, time))
    }

    fn has_packet(&self) -> bool {
        self.tunnel.state().ring.queued() > 0
    }
}

/// Begins a read that waits. It is called before the read, because that takes the byte out of the
/// bell that saves the next packet a system call.
///
/// # Errors
/// - EINTR: a signal handler has run that does not have the call restarted.
#[inline]
pub fn read(tunnel: &Held) -> Result<(), Errno> {
    if tunnel.state().ring.queued() > 0 || tunnel.open_flags() & libc::O_NONBLOCK != 0 {
        return Ok(());
    }
    read_awake(tunnel)
}

#[cold]
#[inline(never)]
fn read_awake(tunnel: &Held) -> Result<(), Errno> {
    let Some((source, time)) = Source::of(tunnel, &READS) else {
        return Ok(());
    };
    let signals = sys::hold_signals();
    let found = READS.wait(time, &source.interface.fed_on, || source.has_packet());
    match !found && signals.would_interrupt(true) {
        true => Err(Errno(libc::EINTR)),
        false => Ok(()),
    }
}

/// Is it worth while to begin a wait for this descriptor awake?
#[inline]
pub fn is_worth(tunnel: &Held) -> bool {
    tunnel.state().ring.queued() == 0 && Source::of(tunnel, &WAITS).is_some()
}

/// Is it worth while for one of these descriptors?
pub fn is_any_worth(fds: &[pollfd]) -> bool {
    let is_asked = |p: &&pollfd| p.events & libc::POLLIN != 0 && table::is_tunnel(p.fd);
    let mut held = fds
        .iter()
        .filter(is_asked)
        .filter_map(|p| table::hold(p.fd));
    held.any(|tunnel| is_worth(&tunnel))
}

/// Begins a wait for these descriptors, if there are few.
#[cold]
pub fn wait(fds: &[pollfd], deadline: &Deadline) -> Awake {
    if deadline.is_now() {
        return Awake::Over;
    }
    let is_asked = |p: &&pollfd| p.events & libc::POLLIN != 0 && table::is_tunnel(p.fd);
    let held = fds.iter().take(FEW).filter(is_asked);
    let mut tunnels = [const { None }; FEW];
    for (place, p) in tunnels.iter_mut().zip(held) {
        *place = table::hold(p.fd);
    }
    let mut asked = [NOBODY; FEW];
    let mut others = 0;
    for p in fds.iter().filter(|p| p.fd >= 0 && !table::is_tunnel(p.fd)) {
        match asked.get_mut(others) {
            Some(place) => *place = *p,
            None => return Awake::Over,
        }
        others += 1;
    }
    wait_for(&tunnels, &mut asked[..others], deadline)
}

/// Begins a wait for the tunnels that are registered in an epoll instance, if there are few.
pub fn wait_in_epoll(epoll: c_int, deadline: &Deadline) -> Awake {
    let mut tunnels = [const { None }; FEW];
    if deadline.is_now() || !may(Extra::Awake) || !epoll::hold_few(epoll, &mut tunnels) {
        return Awake::Over;
    }
    // What else is registered shows in the instance itself, once no bell rings for nothing.
    stale::settle();
    let mut asked = [pollfd {
        fd: epoll,
        events: libc::POLLIN,
        revents: 0,
    }];
    wait_for(&tunnels, &mut asked, deadline)
}

/// Waits for a packet in one of the tunnels, or until one of the other descriptors is ready.
fn wait_for(tunnels: &[Option<Held>; FEW], others: &mut [pollfd], deadline: &Deadline) -> Awake {
    let has_packet = |tunnel: &Held| tunnel.state().ring.queued() > 0;
    let mut all = tunnels.iter().flatten();
    if all.clone().any(has_packet) {
        return Awake::Over;
    }
    let Some((source, time)) = all.find_map(|tunnel| Source::of(tunnel, &WAITS)) else {
        return Awake::Over;
    };
    let time = deadline.left().map_or(time, |left| match left.tv_sec {
        0 => time.min(left.tv_nsec as u32),
        _ => time,
    });
    if time == 0 {
        return Awake::Over;
    }
    let signals = sys::hold_signals();
    let mut next = TURN;
    let begin = sys::now_ns(libc::CLOCK_MONOTONIC);
    let mut looks = 0u32;
    let mut is_other = false;
    let found = WAITS.wait(time, &source.interface.fed_on, || {
        if tunnels.iter().flatten().any(has_packet) {
            return true;
        }
        looks += 1;
        if !others.is_empty() && looks.is_multiple_of(16) {
            let passed = sys::now_ns(libc::CLOCK_MONOTONIC).saturating_sub(begin);
            if passed >= u64::from(next) {
                next = (passed as u32).saturating_add(TURN);
                is_other = is_ready(others);
            }
        }
        is_other
    });
    match !found && signals.would_interrupt(false) {
        true => Awake::Interrupted,
        false => Awake::Over,
    }
}

fn is_ready(fds: &mut [pollfd]) -> bool {
    errno::keep(|| {
        let question = Question::new(fds, Some(NOW), std::ptr::null());
        host::uncancelled(|| question.ask(std::ptr::null())) > 0
    })
}
