//! The program under test: `gatekeeper INTERFACE PORT...` echoes UDP datagrams to these ports and
//! drops all others. It knows nothing of memtun.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

const HEADERS: usize = 28;

fn attach(name: &str) -> io::Result<File> {
    let tun = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    let mut ifreq = [0u8; 40];
    ifreq[..name.len()].copy_from_slice(name.as_bytes());
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as u16;
    ifreq[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes a struct ifreq, which has these 40 bytes.
    match unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, ifreq.as_mut_ptr()) } {
        0 => Ok(tun),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Exchanges the addresses and the ports of a datagram; its checksums stay right. Returns false
/// when the datagram is to be dropped.
fn turn_round(packet: &mut [u8], ports: &[u16]) -> bool {
    if packet.len() < HEADERS || packet[0] != 0x45 || packet[9] != libc::IPPROTO_UDP as u8 {
        return false;
    }
    let port = u16::from_be_bytes([packet[22], packet[23]]);
    packet[12..20].rotate_left(4);
    packet[20..24].rotate_left(2);
    ports.contains(&port)
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let ports: Vec<u16> = arguments.filter_map(|port| port.parse().ok()).collect();
    let mut tun = attach(&name)?;
    let mut packet = [0; 65536];
    loop {
        let length = match tun.read(&mut packet) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if turn_round(&mut packet[..length], &ports) {
            // write_all tries again when it is interrupted, and a packet is written whole or not at
            // all.
            tun.write_all(&packet[..length])?;
        }
    }
}
