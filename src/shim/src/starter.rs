//! Starts a host process for this program's net, when it asks for something that only that one
//! answers.
#![forbid(unsafe_code)]

use crate::{config, process};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_kernel::settings;
use memtun_stack::ask::{Command, Start};
use memtun_sys::quiet::{self, may, Extra};
use memtun_sys::{Fd, PathBuf};

/// Starts `memtun host`, found as the settings say.
pub struct Starter;

impl Starter {
    fn command() -> Option<Command<'static>> {
        let config = config::get()?;
        Some(Command {
            given: config.command.as_deref(),
            library: config.own.as_ref().map(|path| path.to_bytes()),
            path: config.path.as_deref(),
            host: Some(settings::host_word(config.host).as_bytes()),
            log: config.log_setting.as_deref(),
        })
    }
}

impl Start for Starter {
    fn start(&self, net: &NetDir, before: u64) -> Result<Option<Fd>, Errno> {
        if !may(Extra::Spawn) {
            return Err(Errno(libc::EACCES));
        }
        let command = Starter::command().ok_or(Errno(libc::ENOSYS))?;
        command.start(net, before)
    }

    fn command(&self) -> Option<PathBuf> {
        Starter::command()?.find()
    }

    fn keeps(&self) -> bool {
        // A sandbox may allow less than what that needs.
        quiet::may_all() && process::owns_memory()
    }
}
