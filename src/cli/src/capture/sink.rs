//! The form in which captured packets are written: a pcapng file, or lines for people.
#![forbid(unsafe_code)]

use super::spool::Spool;
use crate::failure::{say, Failure};
use memtun::{Captured, CapturedLink, Direction, Name};
use memtun_packets::pcapng::{Packet, Writer};
use memtun_packets::LinkType;
use std::collections::HashMap;
use std::io::Write;

/// Writes packets in one of the forms.
pub struct Sink {
    form: Form,
    interfaces: Vec<Seen>,
    /// The place of each interface in `interfaces`.
    numbers: HashMap<Key, usize>,
    /// Interface of the previous packet, with its place.
    latest: Option<(Key, usize)>,
    /// Name of the output for messages.
    shown: String,
}

enum Form {
    File(Writer<Spool>),
    Lines { out: Spool, first: Option<u64> },
}

/// Numbers of packets of an interface that are not in the capture.
#[derive(Clone, Copy, Default)]
pub struct Missing {
    /// Packets that were overwritten before they were read.
    pub lost: u64,
    /// Packets that were refused because the capture was behind.
    pub refused: u64,
}

/// An interface that has been described. Its place in the list is its number in the file.
struct Seen {
    index: u32,
    name: Name,
    packets: u64,
}

/// Index and name of an interface, and whether it is a TAP.
type Key = (u32, Name, bool);

impl Sink {
    /// Makes a sink that writes a line for each packet.
    pub fn lines(out: Spool, shown: String) -> Sink {
        Sink::new(Form::Lines { out, first: None }, shown)
    }

    /// Makes a sink that writes a pcapng file, whose beginning is written at once.
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

    /// Writes one packet.
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

    /// Returns the number of an interface, which is described when it is seen for the first time.
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

    /// Flushes what has been written so far.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let flushed = match &mut self.form {
            Form::File(file) => file.flush(),
            Form::Lines { out, .. } => out.flush(),
        };
        flushed.map_err(|e| Failure::io(&self.shown, &e))
    }

    /// Returns the indices of the interfaces that have been described.
    pub fn indices(&self) -> Vec<u32> {
        self.interfaces.iter().map(|seen| seen.index).collect()
    }

    /// Ends the output, and reports how many packets are not in it. `missing` has their numbers by
    /// the interface's index.
    pub fn end(&mut self, missing: &HashMap<u32, Missing>, now_ns: u64) -> Result<(), Failure> {
        for (number, seen) in self.interfaces.iter().enumerate() {
            // The same interface may have been described before, under an earlier name.
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

/// Returns a packet's line: time since the first packet, interface, direction as the program sees
/// it, and the packet.
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
