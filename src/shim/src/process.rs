//! What this process is: its id, and whether the memory that we see is its own.

use crate::{errno, net};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

/// A page that the kernel zeroes in a forked child, but not in one that shares our memory.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the page up. Called once, in the constructor.
pub fn init() {
    const MADV_WIPEONFORK: usize = 18;
    let Ok(page) = sys::map_private(4096, libc::PROT_READ | libc::PROT_WRITE) else {
        return;
    };
    // SAFETY: advice on our own mapping. Before Linux 4.14 it is refused, and the cached id is then compared only.
    unsafe {
        sys::syscall(
            libc::SYS_madvise,
            [page as usize, 4096, MADV_WIPEONFORK, 0, 0, 0],
        )
    };
    PAGE.store(page.cast(), Relaxed);
    let _ = owns_memory();
    // At once in the child of a fork: the next to ask may already be a vfork child of that child, and must not be taken for
    // it. The wiped page is for children of clone(2), which run no handlers.
    // SAFETY: handlers that make system calls and stores; they allocate nothing and take no lock.
    unsafe { pthread_atfork(Some(before_fork), None, Some(forked)) };
}

extern "C" fn before_fork() {
    let _ = errno::fence(|| {
        errno::keep(net::before_children);
        Ok(())
    });
    // SAFETY: no guard is ever leaked but by a jump, over mappings that stay.
    unsafe { memtun_shm::lock::before_fork() };
}

extern "C" fn forked() {
    let _ = owns_memory();
    memtun_shm::lock::forked();
    let _ = errno::fence(|| {
        errno::keep(|| {
            net::forked();
            crate::foreign::look_at(0, i32::MAX);
        });
        Ok(())
    });
}

extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> i32;
}

/// False in a child of vfork(2) or clone(CLONE_VM): it sees its parent's tables, and must not change them.
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
