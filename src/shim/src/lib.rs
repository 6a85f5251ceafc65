//! `libmemtun.so`: an in-memory `/dev/net/tun` for unmodified programs.
//!
//! The crate `memtun_calls` knows what a call on a tunnel means; this crate finds out whose call it
//! is, and passes it on and back.
//!
//! | module | subject |
//! |---|---|
//! | `hooks` | the calls of libc that are interposed, one family per file |
//! | [`real`], `host` | the functions behind them, and the macro that declares hooks; those that are called below the hooks |
//! | `symbols` | where those functions are, all found at once |
//! | `route` | does a path of this program lead to a special device? |
//! | `table` | is a descriptor a tunnel? |
//! | `ops`, `closing` | the calls on tunnels; closing, and what ends with it |
//! | `foreign` | descriptors that stopped being tunnels unseen |
//! | `adopt`, `fork`, `leave` | tunnels that came from another process; what happens around fork, and at the end |
//! | `waiting` | poll, select and epoll where the bell alone cannot tell the truth |
//! | `chardev`, `fdinfo` | the device as this machine has it; its files in /proc |
//! | `netlink`, `asking` | sockets of rtnetlink; the host process of the net |
//! | `inet`, `gate` | ordinary sockets in a net that has addresses |
//! | `sockios`, `interfaces` | interface requests on ordinary sockets; names and lists of interfaces |
//! | `view` | the files under /sys and /proc in which the net's links stand |
//! | `environment` | what a new program image must find |
//! | `target` | what kind of program that image is |
//! | `uaccess` | the program's memory, without crashing on bad pointers |
//! | `valgrind` | is the program run by valgrind? |
//! | `starter` | how a host process is started |
//! | `config`, `net`, `process` | settings; the nets of this process; whose memory this is |
//! | `signals`, `watch` | SIGBUS, which a file that is cut under a mapping means, and SIGSEGV, which a bad pointer means; from when on this library handles them |
//! | `sandbox` | which of our own system calls the program has forbidden |
//! | `unwind` | what libgcc asks a newer glibc for |
//! | `capi` | the driver's side for C, `memtun.h` |
//!
//! Rules for everything below the hooks: it makes raw system calls, takes no lock of this process,
//! allocates nothing on a path that an ordinary call takes, and starts no threads; and a call that
//! is passed on to libc leaves errno as libc has set it.

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!(
    "libmemtun.so interposes glibc; other C libraries have other names and other habits"
);

mod adopt;
mod asking;
mod buffers;
mod capi;
mod cells;
mod chardev;
mod closing;
mod concern;
mod config;
mod environment;
mod errno;
mod fdinfo;
mod foreign;
mod fork;
mod gate;
mod hooks;
mod host;
mod inet;
mod interfaces;
mod leave;
mod listening;
mod logging;
mod lost;
mod net;
mod netlink;
mod ops;
mod packets;
mod plain;
mod process;
pub mod real;
mod route;
mod sandbox;
mod signals;
mod sockios;
mod starter;
mod symbols;
mod table;
mod target;
mod told;
mod uaccess;
mod unwind;
mod valgrind;
mod view;
mod waiting;
mod watch;
mod zeroed;

/// Runs when the library is loaded, before the program's own constructors and before it has
/// threads.
extern "C" fn load() {
    errno::keep(|| {
        let mut behind = symbols::Behind::UNKNOWN;
        behind.look();
        hooks::each(&mut |hook| hook.resolve(&behind));
        memtun_shm::lock::init();
        host::init(&behind);
        process::init();
        fork::init();
        hooks::rw::init();
        watch::init();
        let _ = errno::fence(|| {
            config::init(behind.own);
            environment::init(hooks::open::is_in_force);
            net::attend();
            inet::known::attend();
            adopt::adopt_inherited();
            hooks::stream::stand_in();
            Ok(())
        });
    });
}

/// Runs when the process exits by returning from main or by exit(3).
extern "C" fn unload() {
    let _ = errno::fence(|| {
        hooks::stream::flush_all();
        leave::leave();
        Ok(())
    });
}

#[used]
#[link_section = ".init_array"]
static LOAD: extern "C" fn() = load;

#[used]
#[link_section = ".fini_array"]
static UNLOAD: extern "C" fn() = unload;
