//! Transcripts: lines `label: result`, compared by label.

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
    /// Panics on a line without a label and on a label that occurs twice: both are mistakes of the program.
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
}

/// Lines of one program that may differ, by label, with the reason.
pub type Allowed = BTreeMap<String, String>;

/// What `known-differences.txt` says about this program.
pub fn known_differences(program: &str) -> Allowed {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        fs::read_to_string(crate_dir().join("known-differences.txt"))
            .expect("known-differences.txt")
    });
    parse_known(text)
        .filter(|(name, _, _)| *name == program)
        .map(|(_, label, why)| (label.into(), why.into()))
        .collect()
}

/// Programs that `known-differences.txt` mentions.
pub fn programs_with_known_differences() -> BTreeSet<String> {
    let text = fs::read_to_string(crate_dir().join("known-differences.txt"))
        .expect("known-differences.txt");
    parse_known(&text)
        .map(|(name, _, _)| name.to_owned())
        .collect()
}

/// `program | label | reason`; `#` starts a comment line.
fn parse_known(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut parts = line.splitn(3, " | ").map(str::trim);
            let mut part = || {
                parts
                    .next()
                    .filter(|p| !p.is_empty())
                    .unwrap_or_else(|| panic!("known-differences.txt: {line}"))
            };
            (part(), part(), part())
        })
}

/// Compares, and gives a report of everything that is not equal and not allowed. A difference that is allowed but does
/// not show is reported too, so that the list cannot outlive its reasons.
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
        let show = |side: Option<&str>| side.map_or("(no such line)".to_owned(), str::to_owned);
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
        if a != b && !allowed.contains_key(*label) {
            differ(label, a, b);
        }
    }
    for (label, why) in allowed {
        if want.results.get(label.as_str()) == got.results.get(label.as_str()) {
            let _ = writeln!(
                report,
                "  {label}\n    equal, so known-differences.txt no longer needs it ({why})"
            );
        }
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
        .join("transcripts")
        .join(format!("{program}.txt"))
}

/// The recorded transcript of the kernel's driver.
pub fn recorded(program: &str) -> Option<String> {
    fs::read_to_string(recorded_path(program)).ok()
}

/// Writes the recorded transcript.
pub fn record(program: &str, text: &str) {
    fs::create_dir_all(crate_dir().join("transcripts")).expect("transcripts/");
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
        let allowed = Allowed::from([("read".to_owned(), "reason".to_owned())]);
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
