//! Sockets of NETLINK_SOCK_DIAG, by which ss(8) lists sockets. The machine's kernel answers. In
//! what it says of the net's sockets the names are those of the net, what is the host process's is
//! left out, and so is what is the machine's where that is not seen.
//!
//! The kernel would choose by native names, so it is asked for all sockets of the protocol, and
//! what the program has asked for is chosen here.
#![forbid(unsafe_code)]

mod bytecode;

use crate::host::Host;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::diag::{Answer, Id, ANSWER, ANSWER_ID, BY_FAMILY, REQUEST, REQUEST_ID};
use memtun_stack::sockets::shown::Shown;
use memtun_stack::sockets::{Protocol, Table};
use memtun_stack::wire::{align, u32_at, Attributes, Messages, ATTRIBUTE, HEADER};

/// INET_DIAG_REQ_BYTECODE.
const BYTECODE: u16 = 1;
/// INET_DIAG_REQ_PROTOCOL.
const PROTOCOL: u16 = 3;
/// INET_DIAG_SKV6ONLY.
const V6ONLY: u16 = 11;

/// Is it a request for raw sockets or packet sockets? Those of the net stand in files of /proc/net
/// only. It is answered as by a kernel that has no module for it, so that ss(8) reads the files.
pub(super) fn is_of_files(request: &[u8]) -> bool {
    let Some(message) = Messages(request).next() else {
        return false;
    };
    let [family, protocol] = match message.body.first_chunk::<2>() {
        Some(first) if message.kind == BY_FAMILY => first.map(i32::from),
        _ => return false,
    };
    match family {
        libc::AF_PACKET => true,
        libc::AF_INET | libc::AF_INET6 => protocol == libc::IPPROTO_RAW,
        _ => false,
    }
}

/// A request about sockets of the net's protocols.
pub(super) struct Diag<'r> {
    /// None where the net never had an address.
    table: Option<Table>,
    /// Is the machine not seen?
    isolated: bool,
    protocol: Protocol,
    /// The names in the request, of which those that are 0 say nothing.
    wanted: Id,
    /// Is it about one socket only?
    exact: bool,
    bytecode: &'r [u8],
    /// Has something been listed?
    found: bool,
}

impl<'r> Diag<'r> {
    /// Looks at a request. None means that the machine's answer is good as it is.
    pub(super) fn new(host: &impl Host, net: &NetDir, request: &'r [u8]) -> Option<Diag<'r>> {
        let isolated = host.is_isolated();
        let table = match net.has_inet() {
            true => Table::open(net).ok()?,
            false => None,
        };
        if table.is_none() && !isolated {
            return None;
        }
        let message = Messages(request).next()?;
        if message.kind != BY_FAMILY || message.body.len() < REQUEST {
            return None;
        }
        let family = i32::from(message.body[0]);
        if !matches!(family, libc::AF_INET | libc::AF_INET6) {
            return None;
        }
        let attributes = || Attributes::behind(message.body, REQUEST);
        let long = attributes().get(PROTOCOL).and_then(|a| a.u32());
        let number = long.unwrap_or(message.body[1].into());
        let protocol = Protocol::of(u8::try_from(number).ok()?)?;
        let bytecode = attributes().get(BYTECODE).map_or(&[][..], |a| a.value);
        Some(Diag {
            table,
            isolated,
            protocol,
            wanted: Id::read(&message.body[REQUEST_ID..])?,
            exact: !message.is_list(),
            // What the kernel would refuse it refuses.
            bytecode: match bytecode::is_good(bytecode) {
                true => bytecode,
                false => return None,
            },
            found: false,
        })
    }

    /// Puts the request for all sockets into `room`. None means that there is no room.
    pub(super) fn request<'b>(&self, request: &[u8], room: &'b mut [u8]) -> Option<&'b [u8]> {
        let message = Messages(request).next()?;
        let mut length = HEADER + REQUEST;
        room.get_mut(..length)?
            .copy_from_slice(&message.bytes[..length]);
        room[HEADER + REQUEST_ID..length].fill(0);
        if self.exact {
            let flags = message.flags | libc::NLM_F_DUMP as u16;
            room[6..8].copy_from_slice(&flags.to_ne_bytes());
            // All states.
            room[HEADER + 4..HEADER + 8].fill(0xff);
        }
        for attribute in Attributes::behind(message.body, REQUEST) {
            if attribute.kind != BYTECODE {
                let whole = &message.body[attribute.at..][..4 + attribute.value.len()];
                let to = room.get_mut(length..length + align(whole.len()))?;
                to.fill(0);
                to[..whole.len()].copy_from_slice(whole);
                length += align(whole.len());
            }
        }
        room[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        Some(&room[..length])
    }

    /// Says whether the machine is to be asked again, with the request as it is: it was about one
    /// socket, which is none of the net's.
    pub(super) fn asks_again(&self) -> bool {
        self.exact && !self.found
    }

    /// Shows what the kernel has told as the net has it. Returns what is left of the datagram.
    pub(super) fn show<'d>(&mut self, datagram: &'d mut [u8]) -> &'d [u8] {
        let (mut from, mut kept) = (0, 0);
        while let Some(length) = u32_at(datagram, from).map(|length| length as usize) {
            let whole = align(length).min(datagram.len().saturating_sub(from));
            if length < HEADER || whole < HEADER {
                break;
            }
            if self.keeps(&mut datagram[from..from + whole]) {
                datagram.copy_within(from..from + whole, kept);
                kept += whole;
            }
            from += whole;
        }
        &datagram[..kept]
    }

    fn keeps(&mut self, bytes: &mut [u8]) -> bool {
        let message = match Messages(bytes).next() {
            Some(message) if message.kind == BY_FAMILY => message,
            // An answer about one socket has no end of a list.
            Some(_) => return !self.exact,
            None => return false,
        };
        let Some(answer) = Answer::read(message.body) else {
            return false;
        };
        let listed = answer.listed(self.protocol);
        let shown = match &self.table {
            Some(table) => table.shown(&listed),
            None => Shown::Machine,
        };
        let mut v6only = None;
        let id = match shown {
            Shown::Net(names) if names.protocol == self.protocol => {
                v6only = Some(names.v6only);
                answer.id.with(&names, answer.is_v6())
            }
            Shown::Machine if !self.isolated => answer.id,
            _ => return false,
        };
        let matches = match self.exact {
            true => !self.found && self.wanted.is_of(&id),
            false => {
                self.wanted.has_ports_of(&id) && bytecode::run(self.bytecode, &id, answer.family)
            }
        };
        if !matches {
            return false;
        }
        self.found = true;
        let its = Attributes::behind(body_of(bytes), ANSWER).get(V6ONLY);
        let its = its.filter(|its| !its.value.is_empty());
        let place = its.map(|its| HEADER + its.at + ATTRIBUTE);
        if let (Some(place), Some(v6only)) = (place, v6only) {
            bytes[place] = v6only.into();
        }
        id.write(&mut bytes[HEADER + ANSWER_ID..]);
        if self.exact {
            let flags = message_flags(bytes) & !(libc::NLM_F_MULTI as u16);
            bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        }
        true
    }
}

fn body_of(bytes: &[u8]) -> &[u8] {
    bytes.get(HEADER..).unwrap_or_default()
}

fn message_flags(bytes: &[u8]) -> u16 {
    u16::from_ne_bytes([bytes[6], bytes[7]])
}
