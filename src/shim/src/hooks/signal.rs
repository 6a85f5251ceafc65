//! Signal actions and masks, as far as SIGBUS and SIGSEGV are concerned; see `signals`.

use crate::real::{hooks, real};
use crate::watch::set;
use crate::{errno, handlers, signals, uaccess};
use libc::{c_int, sigaction as Action, sigset_t};
use memtun_abi::Errno;

type Handler = *mut libc::c_void;

fn bad_pointer() -> c_int {
    errno::give::<c_int>(Err(Errno(libc::EFAULT))) as c_int
}

/// sigaction(2). For a watched signal this library answers; for other signals the mask that the
/// kernel gets leaves the watched ones open.
fn set_action(
    number: c_int,
    action: *const Action,
    old: *mut Action,
    host: impl FnOnce(*const Action, *mut Action) -> c_int,
) -> c_int {
    // SAFETY: an action is plain data. An address that cannot be read is refused below.
    if let Some(Ok(given)) = (!action.is_null()).then(|| unsafe { uaccess::read(action) }) {
        handlers::note(given.sa_sigaction);
    }
    if !signals::watching() {
        return host(action, old);
    }
    let given = if action.is_null() {
        None
    } else {
        // SAFETY: an action is plain data.
        match unsafe { uaccess::read(action) } {
            Ok(given) => Some(given),
            Err(_) => return bad_pointer(),
        }
    };
    if let Some(kept) = signals::watched(number) {
        if !crate::process::owns_memory() {
            // A child of vfork(2) has signal actions of its own, but its parent's memory.
            return host(action, old);
        }
        let before = kept.wish();
        if let Some(given) = given {
            kept.set_wish(given);
            set(kept);
        }
        if !old.is_null() && uaccess::write(old, &before).is_err() {
            return bad_pointer();
        }
        return 0;
    }
    let opened = signals::opened(number);
    let answer = match given {
        None => host(action, old),
        Some(given) => {
            let open = signals::open_action(number, &given);
            host(&open, old)
        }
    };
    if answer == 0 && opened != 0 && !old.is_null() {
        // SAFETY: libc has stored an action there.
        unsafe { signals::show(&mut (*old).sa_mask, opened) };
    }
    answer
}

/// sigprocmask(2) and pthread_sigmask(3).
fn set_mask(
    how: c_int,
    set: *const sigset_t,
    old: *mut sigset_t,
    host: impl FnOnce(*const sigset_t) -> c_int,
) -> c_int {
    if !signals::watching() {
        return host(set);
    }
    let given = if set.is_null() {
        None
    } else {
        // SAFETY: a set is plain data.
        match unsafe { uaccess::read(set) } {
            Ok(given) => Some(given),
            Err(_) => return host(set),
        }
    };
    let (open, blocked) = signals::open_mask(how, given.as_ref());
    let answer = host(if set.is_null() { set } else { &open });
    if answer == 0 && blocked != 0 && !old.is_null() {
        // SAFETY: libc has stored a set there.
        unsafe { signals::show(&mut *old, blocked) };
    }
    answer
}

/// signal(3) and its relatives.
fn handler(number: c_int, new: Handler, flags: c_int, host: impl FnOnce() -> Handler) -> Handler {
    handlers::note(new as usize);
    let Some(kept) = signals::watched(number).filter(|_| crate::process::owns_memory()) else {
        return host();
    };
    let before = kept.wish().sa_sigaction;
    let mut action = signals::no_action();
    action.sa_sigaction = new as usize;
    action.sa_flags = flags;
    if flags & libc::SA_NODEFER == 0 {
        signals::show(&mut action.sa_mask, signals::bit(number));
    }
    kept.set_wish(action);
    set(kept);
    before as Handler
}

hooks! {
    fn sigaction(number: c_int, action: *const Action, old: *mut Action) -> c_int => my_sigaction {
        set_action(number, action, old, |action, old| real!(sigaction(number, action, old)))
    }
    fn __sigaction(number: c_int, action: *const Action, old: *mut Action) -> c_int => my_sigaction_alias {
        set_action(number, action, old, |action, old| real!(__sigaction(number, action, old)))
    }
    fn signal(number: c_int, new: Handler) -> Handler => my_signal {
        handler(number, new, libc::SA_RESTART, || real!(signal(number, new)))
    }
    fn bsd_signal(number: c_int, new: Handler) -> Handler => my_bsd_signal {
        handler(number, new, libc::SA_RESTART, || real!(bsd_signal(number, new)))
    }
    fn ssignal(number: c_int, new: Handler) -> Handler => my_ssignal {
        handler(number, new, libc::SA_RESTART, || real!(ssignal(number, new)))
    }
    fn sysv_signal(number: c_int, new: Handler) -> Handler => my_sysv_signal {
        handler(number, new, libc::SA_RESETHAND | libc::SA_NODEFER, || real!(sysv_signal(number, new)))
    }
    fn __sysv_signal(number: c_int, new: Handler) -> Handler => my_sysv_signal_alias {
        handler(number, new, libc::SA_RESETHAND | libc::SA_NODEFER, || real!(__sysv_signal(number, new)))
    }
    fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int => my_pthread_sigmask {
        set_mask(how, set, old, |set| real!(pthread_sigmask(how, set, old)))
    }
    fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int => my_sigprocmask {
        set_mask(how, set, old, |set| real!(sigprocmask(how, set, old)))
    }
}
