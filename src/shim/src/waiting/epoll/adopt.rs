//! Epoll instances that this process got from somebody else: what is registered stands in
//! /proc/self/fdinfo.
#![forbid(unsafe_code)]

use super::registrations::{self, mark, Target, EXCLUSIVE, OUT, OUT_LEFT_OUT};
use super::{instances, registrations::EDGE};
use crate::{net, table};
use libc::{c_int, epoll_event};
use memtun_abi::Errno;
use memtun_kernel::net::Local;
use memtun_sys::quiet::{may, Extra};
use memtun_sys::{self as sys, PathBuf};

/// Can a descriptor be looked at?
pub fn can_be_looked_at() -> bool {
    may(Extra::Files)
}

/// Does this number belong to an epoll instance? No where that cannot be looked at.
pub fn is_epoll(fd: c_int) -> bool {
    if !may(Extra::Files) {
        return false;
    }
    let mut link = [0u8; 64];
    sys::path_of_fd(fd, &mut link) == Ok(b"anon_inode:[eventpoll]")
}

/// A descriptor has arrived, by exec or in a message: enters what it has registered, if it is an
/// epoll's.
#[cold]
pub fn adopt(fd: c_int) {
    if !crate::process::owns_memory() || !is_epoll(fd) {
        return;
    }
    match instances::sibling(fd) {
        Some(sibling) => return instances::duplicated(sibling, fd, registrations::instance_ended),
        None => instances::created(fd, registrations::instance_ended),
    }
    if let Err(e) = each_line(fd, |line| enter(fd, line)) {
        log::debug!("what epoll descriptor {fd} has registered is not known: {e}");
    }
}

fn each_line(epoll: c_int, mut each: impl FnMut(&Line)) -> Result<(), Errno> {
    let mut path = PathBuf::concat(&[b"/proc/self/fdinfo/"])?;
    path.push_number(epoll as u64)?;
    let info = sys::open(path.cstr(), libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    // Lines are shorter than this, and a part of one stays for the next turn.
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

/// `tfd:        5 events:       1d data:  fd00000005  pos:0 ino:61af sdev:7` (proc_pid_fdinfo(5)).
struct Line {
    number: c_int,
    events: u32,
    data: u64,
    inode: u64,
}

impl Line {
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
    // The kernel adds what is always reported.
    let told = line.events & !(libc::EPOLLERR | libc::EPOLLHUP) as u32;
    let (asked, is_quiet) = if told & OUT_LEFT_OUT != 0 {
        (told & !OUT_LEFT_OUT | libc::EPOLLOUT as u32, true)
    } else {
        (told, false)
    };
    let event = epoll_event {
        events: asked,
        u64: line.data,
    };
    let mark = match target {
        _ if is_quiet => mark::QUIET,
        // Whether an edge has been told is not known; one of a tunnel that is down was for nothing.
        Target::Tunnel(_) if asked & OUT != 0 && asked & (EDGE | EXCLUSIVE) != EDGE => mark::FRESH,
        _ => mark::PLAIN,
    };
    let instance = instances::of(epoll);
    registrations::remember(instance, line.number, target, event, mark);
    if !same_number && matches!(target, Target::Tunnel(_)) {
        if let Some(entered) = registrations::find(instance, line.number) {
            match own {
                Some(_) => entered.number_is_away(),
                None => entered.fix(),
            }
        }
    }
}

/// How many descriptors are registered with this datum, or at all? None where that cannot be looked
/// at.
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

/// Is it a tunnel of this process's net that somebody else holds?
fn is_of_net(inode: u64) -> bool {
    net::existing().is_some_and(|net| net.tunnel(inode).is_ok())
}
