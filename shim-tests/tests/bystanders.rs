//! Programs that have nothing to do with tunnels run under the shim as they do without it.
//!
//! Each runs twice in equal directories. Status, output and error output must be the same to the
//! byte, and the net that the shim was offered must not have been made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use shim_tests::real_programs::{Link, Watchdog, World};

const LIMIT: Duration = Duration::from_secs(120);

/// Path of a script or a source file in a place where the programs can read it.
fn file(world: &World, name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("bystanders");
    world.reachable(&dir).join(name)
}

struct Bystander {
    world: World,
    package: &'static str,
    /// Libraries in front of the shim in `LD_PRELOAD`.
    before: Option<String>,
}

impl Bystander {
    fn new(name: &str, package: &'static str) -> Self {
        Self {
            world: World::new(name, Link::Up),
            package,
            before: None,
        }
    }

    /// Runs `program` in an empty directory named `work`, so that it prints the same paths each
    /// time.
    fn once(&self, program: &Path, args: &[OsString], shim: bool) -> Output {
        let _ = std::fs::remove_dir_all(self.world.dir().join("work"));
        let work = self.world.make_dir("work");
        // The world starts `env` as the program, which starts the shim by the variables that it is
        // given.
        let mut command = self.world.bystander("coreutils", "env");
        if shim {
            let mut preload = OsString::from("LD_PRELOAD=");
            if let Some(before) = &self.before {
                preload.push(format!("{before} "));
            }
            preload.push(self.world.library());
            let mut net = OsString::from("MEMTUN_NET=");
            net.push(self.world.dir().join("unused"));
            command.arg(preload).arg(net);
        } else if let Some(before) = &self.before {
            command.arg(format!("LD_PRELOAD={before}"));
        }
        command.arg(program).args(args).current_dir(&work);
        command.env("LC_ALL", "C").env_remove("RUST_BACKTRACE");
        command
            .output()
            .unwrap_or_else(|e| panic!("{command:?}: {e} (apt-get install {})", self.package))
    }

    fn same(&self, program: impl AsRef<Path>, args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
        let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        let plain = self.once(program.as_ref(), &args, false);
        assert_ne!(
            plain.status.code(),
            Some(127),
            "apt-get install {}: {plain:?}",
            self.package
        );
        let shimmed = self.once(program.as_ref(), &args, true);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            text(&shimmed.stdout),
            text(&plain.stdout),
            "standard output; {shimmed:?}"
        );
        assert_eq!(text(&shimmed.stderr), text(&plain.stderr), "standard error");
        assert_eq!(shimmed.status, plain.status);
        let unused = self.world.dir().join("unused");
        assert!(
            !unused.exists(),
            "a net was made for a program without tunnels"
        );
        plain
    }

    /// Asserts that the program does the same in both runs, and that it succeeds.
    fn same_and_well(&self, program: impl AsRef<Path>, args: &[&dyn AsRef<std::ffi::OsStr>]) {
        let plain = self.same(program, args);
        assert!(plain.status.success(), "{plain:?}");
        assert!(!plain.stdout.is_empty(), "it says what it did: {plain:?}");
    }
}

fn gcc(world: &World, source: &str, options: &[&str]) -> PathBuf {
    let source = file(world, source);
    let program = world.dir().join(source.file_stem().expect("a name"));
    let mut gcc = world.bystander("gcc libc6-dev", "gcc");
    gcc.args(["-O2", "-Wall", "-pthread"]).args(options);
    gcc.arg("-o").arg(&program).arg(&source);
    let output = gcc.output().expect("gcc runs");
    assert!(output.status.success(), "{output:?}");
    program
}

#[test]
fn bash_with_pipes_redirections_jobs_and_traps() {
    let _watchdog = Watchdog::new("bash", LIMIT);
    let it = Bystander::new("bash", "bash");
    it.same_and_well("bash", &[&file(&it.world, "shell.sh")]);
}

#[test]
fn dash_with_the_same_script() {
    let _watchdog = Watchdog::new("dash", LIMIT);
    let it = Bystander::new("dash", "dash");
    it.same_and_well("dash", &[&file(&it.world, "posix.sh")]);
}

#[test]
fn python_with_subprocesses_and_multiprocessing() {
    let _watchdog = Watchdog::new("python", LIMIT);
    let it = Bystander::new("python", "python3");
    it.same_and_well("/usr/bin/python3", &[&file(&it.world, "processes.py")]);
}

#[test]
fn every_way_to_ask_by_rtnetlink() {
    let _watchdog = Watchdog::new("netlink", LIMIT);
    let it = Bystander::new("netlink", "gcc libc6-dev");
    it.same_and_well(gcc(&it.world, "netlink.c", &[]), &[]);
}

#[test]
fn the_tools_of_the_network() {
    let _watchdog = Watchdog::new("network", LIMIT);
    let it = Bystander::new("network", "iproute2 net-tools");
    it.same_and_well("bash", &[&file(&it.world, "network.sh")]);
}

#[test]
fn python_asks_for_names_and_addresses() {
    let _watchdog = Watchdog::new("names", LIMIT);
    let it = Bystander::new("names", "python3");
    it.same_and_well("/usr/bin/python3", &[&file(&it.world, "names.py")]);
}

#[test]
fn git_init_commit_clone() {
    let _watchdog = Watchdog::new("git", LIMIT);
    let it = Bystander::new("git", "git");
    it.same_and_well("bash", &[&file(&it.world, "git.sh")]);
}

#[test]
fn gcc_compiles_and_links() {
    let _watchdog = Watchdog::new("gcc", LIMIT);
    let it = Bystander::new("gcc", "gcc libc6-dev");
    let source = file(&it.world, "threads.c");
    let script =
        "gcc -v -pthread -D_FORTIFY_SOURCE=2 -O2 -o threads \"$0\" 2>/dev/null && ./threads";
    it.same_and_well("bash", &[&"-c", &script, &source]);
}

#[test]
fn cargo_builds_and_runs_a_crate() {
    let _watchdog = Watchdog::new("cargo", LIMIT);
    let mut it = Bystander::new("cargo", "cargo");
    // rustup keeps its toolchains in the home directory of the user who installed them.
    it.world = it.world.as_we_are();
    let script = "set -e; export HOME=$1 CARGO_TERM_QUIET=true CARGO_TARGET_DIR=target
        \"$0\" init --name small --vcs none . && \"$0\" build --offline && ./target/debug/small";
    let home = std::env::var_os("HOME").unwrap_or_default();
    it.same_and_well("bash", &[&"-c", &script, &env!("CARGO"), &home]);
}

#[test]
fn curl_from_a_python_server() {
    let _watchdog = Watchdog::new("curl", LIMIT);
    let it = Bystander::new("curl", "curl python3");
    it.same_and_well("bash", &[&file(&it.world, "curl.sh")]);
}

#[test]
fn threads_that_open_and_close_descriptors() {
    let _watchdog = Watchdog::new("threads", LIMIT);
    let it = Bystander::new("threads", "gcc libc6-dev");
    let program = gcc(&it.world, "threads.c", &[]);
    it.same_and_well(program, &[]);
}

#[test]
fn bad_pointers_are_errors_not_crashes() {
    let _watchdog = Watchdog::new("bad pointers", LIMIT);
    let it = Bystander::new("pointers", "gcc libc6-dev");
    let program = gcc(&it.world, "bad_pointers.c", &["-Wno-nonnull"]);
    it.same_and_well(program, &[]);
}

/// The sanitizer's runtime wants to be the first library; `LD_PRELOAD` can say so.
#[test]
fn address_sanitizer_in_front_of_the_shim() {
    let _watchdog = Watchdog::new("asan", LIMIT);
    let mut it = Bystander::new("asan", "gcc libc6-dev");
    let program = gcc(&it.world, "threads.c", &["-fsanitize=address"]);
    let mut gcc = Command::new("gcc");
    let path = gcc
        .arg("-print-file-name=libasan.so")
        .output()
        .expect("gcc runs");
    let path = PathBuf::from(String::from_utf8_lossy(&path.stdout).trim());
    let path = path.canonicalize().expect("libasan.so, from libgcc-12-dev");
    it.before = Some(path.display().to_string());
    it.same_and_well(program, &[]);
}

/// Behind the shim in `LD_PRELOAD` the sanitizer's runtime must be told that the second place is
/// fine.
#[test]
fn address_sanitizer_behind_the_shim() {
    let _watchdog = Watchdog::new("asan behind", LIMIT);
    let it = Bystander::new("asan-behind", "gcc libc6-dev");
    let program = gcc(&it.world, "threads.c", &["-fsanitize=address"]);
    let option = "ASAN_OPTIONS=verify_asan_link_order=0";
    it.same_and_well("env", &[&option, &program]);
}

#[test]
fn address_sanitizer_still_finds_the_bug() {
    let _watchdog = Watchdog::new("asan bug", LIMIT);
    let it = Bystander::new("asan-bug", "gcc libc6-dev");
    let program = gcc(&it.world, "use_after_free.c", &["-fsanitize=address"]);
    // Addresses and process ids differ from run to run, but the verdict does not.
    let script = "ASAN_OPTIONS=verify_asan_link_order=0 \"$0\" 2>&1 | grep -o 'ERROR.*free'; exit $PIPESTATUS";
    let plain = it.same("bash", &[&"-c", &script, &program]);
    assert!(String::from_utf8_lossy(&plain.stdout).contains("heap-use-after-free"));
}

#[test]
fn thread_sanitizer_sees_no_race_in_the_shim() {
    let _watchdog = Watchdog::new("tsan", LIMIT);
    let it = Bystander::new("tsan", "gcc libc6-dev");
    let program = gcc(&it.world, "threads.c", &["-fsanitize=thread"]);
    it.same_and_well("setarch", &[&"-R", &program]);
}

/// A static program never meets the shim. That is no error, and changes nothing for the program.
#[test]
fn a_static_program_is_left_alone() {
    let _watchdog = Watchdog::new("static", LIMIT);
    let it = Bystander::new("static", "busybox-static");
    it.same_and_well("busybox", &[&"sh", &file(&it.world, "posix.sh")]);
    let program = gcc(&it.world, "threads.c", &["-static"]);
    it.same_and_well(program, &[]);
}
