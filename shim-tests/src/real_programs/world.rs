//! The places where programs run: under the shim without privileges, or on the kernel's driver.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{chown, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use super::kernel::{quiet_namespace, KernelEnd};
use super::process::{end_all, Program};
use super::shim::ShimEnd;
use super::End;
use crate::build;

/// The ordinary user that root becomes, which is Debian's nobody.
const NOBODY: u32 = 65534;

/// A directory of files for one test, and a `/dev/net/tun` for its programs. Both are removed with
/// the value.
pub struct World {
    dir: PathBuf,
    kernel: bool,
    as_we_are: bool,
    link: Link,
}

/// The state of a new interface's link, and what is done to it.
#[derive(Clone, Copy, PartialEq)]
pub enum Link {
    /// The link is up from the start, or as soon as the test sees it.
    Up,
    /// The link is down; then it goes up and down many times while every processor is busy, and
    /// stays up.
    DownAtFirst,
}

impl World {
    /// An empty world. `name` helps whoever finds a left-over directory.
    pub fn new(name: &str, link: Link) -> Self {
        let kernel = std::env::var_os("MEMTUN_ON").is_some_and(|on| on == "kernel");
        if kernel {
            static QUIET: Once = Once::new();
            QUIET.call_once(quiet_namespace);
        }
        let down = if link == Link::Up { "" } else { "-down" };
        let dir = format!("memtun-{name}{down}-{}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        let _ = fs::remove_dir_all(&dir);
        let world = Self {
            dir,
            kernel,
            as_we_are: false,
            link,
        };
        world.make_dir("");
        world.make_dir("net");
        world
    }

    /// Lets programs run as the caller. This is for programs that live where only their owner can
    /// go, such as a Rust toolchain.
    pub fn as_we_are(mut self) -> Self {
        self.as_we_are = true;
        self
    }

    /// Does this world use the kernel's own driver? This is for the few facts that differ by
    /// nature.
    pub fn is_kernel(&self) -> bool {
        self.kernel
    }

    /// The directory, which the programs may read and write.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The net's directory, for `MEMTUN_NET`.
    pub fn net(&self) -> PathBuf {
        self.dir.join("net")
    }

    /// Makes a directory that belongs to the programs.
    pub fn make_dir(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self.hand_over(&path, 0o700);
        path
    }

    /// Writes a file that belongs to the programs, and returns its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self.hand_over(&path, 0o600);
        path
    }

    /// Makes a copy that the programs can reach, because the checkout may be below root's home
    /// directory.
    pub fn copy(&self, original: &Path) -> PathBuf {
        let name = original.file_name().expect("a path with a file name");
        let path = self.dir.join(name);
        fs::copy(original, &path).unwrap_or_else(|e| panic!("{}: {e}", original.display()));
        self.hand_over(&path, 0o700);
        path
    }

    /// The path of the original if the programs can read it, else that of a copy of the file or the
    /// tree.
    pub fn reachable(&self, original: &Path) -> PathBuf {
        let may = |path: &Path, bit: u32| {
            fs::metadata(path).is_ok_and(|found| found.permissions().mode() & bit == bit)
        };
        let passable = original.ancestors().skip(1).all(|dir| may(dir, 0o001));
        if !self.drops_privileges() || passable && may(original, 0o004) {
            return original.into();
        }
        let mut cp = Command::new("cp");
        cp.arg("-r").arg(original).arg(&self.dir);
        let status = cp.status();
        assert!(
            status.as_ref().is_ok_and(|s| s.success()),
            "{cp:?}: {status:?}"
        );
        self.dir
            .join(original.file_name().expect("a path with a file name"))
    }

    fn hand_over(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod of our own file");
        if self.drops_privileges() {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("chown by root");
        }
    }

    fn drops_privileges(&self) -> bool {
        // SAFETY: the call has no arguments and cannot fail.
        !self.kernel && !self.as_we_are && unsafe { libc::geteuid() } == 0
    }

    /// A command for `program`, unprivileged and with the tun device of this world.
    /// `package` is named when the program is missing.
    pub fn command(&self, package: &str, program: impl AsRef<Path>) -> Command {
        let mut variables = Vec::new();
        if !self.kernel {
            variables.push(variable("LD_PRELOAD", &self.library()));
            variables.push(variable("MEMTUN_NET", &self.net()));
            if self.link == Link::DownAtFirst {
                variables.push("MEMTUN_LINK=down".into());
            }
        }
        self.with_variables(package, program.as_ref(), &variables)
    }

    /// The same as [`World::command`] without a tun device.
    pub fn bystander(&self, package: &str, program: impl AsRef<Path>) -> Command {
        self.with_variables(package, program.as_ref(), &[])
    }

    fn with_variables(&self, package: &str, program: &Path, variables: &[OsString]) -> Command {
        let path = find(program).unwrap_or_else(|| {
            panic!(
                "{} is not installed: apt-get install {package}",
                program.display()
            )
        });
        // `env` sets the variables last, so that setpriv, which is still root, runs without the
        // shim.
        let mut command = Command::new("env");
        if self.drops_privileges() {
            command = Command::new("setpriv");
            command.args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--bounding-set=-all",
                "--inh-caps=-all",
                "--ambient-caps=-all",
                "--pdeathsig=KILL",
                "env",
            ]);
        }
        command.args(variables).arg(path);
        command.current_dir(&self.dir).env("HOME", &self.dir);
        command
    }

    /// Path of the shim in a place where an unprivileged program can load it.
    pub fn library(&self) -> PathBuf {
        let copy = self.dir.join("libmemtun.so");
        if !copy.exists() {
            self.copy(&build::shim().library);
        }
        copy
    }

    /// Starts a program in this world.
    pub fn start(&self, command: Command) -> Program {
        let name = command
            .get_args()
            .chain([command.get_program()])
            .find(|arg| arg.as_encoded_bytes().starts_with(b"/"))
            .and_then(|path| Path::new(path).file_name())
            .unwrap_or(command.get_program())
            .to_string_lossy()
            .into_owned();
        let log = (0..)
            .map(|n| self.dir.join(format!("{name}.{n}.log")))
            .find(|path| !path.exists())
            .expect("a free number");
        let log = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .open(&log)
            .unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        Program::start(name, command, log)
    }

    /// Waits for an interface and returns its far side.
    pub fn end(&self, name: &str) -> Box<dyn End> {
        let found: Result<Box<dyn End>, String> = if self.kernel {
            KernelEnd::wait(name).map(|end| Box::new(end) as Box<dyn End>)
        } else {
            ShimEnd::wait(&self.net(), name).map(|end| Box::new(end) as Box<dyn End>)
        };
        let end = found.unwrap_or_else(|e| panic!("{e}"));
        if self.link == Link::DownAtFirst {
            flap(end.as_ref());
        }
        end
    }
}

/// Sets the link up and down many times. A program that wakes for nothing when the link comes up
/// shows it sooner, the more often that happens and the longer the program takes to look.
fn flap(end: &dyn End) {
    const TURNS: usize = 150;
    let done = AtomicBool::new(false);
    let busy = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..busy {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        for _ in 0..TURNS {
            end.set_link(true);
            end.set_link(false);
            std::thread::sleep(Duration::from_millis(1));
        }
        done.store(true, Relaxed);
    });
    end.set_link(true);
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn variable(name: &str, value: &Path) -> OsString {
    let mut variable = OsString::from(name);
    variable.push("=");
    variable.push(value);
    variable
}

/// The build directory, because this test is `target/PROFILE/deps/NAME`.
pub fn target_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the test's own path");
    exe.ancestors().nth(3).expect("target/PROFILE/deps").into()
}

fn find(program: &Path) -> Option<PathBuf> {
    if program.is_absolute() {
        return program.exists().then(|| program.into());
    }
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|candidate| candidate.is_file())
}

/// A UDP port that was free a moment ago.
pub fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port on loopback");
    socket.local_addr().expect("bound").port()
}

/// A TCP port that was free a moment ago.
pub fn free_tcp_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    socket.local_addr().expect("bound").port()
}

/// Ends the whole test process, programs first, if the test still runs after `limit`.
#[must_use]
pub struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    /// Starts to watch. `name` is printed when the time is over.
    pub fn new(name: &str, limit: Duration) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (name, seen) = (name.to_owned(), done.clone());
        std::thread::spawn(move || {
            std::thread::park_timeout(limit);
            if seen.load(Ordering::SeqCst) {
                return;
            }
            eprintln!("watchdog: {name} took longer than {limit:?}");
            end_all();
            std::process::exit(124);
        });
        Self(done)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
