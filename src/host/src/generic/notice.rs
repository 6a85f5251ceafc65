//! What those are told who listen to the changes of devices (`ethnl_default_notify`). Whoever has
//! made a change, by whatever call: it is found by comparing.
#![forbid(unsafe_code)]

use super::ask::{Ask, GENERIC, VERSION};
use super::device::{all, Device};
use super::get;
use super::policy::EMPTY;
use crate::netlink::policy::Mode;
use crate::netlink::{Asker, Request};
use crate::{Failure, World};
use memtun_kernel::link::ethtool::Settings;
use memtun_stack::family::MONITOR;
use memtun_stack::wire::{Messages, Writer};

/// What devices answered when they were looked at last.
#[derive(Default)]
pub struct Seen {
    devices: Vec<(u32, Settings)>,
    /// Number of the last message (`ethnl_bcast_seq`).
    sequence: u32,
}

/// Appends what a message says.
type Write = fn(&Ask<'_, '_>, &Device, &mut Writer) -> Result<(), Failure>;

/// Returns the part of the settings that a message tells.
type Part = fn(&Settings) -> [u32; 12];

/// The messages: the number of each (ETHTOOL_MSG_*_NTF), what it tells, and when.
const NOTICES: &[(u8, Write, Part)] = &[
    (3, get::link_info, |it| {
        let [_, port, phy, _] = it.modes[1].to_ne_bytes();
        let others = it.modes[2];
        words(&[port.into(), phy.into(), others])
    }),
    (5, get::link_modes, |it| {
        let [duplex, _, _, autoneg] = it.modes[1].to_ne_bytes();
        let mut all = words(&it.modes[3..]);
        // What is supported cannot be set without telling what is advertised.
        all[0] = it.modes[0];
        all[1] = duplex.into();
        all[2] = autoneg.into();
        all
    }),
    (8, get::debug, |it| words(&[it.messages])),
    (13, get::features, |it| {
        words(&[it.active as u32, (it.active >> 32) as u32])
    }),
    (21, get::coalesce, |it| words(&[it.gathered])),
];

fn words(some: &[u32]) -> [u32; 12] {
    std::array::from_fn(|at| some.get(at).copied().unwrap_or(0))
}

impl Seen {
    /// Tells what has changed since the last time, in messages of this type. What is seen for the
    /// first time is no change.
    ///
    /// # Errors
    ///
    /// What reading the net fails with.
    pub fn compare(&mut self, world: &mut World<'_>, family: u16) -> Result<(), Failure> {
        let mut now = Vec::new();
        for device in all(world)? {
            // Of a device without a tun driver only the features can change.
            let settings = device.tun.unwrap_or(Settings {
                active: device.features[2],
                ..Settings::default()
            });
            now.push((device.index, settings));
            let mut seen = self.devices.iter();
            if let Some((_, before)) = seen.find(|(index, _)| *index == device.index) {
                let before = *before;
                for (number, write, part) in NOTICES {
                    if part(&before) != part(&settings) {
                        self.sequence = self.sequence.wrapping_add(1);
                        let head = (family, self.sequence);
                        world.tell(MONITOR, message(head, (*number, *write), &device));
                    }
                }
            }
        }
        self.devices = now;
        Ok(())
    }

    /// Forgets what was seen, because nobody listens.
    pub fn forget(&mut self) {
        self.devices.clear();
    }
}

/// Makes a message.
fn message((family, sequence): (u16, u32), (number, write): (u8, Write), of: &Device) -> Vec<u8> {
    /// ETHTOOL_FLAG_COMPACT_BITSETS.
    const COMPACT: u32 = 1;
    let mut asked = Writer::default();
    asked.message(family, 0, sequence, 0).raw(&[0; 4]);
    let asker = Asker {
        port: 0,
        options: 0,
        uid: 0,
    };
    let mut to = Writer::default();
    for asked in Messages(asked.bytes()) {
        let request = Request::new(asked, asker);
        if let Ok(tb) = request.parse(GENERIC, &EMPTY, Mode::Strict) {
            let ask = Ask {
                request: &request,
                command: 0,
                tb,
                flags: COMPACT,
            };
            let _ = write(&ask, of, &mut to);
        }
    }
    let mut message = to.take();
    if let Some(head) = message.get_mut(16..18) {
        head.copy_from_slice(&[number, VERSION]);
    }
    message
}
