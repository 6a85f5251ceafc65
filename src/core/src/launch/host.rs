//! Starts the host process of a net.
#![forbid(unsafe_code)]

use super::library;
use crate::Errno;
use memtun_kernel::settings::{self, Host, COMMAND, HOST, LOG};
use memtun_kernel::NetDir;
use memtun_stack::ask::{Command, Start};
use memtun_sys::Fd;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Starts the command that MEMTUN_COMMAND names, or the one beside the library, or one in PATH.
pub(crate) struct Starter;

impl Start for Starter {
    fn start(&self, net: &NetDir, before: u64) -> Result<Option<Fd>, Errno> {
        let variables = [COMMAND, HOST, LOG, "PATH"].map(std::env::var_os);
        let [given, host, log, path] = &variables;
        let said = host.as_ref().map_or(b"".as_slice(), |host| host.as_bytes());
        if settings::host(said).is_none() {
            return Err(Errno(libc::EINVAL));
        }
        let bytes = |value: &OsString| value.as_bytes().to_vec();
        let (given, host, log, path) = (
            given.as_ref().map(bytes),
            host.as_ref().map(bytes),
            log.as_ref().map(bytes),
            path.as_ref().map(bytes),
        );
        let library = library::find().ok();
        let command = Command {
            given: given.as_deref(),
            library: library.as_ref().map(|path| path.as_os_str().as_bytes()),
            path: path.as_deref(),
            host: host.as_deref(),
            log: log.as_deref(),
        };
        command.start(net, before)
    }
}

/// Returns why the environment keeps a host process from being started, as a sentence.
pub(crate) fn obstacle() -> Option<String> {
    let said = std::env::var_os(HOST)?;
    let why = match settings::host(said.as_bytes()) {
        Some(Host::Off) => "there is to be no host process; leave the variable out",
        Some(_) => return None,
        None => settings::HOST_REMEDY,
    };
    Some(format!("{HOST}={}: {why}", said.to_string_lossy()))
}

pub(crate) fn starter() -> Starter {
    Starter
}
