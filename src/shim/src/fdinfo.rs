//! Replaces /proc/PID/fdinfo/N of a bell by the tunnel's. The file is looked at after the open,
//! when the kernel has found out where the path leads.

use crate::table::{self, OwnTunnels};
use crate::{chardev, net};
use libc::c_int;
use memtun_abi::Errno;
use memtun_calls::fdinfo::{link_of, may_be, Text};
use memtun_kernel::net::{Local, NetDir};
use memtun_shm::layout::TunnelState;
use memtun_sys::{self as sys, Fd};
use std::os::fd::AsFd;

/// Called after a path was opened: if it is the fdinfo of a tunnel, the descriptor is made to lead
/// to a file with the tunnel's text. `path` is used only to see quickly that it cannot be one.
pub fn replace(fd: c_int, path: &[u8]) {
    if !may_be(path) || !table::any() && net::current().is_none() {
        return;
    }
    if let Ok(text) = crate::errno::fence(|| text(fd)) {
        let _ = put(text.bytes(), fd);
    }
}

/// The tunnel's text where `fd` is the fdinfo of a bell; any error where it is something else.
fn text(fd: c_int) -> Result<Text, Errno> {
    const OTHER: Errno = Errno(libc::ENOENT);
    let st = sys::fstat(fd)?;
    if st.st_mode & libc::S_IFMT != libc::S_IFREG || st.st_size != 0 {
        return Err(OTHER);
    }
    let mut room = [0u8; 256];
    let link = link_of(sys::path_of_fd(fd, &mut room)?)?;
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

/// The kernel's text about the bell, changed to what the kernel would say of the tunnel.
fn rewritten(fd: c_int, tunnel: &TunnelState) -> Result<Text, Errno> {
    let mut read = [0u8; 768];
    let n = sys::read(fd, &mut read)?;
    Text::new(
        &read[..n],
        tunnel,
        chardev::device().inode,
        chardev::mount(),
    )
}

/// Makes the descriptor lead to a file with this text.
fn put(text: &[u8], fd: c_int) -> Result<(), Errno> {
    let file: Fd = sys::memory_file(c"fdinfo", libc::MFD_CLOEXEC)?;
    sys::write(file.raw(), text)?;
    sys::rewind(file.as_fd())?;
    // SAFETY: the program has just got this descriptor, for the file whose place this one takes.
    unsafe { sys::take_place(file.as_fd(), fd) }
}
