//! One machine with several users, one of whom means harm.
//!
//! A [`Machine`] is a mount namespace with a `/dev/shm` of its own, so that hostile nets meet
//! nobody but the test; in it run `users/*`: a program under the shim, and drivers in C and Python.
//! It takes root to be several users; where that is missing, each test says on standard error that
//! it did not run.
//!
//! An attack must never kill a victim by a signal, hold it up longer than [`SOON`], or touch what
//! is not memtun's ([`tree`]).

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::build;
use crate::not_run::not_run_by;
use crate::sides::TempDir;
use crate::watchdog::{self, Finished};

mod killing;
mod places;
mod ways;

pub use killing::killed_at_call;
pub use places::*;
pub use ways::{answer_in_rust, Refusal, Way};

/// The administrator.
pub const ROOT: u32 = 0;
/// An ordinary user.
pub const ALICE: u32 = 1234;
/// Another user, who attacks; it is Debian's nobody.
pub const MALLORY: u32 = 65534;

/// The longest time that anything may take a victim.
pub const SOON: Duration = Duration::from_secs(5);

/// The directory in which memtun makes nets that nobody has named.
pub const SHM: &str = "/dev/shm";

/// A process id that no process has, for a dead maker in the name of a net.
pub const NOBODYS_PID: u32 = 4_194_000;

/// The machine of one test; [`on_a_machine`] makes the calling thread a part of it.
pub struct Machine {
    stage: TempDir,
}

/// Runs a test on a machine of its own, or says why it cannot.
pub fn on_a_machine(test: impl FnOnce(&Machine) + Send) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    // A thread enters a namespace, and must not run another test afterwards.
    let ended = std::thread::scope(|scope| {
        scope
            .spawn(|| match Machine::enter() {
                Ok(machine) => test(&machine),
                Err(why) => not_run_by(&name, "nothing is said about other users", &why),
            })
            .join()
    });
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

impl Machine {
    fn enter() -> Result<Machine, String> {
        // SAFETY: the call has no arguments and cannot fail.
        let uid = unsafe { libc::geteuid() };
        if uid != ROOT {
            return Err(format!(
                "it takes root to be several users, and this is user {uid}"
            ));
        }
        private_shared_memory()
            .map_err(|e| format!("a mount namespace with its own {SHM}: {e}"))?;
        let stage = TempDir::new(&std::env::temp_dir(), 0o755, None);
        let shim = build::shim();
        copy(&shim.library, &stage.path().join("libmemtun.so"));
        copy(&shim.command, &stage.path().join("memtun"));
        for name in ["program", "driver"] {
            copy(&build::user_program(name), &stage.path().join(name));
        }
        Ok(Machine { stage })
    }

    /// Root's directory with the programs, which everybody may read.
    pub fn stage(&self) -> &Path {
        self.stage.path()
    }

    /// The directory of a user, in which others may look.
    pub fn home(&self, uid: u32) -> PathBuf {
        let home = Path::new(SHM).join(format!("home-{uid}"));
        if !home.exists() {
            make_dir(&home, uid, 0o755);
        }
        home
    }

    /// A command that a user runs, with a clean environment.
    pub fn command(&self, uid: u32, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .uid(uid)
            .gid(uid)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C")
            .env("MEMTUN_LOG", "error")
            .current_dir("/");
        command
    }

    /// The `memtun` command as a user runs it.
    pub fn memtun(&self, uid: u32, arguments: &[&str]) -> Command {
        let mut command = self.command(uid, self.stage().join("memtun"));
        command.args(arguments);
        command
    }

    /// `users/program.c` under the shim with these steps, in this net or in one of its own.
    pub fn program(&self, uid: u32, net: Option<&Path>, steps: &[&str]) -> Command {
        let mut command = self.command(uid, self.stage().join("program"));
        command
            .args(steps)
            .env("LD_PRELOAD", self.stage().join("libmemtun.so"));
        if let Some(net) = net {
            command.env("MEMTUN_NET", net);
        }
        command
    }

    /// `users/driver.c` with a net's directory, the owner or `-`, and these steps.
    pub fn driver(&self, uid: u32, dir: &Path, owner: Option<u32>, steps: &[&str]) -> Command {
        let mut command = self.command(uid, self.stage().join("driver"));
        command
            .env("LD_LIBRARY_PATH", self.stage())
            .arg(dir)
            .arg(owner.map_or("-".to_owned(), |uid| uid.to_string()))
            .args(steps);
        command
    }

    /// Runs a victim's command, which must end soon and not by a signal.
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> Finished {
        let finished = self.run_anyhow(command);
        if let Some(why) = harm(&finished) {
            panic!("{command:?}: {why}\n{}{}", finished.stdout, finished.stderr);
        }
        finished
    }

    /// Runs a command, however it ends; for tests that collect what is wrong, see [`harm`].
    pub fn run_anyhow(&self, command: &mut Command) -> Finished {
        let dir = TempDir::new(self.stage(), 0o700, None);
        watchdog::run(command, dir.path(), SOON).unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    /// Starts a program that prints when it is ready, and waits for that.
    #[track_caller]
    pub fn start(&self, command: &mut Command) -> Running {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let output = self
            .stage()
            .join(format!("output.{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&output).expect("a file in root's directory");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("dup"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut running = Running { child, output };
        running.wait_for("ready\n");
        running
    }
}

/// The harm that an attack has done to a victim that ended like this; `None` if there is none.
pub fn harm(finished: &Finished) -> Option<String> {
    let said = |word: &str| finished.stderr.contains(word) || finished.stdout.contains(word);
    match finished.ended.code() {
        None => Some(finished.ended.to_string()),
        // A shell and `memtun run` give such a status for a program that a signal ended.
        Some(code) if code >= 128 => Some(format!("{}: ended by a signal", finished.ended)),
        Some(_) if said("bug in memtun") => Some("a panic was caught".into()),
        Some(_) => None,
    }
}

/// A program in the background, which is killed with the value.
pub struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    /// What the program has printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the call takes no pointers, and the child is not reaped yet.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits until the program has printed `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + SOON;
        while !self.output().contains(text) {
            let ended = self.child.try_wait().expect("our own child");
            assert!(
                ended.is_none() && Instant::now() < end,
                "{text:?} was not printed ({ended:?}): {}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the program's end. Returns the harm that an attack has done to it, if any.
    pub fn ends(mut self) -> Option<String> {
        let end = Instant::now() + SOON;
        loop {
            match self.child.try_wait().expect("our own child") {
                Some(status) => {
                    return harm(&Finished {
                        ended: watchdog::Ended::Exited(status),
                        stdout: self.output(),
                        stderr: String::new(),
                    })
                }
                None if Instant::now() > end => return Some(format!("hangs: {}", self.output())),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Kills the program and everything that it has started.
    pub fn kill(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: the call takes no pointers, and the group is this child's, which is not reaped
        // yet.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

/// Gives the calling thread and its children a `/dev/shm` that only they see.
fn private_shared_memory() -> io::Result<()> {
    let mount = |source: &std::ffi::CStr, target: &std::ffi::CStr, flags, options: *const _| {
        let source = source.as_ptr();
        // SAFETY: the strings are NUL-terminated, and the kernel only reads them.
        match unsafe { libc::mount(source, target.as_ptr(), source, flags, options) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the call takes flags; it separates the thread's own view of the file system.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let private = libc::MS_REC | libc::MS_PRIVATE;
    mount(c"none", c"/", private, std::ptr::null())?;
    mount(c"tmpfs", c"/dev/shm", 0, c"mode=1777".as_ptr().cast())
}

/// Gives the calling thread and its children a loopback that only they have, so that what is taken
/// there is taken from nobody else.
pub fn own_loopback() {
    // SAFETY: the call takes flags; it separates the thread's own network.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.is_ok_and(|status| status.success()));
}

/// Copies files that others are to read or run. Another process does it: while this one has a
/// program open for writing, a child that another test starts has it open as well, and nobody can
/// run it.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .args(["-r", "--no-preserve=all"])
        .args([from, to])
        .status();
    assert!(
        copied.as_ref().is_ok_and(|s| s.success()),
        "cp {from:?} {to:?}: {copied:?}"
    );
    if to.is_file() {
        set_mode(to, 0o755);
    }
}
