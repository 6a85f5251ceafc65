//! An ordinary tun program: it attaches to an interface, and answers UDP datagrams over IPv4 with
//! the same payload, to whoever sent them. It knows nothing of memtun.
//!
//! `udp-echo NAME [COUNT]` ends after COUNT packets, or never. An interface whose name begins with
//! "tap" becomes a TAP.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const IFF_TUN: u16 = 1;
const IFF_TAP: u16 = 2;
const IFF_NO_PI: u16 = 0x1000;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let count: usize = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX);
    let (kind, header) = if name.starts_with("tap") {
        (IFF_TAP, 14)
    } else {
        (IFF_TUN, 0)
    };

    let mut tun = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    let mut ifreq = [0u8; 40];
    ifreq[..name.len()].copy_from_slice(name.as_bytes());
    ifreq[16..18].copy_from_slice(&(kind | IFF_NO_PI).to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes the ifreq, which is as long as the kernel's.
    if unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETIFF, ifreq.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut packet = [0u8; 65536];
    for _ in 0..count {
        let length = retry(|| tun.read(&mut packet))?;
        if length < header + 28 || packet[header] >> 4 != 4 {
            continue;
        }
        let ip = &mut packet[header..length];
        // Both checksums stay right, because addresses and ports only change places.
        for (a, b, n) in [(12, 16, 4), (20, 22, 2)] {
            for i in 0..n {
                ip.swap(a + i, b + i);
            }
        }
        retry(|| tun.write(&packet[..length]))?;
    }
    Ok(())
}

/// Repeats a call that a signal interrupted, as a good program does.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
