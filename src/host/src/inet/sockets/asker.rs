//! Who asks about a socket.
#![forbid(unsafe_code)]

use super::rules::Name;
use memtun_stack::sockets::question::{set, SocketQuestion};
use memtun_stack::sockets::{flag, Entry};
use std::net::{IpAddr, SocketAddr};

/// Who asks about a socket.
pub struct Asker<'q> {
    /// The question.
    pub question: &'q SocketQuestion,
    /// The user.
    pub uid: u32,
    /// The process.
    pub pid: u32,
}

impl Asker<'_> {
    /// Is the socket one of AF_INET6?
    pub fn is_v6(&self) -> bool {
        i32::from(self.question.family) == libc::AF_INET6
    }

    /// Returns the name that the socket would have with this address.
    pub fn name(&self, address: IpAddr) -> Name {
        let set = |bit| self.question.flags & bit != 0;
        Name {
            protocol: self.question.protocol,
            v6: self.is_v6(),
            v6_only: set(set::V6ONLY),
            address,
            device: self.question.device,
            reuse: set(set::REUSE_ADDRESS),
            reuse_port: set(set::REUSE_PORT),
            uid: self.uid,
            listens: false,
        }
    }

    /// Returns the entry of a socket that has got this name without asking for it.
    pub fn entry(&self, local: SocketAddr, native: SocketAddr) -> Entry {
        Entry {
            cookie: self.question.cookie,
            inode: self.question.inode,
            uid: self.uid,
            protocol: self.question.protocol,
            family: self.question.family,
            local,
            native,
            remote: None,
            flow: None,
            device: self.question.device,
            flags: flags_of(self.question),
        }
    }
}

/// Returns the flags of an entry for a question.
pub fn flags_of(question: &SocketQuestion) -> u32 {
    let pairs = [
        (set::V6ONLY, flag::V6ONLY),
        (set::REUSE_ADDRESS, flag::REUSE_ADDRESS),
        (set::REUSE_PORT, flag::REUSE_PORT),
        (set::RECEIVES_ERRORS, flag::RECEIVES_ERRORS),
        (set::JOINED_ONLY, flag::JOINED_ONLY),
        (set::JOINED_ONLY_V6, flag::JOINED_ONLY_V6),
    ];
    let set = pairs.iter().filter(|(bit, _)| question.flags & bit != 0);
    set.fold(0, |flags, (_, flag)| flags | flag)
}
