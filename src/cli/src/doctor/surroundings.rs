//! The library and the place for nets, which are tried out rather than judged from outside.

use crate::failure::{plain, Outcome};
use memtun::launch::library_obstacle;
use memtun::launch::preload::PRELOAD;
use memtun::launch::settings::{NET, OWNER};
use memtun::{ifreq, uapi, IoSystem, MemoryIoSystem, Net, Sending, Timeout, TunnelClass};
use std::path::Path;
use std::process::{Command, ExitCode};

/// The hidden verb that checks whether the library is loaded.
pub const PROBE: &str = "is-library-loaded";

/// Free bytes below which a net does not get far: each queue and each log takes its memory as it
/// fills, up to 32 MB.
const LITTLE_ROOM: u64 = 64 << 20;

/// Returns what is wrong, each with its remedy.
pub fn examine(library: &Path) -> Vec<String> {
    // A library that cannot be loaded for a known reason need not be tried.
    let loads = library_obstacle(library).or_else(|| loads(library));
    [loads, room(), tunnel()].into_iter().flatten().collect()
}

/// Starts this very command with the library preloaded, and returns what went wrong.
fn loads(library: &Path) -> Option<String> {
    let shown = library.display();
    let command = std::env::current_exe().ok()?;
    let answer = Command::new(command)
        .arg(PROBE)
        .env(PRELOAD, library)
        .env_remove(NET)
        .env_remove(OWNER)
        .output();
    match answer {
        Err(e) => Some(format!(
            "{shown}: cannot try to load it: {}; look at the permissions of memtun",
            plain(&e)
        )),
        Ok(answer) if answer.status.success() => None,
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.stderr);
            let why = said
                .lines()
                .next()
                .unwrap_or("the dynamic linker did not say why");
            Some(format!(
                "{shown}: cannot be loaded; build it on this system, or for it ({why})"
            ))
        }
    }
}

/// Checks the place where nets without a name are made.
fn room() -> Option<String> {
    let base = Net::temporary_base();
    let space = rustix::fs::statvfs(&base).ok()?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let shown = base.display();
    if free < LITTLE_ROOM {
        let free = free >> 20;
        return Some(format!("{shown}: only {free} MB free, too little for a net; make room, or name another place with --net"));
    }
    None
}

/// Makes a net and sends a packet through a tunnel in it. Whatever is unusual about the file system
/// shows here.
fn tunnel() -> Option<String> {
    let fail = |e: &dyn std::fmt::Display| {
        Some(format!(
            "a tunnel does not work here: {e}; name another place with --net"
        ))
    };
    let net = match Net::temporary() {
        Ok(net) => net,
        Err(e) => return fail(&e),
    };
    let system = MemoryIoSystem::new(&net);
    system.register_special_device("/dev/net/tun", TunnelClass);
    let made = system
        .open(
            "/dev/net/tun",
            libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
            0,
        )
        .and_then(|fd| {
            system.ioctl(
                fd,
                uapi::TUNSETIFF,
                &ifreq("tun0", uapi::IFF_TUN | uapi::IFF_NO_PI),
            )?;
            Ok(fd)
        });
    let fd = match made {
        Ok(fd) => fd,
        Err(e) => return fail(&format_args!("{}: {e}", net.path().display())),
    };
    let sent = net
        .wait_interface_within("tun0", Timeout::NOW)
        .and_then(|tun| tun.inject_with(&[0x45; 20], Sending::new().within(Timeout::FOREVER)));
    if let Err(e) = sent {
        return fail(&e);
    }
    match system.read(fd, 100) {
        Ok(packet) if packet == [0x45; 20] => None,
        Ok(_) => fail(&"a packet was changed on its way"),
        Err(e) => fail(&format_args!("{}: read: {e}", net.path().display())),
    }
}

/// Answers with exit status 0 when the library is in this process and says itself that it was
/// preloaded. A line in /proc/self/maps would not prove that: the dynamic linker leaves one behind
/// when it has failed to map the rest.
pub fn probe() -> Outcome {
    // SAFETY: the name is NUL-terminated, and RTLD_DEFAULT looks it up in everything that is
    // loaded.
    let active = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"memtun_active".as_ptr()) };
    let loaded = !active.is_null() && {
        // SAFETY: memtun.h declares the function with this type, and only the library has one of
        // this name.
        let active: extern "C" fn() -> libc::c_int = unsafe { std::mem::transmute(active) };
        active() == 1
    };
    Ok(ExitCode::from(u8::from(!loaded)))
}
