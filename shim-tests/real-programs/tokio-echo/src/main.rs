//! `tokio-echo INTERFACE` sends every IP packet back to where it came from, as users of tokio write
//! it: one task reads and one writes, both on the runtime's epoll instance. The runtime's threads
//! register with that instance through one descriptor and wait on it through another.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const IFF_TUN: u16 = 1;
const IFF_NO_PI: u16 = 0x1000;

fn tun(name: &str) -> std::io::Result<OwnedFd> {
    let mut ifreq = [0u8; 40];
    ifreq[..name.len()].copy_from_slice(name.as_bytes());
    ifreq[16..18].copy_from_slice(&(IFF_TUN | IFF_NO_PI).to_ne_bytes());
    // SAFETY: the path is a C string, TUNSETIFF reads and writes the ifreq, and the descriptor is
    // new.
    unsafe {
        let fd = libc::open(
            c"/dev/net/tun".as_ptr(),
            libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
        );
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        match libc::ioctl(fd.as_raw_fd(), TUNSETIFF, ifreq.as_mut_ptr()) {
            0 => Ok(fd),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

fn ok(n: libc::ssize_t) -> std::io::Result<usize> {
    usize::try_from(n).map_err(|_| std::io::Error::last_os_error())
}

/// Exchanges source and destination; the checksums stay right.
fn answer(mut packet: Vec<u8>) -> Vec<u8> {
    let (from, to, len) = if packet[0] >> 4 == 4 {
        (12, 16, 4)
    } else {
        (8, 24, 16)
    };
    let ports = if packet[0] >> 4 == 4 {
        usize::from(packet[0] & 15) * 4
    } else {
        40
    };
    for i in 0..len {
        packet.swap(from + i, to + i);
    }
    for i in 0..2 {
        packet.swap(ports + i, ports + 2 + i);
    }
    packet
}

fn main() -> std::io::Result<()> {
    let name = std::env::args().nth(1).expect("INTERFACE");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // The runtime's threads sleep in epoll_wait by now.
        tokio::time::sleep(Duration::from_millis(100)).await;
        // SAFETY: an OwnedFd is the same open descriptor as long as it lives.
        let fd = std::sync::Arc::new(unsafe { AsyncFd::register(tun(&name)?)? });
        let (packets, mut answers) = mpsc::channel::<Vec<u8>>(500);
        let writer = fd.clone();
        let writing = tokio::spawn(async move {
            loop {
                // The task waits for room first, because there is none while the link is down.
                drop(writer.writable().await?);
                println!("writable");
                let Some(packet) = answers.recv().await else {
                    return Ok::<_, std::io::Error>(());
                };
                // SAFETY: the pointer is that of a buffer, and the length is its length.
                let write = |fd: &AsyncFd<OwnedFd>| {
                    ok(unsafe {
                        libc::write(
                            fd.get_ref().as_raw_fd(),
                            packet.as_ptr().cast(),
                            packet.len(),
                        )
                    })
                };
                while let Err(_would_block) = writer.writable().await?.try_io(&write) {}
            }
        });
        loop {
            let mut packet = vec![0u8; 65536];
            // SAFETY: the pointer is that of a buffer, and the length is its length.
            let read = |fd: &AsyncFd<OwnedFd>| {
                ok(unsafe {
                    libc::read(
                        fd.get_ref().as_raw_fd(),
                        packet.as_mut_ptr().cast(),
                        packet.len(),
                    )
                })
            };
            match fd.readable().await?.try_io(read) {
                Ok(n) => packet.truncate(n?),
                Err(_would_block) => continue,
            }
            if packets.send(answer(packet)).await.is_err() {
                return writing.await.expect("the writer");
            }
        }
    })
}
