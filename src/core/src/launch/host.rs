//! Starts the host process of a net.
#![forbid(unsafe_code)]

use super::library;
use crate::Errno;
use memtun_kernel::settings::{COMMAND, HOST};
use memtun_kernel::NetDir;
use memtun_stack::ask::{Command, Start};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Starts the command that MEMTUN_COMMAND names, or the one beside the library, or one in PATH.
pub(crate) struct Starter;

impl Start for Starter {
    fn start(&self, net: &NetDir, before: u64) -> Result<(), Errno> {
        let variables = [COMMAND, HOST, "PATH"].map(std::env::var_os);
        let [given, host, path] = &variables;
        let bytes = |value: &OsString| value.as_bytes().to_vec();
        let (given, host, path) = (
            given.as_ref().map(bytes),
            host.as_ref().map(bytes),
            path.as_ref().map(bytes),
        );
        let library = library::find().ok();
        let command = Command {
            given: given.as_deref(),
            library: library.as_ref().map(|path| path.as_os_str().as_bytes()),
            path: path.as_deref(),
            host: host.as_deref(),
        };
        command.start(net, before)
    }
}

pub(crate) fn starter() -> Starter {
    Starter
}
