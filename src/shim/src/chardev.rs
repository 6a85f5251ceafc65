//! The special device as this machine has it, or would have it if it had one.
#![forbid(unsafe_code)]

use crate::config;
use memtun_calls::device::{is_device, FileStat};
use memtun_sys as sys;

/// What stat(2) says of the device.
pub fn device() -> FileStat {
    for device in config::get().map_or(&[][..], |c| &c.devices) {
        let path = sys::PathBuf::concat(&[&device.path]);
        if let Ok(Ok(st)) = path.map(|p| sys::fstatat(libc::AT_FDCWD, p.cstr(), 0)) {
            if is_device(&st) {
                return FileStat::of(&st);
            }
        }
    }
    FileStat::imagined()
}

/// The mount that the device is in, or that it would be in.
pub fn mount() -> Option<u64> {
    let device = config::get()?.devices.first()?;
    let mut path = sys::PathBuf::concat(&[&device.path]).ok()?;
    loop {
        if let Some(mount) = sys::mount_id(path.cstr()) {
            return Some(mount);
        }
        let parent = path.bytes().iter().rposition(|b| *b == b'/')?;
        path.truncate(parent);
    }
}
