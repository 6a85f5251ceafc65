//! The exec family: the new image must find the library and the net. execl, execlp and execle are
//! in `variadic`.

use crate::environment::{self, Environment};
use crate::errno;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::target::Target;
use crate::view;
use libc::{c_char, c_int, c_void, pid_t};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicI32, AtomicUsize};

type Strings = *const *const c_char;

/// Replaces the process by another program, or fails.
fn replacing(
    target: Option<Target>,
    environment: Strings,
    exec: impl FnOnce(Strings) -> c_int,
) -> c_int {
    before_exec();
    let failed = with(target, environment, exec);
    crate::watch::after_exec();
    failed
}

/// Runs an exec with the completed environment. Usually nothing is missing, and little stack is
/// used.
fn with(
    target: Option<Target>,
    environment: Strings,
    exec: impl FnOnce(Strings) -> c_int,
) -> c_int {
    // Linux takes NULL for an empty environment, and clearenv(3) leaves NULL.
    const EMPTY: &[usize; 1] = &[0];
    let environment = match environment.is_null() {
        true => EMPTY.as_ptr().cast(),
        false => environment,
    };
    let Some(target) = target else {
        return exec(environment);
    };
    // SAFETY: the environment is the caller's own argument to an exec function.
    if unsafe { environment::is_complete(environment, &target) } {
        exec(environment)
    } else {
        with_more(&target, environment, exec)
    }
}

#[inline(never)]
fn with_more(target: &Target, environment: Strings, exec: impl FnOnce(Strings) -> c_int) -> c_int {
    let mut place = Environment::new();
    // SAFETY: the environment is the caller's own argument to an exec function.
    let complete = unsafe { place.complete(environment, target) };
    exec(complete)
}

/// Looks at the program that is to be executed, where the result is of interest.
fn target(look: impl FnOnce() -> Target) -> Option<Target> {
    let preloaded = crate::config::get().is_some_and(|config| config.library.is_some());
    preloaded
        .then(|| errno::keep(|| errno::fence(|| Ok(look())).ok()))
        .flatten()
}

/// The program at a path.
fn at(path: *const c_char) -> Option<Target> {
    target(|| Target::at(libc::AT_FDCWD, path))
}

/// The program that is found in PATH.
fn in_path(file: *const c_char) -> Option<Target> {
    target(|| Target::in_path(file))
}

/// Runs before an exec. Numbers of interfaces are not kept over it, because it closes unseen what
/// is close-on-exec.
fn before_exec() {
    // This is a vfork child, which shares its parent's memory: a net that is joined now is joined
    // by its parent.
    if !crate::process::owns_memory() {
        before_spawn();
    }
    crate::watch::before_exec();
    // The next image may wait in a way that this library does not see.
    crate::waiting::stale::settle();
    if crate::process::owns_memory() {
        crate::waiting::epoll::before_exec();
        if let Some(net) = crate::net::current() {
            errno::keep(|| net.before_exec());
        }
    }
    if crate::table::any() {
        if let Some(net) = crate::net::current() {
            net.forget_numbers();
        }
    }
}

/// Runs before a spawn: the new image runs in a child.
fn before_spawn() {
    let _ = errno::fence(|| {
        errno::keep(crate::net::before_children);
        Ok(())
    });
}

/// Runs before libc runs a shell with the process's own environment. What was taken out of that
/// environment (clearenv(3)) is put back.
fn before_shell() {
    before_spawn();
    let Some(shell) = at(c"/bin/sh".as_ptr()) else {
        return;
    };
    // SAFETY: this is the process's environment, which libc reads in the same unsynchronised way.
    if unsafe { own().is_null() || !environment::is_complete(own(), &shell) } {
        errno::keep(environment::put_back);
    }
}

fn own() -> Strings {
    // SAFETY: this is the process's environment pointer, which exec functions read in the same
    // unsynchronised way.
    unsafe { std::ptr::addr_of!(environ).read() }
}

extern "C" {
    static environ: Strings;
}

/// A descriptor that was opened for children that are still to be made.
struct ForChild {
    /// The program's list of actions; 0 for a free place.
    actions: AtomicUsize,
    fd: AtomicI32,
}

static FOR_CHILDREN: [ForChild; 16] = [const {
    ForChild {
        actions: AtomicUsize::new(0),
        fd: AtomicI32::new(-1),
    }
}; 16];

/// Opens a file of the view now, because libc would open its path in the child past the hooks; the
/// child gets a duplicate. `None` where the machine's file is meant, or there is no place to note
/// it.
#[cold]
fn open_for_child(
    actions: *mut c_void,
    fd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: libc::mode_t,
) -> Option<c_int> {
    let claim = |place: &&ForChild| {
        let free = place
            .actions
            .compare_exchange(0, actions as usize, AcqRel, Acquire);
        free.is_ok()
    };
    let place = FOR_CHILDREN.iter().find(claim)?;
    let Some(opened) = view::open(libc::AT_FDCWD, path, flags | libc::O_CLOEXEC, mode) else {
        place.actions.store(0, Release);
        return None;
    };
    place.fd.store(opened, Release);
    if opened < 0 {
        place.actions.store(0, Release);
        return Some(errno::get());
    }
    // SAFETY: the list of actions is the caller's, which it has initialised.
    Some(unsafe { libc::posix_spawn_file_actions_adddup2(actions.cast(), opened, fd) })
}

/// Closes what was opened for the children of a list of actions.
fn close_for_child(actions: *mut c_void) {
    for place in &FOR_CHILDREN {
        if place.actions.load(Acquire) == actions as usize && !actions.is_null() {
            let fd = place.fd.swap(-1, AcqRel);
            crate::table::unmark(fd);
            // SAFETY: the descriptor was opened for this list, and nobody else knows it.
            let _ = unsafe { memtun_sys::close(fd) };
            place.actions.store(0, Release);
        }
    }
}

hooks! {
    fn system(command: *const c_char) -> c_int => my_system {
        before_shell();
        real!(system(command))
    }
    fn popen(command: *const c_char, mode: *const c_char) -> *mut libc::FILE => my_popen {
        before_shell();
        real!(popen(command, mode))
    }
    fn wordexp(words: *const c_char, found: *mut c_void, flags: c_int) -> c_int => my_wordexp {
        before_shell();
        real!(wordexp(words, found, flags))
    }
    fn execve(path: *const c_char, args: Strings, environment: Strings) -> c_int => my_execve {
        replacing(at(path), environment, |e| real!(execve(path, args, e)))
    }
    fn execv(path: *const c_char, args: Strings) -> c_int => my_execv {
        replacing(at(path), own(), |e| real!(execve(path, args, e)))
    }
    fn execvp(file: *const c_char, args: Strings) -> c_int => my_execvp {
        replacing(in_path(file), own(), |e| real!(execvpe(file, args, e)))
    }
    fn execvpe(file: *const c_char, args: Strings, environment: Strings) -> c_int => my_execvpe {
        replacing(in_path(file), environment, |e| real!(execvpe(file, args, e)))
    }
    fn fexecve(fd: c_int, args: Strings, environment: Strings) -> c_int => my_fexecve {
        replacing(target(|| Target::of_fd(fd)), environment, |e| real!(fexecve(fd, args, e)))
    }
    fn execveat(dir: c_int, path: *const c_char, args: Strings, environment: Strings, flags: c_int) -> c_int => my_execveat {
        replacing(target(|| Target::at(dir, path)), environment, |e| real!(execveat(dir, path, args, e, flags)))
    }
    fn posix_spawn_file_actions_addopen(actions: *mut c_void, fd: c_int, path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int => my_addopen {
        // libc opens the path in the child, past the hooks, and where the machine has the device
        // that would be the machine's.
        match route::before(libc::AT_FDCWD, path) {
            Route::Device => {
                log::warn!("posix_spawn_file_actions_addopen of a special device is not supported; open it first and pass the descriptor");
                libc::ENODEV
            }
            Route::View => match errno::keep(|| open_for_child(actions, fd, path, flags, mode)) {
                Some(answer) => answer,
                None => real!(posix_spawn_file_actions_addopen(actions, fd, path, flags, mode)),
            },
            _ => real!(posix_spawn_file_actions_addopen(actions, fd, path, flags, mode)),
        }
    }
    fn posix_spawn_file_actions_destroy(actions: *mut c_void) -> c_int => my_destroy {
        close_for_child(actions);
        real!(posix_spawn_file_actions_destroy(actions))
    }
    fn posix_spawn(pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, args: Strings, environment: Strings) -> c_int => my_posix_spawn {
        let target = at(path);
        before_spawn();
        with(target, environment, |e| real!(posix_spawn(pid, path, actions, attributes, args, e)))
    }
    fn posix_spawnp(pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void, args: Strings, environment: Strings) -> c_int => my_posix_spawnp {
        let target = in_path(file);
        before_spawn();
        with(target, environment, |e| real!(posix_spawnp(pid, file, actions, attributes, args, e)))
    }
}
