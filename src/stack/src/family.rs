//! The family "ethtool" of generic netlink, as the machine's kernel numbers it.
#![forbid(unsafe_code)]

use crate::wire::{Attributes, Messages, ATTRIBUTE, HEADER};
use memtun_sys as sys;

/// The group of those who listen to the changes of devices ("monitor") among the groups of a
/// [listener](crate::state::Listener). The kernel numbers it anew on each machine, so it stands
/// behind all groups of rtnetlink.
pub const MONITOR: u32 = 64;

/// The type of the messages of the control family (GENL_ID_CTRL).
pub const CONTROL: u16 = 0x10;
/// Length in bytes of `struct genlmsghdr`.
const HEAD: usize = 4;

/// The numbers that the machine's kernel has given to the family "ethtool".
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Family {
    /// The type of its messages.
    pub id: u16,
    /// The number of its group "monitor", 0 where there is none.
    pub monitor: u32,
}

/// Asks the machine's kernel for the family "ethtool". None where there is no such family.
pub fn family() -> Option<Family> {
    let asked = ask_for_family();
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_GENERIC).ok()?;
    sys::send_netlink(socket.raw(), 0, &[&asked]).ok()?;
    let mut room = [0; 4096];
    let (length, _) = sys::receive_netlink(socket.raw(), &mut room, 0).ok()?;
    family_in(&room[..length.min(room.len())])
}

/// Returns the request for the family: CTRL_CMD_GETFAMILY with CTRL_ATTR_FAMILY_NAME.
fn ask_for_family() -> [u8; 32] {
    const GETFAMILY: [u8; HEAD] = [3, 1, 0, 0];
    const NAME: u16 = 2;
    const TEXT: &[u8; 8] = b"ethtool\0";
    let mut bytes = [0; 32];
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&CONTROL.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes[HEADER..HEADER + HEAD].copy_from_slice(&GETFAMILY);
    bytes[20..22].copy_from_slice(&((ATTRIBUTE + TEXT.len()) as u16).to_ne_bytes());
    bytes[22..24].copy_from_slice(&NAME.to_ne_bytes());
    bytes[24..].copy_from_slice(TEXT);
    bytes
}

/// Reads the numbers in the answer of the control family.
fn family_in(answer: &[u8]) -> Option<Family> {
    // Attributes (CTRL_ATTR_*, CTRL_ATTR_MCAST_GRP_*).
    const ID: u16 = 1;
    const GROUPS: u16 = 7;
    const GROUP_NAME: u16 = 1;
    const GROUP_ID: u16 = 2;
    let message = Messages(answer).next().filter(|m| m.kind == CONTROL)?;
    let attributes = Attributes::behind(message.body, HEAD);
    let groups = attributes.get(GROUPS);
    let mut groups = groups.iter().flat_map(|groups| groups.attributes());
    let monitor = groups.find_map(|group| {
        let its = group.attributes();
        let is_it = its.get(GROUP_NAME)?.string() == b"monitor";
        its.get(GROUP_ID).filter(|_| is_it)?.u32()
    });
    Some(Family {
        id: attributes.get(ID)?.u16()?,
        monitor: monitor.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Writer, NESTED};

    #[test]
    fn the_machine_is_asked_for_the_family_and_its_group() {
        // A kernel without the family has none; one that has it gives numbers that are no others'.
        if let Some(found) = family() {
            assert!(found.id > CONTROL, "{found:?}");
            assert!(found.monitor > 0, "{found:?}");
        }
        let mut to = Writer::default();
        to.message(CONTROL, 0, 1, 2).raw(&[1, 2, 0, 0]).u16(1, 33);
        let groups = to.begin(7 | NESTED);
        for (name, id) in [(&b"other"[..], 4), (b"monitor", 5)] {
            let group = to.begin(1 | NESTED);
            to.u32(2, id).string(1, name);
            to.end(group);
        }
        to.end(groups);
        let expected = Family { id: 33, monitor: 5 };
        assert_eq!(family_in(to.bytes()), Some(expected));
        for length in 0..to.bytes().len() {
            family_in(&to.bytes()[..length]);
        }
    }
}
