//! Compares the table of hooks with what the library exports, and with the names that libc has for
//! the same calls.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_int, CStr, CString};
use std::process::Command;

use shim_tests::build;

/// Names of libc that look like relatives of a hook but need no hook.
const NOT_NEEDED: &[(&str, &str)] = &[
    ("__close_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__fcntl64_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__libc_fcntl64", "GLIBC_PRIVATE: libc's own"),
    ("__libc_pread", "GLIBC_PRIVATE: libc's own"),
    ("__libc_pwrite", "GLIBC_PRIVATE: libc's own"),
    ("__open64_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__open_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__openat64_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__openat_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__pread64_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__read_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__write_nocancel", "GLIBC_PRIVATE: libc's own"),
    ("__mmap", "GLIBC_PRIVATE: libc's own"),
    ("__recv", "GLIBC_PRIVATE: libc's own"),
    ("__sendmmsg", "GLIBC_PRIVATE: libc's own"),
    ("__socket", "GLIBC_PRIVATE: libc's own"),
    ("__fstat64", "GLIBC_PRIVATE: libc's own"),
    ("exit", "runs destructors, and so the library's"),
];

/// What libc's syscall() does about each hooked call: the numbers by which the same call is made,
/// or why there is none.
const BY_NUMBER: &[(&[&str], &str)] = &[
    (
        &["SYS_open"],
        "open open64 __open __open64 __open_2 __open64_2 mkstemp mkstemp64 mkostemp mkostemp64 \
         mkstemps mkstemps64 mkostemps mkostemps64",
    ),
    (
        &["SYS_openat", "SYS_openat2"],
        "openat openat64 __openat_2 __openat64_2",
    ),
    (&["SYS_creat"], "creat creat64"),
    (&["SYS_read"], "read __read __read_chk"),
    (&["SYS_write"], "write __write"),
    (
        &["SYS_pread64"],
        "pread pread64 __pread64 __pread_chk __pread64_chk",
    ),
    (&["SYS_pwrite64"], "pwrite pwrite64 __pwrite64"),
    (&["SYS_readv"], "readv"),
    (&["SYS_writev"], "writev"),
    (&["SYS_preadv"], "preadv preadv64"),
    (&["SYS_pwritev"], "pwritev pwritev64"),
    (&["SYS_preadv2"], "preadv2 preadv64v2"),
    (&["SYS_pwritev2"], "pwritev2 pwritev64v2"),
    (&["SYS_lseek"], "lseek lseek64 __lseek llseek"),
    (&["SYS_ioctl"], "ioctl"),
    (&["SYS_mmap"], "mmap mmap64"),
    (&["SYS_close"], "close __close mq_close"),
    (&["SYS_close_range"], "close_range closefrom"),
    (&["SYS_exit_group"], "_exit _Exit"),
    (&["SYS_dup"], "dup"),
    (&["SYS_dup2"], "dup2 __dup2"),
    (&["SYS_dup3"], "dup3"),
    (&["SYS_fcntl"], "fcntl fcntl64 __fcntl"),
    (&["SYS_execve"], "execve execv execvp execvpe execl execlp execle"),
    (&["SYS_execveat"], "execveat fexecve"),
    (&["SYS_flock"], "flock"),
    (&["SYS_fsync"], "fsync"),
    (&["SYS_link"], "link"),
    (&["SYS_linkat"], "linkat"),
    (&["SYS_fdatasync"], "fdatasync"),
    (&["SYS_fgetxattr"], "fgetxattr"),
    (&["SYS_fsetxattr"], "fsetxattr"),
    (&["SYS_fremovexattr"], "fremovexattr"),
    (&["SYS_splice"], "splice"),
    (&["SYS_tee"], "tee"),
    (&["SYS_vmsplice"], "vmsplice"),
    (&["SYS_sendfile"], "sendfile sendfile64"),
    (&["SYS_copy_file_range"], "copy_file_range"),
    (
        &["SYS_fallocate"],
        "fallocate fallocate64 posix_fallocate posix_fallocate64",
    ),
    (&["SYS_fadvise64"], "posix_fadvise posix_fadvise64"),
    (&["SYS_truncate"], "truncate truncate64"),
    (&["SYS_readlink"], "readlink __readlink_chk"),
    (&["SYS_readlinkat"], "readlinkat __readlinkat_chk"),
    (&["SYS_socket"], "socket"),
    (&["SYS_bind"], "bind"),
    (&["SYS_connect"], "connect __connect"),
    (&["SYS_listen"], "listen"),
    (&["SYS_accept"], "accept"),
    (&["SYS_accept4"], "accept4"),
    (&["SYS_shutdown"], "shutdown"),
    (&["SYS_getpeername"], "getpeername"),
    (&["SYS_getsockname"], "getsockname"),
    (&["SYS_getsockopt"], "getsockopt"),
    (&["SYS_sendto"], "sendto send __send"),
    (&["SYS_sendmsg"], "sendmsg"),
    (&["SYS_sendmmsg"], "sendmmsg"),
    (&["SYS_recvfrom"], "recvfrom recv __recv_chk __recvfrom_chk"),
    (&["SYS_recvmsg"], "recvmsg"),
    (&["SYS_recvmmsg"], "recvmmsg"),
    (&["SYS_pidfd_getfd"], "pidfd_getfd"),
    (
        &["SYS_rt_sigaction"],
        "sigaction __sigaction signal bsd_signal ssignal sysv_signal __sysv_signal",
    ),
    (&["SYS_rt_sigprocmask"], "sigprocmask pthread_sigmask"),
    (&["SYS_stat"], "stat stat64 __xstat __xstat64"),
    (&["SYS_lstat"], "lstat lstat64 __lxstat __lxstat64"),
    (&["SYS_fstat"], "fstat fstat64 __fxstat __fxstat64"),
    (
        &["SYS_newfstatat"],
        "fstatat fstatat64 __fxstatat __fxstatat64",
    ),
    (&["SYS_statx"], "statx"),
    (&["SYS_access"], "access"),
    (
        &["SYS_faccessat", "SYS_faccessat2"],
        "faccessat eaccess euidaccess",
    ),
    (&["SYS_mknod"], "mknod __xmknod mkfifo"),
    (&["SYS_mknodat"], "mknodat __xmknodat mkfifoat"),
    (&["SYS_prctl", "SYS_seccomp"], "prctl"),
    (&["SYS_poll"], "poll __poll __poll_chk"),
    (&["SYS_ppoll"], "ppoll __ppoll_chk"),
    (&["SYS_select"], "select __select"),
    (&["SYS_pselect6"], "pselect"),
    (&["SYS_epoll_create"], "epoll_create"),
    (&["SYS_epoll_create1"], "epoll_create1"),
    (&["SYS_epoll_ctl"], "epoll_ctl"),
    (&["SYS_epoll_wait"], "epoll_wait"),
    (&["SYS_epoll_pwait"], "epoll_pwait"),
    (&["SYS_epoll_pwait2"], "epoll_pwait2"),
    (&["SYS_fchmod", "SYS_fchmodat", "SYS_chmod"], "fchmod fchmodat chmod"),
    (&["SYS_fchown", "SYS_fchownat"], "fchown fchownat"),
    (&["SYS_chown", "SYS_lchown"], "chown lchown"),
    (&["SYS_utimensat"], "utimensat futimens futimes"),
    (&["SYS_futimesat"], "futimesat"),
    (&["SYS_utime", "SYS_utimes"], "utime utimes lutimes"),
    (&["SYS_statfs"], "statfs statfs64 __statfs statvfs statvfs64 pathconf __pathconf"),
    (&["SYS_fstatfs"], "fstatfs fstatfs64 fstatvfs fstatvfs64"),
    (&["SYS_chdir"], "chdir"),
    (&["SYS_fchdir"], "fchdir"),
    (
        &["SYS_getcwd"],
        "getcwd __getcwd_chk getwd __getwd_chk get_current_dir_name",
    ),
    (&["SYS_inotify_add_watch"], "inotify_add_watch"),
    (&["SYS_unlink"], "unlink remove"),
    (&["SYS_unlinkat"], "unlinkat"),
    (&["SYS_rmdir"], "rmdir"),
    (&["SYS_rename"], "rename"),
    (&["SYS_renameat", "SYS_renameat2"], "renameat renameat2"),
    (&["SYS_mkdir"], "mkdir mkdtemp"),
    (&["SYS_setxattr"], "setxattr"),
    (&["SYS_lsetxattr"], "lsetxattr"),
    (&["SYS_removexattr"], "removexattr"),
    (&["SYS_lremovexattr"], "lremovexattr"),
    (&["SYS_name_to_handle_at"], "name_to_handle_at"),
    (&["SYS_mkdirat"], "mkdirat"),
    (&["SYS_symlink"], "symlink"),
    (&["SYS_symlinkat"], "symlinkat"),
    (&["SYS_getxattr"], "getxattr"),
    (&["SYS_lgetxattr"], "lgetxattr"),
    (&["SYS_listxattr"], "listxattr"),
    (&["SYS_llistxattr"], "llistxattr"),
    // These have no number, because they are made of other calls.
    (&["SYS_ioctl"], "isatty tcgetattr tcsetattr tcdrain tcflush tcflow tcsendbreak tcgetpgrp tcsetpgrp tcgetsid"),
    (&["SYS_ioctl"], "ttyname ttyname_r __ttyname_r_chk ptsname ptsname_r __ptsname_r_chk grantpt unlockpt sockatmark"),
    (&["SYS_read", "SYS_write"], "eventfd_read eventfd_write"),
    (&["SYS_fstat"], "isfdtype"),
    (&["SYS_readlink"], "realpath __realpath_chk canonicalize_file_name"),
    (
        &["SYS_openat"],
        "opendir scandir scandir64 scandirat scandirat64 glob glob64 ftw ftw64 nftw nftw64 fts_open fts64_open fts_read fts64_read fts_children fts64_children fts_close fts64_close",
    ),
    // These have no number: streams, jumps, lists and processes are libc's, and the calls below
    // them are its own.
    (
        &[],
        "fopen fopen64 freopen freopen64 fdopen fclose fflush fileno fileno_unlocked",
    ),
    (&[], "longjmp _longjmp siglongjmp __longjmp_chk pthread_setcanceltype"),
    (&["SYS_setsockopt"], "setsockopt"),
    (&[], "getifaddrs"),
    (&[], "getaddrinfo getnameinfo getaddrinfo_a"),
    (&[], "gethostbyname gethostbyname2 gethostbyaddr gethostbyname_r gethostbyname2_r gethostbyaddr_r"),
    (&[], "res_query res_search __res_query __res_search"),
    (&[], "res_querydomain res_send res_nquery res_nsearch res_nquerydomain res_nsend"),
    (&[], "__res_querydomain __res_send __res_nquery __res_nsearch __res_nquerydomain __res_nsend"),
    (&[], "if_nametoindex if_indextoname if_nameindex"),
    (&[], "posix_spawn posix_spawnp posix_spawn_file_actions_addopen posix_spawn_file_actions_destroy system popen wordexp daemon login_tty forkpty"),
    (&[], "dprintf __dprintf_chk vdprintf __vdprintf_chk backtrace_symbols_fd __backtrace_symbols_fd"),
    (&[], "fread fread_unlocked __fread_chk __fread_unlocked_chk"),
    (&[], "syscall"),
    // These have no number, because the helper threads are libc's.
    (
        &[],
        "aio_read aio_read64 aio_write aio_write64 aio_fsync aio_fsync64 aio_cancel aio_cancel64",
    ),
    (&[], "aio_suspend aio_suspend64 lio_listio lio_listio64"),
];

/// The dynamic symbols that a library defines.
fn exports(library: &str) -> BTreeSet<String> {
    let listed = Command::new("nm")
        .args(["-D", "--defined-only", library])
        .output();
    let listed = listed.expect("the command nm, of Debian's binutils");
    assert!(
        listed.status.success(),
        "nm {library}: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let text = String::from_utf8(listed.stdout).expect("ASCII names");
    text.lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .collect()
}

/// The table of hooks as the library tells it.
fn table(library: &str) -> BTreeSet<String> {
    let path = CString::new(library).expect("a path");
    // SAFETY: with RTLD_LOCAL the library does not interpose this process's calls, and the function
    // is called with its exact type.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null(), "{library} cannot be loaded");
        let found = libc::dlsym(handle, c"memtun_hook_name".as_ptr());
        assert!(!found.is_null());
        let name: extern "C" fn(c_int) -> *const c_char = std::mem::transmute(found);
        (0..)
            .map(|index| name(index))
            .take_while(|n| !n.is_null())
            .map(|n| CStr::from_ptr(n).to_string_lossy().into_owned())
            .collect()
    }
}

/// The plain name in names such as `__open64_2`, without what they add to it.
fn plain(name: &str) -> &str {
    let mut name = name.trim_start_matches('_');
    for suffix in ["_chk", "_2", "v2", "_time64", "_nocancel", "64"] {
        name = name.strip_suffix(suffix).unwrap_or(name);
    }
    name
}

fn library() -> String {
    build::shim()
        .library
        .to_str()
        .expect("a UTF-8 path")
        .to_owned()
}

#[test]
fn the_library_exports_its_hooks_and_its_c_interface_and_nothing_else() {
    let library = library();
    let exported = exports(&library);
    let (ours, hooks): (BTreeSet<String>, BTreeSet<String>) = exported
        .into_iter()
        .partition(|name| name.starts_with("memtun_"));
    assert_eq!(hooks, table(&library));
    let header =
        std::fs::read_to_string(build::crate_dir().join("../src/shim/memtun.h")).expect("memtun.h");
    for name in ours.iter().filter(|n| !n.starts_with("memtun_hook_")) {
        assert!(
            header.contains(&format!("{name}(")),
            "{name} is exported but not declared in memtun.h"
        );
    }
}

#[test]
fn every_name_that_libc_has_for_a_hooked_call_is_hooked() {
    let hooks = table(&library());
    let stems: BTreeSet<&str> = hooks
        .iter()
        .map(|h| plain(h))
        .filter(|s| !s.is_empty())
        .collect();
    // SAFETY: the address is in libc, and there is room for one Dl_info.
    let libc_path = unsafe {
        let mut info = std::mem::zeroed::<libc::Dl_info>();
        assert_ne!(libc::dladdr(libc::open as *const _, &mut info), 0);
        CStr::from_ptr(info.dli_fname)
            .to_string_lossy()
            .into_owned()
    };
    let missing: Vec<String> = exports(&libc_path)
        .into_iter()
        .filter(|name| stems.contains(plain(name)) && !hooks.contains(name))
        .filter(|name| !NOT_NEEDED.iter().any(|(known, _)| known == name))
        .collect();
    assert!(
        missing.is_empty(),
        "libc has names for hooked calls that pass us: {missing:?}"
    );
}

#[test]
fn every_hooked_call_has_its_hook_by_number_too() {
    let source = build::crate_dir().join("../src/shim/src/hooks/syscall.rs");
    let source = std::fs::read_to_string(source).expect("the hook of syscall()");
    let decided: BTreeSet<&str> = BY_NUMBER
        .iter()
        .flat_map(|(_, names)| names.split(' '))
        .collect();
    let hooks = table(&library());
    let hooks: BTreeSet<&str> = hooks.iter().map(String::as_str).collect();
    let undecided: Vec<_> = hooks.difference(&decided).collect();
    assert!(
        undecided.is_empty(),
        "hooks of which BY_NUMBER does not say what syscall() does: {undecided:?}"
    );
    let unknown: Vec<_> = decided.difference(&hooks).collect();
    assert!(unknown.is_empty(), "no hooks: {unknown:?}");
    for number in BY_NUMBER.iter().flat_map(|(numbers, _)| *numbers) {
        assert!(
            source.contains(&format!("libc::{number} ")),
            "syscall({number}) passes its hook"
        );
    }
}

/// What `libc-functions.txt` says: the version of glibc that it was made for, and each function
/// with its decision.
fn decisions() -> (String, Vec<(String, String)>) {
    let path = build::crate_dir().join("libc-functions.txt");
    let text = std::fs::read_to_string(path).expect("the list of libc's functions");
    let (mut version, mut decision) = (String::new(), String::new());
    let mut decided = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(number) = line.strip_prefix("glibc ") {
            version = number.to_owned();
        } else if let Some((word, reason)) = line.strip_prefix('[').and_then(|l| l.split_once("] "))
        {
            assert!(
                ["alike", "host", "stream", "differs", "none"].contains(&word)
                    && !reason.is_empty(),
                "{line}"
            );
            decision = word.to_owned();
        } else {
            assert!(
                line.is_empty() || line.starts_with("  ") && !decision.is_empty(),
                "{line}"
            );
            let names = line.split_whitespace();
            decided.extend(names.map(|name| (name.to_owned(), decision.clone())));
        }
    }
    (version, decided)
}

/// The functions that a library offers to programs, without data and without what is libc's own
/// affair.
fn functions(library: &str) -> BTreeSet<String> {
    let listed = Command::new("nm")
        .args(["-D", "--defined-only", library])
        .output()
        .expect("the command nm, of Debian's binutils");
    let text = String::from_utf8(listed.stdout).expect("ASCII names");
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (kind, symbol) = (words.next()?, words.next()?);
            let (name, version) = symbol.split_once('@').unwrap_or((symbol, ""));
            let wanted = ["T", "W", "i"].contains(&kind)
                && !version.contains("GLIBC_PRIVATE")
                && !name.ends_with("_version_placeholder");
            wanted.then(|| name.to_owned())
        })
        .collect()
}

#[test]
fn every_function_of_libc_is_decided() {
    let (recorded, decided) = decisions();
    // SAFETY: the string is libc's and stays.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    let is_recorded = version.to_str() == Ok(recorded.as_str());
    // SAFETY: the address is in libc, and there is room for one Dl_info.
    let libc_path = unsafe {
        let mut info = std::mem::zeroed::<libc::Dl_info>();
        assert_ne!(libc::dladdr(libc::open as *const _, &mut info), 0);
        CStr::from_ptr(info.dli_fname)
            .to_string_lossy()
            .into_owned()
    };
    let mut exported = functions(&libc_path);
    // Older versions of glibc have threads, timers and the resolver in libraries of their own.
    for other in [
        "libresolv.so.2",
        "libpthread.so.0",
        "librt.so.1",
        "libutil.so.1",
        "libanl.so.1",
    ] {
        let path = std::path::Path::new(&libc_path).with_file_name(other);
        exported.extend(functions(&path.to_string_lossy()));
    }
    let hooks = table(&library());
    let mut known = hooks.clone();
    let twice: Vec<_> = decided
        .iter()
        .filter(|(name, _)| !known.insert(name.clone()))
        .collect();
    assert!(twice.is_empty(), "decided twice, or hooked: {twice:?}");
    let undecided: Vec<_> = exported.difference(&known).collect();
    let stale: Vec<_> = known
        .difference(&exported)
        .filter(|name| !hooks.contains(*name))
        .collect();
    if is_recorded {
        assert!(
            undecided.is_empty(),
            "functions of libc that nobody has decided: {undecided:?}"
        );
        assert!(stale.is_empty(), "no functions of libc: {stale:?}");
    } else if !undecided.is_empty() {
        eprintln!("glibc {version:?}, not {recorded}: undecided {undecided:?}");
    }
}
