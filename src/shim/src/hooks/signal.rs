//! Signal actions and masks, as far as SIGBUS is concerned; see `signals`.

use crate::errno;
use crate::real::{hooks, real};
use crate::{signals, user};
use libc::{c_int, sigaction as Action, sigset_t};
use memtun_core::shm::truncated;
use memtun_core::Errno;

type Handler = *mut libc::c_void;

/// Says how this library handles SIGBUS. Called once, in the constructor.
pub fn init() {
    truncated::handled_by(watch);
}

/// The first mapping is there: sets the handler.
fn watch() {
    let mut before = signals::ours();
    let present: *const Action = std::ptr::null();
    let unwanted: *mut Action = std::ptr::null_mut();
    if real!(sigaction(libc::SIGBUS, present, &mut before)) != 0 {
        return;
    }
    // Before the handler can run.
    signals::replace(Some(before));
    if real!(sigaction(libc::SIGBUS, &signals::ours(), unwanted)) == 0 {
        signals::begin();
    }
}

/// The process executes another program: what it ignores must be ignored there as well.
pub fn before_exec() {
    if signals::is_ignored() {
        let mut ignore = signals::ours();
        ignore.sa_sigaction = libc::SIG_IGN;
        ignore.sa_flags = 0;
        let unwanted: *mut Action = std::ptr::null_mut();
        real!(sigaction(libc::SIGBUS, &ignore, unwanted));
    }
}

fn bad_pointer() -> c_int {
    errno::give::<c_int>(Err(Errno(libc::EFAULT))) as c_int
}

/// sigaction(2): for SIGBUS answered here, for others with a mask that leaves SIGBUS open.
fn set_action(
    number: c_int,
    action: *const Action,
    old: *mut Action,
    host: impl FnOnce(*const Action, *mut Action) -> c_int,
) -> c_int {
    if !signals::watching() {
        return host(action, old);
    }
    let given = if action.is_null() {
        None
    } else {
        // SAFETY: an action is plain data.
        match unsafe { user::read(action) } {
            Ok(given) => Some(given),
            Err(_) => return bad_pointer(),
        }
    };
    if number == libc::SIGBUS {
        let before = signals::replace(given);
        if !old.is_null() && user::write(old, &before).is_err() {
            return bad_pointer();
        }
        return 0;
    }
    let opened = signals::was_opened(number);
    let answer = match given {
        None => host(action, old),
        Some(given) => {
            let open = signals::open_action(number, &given);
            host(&open, old)
        }
    };
    if answer == 0 && opened && !old.is_null() {
        // SAFETY: libc has stored an action there.
        unsafe { signals::show(&mut (*old).sa_mask) };
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
        match unsafe { user::read(set) } {
            Ok(given) => Some(given),
            Err(_) => return host(set),
        }
    };
    let (open, blocked) = signals::open_mask(how, given.as_ref());
    let answer = host(if set.is_null() { set } else { &open });
    if answer == 0 && blocked && !old.is_null() {
        // SAFETY: libc has stored a set there.
        unsafe { signals::show(&mut *old) };
    }
    answer
}

fn handler(number: c_int, new: Handler, flags: c_int, host: impl FnOnce() -> Handler) -> Handler {
    if number == libc::SIGBUS && signals::watching() {
        signals::replace_handler(new as usize, flags) as Handler
    } else {
        host()
    }
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
