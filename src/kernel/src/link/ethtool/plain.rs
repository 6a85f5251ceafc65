//! What ethtool(8) asks by ioctl(2) of a device without a tun driver: `lo`, and the uplinks that a
//! net declares. The kernel answers for a device whose driver answers nothing.
#![forbid(unsafe_code)]

use super::data::{Data, ASKING, UNSUPPORTED};
use super::every::{self, Device};
use super::features::fixed;
use crate::uapi::IfReq;
use crate::{Argument, Errno};

/// What is always on.
const ALWAYS: u64 = 0x520_0000_0469;

/// A device whose driver answers nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plain {
    /// The features that are wanted (bits of NETIF_F_*).
    pub wanted: u64,
    /// Is it up, with a carrier?
    pub link: bool,
    /// Length in bytes of its link-layer address.
    pub address_length: u32,
}

impl Plain {
    /// The features that can be switched.
    pub const SWITCHABLE: u64 = 0xa00_000e_401d_4800;
    /// The features that are wanted of a new one.
    pub const WANTED: u64 = 0xe_401d_4800;

    /// Returns the features that are on where these are wanted.
    pub fn active(wanted: u64) -> u64 {
        fixed(wanted | ALWAYS)
    }

    /// Answers SIOCETHTOOL, whose ifreq is `ifreq`, and returns what the call returns. `permit` is
    /// asked for a command that wants a privilege.
    ///
    /// # Errors
    ///
    /// - EFAULT when the memory of the command cannot be used.
    /// - What `permit` fails with.
    /// - EOPNOTSUPP for what no such device answers.
    pub fn answer(
        &mut self,
        ifreq: &IfReq,
        argument: &mut impl Argument,
        permit: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<i32, Errno> {
        let mut data = Data::of(ifreq, argument);
        let command = data.word(0)?;
        if !ASKING.contains(&command) {
            permit()?;
        }
        every::answer(self, command, &mut data).unwrap_or(Err(UNSUPPORTED))
    }
}

impl Device for Plain {
    fn switchable(&self) -> u64 {
        Plain::SWITCHABLE
    }
    fn wanted(&self) -> u64 {
        self.wanted
    }
    fn active(&self) -> u64 {
        Plain::active(self.wanted)
    }
    fn want(&mut self, features: u64) {
        self.wanted = features;
    }
    fn has_link(&self) -> bool {
        self.link
    }
    fn address_length(&self) -> u32 {
        self.address_length
    }
}
