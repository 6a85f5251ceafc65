//! What the program finds in its environment.
#![forbid(unsafe_code)]

use super::{LinkState, RunArgs};
use memtun::launch::{place, preload};
use memtun::Net;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// Sets LD_PRELOAD and the variables of memtun's. `runtimes`: the sanitizers' libraries that the program is linked with.
pub fn set(command: &mut Command, args: &RunArgs, net: &Net, library: &Path, runtimes: &[String]) {
    let inherited = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    command.env("LD_PRELOAD", preload(runtimes, library, inherited));
    command.env("MEMTUN_NET", net.path());
    if let Some(place) = place(net.path()) {
        command.env("MEMTUN_NET_PLACE", place);
    }
    if net.is_private() {
        // A process that outlives the net, and opens the device then, makes one that goes with it again.
        command.env("MEMTUN_TREE", net.path());
    }
    if let Some(uid) = args.net.owner() {
        command.env("MEMTUN_NET_OWNER", uid.to_string());
    }
    if !args.devices.is_empty() {
        let paths: Vec<&[u8]> = args
            .devices
            .iter()
            .map(|d| d.as_os_str().as_bytes())
            .collect();
        command.env("MEMTUN_DEVICES", OsStr::from_bytes(&paths.join(&b':')));
    }
    match args.link {
        Some(LinkState::Up) => command.env("MEMTUN_LINK", "up"),
        Some(LinkState::Down) => command.env("MEMTUN_LINK", "down"),
        None => command,
    };
}
