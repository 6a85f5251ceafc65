//! `run`: a program under the shim, in a net of its own or in a named one.

mod hosting;
mod injecting;
mod loading;
mod premade;
mod supervise;
mod uplink;

use crate::capture::Beside;
use crate::failure::{say, Failure, Outcome};
use crate::host;
use crate::options::NetArgs;
use crate::values;
use clap::{Args, ValueEnum};
use injecting::Injection;
use memtun::launch::preload::PRELOAD;
use memtun::launch::{
    devices, examine, inhabitants, library_obstacle, settings, Environment, Examined, Start,
};
use memtun::{find_library, Deadline, Fault, Net, Permission};
use memtun_host::first::Uplink;
use memtun_stack::state::View;
use premade::Premade;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Run a program with an in-memory /dev/net/tun
///
/// The exit status is the program's own, 128+N when signal N ended it, 127 when it was not found
/// and 126 when it could not be executed.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    net: NetArgs,
    /// Special device, instead of /dev/net/tun; may be given several times
    #[arg(long = "device", value_name = "PATH", value_parser = values::device)]
    devices: Vec<PathBuf>,
    /// Is a new interface up, as if the administrator had said so, or down, as the kernel leaves
    /// it? [default: up]
    #[arg(long, value_name = "up|down", hide_possible_values = true)]
    link: Option<LinkState>,
    /// Make a persistent tun interface, with this address, before the program starts; may be given
    /// several times
    #[arg(long, value_name = "NAME[=ADDR/LEN]", value_parser = premade::parse)]
    tun: Vec<Premade>,
    /// The same for a tap interface
    #[arg(long, value_name = "NAME[=ADDR/LEN]", value_parser = premade::parse)]
    tap: Vec<Premade>,
    /// Show programs a machine of its own: a loopback and the net's interfaces, instead of the
    /// machine's own interfaces, addresses and routes beside them
    #[arg(long)]
    isolated: bool,
    /// Show programs an interface over which they believe to reach the world, with a default route
    /// if there is a gateway; implies --isolated
    #[arg(long, value_name = "NAME=ADDR/LEN[,via=GATEWAY]", value_parser = uplink::parse)]
    uplink: Vec<Uplink>,
    /// Take a permission away: open, ioctl or net_admin (what the kernel asks CAP_NET_ADMIN for)
    #[arg(long, value_name = "OPERATION")]
    deny: Vec<Permission>,
    /// Make calls fail: OPERATION[:REQUEST]=ERRNO[@WHEN], as write=EINTR@1
    #[arg(long, value_name = "SPEC")]
    fault: Vec<Fault>,
    /// Is a tunnel's descriptor silent for the machine's kernel as soon as its last packet is read?
    /// exact where the program waits by raw system calls, lazy otherwise
    #[arg(long, value_name = "STATE")]
    bell: Option<BellState>,
    /// Longest write in bytes, ENOBUFS beyond
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    send_buffer_size: Option<u32>,
    /// Replace the end of every requested name, to catch programs that ignore the name they are
    /// given
    #[arg(long, visible_alias = "name-suffix", value_name = "SUFFIX")]
    rename: Option<String>,
    /// Capture all interfaces into a pcapng file
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Inject the packets of a file into the first interface that the program attaches to
    #[arg(long, value_name = "FILE")]
    inject: Option<PathBuf>,
    /// Start also a program that the system starts without the library, on the machine's own
    /// devices
    #[arg(long)]
    force: bool,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// How long programs that are just ending have for that before the net goes.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// The values of MEMTUN_BELL.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum BellState {
    Lazy,
    Exact,
}

/// The values of MEMTUN_LINK.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum LinkState {
    Up,
    Down,
}

/// Runs `memtun run`.
pub fn run(args: RunArgs) -> Outcome {
    let library = find_library()?;
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::bad_input("no command: give one behind --"));
    };
    let mut examined = look_at(program, args.force)?;
    examined.warnings.extend(library_obstacle(&library));
    // From here on a signal ends the program, and this command after it, in order.
    let signals = supervise::Signals::catch()?;
    let injection = args.inject.as_deref().map(Injection::open).transpose()?;
    let view = args.view()?;
    let net = join(&args.net)?;
    let hosting = match view {
        Some(view) => hosting::begin(&net, view, args.chooses_view(), &args.uplink)?,
        None => None,
    };
    prepare(&net, &args, view.is_some())?;

    examined.warnings.iter().for_each(|warning| say(warning));
    let mut command = Command::new(program);
    command.args(arguments);
    let environment = Environment {
        net: &net,
        library: &library,
        runtimes: &examined.runtimes,
        preloaded: &std::env::var_os(PRELOAD).unwrap_or_default(),
        exact_bell: (examined.waits_unseen && args.bell.is_none())
            .then_some(true)
            .filter(|_| std::env::var_os(settings::BELL).is_none_or(|word| word.is_empty()))
            .or(args.bell.map(|bell| bell == BellState::Exact)),
        link_up: args.link.map(|link| link == LinkState::Up),
    };
    for (name, value) in environment.variables()? {
        if !value.is_empty() || std::env::var_os(name).is_some() {
            command.env(name, value);
        }
    }
    if !args.devices.is_empty() {
        let (name, list) = devices(&args.devices)?;
        command.env(name, list);
    }
    if let Some(view) = view {
        let word = match view {
            View::Merged => settings::Host::Merged,
            View::Isolated => settings::Host::Isolated,
        };
        command.env(settings::HOST, settings::host_word(word));
    }
    if let Ok(own) = std::env::current_exe() {
        command.env(settings::COMMAND, own);
    }
    let capture = args
        .capture
        .as_deref()
        .map(|file| Beside::start(&net, file))
        .transpose()?;
    let injection = injection
        .map(|injection| injection.start(&net))
        .transpose()?;
    let loading = loading::Watch::on(&library);
    let ended = supervise::run(command, program, signals);
    if let Some(injection) = injection {
        injection.end();
    }
    if let Some(Err(e)) = capture.map(Beside::end) {
        e.report();
    }
    let ended = ended?;
    if examined.warnings.is_empty() && loading.is_some_and(|watch| watch.saw_nothing()) {
        let (program, library) = (program.to_string_lossy(), library.display());
        say(&format!(
            "{program}: ended without having loaded {library}; ask memtun doctor why"
        ));
    }
    drop(hosting);
    leave(net, args.net.dir().is_none());
    Ok(ended.exit_code())
}

/// Examines a program before it is started. The exit status is 127 when there is no such program,
/// and 126 when it cannot or must not be started, as for env(1).
fn look_at(program: &OsStr, force: bool) -> Result<Examined, Failure> {
    let start = Start {
        program,
        path: None,
        dir: None,
    };
    let mut examined = examine(start).map_err(|e| {
        let missing = e.errno().0 == libc::ENOENT && !e.to_string().contains("cannot be executed");
        Failure::with_status(if missing { 127 } else { 126 }, e.to_string())
    })?;
    examined
        .permit(force)
        .map_err(|e| Failure::with_status(126, format!("{e} with --force")))?;
    Ok(examined)
}

/// Joins the named net, which is made if it is missing, or makes a fresh one.
fn join(args: &NetArgs) -> Result<Net, Failure> {
    match args.dir() {
        // The program would be told to look for another user's net, and would find its own.
        None if args.owner().is_some() => Err(Failure::bad_input(
            "an owner without a net: name the net with --net DIR, or leave out --owner and MEMTUN_NET_OWNER",
        )),
        None => Ok(Net::temporary()?),
        Some(dir) => {
            // The path becomes absolute, because the program may change its working directory.
            let dir = std::path::absolute(dir)
                .map_err(|e| Failure::io(format!("net {}", dir.display()), &e))?;
            args.open_at(&dir)
        }
    }
}

impl RunArgs {
    /// Does the command line or the environment say what is seen of the machine?
    fn chooses_view(&self) -> bool {
        let given = std::env::var_os(settings::HOST);
        self.isolated || !self.uplink.is_empty() || given.is_some_and(|given| !given.is_empty())
    }

    /// Returns what is seen of the machine; None means that there is to be no host.
    fn view(&self) -> Result<Option<View>, Failure> {
        let isolated = self.isolated || !self.uplink.is_empty();
        match host::view()? {
            None if isolated => Err(Failure::bad_input(
                "MEMTUN_HOST=off: there is nothing to isolate; leave the variable or the option out",
            )),
            Some(_) if isolated => Ok(Some(View::Isolated)),
            view => Ok(view),
        }
    }
}

fn prepare(net: &Net, args: &RunArgs, hosted: bool) -> Result<(), Failure> {
    // The interfaces are made before anything that makes calls fail.
    let up = !matches!(args.link, Some(LinkState::Down));
    premade::make(net, &args.tun, memtun::uapi::IFF_TUN, up, hosted)?;
    premade::make(net, &args.tap, memtun::uapi::IFF_TAP, up, hosted)?;
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
        net.set_name_suffix(suffix)?;
    }
    Ok(())
}

/// Removes the net if this command made it, after naming the processes that are left in it.
fn leave(net: Net, ours: bool) {
    if !ours {
        return;
    }
    let behind = left_behind(&net);
    if !behind.is_empty() {
        let shown = net.path().display();
        let few = behind
            .iter()
            .take(3)
            .map(String::as_str)
            .collect::<Vec<_>>();
        let more = if behind.len() > few.len() { " ..." } else { "" };
        let who = format!("{}{more}", few.join(", "));
        let what = if has_tunnels(&net) {
            "still use this net"
        } else {
            "still run in this net"
        };
        say(&format!(
            "{shown}: processes that the program left behind {what}, which is removed now: {who}; name a net with --net DIR to keep it"
        ));
    }
    if let Err(e) = net.remove() {
        // A program may have removed the net itself; any other error is reported.
        if e.errno().0 != libc::ENOENT {
            say(&e.to_string());
        }
    }
}

fn has_tunnels(net: &Net) -> bool {
    net.tunnels().is_ok_and(|tunnels| !tunnels.is_empty())
}

/// Returns who lives on in the net. A process that has just been told to end gets a moment to do
/// so. A process that was given a tunnel may hold it without knowing of the net.
fn left_behind(net: &Net) -> Vec<String> {
    let end = Deadline::after(LAST_MOMENT);
    loop {
        let found = inhabitants::of_net(net.path());
        let given = found.is_empty() && has_tunnels(net);
        if found.is_empty() && !given {
            return Vec::new();
        }
        if end.is_over() {
            let shown = found.iter().map(|p| format!("{} ({})", p.name, p.pid));
            let given = given.then(|| "somebody who was given a tunnel".into());
            return shown.chain(given).collect();
        }
        inhabitants::wait_for_an_end(&found, end);
    }
}
