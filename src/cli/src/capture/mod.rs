//! `capture`: what goes through the interfaces of a net, live, as pcapng or in lines for people.
#![forbid(unsafe_code)]

use memtun::Timeout;
mod running;
mod sink;
mod spool;

use crate::failure::{Failure, Outcome};
use crate::options::NetArgs;
use crate::stop::Stop;
use clap::Args;
use memtun::{Capture, CapturedLink, Deadline, Name, Net};
use running::{Running, Shared};
use sink::{Missing, Sink};
use spool::Target;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Capture packets, live, until SIGINT
///
/// Begins with the packets that are still kept; from then on every packet is captured, also those
/// that were refused, with the error as a comment. Directions are the program's: inbound is what it
/// reads, outbound what it writes. Without -w each packet is a line, its time counted from the
/// first one. A net is captured by one at a time. Whoever reads the output must keep up: a program
/// that is 8 MiB ahead waits for it, though not longer than five seconds, or gets EAGAIN if it does
/// not want to wait (O_NONBLOCK). What was lost or refused so is said at the end.
///
/// On SIGINT everything that was complete before it is written. A second SIGINT ends the command at
/// once, and so does an output that nobody reads; then it says how many packets were not written,
/// and the exit status is not 0.
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

/// Runs `memtun capture`.
pub fn capture(args: &CaptureArgs) -> Outcome {
    let stop = Stop::on_signals()?;
    let Some(net) = args.net.wait_until(Some(&stop), Deadline::NEVER)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let (interface, count) = (args.interface, args.count);
    let write = args.write.clone();
    let running = Running::start(&stop, &net.clone(), move |shared| {
        // The file is made once the capture has begun, so that who sees it knows that it has.
        shared.keep(begin(&net, interface)?);
        let target = write.as_deref().map(Target::of).transpose()?;
        follow(shared, target, count)
    })?;
    running.end()?;
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

/// Writes what comes until there was enough, it is time to stop, or the net is gone, and then what
/// had come before that. Without a target it writes lines to standard output.
fn follow(shared: &Shared, target: Option<Target>, count: Option<u64>) -> Result<(), Failure> {
    let in_lines = target.is_none();
    let target = target.unwrap_or(Target::Standard);
    let shown = shared.writes_to(&target);
    let spool = target.open(shared.ledger.clone())?;
    let mut sink = if in_lines {
        Sink::lines(spool, shown)
    } else {
        Sink::file(spool, shown)?
    };
    let mut left = count.unwrap_or(u64::MAX);
    let (mut stopping, mut complaint) = (false, None);
    // The interfaces that had been described when no packet was left; None as long as one may be.
    let mut drained: Option<Vec<CapturedLink>> = None;
    while left > 0 {
        if !stopping && shared.stop.is_due() {
            stopping = true;
            complaint = shared.with_capture(Capture::stop).err();
        }
        let next = shared.with_capture(|capture| match &drained {
            Some(described) if !stopping => capture.recv_while(Timeout::FOREVER, |capture| {
                !shared.stop.is_due() && capture.interfaces().eq(described.iter().copied())
            }),
            _ => capture.recv_within(Timeout::NOW),
        });
        match next {
            Ok(packet) => {
                sink.packet(&packet)?;
                left -= 1;
                drained = None;
            }
            Err(e) => match e.errno().0 {
                libc::EAGAIN if stopping => break,
                libc::EAGAIN => {
                    let described = describe(shared, &mut sink)?;
                    // Whoever follows the output wants to see what there is.
                    sink.flush()?;
                    drained = Some(described);
                }
                // The number of lost packets is reported at the end.
                libc::ENOBUFS => {}
                libc::ENODEV => break,
                _ => return Err(e.into()),
            },
        }
    }
    describe(shared, &mut sink)?;
    let indices = sink.indices();
    let missing = shared.with_capture(|capture| {
        let of = |index| Missing {
            lost: capture.lost(index),
            refused: capture.refused(index),
        };
        Ok(indices.iter().map(|index| (*index, of(*index))).collect())
    })?;
    sink.end(&missing, now_ns())?;
    complaint.map_or(Ok(()), |e| Err(e.into()))
}

/// Describes every interface in the output, so that one without a packet is in the capture, too.
fn describe(shared: &Shared, sink: &mut Sink) -> Result<Vec<CapturedLink>, Failure> {
    let links = shared.with_capture(|capture| Ok(capture.interfaces().collect::<Vec<_>>()))?;
    for link in &links {
        sink.interface(link)?;
    }
    Ok(links)
}

fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| t.as_nanos() as u64)
}

/// A capture that goes on beside something else, for `run --capture`.
pub struct Beside(Running);

impl Beside {
    /// Begins to write everything that goes through the net into the file.
    pub fn start(net: &Net, file: &Path) -> Result<Beside, Failure> {
        let capture = begin(net, None)?;
        let target = Target::of(file)?;
        let running = Running::start(&Stop::new()?, net, move |shared| {
            shared.keep(capture);
            follow(shared, Some(target), None)
        });
        running.map(Beside)
    }

    /// Writes what has come so far, and ends. A signal ends it at once.
    pub fn end(self) -> Result<(), Failure> {
        self.0.stop.now();
        self.0.stop.listen()?;
        self.0.end()
    }
}
