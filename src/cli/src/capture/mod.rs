//! `capture`: what goes through the interfaces of a net, live, as pcapng or in lines for people.

mod sink;

use crate::args::NetArgs;
use crate::failure::{Failure, Outcome};
use crate::stop::Stop;
use clap::Args;
use memtun::{Capture, Name, Net};
use sink::Sink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How soon an order to stop is seen.
const NAP: Duration = Duration::from_millis(20);

/// Capture packets, live, until SIGINT
///
/// Begins with the packets that are still kept; from then on every packet is captured, also those that were refused, with
/// the error as a comment. Directions are the program's: inbound is what it reads, outbound what it writes. Without -w each
/// packet is a line, its time counted from the first one. A net is captured by one at a time. Whoever reads the output must
/// keep up: a program that is 8 MiB ahead waits for it, though not longer than five seconds.
#[derive(Args)]
pub struct CaptureArgs {
    #[command(flatten)]
    net: NetArgs,
    /// Write pcapng to a file, - for standard output
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// End after so many packets
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Only this interface; it may come later
    #[arg(value_name = "IFACE")]
    interface: Option<Name>,
}

/// `memtun capture`
pub fn capture(args: &CaptureArgs) -> Outcome {
    let stop = Stop::on_signals()?;
    let Some(net) = args.net.wait_until(|| stop.is_due())? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut capture = begin(&net, args.interface)?;
    let mut sink = match &args.write {
        None => Sink::lines(),
        Some(path) => Sink::file(path)?,
    };
    follow(&mut capture, &mut sink, args.count, &stop)?;
    Ok(ExitCode::SUCCESS)
}

fn begin(net: &Net, interface: Option<Name>) -> Result<Capture, Failure> {
    let begun = match interface {
        None => net.capture(),
        Some(name) => net.capture_interface(&name.to_string()),
    };
    begun.map_err(|e| match e.errno().0 {
        libc::EBUSY => Failure::not_done(e.to_string()),
        _ => e.into(),
    })
}

/// Writes what comes until there was enough, it is time to stop or the net is gone; then what had come before that.
fn follow(
    capture: &mut Capture,
    sink: &mut Sink,
    count: Option<u64>,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut left = count.unwrap_or(u64::MAX);
    let mut until = None;
    let mut patience = Duration::ZERO;
    while left > 0 {
        if until.is_none() && stop.is_due() {
            until = Some(now_ns());
            patience = Duration::ZERO;
        }
        match capture.next(Some(patience)) {
            Ok(packet) if until.is_some_and(|until| packet.time_ns > until) => break,
            Ok(packet) => {
                sink.packet(&packet)?;
                left -= 1;
                patience = Duration::ZERO;
            }
            Err(e) => match e.errno().0 {
                libc::EAGAIN if until.is_some() => break,
                libc::EAGAIN => {
                    describe(capture, sink)?;
                    // Whoever follows wants to see what there is.
                    if patience.is_zero() {
                        sink.flush()?;
                    }
                    patience = NAP;
                }
                // How many packets that were stands at the end.
                libc::ENOBUFS => {}
                libc::ENODEV => break,
                _ => return Err(e.into()),
            },
        }
    }
    describe(capture, sink)?;
    sink.end(|interface| capture.lost(interface), now_ns())
}

/// Also an interface without a packet stands in the capture.
fn describe(capture: &Capture, sink: &mut Sink) -> Result<(), Failure> {
    for link in capture.interfaces() {
        sink.interface(&link)?;
    }
    Ok(())
}

fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| t.as_nanos() as u64)
}

/// A capture that goes on beside something else: `run --capture`.
pub struct Beside {
    stop: Stop,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Beside {
    /// Everything that is in the net from now on goes into the file.
    pub fn start(net: &Net, file: &Path) -> Result<Beside, Failure> {
        let stop = Stop::default();
        let mut capture = begin(net, None)?;
        let mut sink = Sink::file(file)?;
        let told = stop.clone();
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || follow(&mut capture, &mut sink, None, &told));
        let thread = thread.map_err(|e| Failure::io("cannot start a thread", &e))?;
        Ok(Beside { stop, thread })
    }

    /// Writes what has come so far, and ends.
    pub fn end(self) -> Result<(), Failure> {
        self.stop.now();
        self.thread.join().unwrap_or_else(|_| {
            Err(Failure::not_done(
                "capture: a bug in memtun; please report it",
            ))
        })
    }
}
