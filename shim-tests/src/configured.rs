//! Real programs that configure themselves: what the scripts of `configured/` print as root of a
//! namespace on the kernel, and unprivileged under the shim.
//!
//! A script starts a program with its ordinary configuration, waits until that has come about, and
//! prints what `ip` shows, what the program says and how it ends. Its second line names the
//! commands that it needs: `# needs: openvpn ip`. A third line `# on the kernel: as root` is for a
//! program that changes its groups, which root of a namespace with one user may not.
//!
//! The scripts of `pairs/` have two hosts with a wire between them: two namespaces on the kernel,
//! two nets under the shim. What they print is what came over the wire.

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

/// One of two hosts moves megabytes.
const LIMIT_OF_PAIRS: Duration = Duration::from_secs(150);

/// How many hosts a script has, and by that where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hosts {
    One,
    Two,
}
use Hosts::{One, Two};

const PLACES: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

impl Hosts {
    fn folder(self) -> PathBuf {
        build::crate_dir().join(match self {
            One => "configured",
            Two => "pairs",
        })
    }

    fn limit(self) -> Duration {
        match self {
            One => LIMIT,
            Two => LIMIT_OF_PAIRS,
        }
    }
}

/// A script and what it is given.
#[derive(Clone, Copy)]
struct Script<'a> {
    hosts: Hosts,
    name: &'a str,
    given: &'a [Given<'a>],
}

impl Script<'_> {
    fn path(&self) -> PathBuf {
        self.hosts.folder().join(format!("{}.sh", self.name))
    }

    fn transcript(&self) -> PathBuf {
        let folder = self.hosts.folder();
        folder.join(format!("transcripts/{}.txt", self.name))
    }

    /// The files that lie beside the script, and how they are called there.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let lib = One.folder().join("lib.sh");
        let own = |path: PathBuf| {
            let name = path.file_name().expect("a file").to_string_lossy();
            (path.clone(), name.into_owned())
        };
        match self.hosts {
            One => vec![own(self.path()), own(lib)],
            Two => {
                let entries = fs::read_dir(Two.folder()).expect("pairs/");
                let paths = entries.map(|entry| entry.expect("an entry").path());
                let files = paths.filter(|path| path.is_file()).map(own);
                let shared = [
                    (lib, "waiting.sh".to_owned()),
                    (build::wire(), "wire".to_owned()),
                ];
                files.chain(shared).collect()
            }
        }
    }
}

/// What stands behind `# KEY: ` in the script, of all such lines.
fn told(script: Script<'_>, key: &str) -> Option<String> {
    let name = script.name;
    let text = fs::read_to_string(script.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let key = format!("# {key}: ");
    let told: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix(&key))
        .collect();
    (!told.is_empty()).then(|| told.join(" "))
}

/// A command that the script needs and that is not there.
fn missing(script: Script<'_>) -> Option<String> {
    let needs = told(script, "needs");
    let needs = needs.unwrap_or_else(|| panic!("{}.sh does not say what it needs", script.name));
    let is_there = |need: &str| PLACES.iter().any(|at| Path::new(at).join(need).exists());
    let need = needs.split_whitespace().find(|need| !is_there(need))?;
    Some(format!("there is no {need}"))
}

/// A program for the script: the variable that names it, and its path.
pub type Given<'a> = (&'a str, &'a Path);

/// One run of a script, in a folder of its own that its programs may write.
struct Run<'a> {
    script: Script<'a>,
    side: &'a str,
    folder: TempDir,
}

impl<'a> Run<'a> {
    fn new(script: Script<'a>, side: &'a str, owner: Option<u32>) -> Self {
        let run = Run {
            script,
            side,
            folder: TempDir::new(&std::env::temp_dir(), 0o755, owner),
        };
        for (from, name) in script.files() {
            run.copy_as(&from, &name);
        }
        run
    }

    /// Makes a copy in the run's folder.
    fn copy(&self, from: &Path) -> PathBuf {
        let name = from.file_name().expect("a file").to_string_lossy();
        self.copy_as(from, &name)
    }

    fn copy_as(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        fs::copy(from, &to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        to
    }

    /// Runs the script with `command` in front of it, and returns what it printed.
    fn run(&self, mut command: Command) -> String {
        let Script { hosts, name, given } = self.script;
        command.args(["bash", &format!("{name}.sh")]);
        sides::clean(&mut command, self.side);
        let at = self.folder.path();
        command.current_dir(at).envs(given.iter().copied());
        command.env("SIDE", self.side).env("W", at).env("HOME", at);
        command.env("PORT", free_port().to_string());
        command.env("WIRE", at.join("wire"));
        let out = TempDir::new(&std::env::temp_dir(), 0o755, None);
        let ran = watchdog::run(&mut command, out.path(), hosts.limit());
        let ran = ran.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let text = ran.stdout + &ran.stderr;
        assert!(
            ran.ended.success(),
            "{name} {}: {}\n{text}",
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

fn on_the_kernel(script: Script<'_>) -> String {
    let mut command = Command::new("unshare");
    // All processes of the namespace end with its first one.
    command.args(["-npmf", "--kill-child", "--mount-proc"]);
    if told(script, "on the kernel").is_none() {
        command.arg("-Ur");
    }
    Run::new(script, "kernel", None).run(command)
}

fn under_the_shim(script: Script<'_>) -> String {
    let run = Run::new(script, "shim", sides::user_of_programs());
    let shim = build::shim();
    run.copy(&shim.command);
    let variable = |name: &str, value: PathBuf| {
        let mut variable = OsString::from(name);
        variable.push(value);
        variable
    };
    let mut command = sides::unprivileged();
    let library = run.copy(&shim.library);
    match script.hosts {
        One => command
            .arg(variable("LD_PRELOAD=", library))
            .arg(variable("MEMTUN_NET=", run.folder.path().join("net")))
            .args(["MEMTUN_LINK=down", "MEMTUN_HOST=isolated"]),
        // The script is on neither of its hosts.
        Two => command.arg(variable("PRELOAD=", library)),
    };
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
fn kernel_missing(script: Script<'_>) -> Option<&'static str> {
    let needs_root = told(script, "on the kernel").is_some();
    if needs_root && sides::user_of_programs().is_none() {
        return Some("this user may not change groups");
    }
    sides::kernel_missing()
}

/// What the script prints on the kernel: now, if that can be had, or as it was recorded. What it
/// prints now is what was recorded; `MEMTUN_RECORD=1` rewrites the record.
fn expected(script: Script<'_>) -> String {
    let path = script.transcript();
    let recorded = || fs::read_to_string(&path).unwrap_or_default();
    if let Some(why) = kernel_missing(script) {
        not_run("the program on the kernel's driver", why);
        return recorded();
    }
    let live = on_the_kernel(script);
    if std::env::var_os("MEMTUN_RECORD").is_some_and(|v| v == "1") {
        fs::create_dir_all(path.parent().expect("a folder")).expect("transcripts");
        fs::write(&path, &live).expect("a transcript");
    }
    let recorded = recorded();
    // The first line is the release of the program; another one may say other things.
    if recorded.lines().next() == live.lines().next() {
        let both = [("recorded", recorded.as_str()), ("kernel", &live)];
        assert!(recorded == live, "{}", report(script.name, both));
    }
    live
}

fn assert_equal(script: Script<'_>) {
    if let Some(why) = missing(script) {
        not_run("a real program that configures itself", &why);
        return;
    }
    let expected = expected(script);
    let shim = under_the_shim(script);
    let both = [("kernel", expected.as_str()), ("shim", &shim)];
    assert!(expected == shim, "{}", report(script.name, both));
}

/// Asserts that the script prints under the shim what it prints on the kernel, and that this is
/// what was recorded; `MEMTUN_RECORD=1` rewrites the record.
pub fn assert_is_as_on_the_kernel(name: &str, given: &[Given<'_>]) {
    let hosts = One;
    assert_equal(Script { hosts, name, given });
}

/// The same for a script of two hosts.
pub fn assert_pair_is_as_on_the_kernel(name: &str, given: &[Given<'_>]) {
    let hosts = Two;
    assert_equal(Script { hosts, name, given });
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
