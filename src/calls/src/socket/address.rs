//! Requests that ask for an IPv4 address of an interface (`devinet_ioctl`). They are answered out
//! of the state, so that they ask nobody and work everywhere.
#![forbid(unsafe_code)]

use super::call::{Socket, SocketCall};
use super::owner::Owner;
use super::verdict::{After, Verdict};
use crate::host::Host;
use crate::memory::Memory;
use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::NetDir;
use memtun_stack::brief::{each_address, is_hidden};
use memtun_stack::Address;
use std::net::{IpAddr, Ipv4Addr};

const NO_ADDRESS: Errno = Errno(libc::EADDRNOTAVAIL);
/// Where the address stands in `struct ifreq`: behind the name, the family and the port.
const ADDRESS: usize = 20;

impl<S: Socket, M: Memory, H: Host> SocketCall<'_, S, M, H> {
    /// Answers a request for an address of the interface that `label` names. Of several with that
    /// label, the one that stands in the request is chosen.
    pub(super) fn get_address(
        &self,
        net: &NetDir,
        owner: Owner,
        label: &Name,
    ) -> Result<Verdict, Errno> {
        let mut ifreq = IfReq(self.bytes(self.arg).ok_or(Errno(libc::EFAULT))?);
        let wanted = address_of(&ifreq);
        let is_ours = match owner {
            Owner::Net(_) => true,
            Owner::Machine => false,
            Owner::Nobody => return Err(Errno(libc::ENODEV)),
        };
        let found = match find(net, owner, label, wanted)? {
            // The machine's own addresses come first, and those that the net has added follow.
            Some(found) if is_ours || Some(found.local) == wanted.map(IpAddr::V4) => found,
            _ if is_ours => return Err(NO_ADDRESS),
            _ => return Ok(Verdict::Host(After::Address)),
        };
        self.store_address(&mut ifreq, &found)
            .map(|()| Verdict::Done(0))
    }

    /// Called when the machine has answered a request for an address of one of its interfaces.
    pub(super) fn address_of_machine(&self, answer: Result<i32, Errno>) -> Result<i32, Errno> {
        let none = match answer {
            Err(e) => e == NO_ADDRESS,
            Ok(_) => self.is_answer_hidden()?,
        };
        if !none {
            return answer;
        }
        let Some(bytes) = self.bytes(self.arg) else {
            return answer;
        };
        let mut ifreq = IfReq(bytes);
        let label = ifreq.name();
        match find(self.net, Owner::Machine, &label, None)? {
            Some(found) => self.store_address(&mut ifreq, &found).map(|()| 0),
            None => Err(NO_ADDRESS),
        }
    }

    /// Has a program of the net deleted the address that the machine has answered with?
    fn is_answer_hidden(&self) -> Result<bool, Errno> {
        let ifreq = self.bytes(self.arg).map(IfReq);
        match ifreq.map(|ifreq| (ifreq.name(), address_of(&ifreq))) {
            Some((label, Some(address))) if self.request == SIOCGIFADDR => {
                is_hidden(self.net, label.as_bytes(), address)
            }
            _ => Ok(false),
        }
    }

    fn store_address(&self, ifreq: &mut IfReq, found: &Address) -> Result<(), Errno> {
        let v4 = |address: IpAddr| match address {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let shown = match self.request {
            SIOCGIFADDR => v4(found.local),
            SIOCGIFDSTADDR => v4(found.peer),
            SIOCGIFBRDADDR => found.broadcast.unwrap_or(Ipv4Addr::UNSPECIFIED),
            _ => mask(found.prefix),
        };
        put_address(ifreq, shown);
        self.memory.write(self.arg, &ifreq.0)
    }
}

/// Returns the netmask of a prefix of this length in bits.
pub(crate) fn mask(length: u8) -> Ipv4Addr {
    let bits = u32::MAX.checked_shl(32 - u32::from(length.min(32)));
    Ipv4Addr::from(bits.unwrap_or(0))
}

/// Puts an address of AF_INET into `ifr_addr`.
pub(super) fn put_address(ifreq: &mut IfReq, address: Ipv4Addr) {
    ifreq.0[16..32].fill(0);
    ifreq.set_flags(libc::AF_INET as u16);
    ifreq.0[ADDRESS..ADDRESS + 4].copy_from_slice(&address.octets());
}

/// Returns the IPv4 address in `ifr_addr`; None where another family stands there.
fn address_of(ifreq: &IfReq) -> Option<Ipv4Addr> {
    let bytes = <[u8; 4]>::try_from(&ifreq.0[ADDRESS..ADDRESS + 4]).ok()?;
    (i32::from(ifreq.flags()) == libc::AF_INET).then(|| Ipv4Addr::from(bytes))
}

/// Finds the address with this label: the wanted one, or else the first. An address of an interface
/// of the net is found by its index as well, those of the machine's interfaces by the label alone.
fn find(
    net: &NetDir,
    owner: Owner,
    label: &Name,
    wanted: Option<Ipv4Addr>,
) -> Result<Option<Address>, Errno> {
    let mut found = None;
    each_address(net, |address| {
        let of_it = match owner {
            Owner::Net(index) => address.index == index && address.label == *label,
            _ => address.local.is_ipv4() && address.label == *label,
        };
        if of_it && address.local.is_ipv4() {
            if Some(address.local) == wanted.map(IpAddr::V4) {
                found = Some(*address);
                return false;
            }
            found = found.or(Some(*address));
        }
        true
    })?;
    Ok(found)
}
