//! Echo requests and replies.
#![forbid(unsafe_code)]

use super::{finish, v4, v6, HEADER};
use crate::{protocol, Head, NoRoom, Packet};

/// An echo request or reply that has come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo<'p> {
    /// Is it a reply?
    pub reply: bool,
    /// Code, which a reply has from the request.
    pub code: u8,
    /// Identifier: which socket has asked.
    pub id: u16,
    /// Sequence number.
    pub sequence: u16,
    /// What follows.
    pub data: &'p [u8],
}

impl<'p> Echo<'p> {
    /// Reads the message of a packet whose checksum is right.
    pub fn parse(packet: &Packet<'p>) -> Option<Echo<'p>> {
        let bytes = packet.payload();
        let header = bytes.get(..HEADER)?;
        let reply = match (packet.protocol, header[0]) {
            (protocol::ICMP, v4::ECHO) | (protocol::ICMP6, v6::ECHO) => false,
            (protocol::ICMP, v4::ECHO_REPLY) | (protocol::ICMP6, v6::ECHO_REPLY) => true,
            _ => return None,
        };
        Some(Echo {
            reply,
            code: header[1],
            id: u16::from_be_bytes([header[4], header[5]]),
            sequence: u16::from_be_bytes([header[6], header[7]]),
            data: &bytes[HEADER..],
        })
    }

    /// Writes the message as a whole packet; `head` says by its protocol which of the two it is.
    /// Returns the length.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when `room` is too small or the message is too long.
    pub fn write(&self, room: &mut [u8], head: &Head) -> Result<usize, NoRoom> {
        let kind = match (head.protocol, self.reply) {
            (protocol::ICMP6, false) => v6::ECHO,
            (protocol::ICMP6, true) => v6::ECHO_REPLY,
            (_, false) => v4::ECHO,
            (_, true) => v4::ECHO_REPLY,
        };
        let length = HEADER + self.data.len();
        let at = head.length();
        let message = room.get_mut(at..at + length).ok_or(NoRoom)?;
        message[..4].copy_from_slice(&[kind, self.code, 0, 0]);
        message[4..6].copy_from_slice(&self.id.to_be_bytes());
        message[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        message[HEADER..].copy_from_slice(self.data);
        finish(room, head, length)
    }
}
