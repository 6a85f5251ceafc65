//! Sockets of NETLINK_GENERIC, in a net with interfaces. Its families are the machine's, and their
//! answers stay as they are; but the machine's family "ethtool" knows no interface of the net, so
//! what it is asked about one is a question to the host process.
//!
//! A request goes to the machine on a socket of its own, which is closed when the answer is there.
//! So what a family would send to the port that asked, later and by itself, does not arrive; an
//! unprivileged process can ask no family of the kernel for that. Of the groups that a program
//! joins, it hears the one of "ethtool". What would change something of the machine's is asked
//! without the privilege for it, so the kernel refuses it.
//!
//! A socket that was made before the net had an interface stands for the machine's until it is used
//! for something else than families and "ethtool"; then it becomes the machine's for good.
#![forbid(unsafe_code)]

use crate::host::Host;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::NetDir;
use memtun_stack::brief::{self, By};
use memtun_stack::family::{self, family};
use memtun_stack::wire::{
    align, u32_at, Attribute, Attributes, Message, Messages, ATTRIBUTE, HEADER,
};
use memtun_sys as sys;

/// The bit of the group "monitor" of the family "ethtool" among the groups of a listener.
pub(super) const MONITOR: u64 = 1 << (family::MONITOR - 1);

/// Length in bytes of `struct genlmsghdr`.
const HEAD: usize = 4;

/// Who answers a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    /// The machine's kernel.
    Machine,
    /// The host process of the net.
    Host,
    /// Both, one after the other: it is a list of all devices.
    Both,
}

/// Can this be answered without the machine's own socket, in a net that has no interface yet?
pub(super) fn may_wait(request: &[u8]) -> bool {
    let kind = |kind: u16| kind == family::CONTROL || family().is_some_and(|its| its.id == kind);
    Messages(request).all(|message| kind(message.kind))
}

/// Says who answers a request, which is one message.
pub(super) fn who(host: &impl Host, net: &NetDir, request: &[u8]) -> Who {
    let message = match Messages(request).next() {
        Some(message) if message.kind > family::CONTROL => message,
        _ => return Who::Machine,
    };
    if family().is_none_or(|family| family.id != message.kind) {
        return Who::Machine;
    }
    let dumps = message.is_list();
    match device(&message) {
        _ if host.is_isolated() => Who::Host,
        Some(device) if dumps && chooses(&message) => match is_of_net(net, device) {
            true => Who::Host,
            false => Who::Machine,
        },
        _ if dumps => Who::Both,
        Some(device) if is_of_net(net, device) => Who::Host,
        _ => Who::Machine,
    }
}

/// Is the list that is asked for one of the device alone that is named? Others do not look at it.
fn chooses(message: &Message<'_>) -> bool {
    const TSINFO_GET: u8 = 25;
    const RSS_GET: u8 = 38;
    matches!(message.body.first(), Some(&(TSINFO_GET | RSS_GET)))
}

/// Returns the header of a request.
fn header<'b>(message: &Message<'b>) -> Option<Attribute<'b>> {
    const STATISTICS_GET: u8 = 32;
    let header = match message.body.first()? {
        &STATISTICS_GET => 2,
        _ => 1,
    };
    Attributes::behind(message.body, HEAD).get(header)
}

/// Copies a request for a list to `room` without the device that it names, if the one who is asked
/// does not know that: the machine those of the net, or the net those of the machine. None where it
/// names none, or there is no room.
pub(super) fn without_device<'r>(
    net: &NetDir,
    request: &[u8],
    to_net: bool,
    room: &'r mut [u8],
) -> Option<&'r [u8]> {
    let message = Messages(request).next()?;
    device(&message).filter(|device| is_of_net(net, *device) != to_net)?;
    let header = header(&message)?;
    let begin = HEADER + header.at;
    let end = begin + ATTRIBUTE + header.value.len();
    let mut length = 0;
    // Each part begins where the one before it ends, rounded up.
    let mut put = |part: &[u8]| {
        let from = align(length);
        length = from + part.len();
        room.get_mut(from..length)?.copy_from_slice(part);
        Some(align(length))
    };
    let mut nested = put(&message.bytes[..begin + ATTRIBUTE])?;
    for attribute in header.attributes() {
        if !matches!(attribute.kind, INDEX | NAME) {
            let at = begin + ATTRIBUTE + attribute.at;
            nested = put(&message.bytes[at..at + ATTRIBUTE + attribute.value.len()])?;
        }
    }
    let nested = nested - begin;
    let behind = align(end).min(message.bytes.len());
    put(&message.bytes[behind..])?;
    room[..4].copy_from_slice(&(length as u32).to_ne_bytes());
    room[begin..begin + 2].copy_from_slice(&(nested as u16).to_ne_bytes());
    Some(&room[..length])
}

// Attributes of a header (ETHTOOL_A_HEADER_*).
const INDEX: u16 = 1;
const NAME: u16 = 2;

/// Returns the device in the header of a request (`ETHTOOL_A_*_HEADER`): its number decides, if it
/// has both.
fn device<'b>(message: &Message<'b>) -> Option<By<'b>> {
    let header = header(message)?;
    let its = header.attributes();
    match its.get(INDEX).and_then(|index| index.u32()) {
        Some(index) => Some(By::Index(index)),
        None => Some(By::Name(its.get(NAME)?.string())),
    }
}

/// Does the net have, or had it, this device?
fn is_of_net(net: &NetDir, device: By<'_>) -> bool {
    let knows = match device {
        By::Index(index) => net.knows_index(index),
        By::Name(name) => Name::new(name).is_some_and(|name| net.knows(&name)),
    };
    let is_declared = |link: brief::Link| link.declared || net.knows_index(link.index);
    knows || brief::link(net, device).is_ok_and(|link| link.is_some_and(is_declared))
}

/// Joins a group of the machine's on a socket of its own.
///
/// # Errors
///
/// What the machine's kernel refuses it with.
pub(super) fn try_group(group: u32) -> Result<(), Errno> {
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_GENERIC)?;
    let joins = libc::NETLINK_ADD_MEMBERSHIP;
    sys::set_int_option(socket.raw(), super::SOL_NETLINK, joins, group as i32)?;
    log::warn!("group {group} of generic netlink is the machine's: nothing is heard of it");
    Ok(())
}

/// How a part of a list ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Not with this datagram.
    No,
    /// Well, from this byte on.
    Well(usize),
    /// With an error in the midst of it.
    Failed,
    /// With an error before anything was listed.
    Refused,
}

/// Finds the end of a list in a datagram.
pub(super) fn end_of(datagram: &[u8]) -> End {
    let mut length = 0;
    for message in Messages(datagram) {
        match i32::from(message.kind) {
            libc::NLMSG_DONE if u32_at(message.body, 0).unwrap_or(0) == 0 => {
                return End::Well(length)
            }
            libc::NLMSG_DONE => return End::Failed,
            libc::NLMSG_ERROR => return End::Refused,
            _ => length += align(message.bytes.len()),
        }
    }
    End::No
}

/// Is this a request for a list that a program must not see which does not see the machine: one of
/// another family than those of families and of devices? In a namespace of its own there is nothing
/// of the kind.
pub(super) fn is_hidden(host: &impl Host, request: &[u8]) -> bool {
    let message = Messages(request).next();
    let hidden = message.is_some_and(|message| {
        message.is_list()
            && message.kind > family::CONTROL
            && family().is_none_or(|its| its.id != message.kind)
    });
    hidden && host.is_isolated()
}

/// Returns the end of a list out of a datagram, without what is listed; nothing where it goes on.
pub(super) fn without_list(datagram: &[u8]) -> &[u8] {
    let is_end = |kind: u16| matches!(i32::from(kind), libc::NLMSG_DONE | libc::NLMSG_ERROR);
    let mut length = 0;
    for message in Messages(datagram) {
        if is_end(message.kind) {
            break;
        }
        length += align(message.bytes.len());
    }
    datagram.get(length..).unwrap_or(&[])
}

/// Does the end of a list say a sentence (NLM_F_ACK_TLVS)?
pub(super) fn says(end: &[u8]) -> bool {
    const ACK_TLVS: u16 = 0x200;
    Messages(end)
        .next()
        .is_some_and(|message| message.flags & ACK_TLVS != 0)
}

/// Is this the error EPERM?
pub(super) fn is_forbidden(answer: &[u8]) -> bool {
    Messages(answer).next().is_some_and(|message| {
        let errno = u32_at(message.body, 0).map(|errno| (errno as i32).wrapping_neg());
        i32::from(message.kind) == libc::NLMSG_ERROR && errno == Some(libc::EPERM)
    })
}

/// Says that the kernel has refused a change of the machine's, where an answer says that.
pub(super) fn tell_refused(request: &[u8], answer: &[u8]) {
    let Some(message) = Messages(request).next().filter(|_| is_forbidden(answer)) else {
        return;
    };
    let command = message.body.first().copied().unwrap_or(0);
    match device(&message) {
        Some(By::Name(name)) => log::warn!(
            "command {command} of family {} about {}: refused, because what is the machine's is changed by nobody in a net",
            message.kind,
            String::from_utf8_lossy(name)
        ),
        _ => log::warn!(
            "command {command} of family {}: refused, because what is the machine's is changed by nobody in a net",
            message.kind
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtun_stack::wire::{Writer, NESTED};

    #[test]
    fn a_list_without_what_is_listed_has_its_end() {
        let mut to = Writer::default();
        to.message(30, 2, 1, 0).raw(&[1; 12]);
        let part = to.bytes().to_vec();
        assert!(without_list(&part).is_empty());
        to.message(libc::NLMSG_DONE as u16, 2, 1, 0).raw(&[0; 4]);
        assert_eq!(without_list(to.bytes()), &to.bytes()[part.len()..]);
    }

    #[test]
    fn the_device_of_a_request_stands_in_its_header() {
        let request = |command: u8, header: u16, index: Option<u32>| {
            let mut to = Writer::default();
            to.message(21, 5, 1, 0).raw(&[command, 1, 0, 0]);
            let open = to.begin(header | NESTED);
            to.string(2, b"tun0");
            if let Some(index) = index {
                to.u32(1, index);
            }
            to.end(open);
            to.take()
        };
        let of = |bytes: &[u8]| {
            let message = Messages(bytes).next().expect("a message");
            match device(&message) {
                Some(By::Index(index)) => format!("{index}"),
                Some(By::Name(name)) => String::from_utf8_lossy(name).into_owned(),
                None => "none".to_owned(),
            }
        };
        assert_eq!(of(&request(4, 1, None)), "tun0");
        assert_eq!(of(&request(4, 1, Some(7))), "7");
        assert_eq!(of(&request(4, 2, None)), "none");
        assert_eq!(of(&request(32, 2, None)), "tun0");
    }

    #[test]
    fn the_end_of_a_list_is_cut_off() {
        let mut to = Writer::default();
        to.message(21, 2, 1, 0).raw(&[0; 6]);
        let length = to.bytes().len();
        assert_eq!(end_of(to.bytes()), End::No);
        to.message(libc::NLMSG_DONE as u16, 2, 1, 0).raw(&[0; 4]);
        assert_eq!(end_of(to.bytes()), End::Well(align(length)));
        assert!(!says(&to.bytes()[align(length)..]));
        assert_eq!(end_of(&[]), End::No);
        let mut to = Writer::default();
        to.message(libc::NLMSG_DONE as u16, 0x202, 1, 0)
            .raw(&[1; 4]);
        assert_eq!(end_of(to.bytes()), End::Failed);
        assert!(says(to.bytes()));
        let mut to = Writer::default();
        to.message(libc::NLMSG_ERROR as u16, 0, 1, 0).raw(&[1; 4]);
        assert_eq!(end_of(to.bytes()), End::Refused);
    }
}
