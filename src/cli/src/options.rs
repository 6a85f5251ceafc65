//! The options that verbs have in common: which net, which interface, for how long.
#![forbid(unsafe_code)]

use crate::failure::Failure;
use crate::stop::Stop;
use crate::values::{self, Timeout, User};
use crate::{appearing, event};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use memtun::launch::settings;
use memtun::{Deadline, Interface, Net, NetOptions};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which net a verb is about.
#[derive(Args)]
pub struct NetArgs {
    // The parser of paths would refuse an empty one, which is as none here: in the variable as the
    // library takes it.
    /// Directory of the net, instead of $MEMTUN_NET
    #[arg(
        long = "net",
        value_name = "DIR",
        env = settings::NET,
        hide_env_values = true,
        value_hint = ValueHint::DirPath,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    dir: Option<PathBuf>,
    /// User whose net it is, a name or a number: how root joins another user's, instead of
    /// $MEMTUN_NET_OWNER
    #[arg(
        long,
        value_name = "USER",
        env = settings::OWNER,
        hide_env_values = true,
        value_hint = ValueHint::Username,
        value_parser = values::user
    )]
    owner: Option<User>,
}

/// Returns a file in a directory that is there, is no net, and was made for something else.
fn other_file(dir: &Path) -> Option<String> {
    // A link is no net whatever it leads to, which joining says. A slash or a dot behind its name
    // would have it followed.
    if dir.components().collect::<PathBuf>().is_symlink() {
        return None;
    }
    let mut other = None;
    for entry in std::fs::read_dir(dir).ok()? {
        let name = entry.ok()?.file_name().to_string_lossy().into_owned();
        if name.starts_with(".memtun-") {
            return None;
        }
        other.get_or_insert(name);
    }
    other
}

impl NetArgs {
    /// Returns the directory of the net, if one was named.
    pub fn dir(&self) -> Option<&PathBuf> {
        self.dir.as_ref().filter(|dir| !dir.as_os_str().is_empty())
    }

    /// Returns the user whose net it is, if one was named.
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

    /// Opens the net, which must exist.
    pub fn existing(&self) -> Result<Net, Failure> {
        Ok(self.options().open(self.named()?)?)
    }

    /// Opens the net, and makes it if it is missing.
    pub fn open(&self) -> Result<Net, Failure> {
        self.open_at(self.named()?)
    }

    /// Opens the net by another path, and makes it if it is missing.
    pub fn open_at(&self, dir: &Path) -> Result<Net, Failure> {
        if let Some(other) = other_file(dir) {
            return Err(Failure::bad_input(format!(
                "net {}: this is no net, and holds other files ({other}); name a directory that is empty or not there \
                 yet",
                dir.display()
            )));
        }
        Ok(self.options().create(true).open(dir)?)
    }

    /// Opens the net, waiting for somebody to make it. Returns None when it is time to stop or the
    /// time is over.
    pub fn wait_until(&self, stop: Option<&Stop>, until: Deadline) -> Result<Option<Net>, Failure> {
        let dir = self.named()?;
        loop {
            // The watch is made before the net is looked for, so that what happens after that is
            // seen.
            let watch = appearing::Watch::on(dir);
            let enough = until.is_over() || stop.is_some_and(Stop::is_due);
            match self.options().open(dir) {
                Err(e) if e.errno().0 != libc::ENOENT => return Err(e.into()),
                Err(_) if enough => return Ok(None),
                Err(_) => {
                    let events = watch.iter().map(AsFd::as_fd);
                    // Not every file system reports what others do in it, so the wait is not longer
                    // than a nap.
                    event::wait(
                        events.chain(stop.map(Stop::due)),
                        Deadline::after(until.nap()),
                    );
                }
                Ok(net) => return Ok(Some(net)),
            }
        }
    }

    fn wait(&self, until: Deadline) -> Result<Net, Failure> {
        let net = self.wait_until(None, until)?;
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
    #[arg(long, value_name = "SECONDS", default_value = "5", allow_hyphen_values = true, value_parser = values::timeout)]
    timeout: Timeout,
    /// Name of the interface; it may come later
    #[arg(value_name = "IFACE")]
    interface: String,
}

impl InterfaceArgs {
    /// Returns how long to wait; None means for ever.
    pub fn patience(&self) -> Option<Duration> {
        self.timeout.0
    }

    /// Returns the moment at which the wait ends.
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout.0)
    }

    /// Waits for the interface.
    pub fn wait(&self, until: Deadline) -> Result<Interface, Failure> {
        // A name that no interface can have is wrong at once, and not when the time is over.
        let _: memtun::Name = self.interface.parse()?;
        let net = self.net.wait(until)?;
        Ok(net.wait_interface_within(&self.interface, until.left())?)
    }
}
