//! fcntl(2), the offsets and flags of preadv2(2) and its relatives, and calls that are made for
//! other kinds of files.
#![forbid(unsafe_code)]

use memtun_abi::Errno;

const EBADF: Errno = Errno(libc::EBADF);
const EINVAL: Errno = Errno(libc::EINVAL);

/// What fcntl(2) does on a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// What it does on the bell.
    Host,
    /// The same, and the new number is another descriptor of the tunnel.
    Duplicates,
    /// The same, and the answer goes through [`status_flags`](crate::tunnel::status_flags).
    StatusFlags,
    /// The same, and then [`status_flags_changed`](crate::tunnel::status_flags_changed).
    ChangesStatusFlags,
    /// It fails, and the bell is not asked.
    Refused(Errno),
}

/// What a command of fcntl(2) does, with its argument.
pub fn fcntl(command: i32, argument: usize) -> Control {
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => Control::Duplicates,
        libc::F_GETFL => Control::StatusFlags,
        libc::F_SETFL if argument as i32 & libc::O_DIRECT != 0 => Control::Refused(EINVAL),
        libc::F_SETFL => Control::ChangesStatusFlags,
        // What the bell is does not show.
        libc::F_GETPIPE_SZ | libc::F_SETPIPE_SZ => Control::Refused(EBADF),
        libc::F_SETLEASE => Control::Refused(EINVAL),
        _ => Control::Host,
    }
}

/// The offset of pread(2) and pwrite(2) means nothing on a tunnel, but a negative one is refused.
pub fn check_offset(offset: i64) -> Result<(), Errno> {
    if offset < 0 {
        return Err(EINVAL);
    }
    Ok(())
}

/// The same of preadv2(2) and pwritev2(2), where -1 is the file's own, and their flags: the kernel
/// takes those that hold for any file.
pub fn check_offset_and_flags(offset: i64, flags: i32) -> Result<(), Errno> {
    const KNOWN: i32 =
        libc::RWF_HIPRI | libc::RWF_DSYNC | libc::RWF_SYNC | libc::RWF_NOWAIT | libc::RWF_APPEND;
    if flags & !KNOWN != 0 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    if offset < -1 {
        return Err(EINVAL);
    }
    Ok(())
}

/// A call for another kind of file. (Every socket call, lseek, mmap, fsync, ftruncate ... gets the
/// driver's errors from the kernel, because a FIFO refuses it alike.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// splice(2), tee(2), sendfile(2), copy_file_range(2), from a tunnel or to one.
    Splice,
    /// vmsplice(2), which is for pipes.
    Vmsplice,
    /// fallocate(2).
    Allocate,
    /// posix_fadvise(2).
    Advise,
    /// flock(2): the lock of the bell is the tunnel's life; the driver's own file may be locked by
    /// anybody.
    Lock,
    /// truncate(2) of the device's path.
    Truncate,
    /// Its path as a directory.
    Directory,
}

impl Misfit {
    /// What the program gets.
    pub fn answer(self) -> Result<(), Errno> {
        match self {
            Misfit::Splice | Misfit::Truncate => Err(EINVAL),
            Misfit::Vmsplice => Err(EBADF),
            Misfit::Allocate => Err(Errno(libc::ENODEV)),
            Misfit::Directory => Err(Errno(libc::ENOTDIR)),
            Misfit::Advise | Misfit::Lock => Ok(()),
        }
    }
}
