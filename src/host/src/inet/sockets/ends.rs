//! Why a connection has ended, where the native socket can only say that it was reset: the errno is
//! raised for the program's socket, and the library gives it in place of the native one.
#![forbid(unsafe_code)]

use super::names::native_protocol;
use super::Sockets;
use memtun_abi::Errno;
use memtun_stack::sockets::{flag, Entry, Flow};
use std::net::SocketAddr;

impl Sockets {
    /// Notes how the connection of a socket ends, before its native socket is told.
    pub fn note_end(&mut self, entry: &Entry, asker: u32, errno: Errno) {
        let Some(open) = &mut self.open else { return };
        // Without room the program hears what the native socket says.
        if open.put(entry, asker).is_ok() {
            if let Some(row) = open.writer.row_of(entry.cookie) {
                open.writer.raise(row, errno);
            }
        }
    }

    /// Does the same for a connection that was there, by the native names of its program's end.
    pub fn note_end_of(&mut self, own: SocketAddr, other: SocketAddr, flow: &Flow, errno: Errno) {
        let Some(native) = self.native(flow.protocol, own, other) else {
            return;
        };
        let known = self.open.as_ref().and_then(|open| {
            let known = open.writer.socket(native.cookie)?;
            Some((known.entry, known.asker))
        });
        if native.cookie == 0 {
            // Where the kernel does not tell of its sockets fully.
            return;
        }
        let entry = || Entry {
            cookie: native.cookie,
            inode: native.inode,
            uid: native.uid,
            protocol: native_protocol(flow.protocol),
            family: match native.own {
                SocketAddr::V4(_) => libc::AF_INET,
                SocketAddr::V6(_) => libc::AF_INET6,
            } as u16,
            local: flow.local,
            native: native.own,
            remote: None,
            flow: None,
            device: 0,
            flags: flag::ADDRESS_GIVEN,
        };
        let (entry, asker) = known.unwrap_or_else(|| (entry(), 0));
        self.note_end(&entry, asker, errno);
    }
}
