//! Programs that are made or installed in the build directory when they are missing there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use super::target_dir;

/// Two installations at the same time get in each other's way.
static ONE: Mutex<()> = Mutex::new(());

fn run(mut command: Command) -> Output {
    let output = command.output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// Path of a program of the crate `name`, whose release is `version`.
pub fn of_crate(name: &str, version: &str) -> PathBuf {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let root = target_dir().join("real-programs");
    // cargo does nothing when the program is installed already.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["install", "--quiet", "--locked", "--version", version, name]);
    cargo.arg("--root").arg(&root);
    cargo.env("CARGO_TARGET_DIR", root.join("build"));
    // Nobody measures the program here, and a fresh machine has to wait for the build.
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
    cargo.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    run(cargo);
    root.join("bin").join(name)
}

/// Path of a program of `real-programs/NAME`, which is built if need be.
pub fn built(name: &str) -> PathBuf {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let build = target_dir().join("real-programs").join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("real-programs");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--manifest-path",
    ]);
    cargo.arg(source.join(name).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&build);
    run(cargo);
    build.join("release").join(name)
}

/// A folder with the tests that the crates `real-programs/tun-crates` depends on bring with them:
/// `CRATE.lib`, `CRATE.TEST` for each file of the crate's `tests`, and `CRATE.example.NAME`.
pub fn tests_of_crates(crates: &[(&str, &[&str])]) -> PathBuf {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let root = target_dir().join("real-programs/tests-of-crates");
    if root.join("ready").exists() {
        return root.join("bin");
    }
    let listed = Path::new(env!("CARGO_MANIFEST_DIR")).join("real-programs/tun-crates/Cargo.toml");
    let mut vendor = Command::new(env!("CARGO"));
    vendor.args(["vendor", "--quiet", "--locked", "--manifest-path"]);
    vendor.arg(listed).arg(root.join("sources"));
    vendor.current_dir(std::env::temp_dir());
    run(vendor);
    std::fs::create_dir_all(root.join("bin")).expect("the build directory is writable");
    for (name, examples) in crates {
        let source = root.join("sources").join(name);
        let manifest = source.join("Cargo.toml");
        // The build directory lies in a workspace, of which the crate is no member.
        let mut text = std::fs::read_to_string(&manifest).expect("a manifest");
        if !text.contains("[workspace]") {
            text.push_str("\n[workspace]\n");
            std::fs::write(&manifest, text).expect("the build directory is writable");
        }
        let cargo = |words: &[&str]| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(words).arg("--manifest-path").arg(&manifest);
            cargo.current_dir(&source);
            cargo.env("CARGO_TARGET_DIR", root.join("build"));
            run(cargo)
        };
        let keep = |from: &Path, kind: &str| {
            let to = root.join("bin").join(format!("{name}.{kind}"));
            std::fs::copy(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        };
        let built = cargo(&["test", "--no-run", "--lib", "--tests"]);
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        for line in said.lines() {
            // As in `Executable tests/tun_test.rs (/path/of/the/program)`.
            let line = line.trim_start().strip_prefix("Executable ");
            let Some((what, path)) = line.and_then(|line| line.split_once(" (")) else {
                continue;
            };
            let kind = Path::new(what).file_stem().and_then(|stem| stem.to_str());
            keep(
                Path::new(path.trim_end_matches(')')),
                kind.unwrap_or("test"),
            );
        }
        for example in *examples {
            cargo(&["build", "--quiet", "--example", example]);
            let made = root.join("build/debug/examples").join(example);
            keep(&made, &format!("example.{example}"));
        }
    }
    std::fs::write(root.join("ready"), "").expect("the build directory is writable");
    root.join("bin")
}

/// A virtual environment with the Python packages that `real-programs/NAME-requirements.txt` lists.
pub fn python(name: &str) -> PathBuf {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let dir = target_dir().join("real-programs").join(name);
    if !dir.join("ready").exists() {
        let mut venv = Command::new("/usr/bin/python3");
        venv.args(["-m", "venv", "--clear"]).arg(&dir);
        let made = venv.output();
        assert!(
            made.as_ref().is_ok_and(|made| made.status.success()),
            "apt-get install python3-venv: {made:?}"
        );
        let mut pip = Command::new(dir.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--requirement"]);
        let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("real-programs");
        pip.arg(list.join(format!("{name}-requirements.txt")));
        run(pip);
        std::fs::write(dir.join("ready"), "").expect("the build directory is writable");
    }
    dir
}
