//! `libmemtun.so`: an in-memory `/dev/net/tun` for unmodified programs.
//!
//! | module | subject |
//! |---|---|
//! | `hooks` | the calls of libc that are interposed, one family per file |
//! | [`real`] | the functions behind them, and the macro that declares hooks |
//! | `route` | does a path lead to a special device? |
//! | `table` | is a descriptor a tunnel? |
//! | `ops` | what a call does on a tunnel |
//! | `foreign` | descriptors that stopped being tunnels unseen |
//! | `readiness`, `epoll` | poll, select and epoll where the bell alone cannot tell the truth |
//! | `aio` | POSIX asynchronous I/O on tunnels |
//! | `chardev`, `fdinfo` | what stat and /proc say of a device |
//! | `sockios`, `interfaces` | interface requests on ordinary sockets; names and lists of interfaces |
//! | `missing` | a line in the log for what memtun does not have |
//! | `environment` | what a new program image must find |
//! | `target` | what that image is |
//! | `user` | the program's memory, without crashing on bad pointers |
//! | `valgrind` | is it there? |
//! | `config`, `net`, `process` | settings; the net of this process; whose memory this is |
//! | `sleepers` | who has to be woken where a byte in the bell is a signal |
//! | `signals` | SIGBUS, which a file that is cut under a mapping means, and SIGSEGV, which a bad pointer means |
//! | `sandbox` | which of our own system calls the program has forbidden |
//! | `unwind` | what libgcc asks a newer glibc for |
//! | `capi` | the driver's side for C, `memtun.h` |
//!
//! Rules below the hooks: raw system calls, no locks of this process, no allocation on a path that an ordinary call takes,
//! no threads, and errno is libc's on the way through.

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!(
    "libmemtun.so interposes glibc; other C libraries have other names and other habits"
);

mod aio;
mod capi;
mod chardev;
mod config;
mod environment;
mod epoll;
mod errno;
mod fdinfo;
mod foreign;
mod hooks;
mod interfaces;
mod logging;
mod net;
mod ops;
mod process;
mod readiness;
pub mod real;
mod route;
mod sandbox;
mod signals;
mod sleepers;
mod sockios;
mod table;
mod target;
mod unwind;
mod user;
mod valgrind;

/// Runs when the library is loaded, before the program's own constructors and before it has threads.
extern "C" fn load() {
    errno::keep(|| {
        for family in hooks::FAMILIES {
            for hook in *family {
                (hook.resolve)();
            }
        }
        memtun_shm::lock::init();
        process::init();
        hooks::rw::init();
        hooks::signal::init();
        let _ = errno::fence(|| {
            config::init();
            net::attend();
            net::adopt_inherited();
            hooks::stream::stand_in();
            Ok(())
        });
    });
}

/// Runs when the process exits by returning from main or exit(3).
extern "C" fn unload() {
    let _ = errno::fence(|| {
        hooks::stream::flush_all();
        net::leave();
        Ok(())
    });
}

#[used]
#[link_section = ".init_array"]
static LOAD: extern "C" fn() = load;

#[used]
#[link_section = ".fini_array"]
static UNLOAD: extern "C" fn() = unload;
