//! What a program receives on a netlink socket (`netlink_recvmsg`): the datagrams come from the
//! socket itself or from the host process, and the program is shown the kernel as their sender.
#![forbid(unsafe_code)]

use super::{answer, mark, Netlink, SOL_NETLINK};
use crate::host::Host;
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_stack::family;
use memtun_stack::wire::HEADER;
use memtun_sys::{self as sys, NetlinkName, NETLINK_NAME};

/// Where the parts of a datagram are that a receive has stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Address of the sender's address, 0 where the program does not want it.
    pub name: usize,
    /// Length in bytes of the sender's address.
    pub name_length: usize,
    /// Address of the control messages.
    pub control: usize,
    /// Length in bytes of the control messages.
    pub control_length: usize,
    /// Address of the first bytes of the datagram.
    pub bytes: usize,
    /// How many bytes of the datagram stand there.
    pub length: usize,
}

impl<H: Host, M: Memory> Netlink<'_, H, M> {
    /// Called before a receive. An answer that had no room in the queue goes on.
    ///
    /// # Errors
    ///
    /// ENOBUFS when an answer or an event was lost, once.
    #[inline]
    pub fn before_receive(&self) -> Result<(), Errno> {
        if self.state & (mark::GOES_ON | mark::LOST | mark::LISTENS) == 0 {
            return Ok(());
        }
        self.catch_up()
    }

    #[cold]
    fn catch_up(&self) -> Result<(), Errno> {
        if self.take_loss() {
            return Err(Errno(libc::ENOBUFS));
        }
        if self.state & mark::GOES_ON != 0 {
            answer::go_on(self.host, self.fd);
        }
        Ok(())
    }

    /// Has something been lost of which the program is still to be told, so that poll(2) reports
    /// an error?
    pub fn has_lost(&self) -> bool {
        let event = || self.state & mark::LISTENS != 0 && self.may_overrun() && self.is_overrun();
        (self.state & mark::LOST != 0 || event()) && self.wants_loss()
    }

    /// Does the program want to hear of what was lost?
    fn wants_loss(&self) -> bool {
        let told = sys::int_option(self.fd, SOL_NETLINK, libc::NETLINK_NO_ENOBUFS);
        told.is_ok_and(|unwanted| unwanted == 0)
    }

    /// Has something been lost of which the program is to be told? It is told once.
    pub(super) fn take_loss(&self) -> bool {
        let answer = self.state & mark::LOST != 0;
        if answer {
            mark::change(self.fd, 0, mark::LOST);
        }
        let listens = self.state & mark::LISTENS != 0;
        let event = listens && self.may_overrun();
        if !answer && !event {
            return false;
        }
        self.wants_loss() && (answer | (event && self.take_overrun()))
    }

    /// May an event have found no room since the last receive? The queue is still long then. Only a
    /// small one can be short again after a single receive.
    fn may_overrun(&self) -> bool {
        /// Length in bytes of a queue that holds several of the longest events.
        const SEVERAL: u32 = 32 << 10;
        sys::receive_queue(self.fd).is_ok_and(|(queued, room)| room < SEVERAL || queued > room / 2)
    }

    /// Called after a receive: shows the kernel as the sender. The kernel has stored what `at`
    /// says, so the memory may be one that is not tried first.
    pub fn received(&self, at: &Received) {
        let mut name = [0; NETLINK_NAME];
        let named = at.name != 0
            && at.name_length >= NETLINK_NAME
            && self.memory.read(at.name, &mut name).is_ok();
        let from = NetlinkName::of_bytes(&name).port;
        if named && from == 0 {
            return;
        }
        // What the host process sends by itself is an event; answers come from the socket itself,
        // whose port stands in their messages.
        let is_own = || sys::netlink_name(self.fd).is_ok_and(|own| own.port == from);
        let is_event = named && self.port_in(at) != Some(from) && !is_own();
        let group = if is_event { self.group_of(at) } else { 0 };
        if named {
            let shown = NetlinkName {
                port: 0,
                groups: if group == 0 {
                    0
                } else {
                    1u32.wrapping_shl(group - 1)
                },
            };
            let _ = self.memory.write(at.name, &shown.to_bytes());
        }
        self.show_control(at, group);
    }

    /// Returns the port in the header of the first message.
    fn port_in(&self, at: &Received) -> Option<u32> {
        let mut port = [0; 4];
        if at.length < HEADER {
            return None;
        }
        self.memory.read(at.bytes + HEADER - 4, &mut port).ok()?;
        Some(u32::from_ne_bytes(port))
    }

    /// Corrects the control messages: the group of NETLINK_PKTINFO, and the sender of
    /// SCM_CREDENTIALS.
    fn show_control(&self, at: &Received, group: u32) {
        const HEAD: usize = size_of::<libc::cmsghdr>();
        let mut offset = 0;
        while offset + HEAD <= at.control_length {
            let mut head = [0; HEAD];
            if self.memory.read(at.control + offset, &mut head).is_err() {
                return;
            }
            let word =
                |i: usize| i32::from_ne_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
            let mut length = [0; size_of::<usize>()];
            length.copy_from_slice(&head[..size_of::<usize>()]);
            let length = usize::from_ne_bytes(length);
            let data = at.control + offset + HEAD;
            match (word(HEAD - 8), word(HEAD - 4)) {
                (SOL_NETLINK, libc::NETLINK_PKTINFO) if length >= HEAD + 4 => {
                    let _ = self.memory.write(data, &group.to_ne_bytes());
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= HEAD + 12 => {
                    let _ = self.memory.write(data, &[0; 12]);
                }
                _ => {}
            }
            if length < HEAD {
                return;
            }
            offset += length.next_multiple_of(size_of::<usize>());
        }
    }

    /// Returns the group that hears of what the datagram says (RTNLGRP_*), 0 when that is unknown
    /// and for a part of a dump, which is no event.
    fn group_of(&self, at: &Received) -> u32 {
        let mut bytes = [0; 17];
        if at.length < bytes.len() || self.memory.read(at.bytes, &mut bytes).is_err() {
            return 0;
        }
        let (kind, of) = (u16::from_ne_bytes([bytes[4], bytes[5]]), bytes[16]);
        if u16::from_ne_bytes([bytes[6], bytes[7]]) & libc::NLM_F_MULTI as u16 != 0 {
            return 0;
        }
        if self.is_generic() {
            return family::family().map_or(0, |family| family.monitor);
        }
        group_of(kind, of.into())
    }
}

/// Returns the group that hears of messages of this type and family.
fn group_of(kind: u16, family: i32) -> u32 {
    let v6 = family == libc::AF_INET6;
    let of = |v4: u32, of_v6: u32| if v6 { of_v6 } else { v4 };
    match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => of(1, 12),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => of(5, 9),
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => of(7, 11),
        libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => 3,
        libc::RTM_NEWRULE | libc::RTM_DELRULE => of(8, 19),
        libc::RTM_NEWPREFIX => 18,
        libc::RTM_NEWNDUSEROPT => 20,
        libc::RTM_NEWNETCONF | RTM_DELNETCONF => of(24, 25),
        RTM_NEWNSID | RTM_DELNSID => 28,
        RTM_NEWNEXTHOP | RTM_DELNEXTHOP => 32,
        libc::RTM_NEWQDISC..=libc::RTM_GETTFILTER => 4,
        _ => 0,
    }
}

const RTM_DELNETCONF: u16 = 81;
const RTM_NEWNSID: u16 = 88;
const RTM_DELNSID: u16 = 89;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
