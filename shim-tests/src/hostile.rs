//! What the tests share that stop, kill, interrupt and corrupt: programs in `hostile/` under the
//! shim in one net, and what they printed.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::build;

/// The patterns of calls that `hostile/peer.c` can repeat.
pub const PATTERNS: [&str; 9] = ["o", "a", "m", "p", "f", "x", "w", "t", "l"];

/// A pseudo-random sequence. The seed is printed, so that a failure can be run again.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A sequence whose seed is in the environment variable `variable` if that is set. It prints
    /// how to run the same again.
    pub fn seeded(variable: &str) -> Random {
        let seed = number(variable, u64::from(std::process::id()) << 20 | 1);
        eprintln!("{variable}={seed}");
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let mut step = || {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            self.0 >> 32
        };
        step() << 32 | step()
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    /// One of these values.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

/// A number from the environment; `default` if the variable is not set.
pub fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// A directory with compiled programs and with what they print, removed at the end.
#[derive(Debug)]
pub struct Stage(PathBuf, Cell<usize>);

impl Stage {
    /// A stage in an empty directory.
    pub fn new(name: &str) -> Stage {
        let name = format!("memtun-hostile-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Stage(path, Cell::new(0))
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Compiles `hostile/NAME.c` and returns the path of the executable.
    pub fn program(&self, name: &str) -> PathBuf {
        let program = self.0.join(name);
        let source = build::crate_dir().join(format!("hostile/{name}.c"));
        let include = build::crate_dir().join("../src/shim");
        let built = Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-Wno-missing-field-initializers"])
            .args(["-pthread", "-o"])
            .args([&program, &source])
            .arg("-I")
            .arg(include)
            .output()
            .expect("the command cc, of Debian's gcc");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success() && said.is_empty(),
            "{name}.c:\n{said}"
        );
        program
    }

    /// A command under the shim in a net, whose standard error is kept in this stage. It has no
    /// capability, so that it never finds the real device.
    pub fn shimmed(&self, net: &Path, program: impl AsRef<OsStr>) -> Command {
        let drop = [
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--ambient-caps=-all",
        ];
        let mut command = Command::new("setpriv");
        command
            .args(drop)
            .arg("env")
            .arg(format!("LD_PRELOAD={}", build::shim().library.display()))
            .arg(format!("MEMTUN_NET={}", net.display()))
            .arg(program)
            .stdin(Stdio::null())
            .stderr(self.errors());
        command
    }

    /// The `memtun` command, whose standard error is kept in this stage.
    pub fn memtun(&self, verb: &str, net: &Path) -> Command {
        let mut command = Command::new(&build::shim().command);
        command
            .args([verb, "--net"])
            .arg(net)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.errors());
        command
    }

    fn errors(&self) -> File {
        let path = self.0.join("stderr");
        let file = File::options().append(true).create(true).open(path);
        file.expect("a file for what programs say")
    }

    /// What was printed on standard error since the last look.
    pub fn said(&self) -> String {
        let text = fs::read(self.0.join("stderr")).unwrap_or_default();
        let new = &text[self.1.replace(text.len())..];
        String::from_utf8_lossy(new).into_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed and waited for when the value is dropped.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Starts the process.
    pub fn start(command: &mut Command) -> Process {
        let child = command.spawn();
        Process(child.unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill takes two integers; the child is not waited for yet, so the id is its own.
        unsafe { libc::kill(self.0.id() as i32, signal) };
    }

    /// The exit status of the process. It panics when the process has not ended after `limit`.
    pub fn ended(&mut self, limit: Duration) -> std::process::ExitStatus {
        if let Some(status) = self.0.try_wait().expect("a look") {
            return status;
        }
        let in_time = crate::watchdog::wait_at_most(&self.0, limit).expect("a wait");
        assert!(in_time, "{:?} has not ended after {limit:?}", self.0);
        self.0.wait().expect("its status")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
