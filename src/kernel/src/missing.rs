//! Answers for what memtun does not support when a program asks it of an interface of the net. Each
//! is logged once at level `warn`, so that whoever sees the program fail sees why.
#![forbid(unsafe_code)]

use crate::request::{Answer, Request};
use crate::shm::layout::InterfaceState;
use crate::shm::load_name;
use crate::Errno;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What has been logged: each word holds the number of the request and the interface's index.
/// When the table is full, nothing more is logged.
static SAID: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

fn is_new(what: u32, interface: &InterfaceState) -> bool {
    let key = (what as u64) << 32 | interface.ifindex.load(Relaxed) as u64;
    for place in &SAID {
        match place.compare_exchange(0, key, Relaxed, Relaxed) {
            Ok(_) => return true,
            Err(said) if said == key => return false,
            Err(_) => {}
        }
    }
    false
}

fn say(interface: &InterfaceState, what: std::fmt::Arguments<'_>, errno: Errno) -> Errno {
    let name = load_name(&interface.name);
    log::warn!("{name}: {what} is not supported, answered {errno}");
    errno
}

/// Logs a request whose row says [`Answer::Absent`], and returns the errno that the program gets.
/// `number` is the number that the program gave.
#[cold]
pub fn request(interface: &InterfaceState, row: &Request, number: u32) -> Errno {
    refused(interface, row, number, errno_of(row.answer))
}

/// The same for a request that is supported, but not with the argument that it got.
#[cold]
pub fn refused(interface: &InterfaceState, row: &Request, number: u32, errno: Errno) -> Errno {
    match row.name.as_str() {
        _ if !is_new(number, interface) => errno,
        "" => say(interface, format_args!("request {number:#x}"), errno),
        name => say(interface, format_args!("{name}"), errno),
    }
}

fn errno_of(answer: Answer) -> Errno {
    match answer {
        Answer::Absent(errno, _) | Answer::Refused(errno, _) => Errno(errno),
        _ => Errno(libc::EOPNOTSUPP),
    }
}
