//! A socket that has a name: an option of it was set, or it had the name before the net had an
//! address.
#![forbid(unsafe_code)]

use super::asker::{flags_of, Asker};
use super::names::{is_any, plain};
use super::Sockets;
use memtun_abi::Errno;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{flag, Entry, Protocol};
use std::net::Ipv6Addr;

/// Flags of an entry that say how it got its name.
const OF_NAME: u32 = flag::LISTENS | flag::FALLBACK | flag::ADDRESS_GIVEN | flag::PORT_GIVEN;

impl Sockets {
    /// Notes what a socket is now that has a name already.
    ///
    /// # Errors
    ///
    /// ENOBUFS, or what else keeps the table from having it.
    pub fn refresh(&mut self, asker: &Asker<'_>) -> Result<SocketAnswer, Errno> {
        let question = asker.question;
        let Some(open) = &self.open else {
            return Ok(SocketAnswer::Machine);
        };
        let known = open.writer.socket(question.cookie).map(|known| known.entry);
        let flags = flags_of(question);
        let entry = match (known, question.native) {
            (Some(known), _) => Entry {
                flags: flags | known.flags & OF_NAME,
                device: question.device,
                ..known
            },
            // A name that stands for any address is the net's as well.
            (None, Some(native)) if is_any(native.ip()) => {
                let entry = asker.entry(native, native);
                Entry {
                    flags: flags | flag::PORT_GIVEN,
                    ..entry
                }
            }
            // It talks to sockets of the net, from the machine's loopback.
            (None, Some(_)) => match self.of_machine(asker) {
                Some(entry) => entry,
                None => return Ok(SocketAnswer::Machine),
            },
            _ => return Ok(SocketAnswer::Machine),
        };
        let open = self.open.as_mut().ok_or(Errno(libc::ENETDOWN))?;
        open.put(&entry, asker.pid)?;
        Ok(SocketAnswer::Done)
    }

    /// Returns what is known of a socket that the table does not have, and that is bound to an
    /// address of the machine's loopback.
    pub(super) fn of_machine(&self, asker: &Asker<'_>) -> Option<Entry> {
        let table = self.open.as_ref()?.writer.table();
        let native = asker.question.native?;
        let is_alias = native_v4(native.ip()).is_some_and(|v4| table.is_alias(v4));
        if is_alias || !native.ip().to_canonical().is_loopback() {
            return None;
        }
        let entry = asker.entry(plain(native), native);
        // What is bound to an address of IPv6 natively says that it is one of IPv6 alone; otherwise
        // it has the address because it is connected.
        let connected = native.ip() == Ipv6Addr::LOCALHOST
            && entry.protocol == Protocol::Udp
            && entry.flags & flag::V6ONLY == 0;
        let given = if connected { 0 } else { flag::ADDRESS_GIVEN };
        Some(Entry {
            flags: entry.flags | given | flag::PORT_GIVEN,
            ..entry
        })
    }
}
