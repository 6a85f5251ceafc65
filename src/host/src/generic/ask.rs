//! One request of the family, and the head of its answers.
#![forbid(unsafe_code)]

use super::command::{STATS_GET, TSINFO_GET};
use super::device::Device;
use crate::netlink::policy::Parsed;
use crate::netlink::request::MULTI;
use crate::netlink::Request;
use crate::Failure;
use memtun_stack::wire::Writer;

/// Length in bytes of `struct genlmsghdr`.
pub(super) const GENERIC: usize = 4;
/// Version of the family.
pub(super) const VERSION: u8 = 1;
/// The header's attribute in most commands, and in that of statistics.
const HEADER: u16 = 1;
const STATISTICS_HEADER: u16 = 2;

/// A request of the family, with its attributes.
pub(super) struct Ask<'r, 'b> {
    pub(super) request: &'r Request<'b>,
    pub(super) command: u8,
    pub(super) tb: Parsed<'b>,
    /// ETHTOOL_FLAG_* of the request's header.
    pub(super) flags: u32,
}

impl Ask<'_, '_> {
    /// Are sets of bits answered without names (ETHTOOL_FLAG_COMPACT_BITSETS)?
    pub(super) fn is_compact(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Begins an answer about a device.
    pub(super) fn reply(&self, to: &mut Writer, reply: u8, device: Option<&Device>) {
        let message = &self.request.message;
        // A loop over devices of its own leaves the flag out.
        let is_part = self.request.has(libc::NLM_F_DUMP) && self.command != TSINFO_GET;
        let flags = if is_part { MULTI } else { 0 };
        let port = self.request.asker.port;
        to.message(message.kind, flags, message.sequence, port)
            .raw(&[reply, VERSION, 0, 0]);
        let header = header_of(self.command);
        if let Some(device) = device {
            device.write(to, header);
        }
    }
}

/// Returns the attribute of the header in a command.
pub(super) fn header_of(command: u8) -> u16 {
    match command {
        STATS_GET => STATISTICS_HEADER,
        _ => HEADER,
    }
}

/// Fails because an attribute of the message is missing (`GENL_REQ_ATTR_CHECK`).
pub(super) fn missing<T>(kind: u16) -> Result<T, Failure> {
    Err(Failure::new(libc::EINVAL).misses(kind))
}
