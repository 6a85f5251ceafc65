//! Debian's `ip`, unmodified, in scripts of `iproute2/`: what it prints and its exit status, for
//! every command, on the kernel as recorded in `iproute2/transcripts/`.
//!
//! A script runs in a namespace of its own, where lo is down as `unshare -n` leaves it, with a tun
//! and a tap that `iproute2/holder.c` holds. What a machine or a run decides is taken out by
//! [`normalised`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::build;
use crate::not_run::not_run;
use crate::sides;
use crate::watchdog::{self, Finished};

const LIMIT: Duration = Duration::from_secs(60);

/// Gives the namespace its own `/sys`, from which `ip tuntap` reads. Exit status 77 when the
/// machine does not allow that.
const WITH_SYSFS: &str = "mount -t sysfs none /sys 2>/dev/null || exit 77; exec \"$@\"";
const NO_SYSFS: i32 = 77;

fn folder() -> PathBuf {
    build::crate_dir().join("iproute2")
}

/// The names of the scripts, sorted, without the one that the others include.
pub fn script_names() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("iproute2/");
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.expect("a directory entry").path();
            let is_script = path.extension().is_some_and(|e| e == "sh");
            let name = path.file_stem()?.to_str()?.to_owned();
            (is_script && name != "common").then_some(name)
        })
        .collect();
    names.sort();
    names
}

/// Number and length of the digits at the beginning of a text.
fn digits(text: &str) -> Option<(u64, usize)> {
    let len = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..len].parse().ok()?, len))
}

/// Replaces what stands behind each `key` by what `change` makes of it: of the text from there on,
/// the length that is replaced, and by what.
fn behind(line: &str, key: &str, change: impl Fn(&str) -> Option<(usize, String)>) -> String {
    let mut made = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(key) {
        let (before, after) = rest.split_at(at + key.len());
        made.push_str(before);
        let (len, by) = change(after).unwrap_or_default();
        made.push_str(&by);
        rest = &after[len..];
    }
    made + rest
}

fn word_len(text: &str) -> usize {
    text.find([' ', '"', ',', '\\']).unwrap_or(text.len())
}

/// A lifetime was so long when it was given, and is a little shorter when it is shown.
fn rounded(text: &str) -> Option<(usize, String)> {
    let (seconds, len) = digits(text)?;
    let forever = seconds == u64::from(u32::MAX);
    let shown = if forever {
        seconds
    } else {
        seconds.next_multiple_of(10)
    };
    Some((len, shown.to_string()))
}

fn any_number(text: &str) -> Option<(usize, String)> {
    digits(text).map(|(_, len)| (len, "N".to_owned()))
}

fn any_word(text: &str) -> Option<(usize, String)> {
    Some((word_len(text), "*".to_owned()))
}

/// The queue discipline of a link that is up is a setting of the machine.
fn discipline(text: &str) -> Option<(usize, String)> {
    let len = word_len(text);
    let kept = matches!(&text[..len], "noop" | "noqueue");
    (!kept).then(|| (len, "default".to_owned()))
}

/// A hardware address that the kernel chose; those of the scripts begin with 02:00:00:00:00.
fn hardware_address(text: &str) -> Option<(usize, String)> {
    let len = word_len(text);
    let ours = ["02:00:00:00:00:", "00:00:00:00:00:00", "02:00 "];
    let kept = len != 17 || ours.iter().any(|known| text.starts_with(known));
    (!kept).then(|| (len, "MAC".to_owned()))
}

/// The line without the index at its beginning, as in `2: tun0: <...>`, also behind the words of a
/// monitor.
fn index(line: &str) -> String {
    let label = line.find(']').filter(|_| line.starts_with('['));
    let at = label.map_or(0, |end| end + 1);
    let (label, rest) = line.split_at(at);
    let (deleted, rest) = match rest.strip_prefix("Deleted ") {
        Some(rest) => ("Deleted ", rest),
        None => ("", rest),
    };
    match digits(rest) {
        // A rule's line begins with its priority, a tab, and a word that is no interface.
        Some((_, len))
            if rest[len..].starts_with(": ")
                || (rest[len..].starts_with(":\t") && !rest.contains(" lookup "))
                    && !rest.contains("\tfrom")
                    && !rest.contains("\tnot from") =>
        {
            format!("{label}{deleted}N{}", &rest[len..])
        }
        _ => line.to_owned(),
    }
}

/// The text with what differs between two runs, or two machines, replaced.
pub fn normalised(text: &str) -> String {
    let mut made = String::new();
    for line in text.lines() {
        let mut line = index(line);
        for key in ["\"ifindex\":", "\"ifindex\": ", "refcnt ", " reachable "] {
            line = behind(&line, key, any_number);
        }
        for key in ["\"refcnt\":", "\"reachable\":"] {
            line = behind(&line, key, any_number);
        }
        for key in ["valid_lft ", "preferred_lft ", "expires "] {
            line = behind(&line, key, rounded);
        }
        for key in [
            "\"valid_life_time\":",
            "\"valid_life_time\": ",
            "\"preferred_life_time\":",
            "\"preferred_life_time\": ",
            "\"expires\":",
        ] {
            line = behind(&line, key, rounded);
        }
        for key in [" qdisc ", "\"qdisc\":\"", "\"qdisc\": \""] {
            line = behind(&line, key, discipline);
        }
        for key in ["link/ether ", "\"address\":\""] {
            line = behind(&line, key, hardware_address);
        }
        for key in [" forwarding ", " rp_filter "] {
            line = behind(&line, key, any_word);
        }
        made.push_str(&line);
        made.push('\n');
    }
    made
}

fn on_the_kernel(script: &str) -> Finished {
    let dir = sides::TempDir::new(&std::env::temp_dir(), 0o755, None);
    let mut command = Command::new("unshare");
    command
        .args(["-Urnm", "sh", "-c", WITH_SYSFS, "sh"])
        .arg(build::iproute2_holder())
        .arg(folder().join(format!("{script}.sh")));
    sides::clean(&mut command, "kernel");
    watchdog::run(&mut command, dir.path(), LIMIT).expect("unshare")
}

/// What `ip -V` says, such as `ip utility, iproute2-6.1.0, libbpf 1.1.2`.
fn version() -> Result<String, String> {
    let mut command = Command::new("ip");
    sides::clean(command.arg("-V"), "kernel");
    let said = command.output().map_err(|e| format!("ip: {e}"))?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

fn transcript_path(script: &str) -> PathBuf {
    folder().join("transcripts").join(format!("{script}.txt"))
}

/// Where two texts part: the lines between what they have in common.
fn difference(recorded: &str, live: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (recorded.lines().collect(), live.lines().collect());
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let rest = a.len().min(b.len()) - same;
    let behind = a.iter().rev().zip(b.iter().rev());
    let tail = behind.take(rest).take_while(|(x, y)| x == y).count();
    let command = a[..same].iter().rev().find(|line| line.starts_with("$ "));
    let shown = |name: &str, lines: &[&str]| {
        let lines = lines.iter().take(40);
        let shown: String = lines.map(|line| format!("  {name}  {line}\n")).collect();
        shown
    };
    format!(
        "line {}, {}\n{}{}",
        same + 1,
        command.unwrap_or(&"before the first command"),
        shown("recorded", &a[same..a.len() - tail]),
        shown("kernel  ", &b[same..b.len() - tail])
    )
}

/// Asserts that the script prints on this machine's kernel what was recorded. With
/// `MEMTUN_RECORD=1` the record is rewritten first.
pub fn assert_kernel_is_as_recorded(script: &str) {
    const WHAT: &str = "the script on the kernel; its recorded transcript stands for it";
    let version = match (sides::kernel_missing(), version()) {
        (Some(why), _) => return not_run(WHAT, why),
        (None, Err(why)) => return not_run(WHAT, &why),
        (None, Ok(version)) => version,
    };
    let run = on_the_kernel(script);
    if run.ended.code() == Some(NO_SYSFS) {
        return not_run(WHAT, "no sysfs may be mounted in a namespace");
    }
    assert!(
        run.ended.success() && run.stderr.is_empty(),
        "{script}: {}\n{}{}",
        run.ended,
        run.stderr,
        run.stdout
    );
    let live = format!("# {version}\n{}", normalised(&run.stdout));
    let path = transcript_path(script);
    if std::env::var_os("MEMTUN_RECORD").is_some_and(|v| v == "1") {
        fs::write(&path, &live).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let recorded = recorded(&path);
    let other = recorded.lines().next() != live.lines().next();
    if other {
        return not_run(WHAT, &format!("it was recorded with another ip: {version}"));
    }
    assert!(
        recorded == live,
        "{script}: the kernel is not as recorded (MEMTUN_RECORD=1 rewrites)\n{}",
        difference(&recorded, &live)
    );
}

fn recorded(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names the scripts, none of which is compared under the shim yet, in the list of tests that were
/// not run.
pub fn name_what_is_not_compared() {
    for script in script_names() {
        let text = recorded(&transcript_path(&script));
        let commands = text.lines().filter(|line| line.starts_with("$ ")).count();
        not_run(
            &format!("iproute2/{script}.sh under the shim, {commands} commands"),
            "not compared yet",
        );
    }
}
