//! The scenario in Rust: `drive PROGRAM PACKETS`. The packets are written as text, in the form in
//! which packets.py shows a capture.

use memtun::{Capture, Direction, Interface, Net, Permission, UnderShim};
use memtun::{Sending, Timeout};
use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

const SOON: Option<Duration> = Some(Duration::from_secs(5));

/// Sends a datagram from 10.9.0.2:port to a port of the program, and checks the answer.
fn exchange(tun: &Interface, port: u16, to: u16, data: &str) -> memtun::Result<()> {
    let from = SocketAddr::from(([10, 9, 0, 2], port));
    let to = SocketAddr::from(([10, 0, 0, 1], to));
    let from = tun.send_udp_with(
        data.as_bytes(),
        to,
        Sending::new().source(from).within(SOON),
    )?;
    println!("{from} > {to} {data}");
    let (answer, sender) = tun.receive_udp(from).recv_from_within(SOON)?;
    println!("{sender} > {from} {}", String::from_utf8_lossy(&answer));
    Ok(())
}

fn scenario(net: &Net) -> Result<(), Box<dyn Error>> {
    let tun = net.wait_interface_within("tun0", SOON)?;
    println!("{} is there", tun.name());
    exchange(&tun, 4001, 7, "ping")?;
    net.fault(&"write=EINTR@1".parse()?)?;
    println!("fault write=EINTR@1");
    exchange(&tun, 4002, 7, "ping")?;
    exchange(&tun, 4003, 13, "how often?")?;
    exchange(&tun, 4004, 22, "once more")?;
    net.deny(Permission::Open);
    println!("deny open");
    exchange(&tun, 4005, 22, "once more")?;
    net.permit(Permission::Open);
    println!("permit open");
    exchange(&tun, 4006, 22, "once more")?;
    Ok(())
}

/// Returns what was captured, with one line per packet.
fn packets(mut capture: Capture) -> memtun::Result<String> {
    let mut text = String::new();
    loop {
        let packet = match capture.recv_within(Timeout::NOW) {
            Err(e) if e.errno().name() == Some("EAGAIN") => return Ok(text),
            packet => packet?,
        };
        text += match packet.direction {
            Direction::Inbound => "in ",
            Direction::Outbound => "out ",
        };
        text.extend(packet.data.iter().map(|byte| format!("{byte:02x}")));
        if let Some(errno) = packet.refused {
            text += &format!(" refused: {errno}");
        }
        text.push('\n');
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    const USAGE: &str = "usage: drive PROGRAM PACKETS";
    let program = std::env::args_os().nth(1).ok_or(USAGE)?;
    let file = std::env::args_os().nth(2).ok_or(USAGE)?;
    let net = Net::temporary()?;
    let capture = net.capture()?;
    let mut program = Command::new(program).under(&net)?.spawn()?;
    let done = scenario(&net);
    std::fs::write(file, packets(capture)?)?;
    program.kill()?;
    program.wait()?;
    done
}
