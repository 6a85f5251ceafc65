//! The special devices of a program, and what stat(2) and access(2) report about them: they are
//! character devices 10:200 that everybody may read and write.
#![forbid(unsafe_code)]

use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::settings;
use std::mem::offset_of;

const MAJOR: u32 = 10;
const MINOR: u32 = 200;

/// A special device, which a program opens to get a tunnel.
pub struct Device {
    /// Absolute path, without empty and "." components.
    pub path: Vec<u8>,
}

impl Device {
    /// Makes the device of this path. None means that the path is not absolute, names nothing, or
    /// contains "..".
    pub fn new(path: &[u8]) -> Option<Device> {
        settings::device(path).map(|parts| Device {
            path: parts.flatten().copied().collect(),
        })
    }

    /// Returns the last component of the path.
    pub fn name(&self) -> &[u8] {
        self.path.rsplit(|b| *b == b'/').next().unwrap_or_default()
    }
}

/// Is this the tun device of the host?
pub fn is_device(st: &libc::stat) -> bool {
    st.st_mode & libc::S_IFMT == libc::S_IFCHR && st.st_rdev == libc::makedev(MAJOR, MINOR)
}

/// A file as stat(2) shows it, by path and by descriptor: a special device, or one of the view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStat {
    /// Device of the file system that the file is in.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// Number of links to it.
    pub links: u64,
    /// Its type and its permissions.
    pub mode: u32,
    user: u32,
    group: u32,
    /// Its length in bytes.
    pub size: i64,
    /// Bytes that are best read at once.
    pub block: i64,
    blocks: i64,
    /// The device that it is, if it is one.
    special: u64,
    /// Seconds and nanoseconds of the last access, the last change of contents and the last change
    /// of state.
    pub times: [(i64, i64); 3],
}

impl FileStat {
    /// Takes over what the host reports about a file of its own.
    pub fn of(st: &libc::stat) -> FileStat {
        FileStat {
            device: st.st_dev,
            inode: st.st_ino,
            // The type is narrower on some machines.
            #[allow(clippy::unnecessary_cast)]
            links: st.st_nlink as u64,
            mode: st.st_mode,
            user: st.st_uid,
            group: st.st_gid,
            size: st.st_size,
            #[allow(clippy::unnecessary_cast)]
            block: st.st_blksize as i64,
            blocks: st.st_blocks,
            special: st.st_rdev,
            times: [
                (st.st_atime, st.st_atime_nsec),
                (st.st_mtime, st.st_mtime_nsec),
                (st.st_ctime, st.st_ctime_nsec),
            ],
        }
    }

    /// Returns the same of a file that is no device.
    pub fn without_device(self) -> FileStat {
        FileStat { special: 0, ..self }
    }

    /// Returns what is shown where the host has no device: what a file system of devices would
    /// show, the same at every call.
    pub fn imagined() -> FileStat {
        FileStat {
            device: libc::makedev(0, 5),
            inode: 200,
            links: 1,
            mode: libc::S_IFCHR | 0o666,
            user: 0,
            group: 0,
            size: 0,
            block: 4096,
            blocks: 0,
            special: libc::makedev(MAJOR, MINOR),
            times: [(0, 0); 3],
        }
    }

    /// Fills a `struct stat` at the address `at` of the program's memory.
    ///
    /// # Errors
    ///
    /// EFAULT when that memory is not writable.
    pub fn store(&self, memory: &impl Memory, at: usize) -> Result<(), Errno> {
        let mut room = [0u8; size_of::<libc::stat>()];
        macro_rules! fill {
            ($($field:ident = $value:expr;)*) => { $(
                put(&mut room, offset_of!(libc::stat, $field), |st: &libc::stat| st.$field, $value);
            )* };
        }
        let [atime, mtime, ctime] = self.times;
        fill! {
            st_dev = self.device;
            st_ino = self.inode;
            st_nlink = self.links as libc::nlink_t;
            st_mode = self.mode;
            st_uid = self.user;
            st_gid = self.group;
            st_rdev = self.special;
            st_size = self.size;
            st_blksize = self.block as libc::blksize_t;
            st_blocks = self.blocks;
            st_atime = atime.0;
            st_atime_nsec = atime.1;
            st_mtime = mtime.0;
            st_mtime_nsec = mtime.1;
            st_ctime = ctime.0;
            st_ctime_nsec = ctime.1;
        }
        memory.write(at, &room)
    }

    /// Fills a `struct statx` at the address `at` of the program's memory.
    ///
    /// # Errors
    ///
    /// EFAULT when that memory is not writable.
    pub fn store_x(&self, memory: &impl Memory, at: usize) -> Result<(), Errno> {
        self.store_x_in(None, memory, at)
    }

    /// The same; the number of its mount says what file system it is in, where that is known.
    ///
    /// # Errors
    ///
    /// As [`FileStat::store_x`].
    pub fn store_x_in(
        &self,
        mount: Option<u64>,
        memory: &impl Memory,
        at: usize,
    ) -> Result<(), Errno> {
        /// STATX_ATTR_AUTOMOUNT and STATX_ATTR_MOUNT_ROOT, which every file system tells.
        const TOLD: u64 = 0x1000 | 0x2000;
        let mut room = [0u8; size_of::<libc::statx>()];
        macro_rules! fill {
            ($($field:ident $(. $part:ident)? = $value:expr;)*) => { $(
                put(
                    &mut room,
                    offset_of!(libc::statx, $field $(. $part)?),
                    |x: &libc::statx| x.$field $(. $part)?,
                    $value,
                );
            )* };
        }
        let [atime, mtime, ctime] = self.times;
        fill! {
            stx_mask = libc::STATX_BASIC_STATS | mount.map_or(0, |_| libc::STATX_MNT_ID);
            stx_mnt_id = mount.unwrap_or(0);
            stx_attributes_mask = mount.map_or(0, |_| TOLD);
            stx_blksize = self.block as u32;
            stx_nlink = self.links as u32;
            stx_uid = self.user;
            stx_gid = self.group;
            stx_mode = self.mode as u16;
            stx_ino = self.inode;
            stx_size = self.size as u64;
            stx_blocks = self.blocks as u64;
            stx_atime.tv_sec = atime.0;
            stx_atime.tv_nsec = atime.1 as u32;
            stx_mtime.tv_sec = mtime.0;
            stx_mtime.tv_nsec = mtime.1 as u32;
            stx_ctime.tv_sec = ctime.0;
            stx_ctime.tv_nsec = ctime.1 as u32;
            stx_rdev_major = libc::major(self.special);
            stx_rdev_minor = libc::minor(self.special);
            stx_dev_major = libc::major(self.device);
            stx_dev_minor = libc::minor(self.device);
        }
        memory.write(at, &room)
    }
}

/// Puts a field into the bytes of a struct. `_field` only ensures that the value has the field's
/// type.
fn put<S, T: Bytes>(room: &mut [u8], at: usize, _field: impl Fn(&S) -> T, value: T) {
    value.put(&mut room[at..at + size_of::<T>()]);
}

/// A number as it stands in memory.
trait Bytes {
    fn put(self, room: &mut [u8]);
}

macro_rules! bytes {
    ($($number:ty),*) => { $(
        impl Bytes for $number {
            fn put(self, room: &mut [u8]) {
                room.copy_from_slice(&self.to_ne_bytes());
            }
        }
    )* };
}
bytes!(u16, u32, u64, i32, i64);

/// Answers access(2) for a device: everybody may read and write it, and nobody may execute it.
///
/// # Errors
///
/// - EACCES when the mode asks for execution.
/// - EINVAL for bits that are no mode.
pub fn access(mode: i32) -> Result<(), Errno> {
    match mode {
        _ if mode & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 => Err(Errno(libc::EINVAL)),
        _ if mode & libc::X_OK != 0 => Err(Errno(libc::EACCES)),
        _ => Ok(()),
    }
}
