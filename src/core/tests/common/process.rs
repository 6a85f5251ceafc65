//! Forked processes that cannot outlive their time, and memory that they share.

use std::io::Error;
use std::ops::Deref;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// A value in memory that forked children share. It is zeroed at first.
pub struct Shared<T>(*mut T);

// SAFETY: the memory is shared on purpose, and `T` is Sync.
unsafe impl<T: Sync> Sync for Shared<T> {}
// SAFETY: the memory is shared on purpose, and `T` is Sync.
unsafe impl<T: Sync> Send for Shared<T> {}

impl<T: Sync> Shared<T> {
    /// Memory for a `T` that is valid when it is zero.
    ///
    /// # Safety
    /// `T` must consist of atomics and locks only.
    pub unsafe fn zeroed() -> Shared<T> {
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        );
        // SAFETY: this makes a new mapping at an address that the kernel chooses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<T>(), access, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED, "{}", Error::last_os_error());
        Shared(at.cast())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the memory is mapped and page-aligned, and zero is a valid value, as the caller
        // of `zeroed` has promised.
        unsafe { &*self.0 }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is our own, and nobody borrows it any more.
        unsafe { libc::munmap(self.0.cast(), size_of::<T>()) };
    }
}

/// A forked child, which is killed and waited for with the value.
pub struct Child {
    pid: i32,
    waited: bool,
}

/// Runs `run` in a forked child. The child exits with its answer, or with 101 when it panics.
pub fn child(run: impl FnOnce() -> i32) -> Child {
    // SAFETY: the child runs on a copy of this thread alone, where glibc's allocator and standard
    // error work.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", Error::last_os_error());
    if pid == 0 {
        // SAFETY: the call takes numbers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or(101);
        // SAFETY: the call takes a number and ends the process.
        unsafe { libc::_exit(code) };
    }
    Child { pid, waited: false }
}

impl Child {
    /// Process id of the child.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal to the child.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child is not waited for yet, so the process id is its own.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Waits until the child has stopped. Returns false when it has ended with status 0 instead.
    pub fn stops(&mut self) -> bool {
        let mut status = 0;
        // SAFETY: waitpid stores one integer.
        let pid = unsafe { libc::waitpid(self.pid, &mut status, libc::WUNTRACED) };
        assert_eq!(pid, self.pid, "{}", Error::last_os_error());
        self.waited = !libc::WIFSTOPPED(status);
        assert!(!self.waited || status == 0, "{status:#x}");
        !self.waited
    }

    /// Status with which the child ended. It panics when the child has not ended after `limit`.
    pub fn ended(mut self, limit: Duration) -> ExitStatus {
        // SAFETY: pidfd_open takes two integers.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, self.pid, 0) } as i32;
        assert!(pidfd >= 0, "{}", Error::last_os_error());
        let mut poll = libc::pollfd {
            fd: pidfd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the call gets one pollfd, and the descriptor was opened above.
        let ready = unsafe {
            let ready = libc::poll(&mut poll, 1, limit.as_millis() as i32);
            libc::close(pidfd);
            ready
        };
        assert_eq!(ready, 1, "process {} hangs", self.pid);
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = 0;
        // SAFETY: waitpid stores one integer.
        unsafe { libc::waitpid(self.pid, &mut status, 0) };
        self.waited = true;
        ExitStatus::from_raw(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.waited {
            self.signal(libc::SIGKILL);
            self.wait();
        }
    }
}
