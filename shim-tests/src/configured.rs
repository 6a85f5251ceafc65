//! Real programs that configure themselves: what the scripts of `configured/` print as root of a
//! namespace on the kernel, and unprivileged under the shim.
//!
//! A script starts a program with its ordinary configuration, waits until that has come about, and
//! prints what `ip` shows, what the program says and how it ends. Its second line names the
//! commands that it needs: `# needs: openvpn ip`. A third line `# on the kernel: as root` is for a
//! program that changes its groups, which root of a namespace with one user may not.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use crate::build;
use crate::not_run::not_run;
use crate::sides::{self, TempDir};
use crate::watchdog;

/// A script waits for anything at most 8 seconds, and ends soon after the first failure.
const LIMIT: Duration = Duration::from_secs(60);

const PLACES: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

fn folder() -> PathBuf {
    build::crate_dir().join("configured")
}

fn script(name: &str) -> PathBuf {
    folder().join(format!("{name}.sh"))
}

/// What stands behind `# KEY: ` at the beginning of the script.
fn told(name: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(script(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let key = format!("# {key}: ");
    let line = text.lines().find_map(|line| line.strip_prefix(&key));
    line.map(str::to_owned)
}

/// A command that the script needs and that is not there.
fn missing(name: &str) -> Option<String> {
    let needs = told(name, "needs");
    let needs = needs.unwrap_or_else(|| panic!("{name}.sh does not say what it needs"));
    let is_there = |need: &str| PLACES.iter().any(|at| Path::new(at).join(need).exists());
    let need = needs.split_whitespace().find(|need| !is_there(need))?;
    Some(format!("there is no {need}"))
}

/// A program for the script: the variable that names it, and its path.
pub type Given<'a> = (&'a str, &'a Path);

/// One run of a script, in a folder of its own that its programs may write.
struct Run<'a> {
    name: &'a str,
    side: &'a str,
    folder: TempDir,
    given: &'a [Given<'a>],
}

impl<'a> Run<'a> {
    fn new(name: &'a str, side: &'a str, given: &'a [Given<'a>], owner: Option<u32>) -> Self {
        let run = Run {
            name,
            side,
            folder: TempDir::new(&std::env::temp_dir(), 0o755, owner),
            given,
        };
        run.copy(&script(name));
        run.copy(&folder().join("lib.sh"));
        run
    }

    /// Makes a copy in the run's folder.
    fn copy(&self, from: &Path) -> PathBuf {
        let to = self.folder.path().join(from.file_name().expect("a file"));
        fs::copy(from, &to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        to
    }

    /// Runs the script with `command` in front of it, and returns what it printed.
    fn run(&self, mut command: Command) -> String {
        command.args(["bash", &format!("{}.sh", self.name)]);
        sides::clean(&mut command, self.side);
        let at = self.folder.path();
        let given = self.given.iter().copied();
        command.current_dir(at).envs(given);
        command.env("SIDE", self.side).env("W", at).env("HOME", at);
        command.env("PORT", free_port().to_string());
        let out = TempDir::new(&std::env::temp_dir(), 0o755, None);
        let ran = watchdog::run(&mut command, out.path(), LIMIT);
        let ran = ran.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let text = ran.stdout + &ran.stderr;
        assert!(
            ran.ended.success(),
            "{} {}: {}\n{text}",
            self.name,
            self.side,
            ran.ended
        );
        text
    }
}

/// The first of four ports that were free a moment ago, for UDP and TCP.
fn free_port() -> u16 {
    let is_free = |port: &u16| {
        (*port..port + 4).all(|port| {
            UdpSocket::bind(("127.0.0.1", port)).is_ok()
                && TcpListener::bind(("127.0.0.1", port)).is_ok()
        })
    };
    // Below the ports that the kernel gives to whoever asks for any, and another range per run.
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let mine = (std::process::id() % 500 * 40) as u16;
    let first = || Some(10_000 + (mine + COUNT.fetch_add(1, Relaxed) * 4) % 20_000);
    std::iter::from_fn(first).find(is_free).expect("endless")
}

fn on_the_kernel(name: &str, given: &[Given<'_>]) -> String {
    let mut command = Command::new("unshare");
    // All processes of the namespace end with its first one.
    command.args(["-npmf", "--kill-child", "--mount-proc"]);
    if told(name, "on the kernel").is_none() {
        command.arg("-Ur");
    }
    Run::new(name, "kernel", given, None).run(command)
}

fn under_the_shim(name: &str, given: &[Given<'_>]) -> String {
    let run = Run::new(name, "shim", given, sides::user_of_programs());
    let shim = build::shim();
    run.copy(&shim.command);
    let variable = |name: &str, value: PathBuf| {
        let mut variable = OsString::from(name);
        variable.push(value);
        variable
    };
    let mut command = sides::unprivileged();
    command
        .arg(variable("LD_PRELOAD=", run.copy(&shim.library)))
        .arg(variable("MEMTUN_NET=", run.folder.path().join("net")))
        .args(["MEMTUN_LINK=down", "MEMTUN_HOST=isolated"]);
    run.run(command)
}

/// Both transcripts, and in front of them the lines that only one of them has.
fn report(name: &str, sides: [(&str, &str); 2]) -> String {
    let mut report = format!("{name}: {} and {} differ\n", sides[0].0, sides[1].0);
    for (one, other) in [(0, 1), (1, 0)] {
        let mut left: Vec<&str> = sides[other].1.lines().collect();
        for line in sides[one].1.lines() {
            match left.iter().position(|&there| there == line) {
                Some(at) => drop(left.remove(at)),
                None => drop(writeln!(report, "only {}: {line}", sides[one].0)),
            }
        }
    }
    for (side, text) in sides {
        let _ = writeln!(report, "--- {side}\n{text}");
    }
    report
}

/// Why the kernel's side cannot run.
fn kernel_missing(name: &str) -> Option<&'static str> {
    let needs_root = told(name, "on the kernel").is_some();
    if needs_root && sides::user_of_programs().is_none() {
        return Some("this user may not change groups");
    }
    sides::kernel_missing()
}

/// Asserts that the script prints under the shim what it prints on the kernel, and that this is
/// what was recorded; `MEMTUN_RECORD=1` rewrites the record.
pub fn assert_is_as_on_the_kernel(name: &str, given: &[Given<'_>]) {
    if let Some(why) = missing(name) {
        not_run("a real program that configures itself", &why);
        return;
    }
    let path = folder().join(format!("transcripts/{name}.txt"));
    let recorded = || fs::read_to_string(&path).unwrap_or_default();
    let expected = if let Some(why) = kernel_missing(name) {
        not_run("the program on the kernel's driver", why);
        recorded()
    } else {
        let live = on_the_kernel(name, given);
        if std::env::var_os("MEMTUN_RECORD").is_some_and(|v| v == "1") {
            fs::create_dir_all(folder().join("transcripts")).expect("transcripts");
            fs::write(&path, &live).expect("a transcript");
        }
        let recorded = recorded();
        // The first line is the release of the program; another one may say other things.
        if recorded.lines().next() == live.lines().next() {
            let both = [("recorded", recorded.as_str()), ("kernel", &live)];
            assert!(recorded == live, "{}", report(name, both));
        }
        live
    };
    let shim = under_the_shim(name, given);
    let both = [("kernel", expected.as_str()), ("shim", &shim)];
    assert!(expected == shim, "{}", report(name, both));
}

#[cfg(test)]
mod tests {
    use super::report;

    #[test]
    fn a_report_begins_with_the_lines_of_one_side() {
        let said = report("a", [("kernel", "x\ny\n"), ("shim", "y\nz\nz\n")]);
        let only: Vec<&str> = said.lines().take(4).collect();
        assert_eq!(
            only,
            [
                "a: kernel and shim differ",
                "only kernel: x",
                "only shim: z",
                "only shim: z"
            ]
        );
    }
}
