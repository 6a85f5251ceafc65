//! What happens around fork(2).

use crate::waiting::epoll;
use crate::{errno, foreign, net, process};

/// Registers the handlers. It is called once, in the constructor, after [`process::init`].
pub fn init() {
    // The handler runs at once in the child of a fork, because the next caller that asks whose
    // memory this is may already be a vfork child of that child, and must not be taken for it. The
    // page that is wiped is for children of clone(2), which run no handlers.
    // SAFETY: the handlers make system calls and stores; they allocate nothing and take no lock.
    unsafe { pthread_atfork(Some(before), None, Some(after)) };
}

extern "C" fn before() {
    let _ = errno::fence(|| {
        errno::keep(net::before_children);
        epoll::before_fork();
        Ok(())
    });
    // SAFETY: a guard is leaked only by a jump, and the mapping of its lock stays.
    unsafe { memtun_shm::lock::before_fork() };
}

extern "C" fn after() {
    let _ = process::owns_memory();
    memtun_shm::lock::forked();
    let _ = errno::fence(|| {
        errno::keep(|| {
            process::forked();
            net::forked();
            memtun_stack::ask::forked();
            epoll::forked();
            foreign::look_at(0, i32::MAX);
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
