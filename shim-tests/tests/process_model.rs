//! Processes in unusual situations: without the device, without a file system, with a full one,
//! cancelled, spawned or killed.

use memtun::Sending;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use memtun::Net;
use shim_tests::build;
use shim_tests::not_run::not_run;
use shim_tests::watchdog::{self, Finished};

const LIMIT: Duration = Duration::from_secs(60);
const DROP: [&str; 4] = [
    "setpriv",
    "--bounding-set=-all",
    "--inh-caps=-all",
    "--ambient-caps=-all",
];

/// A directory with the library and compiled programs, removed at the end.
struct Stage(PathBuf);

impl Stage {
    fn new(name: &str) -> Stage {
        let path =
            std::env::temp_dir().join(format!("memtun-process-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::copy(&build::shim().library, path.join("libmemtun.so")).expect("a copy of the library");
        Stage(path)
    }

    fn library(&self) -> String {
        self.0.join("libmemtun.so").display().to_string()
    }

    fn program(&self, name: &str) -> PathBuf {
        build::process_program(name, &self.0)
    }

    fn run(&self, command: &mut Command) -> Finished {
        watchdog::run(command, &self.0, LIMIT).expect("the program starts")
    }

    /// Runs a command line without privileges under the shim.
    fn shimmed(&self, settings: &[&str], line: &[&OsStr]) -> Finished {
        let mut command = Command::new(DROP[0]);
        command
            .args(&DROP[1..])
            .arg("env")
            .arg("-u")
            .arg("MEMTUN_NET")
            .args(settings);
        command
            .arg(format!("LD_PRELOAD={}", self.library()))
            .args(line);
        self.run(&mut command)
    }

    /// Runs a shell script in a mount namespace of its own. `$DROP` in it starts a program without
    /// privileges and under the shim.
    fn in_mount_namespace(&self, script: &str) -> Option<Finished> {
        let drop = format!("{} env LD_PRELOAD={}", DROP.join(" "), self.library());
        let mut command = Command::new("unshare");
        command
            .args(["-Urm", "--", "sh", "-euc", script])
            .env("DROP", drop)
            .env("STAGE", &self.0);
        let finished = self.run(&mut command);
        if finished.stderr.contains("unshare failed") {
            not_run("a mount namespace of its own", &finished.stderr);
            return None;
        }
        Some(finished)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn succeeded(finished: &Finished) {
    assert!(
        finished.ended.success(),
        "{}\n{}\n{}",
        finished.ended,
        finished.stdout,
        finished.stderr
    );
}

const PYTHON_OPENS: &str = "import os,fcntl,struct,stat
assert stat.S_ISCHR(os.stat('/dev/net/tun').st_mode) and os.access('/dev/net/tun', os.R_OK | os.W_OK)
for path in ['/dev/net/tun', '/dev/../dev//net/./tun', os.environ['STAGE'] + '/link']:
    fd = os.open(path, os.O_RDWR)
    print(fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH', b'', 0x1001))[:4], os.readlink('/proc/self/fd/%d' % fd))
    os.close(fd)
";

#[test]
fn a_device_that_does_not_exist_is_served() {
    let stage = Stage::new("nodev");
    std::os::unix::fs::symlink("/dev/net/tun", stage.0.join("link")).expect("a link");
    fs::write(stage.0.join("opens.py"), PYTHON_OPENS).expect("a program");
    let script =
        "mount -t tmpfs none /dev/net; ! [ -e /dev/net/tun ]; $DROP python3 $STAGE/opens.py";
    let Some(finished) = stage.in_mount_namespace(script) else {
        return;
    };
    succeeded(&finished);
    assert_eq!(finished.stdout, "b'tun0' /dev/net/tun\n".repeat(3));
}

#[test]
fn a_full_file_system_gives_errors_and_no_signals() {
    let stage = Stage::new("full");
    let program = stage.program("small_disk");
    for size in ["4k", "8k", "12k", "16k", "24k", "48k", "100k"] {
        let script = format!(
            "mkdir $STAGE/{size}; mount -t tmpfs -o size={size},mode=0755 none $STAGE/{size}; mkdir -m 700 $STAGE/{size}/net
             export MEMTUN_NET=$STAGE/{size}/net MEMTUN_LOG=off; exec $DROP {}",
            program.display()
        );
        let Some(finished) = stage.in_mount_namespace(&script) else {
            return;
        };
        succeeded(&finished);
    }
}

#[test]
fn a_file_system_that_is_full_of_history_fails_no_write() {
    let stage = Stage::new("history");
    let program = stage.program("full_history");
    let script = format!(
        "mkdir $STAGE/small; mount -t tmpfs -o size=64m,mode=0755 none $STAGE/small; mkdir -m 700 $STAGE/small/net
         export MEMTUN_NET=$STAGE/small/net; exec $DROP {} $MEMTUN_NET",
        program.display()
    );
    if let Some(finished) = stage.in_mount_namespace(&script) {
        succeeded(&finished);
        assert_eq!(finished.stdout, "ok\n");
    }
}

#[test]
fn a_descriptor_that_is_attached_again_and_again_takes_no_more_room() {
    let stage = Stage::new("reattach");
    let program = stage.program("reattach");
    for [times, others] in [["3000", "0"], ["300", "1"]] {
        let line = [program.as_os_str(), times.as_ref(), others.as_ref()];
        let finished = stage.shimmed(&[], &line);
        succeeded(&finished);
        assert_eq!(finished.stdout, "ok\n");
    }
}

#[test]
fn a_process_ends_before_its_threads_can_see_that() {
    let stage = Stage::new("ending");
    let program = stage.program("ending");
    for turn in 0..75 {
        let how = (turn % 5).to_string();
        let finished = stage.shimmed(&[], &[program.as_os_str(), how.as_ref()]);
        assert_eq!(finished.stdout, "", "{how}");
        succeeded(&finished);
    }
}

#[test]
fn a_process_that_asks_often_keeps_a_descriptor_for_that_and_its_children_do_not() {
    let stage = Stage::new("asking");
    let program = stage.program("asking");
    let command = format!("MEMTUN_COMMAND={}", build::shim().command.display());
    let settings = ["MEMTUN_HOST=isolated", &command];
    let finished = stage.shimmed(&settings, &[program.as_os_str()]);
    assert_eq!(finished.stdout, "");
    succeeded(&finished);
}

#[test]
fn a_program_goes_on_after_chroot_and_setuid() {
    let stage = Stage::new("chroot");
    let program = stage.program("chroot");
    let net = Net::temporary().expect("a net");
    let empty = stage.0.join("empty");
    fs::create_dir(&empty).expect("a directory");
    let library = stage.library();
    // When the tests run as root, the program is real root with only the capabilities that chroot
    // and setuid need; else it is root of a user namespace.
    let mut command = if memtun_sys::effective_uid() == 0 {
        let mut command = Command::new("setpriv");
        command.args([
            "--bounding-set=-all,+sys_chroot,+setuid,+setgid",
            "--inh-caps=-all",
            "env",
        ]);
        command
    } else {
        let mut command = Command::new("unshare");
        command.args(["-Ur", "--", "env"]);
        command
    };
    command
        .arg(format!("LD_PRELOAD={library}"))
        .arg(format!("MEMTUN_NET={}", net.path().display()));
    command.arg(&program).arg(&empty);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| stage.run(&mut command));
        let interface = net
            .wait_interface_within("root0", LIMIT)
            .expect("the interface");
        interface
            .inject_with(&[0x45; 77], Sending::new().within(LIMIT))
            .expect("room");
        let finished = running.join().expect("no panic");
        succeeded(&finished);
        assert!(
            finished.stdout.ends_with("ready\ndone\n"),
            "{}",
            finished.stdout
        );
        assert!(interface.is_gone());
    });
    assert!(net.is_idle().expect("a look"));
}

/// The library finds the functions behind its hooks by itself, as dlsym(3) does.
#[test]
fn the_function_behind_each_hook_is_the_next_one() {
    let stage = Stage::new("next");
    let program = stage.program("real_functions");
    let alone = stage.shimmed(&[], &[program.as_os_str()]);
    assert_eq!(alone.stdout, "readv -1 dup -1 dup2 -1\n");
    succeeded(&alone);
    let (between, versions) = (stage.0.join("between.so"), stage.0.join("versions"));
    fs::write(
        &versions,
        "NEW { global: readv; dup; local: *; };\nOLD { global: dup2; };\n",
    )
    .expect("a file");
    for linked in [vec![], vec!["-Wl,--hash-style=sysv"]] {
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-DBETWEEN", "-shared", "-fPIC"])
            .args(linked);
        cc.arg(format!("-Wl,--version-script={}", versions.display()));
        cc.arg("-o").arg(&between);
        cc.arg(build::crate_dir().join("regressions/real_functions.c"));
        succeeded(&stage.run(&mut cc));
        let preload = format!("LD_PRELOAD={}:{}", stage.library(), between.display());
        let words = [OsStr::new("env"), OsStr::new(&preload), program.as_os_str()];
        let finished = stage.shimmed(&[], &words);
        assert_eq!(finished.stdout, "readv -7 dup -8 dup2 -1\n");
        succeeded(&finished);
    }
}

#[test]
fn a_device_that_the_machine_does_not_have_is_there_for_every_call() {
    let stage = Stage::new("no-device");
    let program = stage.program("no_device");
    let settings = ["MEMTUN_DEVICES=/nowhere/net/tun"];
    let finished = stage.shimmed(&settings, &[program.as_os_str()]);
    succeeded(&finished);
    let names = "realpath /nowhere/net/tun
realpath to a place 1 /nowhere/net/tun
canonicalize_file_name /nowhere/net/tun
";
    let calls = "opendir(device) ? 0 : -1 -1 ENOTDIR
chdir(device) -1 ENOTDIR
statfs(device, &fs) 0 0
statvfs(device, &vfs) 0 0
stat(device, &st) 0 0
access(device, R_OK | W_OK) 0 0
chmod(device, 0600) 0 0
chown(device, 0, 0) 0 0
lchown(device, 0, 0) 0 0
fchmodat(AT_FDCWD, device, 0600, 0) 0 0
fchownat(AT_FDCWD, device, 0, 0, 0) 0 0
utime(device, NULL) 0 0
utimes(device, NULL) 0 0
lutimes(device, NULL) 0 0
utimensat(AT_FDCWD, device, NULL, 0) 0 0
truncate(device, 0) -1 EINVAL
mknod(device, S_IFIFO | 0600, 0) -1 EEXIST
addopen ENODEV
realpath(name, NULL) ? 0 : -1 -1 ENOENT
opendir(name) ? 0 : -1 -1 ENOENT
chmod(name, 0600) -1 ENOENT
";
    assert_eq!(finished.stdout, format!("{names}{names}{calls}"));
}

#[test]
fn a_process_that_moves_keeps_what_it_has_and_is_told_why_it_gets_no_more() {
    let stage = Stage::new("moved");
    let program = stage.program("moved");
    let (empty, library) = (stage.0.join("empty"), stage.library());
    fs::create_dir(&empty).expect("a directory");
    let is_root = memtun_sys::effective_uid() == 0;
    let kept = "write ok, read EAGAIN, poll 1, 0x4, TUNGETIFF ok\n";
    let refused = "TUNSETIFF EPERM, close ok, open EPERM, close ok\n";
    let granted = "TUNSETIFF ok, close ok, open ok, close ok\n";
    for (how, expected, said) in [
        ("setuid", refused, "(setuid)"),
        ("seteuid", refused, "(setuid)"),
        ("chroot", refused, "(chroot)"),
        ("unshare", granted, ""),
    ] {
        let net = Net::temporary().expect("a net");
        let mut command = match (how, is_root) {
            ("unshare", _) | (_, true) => Command::new("setpriv"),
            ("chroot", false) => Command::new("unshare"),
            // A user other than root cannot become another user.
            (_, false) => continue,
        };
        match how {
            "unshare" => command.args(&DROP[1..]),
            "chroot" if !is_root => command.args(["-Ur", "--"]),
            _ => command.args([
                "--bounding-set=-all,+sys_chroot,+setuid,+setgid",
                "--inh-caps=-all",
            ]),
        };
        command
            .arg("env")
            .arg(format!("LD_PRELOAD={library}"))
            .arg(format!("MEMTUN_NET={}", net.path().display()))
            .args([program.as_os_str(), how.as_ref(), empty.as_os_str()]);
        let finished = stage.run(&mut command);
        if how == "unshare" && !finished.ended.success() {
            shim_tests::not_run::not_run("a program that unshares", &finished.stderr);
            continue;
        }
        succeeded(&finished);
        assert_eq!(finished.stdout, format!("{kept}{expected}"), "{how}");
        for call in ["TUNSETIFF", "open"] {
            let sentences = finished.stderr.matches(&format!("{call}: the net")).count();
            assert_eq!(sentences, usize::from(!said.is_empty()), "{how}");
        }
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
        // The next look at the net clears up what the process could not clear up.
        assert!(net.is_idle().expect("a look"), "{how}");
    }
}

#[test]
fn the_limit_that_forbids_a_tunnel_is_named() {
    let stage = Stage::new("limits");
    let program = "import os, resource, sys
resource.setrlimit(getattr(resource, sys.argv[1]), (int(sys.argv[2]),) * 2)
try: os.open('/dev/net/tun', os.O_RDWR)
except OSError as e: print(e.errno)
";
    for (limit, value, errno) in [
        ("RLIMIT_FSIZE", "100000", libc::EFBIG),
        ("RLIMIT_NOFILE", "3", libc::EMFILE),
    ] {
        let line = ["python3", "-c", program, limit, value].map(OsStr::new);
        let finished = stage.shimmed(&[], &line);
        succeeded(&finished);
        assert_eq!(finished.stdout, format!("{errno}\n"), "{limit}");
        assert!(finished.stderr.contains(limit), "{}", finished.stderr);
    }
}

#[test]
fn an_interface_that_no_descriptor_is_left_for_is_not_gone() {
    let stage = Stage::new("no-descriptor");
    let program = stage.program("no_descriptor");
    let finished = stage.shimmed(&[], &[program.as_os_str()]);
    succeeded(&finished);
    assert_eq!(finished.stdout, "");
}

#[test]
fn a_program_that_locks_its_memory_needs_no_limit_for_tunnels() {
    let stage = Stage::new("locked");
    let program = stage.program("locked");
    for limit in ["--memlock=65536:65536", "--memlock=8388608:8388608"] {
        let line = [
            OsStr::new("prlimit"),
            limit.as_ref(),
            program.as_os_str(),
            "20".as_ref(),
        ];
        let finished = stage.shimmed(&[], &line);
        succeeded(&finished);
        assert_eq!(finished.stdout, "ok\n", "{limit}");
    }
}

#[test]
fn a_program_in_a_sandbox_writes_without_a_call_for_memory() {
    let stage = Stage::new("sandboxed");
    let program = stage.program("sandboxed");
    for way in ["prctl", "seccomp"] {
        let finished = stage.shimmed(&[], &[program.as_os_str(), way.as_ref()]);
        succeeded(&finished);
        assert_eq!(finished.stdout, "ok\n", "{way}");
    }
}

#[test]
fn what_comes_to_a_wait_that_is_awake_comes_as_to_one_that_sleeps() {
    let stage = Stage::new("awake");
    let program = stage.program("awake");
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    let cases = [
        ("handler", "EINTR, 1 handled", "EINTR, 1 handled"),
        ("restart", "ready, 1 handled", "EINTR, 1 handled"),
        // The kernel gives a signal of the process to its first thread, if that does not block it.
        ("threads", "EINTR, 1 handled", "EINTR, 1 handled"),
        ("ignored", "ready, 0 handled", "ready, 0 handled"),
        ("cancel", "cancelled, 1 cleaned", "cancelled, 1 cleaned"),
        ("sandbox", "ready, 0 handled", "ready, 0 handled"),
        ("time", "", "0, not too early"),
    ];
    for wait in ["read", "poll", "select", "epoll_wait"] {
        for (case, of_read, of_others) in cases {
            let expected = if wait == "read" { of_read } else { of_others };
            // A read has no time.
            if expected.is_empty() {
                continue;
            }
            // The longest time that there may be, so that the signal comes in it.
            for (time, how) in [("1000000", "awake"), ("0", "asleep")] {
                let settings = [format!("MEMTUN_BUSY_POLL={time}")];
                let settings = settings.each_ref().map(String::as_str);
                let line = [program.as_os_str(), wait.as_ref(), case.as_ref()];
                let finished = stage.shimmed(&settings, &line);
                succeeded(&finished);
                let sleeps = processors < 2 || case == "threads";
                let how = if sleeps { "asleep" } else { how };
                let (found, answer) = finished.stdout.split_once(": ").unwrap_or_default();
                assert_eq!(answer.trim_end(), expected, "{wait} {case} {time}");
                // A time that is short may be over when one looks.
                assert!(
                    found == how || case == "time",
                    "{wait} {case} {time}: {found}"
                );
            }
        }
    }
}

#[test]
fn threads_that_block_on_a_tunnel_can_be_cancelled() {
    let stage = Stage::new("cancel");
    let program = stage.program("cancel");
    // With the link down the waits poll descriptors of the library's own, too, and a write fails.
    for (link, write) in [("up", "1"), ("down", "-1")] {
        let finished = stage.shimmed(&[&format!("MEMTUN_LINK={link}")], &[program.as_os_str()]);
        succeeded(&finished);
        assert_eq!(
            finished.stdout,
            format!("cleaned 2300, write {write}\n"),
            "link {link}"
        );
    }
}

/// Runs a Python program of `regressions` under the shim in a network namespace of its own, after a
/// line of the shell. None means that there can be no such namespace.
fn in_network_namespace(stage: &Stage, before: &str, program: &str) -> Option<Finished> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let script = format!(
        "{before}; exec env -u MEMTUN_NET MEMTUN_COMMAND={} LD_PRELOAD={} python3 {}/{program}",
        build::shim().command.display(),
        stage.library(),
        dir.display()
    );
    let mut command = Command::new("unshare");
    command.args(["-Urn", "--", "sh", "-euc", &script]);
    let finished = stage.run(&mut command);
    if finished.stderr.contains("unshare failed") {
        not_run("a network namespace of its own", &finished.stderr);
        return None;
    }
    Some(finished)
}

#[test]
fn a_listener_from_before_the_first_tunnel_hears_of_the_machine_and_of_the_net() {
    let stage = Stage::new("hears");
    let program = "hears.py ip tuntap add mach0 mode tun";
    let Some(finished) = in_network_namespace(&stage, "true", program) else {
        return;
    };
    succeeded(&finished);
    assert_eq!(
        finished.stdout,
        "machine (0, 1)\nnew (0, 1) groups 1\ngone (0, 1)\n"
    );
}

#[test]
fn a_dump_that_is_longer_than_the_queue_comes_whole() {
    let stage = Stage::new("dump");
    let add = "for i in $(seq 5000); do echo addr add 10.1.$((i / 250)).$((i % 250 + 1))/32 dev lo; done | ip -batch -";
    let Some(finished) = in_network_namespace(&stage, add, "long_dump.py") else {
        return;
    };
    succeeded(&finished);
    assert_eq!(finished.stdout, "5000 5000 5000\n");
}

#[test]
fn children_of_every_kind_leave_the_parents_tunnel_alone() {
    let stage = Stage::new("children");
    let program = "import os,fcntl,struct,subprocess,sys
fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH', b'kid0', 0x1001))
os.set_inheritable(fd, True)
def works():
    assert os.write(fd, b'E' * 20) == 20
    try: os.read(fd, 10)
    except BlockingIOError: pass
for close_fds in (True, False):
    for i in range(20):
        subprocess.run(['/bin/true'], close_fds=close_fds, check=True); works()
        os.posix_spawn('/bin/true', ['true'], os.environ); works()
        os.posix_spawn('/bin/true', ['true'], {}, file_actions=[(os.POSIX_SPAWN_CLOSE, fd)]); works()
        if os.fork() == 0: os.closerange(3, 1000); os._exit(0)
        works()
        os.system('exec 3>&- 4>&-; true'); works()
out = subprocess.run([sys.executable, '-c', 'import socket; print(socket.if_nametoindex(\"kid0\") > 0)'], env={}, capture_output=True, text=True)
print(out.stdout + out.stderr, end='')
";
    let finished = stage.shimmed(&[], ["python3", "-c", program].map(OsStr::new).as_slice());
    succeeded(&finished);
    assert_eq!(
        finished.stdout, "True\n",
        "a child with an empty environment is in the net as well"
    );
}

/// The nets of process trees under /dev/shm that belong to a process of this test.
fn private_nets(of: &str) -> Vec<String> {
    let names = fs::read_dir(
        Net::temporary()
            .expect("a net")
            .path()
            .parent()
            .expect("a parent"),
    )
    .expect("a directory");
    names
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|n| n.contains(of))
        .collect()
}

#[test]
fn a_private_net_goes_with_its_last_process_or_is_swept() {
    let stage = Stage::new("private");
    let opens = "import os,fcntl,struct
fd = os.open('/dev/net/tun', os.O_RDWR); fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH', b'p0', 0x1001))
print(os.getpid()); import sys; sys.stdout.flush()";
    let run = |more: &str| {
        let program = format!("{opens}\n{more}");
        stage.shimmed(&[], ["python3", "-c", &program].map(OsStr::new).as_slice())
    };
    let pid = |finished: &Finished| format!("-{}-", finished.stdout.trim());
    let finished = run("");
    succeeded(&finished);
    assert_eq!(private_nets(&pid(&finished)), [""; 0], "exit without close");
    let finished = run("os._exit(0)");
    assert_eq!(
        private_nets(&pid(&finished)),
        [""; 0],
        "_exit without close"
    );
    let killed = run("os.kill(os.getpid(), 9)");
    // Net::temporary removes dead nets, and so does the next program that makes a net. Another test
    // may be doing it just now.
    let limit = std::time::Instant::now() + LIMIT;
    while !private_nets(&pid(&killed)).is_empty() {
        assert!(std::time::Instant::now() < limit, "swept after SIGKILL");
    }
}

/// Makes a persistent interface in the tree's own net, and looks for it.
const MAKE: &str = "python3 -c \"import os,fcntl,struct
fd = os.open('/dev/net/tun', os.O_RDWR); fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH', b'p0', 0x1001))
fcntl.ioctl(fd, 0x400454cb, 1)\"";
const SEE: &str = "python3 -c \"import socket; print(socket.if_nametoindex('p0'))\"";

#[test]
fn a_tree_whose_first_process_becomes_another_program_has_one_net() {
    let stage = Stage::new("launchers");
    for launcher in ["env -u FOO sh -c", "nohup sh -c", "setsid -w sh -c"] {
        let script = format!("{MAKE}; {SEE}");
        let mut line: Vec<&OsStr> = launcher.split(' ').map(OsStr::new).collect();
        line.push(OsStr::new(&script));
        let finished = stage.shimmed(&[], &line);
        succeeded(&finished);
        assert_eq!(finished.stdout, "1001\n", "{launcher}");
    }
}

#[test]
fn a_net_is_kept_while_its_only_process_becomes_another_program() {
    let stage = Stage::new("exec");
    let script = format!("{MAKE}; exec {SEE}");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Process trees of the same user come and go, and remove dead nets.
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                drop(Net::temporary().expect("a net"));
            }
        });
        let lines: Vec<String> = (0..20)
            .map(|_| {
                let line = ["sh", "-c", &script].map(OsStr::new);
                stage.shimmed(&[], &line).stdout
            })
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(lines, vec!["1001\n"; 20]);
    });
}
