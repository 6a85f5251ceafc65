//! The directory of a link under /sys (net/core/net-sysfs.c, drivers/net/tun.c,
//! drivers/base/power/sysfs.c).
#![forbid(unsafe_code)]

use super::links::Seen;
use super::place::{self, component};
use super::text::{say, Text};
use super::tree::{Sort, Tree};
use super::wide::copy;
use crate::link::oper;
use memtun_abi::{Errno, Name};
use memtun_sys::PathBuf;

const READ: u32 = 0o444;
const BOTH: u32 = 0o644;

/// The files in a link's own directory, and their permissions.
const ATTRIBUTES: &[(&str, u32)] = &[
    ("addr_assign_type", READ),
    ("addr_len", READ),
    ("address", READ),
    ("broadcast", READ),
    ("carrier", BOTH),
    ("carrier_changes", READ),
    ("carrier_down_count", READ),
    ("carrier_up_count", READ),
    ("dev_id", READ),
    ("dev_port", READ),
    ("dormant", READ),
    ("duplex", READ),
    ("flags", BOTH),
    ("gro_flush_timeout", BOTH),
    ("ifalias", BOTH),
    ("ifindex", READ),
    ("iflink", READ),
    ("link_mode", READ),
    ("mtu", BOTH),
    ("name_assign_type", READ),
    ("napi_defer_hard_irqs", BOTH),
    ("netdev_group", BOTH),
    ("operstate", READ),
    ("proto_down", BOTH),
    ("speed", READ),
    ("testing", READ),
    ("threaded", BOTH),
    ("tx_queue_len", BOTH),
    ("type", READ),
    ("uevent", BOTH),
];

/// Those that only the tun driver adds.
const OF_TUN: &[(&str, u32)] = &[("group", READ), ("owner", READ), ("tun_flags", READ)];

const POWER: &[(&str, u32)] = &[
    ("autosuspend_delay_ms", BOTH),
    ("control", BOTH),
    ("runtime_active_time", READ),
    ("runtime_status", READ),
    ("runtime_suspended_time", READ),
];

const RX: &[(&str, u32)] = &[("rps_cpus", BOTH), ("rps_flow_cnt", BOTH)];

const TX: &[(&str, u32)] = &[
    ("traffic_class", READ),
    ("tx_maxrate", BOTH),
    ("tx_timeout", READ),
    ("xps_cpus", BOTH),
    ("xps_rxqs", BOTH),
];

const STATISTICS: &[(&str, u32)] = &[
    ("collisions", READ),
    ("multicast", READ),
    ("rx_bytes", READ),
    ("rx_compressed", READ),
    ("rx_crc_errors", READ),
    ("rx_dropped", READ),
    ("rx_errors", READ),
    ("rx_fifo_errors", READ),
    ("rx_frame_errors", READ),
    ("rx_length_errors", READ),
    ("rx_missed_errors", READ),
    ("rx_nohandler", READ),
    ("rx_over_errors", READ),
    ("rx_packets", READ),
    ("tx_aborted_errors", READ),
    ("tx_bytes", READ),
    ("tx_carrier_errors", READ),
    ("tx_compressed", READ),
    ("tx_dropped", READ),
    ("tx_errors", READ),
    ("tx_fifo_errors", READ),
    ("tx_heartbeat_errors", READ),
    ("tx_packets", READ),
    ("tx_window_errors", READ),
];

/// The files of a link of the machine's that look different when it was changed in a net.
pub(super) const ON_CARDS: &[&[u8]] = &[
    b"carrier",
    b"flags",
    b"ifalias",
    b"mtu",
    b"netdev_group",
    b"operstate",
    b"tx_queue_len",
];

/// The target of the link `subsystem`.
pub const SUBSYSTEM: &[u8] = b"../../../../class/net";

/// A directory in a link's own directory, or that one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inner {
    /// The link's own directory.
    Top,
    /// Power management.
    Power,
    /// The queues.
    Queues,
    /// A queue of the given number for packets that come in.
    Rx(u32),
    /// A queue of the given number for packets that go out.
    Tx(u32),
    /// The counters.
    Statistics,
}

/// What a path in a link's own directory names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inside {
    /// A directory.
    Directory(Inner),
    /// A file in one, its name and its permissions.
    File(Inner, &'static str, u32),
    /// The link to the directory of all links.
    Subsystem,
}

impl Inner {
    fn files(self) -> &'static [(&'static str, u32)] {
        match self {
            Inner::Top => ATTRIBUTES,
            Inner::Power => POWER,
            Inner::Queues => &[],
            Inner::Rx(_) => RX,
            Inner::Tx(_) => TX,
            Inner::Statistics => STATISTICS,
        }
    }

    /// Returns the number of directories in it.
    pub fn directories(self, seen: &Seen) -> u32 {
        match self {
            Inner::Top => 3,
            Inner::Queues => 2 * queues(seen),
            _ => 0,
        }
    }

    /// Calls `each` with what is in it.
    pub fn list(self, seen: &Seen, each: &mut dyn FnMut(&[u8], Sort<'_>)) {
        let of_tun = match self {
            Inner::Top if seen.driver.is_some() => OF_TUN,
            _ => &[],
        };
        for (name, mode) in self.files().iter().chain(of_tun) {
            each(name.as_bytes(), Sort::File(*mode));
        }
        match self {
            Inner::Top => {
                for name in ["power", "queues", "statistics"] {
                    each(name.as_bytes(), Sort::Directory(0o755));
                }
                each(b"subsystem", Sort::Link(SUBSYSTEM));
            }
            Inner::Queues => {
                for prefix in [&b"rx-"[..], b"tx-"] {
                    for number in 0..queues(seen) {
                        let mut name = [0; 16];
                        let digits = memtun_abi::Decimal::new(number.into());
                        let end = prefix.len() + digits.as_bytes().len();
                        name[..prefix.len()].copy_from_slice(prefix);
                        name[prefix.len()..end].copy_from_slice(digits.as_bytes());
                        each(&name[..end], Sort::Directory(0o755));
                    }
                }
            }
            _ => {}
        }
    }
}

/// May several queues be attached to the link (IFF_MULTI_QUEUE)?
fn is_multi_queue(seen: &Seen) -> bool {
    use memtun_abi::uapi::IFF_MULTI_QUEUE;
    let driver = seen.driver;
    driver.is_some_and(|driver| driver.flags & IFF_MULTI_QUEUE != 0)
}

/// The number of queues that a link has in each direction: those that are attached.
fn queues(seen: &Seen) -> u32 {
    match seen.driver {
        Some(driver) if is_multi_queue(seen) => driver.queues.max(1),
        _ => 1,
    }
}

/// Says what a path in a link's own directory names.
///
/// # Errors
///
/// - ENOENT when there is no such thing.
/// - ENOTDIR when a component on the way is a file.
pub fn inside(seen: &Seen, path: &[u8]) -> Result<Inside, Errno> {
    const NONE: Errno = Errno(libc::ENOENT);
    let (first, rest) = component(path);
    let in_directory = |inner: Inner, path: &[u8]| {
        let (name, behind) = component(path);
        if name.is_empty() {
            return Ok(Inside::Directory(inner));
        }
        let of_tun = match inner {
            Inner::Top if seen.driver.is_some() => OF_TUN,
            _ => &[],
        };
        let mut files = inner.files().iter().chain(of_tun);
        let (name, mode) = files.find(|file| file.0.as_bytes() == name).ok_or(NONE)?;
        if behind.is_empty() {
            Ok(Inside::File(inner, name, *mode))
        } else {
            Err(Errno(libc::ENOTDIR))
        }
    };
    match first {
        b"power" => in_directory(Inner::Power, rest),
        b"statistics" => in_directory(Inner::Statistics, rest),
        b"subsystem" if rest.is_empty() => Ok(Inside::Subsystem),
        b"queues" => {
            let (queue, rest) = component(rest);
            if queue.is_empty() {
                return Ok(Inside::Directory(Inner::Queues));
            }
            let (kind, digits) = queue.split_at_checked(3).ok_or(NONE)?;
            let plain = digits == b"0" || digits.first().is_some_and(|b| *b != b'0');
            let number = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .filter(|number| plain && *number < queues(seen));
            match (kind, number) {
                (b"rx-", Some(number)) => in_directory(Inner::Rx(number), rest),
                (b"tx-", Some(number)) => in_directory(Inner::Tx(number), rest),
                _ => Err(NONE),
            }
        }
        _ => in_directory(Inner::Top, path),
    }
}

impl Tree<'_> {
    /// Makes the text of a file in a link's own directory.
    ///
    /// # Errors
    ///
    /// What reading such a file fails with: EINVAL for what is not known while the link is down,
    /// ENOENT and EIO for what the device does not have.
    pub(super) fn attribute(
        &self,
        seen: &Seen,
        inner: Inner,
        name: &str,
        text: &mut Text<'_>,
    ) -> Result<(), Errno> {
        match inner {
            Inner::Top => return self.top(seen, name, text),
            Inner::Queues => return Err(Errno(libc::EISDIR)),
            Inner::Power => match name {
                "control" => say!(text, "auto\n"),
                "runtime_status" => say!(text, "unsupported\n"),
                "autosuspend_delay_ms" => return Err(Errno(libc::EIO)),
                _ => say!(text, "0\n"),
            },
            Inner::Rx(_) => say!(text, "0\n"),
            Inner::Tx(_) => match name {
                // A link that can have but one queue has no classes and no choice among processors.
                "traffic_class" | "xps_cpus" if !is_multi_queue(seen) => {
                    return Err(Errno(libc::ENOENT))
                }
                _ => say!(text, "0\n"),
            },
            Inner::Statistics => {
                let counters = &seen.counters;
                let value = match name {
                    "rx_bytes" => counters.rx_bytes,
                    "rx_packets" => counters.rx_packets,
                    "rx_dropped" => counters.rx_dropped,
                    "rx_frame_errors" => counters.rx_frame_errors,
                    "tx_bytes" => counters.tx_bytes,
                    "tx_packets" => counters.tx_packets,
                    "tx_dropped" => counters.tx_dropped,
                    _ => 0,
                };
                say!(text, "{value}\n");
            }
        }
        Ok(())
    }

    /// Makes the text of a file in the directory of a link of the machine's.
    ///
    /// # Errors
    ///
    /// What reading the machine's fails with.
    pub(super) fn on_card(
        &self,
        name: &Name,
        file: &[u8],
        text: &mut Text<'_>,
    ) -> Result<(), Errno> {
        /// The flags that stand in the file, without those that follow from other things.
        const KEPT: u32 = 0xffff & !(libc::IFF_RUNNING as u32);
        let parts = [place::CLASS, b"/", name.as_bytes(), b"/", file];
        let machines = || PathBuf::concat(&parts);
        let Some(overlay) = ON_CARDS
            .contains(&file)
            .then(|| self.overlay(name))
            .flatten()
        else {
            return copy(machines()?, text);
        };
        let is_up = overlay.flags & libc::IFF_UP as u32 != 0;
        match file {
            b"mtu" => say!(text, "{}\n", overlay.mtu),
            b"flags" => say!(text, "{:#x}\n", overlay.flags & KEPT),
            b"tx_queue_len" => say!(text, "{}\n", overlay.txqueuelen),
            b"netdev_group" => say!(text, "{}\n", overlay.group as i32),
            b"ifalias" => {
                return self.alias(overlay.index, |alias| {
                    if !alias.is_empty() {
                        text.put(alias);
                        text.put(b"\n");
                    }
                    Ok(())
                })
            }
            b"operstate" if !is_up => text.put(b"down\n"),
            b"carrier" if !is_up => return Err(Errno(libc::EINVAL)),
            _ => return copy(machines()?, text),
        }
        Ok(())
    }

    fn top(&self, seen: &Seen, name: &str, text: &mut Text<'_>) -> Result<(), Errno> {
        let while_up = || match seen.is_up() {
            true => Ok(()),
            false => Err(Errno(libc::EINVAL)),
        };
        match name {
            // NET_ADDR_SET, or NET_ADDR_RANDOM of a tap.
            "addr_assign_type" => say!(
                text,
                "{}\n",
                match seen.address_is_set {
                    true => 3,
                    false => u8::from(seen.is_tap()),
                }
            ),
            "addr_len" => say!(text, "{}\n", seen.address.bytes().len()),
            "address" => hardware(seen.address.bytes(), text),
            "broadcast" => hardware(seen.broadcast.bytes(), text),
            "carrier" => {
                while_up()?;
                say!(text, "{}\n", u8::from(seen.carrier));
            }
            "carrier_changes" => say!(text, "{}\n", seen.carrier_changes.iter().sum::<u32>()),
            "carrier_up_count" => say!(text, "{}\n", seen.carrier_changes[0]),
            "carrier_down_count" => say!(text, "{}\n", seen.carrier_changes[1]),
            "dev_id" => say!(text, "0x0\n"),
            "dormant" | "testing" => {
                while_up()?;
                say!(text, "0\n");
            }
            "duplex" => {
                while_up()?;
                seen.driver.ok_or(Errno(libc::EINVAL))?;
                say!(
                    text,
                    "{}\n",
                    match seen.speed.1 {
                        0 => "half",
                        1 => "full",
                        _ => "unknown",
                    }
                );
            }
            "speed" => {
                while_up()?;
                seen.driver.ok_or(Errno(libc::EINVAL))?;
                say!(text, "{}\n", seen.speed.0 as i32);
            }
            "flags" => {
                let by_itself = u32::from(seen.receives_all) * libc::IFF_PROMISC as u32;
                say!(text, "{:#x}\n", seen.flags | by_itself);
            }
            "group" => say!(text, "{}\n", seen.driver.map_or(-1, |driver| driver.group)),
            "owner" => say!(text, "{}\n", seen.driver.map_or(-1, |driver| driver.owner)),
            "tun_flags" => say!(text, "{:#x}\n", seen.driver.map_or(0, |d| d.flags)),
            "ifalias" => {
                return self.alias(seen.index, |alias| {
                    if !alias.is_empty() {
                        text.put(alias);
                        text.put(b"\n");
                    }
                    Ok(())
                })
            }
            "ifindex" | "iflink" => say!(text, "{}\n", seen.index),
            "link_mode" => say!(text, "{}\n", seen.link_mode),
            "mtu" => say!(text, "{}\n", seen.mtu),
            // NET_NAME_UNKNOWN of a tun, which has no text; NET_NAME_PREDICTABLE of the loopback.
            "name_assign_type" => match seen.driver {
                Some(_) => return Err(Errno(libc::EINVAL)),
                None => say!(text, "2\n"),
            },
            "netdev_group" => say!(text, "{}\n", seen.group as i32),
            "operstate" => say!(
                text,
                "{}\n",
                match (seen.is_up() && seen.carrier, seen.operstate) {
                    (false, _) => "down",
                    (true, oper::TESTING) => "testing",
                    (true, oper::DORMANT) => "dormant",
                    (true, oper::UP) => "up",
                    // Nothing is known as long as the carrier has never changed.
                    _ if seen.carrier_changes.iter().sum::<u32>() > 0 => "up",
                    _ => "unknown",
                }
            ),
            "tx_queue_len" => say!(text, "{}\n", seen.txqueuelen),
            "type" => say!(text, "{}\n", seen.link_type),
            "uevent" => {
                text.put(b"INTERFACE=");
                text.put(seen.name.as_bytes());
                say!(text, "\nIFINDEX={}\n", seen.index);
            }
            _ => say!(text, "0\n"),
        }
        Ok(())
    }
}

/// Appends a link-layer address and a line's end.
fn hardware(address: &[u8], text: &mut Text<'_>) {
    for (at, byte) in address.iter().enumerate() {
        say!(text, "{}{byte:02x}", if at > 0 { ":" } else { "" });
    }
    text.put(b"\n");
}
