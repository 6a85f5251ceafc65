//! The same as [`crate::conformance`] for scripts of unmodified tools: what `tools/*.sh` print in a
//! namespace on the kernel, and under the shim. A transcript is made of blocks: a line `$ COMMAND`,
//! what the command printed, a line `status N`.

mod ip;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::build;
use crate::not_run::not_run;
use crate::sides::{self, UnderShim};
use crate::watchdog::Finished;

/// The scripts, each named like the command that it runs and, behind `_`, its subject, and whether
/// memtun is compared with the kernel already: a script with `false` is run on the kernel only.
pub const SCRIPTS: &[(&str, bool)] = &[
    ("arp", true),
    ("bridge", true),
    ("ethtool", true),
    ("ethtool_netlink", true),
    ("ifconfig", true),
    ("ip_addr", true),
    ("ip_events", true),
    ("ip_formats", true),
    ("ip_link", true),
    ("ip_monitor", true),
    ("ip_nexthop", true),
    ("ip_objects", true),
    ("ip_others", true),
    ("ip_route", true),
    ("ip_rule_neigh", true),
    ("ip_saved", true),
    ("ip_temporary", true),
    ("route", true),
    ("ss", true),
    ("tc_qdisc", true),
];

fn folder() -> PathBuf {
    build::crate_dir().join("tools")
}

/// Why the script cannot run here; `None` if it can.
fn missing(script: &str) -> Option<String> {
    let places = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let tool = script.split('_').next().unwrap_or(script);
    // A script of another tool than ip sets up its interfaces by ifconfig.
    let setup = if tool == "ip" { "ip" } else { "ifconfig" };
    [setup, tool]
        .into_iter()
        .find(|tool| !places.iter().any(|at| Path::new(at).join(tool).exists()))
        .map(|tool| format!("there is no command {tool}"))
        .or_else(|| sides::kernel_missing().map(str::to_owned))
}

/// One command of a transcript and everything that came of it.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    command: String,
    said: Vec<String>,
}

impl Block {
    /// Takes out what depends on the moment, the machine or the release of the kernel.
    fn normalise(&mut self) {
        let words: Vec<&str> = self.command.split(' ').collect();
        let last = self.said.len().saturating_sub(1);
        let heading = |lines: &[String]| {
            lines
                .iter()
                .position(|line| line.starts_with("Address") || line.starts_with("Destination"))
                .map_or(0, |at| at + 1)
        };
        match words[0] {
            // The table of neighbours is in the order of a hash with a random number.
            "arp" => {
                // So many entries that the kernel looks for by itself are among those in vain.
                for line in &mut self.said {
                    if line.ends_with(" entries no match found.") {
                        *line = "arp: in * entries no match found.".to_owned();
                    }
                }
                let from = heading(&self.said);
                if from < last {
                    self.said[from..last].sort();
                }
            }
            // So are IPv6 addresses in /proc/net/if_inet6.
            "ifconfig" => {
                for run in self
                    .said
                    .chunk_by_mut(|a, b| [a, b].iter().all(|line| line.contains(" inet6 ")))
                {
                    run.sort();
                }
            }
            // The tree's order depends on other interfaces, the counters on who looked.
            "route" if words.contains(&"inet6") || words.contains(&"-6") => {
                let from = heading(&self.said);
                if from > 0 && from < last {
                    for line in &mut self.said[from..last] {
                        let fields: Vec<&str> = line.split_whitespace().collect();
                        if let [to, by, flags, metric, _, _, over] = fields[..] {
                            *line = format!("{to} {by} {flags} {metric} * * {over}");
                        }
                    }
                    self.said[from..last].sort();
                }
            }
            "ip" => {
                for line in &mut self.said {
                    *line = ip::normalised(line);
                }
            }
            // Each release of the kernel knows more features that a tun cannot have.
            "ethtool" if words.contains(&"-k") => {
                self.said.retain(|line| !line.contains("[fixed]"));
            }
            _ => {}
        }
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut all: Vec<Block> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push(Block {
                command: command.to_owned(),
                said: Vec::new(),
            }),
            (None, Some(block)) => block.said.push(line.trim_end().to_owned()),
            (None, None) => panic!("no command before the line {line:?}"),
        }
    }
    all.iter_mut().for_each(Block::normalise);
    all
}

fn text_of(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        let _ = writeln!(text, "$ {}", block.command);
        for line in &block.said {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// Every command whose answers differ, with both.
fn differences(names: [&str; 2], sides: [&[Block]; 2]) -> String {
    let mut report = String::new();
    for at in 0..sides[0].len().max(sides[1].len()) {
        let both = sides.map(|side| side.get(at));
        if both[0] == both[1] {
            continue;
        }
        for (name, block) in names.iter().zip(both) {
            let said = block.map_or_else(
                || "(no such command)\n".to_owned(),
                |block| text_of(std::slice::from_ref(block)),
            );
            let _ = writeln!(report, "--- {name}\n{}", said.trim_end());
        }
    }
    report
}

fn ended_well(script: &str, side: &str, run: &Finished) {
    assert!(
        run.ended.success(),
        "{script} {side}: {}\n--- standard error\n{}--- standard output\n{}",
        run.ended,
        run.stderr,
        run.stdout
    );
}

fn on_the_kernel(script: &str) -> Vec<Block> {
    let run = sides::on_the_kernel_with(&build::hold(), &folder().join(format!("{script}.sh")));
    ended_well(script, "on the kernel", &run);
    blocks(&run.stdout)
}

fn recorded_path(script: &str) -> PathBuf {
    folder().join(format!("transcripts/{script}.txt"))
}

/// Asserts that the script prints on this machine's kernel what was recorded. With
/// `MEMTUN_RECORD=1` the record is rewritten first. A record of another release of the tool is not
/// compared.
pub fn assert_kernel_is_as_recorded(script: &str) {
    let path = recorded_path(script);
    if let Some(why) = missing(script) {
        not_run("the tool on the kernel's driver", &why);
        return;
    }
    let live = on_the_kernel(script);
    if std::env::var_os("MEMTUN_RECORD").is_some_and(|v| v == "1") {
        fs::create_dir_all(folder().join("transcripts")).expect("tools/transcripts");
        fs::write(&path, text_of(&live)).expect("a transcript");
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let recorded = blocks(&text);
    // The first command of each script asks the tool for its release.
    if recorded.first() != live.first() {
        not_run(
            "what the tool printed on the kernel when it was recorded",
            "the tool is of another release",
        );
        return;
    }
    let report = differences(["recorded", "kernel"], [&recorded, &live]);
    assert!(
        report.is_empty(),
        "{script}: the kernel is not as recorded (MEMTUN_RECORD=1 rewrites)\n{report}"
    );
}

/// Asserts that the script prints under the shim what it prints on the kernel.
pub fn assert_shim_is_as_kernel(script: &str) {
    if let Some(why) = missing(script) {
        not_run("the tool under the shim beside the kernel", &why);
        return;
    }
    let kernel = on_the_kernel(script);
    let shim = UnderShim::new(&build::hold());
    let run = shim.run_with(&[
        folder().join(format!("{script}.sh")),
        folder().join("lib.sh"),
        folder().join("monitor.sh"),
    ]);
    let report = differences(["kernel", "shim"], [&kernel, &blocks(&run.stdout)]);
    assert!(
        report.is_empty(),
        "{script}: {}\n{}\n{report}",
        run.ended,
        run.stderr
    );
    ended_well(script, "under the shim", &run);
    let left = shim.leftovers();
    assert!(
        left.is_empty(),
        "{script}: left behind in the net: {left:#?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_where_the_next_command_begins() {
        let all = blocks("$ true\nstatus 0\n$ echo a\na\nstatus 0\n");
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].said, ["a", "status 0"]);
        assert_eq!(text_of(&all), "$ true\nstatus 0\n$ echo a\na\nstatus 0\n");
    }

    #[test]
    fn what_is_in_random_order_is_sorted_and_nothing_else() {
        let arp = "$ arp -n\nAddress HWtype\nb\na\nstatus 0\n";
        assert_eq!(
            text_of(&blocks(arp)),
            "$ arp -n\nAddress HWtype\na\nb\nstatus 0\n"
        );
        let ifconfig = "$ ifconfig\ntun0:\n  inet6 b\n  inet6 a\n  ether\nstatus 0\n";
        assert_eq!(
            text_of(&blocks(ifconfig)),
            "$ ifconfig\ntun0:\n  inet6 a\n  inet6 b\n  ether\nstatus 0\n"
        );
        let route = "$ route -n -6\nDestination\n::/0 :: U 1 1 0 b\n::/0 :: U 1 7 5 a\nstatus 0\n";
        assert_eq!(
            text_of(&blocks(route)),
            "$ route -n -6\nDestination\n::/0 :: U 1 * * a\n::/0 :: U 1 * * b\nstatus 0\n"
        );
        let other = "$ bridge fdb\nb\na\nstatus 0\n";
        assert_eq!(text_of(&blocks(other)), other);
    }

    #[test]
    fn a_report_has_both_answers() {
        let sides = ["$ a\nstatus 0\n", "$ a\nstatus 1\n$ b\nstatus 0\n"].map(blocks);
        let report = differences(["kernel", "shim"], [&sides[0], &sides[1]]);
        assert_eq!(
            report,
            "--- kernel\n$ a\nstatus 0\n--- shim\n$ a\nstatus 1\n\
             --- kernel\n(no such command)\n--- shim\n$ b\nstatus 0\n"
        );
    }
}
