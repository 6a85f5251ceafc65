//! The exec family: the new image finds the library and the net. execl, execlp and execle are variadic in C and take the
//! process's own environment (execle excepted), so they pass without us.

use crate::environment::{self, Environment};
use crate::errno;
use crate::real::{hooks, real};
use crate::target::Target;
use libc::{c_char, c_int, c_void, pid_t};

type Strings = *const *const c_char;

/// Runs an exec with the completed environment. Usually nothing is missing, and little stack is used.
fn with(
    target: Option<Target>,
    environment: Strings,
    exec: impl FnOnce(Strings) -> c_int,
) -> c_int {
    let Some(target) = target else {
        return exec(environment);
    };
    // SAFETY: the caller's own argument to an exec function; so below.
    if unsafe { environment::is_complete(environment, &target) } {
        exec(environment)
    } else {
        with_more(&target, environment, exec)
    }
}

#[inline(never)]
fn with_more(target: &Target, environment: Strings, exec: impl FnOnce(Strings) -> c_int) -> c_int {
    let mut place = Environment::new();
    // SAFETY: as above.
    let complete = unsafe { place.complete(environment, target) };
    exec(complete)
}

/// Looks at what is to be executed, where that is of interest.
fn target(look: impl FnOnce() -> Target) -> Option<Target> {
    let preloaded = crate::config::get().is_some_and(|config| config.library.is_some());
    preloaded
        .then(|| errno::keep(|| errno::fence(|| Ok(look())).ok()))
        .flatten()
}

/// The program behind a path.
fn at(path: *const c_char) -> Option<Target> {
    target(|| Target::at(libc::AT_FDCWD, path))
}

/// The program that is found in PATH.
fn in_path(file: *const c_char) -> Option<Target> {
    target(|| Target::in_path(file))
}

/// Numbers of interfaces are not kept over an exec, which closes what is close-on-exec unseen.
fn before_exec() {
    // A vfork child: what is joined now is joined by its parent.
    if !crate::process::owns_memory() {
        before_spawn();
    }
    super::signal::before_exec();
    if crate::process::owns_memory() {
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

/// The new image runs in a child.
fn before_spawn() {
    let _ = errno::fence(|| {
        errno::keep(crate::net::before_children);
        Ok(())
    });
}

fn own() -> Strings {
    // SAFETY: the process's environment pointer; exec functions read it in the same unsynchronised way.
    unsafe { std::ptr::addr_of!(environ).read() }
}

extern "C" {
    static environ: Strings;
}

hooks! {
    fn execve(path: *const c_char, args: Strings, environment: Strings) -> c_int => my_execve {
        let target = at(path);
        before_exec();
        with(target, environment, |e| real!(execve(path, args, e)))
    }
    fn execv(path: *const c_char, args: Strings) -> c_int => my_execv {
        let target = at(path);
        before_exec();
        with(target, own(), |e| real!(execve(path, args, e)))
    }
    fn execvp(file: *const c_char, args: Strings) -> c_int => my_execvp {
        let target = in_path(file);
        before_exec();
        with(target, own(), |e| real!(execvpe(file, args, e)))
    }
    fn execvpe(file: *const c_char, args: Strings, environment: Strings) -> c_int => my_execvpe {
        let target = in_path(file);
        before_exec();
        with(target, environment, |e| real!(execvpe(file, args, e)))
    }
    fn fexecve(fd: c_int, args: Strings, environment: Strings) -> c_int => my_fexecve {
        let target = target(|| Target::of_fd(fd));
        before_exec();
        with(target, environment, |e| real!(fexecve(fd, args, e)))
    }
    fn execveat(dir: c_int, path: *const c_char, args: Strings, environment: Strings, flags: c_int) -> c_int => my_execveat {
        let target = target(|| Target::at(dir, path));
        before_exec();
        with(target, environment, |e| real!(execveat(dir, path, args, e, flags)))
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
