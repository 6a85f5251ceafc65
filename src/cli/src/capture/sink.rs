//! Where captured packets go: a pcapng file, or lines for people.
#![forbid(unsafe_code)]

use super::spool::Spool;
use crate::failure::{say, Failure};
use memtun::{Captured, CapturedLink, Direction, Name};
use memtun_packets::pcapng::{Packet, Writer};
use memtun_packets::LinkType;
use std::collections::HashMap;
use std::io::Write;

/// Takes packets.
pub struct Sink {
    form: Form,
    interfaces: Vec<Seen>,
    /// Places in `interfaces`.
    numbers: HashMap<Key, usize>,
    /// Of the packet before.
    latest: Option<(Key, usize)>,
    /// For messages.
    shown: String,
}

enum Form {
    File(Writer<Spool>),
    Lines { out: Spool, first: Option<u64> },
}

/// Packets of an interface that are not in the capture.
#[derive(Clone, Copy, Default)]
pub struct Missing {
    /// Overwritten before they were read.
    pub lost: u64,
    /// Refused because the capture was behind.
    pub refused: u64,
}

/// An interface that has been described. Its place among them is its number in the file.
struct Seen {
    index: u32,
    name: Name,
    packets: u64,
}

/// Index, name and kind.
type Key = (u32, Name, bool);

impl Sink {
    /// A line per packet.
    pub fn lines(out: Spool, shown: String) -> Sink {
        Sink::new(Form::Lines { out, first: None }, shown)
    }

    /// A pcapng file. Its beginning is written at once.
    pub fn file(out: Spool, shown: String) -> Result<Sink, Failure> {
        let file = Writer::new(out).map_err(|e| Failure::io(&shown, &e))?;
        Ok(Sink::new(Form::File(file), shown))
    }

    fn new(form: Form, shown: String) -> Sink {
        Sink {
            form,
            interfaces: Vec::new(),
            numbers: HashMap::new(),
            latest: None,
            shown,
        }
    }

    /// Takes one packet.
    pub fn packet(&mut self, packet: &Captured) -> Result<(), Failure> {
        let number = self.interface(&packet.link())?;
        self.interfaces[number].packets += 1;
        let inbound = packet.direction == Direction::Inbound;
        let comment = packet.refused.map(|e| format!("refused: {e}"));
        let comment = comment.as_deref();
        let shown = &self.shown;
        match &mut self.form {
            Form::File(file) => {
                file.output().packet_begins();
                let written = file.packet(&Packet {
                    interface: number as u32,
                    time_ns: packet.time_ns,
                    inbound,
                    comment,
                    data: &packet.data,
                });
                written.map_err(|e| Failure::io(shown, &e))?;
                file.output().packet_ends();
            }
            Form::Lines { out, first } => {
                let since = packet
                    .time_ns
                    .saturating_sub(*first.get_or_insert(packet.time_ns));
                let what = memtun::packet::describe(&packet.data, packet.ethertype, packet.tap);
                let name = packet.interface.to_string();
                out.packet_begins();
                let written = writeln!(out, "{}", line(since, &name, inbound, &what, comment));
                written.map_err(|e| Failure::io(shown, &e))?;
                out.packet_ends();
            }
        }
        Ok(())
    }

    /// The number of an interface, which is described when it is seen for the first time.
    pub fn interface(&mut self, link: &CapturedLink) -> Result<usize, Failure> {
        let key = (link.index, link.interface, link.tap);
        if let Some((_, number)) = self.latest.filter(|(latest, _)| *latest == key) {
            return Ok(number);
        }
        if let Some(known) = self.numbers.get(&key) {
            self.latest = Some((key, *known));
            return Ok(*known);
        }
        if let Form::File(file) = &mut self.form {
            let kind = if link.tap {
                LinkType::ETHERNET
            } else {
                LinkType::RAW
            };
            let described = file.interface(&link.interface.to_string(), kind, link.mac);
            described.map_err(|e| Failure::io(&self.shown, &e))?;
        }
        let number = self.interfaces.len();
        self.numbers.insert(key, number);
        self.interfaces.push(Seen {
            index: link.index,
            name: link.interface,
            packets: 0,
        });
        Ok(number)
    }

    /// Hands over what there is.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let flushed = match &mut self.form {
            Form::File(file) => file.flush(),
            Form::Lines { out, .. } => out.flush(),
        };
        flushed.map_err(|e| Failure::io(&self.shown, &e))
    }

    /// The indices of the interfaces that have been described.
    pub fn indices(&self) -> Vec<u32> {
        self.interfaces.iter().map(|seen| seen.index).collect()
    }

    /// Ends the file, and says how many packets are not in it: `missing` has that by the
    /// interface's index.
    pub fn end(&mut self, missing: &HashMap<u32, Missing>, now_ns: u64) -> Result<(), Failure> {
        for (number, seen) in self.interfaces.iter().enumerate() {
            // Under an earlier name it is the same interface.
            let again = self.interfaces[..number]
                .iter()
                .any(|s| s.index == seen.index);
            let missing = missing.get(&seen.index).filter(|_| !again);
            let Missing { lost, refused } = missing.copied().unwrap_or_default();
            if refused > 0 {
                say(&format!(
                    "{}: {refused} packets were refused (EAGAIN) while the capture was behind; what reads it is too slow",
                    seen.name
                ));
            }
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
