//! `stand-by`: sees to it that another host process follows one that was killed, or is stopped.

use crate::failure::{Failure, Outcome};
use crate::logging;
use crate::options::NetArgs;
use clap::Args;
use memtun::launch::settings;
use memtun::Errno;
use memtun_host::standby::FOLLOWED;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{is_answering, is_stopped, stopped, Command as Starter};
use memtun_sys::{self as sys, Fd};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

/// The file that this process executes, whatever is at its path by now.
const OWN: &str = "/proc/self/exe";

/// How often it is looked whether the host process is stopped. One that is found so twice is.
const LOOK: Duration = Duration::from_secs(1);

/// Wait until the host process of a net is killed, and start another one
#[derive(Args)]
pub struct StandByArgs {
    #[command(flatten)]
    net: NetArgs,
    /// Stand by for the host process of this number
    #[arg(long, value_name = "NUMBER")]
    after: u64,
    /// Process id of the host process, which is replaced when it is stopped, too
    #[arg(long, value_name = "PID")]
    watch: Option<i32>,
}

/// Starts a process that stands by, see [`Standby`](memtun_host::standby::Standby).
pub fn standby_of(net: &NetDir, epoch: u64, watch: Option<u32>) -> Result<Option<Fd>, Errno> {
    let [host, log] = [settings::HOST, settings::LOG].map(std::env::var_os);
    let starter = Starter {
        given: Some(OWN.as_bytes()),
        host: host.as_ref().map(|value| value.as_bytes()),
        log: log.as_ref().map(|value| value.as_bytes()),
        ..Starter::default()
    };
    starter.stand_by(net, epoch, watch)
}

/// Takes the reading end of the pipe from the process that stands by.
pub fn from_input() -> Option<Fd> {
    let input = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let nothing = std::fs::File::open("/dev/null").ok()?;
    // SAFETY: this command reads nothing from its standard input.
    let left = unsafe { sys::duplicate_onto(nothing.as_raw_fd(), libc::STDIN_FILENO, 0) };
    left.ok().map(|()| Fd::from(input))
}

/// Gives this process the name of the command, which it was not started by.
pub fn take_name() {
    // SAFETY: prctl(2) reads a NUL-terminated string.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"memtun".as_ptr()) };
}

/// What has become of the host process.
enum End {
    /// It has ended.
    Ended,
    /// It does not run.
    Stopped,
}

/// Runs `memtun stand-by`.
pub fn stand_by(args: &StandByArgs) -> Outcome {
    logging::init(log::LevelFilter::Warn);
    super::rank::leave();
    take_name();
    let net = args.net.existing()?;
    let dir = net.dir();
    let mut pause = FOLLOWED[0];
    let mut watch = args.watch;
    let mut host: Option<Child> = None;
    let mut left: Vec<Child> = Vec::new();
    // Without a pipe nobody would say when it is time to go.
    while is_pipe() {
        let began = Instant::now();
        let end = wait(watch);
        // Whoever is followed: a program that asks may start another one at any moment from here
        // on, whose place must not be taken.
        let before = dir.host_epoch.load(Acquire);
        let follows = match (end, host.take()) {
            (End::Ended, Some(mut host)) => {
                let killed = host.wait().is_ok_and(|status| status.signal().is_some());
                // A program may have asked meanwhile.
                killed && !is_answering(dir)
            }
            (End::Ended, None) => before == args.after && dir.is_hosts_turn(before),
            (End::Stopped, host) => {
                left.extend(host);
                watch.is_some() && stopped(dir, before) == watch
            }
        };
        if !follows || dir.is_gone() {
            break;
        }
        // One that cannot live must not keep the processor busy.
        if began.elapsed() < LOOK {
            std::thread::sleep(pause);
            pause = (pause * 2).min(FOLLOWED[1]);
        } else {
            pause = FOLLOWED[0];
        }
        let next = start(args, before).map_err(|e| Failure::io("the next host process", &e))?;
        watch = i32::try_from(next.id()).ok();
        host = Some(next);
        left.retain_mut(|host| matches!(host.try_wait(), Ok(None)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Is standard output the pipe to a host process?
fn is_pipe() -> bool {
    let output = sys::fstat(libc::STDOUT_FILENO);
    output.is_ok_and(|output| sys::is_kind(&output, libc::S_IFIFO))
}

/// Waits until the host process ends, which the pipe says, or is stopped.
fn wait(watch: Option<i32>) -> End {
    let mut looks = 0;
    loop {
        let mut fds = [libc::pollfd {
            fd: libc::STDOUT_FILENO,
            events: 0,
            revents: 0,
        }];
        match sys::poll(&mut fds, watch.map(|_| LOOK)) {
            Ok(0) => {}
            Err(Errno(libc::EINTR)) => continue,
            _ => return End::Ended,
        }
        looks = match watch.is_some_and(is_stopped) {
            true => looks + 1,
            false => 0,
        };
        if looks == 2 {
            return End::Stopped;
        }
    }
}

/// Starts a host process after the one of epoch `after`, which this one is the parent of and stands
/// by for.
fn start(args: &StandByArgs, after: u64) -> std::io::Result<Child> {
    let (reading, writing) = std::io::pipe()?;
    let mut command = Command::new(OWN);
    command.arg0("memtun").args(["host", "--stood-by"]);
    command.args(["--after", &after.to_string()]);
    if let Some(net) = args.net.dir() {
        command.arg("--net").arg(net);
    }
    if let Some(owner) = args.net.owner() {
        command.args(["--owner", &owner.to_string()]);
    }
    command.stdin(reading).stdout(Stdio::null());
    let child = command.process_group(0).spawn()?;
    // SAFETY: this command writes nothing to its standard output.
    unsafe { sys::duplicate_onto(writing.as_raw_fd(), libc::STDOUT_FILENO, 0) }
        .map_err(|Errno(e)| std::io::Error::from_raw_os_error(e))?;
    Ok(child)
}
