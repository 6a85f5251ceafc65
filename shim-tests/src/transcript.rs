//! Transcripts, which are lines `label: result` and are compared by label.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::build::crate_dir;

/// A parsed transcript: labels in the order in which they were printed, and their results.
#[derive(Debug, PartialEq, Eq)]
pub struct Transcript<'a> {
    order: Vec<&'a str>,
    results: BTreeMap<&'a str, &'a str>,
}

impl<'a> Transcript<'a> {
    /// Parses a transcript. It panics on a line without a label and on a label that occurs twice,
    /// because both are mistakes of the program.
    pub fn parse(text: &'a str) -> Transcript<'a> {
        let mut parsed = Transcript {
            order: Vec::new(),
            results: BTreeMap::new(),
        };
        for line in text.lines() {
            let (label, result) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("no label in the line {line:?}"));
            assert!(
                parsed.results.insert(label, result).is_none(),
                "the label {label:?} occurs twice"
            );
            parsed.order.push(label);
        }
        parsed
    }

    /// The number of its lines.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Has it no line?
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// What a line says on both sides, and why it differs.
#[derive(Debug, Clone)]
pub struct Known {
    /// The result on the kernel's driver.
    pub kernel: String,
    /// The result under the shim.
    pub memtun: String,
    /// Why they differ.
    pub reason: String,
}

/// Lines of one program that may differ, by label.
pub type Allowed = BTreeMap<String, Known>;

/// How a line that one side does not print is shown in a report and in `known-differences.txt`.
const NO_LINE: &str = "(no such line)";

/// One line of `known-differences.txt`.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The program that prints the line.
    pub program: String,
    /// The label of the line.
    pub label: String,
    /// What the line says on both sides.
    pub known: Known,
}

/// All of `known-differences.txt`, in its order.
pub fn all_known_differences() -> &'static [Difference] {
    static ALL: OnceLock<Vec<Difference>> = OnceLock::new();
    ALL.get_or_init(|| {
        let text = fs::read_to_string(crate_dir().join("conformance/known-differences.txt"))
            .expect("known-differences.txt");
        parse_known(&text)
            .map(|parts| {
                let [program, label, kernel, memtun, reason] = parts.map(str::to_owned);
                let known = Known {
                    kernel,
                    memtun,
                    reason,
                };
                Difference {
                    program,
                    label,
                    known,
                }
            })
            .collect()
    })
}

/// What `known-differences.txt` says about this program.
pub fn known_differences(program: &str) -> Allowed {
    all_known_differences()
        .iter()
        .filter(|d| d.program == program)
        .map(|d| (d.label.clone(), d.known.clone()))
        .collect()
}

/// The programs that `known-differences.txt` mentions.
pub fn programs_with_known_differences() -> BTreeSet<String> {
    let all = all_known_differences().iter();
    all.map(|d| d.program.clone()).collect()
}

/// Parses lines `program
/// label
/// the kernel's answer
/// memtun's answer
/// reason`; `#` starts a comment line.
fn parse_known(text: &str) -> impl Iterator<Item = [&str; 5]> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let parts: Vec<&str> = line.splitn(5, " | ").map(str::trim).collect();
            let parts = <[&str; 5]>::try_from(parts);
            parts
                .ok()
                .filter(|parts| parts.iter().all(|part| !part.is_empty()))
                .unwrap_or_else(|| panic!("known-differences.txt: not five parts: {line}"))
        })
}

/// Compares two transcripts and reports everything that is not equal and not allowed. A difference
/// is allowed with the two answers that are known: another answer of either side is reported, and
/// so is a known difference that does not show, so that the list cannot outlive its reasons.
pub fn compare(
    expected_name: &str,
    expected: &str,
    actual_name: &str,
    actual: &str,
    allowed: &Allowed,
) -> Result<(), String> {
    let (want, got) = (Transcript::parse(expected), Transcript::parse(actual));
    let mut report = String::new();
    let width = expected_name.len().max(actual_name.len());
    let mut differ = |label: &str, a: Option<&str>, b: Option<&str>| {
        let show = |side: Option<&str>| side.unwrap_or(NO_LINE).to_owned();
        let _ = writeln!(
            report,
            "  {label}\n    {expected_name:width$}  {}\n    {actual_name:width$}  {}",
            show(a),
            show(b)
        );
    };
    let extra = got
        .order
        .iter()
        .filter(|label| !want.results.contains_key(*label));
    for label in want.order.iter().chain(extra) {
        let (a, b) = (
            want.results.get(label).copied(),
            got.results.get(label).copied(),
        );
        let known = allowed.get(*label).is_some_and(|known| {
            (a.unwrap_or(NO_LINE), b.unwrap_or(NO_LINE)) == (&known.kernel, &known.memtun)
        });
        if a != b && !known {
            differ(label, a, b);
        }
    }
    for (label, known) in allowed {
        let sides = [&want, &got].map(|side| side.results.get(label.as_str()).copied());
        let Known {
            kernel,
            memtun,
            reason,
        } = known;
        let _ = if sides[0] == sides[1] {
            writeln!(
                report,
                "  {label}\n    equal, so known-differences.txt no longer needs it ({reason})"
            )
        } else if sides.map(|side| side.unwrap_or(NO_LINE)) != [kernel, memtun] {
            writeln!(report, "  {label}\n    known-differences.txt has other answers: {kernel} | {memtun} ({reason})")
        } else {
            Ok(())
        };
    }
    if report.is_empty() && want.order != got.order && allowed.is_empty() {
        report.push_str("  the lines are equal, but in another order\n");
    }
    if report.is_empty() {
        Ok(())
    } else {
        Err(report)
    }
}

fn recorded_path(program: &str) -> PathBuf {
    crate_dir()
        .join("conformance/transcripts")
        .join(format!("{program}.txt"))
}

/// The recorded transcript of the kernel's driver; `None` if there is none.
pub fn recorded(program: &str) -> Option<String> {
    fs::read_to_string(recorded_path(program)).ok()
}

/// Writes the recorded transcript.
pub fn record(program: &str, text: &str) {
    fs::create_dir_all(crate_dir().join("conformance/transcripts"))
        .expect("conformance/transcripts/");
    fs::write(recorded_path(program), text).expect("a transcript");
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "read: 60\nwrite: -1 EIO\n";

    #[test]
    fn equal_transcripts_pass() {
        assert_eq!(
            compare("kernel", KERNEL, "shim", KERNEL, &Allowed::new()),
            Ok(())
        );
    }

    #[test]
    fn a_report_names_label_and_both_results() {
        let report = compare("kernel", KERNEL, "shim", "read: 61\n", &Allowed::new()).unwrap_err();
        assert_eq!(
            report,
            "  read\n    kernel  60\n    shim    61\n  write\n    kernel  -1 EIO\n    shim    (no such line)\n"
        );
    }

    #[test]
    fn a_known_difference_is_allowed_only_while_it_shows() {
        let known = Known {
            kernel: "60".to_owned(),
            memtun: "61".to_owned(),
            reason: "reason".to_owned(),
        };
        let allowed = Allowed::from([("read".to_owned(), known)]);
        assert_eq!(
            compare(
                "kernel",
                KERNEL,
                "shim",
                "read: 61\nwrite: -1 EIO\n",
                &allowed
            ),
            Ok(())
        );
        assert!(compare("kernel", KERNEL, "shim", KERNEL, &allowed)
            .unwrap_err()
            .contains("no longer needs it"));
        for (kernel, shim) in [("60", "62"), ("59", "61"), ("60", NO_LINE)] {
            let line = |answer: &str| match answer {
                NO_LINE => String::new(),
                answer => format!("read: {answer}\n"),
            };
            let report =
                compare("kernel", &line(kernel), "shim", &line(shim), &allowed).unwrap_err();
            assert!(
                report.contains("has other answers: 60 | 61 (reason)"),
                "{report}"
            );
        }
    }

    #[test]
    fn order_matters() {
        assert!(compare(
            "kernel",
            KERNEL,
            "shim",
            "write: -1 EIO\nread: 60\n",
            &Allowed::new()
        )
        .is_err());
    }

    #[test]
    #[should_panic(expected = "occurs twice")]
    fn a_label_occurs_once() {
        Transcript::parse("read: 1\nread: 2\n");
    }
}
