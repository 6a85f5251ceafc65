//! Sockets of NETLINK_GENERIC, in a net with interfaces. Its families are the machine's, and their
//! answers stay as they are; but the machine's family "ethtool" knows no interface of the net, so
//! what it is asked about one is a question to the host process.
//!
//! A request goes to the machine on a socket of its own, which is closed when the answer is there.
//! So what a family would send to the port that asked, later and by itself, does not arrive; an
//! unprivileged process can ask no family of the kernel for that. Of the groups that a program
//! joins, it hears the one of "ethtool".
#![forbid(unsafe_code)]

use crate::host::Host;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::NetDir;
use memtun_stack::brief::{self, By};
use memtun_stack::family::{self, family};
use memtun_stack::wire::{align, Attributes, Message, Messages};
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

/// Says who answers a request, which is one message.
pub(super) fn who(host: &impl Host, net: &NetDir, request: &[u8]) -> Who {
    let message = match Messages(request).next() {
        Some(message) if message.kind > family::CONTROL => message,
        _ => return Who::Machine,
    };
    if family().is_none_or(|family| family.id != message.kind) {
        return Who::Machine;
    }
    let dumps = message.flags & libc::NLM_F_DUMP as u16 == libc::NLM_F_DUMP as u16;
    match device(&message) {
        _ if host.is_isolated() => Who::Host,
        _ if dumps => Who::Both,
        Some(device) if is_of_net(net, device) => Who::Host,
        _ => Who::Machine,
    }
}

/// Returns the device in the header of a request (`ETHTOOL_A_*_HEADER`): its number decides, if it
/// has both.
fn device<'b>(message: &Message<'b>) -> Option<By<'b>> {
    const STATISTICS_GET: u8 = 32;
    const INDEX: u16 = 1;
    const NAME: u16 = 2;
    let header = match message.body.first()? {
        &STATISTICS_GET => 2,
        _ => 1,
    };
    let header = Attributes::behind(message.body, HEAD).get(header)?;
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

/// Cuts off the end of a list. Returns how many bytes are left, and whether there was an end.
pub(super) fn without_end(datagram: &[u8]) -> (usize, bool) {
    let mut length = 0;
    for message in Messages(datagram) {
        if matches!(
            i32::from(message.kind),
            libc::NLMSG_DONE | libc::NLMSG_ERROR
        ) {
            return (length, true);
        }
        length += align(message.bytes.len());
    }
    (datagram.len(), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtun_stack::wire::{Writer, NESTED};

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
        assert_eq!(without_end(to.bytes()), (length, false));
        to.message(libc::NLMSG_DONE as u16, 2, 1, 0).raw(&[0; 4]);
        assert_eq!(without_end(to.bytes()), (length, true));
        assert_eq!(without_end(&[]), (0, false));
    }
}
