//! Real programs that configure themselves: what the scripts of `configured/` print as root of a
//! namespace on the kernel, and unprivileged under the shim.
//!
//! A script starts a program with its ordinary configuration, waits until that has come about, and
//! prints what `ip` shows, what the program says and how it ends. Its second line names the
//! commands that it needs: `# needs: openvpn ip`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::build;
use crate::not_run::not_run;
use crate::sides::{self, TempDir};
use crate::watchdog::{self, Finished};

/// A script waits for anything at most 8 seconds, and ends soon after the first failure.
const LIMIT: Duration = Duration::from_secs(60);

const PLACES: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

fn folder() -> PathBuf {
    build::crate_dir().join("configured")
}

fn script(name: &str) -> PathBuf {
    folder().join(format!("{name}.sh"))
}

/// A command that the script needs and that is not there.
fn missing(name: &str) -> Option<String> {
    let text = fs::read_to_string(script(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let needs = text.lines().find_map(|line| line.strip_prefix("# needs: "));
    let needs = needs.unwrap_or_else(|| panic!("{name}.sh does not say what it needs"));
    needs
        .split_whitespace()
        .find(|need| {
            let there = |place: &&str| Path::new(place).join(need).exists();
            // A path stands for itself.
            !PLACES.iter().any(there)
        })
        .map(|need| format!("there is no {need}"))
}

/// The script's folder, which its programs may write and which is gone behind them.
fn stage(name: &str, extra: &[&Path]) -> TempDir {
    let stage = TempDir::new(&std::env::temp_dir(), 0o755, sides::user_of_programs());
    for from in [&script(name), &folder().join("lib.sh")]
        .map(PathBuf::as_path)
        .iter()
        .chain(extra)
    {
        let to = stage.path().join(from.file_name().expect("a file"));
        fs::copy(from, &to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    }
    stage
}

fn on_the_kernel(name: &str, extra: &[&Path]) -> Finished {
    let stage = stage(name, extra);
    let mut command = Command::new("unshare");
    // All processes of the namespace end with its first one.
    command.args(["-Urnpf", "--kill-child", "--mount-proc"]);
    run(command, &stage, name, "kernel")
}

fn under_the_shim(name: &str, extra: &[&Path]) -> Finished {
    let shim = build::shim();
    let extra: Vec<&Path> = extra
        .iter()
        .copied()
        .chain([shim.library.as_path(), shim.command.as_path()])
        .collect();
    let stage = stage(name, &extra);
    let mut command = sides::unprivileged();
    let at = |name: &str| stage.path().join(name).display().to_string();
    command
        .arg(format!("LD_PRELOAD={}", at("libmemtun.so")))
        .arg(format!("MEMTUN_NET={}", at("net")))
        .args(["MEMTUN_LINK=down", "MEMTUN_HOST=isolated"]);
    run(command, &stage, name, "shim")
}

fn run(mut command: Command, stage: &TempDir, name: &str, side: &str) -> Finished {
    command.args(["bash", &format!("{name}.sh")]);
    sides::clean(&mut command, side);
    command
        .current_dir(stage.path())
        .env("W", stage.path())
        .env("HOME", stage.path());
    let out = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let limited = watchdog::run(&mut command, out.path(), LIMIT);
    limited.unwrap_or_else(|e| panic!("{command:?}: {e}"))
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

fn text(name: &str, side: &str, run: &Finished) -> String {
    assert!(
        run.ended.success(),
        "{name}, {side}: {}\n--- standard error\n{}--- standard output\n{}",
        run.ended,
        run.stderr,
        run.stdout
    );
    format!("{}{}", run.stdout, run.stderr)
}

/// Asserts that the script prints under the shim what it prints on the kernel, and that this is
/// what was recorded; `MEMTUN_RECORD=1` rewrites the record. Files beside the script are copied to
/// its folder.
pub fn assert_is_as_on_the_kernel(name: &str, beside: &[&Path]) {
    if let Some(why) = missing(name) {
        not_run("a real program that configures itself", &why);
        return;
    }
    let path = folder().join(format!("transcripts/{name}.txt"));
    let recorded = || fs::read_to_string(&path).unwrap_or_default();
    let expected = match sides::kernel_missing() {
        Some(why) => {
            not_run("the program on the kernel's driver", why);
            recorded()
        }
        None => {
            let live = text(name, "on the kernel", &on_the_kernel(name, beside));
            if std::env::var_os("MEMTUN_RECORD").is_some_and(|v| v == "1") {
                fs::create_dir_all(path.parent().expect("a folder")).expect("transcripts");
                fs::write(&path, &live).expect("a transcript");
            }
            let recorded = recorded();
            // The first line is the release of the program; another one may say other things.
            if recorded.lines().next() == live.lines().next() {
                let both = [("recorded", recorded.as_str()), ("kernel", &live)];
                assert!(recorded == live, "{}", report(name, both));
            }
            live
        }
    };
    let shim = text(name, "under the shim", &under_the_shim(name, beside));
    assert!(
        expected == shim,
        "{}",
        report(name, [("kernel", &expected), ("shim", &shim)])
    );
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
