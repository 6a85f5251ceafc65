//! Programs under the shim, from Rust: an extension of [`std::process::Command`].
//!
//! | module | subject |
//! |---|---|
//! | `library` | where `libmemtun.so` is, and whether it can be loaded from there |
//! | `settings` | the variables that the library reads: names, and what may stand in them |
//! | `preload` | `LD_PRELOAD`: which libraries, in which order |
//! | `environment` | what a program must find to run under the library in a net |
//! | `guard` | what can be known of a program before it starts, in sentences |
//! | `program`, `script` | from the name of a command to the files that run |
//! | `bypass` | what makes a program run without the library, or past it |
//! | `elf` | what an executable's file says about itself |
//! | `code`, `raw` | system calls in its code, past libc |
//! | `inhabitants` | processes that run in a net |
//! | `wait` | waiting for its interface, as long as it runs |

#[doc(hidden)]
pub mod bypass;
mod code;
#[doc(hidden)]
pub mod elf;
mod environment;
mod guard;
pub(crate) mod host;
#[doc(hidden)]
pub mod inhabitants;
mod library;
#[doc(hidden)]
pub mod preload;
mod program;
mod raw;
#[doc(hidden)]
pub mod script;
mod wait;

#[doc(hidden)]
pub use environment::{devices, preload_list, Environment};
pub use guard::{examine, Examined};
pub use library::find as find_library;
#[doc(hidden)]
pub use library::{obstacle as library_obstacle, of as library_of};
#[doc(hidden)]
pub use memtun_kernel::settings;
pub use program::Start;

use crate::{Net, Result};
use memtun_kernel::settings::{bell_word, link_word, BELL, LINK};
use preload::PRELOAD;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

/// Starts a program under the shim, in a net. It does for a test in Rust what `memtun run` does.
///
/// ```no_run
/// use memtun::{Net, UnderShim};
/// use std::process::Command;
///
/// let net = Net::temporary()?;
/// let mut vpn = Command::new("./myvpn").args(["--dev", "tun0"]).under(&net)?.spawn()?;
/// let tun = net.wait_interface_of(&mut vpn, "tun0")?;
/// let source = tun.send_udp(b"ping", "10.0.0.1:7".parse().unwrap())?;
/// assert_eq!(tun.receive_udp(source).recv()?, b"ping");
/// vpn.kill()?;
/// vpn.wait()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// In a package's integration test the program is `env!("CARGO_BIN_EXE_myvpn")`. The library is
/// found without any environment variable in a checkout that has run `cargo build --release -p
/// memtun-shim`, and in an installation; see [`find_library`].
pub trait UnderShim {
    /// Puts the program under the shim and into the net. Call this last: it looks at the program as
    /// the command would start it now, and a later `env_clear` would undo its settings.
    /// It sets `LD_PRELOAD`, where libraries that are preloaded already stay behind the shim, and
    /// `MEMTUN_NET`; for a net that was joined with [`NetOptions::owner`](crate::NetOptions::owner)
    /// it also sets `MEMTUN_NET_OWNER`.
    ///
    /// A program whose calls the library will not see, such as a static program or a Go program, is
    /// started all the same, with a line on standard error.
    ///
    /// # Errors
    /// - ENOENT: there is no such program, no interpreter for it, or no library.
    /// - EACCES: the program is not executable.
    /// - EPERM: the program is set-uid or set-gid, or has file capabilities: the system would start
    ///   it without the library, on the machine's own devices.
    /// - EINVAL: the library's path cannot be preloaded.
    fn under(&mut self, net: &Net) -> Result<&mut Command>;

    /// The same as [`under`](UnderShim::under), but it also takes a program that would touch the
    /// machine itself.
    ///
    /// # Errors
    /// The same as [`under`](UnderShim::under), without EPERM.
    fn under_by_force(&mut self, net: &Net) -> Result<&mut Command>;

    /// Says whether new interfaces are up at once, as if the administrator had set them up, or
    /// down, as the kernel leaves them (`MEMTUN_LINK`). The default is up.
    fn link_up(&mut self, up: bool) -> &mut Command;

    /// Says whether bells are exact, for a program that waits by raw system calls (`MEMTUN_BELL`).
    /// The default is lazy; call this before [`under`](UnderShim::under), which makes them
    /// exact for a program in which it sees such calls unless this has been called.
    fn exact_bell(&mut self, exact: bool) -> &mut Command;

    /// Names special devices in place of /dev/net/tun (`MEMTUN_DEVICES`).
    ///
    /// # Errors
    /// - EINVAL: a path is not absolute, or has `..` or `:` in it.
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
        self.env(LINK, link_word(up))
    }

    fn exact_bell(&mut self, exact: bool) -> &mut Command {
        self.env(BELL, bell_word(exact))
    }

    fn special_devices<P: AsRef<Path>>(
        &mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<&mut Command> {
        let (name, list) = devices(paths)?;
        Ok(self.env(name, list))
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
        // The library itself prints the same line about a program that the started program
        // executes.
        eprintln!("memtun: {warning}");
    }
    let environment = Environment {
        net,
        library: &library,
        runtimes: &examined.runtimes,
        preloaded: &variable(command, PRELOAD),
        exact_bell: (examined.waits_unseen && variable(command, BELL).is_empty()).then_some(true),
        link_up: None,
    };
    for (name, value) in environment.variables()? {
        if !value.is_empty() || !variable(command, name).is_empty() {
            command.env(name, value);
        }
    }
    Ok(command)
}

/// The value that the program will find in a variable.
fn variable(command: &Command, name: &str) -> OsString {
    let told = command.get_envs().find(|(key, _)| *key == OsStr::new(name));
    match told {
        Some((_, value)) => value.unwrap_or_default().to_owned(),
        None => std::env::var_os(name).unwrap_or_default(),
    }
}
