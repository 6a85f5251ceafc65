//! `inject`: packets from a file into an interface, as fast as the program reads them or with their
//! original spacing.
#![forbid(unsafe_code)]

use crate::failure::{say, Failure, Outcome};
use crate::options::InterfaceArgs;
use crate::output::Output;
use crate::packet_file::PacketFile;
use crate::progress::Progress;
use clap::Args;
use memtun::{ErrorKind, Interface, Sending, Timeout};
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
/// captured, only what went to the program on that interface is injected. The packets of a file go
/// in 64 at a time, unless their spacing is kept; those of a pipe go in as they come.
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

/// Packets that are injected with one call.
const BATCH: usize = 64;

/// A packet that is to be injected.
struct Due {
    data: Vec<u8>,
    /// Its number in the file, from 1 on.
    number: u64,
    /// Its length there in bytes.
    len: u64,
    cut_short: bool,
}

impl AsRef<[u8]> for Due {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
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
    /// How many packets are injected with one call.
    most: usize,
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

impl<'a> Replay<'a> {
    /// Makes a replay. `patience` is how long a full queue may stay full.
    pub fn new(interface: &'a Interface, pace: bool, patience: Option<Duration>) -> Self {
        Replay {
            interface,
            patience,
            began: None,
            pace,
            most: if pace { 1 } else { BATCH },
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

    /// Makes it a replay whose caller looks at the interface before each packet.
    pub fn one_by_one(self) -> Self {
        Replay { most: 1, ..self }
    }

    /// Injects all packets of the file. `between` is called before each call that injects
    /// some, with the time to wait, and returns whether to go on.
    pub fn all(
        &mut self,
        file: &mut PacketFile,
        mut between: impl FnMut(&Self, Duration) -> bool,
    ) -> Result<(), Failure> {
        // What comes through a pipe is injected as it comes.
        let most = match file.size {
            Some(_) => self.most,
            None => 1,
        };
        let mut batch = Vec::with_capacity(most);
        loop {
            let mut failed = None;
            let mut wait = Duration::ZERO;
            while batch.len() < most {
                // What is wrong with a packet is said behind those before it.
                match self.next(file, &mut wait) {
                    Ok(Some(Some(due))) => batch.push(due),
                    Ok(Some(None)) => {}
                    Ok(None) => break,
                    Err(e) => {
                        failed = Some(e);
                        break;
                    }
                }
            }
            let is_last = batch.len() < most;
            if !batch.is_empty() && !between(self, wait) {
                break;
            }
            self.put(&batch)?;
            batch.clear();
            if let Some(e) = failed {
                return Err(e);
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Reads the next packet, and how long it is until it is due. `Some(None)` stands for one that
    /// is left out.
    fn next(
        &mut self,
        file: &mut PacketFile,
        wait: &mut Duration,
    ) -> Result<Option<Option<Due>>, Failure> {
        let Some(frame) = file.next()? else {
            return Ok(None);
        };
        *wait = self.wait(&frame)?;
        self.one(frame).map(Some)
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

    /// Returns what is to be injected of a packet, if it is not left out.
    fn one(&mut self, frame: Frame) -> Result<Option<Due>, Failure> {
        self.frames += 1;
        self.read += frame.data.len() as u64;
        // As the capture wrote it: what is not UTF-8 is escaped there.
        let own = self.interface.name().to_string();
        if frame.interface.as_deref().is_some_and(|name| name != own) {
            self.elsewhere += 1;
            return Ok(None);
        }
        if frame.sent_by_program {
            self.sent_by_program += 1;
            return Ok(None);
        }
        self.doubt(&frame);
        let tap = self.interface.is_tap();
        let fit = fit(frame.link, &frame.data, tap);
        let fit = fit.map_err(|e| Failure::bad_input(format!("packet {}: {e}", self.frames)))?;
        let data = match fit {
            Fit::Ip(data) if tap => memtun::packet::ethernet(data),
            Fit::Whole(data) | Fit::Ip(data) => data.to_vec(),
            Fit::NotIp => {
                self.not_ip += 1;
                return Ok(None);
            }
        };
        Ok(Some(Due {
            data,
            number: self.frames,
            len: frame.data.len() as u64,
            cut_short: frame.cut_short,
        }))
    }

    /// Injects packets. As long as some of them find room, the others are waited for.
    fn put(&mut self, batch: &[Due]) -> Result<(), Failure> {
        let how = Sending::new().within(self.patience);
        let mut left = batch;
        while !left.is_empty() {
            let answer = self.interface.offer_many(left, how);
            let done = answer.as_ref().map_or_else(|e| e.done(), |()| left.len());
            left[..done].iter().for_each(|due| self.count(due));
            left = &left[done..];
            let Err(e) = answer else { break };
            let is_full = e.kind() == ErrorKind::Full;
            if is_full && done > 0 {
                continue;
            }
            // The one that found no room has only been offered: now it counts as refused.
            let refused = match is_full {
                true => self
                    .interface
                    .inject_with(&left[0].data, how.within(Timeout::NOW)),
                false => Err(e),
            };
            if let Err(e) = refused {
                return Err(Failure::from(e).about(format!("packet {}", left[0].number)));
            }
            self.count(&left[0]);
            left = &left[1..];
        }
        Ok(())
    }

    fn count(&mut self, due: &Due) {
        self.injected.0 += 1;
        self.injected.1 += due.len;
        self.cut_short += u64::from(due.cut_short);
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
