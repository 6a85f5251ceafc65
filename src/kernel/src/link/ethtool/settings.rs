//! What ethtool(8) asks and sets, as values: for ioctl(2) and for the family of generic netlink.
#![forbid(unsafe_code)]

use super::features::active;
use crate::shm::layout::InterfaceState;
use crate::uapi::IFF_MULTI_QUEUE;
use std::sync::atomic::Ordering::Relaxed;

/// Most packets that a write may gather (NAPI_POLL_WEIGHT).
const MOST_GATHERED: u32 = 64;
/// Number of words of a set of link modes.
pub const MODE_WORDS: usize = 4;
/// Number of words of the settings of a link.
pub const MODES: usize = 3 + 3 * MODE_WORDS;

/// What an interface answers ethtool(8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// The features that are wanted (bits of NETIF_F_*).
    pub wanted: u64,
    /// The features that are on.
    pub active: u64,
    /// Speed, then duplex, port, phy_address and autoneg, then mdio_support, eth_tp_mdix and
    /// eth_tp_mdix_ctrl, a byte each; then the sets of modes that are supported, advertised, and
    /// advertised by the other end.
    pub modes: [u32; MODES],
    /// The kinds of messages that the driver logs (NETIF_MSG_*).
    pub messages: u32,
    /// How many packets a write may gather.
    pub gathered: u32,
    /// The highest number of queues, and how many are attached.
    pub channels: [u32; 2],
    /// Is it up, with a carrier?
    pub link: bool,
}

impl Settings {
    /// Reads those of an interface.
    pub fn of(interface: &InterfaceState) -> Settings {
        let multi = interface.tun_flags.load(Relaxed) & IFF_MULTI_QUEUE != 0;
        Settings {
            wanted: interface.features.load(Relaxed),
            active: active(interface),
            modes: std::array::from_fn(|i| interface.link_settings[i].load(Relaxed)),
            messages: interface.messages.load(Relaxed),
            gathered: interface.gathered.load(Relaxed),
            channels: [
                if multi { 256 } else { 1 },
                interface.attached_queues() as u32,
            ],
            link: interface.is_up() && interface.carrier.load(Relaxed) != 0,
        }
    }
}

/// A change of one of the [`Settings`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// What is wanted of the features.
    Wanted(u64),
    /// The settings of the link.
    Modes([u32; MODES]),
    /// The kinds of messages that are logged.
    Messages(u32),
    /// How many packets a write may gather, of which there is a most.
    Gathered(u32),
}

impl Change {
    /// Makes the change.
    pub fn make(self, interface: &InterfaceState) {
        match self {
            Change::Wanted(features) => interface.features.store(features, Relaxed),
            Change::Modes(words) => {
                for (to, word) in interface.link_settings.iter().zip(words) {
                    to.store(word, Relaxed);
                }
            }
            Change::Messages(kinds) => interface.messages.store(kinds, Relaxed),
            Change::Gathered(packets) => {
                let packets = packets.min(MOST_GATHERED);
                interface.gathered.store(packets, Relaxed);
            }
        }
    }
}
