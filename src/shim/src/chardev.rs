//! What stat(2) says of a special device: a character device 10:200, on paths and descriptors alike.

use crate::config;
use memtun_sys as sys;

const MAJOR: u32 = 10;
const MINOR: u32 = 200;

/// The device as the host has it, or as it would have it.
pub fn device() -> libc::stat {
    for device in config::get().map_or(&[][..], |c| &c.devices) {
        let path = sys::PathBuf::concat(&[&device.path]);
        if let Ok(Ok(st)) = path.map(|p| sys::fstatat(libc::AT_FDCWD, p.cstr(), 0)) {
            if is_device(&st) {
                return st;
            }
        }
    }
    // SAFETY: struct stat is plain numbers, for which zero is valid.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // What a device file system would have: same device and inode at every call.
    st.st_dev = libc::makedev(0, 5);
    st.st_ino = 200;
    st.st_nlink = 1;
    st.st_mode = libc::S_IFCHR | 0o666;
    st.st_rdev = libc::makedev(MAJOR, MINOR);
    st.st_blksize = 4096;
    st
}

/// Is this the tun device of the host?
pub fn is_device(st: &libc::stat) -> bool {
    st.st_mode & libc::S_IFMT == libc::S_IFCHR && st.st_rdev == libc::makedev(MAJOR, MINOR)
}

/// The same as statx(2) has it.
pub fn device_x() -> libc::statx {
    let st = device();
    // SAFETY: struct statx is plain numbers, for which zero is valid.
    let mut x: libc::statx = unsafe { std::mem::zeroed() };
    x.stx_mask = libc::STATX_BASIC_STATS;
    x.stx_blksize = st.st_blksize as u32;
    x.stx_nlink = st.st_nlink as u32;
    x.stx_uid = st.st_uid;
    x.stx_gid = st.st_gid;
    x.stx_mode = st.st_mode as u16;
    x.stx_ino = st.st_ino;
    x.stx_size = st.st_size as u64;
    x.stx_blocks = st.st_blocks as u64;
    for (stamp, sec, nsec) in [
        (&mut x.stx_atime, st.st_atime, st.st_atime_nsec),
        (&mut x.stx_mtime, st.st_mtime, st.st_mtime_nsec),
        (&mut x.stx_ctime, st.st_ctime, st.st_ctime_nsec),
    ] {
        stamp.tv_sec = sec;
        stamp.tv_nsec = nsec as u32;
    }
    x.stx_rdev_major = MAJOR;
    x.stx_rdev_minor = MINOR;
    x.stx_dev_major = libc::major(st.st_dev);
    x.stx_dev_minor = libc::minor(st.st_dev);
    x
}
