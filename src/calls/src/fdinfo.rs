//! The text of /proc/PID/fdinfo/N for a tunnel: as the kernel shows it for the driver's own
//! descriptors (`tun_chr_show_fdinfo`), and not as it shows it for the FIFO behind one.
#![forbid(unsafe_code)]

use memtun_abi::{Errno, Name};
use memtun_shm::layout::{Attachment, TunnelState};
use memtun_shm::load_name;
use memtun_sys::PathBuf;
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

/// Can a file of this path be a descriptor's fdinfo? The name of one ends in a digit.
#[inline]
pub fn may_be(path: &[u8]) -> bool {
    path.last().is_some_and(u8::is_ascii_digit)
}

/// Returns the link of the same descriptor, `/proc/PID/fd/N`, for the path of its fdinfo.
///
/// # Errors
///
/// ENOENT for a path of another kind.
pub fn link_of(path: &[u8]) -> Result<PathBuf, Errno> {
    const OTHER: Errno = Errno(libc::ENOENT);
    let slash = path.iter().rposition(|b| *b == b'/').ok_or(OTHER)?;
    let task = path[..slash].strip_suffix(b"/fdinfo").ok_or(OTHER)?;
    PathBuf::concat(&[task, b"/fd", &path[slash..]])
}

/// The text of a tunnel's fdinfo, up to 1024 bytes.
pub struct Text {
    bytes: [u8; 1024],
    left: usize,
}

impl Text {
    /// Returns the text.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - self.left]
    }

    /// Makes the tunnel's text from the one that the kernel shows for the bell (`of_bell`). `inode`
    /// is the device's, and `mount` the id of the mount that the device is in, or None where that
    /// is not known.
    ///
    /// # Errors
    ///
    /// ENOSPC when the text does not fit.
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
                // This is the lock that says that the tunnel is alive, which the driver's file does
                // not have.
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
