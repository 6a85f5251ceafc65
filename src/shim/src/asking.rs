//! The host process of this process's net, as this process asks it.
#![forbid(unsafe_code)]

use crate::starter::Starter;
use crate::{config, net};
use memtun_abi::Errno;
use memtun_calls::host::Host;
use memtun_kernel::net::NetDir;
use memtun_kernel::settings::Host as Setting;
use memtun_stack::ask::Start;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};

/// The host of this process's net.
pub struct OwnHost;

impl Host for OwnHost {
    fn existing(&self) -> Option<&NetDir> {
        net::existing().filter(|_| is_there())
    }
    fn make(&self) -> Result<&NetDir, Errno> {
        match is_there() {
            true => net::join(),
            false => Err(Errno(libc::ENOSYS)),
        }
    }
    fn is_isolated(&self) -> bool {
        config::get().is_some_and(|config| config.host == Setting::Isolated)
    }
    fn start(&self) -> &dyn Start {
        &Starter
    }
    fn program(&self) -> (u32, u32) {
        // Nobody is told the number of a process that may not ask for it.
        let pid = match may(Extra::Process) {
            true => sys::getpid() as u32,
            false => 0,
        };
        (sys::effective_uid(), pid)
    }
}

/// Is there a host side for this process: is it in a net, and not told to leave it out?
pub fn is_there() -> bool {
    config::get().is_some_and(|config| config.host != Setting::Off)
}
