//! What fcntl(2) does on a tunnel, the offsets and flags of preadv2(2) and its relatives, and calls
//! that are made for other kinds of files.
#![forbid(unsafe_code)]

use crate::tunnel::may_transfer;
use memtun_abi::Errno;

const EBADF: Errno = Errno(libc::EBADF);
const EINVAL: Errno = Errno(libc::EINVAL);

/// What fcntl(2) does on a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It does on the tunnel what it does on the bell.
    Host,
    /// It does what it does on the bell, and the new number is another descriptor of the tunnel.
    Duplicates,
    /// It does what it does on the bell, and the answer goes through
    /// [`status_flags`](crate::tunnel::status_flags).
    StatusFlags,
    /// It does what it does on the bell, and then the back end calls
    /// [`status_flags_changed`](crate::tunnel::status_flags_changed).
    ChangesStatusFlags,
    /// It fails with this errno, and the bell is not asked.
    Refused(Errno),
}

/// Returns what a command of fcntl(2) does with its argument.
pub fn fcntl(command: i32, argument: usize) -> Control {
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => Control::Duplicates,
        libc::F_GETFL => Control::StatusFlags,
        libc::F_SETFL if argument as i32 & libc::O_DIRECT != 0 => Control::Refused(EINVAL),
        libc::F_SETFL => Control::ChangesStatusFlags,
        // These commands would show that the bell is a FIFO.
        libc::F_GETPIPE_SZ | libc::F_SETPIPE_SZ => Control::Refused(EBADF),
        libc::F_SETLEASE => Control::Refused(EINVAL),
        _ => Control::Host,
    }
}

/// Checks the offset of pread(2) and pwrite(2), which means nothing on a tunnel.
///
/// # Errors
///
/// EINVAL when the offset is negative.
pub fn check_offset(offset: i64) -> Result<(), Errno> {
    if offset < 0 {
        return Err(EINVAL);
    }
    Ok(())
}

/// Checks the offset of preadv2(2) and pwritev2(2), where -1 means the file's own.
///
/// # Errors
///
/// EINVAL for a negative offset other than -1.
pub fn check_offset_or_own(offset: i64) -> Result<(), Errno> {
    if offset < -1 {
        return Err(EINVAL);
    }
    Ok(())
}

/// Checks the flags of preadv2(2) and pwritev2(2), of which the kernel accepts those that are for
/// any file. It looks at them where bytes are to be transferred, behind everything else.
///
/// # Errors
///
/// - EINVAL for flags that contradict each other.
/// - EOPNOTSUPP for an unknown flag.
pub fn check_flags(flags: i32) -> Result<(), Errno> {
    /// Flags that not every libc has.
    const RWF_NOAPPEND: i32 = 0x20;
    const RWF_NOSIGNAL: i32 = 0x100;
    const ORDINARY: i32 = libc::RWF_HIPRI | libc::RWF_DSYNC | libc::RWF_SYNC | libc::RWF_NOWAIT;
    const KNOWN: i32 = ORDINARY | libc::RWF_APPEND | RWF_NOAPPEND | RWF_NOSIGNAL;
    if flags & !KNOWN != 0 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    if flags & libc::RWF_APPEND != 0 && flags & RWF_NOAPPEND != 0 {
        return Err(EINVAL);
    }
    Ok(())
}

/// Says what a call gets that moves bytes from one descriptor to another inside the kernel, where
/// one of them is a tunnel: splice(2), tee(2) and sendfile(2). What is given are the flags of
/// open(2) of both, None for a descriptor that is not open. The result is what the call returns.
///
/// # Errors
///
/// - EBADF where one is not open or does not allow its direction.
/// - EINVAL for everything else, because the driver moves nothing.
pub fn moves(from: Option<i32>, to: Option<i32>) -> Result<(), Errno> {
    may_transfer(from.ok_or(EBADF)?, libc::O_WRONLY)?;
    may_transfer(to.ok_or(EBADF)?, libc::O_RDONLY)?;
    Err(EINVAL)
}

/// A call that is for another kind of file. (Other such calls, like every socket call, lseek, mmap,
/// fsync and ftruncate, get the driver's errors from the kernel, because a FIFO refuses them in the
/// same way.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// copy_file_range(2), from a tunnel or to one.
    Copy,
    /// vmsplice(2), which is for pipes.
    Vmsplice,
    /// fallocate(2).
    Allocate,
    /// posix_fadvise(2).
    Advise,
    /// flock(2). The lock on the bell says that the tunnel is alive, so the program's lock must
    /// not be taken there; the driver's own file may be locked by anybody.
    Lock,
    /// truncate(2) with the device's path.
    Truncate,
    /// A call that uses the device's path as a directory.
    Directory,
}

impl Misfit {
    /// Returns what the program gets on a descriptor with these flags of open(2), where it has one.
    ///
    /// # Errors
    ///
    /// The errno with which the kernel refuses the call on the driver's descriptor.
    pub fn answer_on(self, open_flags: i32) -> Result<(), Errno> {
        let is_path = open_flags & libc::O_PATH != 0;
        let transfers = !is_path && open_flags & libc::O_ACCMODE != libc::O_ACCMODE;
        match self {
            Misfit::Allocate => may_transfer(open_flags, libc::O_RDONLY)?,
            Misfit::Lock if !transfers => return Err(EBADF),
            Misfit::Advise if is_path => return Err(EBADF),
            _ => {}
        }
        self.answer()
    }

    /// Returns what the program gets, whatever the descriptor.
    ///
    /// # Errors
    ///
    /// The errno with which the kernel refuses the call on the driver's descriptor.
    pub fn answer(self) -> Result<(), Errno> {
        match self {
            Misfit::Copy | Misfit::Truncate => Err(EINVAL),
            Misfit::Vmsplice => Err(EBADF),
            Misfit::Allocate => Err(Errno(libc::ENODEV)),
            Misfit::Directory => Err(Errno(libc::ENOTDIR)),
            Misfit::Advise | Misfit::Lock => Ok(()),
        }
    }
}
