//! Reads the registrations of epoll instances that this process has received from, or shares with,
//! another process. The kernel lists them in /proc/self/fdinfo.
#![forbid(unsafe_code)]

use super::registrations::{
    self, mark, Registration, Target, EDGE, EXCLUSIVE, OUT, OUT_LEFT_OUT, SHOT, SHOT_LEFT_OUT,
};
use super::{index, instances, sharing};
use crate::waiting::state::State;
use crate::{errno, net, table};
use libc::{c_int, epoll_event};
use memtun_abi::Errno;
use memtun_kernel::net::Local;
use memtun_sys::quiet::{may, Extra};
use memtun_sys::{self as sys, PathBuf};

/// May this process read what a descriptor is? A sandbox may forbid the calls that this takes.
pub fn can_be_looked_at() -> bool {
    may(Extra::Files)
}

/// Does this number belong to an epoll instance? The answer is no where the process may not look
/// ([`can_be_looked_at`]).
pub fn is_epoll(fd: c_int) -> bool {
    if !may(Extra::Files) {
        return false;
    }
    let mut link = [0u8; 64];
    sys::path_of_fd(fd, &mut link) == Ok(b"anon_inode:[eventpoll]")
}

/// Notes that a descriptor has arrived, by execve(2) or in a message. If it belongs to an epoll
/// instance, its registrations are read from the kernel and entered.
#[cold]
pub fn adopt(fd: c_int) {
    if !crate::process::owns_memory() || !is_epoll(fd) {
        return;
    }
    match instances::sibling(fd) {
        Some(sibling) => {
            instances::duplicated(sibling, fd, registrations::instance_ended);
            return sharing::arrived(fd);
        }
        None => instances::created(fd, registrations::instance_ended, index::is_named),
    }
    sharing::arrived(fd);
    if let Err(e) = each_line(fd, |line| enter(fd, line)) {
        log::debug!("what epoll descriptor {fd} has registered is not known: {e}");
    }
}

/// Reads the registrations of shared instances anew from the kernel, if another process has changed
/// some since the last reading.
#[inline]
pub fn catch_up() {
    if sharing::is_behind() {
        errno::keep(|| sharing::catch_up(read_anew));
    }
}

/// Reads all registrations of one instance: known ones are renewed, new ones entered, and those
/// that the kernel no longer lists are forgotten.
fn read_anew(epoll: c_int) {
    if !may(Extra::Files) {
        return;
    }
    let instance = instances::of(epoll);
    let mut there: Vec<(c_int, u64)> = Vec::new();
    let read = each_line(epoll, |line| {
        there.push((line.number, line.inode));
        match registrations::both(instance, line.number).find(|r| line.is_of(r)) {
            Some(known) => renew(known, line),
            None => enter(epoll, line),
        }
    });
    if read.is_err() {
        return;
    }
    there.sort_unstable();
    for known in registrations::of(instance) {
        let number = known.number();
        let is_there = match known.target() {
            Target::Tunnel(inode) => there.binary_search(&(number, inode)).is_ok(),
            Target::Epoll(_) => there.binary_search_by_key(&number, |line| line.0).is_ok(),
        };
        if !is_there {
            known.forget();
        }
    }
}

/// Updates a known registration from the kernel's line, which another process may have changed
/// since.
fn renew(known: &Registration, line: &Line) {
    let (told, asked, is_same) = (line.told(), line.asked(), line.data == known.data());
    if !matches!(known.target(), Target::Tunnel(_)) {
        return known.ask(asked, line.data);
    }
    if known.is_fixed() {
        known.fix_with_shot_hidden(line.hides_shot());
    }
    let is_quiet = told == registrations::told(known.events(), mark::QUIET);
    if is_same && is_quiet && told & EXCLUSIVE != 0 && known.mark() < mark::GONE {
        // An exclusive registration carries no sign that EPOLLOUT was left out, so the events
        // alone show that it is quiet.
        return known.set_mark(mark::QUIET);
    }
    if is_same && asked == known.events() && known.mark() < mark::GONE {
        // The program asks the same as before, but another process may have changed what the
        // kernel is told.
        match line.mark(true) {
            mark::QUIET => known.set_mark(mark::QUIET),
            new if known.mark() == mark::QUIET => known.set_mark(new),
            mark::FRESH if line.is_fresh() && known.state() != State::Plain => {
                known.set_mark(mark::FRESH);
            }
            _ => {}
        }
        return;
    }
    let is_own = match known.mark() {
        mark::GONE => told == 0,
        mark::DEAD | mark::SPENT => is_fired(known.mark(), told),
        // Another process has told the kernel that the interface was deleted. This process finds
        // the deletion by itself.
        _ => told == 0 && known.state() == State::Error,
    };
    if !is_same || !is_own {
        known.ask(asked, line.data);
        known.set_listed(false);
        known.set_mark(line.mark(true));
    }
}

/// Can the kernel have got to these events from what this process told it? It was told nothing, or
/// a single shot that only wakes a sleeping thread (DEAD), or a single shot that has fired (SPENT).
fn is_fired(mark: u32, told: u32) -> bool {
    match mark {
        mark::DEAD => told & !(libc::EPOLLOUT as u32 | SHOT) == 0,
        mark::SPENT => told & !(EDGE | SHOT | EXCLUSIVE) == 0,
        _ => false,
    }
}

/// Calls `each` with every registration that /proc/self/fdinfo lists for this epoll descriptor. The
/// error is that of opening or reading the file.
fn each_line(epoll: c_int, mut each: impl FnMut(&Line)) -> Result<(), Errno> {
    let mut path = PathBuf::concat(&[b"/proc/self/fdinfo/"])?;
    path.push_number(epoll as u64)?;
    let info = sys::open(path.cstr(), libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    // Every line is shorter than the buffer. An incomplete line at the end is kept for the next
    // read.
    let mut text = [0u8; 4096];
    let mut kept = 0;
    loop {
        let n = sys::read(info.raw(), &mut text[kept..])?;
        let end = kept + n;
        let complete = match text[..end].iter().rposition(|b| *b == b'\n') {
            Some(last) => last + 1,
            None => end,
        };
        for line in text[..complete].split(|b| *b == b'\n') {
            if let Some(line) = std::str::from_utf8(line).ok().and_then(Line::parse) {
                each(&line);
            }
        }
        if n == 0 {
            return Ok(());
        }
        text.copy_within(complete..end, 0);
        kept = end - complete;
    }
}

/// One registration as the kernel lists it (proc_pid_fdinfo(5)):
/// `tfd:        5 events:       1d data:  fd00000005  pos:0 ino:61af sdev:7`.
struct Line {
    number: c_int,
    events: u32,
    data: u64,
    inode: u64,
}

impl Line {
    /// Returns the events that the kernel was told, without EPOLLERR and EPOLLHUP, which it adds
    /// to every registration.
    fn told(&self) -> u32 {
        self.events & !(libc::EPOLLERR | libc::EPOLLHUP) as u32
    }
    /// Returns the events that the program asked: EPOLLOUT and EPOLLONESHOT are put in again where
    /// the line carries the sign that they were left out.
    fn asked(&self) -> u32 {
        let mut asked = self.told() & !(OUT_LEFT_OUT | SHOT_LEFT_OUT);
        if self.hides_shot() {
            asked |= SHOT;
        }
        if self.told() & OUT_LEFT_OUT != 0 && asked & OUT == 0 {
            asked |= libc::EPOLLOUT as u32;
        }
        asked
    }
    /// Was the registration made while the tunnel was not writable, and has no process corrected
    /// it yet? It then has EPOLLOUT and the sign that EPOLLOUT is to be left out.
    fn is_fresh(&self) -> bool {
        self.told() & OUT_LEFT_OUT != 0 && self.told() & OUT != 0
    }
    /// Was EPOLLONESHOT left out of what the kernel was told?
    fn hides_shot(&self) -> bool {
        self.told() & SHOT_LEFT_OUT != 0
    }
    /// Returns the mark that a registration with these events has ([`mark`]).
    fn mark(&self, is_tunnel: bool) -> u32 {
        let asked = self.asked();
        if self.told() & OUT_LEFT_OUT != 0 && !self.is_fresh() {
            return mark::QUIET;
        }
        // The line does not say whether the kernel has reported the edge already. If the tunnel is
        // down, the report was false.
        let is_edge = asked & (EDGE | EXCLUSIVE) == EDGE && !self.is_fresh();
        if is_tunnel && asked & OUT != 0 && !is_edge {
            return mark::FRESH;
        }
        mark::PLAIN
    }
    /// Is this the kernel's line of that known registration?
    fn is_of(&self, known: &Registration) -> bool {
        known.number() == self.number
            && match known.target() {
                Target::Tunnel(inode) => inode == self.inode,
                Target::Epoll(_) => is_epoll(self.number),
            }
    }
    fn parse(line: &str) -> Option<Line> {
        let field = |name: &str| {
            let at = line.find(name)? + name.len();
            line[at..].split_ascii_whitespace().next()
        };
        Some(Line {
            number: field("tfd:")?.parse().ok()?,
            events: u32::from_str_radix(field("events:")?, 16).ok()?,
            data: u64::from_str_radix(field("data:")?, 16).ok()?,
            inode: u64::from_str_radix(field("ino:")?, 16).ok()?,
        })
    }
}

/// Enters the registration of this line, if its target is a tunnel of this process's net or another
/// epoll instance.
fn enter(epoll: c_int, line: &Line) {
    let same_number = table::hold(line.number).is_some_and(|t| t.inode() == line.inode);
    let own = if same_number {
        Some(line.number)
    } else {
        table::OwnTunnels.descriptor(line.inode)
    };
    let target = if own.is_some() || is_of_net(line.inode) {
        Target::Tunnel(line.inode)
    } else if is_epoll(line.number) && line.number != epoll {
        if !instances::is_known(line.number) {
            adopt(line.number);
        }
        Target::Epoll(instances::of(line.number))
    } else {
        return;
    };
    let event = epoll_event {
        events: line.asked(),
        u64: line.data,
    };
    let mark = line.mark(matches!(target, Target::Tunnel(_)));
    let instance = instances::of(epoll);
    registrations::remember(instance, line.number, target, event, mark);
    if !same_number && matches!(target, Target::Tunnel(_)) {
        if let Some(entered) = registrations::find(instance, line.number) {
            match own {
                Some(_) => entered.number_is_away(),
                None => entered.fix_with_shot_hidden(line.hides_shot()),
            }
        }
    }
}

/// Returns how many descriptors the kernel has registered with this datum, or with any datum if it
/// is `None`. The answer is `None` where the process may not look, or reading fails.
pub fn count(epoll: c_int, datum: Option<u64>) -> Option<usize> {
    let mut count = 0;
    if !may(Extra::Files) {
        return None;
    }
    each_line(epoll, |line| {
        count += datum.is_none_or(|datum| line.data == datum) as usize;
    })
    .ok()?;
    Some(count)
}

/// Returns the datum with which the kernel has registered a descriptor. None where it is not
/// registered, the process may not look, or reading fails.
pub fn datum_of(epoll: c_int, number: c_int) -> Option<u64> {
    let mut datum = None;
    if may(Extra::Files) {
        let of_it = |line: &Line| {
            if line.number == number {
                datum = Some(line.data);
            }
        };
        each_line(epoll, of_it).ok()?;
    }
    datum
}

/// Calls `each` with the descriptors that the kernel has registered with this datum, and the events
/// that it was told for them. Returns false where that cannot be read.
pub fn each_of(epoll: c_int, datum: u64, mut each: impl FnMut(c_int, u32)) -> bool {
    let one = |line: &Line| {
        if line.data == datum {
            each(line.number, line.told());
        }
    };
    may(Extra::Files) && each_line(epoll, one).is_ok()
}

/// Is this the inode of a tunnel of this process's net, whichever process holds the tunnel?
fn is_of_net(inode: u64) -> bool {
    net::existing().is_some_and(|net| net.tunnel(inode).is_ok())
}
