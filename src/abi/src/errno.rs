//! Error numbers, with the names of errno(3).
#![forbid(unsafe_code)]

use std::fmt;

/// An error number, as in errno(3). Never zero or negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! names {
    ($($name:ident)*) => {
        const NAMES: &[(&str, i32)] = &[$((stringify!($name), libc::$name)),*];
    };
}

names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK
    ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM ENOSTR ENODATA ETIME ENOSR EBADFD ENOTSOCK EDESTADDRREQ
    EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE
    EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS
    ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO
    EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE
    ERFKILL EHWPOISON ENOTUNIQ ECOMM EPROTO EBADMSG EOVERFLOW ERESTART EUSERS EILSEQ ENOLINK EMULTIHOP
}

impl Errno {
    /// Returns the number of a name like "EAGAIN". The second names EWOULDBLOCK, ENOTSUP and
    /// EDEADLOCK are accepted as well. None means that the name is unknown.
    pub fn from_name(name: &str) -> Option<Errno> {
        match name {
            "EWOULDBLOCK" => Some(Errno(libc::EAGAIN)),
            "ENOTSUP" => Some(Errno(libc::EOPNOTSUPP)),
            "EDEADLOCK" => Some(Errno(libc::EDEADLK)),
            _ => NAMES
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, e)| Errno(*e)),
        }
    }

    /// Does the process, or the machine, lack descriptors or memory?
    pub fn is_lack(self) -> bool {
        matches!(self.0, libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    }

    /// Returns this if it says that something is lacking, and else the other errno.
    pub fn if_lack_or(self, other: Errno) -> Errno {
        if self.is_lack() {
            self
        } else {
            other
        }
    }

    /// Returns the name, if errno(3) has one for the number.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, e)| *e == self.0).map(|(n, _)| *n)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for std::io::Error {
    fn from(e: Errno) -> std::io::Error {
        std::io::Error::from_raw_os_error(e.0)
    }
}
