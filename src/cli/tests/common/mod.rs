//! What the tests of the command share: where things are, a directory that is removed, and time
//! limits.

#![allow(dead_code, reason = "each test file uses a part")]

#[path = "../../../../shim-tests/src/not_run.rs"]
mod not_run;
#[allow(unused_imports, reason = "each test file uses a part")]
pub use not_run::not_run;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Time limit that is longer than anything takes, so that a test fails and does not hang.
const LIMIT: Duration = Duration::from_secs(30);

/// Makes the command under test, without what the environment says about nets, and without the
/// ignored signals of a test that was started in the background.
pub fn memtun() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memtun"));
    command
        .env_remove("MEMTUN_NET")
        .env_remove("MEMTUN_NET_OWNER")
        .env_remove("LD_PRELOAD")
        .env("MEMTUN_LIBRARY", library());
    // SAFETY: between fork and exec this makes only system calls.
    unsafe {
        command.pre_exec(|| {
            for number in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
                libc::signal(number, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}

/// Returns libmemtun.so of the same build, or else of the release build.
pub fn library() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_memtun")).parent().unwrap();
    let given = std::env::var_os("MEMTUN_LIBRARY").map(PathBuf::from);
    let places = [
        given,
        Some(beside.join("libmemtun.so")),
        Some(beside.join("../release/libmemtun.so")),
    ];
    let found = places.into_iter().flatten().find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("no libmemtun.so in {} or ../release; build it first: cargo build --release -p memtun-shim", beside.display())
    })
}

/// Returns the example program, which cargo builds with the tests.
pub fn udp_echo() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_memtun"))
        .with_file_name("examples")
        .join("udp-echo");
    assert!(
        path.is_file(),
        "no {}; build it first: cargo build --examples -p memtun-cli",
        path.display()
    );
    path
}

/// A directory that is removed when this value is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let path =
            std::env::temp_dir().join(format!("memtun-cli-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a command that has ended returned and wrote.
pub struct Done {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
    pub bytes: Vec<u8>,
}

impl Done {
    fn new(output: Output) -> Done {
        Done {
            status: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }

    /// Checks that the command ended with 0 and wrote nothing to standard error.
    #[track_caller]
    pub fn ok(self) -> Done {
        assert_eq!(
            (self.status, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        self
    }

    /// Checks that the command ended with this status and one line that contains these words.
    #[track_caller]
    pub fn fails(self, status: i32, words: &[&str]) -> Done {
        assert_eq!(self.status, Some(status), "{}{}", self.out, self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        assert!(self.err.starts_with("memtun: "), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in {:?}", self.err);
        }
        self
    }
}

/// Runs a command to its end, without standard input.
#[track_caller]
pub fn done(command: &mut Command) -> Done {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    finish(child)
}

/// Runs `memtun` with these arguments to its end.
#[track_caller]
pub fn cli<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Done {
    done(memtun().args(arguments))
}

/// Waits for a child, which is killed when it takes too long.
#[track_caller]
pub fn finish(child: Child) -> Done {
    let id = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(LIMIT) {
        Ok(output) => Done::new(output.unwrap()),
        Err(_) => {
            signal(id, libc::SIGKILL);
            panic!("a command did not end within {LIMIT:?}");
        }
    }
}

/// Sends a signal to a process that the test started.
pub fn signal(id: u32, number: i32) {
    // SAFETY: kill(2) touches no memory; the process is one that this test started and has not
    // waited for yet.
    assert_eq!(unsafe { libc::kill(id as i32, number) }, 0);
}

/// A program under the shim in a net of its own. It is killed when this value is dropped.
pub struct Running {
    pub child: Child,
    pub net: PathBuf,
}

impl Running {
    /// Runs `memtun run --net ... OPTIONS -- udp-echo NAME`.
    pub fn echo(scratch: &Scratch, name: &str, options: &[&str]) -> Running {
        let net = scratch.path("net");
        let mut command = memtun();
        command
            .args(["run", "--net"])
            .arg(&net)
            .args(options)
            .arg("--")
            .arg(udp_echo())
            .arg(name);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        Running { child, net }
    }

    /// Runs another verb in the same net.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Done {
        done(memtun().args(arguments).env("MEMTUN_NET", &self.net))
    }

    /// Ends the program as a user would, and returns its status.
    pub fn end(mut self) -> Option<i32> {
        signal(self.child.id(), libc::SIGTERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a condition holds.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Compiles a C program from this source. None, after a message, means that there is no compiler
/// for these options.
pub fn compiled(scratch: &Scratch, name: &str, source: &str, options: &[&str]) -> Option<PathBuf> {
    let source = scratch.write(&format!("{name}.c"), source);
    let program = scratch.path(name);
    let mut cc = Command::new("cc");
    cc.arg("-o").arg(&program).arg(&source).args(options);
    let made = cc.output();
    if made.as_ref().is_ok_and(|made| made.status.success()) {
        return Some(program);
    }
    // If the compiler makes an empty program with these options, the message is about the source,
    // which is the test's fault.
    let empty = scratch.write(&format!("{name}-empty.c"), "int main(void) { return 0; }");
    let mut works = Command::new("cc");
    works.arg("-o").arg(&program).arg(&empty).args(options);
    if works.output().is_ok_and(|made| made.status.success()) {
        let said = made.expect("it runs").stderr;
        panic!("{name}.c: {}", String::from_utf8_lossy(&said));
    }
    not_run(name, &format!("cc {options:?} does not work"));
    None
}

pub fn script(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.write(name, text);
    Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    path
}
