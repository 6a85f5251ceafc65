//! How programs that listen are told: each event goes as one datagram to the port of each netlink
//! socket that has joined the event's group.
//!
//! The program's socket is of NETLINK_USERSOCK, to which every process may send; what it takes has
//! the seal of the socket behind it, which the listener has told. What the kernel
//! can do and this cannot: where the buffer of a listener is full, the kernel loses the event and
//! sets ENOBUFS, which recv(2) then returns (`netlink_overrun`). Nobody can set an error on the
//! socket of another process, so the loss is noted in the state of the net. The program finds it
//! with its next receive, poll(2) or epoll_wait(2), which look for it while the queue is long.
#![forbid(unsafe_code)]

use crate::world::Event;
use memtun_abi::Errno;
use memtun_stack::state::{Listener, OVERRUN};
use memtun_sys::{self as sys, Fd};
use std::collections::HashMap;
use std::os::fd::AsFd;

/// A filter of a socket that takes no datagram: BPF_RET | BPF_K with 0, as struct sock_filter.
const TAKES_NOTHING: [u8; 8] = {
    let [first, second] = (libc::BPF_RET as u16).to_ne_bytes();
    [first, second, 0, 0, 0, 0, 0, 0]
};

/// Tells programs that listen.
pub struct Teller(Fd);

impl Teller {
    /// Opens the socket from which events are sent.
    ///
    /// # Errors
    ///
    /// What socket(2) or bind(2) fails with.
    pub fn new() -> Result<Teller, Errno> {
        let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK)?;
        // Nothing is read from it, and everybody on the machine may send to it: what comes is
        // thrown away before it takes room. Where the filter is not permitted, that room is all
        // that is lost.
        let _ = sys::set_socket_filter(socket.raw(), &TAKES_NOTHING);
        sys::bind_netlink(socket.as_fd(), 0)?;
        Ok(Teller(socket))
    }

    /// Sends the events to those who listen, strikes off those who are gone, and notes who has lost
    /// one. Returns whether the listeners have changed. Never blocks.
    pub fn tell(&self, listeners: &mut Vec<Listener>, events: &[Event]) -> bool {
        if events.is_empty() || listeners.is_empty() {
            return false;
        }
        let before = listeners.len();
        let mut lost = false;
        let sockets = sockets();
        listeners.retain_mut(|listener| {
            if self.is_gone(listener, &sockets) {
                return false;
            }
            for event in events {
                if !has_joined(listener, event.group) || event.except == listener.port {
                    continue;
                }
                // Without the seal the kernel throws the event away.
                let parts: [&[u8]; 2] = [&event.message, &listener.seal];
                match sys::send_netlink(self.0.raw(), listener.port, &parts) {
                    Ok(()) => {}
                    Err(Errno(libc::ECONNREFUSED)) => return false,
                    Err(_) => {
                        lost |= listener.groups & OVERRUN == 0;
                        listener.groups |= OVERRUN;
                    }
                }
            }
            true
        });
        lost || listeners.len() < before
    }

    /// Strikes off listeners that are gone. Returns whether there was one.
    pub fn strike_off(&self, listeners: &mut Vec<Listener>) -> bool {
        let before = listeners.len();
        if before > 0 {
            let sockets = sockets();
            listeners.retain(|listener| !self.is_gone(listener, &sockets));
        }
        listeners.len() < before
    }

    /// Returns whether a listener's socket is closed. `sockets` is what /proc lists.
    ///
    /// The list is no snapshot: the kernel goes on at a number of lines behind each page, and skips
    /// a socket where one before it was closed meanwhile. So a port that is listed for another
    /// socket says that the listener is gone, and a port that is not listed says nothing. That is
    /// asked of the port itself: a byte without the seal is thrown away by the listener's filter,
    /// and refused where there is no socket.
    fn is_gone(&self, listener: &Listener, sockets: &HashMap<u32, u64>) -> bool {
        match sockets.get(&listener.port) {
            Some(inode) => *inode != listener.inode,
            None => {
                let sent = sys::send_netlink(self.0.raw(), listener.port, &[&[0]]);
                sent == Err(Errno(libc::ECONNREFUSED))
            }
        }
    }
}

fn has_joined(listener: &Listener, group: u8) -> bool {
    (1..=64).contains(&group) && listener.groups & 1 << (group - 1) != 0
}

/// Returns the inode of each netlink socket to which events can be sent, by its port. Nothing
/// where /proc does not say.
fn sockets() -> HashMap<u32, u64> {
    let text = std::fs::read_to_string("/proc/net/netlink").unwrap_or_default();
    parse(&text)
}

/// Parses /proc/net/netlink: sk, protocol, port, groups, rmem, wmem, dump, locks, drops, inode.
fn parse(text: &str) -> HashMap<u32, u64> {
    let lines = text.lines().skip(1);
    let sockets = lines.filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let protocol: i32 = words.get(1)?.parse().ok()?;
        let socket = (words.get(2)?.parse().ok()?, words.last()?.parse().ok()?);
        (protocol == libc::NETLINK_USERSOCK).then_some(socket)
    });
    sockets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn listener() -> (Fd, Listener) {
        let socket =
            sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK).expect("socket");
        sys::bind_netlink(socket.as_fd(), 0).expect("bind");
        let inode = sys::fstat(socket.as_raw_fd()).expect("fstat").st_ino;
        let port = sys::netlink_name(socket.raw()).expect("a name").port;
        let listener = Listener {
            port,
            inode,
            groups: 1,
            seal: *b"0123456789abcdef",
        };
        (socket, listener)
    }

    fn event(group: u8) -> Event {
        Event {
            group,
            message: vec![group; 40],
            except: 0,
        }
    }

    #[test]
    fn who_has_joined_the_group_is_told_and_who_is_gone_is_struck_off() {
        let teller = Teller::new().expect("socket");
        let (stays, first) = listener();
        let (goes, second) = listener();
        let mut listeners = vec![first.clone(), second];
        assert!(!teller.tell(&mut listeners, &[event(1), event(3)]));
        let mut room = [0; 64];
        assert_eq!(sys::receive(stays.as_fd(), &mut room, 0), Ok(40 + 16));
        assert_eq!(room[0], 1);
        assert_eq!(room[40..56], first.seal);
        assert_eq!(
            sys::receive(stays.as_fd(), &mut room, 0),
            Err(Errno(libc::EAGAIN)),
            "the other group is not heard"
        );
        drop(goes);
        assert!(teller.tell(&mut listeners, &[event(1)]));
        assert_eq!(listeners, [first]);
    }

    #[test]
    fn what_others_send_takes_no_room() {
        let teller = Teller::new().expect("socket");
        let port = sys::netlink_name(teller.0.raw()).expect("a name").port;
        let other =
            sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK).expect("socket");
        // More than the queue of a socket holds.
        for _ in 0..2000 {
            sys::send_netlink(other.raw(), port, &[&[0; 1000]]).expect("sent");
        }
        assert_eq!(
            sys::receive(teller.0.as_fd(), &mut [0; 64], 0),
            Err(Errno(libc::EAGAIN))
        );
    }

    #[test]
    fn another_socket_with_the_port_is_not_told() {
        let teller = Teller::new().expect("socket");
        let (socket, mut it) = listener();
        it.inode += 1;
        assert!(teller.tell(&mut vec![it], &[event(1)]));
        assert_eq!(
            sys::receive(socket.as_fd(), &mut [0; 64], 0),
            Err(Errno(libc::EAGAIN))
        );
    }

    #[test]
    fn sockets_that_others_open_and_close_meanwhile_cost_no_listener() {
        let teller = Teller::new().expect("socket");
        let open = || {
            let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK)
                .expect("socket");
            sys::bind_netlink(socket.as_fd(), 0).expect("bind");
            socket
        };
        // So many that /proc hands the list out in several pages.
        let others: Vec<Fd> = (0..200).map(|_| open()).collect();
        let (_sockets, mut listeners): (Vec<Fd>, Vec<Listener>) =
            (0..20).map(|_| listener()).unzip();
        let known = listeners.len();
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    drop((0..50).map(|_| open()).collect::<Vec<Fd>>());
                }
            });
            for _ in 0..300 {
                teller.strike_off(&mut listeners);
            }
            ends.store(true, Ordering::Relaxed);
        });
        assert_eq!(listeners.len(), known);
        drop(others);
    }

    #[test]
    fn a_listener_that_never_reads_does_not_block() {
        let teller = Teller::new().expect("socket");
        let (_socket, it) = listener();
        let many: Vec<Event> = (0..10_000).map(|_| event(1)).collect();
        let mut listeners = vec![it];
        assert!(teller.tell(&mut listeners, &many), "it has lost some");
        assert_eq!(listeners[0].groups, 1 | OVERRUN, "it is not struck off");
        assert!(!teller.tell(&mut listeners, &many), "that is known");
    }
}
