//! The multicast groups of a netlink socket, its names, and its options. The kernel lets nobody
//! without privileges join a group of NETLINK_USERSOCK, so the groups are kept by the host process,
//! which sends what a group hears to the socket's port.
#![forbid(unsafe_code)]

use super::seal::Note;
use super::{generic, mark, seal, Netlink, Outcome, SOL_NETLINK};
use crate::host::{asked, question, Host};
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::bpf::Instruction;
use memtun_stack::ask::{self, Question, What};
use memtun_stack::family::family;
use memtun_stack::state::{self, OVERRUN};
use memtun_sys::{self as sys, NetlinkName, NETLINK_NAME};

/// RTNLGRP_MAX: the number of groups of NETLINK_ROUTE.
const GROUPS: u32 = 39;
/// Bits of all groups.
const ALL: u64 = (1 << GROUPS) - 1;
/// Groups that only an administrator may join: RTNLGRP_IPV4_MROUTE_R and RTNLGRP_IPV6_MROUTE_R.
const GUARDED: u64 = 1 << 29 | 1 << 30;
/// Length in bytes of the list that NETLINK_LIST_MEMBERSHIPS gives.
const LIST: usize = 8;

const EINVAL: Errno = Errno(libc::EINVAL);

/// Returns what stands for the value of an option that the socket itself does not have.
fn note_of(level: i32, option: i32) -> Option<Note> {
    match (level, option) {
        (libc::SOL_SOCKET, libc::SO_RCVLOWAT) => Some(Note::LowWater),
        (libc::SOL_SOCKET, libc::SO_MARK) => Some(Note::Mark),
        (libc::SOL_SOCKET, libc::SO_PRIORITY) => Some(Note::Priority),
        (SOL_NETLINK, libc::NETLINK_LISTEN_ALL_NSID) => Some(Note::AllNamespaces),
        _ => None,
    }
}

impl<H: Host, M: Memory> Netlink<'_, H, M> {
    /// Reads the address that the program gives to bind(2) or connect(2). None means that the
    /// kernel refuses it.
    fn name(&self, name: usize, length: usize) -> Option<NetlinkName> {
        let mut bytes = [0; NETLINK_NAME];
        if length < NETLINK_NAME || self.memory.read(name, &mut bytes).is_err() {
            return None;
        }
        let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        (family == libc::AF_NETLINK).then(|| NetlinkName::of_bytes(&bytes))
    }

    /// Does the address that the program gives to connect(2) end a connection (AF_UNSPEC)?
    fn ends_connection(&self, name: usize, length: usize) -> bool {
        let mut family = [0; 2];
        length >= family.len()
            && self.memory.read(name, &mut family).is_ok()
            && i32::from(u16::from_ne_bytes(family)) == libc::AF_UNSPEC
    }

    /// Binds the socket (`netlink_bind`): the port is the kernel's affair, the groups are not.
    ///
    /// # Errors
    ///
    /// - EPERM for a group that only an administrator may join.
    /// - What bind(2) fails with for the port.
    /// - What telling the host process fails with.
    pub fn bind(&self, name: usize, length: usize) -> Result<Outcome, Errno> {
        let Some(name) = self.name(name, length) else {
            return Ok(Outcome::Kernel);
        };
        if name.groups != 0 && self.hears_machine_alone()? {
            return Ok(Outcome::Machine);
        }
        let groups = self.allowed(name.groups)?;
        let listens = self.state & mark::LISTENS != 0;
        // A port that the socket has already is refused by the kernel only if it is another one.
        if self.state & mark::UNBOUND == 0 || name.port != 0 {
            sys::bind_port(self.fd, name.port)?;
        }
        if self.state & mark::UNBOUND != 0 {
            mark::change(self.fd, 0, mark::UNBOUND);
        }
        if groups != 0 || listens {
            let named = if self.is_generic() {
                u64::MAX
            } else {
                u32::MAX.into()
            };
            self.listen(|now| now & !named | groups)?;
        }
        Ok(Outcome::Done(0))
    }

    /// Connects the socket (`netlink_connect`). The peer of a socket that is connected to the
    /// kernel is what it was before, and the socket itself must stay able to hear from its own
    /// port.
    ///
    /// # Errors
    ///
    /// - EPERM for another peer, unless the program may administrate the network.
    /// - What bind(2) fails with.
    pub fn connect(&self, name: usize, length: usize) -> Result<Outcome, Errno> {
        let Some(peer) = self.name(name, length) else {
            if self.ends_connection(name, length) {
                mark::change(self.fd, 0, mark::CONNECTED);
            }
            return Ok(Outcome::Kernel);
        };
        if peer != NetlinkName::default() && !self.is_administrator() {
            return Err(Errno(libc::EPERM));
        }
        if peer.port != 0 {
            mark::change(self.fd, mark::CONNECTED, 0);
            return Ok(Outcome::Kernel);
        }
        self.port()?;
        if self.state & mark::CONNECTED != 0 {
            sys::disconnect(self.fd)?;
            mark::change(self.fd, 0, mark::CONNECTED);
        }
        Ok(Outcome::Done(0))
    }

    /// Corrects what getsockname(2) has stored at `name` for `length` bytes: the groups, and a port
    /// that the program has not asked for.
    pub fn own_name(&self, name: usize, length: usize) {
        if self.state & mark::UNBOUND != 0 && length >= 8 {
            let _ = self.memory.write(name + 4, &[0; 4]);
        }
        if self.state & mark::LISTENS != 0 && length >= NETLINK_NAME {
            let groups = self.shown_groups() as u32;
            let _ = self.memory.write(name + 8, &groups.to_ne_bytes());
        }
    }

    /// Answers setsockopt(2) with a value of `length` bytes at `value`.
    ///
    /// # Errors
    ///
    /// - EFAULT when the value cannot be read.
    /// - EINVAL for a group that does not exist.
    /// - EPERM for a group that only an administrator may join.
    /// - What telling the host process fails with.
    pub fn set_option(
        &self,
        level: i32,
        option: i32,
        value: usize,
        length: usize,
    ) -> Result<Outcome, Errno> {
        let joins = match (level, option) {
            (SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP) => true,
            (SOL_NETLINK, libc::NETLINK_DROP_MEMBERSHIP) => false,
            _ if self.is_noted(level, option) => {
                return self.set_noted(level, option, value, length);
            }
            (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER) => {
                return self.attach(value, length).map(|()| Outcome::Done(0));
            }
            (libc::SOL_SOCKET, libc::SO_DETACH_FILTER) if length >= 4 => {
                self.memory.read(value, &mut [0; 4])?;
                return seal::detach(self.fd).map(|()| Outcome::Done(0));
            }
            // What was lost while the program did not want to hear of it is not told later.
            (SOL_NETLINK, libc::NETLINK_NO_ENOBUFS) if self.state & mark::LISTENS != 0 => {
                self.take_overrun();
                return Ok(Outcome::Kernel);
            }
            (libc::SOL_SOCKET, libc::SO_ATTACH_BPF) if length == 4 => {
                let mut program = [0; 4];
                self.memory.read(value, &mut program)?;
                let is_locked = sys::int_option(self.fd, libc::SOL_SOCKET, libc::SO_LOCK_FILTER);
                if is_locked.is_ok_and(|locked| locked != 0) {
                    return Err(Errno(libc::EPERM));
                }
                // A program of the other language cannot be joined with the filter that is there.
                // What is none, the kernel refuses for another socket as well.
                let other = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK)?;
                let program = i32::from_ne_bytes(program);
                sys::set_int_option(other.raw(), libc::SOL_SOCKET, option, program)?;
                return Err(Errno(libc::EPERM));
            }
            _ => return Ok(Outcome::Kernel),
        };
        if self.hears_machine_alone()? {
            return Ok(Outcome::Machine);
        }
        let mut bytes = [0; 4];
        if length >= 4 {
            self.memory.read(value, &mut bytes)?;
        }
        let bit = match u32::from_ne_bytes(bytes) {
            group if self.is_generic() => self.generic_group(group, joins)?,
            group if !(1..=GROUPS).contains(&group) => return Err(EINVAL),
            group => 1 << (group - 1),
        };
        if joins && !self.is_generic() && bit & GUARDED != 0 && !self.is_administrator() {
            return Err(Errno(libc::EPERM));
        }
        mark::change(self.fd, mark::LISTENS, 0);
        if bit == 0 {
            return Ok(Outcome::Done(0));
        }
        self.listen(|now| if joins { now | bit } else { now & !bit })?;
        Ok(Outcome::Done(0))
    }

    /// Is what the program sets with this option only noted?
    fn is_noted(&self, level: i32, option: i32) -> bool {
        match note_of(level, option) {
            None => false,
            Some(Note::LowWater) => true,
            // Who may administrate the net may set these of a socket of the net.
            Some(_) => self.is_administrator(),
        }
    }

    /// Notes the value of an option that the kernel lets nobody set without privileges, or that is
    /// not the socket's own.
    fn set_noted(
        &self,
        level: i32,
        option: i32,
        value: usize,
        length: usize,
    ) -> Result<Outcome, Errno> {
        let mut bytes = [0; 4];
        if length >= bytes.len() {
            self.memory.read(value, &mut bytes)?;
        } else if level != SOL_NETLINK {
            return Err(EINVAL);
        }
        let given = i32::from_ne_bytes(bytes);
        let Some(note) = note_of(level, option) else {
            return Ok(Outcome::Kernel);
        };
        let noted = match note {
            Note::LowWater if given < 0 => i32::MAX,
            Note::AllNamespaces => i32::from(given != 0),
            _ => given,
        };
        // What a locked filter cannot note changes nothing else.
        let _ = seal::note(self.fd, note, noted as u32);
        Ok(Outcome::Done(0))
    }

    /// Answers getsockopt(2) of the program's own filter (`sk_get_filter`), for which there is room
    /// at `value`, and at `length` stands for how many instructions that is.
    ///
    /// # Errors
    ///
    /// - EFAULT when the memory cannot be used.
    /// - EINVAL when there is not enough room.
    pub fn get_filter(&self, value: usize, length: usize) -> Result<Outcome, Errno> {
        let mut room = [0; 4];
        self.memory.read(length, &mut room)?;
        let room = usize::try_from(i32::from_ne_bytes(room)).map_err(|_| EINVAL)?;
        let count = seal::program(self.fd, |_, _| {});
        if count > 0 && room > 0 {
            if room < count {
                return Err(EINVAL);
            }
            let mut written = Ok(());
            seal::program(self.fd, |which, next| {
                let at = value + which * Instruction::SIZE;
                written = written.and_then(|()| self.memory.write(at, &next.to_bytes()));
            });
            written?;
        }
        self.memory.write(length, &(count as u32).to_ne_bytes())?;
        Ok(Outcome::Done(0))
    }

    /// Attaches the filter of which `length` bytes at `value` tell (`struct sock_fprog`).
    fn attach(&self, value: usize, length: usize) -> Result<(), Errno> {
        let mut program = [0; size_of::<libc::sock_fprog>()];
        if length != program.len() {
            return Err(EINVAL);
        }
        self.memory.read(value, &mut program)?;
        let count = u16::from_ne_bytes([program[0], program[1]]);
        let mut code = [0; size_of::<usize>()];
        code.copy_from_slice(&program[size_of::<usize>()..]);
        let code = usize::from_ne_bytes(code);
        seal::attach(self.fd, count.into(), |room| self.memory.read(code, room))
    }

    /// Corrects what getsockopt(2) has stored at `value`; at `length` it has stored how many bytes
    /// that are, of `room` that there were.
    pub fn got_option(&self, level: i32, option: i32, value: usize, length: usize, room: usize) {
        let mut stored = [0; 4];
        if self.memory.read(length, &mut stored).is_err() {
            return;
        }
        let stored = (u32::from_ne_bytes(stored) as usize).min(4);
        let int = |shown: i32| self.memory.write(value, &shown.to_ne_bytes()[..stored]);
        let _ = match (level, option) {
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => int(self.protocol()),
            (libc::SOL_SOCKET, libc::SO_RCVLOWAT) => {
                int(seal::noted(self.fd, Note::LowWater).max(1) as i32)
            }
            (libc::SOL_SOCKET, libc::SO_ERROR) if self.take_loss() => int(libc::ENOBUFS),
            // The memory of the filter is the program's only where it has one.
            (libc::SOL_SOCKET, libc::SO_MEMINFO) if room >= 28 && !seal::has_program(self.fd) => {
                self.memory.write(value + 24, &[0; 4])
            }
            _ if note_of(level, option).is_some() => {
                match note_of(level, option).map_or(0, |note| seal::noted(self.fd, note)) {
                    0 => Ok(()),
                    noted => int(noted as i32),
                }
            }
            (SOL_NETLINK, libc::NETLINK_LIST_MEMBERSHIPS) => {
                let listens = self.state & mark::LISTENS != 0;
                let list = if listens { LIST } else { 0 };
                let groups = self.shown_groups().to_ne_bytes();
                // Only whole words are given.
                let _ = self.memory.write(value, &groups[..room.min(list) & !3]);
                self.memory.write(length, &(list as u32).to_ne_bytes())
            }
            _ => Ok(()),
        };
    }

    /// Are there only the machine's groups: of generic netlink because the net has no interface,
    /// and of sockets always?
    fn hears_machine_alone(&self) -> Result<bool, Errno> {
        Ok(match self.protocol() {
            libc::NETLINK_GENERIC => asked(self.host)?.is_none(),
            protocol => protocol == libc::NETLINK_SOCK_DIAG,
        })
    }

    /// Returns the bits of the groups in the address of bind(2), if the program may join them.
    fn allowed(&self, groups: u32) -> Result<u64, Errno> {
        if !self.is_generic() {
            let groups = u64::from(groups);
            return match groups & GUARDED != 0 && !self.is_administrator() {
                true => Err(Errno(libc::EPERM)),
                false => Ok(groups),
            };
        }
        let each = (1..=u32::BITS).filter(|group| groups >> (group - 1) & 1 != 0);
        let mut bits = 0;
        for group in each {
            bits |= self.generic_group(group, true)?;
        }
        Ok(bits)
    }

    /// Returns the bit of a group of generic netlink, 0 for one of which only the machine tells.
    fn generic_group(&self, group: u32, joins: bool) -> Result<u64, Errno> {
        if family().is_some_and(|family| family.monitor == group && group != 0) {
            return Ok(generic::MONITOR);
        }
        if joins {
            generic::try_group(group)?;
        }
        Ok(0)
    }

    /// Returns the bits of the groups that the socket has joined, as the program knows them.
    fn shown_groups(&self) -> u64 {
        let groups = self.groups().unwrap_or(0);
        if !self.is_generic() {
            return groups;
        }
        let monitor = family().map_or(0, |family| family.monitor);
        match groups & generic::MONITOR != 0 && (1..=u64::BITS).contains(&monitor) {
            true => 1 << (monitor - 1),
            false => 0,
        }
    }

    /// Returns the bits of the groups that the socket has joined.
    fn groups(&self) -> Result<u64, Errno> {
        match self.host.existing() {
            Some(net) => {
                state::groups_of(net, sys::fstat(self.fd)?.st_ino).map(|groups| groups & !OVERRUN)
            }
            None => Ok(0),
        }
    }

    /// Has the socket lost an event since the last time?
    pub(super) fn is_overrun(&self) -> bool {
        let all = || {
            let net = self.host.existing()?;
            let inode = sys::fstat(self.fd).ok()?.st_ino;
            state::groups_of(net, inode).ok()
        };
        all().is_some_and(|groups| groups & OVERRUN != 0)
    }

    /// The same, and the host process forgets it then.
    pub(super) fn take_overrun(&self) -> bool {
        self.is_overrun() && self.listen(|now| now).is_ok()
    }

    /// Changes the groups of the socket, and tells the host process.
    fn listen(&self, change: impl Fn(u64) -> u64) -> Result<(), Errno> {
        let net = self.host.make()?;
        let inode = sys::fstat(self.fd)?.st_ino;
        let all = if self.is_generic() {
            generic::MONITOR
        } else {
            ALL
        };
        let groups = change(state::groups_of(net, inode)?) & all;
        let unbound = match sys::netlink_name(self.fd)?.port {
            0 => mark::UNBOUND,
            _ => 0,
        };
        mark::change(self.fd, mark::LISTENS | unbound, 0);
        let question = Question {
            port: self.port()?,
            ..question(self.host, What::Listen)
        };
        // Without a seal the socket is not this library's any more.
        let seal = seal::of(self.fd).ok_or(EINVAL)?;
        let payload: [&[u8]; 3] = [&inode.to_ne_bytes(), &groups.to_ne_bytes(), &seal];
        ask::ask(net, self.host.start(), &question, &payload, &mut |_| {})
    }
}
