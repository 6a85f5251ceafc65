//! Processes that cannot reach their net any more: because of limits, or because they became
//! another user or got another root directory since they joined it.
#![forbid(unsafe_code)]

use super::place::Place;
use super::NetDir;
use crate::cause::Cause;
use crate::seldom::is_due;
use crate::Errno;
use std::sync::atomic::AtomicU64;

/// A call of the program's that needs the files of its net, and that may fail for want of them.
#[derive(Clone, Copy)]
pub enum Refused {
    /// Opening a special device.
    Open,
    /// TUNSETIFF.
    Attach,
}

impl Refused {
    fn name(self) -> &'static str {
        match self {
            Refused::Open => "open",
            Refused::Attach => "TUNSETIFF",
        }
    }
}

impl NetDir {
    /// Returns the errno that a call of the program's gets when an operation on the net's files
    /// failed with `failed`, after logging one sentence that says why. For a process that may not
    /// use its net any more it is EPERM: to the kernel's driver such a process is one without
    /// CAP_NET_ADMIN.
    #[cold]
    pub fn refused(&self, call: Refused, failed: Errno) -> Errno {
        static LAST: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
        let unreachable = [libc::EACCES, libc::EPERM, libc::ENOENT].contains(&failed.0);
        let (then, now) = (self.place, Place::here());
        let moved = unreachable && now != then;
        if !moved && !Cause(failed).is_known() {
            return match failed.0 {
                libc::EACCES => Errno(libc::EPERM),
                _ => failed,
            };
        }
        if is_due(&LAST[call as usize]) {
            let net = String::from_utf8_lossy(self.path());
            let what = call.name();
            if !moved {
                log::error!("{what}: net {net}: {}", Cause(failed));
            } else if now.user != then.user {
                log::error!(
                    "{what}: the net {net} was joined as user {}, and the process is user {} now (setuid); let it make its interfaces before",
                    then.user,
                    now.user
                );
            } else {
                log::error!("{what}: the net {net} cannot be reached from the process's new root directory (chroot); let it make its interfaces before");
            }
        }
        if moved {
            Errno(libc::EPERM)
        } else {
            failed
        }
    }
}
