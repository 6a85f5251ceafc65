//! /proc/PID/fdinfo/N of a tunnel: as the kernel has it for the driver's own descriptors (`tun_chr_show_fdinfo`), not as it
//! has it for the FIFO behind one. Looked at after the open, when the kernel has found out where the path leads.

use crate::table::{self, OwnTunnels};
use crate::{chardev, config, net};
use libc::c_int;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::{Local, NetDir};
use memtun_shm::layout::{Attachment, TunnelState};
use memtun_shm::load_name;
use memtun_sys::{self as sys, Fd, PathBuf};
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

/// A path was opened: if it is the fdinfo of a tunnel, the number leads to a file with the tunnel's. `path` only to see that
/// it cannot be: such a file's name is a number.
pub fn replace(fd: c_int, path: &[u8]) {
    if !path.last().is_some_and(u8::is_ascii_digit) || !table::any() && net::current().is_none() {
        return;
    }
    if let Ok(text) = crate::errno::fence(|| text(fd)) {
        let _ = put(text.bytes(), fd);
    }
}

/// What the kernel says of a tunnel, up to 1024 bytes.
struct Text {
    bytes: [u8; 1024],
    left: usize,
}

impl Text {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - self.left]
    }
}

/// The tunnel's fdinfo where `fd` is the bell's; any error where it is something else.
fn text(fd: c_int) -> Result<Text, Errno> {
    const OTHER: Errno = Errno(libc::ENOENT);
    let st = sys::fstat(fd)?;
    if st.st_mode & libc::S_IFMT != libc::S_IFREG || st.st_size != 0 {
        return Err(OTHER);
    }
    let mut room = [0u8; 256];
    let path = sys::path_of_fd(fd, &mut room)?;
    let slash = path.iter().rposition(|b| *b == b'/').ok_or(OTHER)?;
    let task = path[..slash].strip_suffix(b"/fdinfo").ok_or(OTHER)?;
    let link = PathBuf::concat(&[task, b"/fd", &path[slash..]])?;
    let mut room = [0u8; 1024];
    let target = sys::readlinkat(libc::AT_FDCWD, link.cstr(), &mut room)?;
    let (dir, inode) = NetDir::inode_of_bell_path(target).ok_or(OTHER)?;
    match OwnTunnels.descriptor(inode).and_then(table::hold) {
        Some(own) => rewritten(fd, own.state()),
        None => {
            let net = net::existing()
                .filter(|net| net.path() == dir)
                .ok_or(OTHER)?;
            rewritten(fd, &*net.tunnel(inode)?)
        }
    }
}

/// What the kernel says of the bell, as it would of the tunnel.
fn rewritten(fd: c_int, tunnel: &TunnelState) -> Result<Text, Errno> {
    let mut read = [0u8; 768];
    let n = sys::read(fd, &mut read)?;
    let device = chardev::device();
    let name = match tunnel.attachment.load(Relaxed) {
        none if none == Attachment::None as u32 => Name::default(),
        _ => load_name(&tunnel.name),
    };
    let mut text = Text {
        bytes: [0; 1024],
        left: 1024,
    };
    let mut room = &mut text.bytes[..];
    for line in read[..n].split_inclusive(|b| *b == b'\n') {
        let (key, value) = line.split_at(line.iter().position(|b| *b == b'\t').unwrap_or(0));
        let written = match key {
            b"pos:" => writeln!(room, "pos:\t{}", tunnel.last_read.load(Relaxed)),
            b"flags:" => {
                let digits = value.trim_ascii();
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                let mode = libc::O_ACCMODE as u32;
                let flags = u32::from_str_radix(digits, 8).unwrap_or(0) & !mode;
                let flags = flags | tunnel.open_flags.load(Relaxed) & mode;
                writeln!(room, "flags:\t0{flags:o}")
            }
            b"mnt_id:" => match mount_of_device() {
                Some(mount) => writeln!(room, "mnt_id:\t{mount}"),
                None => room.write_all(line),
            },
            b"ino:" => writeln!(room, "ino:\t{}", device.st_ino),
            // The lock that holds the tunnel in being.
            b"lock:" if line.windows(5).any(|w| w == b"FLOCK") => Ok(()),
            _ => room.write_all(line),
        };
        written.map_err(|_| Errno(libc::ENOSPC))?;
    }
    let line = [b"iff:\t", name.as_bytes(), b"\n"]
        .into_iter()
        .try_for_each(|part| room.write_all(part));
    line.map_err(|_| Errno(libc::ENOSPC))?;
    text.left = room.len();
    Ok(text)
}

/// The mount that the device is in, or that it would be in.
fn mount_of_device() -> Option<u64> {
    let device = config::get()?.devices.first()?;
    let mut path = PathBuf::concat(&[&device.path]).ok()?;
    loop {
        if let Some(mount) = sys::mount_id(path.cstr()) {
            return Some(mount);
        }
        let parent = path.bytes().iter().rposition(|b| *b == b'/')?;
        path.truncate(parent);
    }
}

/// A file with this text takes the number.
fn put(text: &[u8], fd: c_int) -> Result<(), Errno> {
    let file: Fd = sys::memory_file(c"fdinfo", libc::MFD_CLOEXEC)?;
    sys::write(file.raw(), text)?;
    sys::rewind(file.as_fd())?;
    let flags = if sys::closes_on_exec(fd)? {
        libc::O_CLOEXEC
    } else {
        0
    };
    // SAFETY: the program has just got it, for the file whose place this one takes.
    unsafe { sys::duplicate_onto(file.raw(), fd, flags) }
}
