//! Sockets of NETLINK_GENERIC, in a net with interfaces. They are the machine's, and stay so; but
//! the machine's family "ethtool" knows no interface of the net, and a program that finds this
//! family does not ask by ioctl(2) any more, which is answered. So a program that looks for the
//! family is told that there is none.
#![forbid(unsafe_code)]

use super::Outcome;
use memtun_abi::Errno;
use memtun_kernel::tun::Source;
use memtun_stack::wire::{align, u16_at, Messages, HEADER};
use memtun_sys as sys;

/// Length in bytes of the longest request that is looked at. One that looks for a family by its
/// name has 32.
const LONGEST: usize = 128;
/// The control family (GENL_ID_CTRL), and length in bytes of `struct genlmsghdr`.
const CONTROL: u16 = 0x10;
const HEAD: usize = 4;
/// CTRL_CMD_GETFAMILY and CTRL_ATTR_FAMILY_NAME.
const GETFAMILY: u8 = 3;
const NAME: u16 = 2;

/// Sends a request, in which a name that no family has takes the place of "ethtool".
///
/// # Errors
///
/// EFAULT when the request cannot be read, and what sendto(2) fails with.
pub(super) fn send(fd: i32, source: &impl Source) -> Result<Outcome, Errno> {
    let length = source.len();
    let mut room = [0; LONGEST];
    if length > LONGEST {
        return Ok(Outcome::Kernel);
    }
    let bytes = &mut room[..length];
    source.copy(0, bytes)?;
    match name_of_ethtool(bytes) {
        None => Ok(Outcome::Kernel),
        Some(at) => {
            bytes[at] = b'-';
            sys::send_netlink(fd, 0, &[bytes])?;
            Ok(Outcome::Done(length))
        }
    }
}

/// Returns where the name stands in a single request that looks for the family "ethtool".
fn name_of_ethtool(bytes: &[u8]) -> Option<usize> {
    let message = Messages(bytes).next()?;
    let is_alone = align(message.bytes.len()) >= bytes.len();
    if !is_alone || message.kind != CONTROL || message.body.first() != Some(&GETFAMILY) {
        return None;
    }
    let mut at = HEADER + HEAD;
    while let (Some(length), Some(kind)) = (u16_at(bytes, at), u16_at(bytes, at + 2)) {
        let length = usize::from(length);
        let value = bytes.get(at + 4..at + length)?;
        if kind == NAME {
            return (value == b"ethtool\0").then_some(at + 4);
        }
        at += align(length.max(4));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtun_stack::wire::u32_at;

    fn request(name: &[u8]) -> Vec<u8> {
        let length = HEADER + HEAD + 4 + align(name.len());
        let mut bytes = (length as u32).to_ne_bytes().to_vec();
        bytes.extend(CONTROL.to_ne_bytes());
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([GETFAMILY, 1, 0, 0]);
        bytes.extend((4 + name.len() as u16).to_ne_bytes());
        bytes.extend(NAME.to_ne_bytes());
        bytes.extend(name);
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn only_the_family_ethtool_is_found() {
        let wanted = request(b"ethtool\0");
        assert_eq!(name_of_ethtool(&wanted), Some(24));
        assert_eq!(u32_at(&wanted, 0), Some(32));
        for other in [&b"nl80211\0"[..], b"ethtool", b"ethtool2\0", b""] {
            assert_eq!(name_of_ethtool(&request(other)), None, "{other:?}");
        }
        for length in 0..wanted.len() {
            assert_eq!(name_of_ethtool(&wanted[..length]), None, "{length}");
        }
        let twice = [wanted.clone(), wanted].concat();
        assert_eq!(name_of_ethtool(&twice), None);
    }
}
