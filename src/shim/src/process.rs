//! What this process is: whether the memory that we see is its own, and whether it ends.

use memtun_abi::Errno;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

/// A page that the kernel zeroes in a forked child, but not in one that shares our memory.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the page up. Called once, in the constructor.
pub fn init() {
    const MADV_WIPEONFORK: usize = 18;
    let Ok(page) = sys::map_private(4096, libc::PROT_READ | libc::PROT_WRITE) else {
        return;
    };
    // SAFETY: advice on our own mapping. Before Linux 4.14 it is refused, and the cached id is then
    // compared only.
    unsafe {
        sys::syscall(
            libc::SYS_madvise,
            [page as usize, 4096, MADV_WIPEONFORK, 0, 0, 0],
        )
    };
    PAGE.store(page.cast(), Relaxed);
    let _ = owns_memory();
}

/// False in a child of vfork(2) or clone(CLONE_VM): it sees its parent's tables, and must not
/// change them.
pub fn owns_memory() -> bool {
    let page = PAGE.load(Relaxed);
    if page.is_null() || !may(Extra::Process) {
        return true;
    }
    // SAFETY: a mapping that stays for the life of the process.
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

/// The thread that ends the process, 0 while none does.
static LEAVER: AtomicI32 = AtomicI32::new(0);

/// Does this process end? Its other threads are about to be killed, and do not see that their
/// tunnels are gone already.
#[inline]
pub fn is_leaving() -> bool {
    LEAVER.load(Relaxed) != 0
}

/// A call on a tunnel of a process that ends: another thread's does not come back, or late where
/// the end takes its time.
#[cold]
pub fn left() -> Errno {
    const TURNS: usize = 100;
    const TURN: Duration = Duration::from_millis(10);
    if LEAVER.load(Relaxed) != sys::gettid() {
        (0..TURNS).for_each(|_| sys::nap(TURN));
    }
    Errno(libc::EBADF)
}

/// The calling thread ends the process.
pub fn leaves() {
    LEAVER.store(sys::gettid(), SeqCst);
}

/// The process is the child of a fork(2): what ends is its parent.
pub fn forked() {
    LEAVER.store(0, Relaxed);
}
