//! Files of /proc/sys/net and /sys/class/net that are written.
#![forbid(unsafe_code)]

use crate::{Failure, World};
use memtun_stack::state::Sysctl;

/// Most settings that a net keeps.
const MOST: usize = 4096;
/// Longest value in bytes.
const LONGEST: usize = 256;

/// Writes into a file: `payload` is its path below /, a NUL, and what is written.
///
/// # Errors
///
/// - EINVAL when the value is not one.
/// - ENOENT when there is no such file that a net keeps.
/// - ENODEV when there is no such link.
/// - ENOSPC when the net keeps too many settings.
pub fn write(world: &mut World<'_>, payload: &[u8]) -> Result<(), Failure> {
    let at = payload.iter().position(|b| *b == 0);
    let at = at.ok_or(Failure::new(libc::EINVAL))?;
    let (path, value) = (&payload[..at], &payload[at + 1..]);
    if let Some(setting) = path.strip_prefix(b"proc/sys/net/") {
        return set(world, setting, value);
    }
    let attribute = path.strip_prefix(b"sys/class/net/");
    let parts: Vec<&[u8]> = attribute
        .unwrap_or_default()
        .split(|b| *b == b'/')
        .collect();
    match parts[..] {
        [name, attribute] => set_attribute(world, name, attribute, value),
        _ => Err(Failure::new(libc::ENOENT)),
    }
}

/// Keeps a setting, in the place of the one that was there.
fn set(world: &mut World<'_>, setting: &[u8], value: &[u8]) -> Result<(), Failure> {
    let value = value.trim_ascii();
    let is_one = value.len() <= LONGEST && value.iter().all(|b| b.is_ascii_graphic());
    if !is_one || value.is_empty() {
        return Err(Failure::new(libc::EINVAL));
    }
    let path = with_index(world, setting)?;
    let settings = &mut world.state.sysctls;
    match settings.iter().position(|known| known.path == path) {
        Some(at) => settings[at].value = value.to_vec(),
        None if settings.len() >= MOST => return Err(Failure::new(libc::ENOSPC)),
        None => settings.push(Sysctl {
            path,
            value: value.to_vec(),
        }),
    }
    Ok(())
}

/// Returns the path with the index of a link in the place of its name, so that the setting stays
/// with the link.
fn with_index(world: &World<'_>, setting: &[u8]) -> Result<Vec<u8>, Failure> {
    let parts: Vec<&[u8]> = setting.split(|b| *b == b'/').collect();
    let odd = |part: &&[u8]| part.is_empty() || part.starts_with(b".") || part.starts_with(b"#");
    if parts.iter().any(odd) {
        return Err(Failure::new(libc::ENOENT));
    }
    match parts[..] {
        [family, kind @ (b"conf" | b"neigh"), name, entry]
            if name != b"all" && name != b"default" =>
        {
            let link = world.link_named(name).ok_or(Failure::new(libc::ENODEV))?;
            let index = format!("#{}", link.extra.index);
            Ok([family, kind, index.as_bytes(), entry].join(&b'/'))
        }
        _ => Ok(setting.to_vec()),
    }
}

/// Writes an attribute that only the host knows.
fn set_attribute(
    world: &mut World<'_>,
    name: &[u8],
    attribute: &[u8],
    value: &[u8],
) -> Result<(), Failure> {
    const LONGEST_ALIAS: usize = 255;
    let link = world.link_named(name).ok_or(Failure::new(libc::ENODEV))?;
    let index = link.extra.index;
    let links = &mut world.state.links;
    let known = links.iter_mut().find(|link| link.index == index);
    let extra = known.ok_or(Failure::new(libc::EOPNOTSUPP))?;
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    match attribute {
        b"ifalias" if value.len() <= LONGEST_ALIAS => extra.alias = value.to_vec(),
        b"netdev_group" => extra.group = number(value).ok_or(Failure::new(libc::EINVAL))?,
        b"ifalias" => return Err(Failure::new(libc::EINVAL)),
        _ => return Err(Failure::new(libc::ENOENT)),
    }
    Ok(())
}

/// Reads a number in decimal, octal or hexadecimal digits, as kstrtoul with base 0 does.
fn number(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let (digits, base) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    u32::from_str_radix(digits, base).ok()
}
