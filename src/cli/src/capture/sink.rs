//! Where captured packets go: a pcapng file, or lines for people.

use crate::failure::{say, Failure};
use crate::output::Output;
use crate::packets::write::{Packet, PcapNg};
use crate::packets::LinkType;
use memtun::{Captured, CapturedLink, Direction, Name};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Takes packets.
pub struct Sink {
    form: Form,
    interfaces: Vec<Seen>,
    /// Of the packet before.
    latest: usize,
    /// For messages.
    shown: String,
}

enum Form {
    File(PcapNg<Box<dyn Write + Send>>),
    Lines { out: Output, first: Option<u64> },
}

/// An interface that has been described. Its place among them is its number in the file.
struct Seen {
    index: u32,
    name: Name,
    tap: bool,
    packets: u64,
}

impl Seen {
    fn is_of(&self, link: &CapturedLink) -> bool {
        (self.index, self.name, self.tap) == (link.index, link.interface, link.tap)
    }
}

impl Sink {
    /// A line per packet on standard output.
    pub fn lines() -> Sink {
        let form = Form::Lines {
            out: Output::new(),
            first: None,
        };
        Sink {
            form,
            interfaces: Vec::new(),
            latest: 0,
            shown: "standard output".into(),
        }
    }

    /// A file, or standard output for "-". Its beginning is written at once.
    pub fn file(path: &Path) -> Result<Sink, Failure> {
        let (shown, output): (_, Box<dyn Write + Send>) = if path.as_os_str() == "-" {
            (
                "standard output".into(),
                Box::new(BufWriter::with_capacity(1 << 18, io::stdout())),
            )
        } else {
            let shown = path.display().to_string();
            let file = File::create(path)
                .map_err(|e| Failure::io(format!("{shown}: cannot write"), &e))?;
            (shown, Box::new(BufWriter::with_capacity(1 << 18, file)))
        };
        let file = PcapNg::new(output).map_err(|e| Failure::io(&shown, &e))?;
        Ok(Sink {
            form: Form::File(file),
            interfaces: Vec::new(),
            latest: 0,
            shown,
        })
    }

    /// Takes one packet.
    pub fn packet(&mut self, packet: &Captured) -> Result<(), Failure> {
        let number = self.interface(&packet.link())?;
        self.interfaces[number].packets += 1;
        let inbound = packet.direction == Direction::Inbound;
        let comment = packet.refused.map(|e| format!("refused: {e}"));
        let comment = comment.as_deref();
        match &mut self.form {
            Form::File(file) => {
                let written = file.packet(&Packet {
                    interface: number as u32,
                    time_ns: packet.time_ns,
                    inbound,
                    comment,
                    data: &packet.data,
                });
                written.map_err(|e| Failure::io(&self.shown, &e))
            }
            Form::Lines { out, first } => {
                let since = packet
                    .time_ns
                    .saturating_sub(*first.get_or_insert(packet.time_ns));
                let what = memtun::udp::describe(&packet.data, packet.ethertype, packet.tap);
                let name = packet.interface.to_string();
                out.line(line(since, &name, inbound, &what, comment))
            }
        }
    }

    /// The number of an interface, which is described when it is seen for the first time.
    pub fn interface(&mut self, link: &CapturedLink) -> Result<usize, Failure> {
        if let Some(seen) = self.interfaces.get(self.latest) {
            if seen.is_of(link) {
                return Ok(self.latest);
            }
        }
        self.latest = match self.interfaces.iter().position(|seen| seen.is_of(link)) {
            Some(known) => known,
            None => {
                if let Form::File(file) = &mut self.form {
                    let kind = if link.tap {
                        LinkType::ETHERNET
                    } else {
                        LinkType::RAW
                    };
                    let described = file.interface(&link.interface.to_string(), kind, link.mac);
                    described.map_err(|e| Failure::io(&self.shown, &e))?;
                }
                self.interfaces.push(Seen {
                    index: link.index,
                    name: link.interface,
                    tap: link.tap,
                    packets: 0,
                });
                self.interfaces.len() - 1
            }
        };
        Ok(self.latest)
    }

    /// Hands over what there is.
    pub fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.form {
            Form::File(file) => file.flush().map_err(|e| Failure::io(&self.shown, &e)),
            Form::Lines { out, .. } => out.flush(),
        }
    }

    /// Ends the file, and says how many packets are not in it: `lost` knows that of an interface's index.
    pub fn end(&mut self, lost: impl Fn(u32) -> u64, now_ns: u64) -> Result<(), Failure> {
        for (number, seen) in self.interfaces.iter().enumerate() {
            // Under an earlier name it is the same interface.
            let again = self.interfaces[..number]
                .iter()
                .any(|s| s.index == seen.index);
            let lost = if again { 0 } else { lost(seen.index) };
            if lost > 0 {
                say(&format!(
                    "{}: {lost} packets were overwritten before they could be captured; what reads the capture is too slow",
                    seen.name
                ));
            }
            if let Form::File(file) = &mut self.form {
                file.statistics(number as u32, now_ns, seen.packets, Some(lost))
                    .map_err(|e| Failure::io(&self.shown, &e))?;
            }
        }
        self.flush()
    }
}

/// Time since the first packet, interface, direction as the program sees it, the packet.
fn line(since_ns: u64, name: &str, inbound: bool, what: &str, comment: Option<&str>) -> String {
    let (seconds, rest) = (since_ns / 1_000_000_000, since_ns % 1_000_000_000);
    let direction = if inbound { "in " } else { "out" };
    let note = comment.map(|c| format!(" ({c})")).unwrap_or_default();
    format!("{seconds:4}.{rest:09} {name} {direction} {what}{note}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_a_line() {
        let text = line(1_500_000_000, "tun0", false, "IPv4 ...", Some("EINTR"));
        assert_eq!(text, "   1.500000000 tun0 out IPv4 ... (EINTR)");
    }
}
