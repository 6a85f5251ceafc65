//! Runs the examples of `cookbook/`, each by its own command, as an ordinary user and within a time
//! limit.
//!
//! They run in a copy of what a checkout has after `cargo build --release`, where a user without
//! privileges can read it and nobody can write. The user who runs the tests builds the Rust
//! examples there, since a Rust toolchain often lies where only its owner can go; the ordinary user
//! then runs what was built.

use std::fs;
use std::os::unix::fs::{chown, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use shim_tests::build::{crate_dir, shim};
use shim_tests::real_programs::target_dir;
use shim_tests::watchdog::{self, Finished};

const LIMIT: Duration = Duration::from_secs(120);
const BUILD_LIMIT: Duration = Duration::from_secs(600);

/// The user that root becomes, which is Debian's nobody.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A directory that is removed with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("memtun-cookbook-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command that only prepares, as the user who runs the tests.
fn prepare(command: &mut Command) -> Finished {
    let logs = Scratch::new(&format!("prepare-{:?}", std::thread::current().id()));
    let done = watchdog::run(command, &logs.0, BUILD_LIMIT).expect("starts");
    assert!(
        done.ended.success(),
        "{command:?}: {}\n{}{}",
        done.ended,
        done.stdout,
        done.stderr
    );
    done
}

/// A copy of the checkout: the sources and what is built of them.
struct Checkout(Scratch);

impl Checkout {
    fn new(name: &str) -> Checkout {
        let scratch = Scratch::new(name);
        let original = crate_dir().parent().expect("the workspace");
        let mut copy = Command::new("cp");
        copy.arg("-r")
            .args(["Cargo.toml", "Cargo.lock", "src", "shim-tests"]);
        prepare(copy.arg(&scratch.0).current_dir(original));
        for example in ["rust_crate", "four_ways"] {
            let theirs = scratch
                .0
                .join("shim-tests/cookbook")
                .join(example)
                .join("target");
            let _ = fs::remove_dir_all(theirs);
        }
        let release = scratch.0.join("target/release");
        fs::create_dir_all(&release).expect("target/release");
        // Another process makes the copy: while this one had it open for writing, a child of
        // another test could hold it open as well when it is to be executed.
        let mut built = Command::new("cp");
        built.args([&shim().library, &shim().command]);
        prepare(built.arg(&release));
        let checkout = Checkout(scratch);
        checkout.open_to_all();
        checkout
    }

    /// Lets everybody read the copy, whatever the caller's umask is.
    fn open_to_all(&self) {
        prepare(Command::new("chmod").args(["-R", "a+rX"]).arg(self.path()));
    }

    fn path(&self) -> &Path {
        &self.0 .0
    }

    fn example(&self, name: &str) -> PathBuf {
        self.path().join("shim-tests/cookbook").join(name)
    }

    /// Builds an example's crate with the workspace's own versions of its dependencies, and returns
    /// the executable of this kind.
    fn cargo(&self, example: &str, arguments: &[&str], kind: &str) -> PathBuf {
        let dir = self.example(example);
        fs::copy(self.path().join("Cargo.lock"), dir.join("Cargo.lock")).expect("a lock file");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(arguments)
            .arg("--message-format=json")
            .current_dir(&dir);
        cargo.env_remove("CARGO_TARGET_DIR");
        let messages = prepare(&mut cargo).stdout;
        self.open_to_all();
        let kind = format!("\"kind\":[\"{kind}\"]");
        let executable = |line: &str| {
            let (_, rest) = line.split_once("\"executable\":\"")?;
            Some(PathBuf::from(rest.split('"').next()?))
        };
        let mut made = messages.lines().filter(|line| line.contains(&kind));
        let made = made.find_map(executable);
        made.unwrap_or_else(|| panic!("cargo made none: {messages}"))
    }

    /// Runs a command as an ordinary user, without anything of the tests' environment. It panics
    /// unless the command succeeds and leaves nothing in its temporary directory.
    fn run(&self, command: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> Finished {
        let scratch = Scratch::new(&format!("run-{:?}", std::thread::current().id()));
        let temporary = scratch.0.join("tmp");
        fs::create_dir(&temporary).expect("a directory of our own");
        if is_root() {
            chown(&temporary, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let mut user = ordinary_user();
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            self.path().join("target/release").display()
        );
        user.arg("env").arg("-i").arg(format!("PATH={path}"));
        user.arg(format!("TMPDIR={}", temporary.display()));
        user.args(["HOME=/nonexistent", "LC_ALL=C.UTF-8"]);
        for (name, value) in variables {
            user.arg(format!("{name}={}", value.display()));
        }
        user.arg(command).args(arguments).current_dir(&temporary);
        let done = watchdog::run(&mut user, &scratch.0, LIMIT).expect("starts");
        let said = format!("{}\n{}{}", done.ended, done.stdout, done.stderr);
        assert!(done.ended.success(), "{}: {said}", command.display());
        let left: Vec<_> = fs::read_dir(&temporary)
            .expect("our own")
            .flatten()
            .collect();
        assert!(
            left.is_empty(),
            "{left:?} is left of {}: {said}",
            command.display()
        );
        done
    }
}

fn ordinary_user() -> Command {
    if !is_root() {
        return Command::new("env");
    }
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    setpriv.args([
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--ambient-caps=-all",
    ]);
    setpriv
}

/// What the documentation shows in a language: all of it is to compile as it stands there.
fn snippets(language: &str) -> Vec<String> {
    let root = crate_dir().parent().expect("the workspace");
    let texts = ["README.md", "shim-tests/cookbook/README.md"]
        .map(|name| fs::read_to_string(root.join(name)).expect("in every checkout"));
    let begin = format!("\n```{language}\n");
    texts
        .iter()
        .flat_map(|text| text.split(&begin).skip(1))
        .map(|rest| rest.split("\n```").next().unwrap_or(rest).to_owned())
        .collect()
}

const PYTEST: &str = "pytest==8.4.2";

/// Path of pytest's packages, which are installed once and which the system's Python can import
/// from there.
fn pytest() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let dir = target_dir().join("cookbook").join(PYTEST);
        let packages = dir.join("packages");
        if !dir.join("ready").exists() {
            let venv = dir.join("venv");
            let python = venv.join("bin/python");
            prepare(
                Command::new("/usr/bin/python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&venv),
            );
            let mut pip = Command::new(python);
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--upgrade",
                PYTEST,
                "--target",
            ]);
            prepare(pip.arg(&packages));
            fs::write(dir.join("ready"), "").expect("the build directory is writable");
        }
        packages
    })
}

#[test]
fn python_vpn() {
    let checkout = Checkout::new("python");
    let packages = checkout.path().join("packages");
    prepare(Command::new("cp").arg("-r").arg(pytest()).arg(&packages));
    checkout.open_to_all();
    let path = format!(
        "{}:{}",
        packages.display(),
        checkout.path().join("src/python/src").display()
    );
    let done = checkout.run(
        &checkout.example("python_vpn/run"),
        &["-p", "memtun.pytest_plugin", "-p", "no:cacheprovider"],
        &[
            ("PYTHONPATH", Path::new(&path)),
            ("PYTHONDONTWRITEBYTECODE", Path::new("1")),
        ],
    );
    assert!(done.stdout.contains("10 passed"), "{}", done.stdout);
}

#[test]
fn c_program() {
    let checkout = Checkout::new("c");
    let done = checkout.run(&checkout.example("c_program/run"), &[], &[]);
    assert_eq!(done.stdout, "shout_test: passed\n");
}

#[test]
fn c_of_the_documentation_compiles() {
    let snippets = snippets("c");
    assert_eq!(snippets.len(), 1);
    let scratch = Scratch::new("snippets");
    let file = scratch.0.join("snippet.c");
    for snippet in snippets {
        let body = format!("int main(void) {{\nchar answer[100];\n{snippet}\n}}\n");
        fs::write(&file, format!("#include <memtun.h>\n{body}")).expect("our own");
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
            .arg(crate_dir().join("../src/shim"));
        prepare(cc.arg(&file));
    }
}

#[test]
fn rust_crate() {
    let checkout = Checkout::new("rust");
    let test = checkout.cargo(
        "rust_crate",
        &["test", "--test", "gatekeeper", "--no-run"],
        "test",
    );
    let done = checkout.run(&test, &[], &[]);
    assert!(done.stdout.contains("4 passed"), "{}", done.stdout);

    // What the documentation shows, in a crate that has what it needs.
    let snippets = snippets("rust");
    assert_eq!(snippets.len(), 2);
    let mut test = "#![allow(unused)]\nuse memtun::*;\nuse std::process::Command;\n".to_owned();
    for (i, snippet) in snippets.iter().enumerate() {
        let result = "std::result::Result<(), Box<dyn std::error::Error>>";
        test += &format!("fn snippet_{i}() -> {result} {{\n{snippet}\nOk(())\n}}\n");
    }
    let file = checkout.example("rust_crate").join("tests/snippets.rs");
    fs::write(&file, test).expect("our own");
    checkout.cargo(
        "rust_crate",
        &["test", "--test", "snippets", "--no-run"],
        "test",
    );
}

#[test]
fn shell_ci() {
    let checkout = Checkout::new("shell");
    let done = checkout.run(&checkout.example("shell_ci/run"), &[], &[]);
    assert!(
        done.stdout.contains("ok: here again -> HERE AGAIN"),
        "{}",
        done.stdout
    );
}

#[test]
fn build_sandbox() {
    let checkout = Checkout::new("sandbox");
    let done = checkout.run(&checkout.example("build_sandbox/run"), &[], &[]);
    let passed = done.stdout.matches("5 tests passed").count();
    assert!(
        done.stdout.contains("tap_test: skipped") && passed == 2,
        "{}",
        done.stdout
    );
}

#[test]
fn four_ways_give_one_transcript() {
    let checkout = Checkout::new("four-ways");
    let driver = checkout.cargo("four_ways", &["build"], "bin");
    let done = checkout.run(
        &checkout.example("four_ways/run"),
        &["python", "c", "rust", "shell"],
        &[
            ("DRIVE_RUST", &driver),
            ("PYTHONPATH", &checkout.path().join("src/python/src")),
            ("PYTHONDONTWRITEBYTECODE", Path::new("1")),
        ],
    );
    let expected = ["python", "c", "rust", "shell"].map(|l| format!("{l}: as expected\n"));
    assert_eq!(done.stdout, expected.concat());
}
