//! `inject`: packets from a file into an interface, as fast as the program reads them or with their
//! original spacing.
#![forbid(unsafe_code)]

use crate::failure::{say, Failure, Outcome};
use crate::options::InterfaceArgs;
use crate::output::Output;
use crate::packet_file::PacketFile;
use crate::progress::Progress;
use clap::Args;
use memtun::{Interface, Sending};
use memtun_packets::{fit, other_length, Fit, Frame, LinkType};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Inject packets from a file into an interface
///
/// FILE is pcap, pcapng or text in hexadecimal: one packet a line, or dumps with offsets as xxd,
/// hexdump -C, od -tx1, tcpdump -x and tshark -x write them, in which offset 0 begins a packet.
/// Ethernet, raw IP, Linux cooked and loopback captures fit both kinds of interface: a tun gets the
/// IP packets in them, a tap gets an Ethernet header where there is none. Of a file that memtun
/// captured, only what went to the program on that interface is injected.
#[derive(Args)]
pub struct InjectArgs {
    #[command(flatten)]
    interface: InterfaceArgs,
    /// Keep the original spacing of the packets
    #[arg(long)]
    pace: bool,
    /// File to inject, - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs `memtun inject`.
pub fn inject(args: &InjectArgs) -> Outcome {
    let mut file = PacketFile::open(&args.file)?;
    let interface = args.interface.wait(args.interface.deadline())?;
    let mut replay = Replay::new(&interface, args.pace, args.interface.patience());
    let mut progress = Progress::on_terminal(file.size);
    let done = replay.all(&mut file, |replay, wait| {
        progress.show(&replay.summary(), replay.read);
        std::thread::sleep(wait);
        true
    });
    progress.end();
    let mut out = Output::new();
    out.line(replay.summary())?;
    out.flush()?;
    done.map(|()| ExitCode::SUCCESS)
}

/// A file whose packets are being injected into an interface.
pub struct Replay<'a> {
    interface: &'a Interface,
    /// How long to wait for room in the program's queue; None means for ever.
    patience: Option<Duration>,
    /// When the first packet was injected, and its time in the file in nanoseconds since the
    /// epoch.
    began: Option<(Instant, i128)>,
    pace: bool,
    /// Numbers of packets and bytes that were injected.
    injected: (u64, u64),
    /// Number of bytes of the packets that were read.
    read: u64,
    frames: u64,
    not_ip: u64,
    sent_by_program: u64,
    elsewhere: u64,
    cut_short: u64,
    /// Has a message been written about a packet that is not as long as it claims to be?
    doubted: bool,
}

impl Replay<'_> {
    /// Makes a replay. `patience` is how long a full queue may stay full.
    pub fn new(interface: &Interface, pace: bool, patience: Option<Duration>) -> Replay<'_> {
        Replay {
            interface,
            patience,
            began: None,
            pace,
            injected: (0, 0),
            read: 0,
            frames: 0,
            not_ip: 0,
            sent_by_program: 0,
            elsewhere: 0,
            cut_short: 0,
            doubted: false,
        }
    }

    /// Injects all packets of the file. `between` is called before each packet with the time to
    /// wait, and returns whether to go on.
    pub fn all(
        &mut self,
        file: &mut PacketFile,
        mut between: impl FnMut(&Self, Duration) -> bool,
    ) -> Result<(), Failure> {
        while let Some(frame) = file.next()? {
            let wait = self.wait(&frame)?;
            if !between(self, wait) {
                break;
            }
            self.one(&frame)?;
        }
        Ok(())
    }

    /// Returns how long it is until a packet is due.
    fn wait(&mut self, frame: &Frame) -> Result<Duration, Failure> {
        if !self.pace {
            return Ok(Duration::ZERO);
        }
        let Some(time) = frame.time_ns else {
            return Err(Failure::bad_input(
                "the packets of this file have no times; leave out --pace",
            ));
        };
        let (start, first) = *self.began.get_or_insert((Instant::now(), time));
        // The times in a capture may go back; such packets are due at once.
        let offset = u64::try_from((time - first).max(0)).unwrap_or(u64::MAX);
        let due = start.checked_add(Duration::from_nanos(offset));
        Ok(due.map_or(Duration::MAX, |due| {
            due.saturating_duration_since(Instant::now())
        }))
    }

    fn one(&mut self, frame: &Frame) -> Result<(), Failure> {
        self.frames += 1;
        self.read += frame.data.len() as u64;
        // As the capture wrote it: what is not UTF-8 is escaped there.
        let own = self.interface.name().to_string();
        if frame.interface.as_deref().is_some_and(|name| name != own) {
            self.elsewhere += 1;
            return Ok(());
        }
        if frame.sent_by_program {
            self.sent_by_program += 1;
            return Ok(());
        }
        self.doubt(frame);
        let fit = fit(frame.link, &frame.data, self.interface.is_tap());
        let done =
            match fit.map_err(|e| Failure::bad_input(format!("packet {}: {e}", self.frames)))? {
                Fit::Whole(data) => self
                    .interface
                    .inject_with(data, Sending::new().within(self.patience)),
                Fit::Ip(data) => self
                    .interface
                    .deliver_with(data, Sending::new().within(self.patience)),
                Fit::NotIp => {
                    self.not_ip += 1;
                    return Ok(());
                }
            };
        done.map_err(|e| Failure::from(e).about(format!("packet {}", self.frames)))?;
        self.injected.0 += 1;
        self.injected.1 += frame.data.len() as u64;
        self.cut_short += u64::from(frame.cut_short);
        Ok(())
    }

    /// Warns once about a packet that is not as long as it claims to be: whoever made the text may
    /// have broken it into lines. The packet is injected all the same, because it may be meant so.
    fn doubt(&mut self, frame: &Frame) {
        if self.doubted || frame.link != LinkType::AS_IT_IS {
            return;
        }
        let Some((said, have)) = other_length(&frame.data, self.interface.is_tap()) else {
            return;
        };
        self.doubted = true;
        let why = if said > have {
            "if its other bytes stand on further lines (xxd -p, od -An), give a dump with offsets, as of xxd or hexdump -C"
        } else {
            "what stands behind its end is injected, too"
        };
        let number = self.frames;
        say(&format!(
            "packet {number}: has {have} bytes, and says of itself that it has {said}; {why}"
        ));
    }

    /// Returns in a sentence what has been done.
    pub fn summary(&self) -> String {
        let (packets, bytes) = self.injected;
        let mut text = format!(
            "{packets} packets, {bytes} bytes into {}",
            self.interface.name()
        );
        let notes = [
            (self.cut_short, "of them cut short in the file"),
            (self.not_ip, "left out that are not IP"),
            (self.sent_by_program, "left out that the program had sent"),
            (self.elsewhere, "left out of other interfaces"),
        ];
        for (number, note) in notes.into_iter().filter(|(number, _)| *number > 0) {
            text += &format!("; {number} {note}");
        }
        text
    }
}
