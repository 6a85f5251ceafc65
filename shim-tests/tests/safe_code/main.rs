//! Checks what safe code cannot do with the library and its internals: write through a number,
//! touch a queue or a log without its lock, make a lock anew that is held, or close a descriptor of
//! somebody else's. Each program of `cases` tries it under `#![forbid(unsafe_code)]`; the compiler
//! gives the errors that stand beside the lines, and no other.

use shim_tests::sides::TempDir;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const CRATES: [&str; 4] = ["memtun", "memtun-kernel", "memtun-shm", "memtun-sys"];

/// The libraries of this build, as options of the compiler.
fn libraries() -> Vec<String> {
    let cargo = std::env::var_os("CARGO").expect("cargo runs this test");
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--message-format=json", "--quiet"]);
    if !cfg!(debug_assertions) {
        command.args(["--profile", "quick"]);
    }
    for name in CRATES {
        command.args(["-p", name]);
    }
    let built = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    let text = String::from_utf8_lossy(&built.stdout);
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let mut options = Vec::new();
    for name in CRATES.map(|name| name.replace('-', "_")) {
        let begin = format!("/lib{name}");
        let path = text
            .split('"')
            .filter(|word| word.ends_with(".rlib") && word.contains(&begin))
            .find(|word| !word[word.rfind('/').unwrap_or(0)..].contains(&format!("{begin}_")))
            .unwrap_or_else(|| panic!("no library of {name} in {text}"));
        options.extend(["--extern".into(), format!("{name}={path}")]);
        let deps = Path::new(path).parent().expect("a folder").join("deps");
        options.extend(["-L".into(), format!("dependency={}", deps.display())]);
    }
    options
}

/// Numbers of the lines with an error, and the code of the error.
type Errors = BTreeSet<(usize, String)>;

/// The errors that stand beside the lines, as `//~ E0133`.
fn expected(source: &str) -> Errors {
    let lines = source.lines().enumerate();
    lines
        .filter_map(|(at, line)| Some((at + 1, line.split_once("//~ ")?.1.trim().to_owned())))
        .collect()
}

/// The errors that the compiler gives.
fn given(case: &Path, libraries: &[String]) -> (Errors, String) {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    // A folder of its own: the compiler replaces what it writes, and as root that could be a
    // device.
    let made = TempDir::new(&std::env::temp_dir(), 0o700, None);
    let output = Command::new(rustc)
        .args(["--edition=2021", "--crate-type=lib", "--emit=metadata"])
        .args(["--error-format=short", "--out-dir"])
        .arg(made.path())
        .args(libraries)
        .arg(case)
        .output()
        .expect("the compiler");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors = text.lines().filter_map(|line| {
        let (place, rest) = line.split_once(": error[")?;
        let number = place.rsplit(':').nth(1)?.parse().ok()?;
        Some((number, rest.split_once(']')?.0.to_owned()))
    });
    (errors.collect(), text)
}

#[test]
fn the_compiler_refuses_what_could_break_memory() {
    let libraries = libraries();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/safe_code/cases");
    let entries = std::fs::read_dir(&folder).expect("the cases");
    let cases: Vec<PathBuf> = entries.map(|e| e.expect("a case").path()).collect();
    assert!(cases.len() > 4);
    for case in cases {
        let source = std::fs::read_to_string(&case).expect("a case");
        assert!(source.contains("#![forbid(unsafe_code)]"), "{case:?}");
        let (errors, text) = given(&case, &libraries);
        assert_eq!(errors, expected(&source), "{}:\n{text}", case.display());
        let may = case.ends_with("allowed.rs");
        assert_eq!(errors.is_empty(), may, "{}:\n{text}", case.display());
    }
}
