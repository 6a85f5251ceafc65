//! What is known of signals that are held back.

use memtun_sys::hold_signals;

extern "C" fn handler(_: libc::c_int) {}

fn action(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
    // SAFETY: zeroes are a valid action, and the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

fn send(signal: libc::c_int) {
    // SAFETY: the thread sends itself a signal that is held back.
    unsafe { assert_eq!(libc::pthread_kill(libc::pthread_self(), signal), 0) };
}

#[test]
fn a_handler_ends_a_wait_as_the_kernel_has_it() {
    let own = handler as *const () as libc::sighandler_t;
    // The action, and whether a signal ends a call that is restarted, and one that never is.
    let actions = [
        (own, 0, (true, true)),
        (own, libc::SA_RESTART, (false, true)),
        (libc::SIG_IGN, 0, (false, false)),
    ];
    for (handler, flags, ends) in actions {
        for signal in [libc::SIGUSR1, libc::SIGRTMAX()] {
            action(signal, handler, flags);
            let held = hold_signals();
            let ended = || (held.would_interrupt(true), held.would_interrupt(false));
            assert_eq!(ended(), (false, false), "{signal} {flags}");
            send(signal);
            assert_eq!(ended(), ends, "{signal} {flags}");
            drop(held);
            let held = hold_signals();
            assert!(
                !held.would_interrupt(false),
                "{signal} {flags}: it has come"
            );
        }
    }
    // SIGCHLD without a handler ends nothing.
    action(libc::SIGCHLD, libc::SIG_DFL, 0);
    let held = hold_signals();
    send(libc::SIGCHLD);
    assert!(!held.would_interrupt(false));
}
