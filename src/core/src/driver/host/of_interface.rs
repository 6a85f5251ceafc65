//! The addresses of an interface.
#![forbid(unsafe_code)]

use super::address::Address;
use super::change::{self, Ask};
use crate::driver::interface::Interface;
use memtun_abi::error::Result;
use std::net::IpAddr;

impl Interface {
    /// The addresses that the interface has in its net, in the order of `ip address show`. Where
    /// nobody has given the net an address or asked for one there are none.
    ///
    /// # Errors
    /// EUCLEAN when the net is damaged, and what reading it fails with otherwise.
    pub fn addresses(&self) -> Result<Vec<Address>> {
        let (index, name) = (self.index(), self.name().to_string());
        let state = change::state(self.joined())?;
        Ok(Address::all_of(&state, index, &name))
    }

    /// Gives the interface an address, as `ip address add` does. The programs of the net see it at
    /// once, and the routes that follow from it.
    ///
    /// # Errors
    /// - EEXIST when the interface has the address.
    /// - EINVAL when it is no address for an interface.
    /// - ENODEV when the interface is gone.
    /// - ENOSYS when no host process can be started; the sentence says what is missing.
    pub fn add_address(&self, address: &Address) -> Result<()> {
        let flags = change::CREATE | libc::NLM_F_EXCL as u16;
        let message = address.message(libc::RTM_NEWADDR, flags, self.index());
        Ask::of(self.joined()).change(&message, &format!("{}: address {address}", self.name()))
    }

    /// Takes an address from the interface, as `ip address del` does.
    ///
    /// # Errors
    /// EADDRNOTAVAIL when the interface does not have it; the others are those of
    /// [`Interface::add_address`].
    pub fn remove_address(&self, address: &Address) -> Result<()> {
        let message = address.message(libc::RTM_DELADDR, change::PLAIN, self.index());
        Ask::of(self.joined()).change(&message, &format!("{}: address {address}", self.name()))
    }

    /// Gives the interface these addresses and no others: what it has beside them is taken away,
    /// but for the link-local ones, which belong to its link.
    ///
    /// # Errors
    /// The same as [`Interface::add_address`].
    pub fn set_addresses(&self, addresses: &[Address]) -> Result<()> {
        let same = |a: &Address, b: &Address| {
            (a.local, a.prefix, a.peer.unwrap_or(a.local))
                == (b.local, b.prefix, b.peer.unwrap_or(b.local))
        };
        let is_link_local = |a: &Address| match a.local {
            IpAddr::V6(local) => local.segments()[0] & 0xffc0 == 0xfe80,
            IpAddr::V4(_) => false,
        };
        for old in self.addresses()? {
            if !is_link_local(&old) && !addresses.iter().any(|new| same(new, &old)) {
                match self.remove_address(&old) {
                    // A secondary address goes with the one that it belongs to.
                    Err(e) if e.errno().0 == libc::EADDRNOTAVAIL => {}
                    done => done?,
                }
            }
        }
        let present = self.addresses()?;
        let missing = addresses
            .iter()
            .filter(|new| !present.iter().any(|old| same(new, old)));
        missing
            .into_iter()
            .try_for_each(|new| self.add_address(new))
    }
}
