//! Programs under the shim, from Rust: an extension of [`std::process::Command`].
//!
//! | module | subject |
//! |---|---|
//! | `library` | where `libmemtun.so` is, and can it be loaded from there |
//! | [`guard`] | what can be known of a program before it starts, in sentences |
//! | `program` | from the name of a command to the files that run |
//! | [`elf`] | what an executable's file says about itself |
//! | `code`, `raw` | system calls in its code, past libc |
//! | `wait` | waiting for its interface, as long as it runs |

mod code;
pub mod elf;
pub mod guard;
mod library;
mod program;
mod raw;
mod wait;

pub use guard::{examine, Examined};
pub use library::{find as find_library, obstacle as library_obstacle, of as library_of};
pub use program::{FirstLine, Start};

use crate::{Error, Net, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
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
    /// What the library will not see, as a static program or one of Go, is started all the same, with a line on standard error.
    ///
    /// Errors: ENOENT no program, no interpreter of it, or no library; EACCES not executable; EPERM set-uid, set-gid or with
    /// file capabilities: the system would start it without the library, on the machine's own devices; EINVAL the library's
    /// path cannot be preloaded.
    fn under(&mut self, net: &Net) -> Result<&mut Command>;

    /// As [`under`](UnderShim::under), and takes also a program that would touch the machine itself.
    fn under_by_force(&mut self, net: &Net) -> Result<&mut Command>;

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
        put_under(self, net, false)
    }

    fn under_by_force(&mut self, net: &Net) -> Result<&mut Command> {
        put_under(self, net, true)
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

fn put_under<'a>(command: &'a mut Command, net: &Net, force: bool) -> Result<&'a mut Command> {
    let path = variable(command, "PATH");
    let mut examined = examine(Start {
        program: command.get_program(),
        path: Some(&path),
        dir: command.get_current_dir(),
    })?;
    examined.permit(force)?;
    let library = find_library()?;
    examined.warnings.extend(library_obstacle(&library));
    for warning in &examined.warnings {
        // As the library itself does, when something that the program starts is like that.
        eprintln!("memtun: {warning}");
    }
    // The program may go to another directory.
    let dir = std::path::absolute(net.path()).map_err(|e| {
        let errno = e.raw_os_error().unwrap_or(libc::EINVAL);
        Error::new(errno, format!("net {}: {e}", net.path().display()))
    })?;
    let list = preload(
        &examined.runtimes,
        &library,
        variable(command, "LD_PRELOAD"),
    );
    match net.owner() {
        Some(uid) => command.env("MEMTUN_NET_OWNER", uid.to_string()),
        // Said of another net. Empty, not away: a shim around this process would put it back.
        None if !variable(command, "MEMTUN_NET_OWNER").is_empty() => {
            command.env("MEMTUN_NET_OWNER", "")
        }
        None => command,
    };
    if let Some(place) = place(&dir) {
        command.env("MEMTUN_NET_PLACE", place);
    }
    if net.is_private() {
        // A process that outlives the net, and opens the device then, makes one that goes with it again.
        command.env("MEMTUN_TREE", &dir);
    }
    Ok(command.env("LD_PRELOAD", list).env("MEMTUN_NET", dir))
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

/// `MEMTUN_NET_PLACE`: which directory the net's path leads to, `DEVICE:INODE:PATH`. In a sandbox it may lead elsewhere.
pub fn place(dir: &Path) -> Option<OsString> {
    let meta = std::fs::metadata(dir).ok()?;
    let mut place = OsString::from(format!("{}:{}:", meta.dev(), meta.ino()));
    place.push(dir);
    Some(place)
}

/// An existing list of preloaded libraries with this one in front, once. Only sanitizers' runtimes come before it, which
/// accept no other place.
pub fn preload(runtimes: &[String], library: &Path, list: OsString) -> OsString {
    let library = library.as_os_str().as_bytes();
    let list = list.into_vec();
    let wanted = runtimes.iter().map(String::as_bytes).chain([library]);
    let mut entries: Vec<&[u8]> = wanted.collect();
    for entry in list.split(|b| b": ".contains(b)) {
        if !entry.is_empty() && !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    OsString::from_vec(entries.join(&b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_preload_list_is_kept_behind_the_library() {
        let list = |runtimes: &[&str], text: &str| {
            let runtimes: Vec<String> = runtimes.iter().map(|r| r.to_string()).collect();
            let list = preload(&runtimes, Path::new("/x/libmemtun.so"), text.into());
            list.into_string().expect("ASCII")
        };
        assert_eq!(list(&[], ""), "/x/libmemtun.so");
        assert_eq!(list(&[], "/a.so /b.so"), "/x/libmemtun.so:/a.so:/b.so");
        assert_eq!(list(&[], "/a.so:/x/libmemtun.so"), "/x/libmemtun.so:/a.so");
        assert_eq!(
            list(&["libasan.so.8"], "/a.so"),
            "libasan.so.8:/x/libmemtun.so:/a.so"
        );
    }
}
