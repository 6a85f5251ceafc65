//! Where captured packets go: a pcapng file, or lines for people.

use super::source::Event;
use crate::failure::{say, Failure};
use crate::output::Output;
use crate::packets::write::{Packet, PcapNg};
use crate::packets::LinkType;
use memtun::InterfaceInfo;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Takes events.
pub struct Sink {
    form: Form,
    interfaces: HashMap<u32, Seen>,
    /// For messages.
    shown: String,
}

enum Form {
    File(PcapNg<Box<dyn Write + Send>>),
    Lines { out: Output, first: Option<u64> },
}

/// An interface that has been described.
struct Seen {
    info: Box<InterfaceInfo>,
    /// Number in the file.
    number: u32,
    packets: u64,
    outbound: u64,
    /// Packets that were overwritten before they could be captured, once that is known.
    lost: Option<u64>,
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
            interfaces: HashMap::new(),
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
            interfaces: HashMap::new(),
            shown,
        })
    }

    /// Takes one event.
    pub fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Interface(info) => self.interface(info),
            Event::End { interface, written } => {
                if let Some(seen) = self.interfaces.get_mut(&interface) {
                    seen.lost = Some(written.unwrap_or(0).saturating_sub(seen.outbound));
                }
                Ok(())
            }
            Event::Packet {
                interface,
                inbound,
                time_ns,
                ethertype,
                comment,
                data,
            } => {
                let Some(seen) = self.interfaces.get_mut(&interface) else {
                    return Ok(());
                };
                seen.packets += 1;
                seen.outbound += u64::from(!inbound);
                let comment = comment.as_deref();
                match &mut self.form {
                    Form::File(file) => {
                        let packet = Packet {
                            interface: seen.number,
                            time_ns,
                            inbound,
                            comment,
                            data: &data,
                        };
                        file.packet(&packet)
                            .map_err(|e| Failure::io(&self.shown, &e))
                    }
                    Form::Lines { out, first } => {
                        let since = time_ns.saturating_sub(*first.get_or_insert(time_ns));
                        let what = memtun::udp::describe(&data, ethertype, seen.info.tap);
                        out.line(line(
                            since,
                            &seen.info.name.to_string(),
                            inbound,
                            &what,
                            comment,
                        ))
                    }
                }
            }
        }
    }

    fn interface(&mut self, info: Box<InterfaceInfo>) -> Result<(), Failure> {
        let mut number = 0;
        if let Form::File(file) = &mut self.form {
            let link = if info.tap {
                LinkType::ETHERNET
            } else {
                LinkType::RAW
            };
            let described = file.interface(&info.name.to_string(), link, info.mac);
            number = described.map_err(|e| Failure::io(&self.shown, &e))?;
        }
        self.interfaces.insert(
            info.index,
            Seen {
                info,
                number,
                packets: 0,
                outbound: 0,
                lost: None,
            },
        );
        Ok(())
    }

    /// Hands over what there is.
    pub fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.form {
            Form::File(file) => file.flush().map_err(|e| Failure::io(&self.shown, &e)),
            Form::Lines { out, .. } => out.flush(),
        }
    }

    /// Ends the file, and says how many packets are not in it.
    pub fn end(&mut self) -> Result<(), Failure> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |t| t.as_nanos() as u64);
        let mut seen: Vec<&Seen> = self.interfaces.values().collect();
        seen.sort_by_key(|s| (s.number, s.info.index));
        for s in seen {
            if let Some(lost @ 1..) = s.lost {
                say(&format!(
                    "{}: {lost} packets were overwritten before they could be captured; the program wrote them too fast",
                    s.info.name
                ));
            }
            if let Form::File(file) = &mut self.form {
                file.statistics(s.number, now, s.packets, s.lost)
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
