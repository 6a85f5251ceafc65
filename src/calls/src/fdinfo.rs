//! /proc/PID/fdinfo/N of a tunnel: as the kernel has it for the driver's own descriptors
//! (`tun_chr_show_fdinfo`), not as it has it for the FIFO behind one.
#![forbid(unsafe_code)]

use memtun_abi::{Errno, Name};
use memtun_shm::layout::{Attachment, TunnelState};
use memtun_shm::load_name;
use memtun_sys::PathBuf;
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

/// Can a file of this path be a descriptor's fdinfo? Its name is a number.
#[inline]
pub fn may_be(path: &[u8]) -> bool {
    path.last().is_some_and(u8::is_ascii_digit)
}

/// The link of the same descriptor, `/proc/PID/fd/N`, for the path of its fdinfo. ENOENT for a path
/// of another kind.
pub fn link_of(path: &[u8]) -> Result<PathBuf, Errno> {
    const OTHER: Errno = Errno(libc::ENOENT);
    let slash = path.iter().rposition(|b| *b == b'/').ok_or(OTHER)?;
    let task = path[..slash].strip_suffix(b"/fdinfo").ok_or(OTHER)?;
    PathBuf::concat(&[task, b"/fd", &path[slash..]])
}

/// What the kernel says of a tunnel, up to 1024 bytes.
pub struct Text {
    bytes: [u8; 1024],
    left: usize,
}

impl Text {
    /// The text.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - self.left]
    }

    /// What the kernel says of the bell (`of_bell`), as it would of the tunnel. `inode` is the
    /// device's, `mount` the mount that the device is in, None where that is not known. ENOSPC
    /// when it does not fit.
    pub fn new(
        of_bell: &[u8],
        tunnel: &TunnelState,
        inode: u64,
        mount: Option<u64>,
    ) -> Result<Text, Errno> {
        const FULL: Errno = Errno(libc::ENOSPC);
        let name = match tunnel.attachment.load(Relaxed) {
            none if none == Attachment::None as u32 => Name::default(),
            _ => load_name(&tunnel.name),
        };
        let mut text = Text {
            bytes: [0; 1024],
            left: 1024,
        };
        let mut room = &mut text.bytes[..];
        for line in of_bell.split_inclusive(|b| *b == b'\n') {
            let (key, value) = line.split_at(line.iter().position(|b| *b == b'\t').unwrap_or(0));
            let written = match key {
                b"pos:" => writeln!(room, "pos:\t{}", tunnel.last_read.load(Relaxed)),
                b"flags:" => {
                    let digits = std::str::from_utf8(value.trim_ascii()).unwrap_or_default();
                    let mode = libc::O_ACCMODE as u32;
                    let flags = u32::from_str_radix(digits, 8).unwrap_or(0) & !mode;
                    let flags = flags | tunnel.open_flags.load(Relaxed) & mode;
                    writeln!(room, "flags:\t0{flags:o}")
                }
                b"mnt_id:" => match mount {
                    Some(mount) => writeln!(room, "mnt_id:\t{mount}"),
                    None => room.write_all(line),
                },
                b"ino:" => writeln!(room, "ino:\t{inode}"),
                // The lock that holds the tunnel in being.
                b"lock:" if line.windows(5).any(|w| w == b"FLOCK") => Ok(()),
                _ => room.write_all(line),
            };
            written.map_err(|_| FULL)?;
        }
        [b"iff:\t", name.as_bytes(), b"\n"]
            .into_iter()
            .try_for_each(|part| room.write_all(part))
            .map_err(|_| FULL)?;
        text.left = room.len();
        Ok(text)
    }
}
