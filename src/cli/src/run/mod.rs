//! `run`: a program under the shim, in a net of its own or in a named one.

mod library;
mod loading;
mod supervise;

use crate::args::NetArgs;
use crate::doctor;
use crate::failure::{say, Failure, Outcome};
use crate::values;
use clap::{Args, ValueEnum};
use memtun::{Fault, Net, Permission};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

pub use library::find as find_library;

/// Run a program with an in-memory /dev/net/tun
///
/// The exit status is the program's own, 128+N when signal N ended it, 127 when it was not found and 126 when it could not
/// be executed.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    net: NetArgs,
    /// Special device, instead of /dev/net/tun; may be given several times
    #[arg(long = "device", value_name = "PATH", value_parser = values::device)]
    devices: Vec<PathBuf>,
    /// Is a new interface up, as if the administrator had said so, or down, as the kernel leaves it? [default: up]
    #[arg(long, value_name = "up|down", hide_possible_values = true)]
    link: Option<LinkState>,
    /// Take a permission away: open or ioctl
    #[arg(long, value_name = "OPERATION")]
    deny: Vec<Permission>,
    /// Make calls fail: OPERATION[:REQUEST]=ERRNO[@WHEN], as write=EINTR@1
    #[arg(long, value_name = "SPEC")]
    fault: Vec<Fault>,
    /// Longest write in bytes, ENOBUFS beyond
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    send_buffer_size: Option<u32>,
    /// Replace the end of every requested name, to catch programs that ignore the name they are given
    #[arg(long, value_name = "SUFFIX")]
    rename: Option<String>,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// `MEMTUN_LINK`
#[derive(Clone, Copy, ValueEnum)]
enum LinkState {
    Up,
    Down,
}

/// `memtun run`
pub fn run(args: RunArgs) -> Outcome {
    let library = library::find()?;
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::bad_input("no command: give one behind --"));
    };
    // From here on a signal ends the program, and with it this command, in order.
    let signals = supervise::Signals::catch()?;
    let net = join(&args.net)?;
    prepare(&net, &args)?;

    let warned = doctor::warn(program);
    let mut command = Command::new(program);
    command.args(arguments);
    environment(&mut command, &args, &net, &library)?;
    let loading = loading::Watch::on(&library);
    let ended = supervise::run(command, program, signals)?;
    if !warned && loading.is_some_and(|watch| watch.saw_nothing()) {
        say(&format!(
            "{}: ended without having loaded {}; ask memtun doctor why",
            program.to_string_lossy(),
            library.display()
        ));
    }
    leave(net, args.net.dir().is_none());
    Ok(ended.exit_code())
}

/// The named net, made if it is missing, or a fresh one.
fn join(args: &NetArgs) -> Result<Net, Failure> {
    match args.dir() {
        None => Ok(Net::temporary()?),
        Some(dir) => {
            // The program may go to another directory.
            let dir = std::path::absolute(dir)
                .map_err(|e| Failure::io(format!("net {}", dir.display()), &e))?;
            Ok(Net::open(dir)?)
        }
    }
}

fn prepare(net: &Net, args: &RunArgs) -> Result<(), Failure> {
    args.deny
        .iter()
        .for_each(|permission| net.deny(*permission));
    for fault in &args.fault {
        net.fault(fault)?;
    }
    if args.send_buffer_size.is_some() {
        net.set_send_buffer_size(args.send_buffer_size);
    }
    if let Some(suffix) = &args.rename {
        net.set_rename(suffix)?;
    }
    Ok(())
}

fn environment(
    command: &mut Command,
    args: &RunArgs,
    net: &Net,
    library: &Path,
) -> Result<(), Failure> {
    command.env(
        "LD_PRELOAD",
        preload(library, std::env::var_os("LD_PRELOAD").unwrap_or_default()),
    );
    command.env("MEMTUN_NET", net.path());
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
    Ok(())
}

/// An existing list with the library in front, once.
fn preload(library: &Path, list: OsString) -> OsString {
    let library = library.as_os_str().as_bytes();
    let mut entries = vec![library];
    let list = list.into_vec();
    entries.extend(
        list.split(|b| b": ".contains(b))
            .filter(|e| !e.is_empty() && *e != library),
    );
    OsString::from_vec(entries.join(&b':'))
}

/// The net goes with the command that made it.
fn leave(net: Net, ours: bool) {
    if !ours {
        return;
    }
    let shown = net.path().display().to_string();
    if net.tunnels().is_ok_and(|tunnels| !tunnels.is_empty()) {
        say(&format!(
            "{shown}: processes that the program left behind still use this net, which is removed now; name a net with --net DIR to keep it"
        ));
    }
    if let Err(e) = net.remove() {
        // A program may have removed it itself; anything else is worth a word.
        if e.errno().0 != libc::ENOENT {
            say(&e.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> String {
        preload(Path::new("/x/libmemtun.so"), text.into())
            .into_string()
            .unwrap()
    }

    #[test]
    fn an_existing_preload_list_is_kept_behind_the_library() {
        assert_eq!(list(""), "/x/libmemtun.so");
        assert_eq!(list("/a.so /b.so"), "/x/libmemtun.so:/a.so:/b.so");
        assert_eq!(list("/a.so:/x/libmemtun.so"), "/x/libmemtun.so:/a.so");
    }
}
