//! /proc/self/fdinfo/N of a tunnel: what the driver adds for its own descriptors (`tun_chr_show_fdinfo`).

use crate::table;
use crate::user;
use libc::{c_char, c_int};
use memtun_core::sys::{self, Fd, PathBuf};
use memtun_core::Errno;
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

/// A file with the tunnel's fdinfo, if that is what the path asks for.
pub fn open(path: *const c_char, flags: c_int) -> Option<c_int> {
    if !table::any() || flags & libc::O_ACCMODE != libc::O_RDONLY {
        return None;
    }
    let path = user::c_string(path).ok()?;
    let (owner, number) = split(path.strip_prefix(b"/proc/")?)?;
    let me = std::str::from_utf8(owner).ok()?;
    if !["self", "thread-self"].contains(&me) && me.parse() != Ok(sys::getpid()) {
        return None;
    }
    let fd = std::str::from_utf8(number).ok()?.parse().ok()?;
    let tunnel = table::hold(fd)?;
    let cloexec = flags & libc::O_CLOEXEC != 0;
    let name = tunnel.name().unwrap_or_default();
    let position = tunnel.state().last_read.load(Relaxed);
    text(fd, position, name.as_bytes())
        .and_then(|(text, n)| file(text.get(..n).unwrap_or_default(), cloexec))
        .ok()
        .map(Fd::into_raw)
}

/// `OWNER/fdinfo/NUMBER`
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().position(|b| *b == b'/')?;
    Some((&path[..slash], path[slash..].strip_prefix(b"/fdinfo/")?))
}

/// What the kernel says of the bell, with the driver's position and line.
fn text(fd: c_int, position: u32, name: &[u8]) -> Result<([u8; 1024], usize), Errno> {
    let mut path = PathBuf::concat(&[b"/proc/self/fdinfo/"])?;
    path.push_number(fd as u64)?;
    let host = sys::open_internal(path.cstr(), libc::O_RDONLY, 0)?;
    let mut read = [0u8; 512];
    let n = sys::read(host.raw(), &mut read)?;
    let mut text = [0u8; 1024];
    let mut room = &mut text[..];
    for line in read[..n].split_inclusive(|b| *b == b'\n') {
        let written = match line.starts_with(b"pos:") {
            true => writeln!(room, "pos:\t{position}"),
            false => room.write_all(line),
        };
        written.map_err(|_| Errno(libc::ENOSPC))?;
    }
    let line = [b"iff:\t", name, b"\n"]
        .into_iter()
        .try_for_each(|part| room.write_all(part));
    line.map_err(|_| Errno(libc::ENOSPC))?;
    let left = room.len();
    Ok((text, 1024 - left))
}

fn file(text: &[u8], cloexec: bool) -> Result<Fd, Errno> {
    let flags = if cloexec { libc::MFD_CLOEXEC } else { 0 };
    let fd = sys::memory_file(c"fdinfo", flags)?;
    sys::write(fd.raw(), text)?;
    sys::rewind(fd.raw())?;
    Ok(fd)
}
