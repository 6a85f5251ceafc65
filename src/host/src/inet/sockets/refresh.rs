//! A socket that has a name: an option of it was set, or it had the name before the net had an
//! address.
#![forbid(unsafe_code)]

use super::asker::{flags_of, Asker};
use super::Sockets;
use memtun_abi::Errno;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{flag, Entry};
use std::net::SocketAddr;

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
        let Some(open) = &mut self.open else {
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
            (None, Some(native)) if is_any(&native) => {
                let entry = asker.entry(native, native);
                Entry {
                    flags: flags | flag::PORT_GIVEN,
                    ..entry
                }
            }
            _ => return Ok(SocketAnswer::Machine),
        };
        open.put(&entry, asker.pid)?;
        Ok(SocketAnswer::Done)
    }
}

fn is_any(native: &SocketAddr) -> bool {
    match native_v4(native.ip()) {
        Some(v4) => v4.is_unspecified(),
        None => native.ip().is_unspecified(),
    }
}
