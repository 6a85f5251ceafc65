//! `host`: the host process of a net, which answers what programs ask and change of addresses and
//! routes.

mod rank;
mod standby;

pub use standby::{stand_by, standby_of, StandByArgs};

use crate::failure::{Failure, Outcome};
use crate::options::NetArgs;
use crate::{logging, values};
use clap::Args;
use memtun::launch::settings::{self, Host as Setting};
use memtun::Net;
use memtun_host::first::First;
use memtun_host::process::{Ended, Host, Stay};
use memtun_host::standby::Standby;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{is_answering, Obstacle};
use memtun_stack::state::View;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

/// Answer what the programs of a net ask and change of addresses, routes and links
///
/// This is seldom needed: memtun run does it for its net, and a program that needs it elsewhere
/// starts it. It ends with the net, or when nobody has needed it for a while; the next one goes on
/// with what it knew.
#[derive(Args)]
pub struct HostArgs {
    #[command(flatten)]
    net: NetArgs,
    /// End when nobody has asked for so long, in seconds or "forever"
    #[arg(long, value_name = "SECONDS", default_value = "30", allow_hyphen_values = true, value_parser = values::timeout)]
    idle: values::Timeout,
    /// Take the place of the host process of this number
    #[arg(long, value_name = "NUMBER", hide = true)]
    after: Option<u64>,
    /// Somebody stands by already: standard input is the pipe from it
    #[arg(long, hide = true, requires = "after")]
    stood_by: bool,
}

/// Runs `memtun host`.
pub fn host(args: &HostArgs) -> Outcome {
    logging::init(log::LevelFilter::Warn);
    let first = First {
        view: view()?.ok_or_else(|| {
            Failure::bad_input(
                "MEMTUN_HOST=off: there is to be no host process; leave the variable out",
            )
        })?,
        uplinks: Vec::new(),
    };
    // Whoever starts this process may have limits that are not meant for it. A file that may not
    // grow is an error that is told, and not the end.
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    memtun_sys::widen_limits();
    if args.after.is_some() {
        rank::leave();
        standby::take_name();
    }
    let standby = match args.stood_by {
        true => standby::from_input(),
        false => None,
    };
    let net = args.net.existing()?;
    let dir = net.dir();
    let shown = net.path().display();
    let before = match args.after {
        Some(before) => before,
        None if is_answering(dir) => {
            return Err(Failure::not_done(format!(
                "net {shown}: has a host process already; end it first, or leave it"
            )))
        }
        None => dir.host_epoch.load(Acquire),
    };
    let host = match Host::begin(dir, before, &first) {
        Ok(host) => host,
        // Whoever was faster answers the one who started this process.
        Err(e) if e.0 == libc::EEXIST && args.after.is_some() => return Ok(ExitCode::SUCCESS),
        Err(e) => return Err(not_begun(&net, e)),
    };
    // A connection that is closed in the middle of an answer is told by the call.
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // The net's path is absolute or the directory is where it was: nothing keeps a mount busy.
    if net.path().is_absolute() {
        let _ = std::env::set_current_dir("/");
    }
    if args.after.is_some() {
        // Whoever has started this process waits for the end of its standard output.
        leave_output();
    }
    let stay = match args.idle.0 {
        Some(time) => time,
        None => Duration::MAX,
    };
    let starter = |net: &NetDir, epoch: u64| standby_of(net, epoch, Some(std::process::id()));
    let standby = Standby::new(Some(&starter), standby);
    match host.serve(dir, Stay::UntilIdle(stay), standby) {
        Ended::Gone | Ended::Idle => Ok(ExitCode::SUCCESS),
        Ended::Replaced if args.after.is_some() => Ok(ExitCode::SUCCESS),
        Ended::Replaced => Err(Failure::not_done(format!(
            "net {shown}: another host process has taken over, because this one did not answer"
        ))),
    }
}

/// Says that this process answers, by closing its standard output. It becomes what standard input
/// is, so that nothing else gets its number.
fn leave_output() {
    // SAFETY: nobody owns the descriptor that is replaced, and this command writes nothing to it
    // afterwards.
    let _ = unsafe { memtun_sys::duplicate_onto(libc::STDIN_FILENO, libc::STDOUT_FILENO, 0) };
}

/// Returns why there is no host process now.
pub fn not_begun(net: &Net, e: memtun::Errno) -> Failure {
    let why = match e.0 {
        libc::EEXIST => "another one was faster".into(),
        _ => Obstacle(e).to_string(),
    };
    let shown = net.path().display();
    Failure::not_done(format!("net {shown}: no host process: {why}"))
}

/// Reads MEMTUN_HOST; None means that there is to be no host.
pub fn view() -> Result<Option<View>, Failure> {
    let given = std::env::var_os(settings::HOST).unwrap_or_default();
    match settings::host(given.as_bytes()) {
        Some(Setting::Merged) => Ok(Some(View::Merged)),
        Some(Setting::Isolated) => Ok(Some(View::Isolated)),
        Some(Setting::Off) => Ok(None),
        None => Err(Failure::bad_input(format!(
            "{}={}: {}",
            settings::HOST,
            given.to_string_lossy(),
            settings::HOST_REMEDY
        ))),
    }
}
