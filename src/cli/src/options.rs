//! The options that verbs have in common: which net, which interface, for how long.

use crate::failure::Failure;
use crate::values::{self, Timeout, User};
use clap::{Args, ValueHint};
use memtun::{Interface, Net, NetOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Which net a verb is about.
#[derive(Args)]
pub struct NetArgs {
    /// Directory of the net, instead of $MEMTUN_NET
    #[arg(
        long = "net",
        value_name = "DIR",
        env = "MEMTUN_NET",
        hide_env_values = true
    )]
    dir: Option<PathBuf>,
    /// User whose net it is, a name or a number: how root joins another user's, instead of $MEMTUN_NET_OWNER
    #[arg(
        long,
        value_name = "USER",
        env = "MEMTUN_NET_OWNER",
        hide_env_values = true,
        value_hint = ValueHint::Username,
        value_parser = values::user
    )]
    owner: Option<User>,
}

impl NetArgs {
    /// The directory, if one was named.
    pub fn dir(&self) -> Option<&PathBuf> {
        self.dir.as_ref().filter(|dir| !dir.as_os_str().is_empty())
    }

    /// Whose the net is, if that was said.
    pub fn owner(&self) -> Option<u32> {
        self.owner.and_then(|user| user.0)
    }

    fn options(&self) -> NetOptions {
        let options = NetOptions::new();
        match self.owner() {
            Some(uid) => options.owner(uid),
            None => options,
        }
    }

    fn named(&self) -> Result<&PathBuf, Failure> {
        self.dir()
            .ok_or_else(|| Failure::bad_input("no net: give --net DIR or set MEMTUN_NET"))
    }

    /// The net, which must exist.
    pub fn existing(&self) -> Result<Net, Failure> {
        Ok(self.options().existing(self.named()?)?)
    }

    /// The net, made if it is missing.
    pub fn open(&self) -> Result<Net, Failure> {
        self.open_at(self.named()?)
    }

    /// The same by another path.
    pub fn open_at(&self, dir: &Path) -> Result<Net, Failure> {
        Ok(self.options().open(dir)?)
    }

    /// The net, waiting for somebody to make it; None when `enough` says so first.
    pub fn wait_until(&self, enough: impl Fn() -> bool) -> Result<Option<Net>, Failure> {
        let dir = self.named()?;
        loop {
            match self.options().existing(dir) {
                Err(e) if e.errno().0 != libc::ENOENT => return Err(e.into()),
                Err(_) if enough() => return Ok(None),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
                Ok(net) => return Ok(Some(net)),
            }
        }
    }

    fn wait(&self, end: Option<Instant>) -> Result<Net, Failure> {
        let net = self.wait_until(|| left(end) == Some(Duration::ZERO))?;
        net.ok_or_else(|| {
            let dir = self
                .dir()
                .map(|d| d.display().to_string())
                .unwrap_or_default();
            Failure::not_done(format!(
                "net {dir}: nobody made it in time; did the program start, and under the shim?"
            ))
        })
    }
}

/// An interface that a verb waits for.
#[derive(Args)]
pub struct InterfaceArgs {
    #[command(flatten)]
    net: NetArgs,
    /// How long to wait, in seconds or "forever"
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = values::timeout)]
    timeout: Timeout,
    /// Name of the interface; it may come later
    #[arg(value_name = "IFACE")]
    interface: String,
}

impl InterfaceArgs {
    /// How long to wait; None for ever.
    pub fn patience(&self) -> Option<Duration> {
        self.timeout.0
    }

    /// When patience ends; None never.
    pub fn deadline(&self) -> Option<Instant> {
        self.timeout.0.and_then(|t| Instant::now().checked_add(t))
    }

    /// Waits for the interface.
    pub fn wait(&self, end: Option<Instant>) -> Result<Interface, Failure> {
        // A name that can't be one is wrong at once, not when the time is over.
        let _: memtun::Name = self.interface.parse()?;
        Ok(self
            .net
            .wait(end)?
            .wait_interface(&self.interface, left(end))?)
    }
}

/// Time until then.
pub fn left(end: Option<Instant>) -> Option<Duration> {
    end.map(|e| e.saturating_duration_since(Instant::now()))
}
