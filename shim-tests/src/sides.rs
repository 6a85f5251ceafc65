//! The two sides on which a program runs: the kernel's driver in a network namespace of its own,
//! and the shim as a user without privileges.

use std::fs;
use std::os::unix::fs::{chown, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::build::{self, Variant};
use crate::watchdog::{self, Finished};

/// Limit for programs that cannot end themselves after 20 seconds, as they should.
const LIMIT: Duration = Duration::from_secs(60);

/// The user who runs the programs under the shim when the tests run as root.
const NOBODY: u32 = 65534;

/// The exit status of `--real-device` when the real device refuses.
const REFUSED: i32 = 77;

/// How the names of the files begin that stay of a net while it exists: its state, the directories
/// that stand for those of /sys and /proc in which its links are, what its host knows, and the
/// table of its sockets. Names of packet sockets are removed by the host process when it looks.
const STAYS: [&str; 8] = [
    ".memtun-inet",
    ".memtun-net-state",
    ".memtun-view",
    ".memtun-host-",
    ".memtun-stack-",
    ".memtun-sockets",
    ".memtun-packets",
    ".memtun-groups",
];

/// How the name of a packet socket begins, and how long the host process may take to see that it
/// is closed.
const PACKET_SOCKET: &str = ".memtun-packet-";
const LOOKED_AT: Duration = Duration::from_secs(5);

/// A directory that is removed with the value.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes a directory with this mode, which belongs to that user.
    pub fn new(parent: &Path, mode: u32, owner: Option<u32>) -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let serial = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("shim-tests.{}.{serial}", std::process::id()));
        fs::create_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .expect("the mode of a new directory");
        if let Some(id) = owner {
            chown(&path, Some(id), Some(id)).expect("the owner of a new directory");
        }
        TempDir(path)
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The user as whom programs run under the shim; `None` if the caller's.
pub(crate) fn user_of_programs() -> Option<u32> {
    is_root().then_some(NOBODY)
}

fn is_root() -> bool {
    // SAFETY: geteuid has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Removes what the tests' own environment might tell the program, and tells it which side it is
/// on.
pub(crate) fn clean(command: &mut Command, side: &str) {
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("LC_ALL", "C");
    command.env("SHIM_TESTS_SIDE", side).current_dir("/");
}

/// Turns IPv6 off in the namespace, because its neighbour and multicast messages are packets that
/// nobody sent.
const IN_NAMESPACE: &str =
    "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null; exec \"$@\"";

fn in_namespace(checker: &[&str], program: &Path, argument: Option<&str>) -> Finished {
    let dir = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let mut command = Command::new("unshare");
    command
        .args(["-Urn", "sh", "-c", IN_NAMESPACE, "sh"])
        .args(checker)
        .arg(program)
        .args(argument);
    clean(&mut command, "kernel");
    watchdog::run(&mut command, dir.path(), limit(checker)).expect("unshare")
}

/// How long a program may take, under a checker if there is one.
fn limit(checker: &[&str]) -> Duration {
    match checker {
        [] => LIMIT,
        _ => LIMIT * 4,
    }
}

/// Runs the program on the kernel's driver, in a user and network namespace of its own.
pub fn on_the_kernel(program: &Path) -> Finished {
    in_namespace(&[], program, None)
}

/// The same as [`on_the_kernel`] with an argument.
pub fn on_the_kernel_with(program: &Path, argument: &Path) -> Finished {
    in_namespace(&[], program, argument.to_str())
}

/// The same as [`on_the_kernel`] under a checker; `checker` are the words in front of the program.
pub fn on_the_kernel_under(checker: &[&str], program: &Path) -> Finished {
    in_namespace(checker, program, None)
}

/// Why this machine cannot run programs on the kernel's driver; `None` if it can.
pub fn kernel_missing() -> Option<&'static str> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON
        .get_or_init(|| {
            let probe = in_namespace(
                &[],
                &build::program("opening", Variant::Plain),
                Some("--real-device"),
            );
            let why = || {
                format!(
                    "unshare -Urn and TUNSETIFF: {} {}",
                    probe.ended,
                    probe.stderr.trim()
                )
            };
            (!probe.ended.success()).then(why)
        })
        .as_deref()
}

/// `env` as an ordinary user without any capability. It sets the preload variable after setpriv,
/// which itself must not be shimmed.
pub(crate) fn unprivileged() -> Command {
    if !is_root() {
        return Command::new("env");
    }
    let mut setpriv = Command::new("setpriv");
    let id = NOBODY.to_string();
    setpriv.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    setpriv.args([
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "env",
    ]);
    setpriv
}

/// A program under the shim, with copies that an unprivileged user can read, and a net of its own.
#[derive(Debug)]
pub struct UnderShim {
    stage: TempDir,
    net: TempDir,
    program: PathBuf,
    library: PathBuf,
    command_line: PathBuf,
}

impl UnderShim {
    /// Puts copies of the program and the library where any user can reach them.
    pub fn new(program: &Path) -> UnderShim {
        let owner = user_of_programs();
        let stage = TempDir::new(&std::env::temp_dir(), 0o755, None);
        // Another process copies: what this one has open for writing is open in a child of another
        // test's as well until that executes, and cannot be executed meanwhile (ETXTBSY).
        let (library, command) = (&build::shim().library, &build::shim().command);
        let files = [program, library, command];
        let copied = Command::new("cp").args(files).arg(stage.path()).status();
        assert!(copied.expect("cp").success(), "no copy of {files:?}");
        let copy = |from: &Path| {
            let to = stage.path().join(from.file_name().expect("a file"));
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755))
                .expect("the mode of a copy");
            to
        };
        let shared_memory = Path::new("/dev/shm");
        let parent = if shared_memory.is_dir() {
            shared_memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        UnderShim {
            program: copy(program),
            library: copy(library),
            command_line: copy(command),
            net: TempDir::new(&parent, 0o700, owner),
            stage,
        }
    }

    fn command(&self) -> Command {
        let mut command = unprivileged();
        clean(&mut command, "shim");
        command
    }

    /// Runs the program under the shim, as nobody when the tests run as root. Panics when the
    /// program could have used the real device instead, and when it left something behind in
    /// its net.
    pub fn run(&self) -> Finished {
        self.run_under(&[])
    }

    /// The same as [`UnderShim::run`] with a file as the program's argument. Copies of all `files`,
    /// of which it is the first, lie in one folder.
    pub fn run_with(&self, files: &[PathBuf]) -> Finished {
        let copies: Vec<PathBuf> = files
            .iter()
            .map(|file| {
                let to = self.stage.path().join(file.file_name().expect("a file"));
                fs::copy(file, &to).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
                to
            })
            .collect();
        self.run_words(&[], copies.first().map(PathBuf::as_path))
    }

    /// The same as [`UnderShim::run`] under a checker; `checker` are the words in front of the
    /// program.
    pub fn run_under(&self, checker: &[&str]) -> Finished {
        self.run_words(checker, None)
    }

    fn run_words(&self, checker: &[&str], argument: Option<&Path>) -> Finished {
        self.assert_real_device_is_out_of_reach();
        let mut command = self.command();
        let assign = |name: &str, value: &Path| format!("{name}={}", value.display());
        command
            .arg(assign("LD_PRELOAD", &self.library))
            .arg(assign("MEMTUN_NET", self.net.path()))
            .arg("MEMTUN_LINK=down")
            .arg("MEMTUN_HOST=isolated")
            .args(checker)
            .arg(&self.program)
            .args(argument);
        watchdog::run(&mut command, self.stage.path(), limit(checker)).expect("setpriv or env")
    }

    fn assert_real_device_is_out_of_reach(&self) {
        let mut command = self.command();
        command.arg(&self.program).arg("--real-device");
        let probe = watchdog::run(&mut command, self.stage.path(), LIMIT).expect("setpriv or env");
        assert_eq!(
            probe.ended.code(),
            Some(REFUSED),
            "without the shim this user must not get an interface from the real device: {} {}",
            probe.ended,
            probe.stderr
        );
    }

    /// What is still in the net: interfaces that `memtun ls` lists, and then every file that
    /// belongs to an interface or a tunnel. A process that was killed cannot clear up behind
    /// itself, so `ls` comes first, because it clears up.
    pub fn leftovers(&self) -> Vec<String> {
        let mut command = self.command();
        command
            .arg(&self.command_line)
            .args(["ls", "--json", "--net"])
            .arg(self.net.path());
        let ls = watchdog::run(&mut command, self.stage.path(), LIMIT).expect("setpriv or env");
        let mut left = Vec::new();
        if !ls.ended.success() {
            left.push(format!("memtun ls: {} {}", ls.ended, ls.stderr.trim()));
        } else if !matches!(ls.stdout.trim(), "" | "[]") {
            left.push(format!("memtun ls: {}", ls.stdout.trim()));
        }
        let end = Instant::now() + LOOKED_AT;
        let mut files = self.files_left();
        while files.iter().any(|name| name.starts_with(PACKET_SOCKET)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
            files = self.files_left();
        }
        left.extend(files);
        left
    }

    /// Returns the names of files in the net that do not stay.
    fn files_left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.net.path()).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names
            .filter(|name| !STAYS.iter().any(|stays| name.starts_with(stays)))
            .collect()
    }
}
