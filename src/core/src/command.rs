//! Programs under the shim, from Rust: an extension of [`std::process::Command`].
//!
//! | module | subject |
//! |---|---|
//! | `library` | where `libmemtun.so` is |
//! | `program` | what can be seen to be wrong before a program starts |
//! | `wait` | waiting for its interface, as long as it runs |

mod library;
mod program;
mod wait;

pub use library::find as find_library;

use crate::{Error, Net, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

/// Starts a program under the shim, in a net: what `memtun run` does, for a test in Rust.
///
/// ```no_run
/// use memtun::{Net, UnderShim};
/// use std::process::Command;
/// use std::time::Duration;
///
/// let soon = Some(Duration::from_secs(5));
/// let net = Net::temporary()?;
/// let mut vpn = Command::new("./myvpn").args(["--dev", "tun0"]).under(&net)?.spawn()?;
/// let tun = net.wait_interface_of(&mut vpn, "tun0", soon)?;
/// let source = tun.send_udp(b"ping", "10.0.0.1:7".parse().unwrap(), None, soon)?;
/// assert_eq!(tun.receive_udp(Some(source.ip()), source.port()).recv(soon)?, b"ping");
/// vpn.kill()?;
/// vpn.wait()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// In a package's integration test the program is `env!("CARGO_BIN_EXE_myvpn")`. The library is found without any
/// environment variable in a checkout that has run `cargo build --release -p memtun-shim`, and in an installation; see
/// [`find_library`].
pub trait UnderShim {
    /// Puts the program under the shim and into the net. Say it last: it looks at the program as the command would start it
    /// now, and a later `env_clear` would undo it.
    ///
    /// Sets `LD_PRELOAD`, where libraries that are preloaded already stay behind the shim, and `MEMTUN_NET`; for a net that was
    /// joined with [`NetOptions::owner`](crate::NetOptions::owner) `MEMTUN_NET_OWNER`, too.
    ///
    /// Errors: ENOENT no program, or no library; EACCES not executable; ENOEXEC statically linked; EPERM set-uid; EINVAL the library's path
    /// cannot be preloaded. Of what it does not see, such as a Go program's own system calls, `memtun doctor` knows more.
    fn under(&mut self, net: &Net) -> Result<&mut Command>;

    /// Are new interfaces up at once, as if the administrator had said so, or down, as the kernel leaves them
    /// (`MEMTUN_LINK`)? Up unless told otherwise.
    fn link_up(&mut self, up: bool) -> &mut Command;

    /// Special devices instead of /dev/net/tun (`MEMTUN_DEVICES`).
    ///
    /// Errors: EINVAL for a path that is not absolute or has `..` or `:` in it.
    fn special_devices<P: AsRef<Path>>(
        &mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<&mut Command>;
}

impl UnderShim for Command {
    fn under(&mut self, net: &Net) -> Result<&mut Command> {
        program::check(self)?;
        let library = find_library()?;
        // The program may go to another directory.
        let dir = std::path::absolute(net.path()).map_err(|e| {
            let errno = e.raw_os_error().unwrap_or(libc::EINVAL);
            Error::new(errno, format!("net {}: {e}", net.path().display()))
        })?;
        let list = preload(&library, variable(self, "LD_PRELOAD"));
        match net.owner() {
            Some(uid) => self.env("MEMTUN_NET_OWNER", uid.to_string()),
            // Said of another net. Empty, not away: a shim around this process would put it back.
            None if !variable(self, "MEMTUN_NET_OWNER").is_empty() => {
                self.env("MEMTUN_NET_OWNER", "")
            }
            None => self,
        };
        if net.is_private() {
            // A process that outlives the net, and opens the device then, makes one that goes with it again.
            self.env("MEMTUN_TREE", &dir);
        }
        Ok(self.env("LD_PRELOAD", list).env("MEMTUN_NET", dir))
    }

    fn link_up(&mut self, up: bool) -> &mut Command {
        self.env("MEMTUN_LINK", if up { "up" } else { "down" })
    }

    fn special_devices<P: AsRef<Path>>(
        &mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<&mut Command> {
        let mut list = Vec::new();
        for path in paths {
            let path = path.as_ref();
            if !is_device_path(path) {
                return Err(Error::new(
                    libc::EINVAL,
                    format!(
                        "special device {path:?}: give an absolute path without \"..\" and ':'"
                    ),
                ));
            }
            list.push(path.as_os_str().as_bytes().to_vec());
        }
        Ok(self.env("MEMTUN_DEVICES", OsString::from_vec(list.join(&b':'))))
    }
}

fn is_device_path(path: &Path) -> bool {
    let plain = |c| !matches!(c, std::path::Component::ParentDir);
    path.is_absolute()
        && path.components().all(plain)
        && path.file_name().is_some()
        && !path.as_os_str().as_bytes().contains(&b':')
}

/// What the program will find in a variable.
fn variable(command: &Command, name: &str) -> OsString {
    let told = command.get_envs().find(|(key, _)| *key == OsStr::new(name));
    match told {
        Some((_, value)) => value.unwrap_or_default().to_owned(),
        None => std::env::var_os(name).unwrap_or_default(),
    }
}

/// An existing list with the library in front, once.
fn preload(library: &Path, list: OsString) -> OsString {
    let library = library.as_os_str().as_bytes();
    let list = list.into_vec();
    let others = list
        .split(|b| b": ".contains(b))
        .filter(|entry| !entry.is_empty() && *entry != library);
    let entries: Vec<&[u8]> = std::iter::once(library).chain(others).collect();
    OsString::from_vec(entries.join(&b':'))
}
