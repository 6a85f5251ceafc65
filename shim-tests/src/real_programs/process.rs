//! A program under test: started quietly, logged, and ended with its handle.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Process groups that a watchdog ends when it gives up.
static RUNNING: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// Ends every program that still runs.
pub(super) fn end_all() {
    for group in RUNNING.lock().unwrap().iter() {
        // SAFETY: the call takes no pointers, and the groups are of children that are not reaped
        // yet.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

/// A running program. It is ended when dropped; its output is shown if the test is panicking.
pub struct Program {
    name: String,
    child: Child,
    log: File,
}

impl Program {
    /// Starts `command` in a process group of its own, with standard input held open.
    pub(super) fn start(name: String, mut command: Command, log: File) -> Self {
        let twice = || log.try_clone().expect("dup of a log file");
        let child = command
            .stdin(Stdio::piped())
            .stdout(twice())
            .stderr(twice())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        RUNNING.lock().unwrap().push(child.id() as i32);
        Self { name, child, log }
    }

    /// What the program has printed so far.
    pub fn output(&mut self) -> String {
        let mut text = Vec::new();
        // The program writes through the same open file description, but in append mode, so it does
        // no harm to move the offset.
        let _ = self.log.seek(SeekFrom::Start(0));
        let _ = self.log.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until the program has printed `text`.
    pub fn wait_output(&mut self, text: &str, timeout: Duration) {
        let end = Instant::now() + timeout;
        while !self.output().contains(text) {
            self.must_run();
            assert!(Instant::now() < end, "{} did not print {text:?}", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Panics when the program has ended.
    pub fn must_run(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("{} ended: {status}", self.name);
        }
    }

    /// Process id of the program.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the call takes no pointers. The group is this program's own and is not reaped
        // yet.
        unsafe { libc::kill(-self.pid(), signal) };
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let ended_early = self.child.try_wait().ok().flatten();
        self.signal(libc::SIGTERM);
        let end = Instant::now() + Duration::from_secs(3);
        while self.child.try_wait().ok().flatten().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        // The signal is also for children that outlived their parent; a group that is empty makes
        // this ESRCH.
        self.signal(libc::SIGKILL);
        let status = self.child.wait();
        RUNNING.lock().unwrap().retain(|&pid| pid != self.pid());
        if std::thread::panicking() {
            let when = if ended_early.is_some() {
                "early"
            } else {
                "when told to"
            };
            let output = self.output();
            eprintln!(
                "--- {} ended {when}: {status:?}; it printed:\n{output}---",
                self.name
            );
        }
    }
}
