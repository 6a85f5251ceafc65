//! What a change of a link does to the tun driver behind it.
#![forbid(unsafe_code)]

pub mod net;

use memtun_abi::{Errno, Name};
use memtun_kernel::link::ethtool::{Change, Settings};
use memtun_stack::Link;

/// The tun driver's side of the links: the interfaces of a net. Links of the machine and declared
/// ones are not in it; what is changed on them stays in the state.
pub trait Devices {
    /// Returns the interfaces as they are now, by ascending index, without what only the host
    /// knows.
    ///
    /// # Errors
    ///
    /// What reading the net fails with.
    fn links(&mut self) -> Result<Vec<Link>, Errno>;
    /// Sets the flags that SIOCSIFFLAGS can set.
    ///
    /// # Errors
    ///
    /// ENODEV when there is no such interface; the same for all functions here.
    fn set_flags(&mut self, index: u32, flags: u32) -> Result<(), Errno>;
    /// Sets the mtu, in bytes.
    ///
    /// # Errors
    ///
    /// EINVAL when it is out of range.
    fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Errno>;
    /// Sets how many packets each queue holds.
    ///
    /// # Errors
    ///
    /// EAGAIN when a queue's lock is not released in time.
    fn set_txqueuelen(&mut self, index: u32, packets: u32) -> Result<(), Errno>;
    /// Sets the hardware address of a tap.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for a tun, EADDRNOTAVAIL for an address that no card has.
    fn set_address(&mut self, index: u32, address: [u8; 6]) -> Result<(), Errno>;
    /// Sets the name.
    ///
    /// # Errors
    ///
    /// EINVAL for a bad name, EEXIST for one that is taken.
    fn rename(&mut self, index: u32, name: &Name) -> Result<(), Errno>;
    /// Sets whether there is a carrier.
    ///
    /// # Errors
    ///
    /// ENODEV when there is no such interface, EPERM for a carrier where no queue is attached.
    fn set_carrier(&mut self, index: u32, carrier: bool) -> Result<(), Errno>;
    /// Returns what the interface answers ethtool(8).
    ///
    /// # Errors
    ///
    /// ENODEV when there is no such interface.
    fn ethtool(&mut self, index: u32) -> Result<Settings, Errno>;
    /// Changes one of the settings of ethtool(8).
    ///
    /// # Errors
    ///
    /// ENODEV when there is no such interface.
    fn set_ethtool(&mut self, index: u32, change: Change) -> Result<(), Errno>;
    /// Deletes the interface, as RTM_DELLINK does.
    ///
    /// # Errors
    ///
    /// ENODEV when there is no such interface.
    fn delete(&mut self, index: u32) -> Result<(), Errno>;
    /// May the programs of the net configure (permission NET_ADMIN)?
    fn may_configure(&self) -> bool;
}
