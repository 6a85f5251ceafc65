//! `capture`: what goes through the interfaces of a net, live, as pcapng or in lines for people.

mod sink;
mod source;

use crate::args::NetArgs;
use crate::failure::{Failure, Outcome};
use crate::stop::Stop;
use clap::Args;
use memtun::{Name, Net};
use sink::Sink;
use source::{Event, Source};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::JoinHandle;

/// Capture packets, live, until SIGINT
///
/// Begins with the packets that are still kept. Directions are the program's: inbound is what it reads, outbound what it
/// writes. Without -w each packet is a line, its time counted from the first one.
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
    let mut sink = match &args.write {
        None => Sink::lines(),
        Some(path) => Sink::file(path)?,
    };
    let source = Source::start(&net, args.interface, stop.clone())?;
    follow(&source, &mut sink, args.count)?;
    stop.now();
    sink.end()?;
    Ok(ExitCode::SUCCESS)
}

/// Most packets that are put in order at a time.
const BATCH: usize = 256;

/// Writes what comes until the source ends or there were enough.
fn follow(source: &Source, sink: &mut Sink, count: Option<u64>) -> Result<(), Failure> {
    let mut left = count.unwrap_or(u64::MAX);
    let mut batch = Vec::with_capacity(BATCH);
    while let Ok(first) = source.events.recv() {
        batch.push(first);
        batch.extend(source.events.try_iter().take(BATCH - 1));
        // Each interface's own packets come in order; sorting is stable and puts those of several among each other.
        batch.sort_by_key(Event::time);
        for event in batch.drain(..) {
            if matches!(event, Event::Packet { .. }) {
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
            }
            sink.event(event)?;
        }
        // Whoever follows wants to see what there is.
        sink.flush()?;
        if left == 0 {
            return Ok(());
        }
    }
    Ok(())
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
        let mut sink = Sink::file(file)?;
        let source = Source::start(net, None, stop.clone())?;
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                follow(&source, &mut sink, None)?;
                sink.end()
            });
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
