//! Facts about this process: whether the memory that it sees is its own, and whether it is ending.

use crate::plain;
use memtun_abi::Errno;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32};
use std::time::Duration;

/// A page that the kernel zeroes in a forked child, but not in one that shares this process's
/// memory.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the page up. It is called once, in the constructor.
pub fn init() {
    const MADV_WIPEONFORK: usize = 18;
    let Ok(page) = sys::map_private(4096, libc::PROT_READ | libc::PROT_WRITE) else {
        return;
    };
    // SAFETY: the advice concerns our own mapping. Before Linux 4.14 it is refused, and then only
    // the cached id is compared.
    unsafe {
        sys::syscall(
            libc::SYS_madvise,
            [page as usize, 4096, MADV_WIPEONFORK, 0, 0, 0],
        )
    };
    PAGE.store(page.cast(), Relaxed);
    let _ = owns_memory();
}

/// False in a child of vfork(2) or clone(CLONE_VM), which sees its parent's tables and must not
/// change them.
pub fn owns_memory() -> bool {
    let page = PAGE.load(Relaxed);
    if page.is_null() || !may(Extra::Process) {
        return true;
    }
    // SAFETY: the mapping stays for the life of the process.
    let cached = unsafe { &*page };
    let pid = sys::getpid() as u32;
    match cached.load(Relaxed) {
        0 => {
            cached.store(pid, Relaxed);
            true
        }
        known => known == pid,
    }
}

/// Id of the thread that ends the process; 0 while none does.
static LEAVER: AtomicI32 = AtomicI32::new(0);

/// Is this process ending? Its other threads are about to be killed, and must not see that their
/// tunnels have ended already.
#[inline]
pub fn is_leaving() -> bool {
    LEAVER.load(Relaxed) != 0
}

/// The answer of a call on a tunnel while the process ends. For another thread than the one that
/// ends the process the call does not return, or returns late if the end takes its time.
#[cold]
pub fn left() -> Errno {
    const TURNS: usize = 100;
    const TURN: Duration = Duration::from_millis(10);
    if LEAVER.load(Relaxed) != sys::gettid() {
        (0..TURNS).for_each(|_| sys::nap(TURN));
    }
    Errno(libc::EBADF)
}

/// Says that the calling thread ends the process.
pub fn leaves() {
    LEAVER.store(sys::gettid(), SeqCst);
    plain::note(plain::LEAVING);
}

/// Called in the child of a fork(2), because the process that may be ending is its parent.
pub fn forked() {
    LEAVER.store(0, Relaxed);
    plain::clear(plain::LEAVING);
}
