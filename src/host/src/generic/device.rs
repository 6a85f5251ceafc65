//! The device that a request is about (`ethnl_parse_header_dev_get`), and what it can.
#![forbid(unsafe_code)]

use super::command::{PSE_GET, PSE_SET, STRSET_GET};
use super::policy;
use crate::netlink::policy::Mode;
use crate::netlink::Request;
use crate::{Failure, World};
use memtun_abi::Errno;
use memtun_kernel::link::ethtool::{Plain, Settings, NEVER, SWITCHABLE};
use memtun_stack::wire::{Attribute, Writer, NESTED};
use memtun_stack::Link;

// Attributes of a header (ETHTOOL_A_HEADER_*).
const INDEX: u16 = 1;
const NAME: u16 = 2;
const FLAGS: u16 = 3;
const PHY: u16 = 4;

/// A device, as far as ethtool(8) sees it.
pub(super) struct Device {
    pub index: u32,
    pub name: Vec<u8>,
    /// What a tun or a tap answers; None for another device.
    pub tun: Option<Settings>,
    pub link: bool,
    /// The features that can be switched, that are wanted, that are on, and that never change.
    pub features: [u64; 4],
}

impl Device {
    fn of(world: &mut World<'_>, link: &Link) -> Result<Device, Errno> {
        let index = link.extra.index;
        let tun = match link.driver {
            Some(_) => Some(world.devices.ethtool(index)?),
            None => None,
        };
        let up = link.extra.flags & libc::IFF_UP as u32 != 0;
        Ok(Device {
            index,
            name: link.extra.name.as_bytes().to_vec(),
            link: tun.map_or(up && link.carrier, |tun| tun.link),
            features: match &tun {
                Some(tun) => [SWITCHABLE, tun.wanted, tun.active, NEVER],
                None => {
                    let wanted = link.extra.features.unwrap_or(Plain::WANTED);
                    [Plain::SWITCHABLE, wanted, Plain::active(wanted), NEVER]
                }
            },
            tun,
        })
    }

    /// Returns the settings of a tun or a tap.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for another device.
    pub(super) fn tun(&self) -> Result<&Settings, Failure> {
        self.tun.as_ref().ok_or(Failure::new(libc::EOPNOTSUPP))
    }

    /// Appends the header of an answer (`ethnl_fill_reply_header`).
    pub(super) fn write(&self, to: &mut Writer, header: u16) {
        let open = to.begin(header | NESTED);
        to.u32(INDEX, self.index).string(NAME, &self.name);
        to.end(open);
    }
}

/// What is said where a device has no such part.
const NO_PHY: &str = "no phy matching phyindex";

/// All devices of the net, by ascending index.
pub(super) fn all(world: &mut World<'_>) -> Result<Vec<Device>, Failure> {
    let links = world.links.clone();
    let devices = links.iter().map(|link| Device::of(world, link));
    Ok(devices.collect::<Result<_, _>>()?)
}

/// Reads the header of a request. Returns its device, and its flags (ETHTOOL_FLAG_*).
///
/// # Errors
///
/// - EINVAL when there is no device and there has to be one.
/// - ENODEV when there is no such device.
pub(super) fn find(
    world: &mut World<'_>,
    request: &Request<'_>,
    header: Option<Attribute<'_>>,
    wanted: bool,
) -> Result<(Option<Device>, u32), Failure> {
    let Some(header) = header.and_then(|header| request.at(header.at)) else {
        return match wanted {
            true => Err(Failure::said(libc::EINVAL, "request header missing")),
            false => Ok((None, 0)),
        };
    };
    let tb = request.parse_nested(header, &policy::HEADER, Mode::Strict)?;
    let flags = tb.get(FLAGS).and_then(|a| a.u32()).unwrap_or(0);
    let absent = |text: &'static str, at: usize| Failure::said(libc::ENODEV, text).at(at);
    let mut links = world.links.iter();
    let link = match (tb.get(INDEX), tb.get(NAME)) {
        (Some(index), name) => {
            let number = index.u32().unwrap_or(0);
            let link = links.find(|link| link.extra.index == number);
            let link = link.ok_or(absent("no device matches ifindex", index.at))?;
            let is_its = |name: Attribute<'_>| link.extra.name.as_bytes() == name.string();
            if !name.is_none_or(is_its) {
                return Err(absent("ifindex and name do not match", header.at));
            }
            Some(link)
        }
        (None, Some(name)) => {
            let link = links.find(|link| {
                let mut others = link.extra.other_names.iter();
                link.extra.name.as_bytes() == name.string()
                    || others.any(|other| other == name.string())
            });
            Some(link.ok_or(absent("no device matches name", name.at))?)
        }
        (None, None) if wanted => {
            let text = "neither ifindex nor name specified";
            return Err(Failure::said(libc::EINVAL, text).at(header.at));
        }
        (None, None) => None,
    };
    if tb.has(PHY) {
        let fail = |errno: i32, text: &'static str| Failure::said(errno, text).at(header.at);
        return Err(match (link, request.message.body.first()) {
            (None, _) => fail(libc::EINVAL, "phy_index set without a netdev"),
            (_, Some(&PSE_SET)) => fail(libc::EOPNOTSUPP, "No PHY is attached"),
            (_, Some(&(STRSET_GET | PSE_GET))) => fail(libc::ENODEV, NO_PHY),
            _ => fail(libc::EOPNOTSUPP, NO_PHY),
        });
    }
    match link.cloned() {
        Some(link) => Ok((Some(Device::of(world, &link)?), flags)),
        None => Ok((None, flags)),
    }
}
