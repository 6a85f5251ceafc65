//! What ethtool(8) asks by SIOCETHTOOL, as the tun driver answers it (net/ethtool/ioctl.c,
//! drivers/net/tun.c). The argument points to a command, which stands in front of what it reads
//! and of where it writes.
#![forbid(unsafe_code)]

mod data;
mod every;
mod features;
pub mod names;
mod plain;
mod settings;

pub use every::TIMES;
pub(crate) use features::set_offload;
pub(super) use features::WANTED;
pub use features::{active, NEVER, SWITCHABLE};
pub use plain::Plain;
pub use settings::{Change, Settings, MODES, MODE_WORDS};

use self::data::{Data, ASKING, INVALID, UNSUPPORTED};
use self::every::Device;
use crate::net::NetDir;
use crate::policy::Policy;
use crate::shm::layout::InterfaceState;
use crate::uapi::*;
use crate::{Argument, Errno, Permission};
use std::sync::atomic::Ordering::Relaxed;

// Commands (ETHTOOL_*).
const GSET: u32 = 0x01;
const SSET: u32 = 0x02;
const GDRVINFO: u32 = 0x03;
const GMSGLVL: u32 = 0x07;
const SMSGLVL: u32 = 0x08;
const GCOALESCE: u32 = 0x0e;
const SCOALESCE: u32 = 0x0f;
const GCHANNELS: u32 = 0x3c;
const GLINKSETTINGS: u32 = 0x4c;
const SLINKSETTINGS: u32 = 0x4d;

impl Device for &InterfaceState {
    fn switchable(&self) -> u64 {
        SWITCHABLE
    }
    fn wanted(&self) -> u64 {
        self.features.load(Relaxed)
    }
    fn active(&self) -> u64 {
        active(self)
    }
    fn want(&mut self, features: u64) {
        self.features.store(features, Relaxed);
    }
    fn has_link(&self) -> bool {
        Settings::of(self).link
    }
    fn address_length(&self) -> u32 {
        if self.is_tap() {
            6
        } else {
            0
        }
    }
}

impl NetDir {
    /// Answers SIOCETHTOOL, whose ifreq is `ifreq`, and returns what the call returns. The caller
    /// holds the net's lock.
    ///
    /// # Errors
    ///
    /// - EFAULT when the memory of the command cannot be used.
    /// - EPERM when the net does not permit to configure.
    /// - EOPNOTSUPP when a tun does not know the command.
    pub(super) fn ethtool(
        &self,
        interface: &InterfaceState,
        ifreq: &IfReq,
        argument: &mut impl Argument,
    ) -> Result<i32, Errno> {
        let mut data = Data::of(ifreq, argument);
        let command = data.word(0)?;
        if ASKING.contains(&command) {
            return answer(interface, command, &mut data);
        }
        self.permit_check(Permission::NetAdmin)?;
        self.announced(answer(interface, command, &mut data))
    }
}

/// Answers a command about a tun or a tap. Returns what the call returns.
fn answer<A: Argument>(
    interface: &InterfaceState,
    command: u32,
    data: &mut Data<'_, A>,
) -> Result<i32, Errno> {
    if let Some(answer) = every::answer(&mut &*interface, command, data) {
        return answer;
    }
    match command {
        GSET => get_settings(interface, data),
        SSET => set_settings(interface, data),
        GLINKSETTINGS => get_link_settings(interface, data),
        SLINKSETTINGS => set_link_settings(interface, data),
        GDRVINFO => {
            let mut info = [0; 196];
            info[..4].copy_from_slice(&command.to_ne_bytes());
            info[4..7].copy_from_slice(b"tun");
            info[36..39].copy_from_slice(b"1.6");
            let bus: &[u8; 3] = if interface.is_tap() { b"tap" } else { b"tun" };
            info[100..103].copy_from_slice(bus);
            data.write(0, &info)
        }
        GMSGLVL => data.put(4, Settings::of(interface).messages),
        SMSGLVL => {
            Change::Messages(data.word(4)?).make(interface);
            Ok(())
        }
        GCOALESCE => {
            let mut settings = [0; 92];
            settings[..4].copy_from_slice(&command.to_ne_bytes());
            let gathered = Settings::of(interface).gathered;
            settings[8..12].copy_from_slice(&gathered.to_ne_bytes());
            data.write(0, &settings)
        }
        SCOALESCE => {
            let mut settings = [0; 92];
            data.read(0, &mut settings)?;
            let other = settings[4..8].iter().chain(&settings[12..]);
            if other.clone().any(|byte| *byte != 0) {
                return Err(UNSUPPORTED);
            }
            Change::Gathered(data.word(8)?).make(interface);
            Ok(())
        }
        GCHANNELS => {
            let [most, attached] = Settings::of(interface).channels;
            let words = [command, 0, 0, 0, most, 0, 0, 0, attached];
            data.write(0, words.map(u32::to_ne_bytes).as_flattened())
        }
        _ => Err(UNSUPPORTED),
    }
    .map(|()| 0)
}

fn get_settings<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let words = Settings::of(interface).modes;
    let [speed, first, second, ..] = words;
    let mut old = [0; 44];
    old[..4].copy_from_slice(&GSET.to_ne_bytes());
    old[4..8].copy_from_slice(&words[3].to_ne_bytes());
    old[8..12].copy_from_slice(&words[3 + MODE_WORDS].to_ne_bytes());
    old[12..14].copy_from_slice(&(speed as u16).to_ne_bytes());
    let [duplex, port, phy, autoneg] = first.to_ne_bytes();
    let [mdio, mdix, control, _] = second.to_ne_bytes();
    old[14..20].copy_from_slice(&[duplex, port, phy, 0, autoneg, mdio]);
    old[28..30].copy_from_slice(&((speed >> 16) as u16).to_ne_bytes());
    old[30..32].copy_from_slice(&[mdix, control]);
    old[32..36].copy_from_slice(&words[3 + 2 * MODE_WORDS].to_ne_bytes());
    data.write(0, &old)
}

fn set_settings<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let mut old = [0u8; 44];
    data.read(0, &mut old)?;
    let word = |at: usize| u32::from_ne_bytes([old[at], old[at + 1], old[at + 2], old[at + 3]]);
    if word(20) != 0 || word(24) != 0 {
        return Err(INVALID);
    }
    let half = |at: usize| u32::from(u16::from_ne_bytes([old[at], old[at + 1]]));
    let mut words = [0; 3 + 3 * MODE_WORDS];
    words[0] = half(28) << 16 | half(12);
    words[1] = u32::from_ne_bytes([old[14], old[15], old[16], old[18]]);
    words[2] = u32::from_ne_bytes([old[19], old[30], old[31], 0]);
    words[3] = word(4);
    words[3 + MODE_WORDS] = word(8);
    words[3 + 2 * MODE_WORDS] = word(32);
    Change::Modes(words).make(interface);
    Ok(())
}

/// Length in bytes of `struct ethtool_link_settings` without its sets, and the place in it of the
/// number of words of each set.
const LINK_SETTINGS: usize = 48;
const NUMBER: usize = 15;

fn get_link_settings<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let mut new = [0; LINK_SETTINGS];
    data.read(0, &mut new)?;
    let agreed = new[NUMBER] == MODE_WORDS as u8;
    new = [0; LINK_SETTINGS];
    new[..4].copy_from_slice(&GLINKSETTINGS.to_ne_bytes());
    if !agreed {
        // The program is told how many words it has to ask for.
        new[NUMBER] = (-(MODE_WORDS as i8)) as u8;
        return data.write(0, &new);
    }
    let words = Settings::of(interface).modes;
    new[4..8].copy_from_slice(&words[0].to_ne_bytes());
    new[8..12].copy_from_slice(&words[1].to_ne_bytes());
    new[12..15].copy_from_slice(&words[2].to_ne_bytes()[..3]);
    new[NUMBER] = MODE_WORDS as u8;
    data.write(0, &new)?;
    for (place, word) in words[3..].iter().enumerate() {
        data.put(LINK_SETTINGS + 4 * place, *word)?;
    }
    Ok(())
}

fn set_link_settings<A: Argument>(
    interface: &InterfaceState,
    data: &mut Data<'_, A>,
) -> Result<(), Errno> {
    let mut new = [0u8; LINK_SETTINGS];
    data.read(0, &mut new)?;
    // Neither master nor slave is set on a tun.
    if new[NUMBER] != MODE_WORDS as u8 || new[17] != 0 || new[18] != 0 {
        return Err(INVALID);
    }
    let mut words = [0; 3 + 3 * MODE_WORDS];
    let word = |at: usize| u32::from_ne_bytes([new[at], new[at + 1], new[at + 2], new[at + 3]]);
    words[0] = word(4);
    words[1] = word(8);
    words[2] = u32::from_ne_bytes([new[12], new[13], new[14], 0]);
    for (place, to) in words[3..].iter_mut().enumerate() {
        *to = data.word(LINK_SETTINGS + 4 * place)?;
    }
    Change::Modes(words).make(interface);
    Ok(())
}
