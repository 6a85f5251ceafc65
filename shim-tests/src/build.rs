//! Builds the shim, the command and the C programs, each once per test process.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use crate::requests;

/// How a program is compiled. libc has other names for the same calls in each variant: `open` and
/// `read` in the first, `open64`, `__open64_2` and `__read_chk` in the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Compiled with `-O0`.
    Plain,
    /// Compiled with `-O2 -D_FORTIFY_SOURCE=2 -D_FILE_OFFSET_BITS=64`.
    Fortified,
}

impl Variant {
    /// Both variants, in the order in which they are tried.
    pub const ALL: [Variant; 2] = [Variant::Plain, Variant::Fortified];

    fn flags(self) -> &'static [&'static str] {
        match self {
            Variant::Plain => &["-O0"],
            Variant::Fortified => &["-O2", "-D_FORTIFY_SOURCE=2", "-D_FILE_OFFSET_BITS=64"],
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Variant::Plain => "plain",
            Variant::Fortified => "fortified",
        }
    }
}

/// The files that `cargo build` made of the workspace.
#[derive(Debug)]
pub struct Shim {
    /// Path of `libmemtun.so`.
    pub library: PathBuf,
    /// Path of the `memtun` command.
    pub command: PathBuf,
}

/// The directory of this crate.
pub fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compiles `regressions/NAME.c` into a folder and returns the path of the executable.
pub fn process_program(name: &str, folder: &Path) -> PathBuf {
    let program = folder.join(name);
    let built = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(crate_dir().join(format!("regressions/{name}.c")))
        .arg("-lpthread")
        .output()
        .expect("the command cc, of Debian's gcc");
    let complaint = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{complaint}");
    program
}

fn workspace() -> &'static Path {
    crate_dir()
        .parent()
        .expect("the crate lies in the workspace")
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    cargo
}

/// The target directory of the workspace.
fn target_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let out = cargo()
            .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
            .output()
            .expect("cargo metadata");
        let text = String::from_utf8(out.stdout).expect("cargo metadata prints UTF-8");
        let key = "\"target_directory\":\"";
        let from = text.find(key).unwrap_or_else(|| {
            panic!(
                "no target directory in cargo metadata: {}",
                String::from_utf8_lossy(&out.stderr)
            )
        }) + key.len();
        let len = text[from..].find('"').expect("a quoted path");
        PathBuf::from(&text[from..from + len])
    })
}

/// The profile that this test was built with, and its directory in cargo's target directory,
/// because the tests use the shim of their own build. The debug profile is replaced: without
/// optimisation the shim is too slow for the time limits of the tests.
fn profile() -> String {
    let test = std::env::current_exe().expect("this program has a path");
    let directory = test
        .parent()
        .and_then(Path::parent)
        .and_then(Path::file_name);
    match directory.and_then(|name| name.to_str()) {
        Some(name) if name != "debug" => name.to_owned(),
        _ => "quick".to_owned(),
    }
}

/// Builds the shim and the command once. It panics each time if that failed.
pub fn shim() -> &'static Shim {
    static SHIM: OnceLock<Result<Shim, String>> = OnceLock::new();
    let made = SHIM.get_or_init(|| {
        // A caller that has just built them, as scripts/test has, sets this variable, and each test
        // program starts sooner.
        if std::env::var_os("MEMTUN_TEST_BUILT").is_none() {
            let packages = ["-p", "memtun-shim", "-p", "memtun-cli"];
            let mut cargo = cargo();
            cargo.args(["build", "--profile", &profile()]);
            let built = cargo.args(packages).output();
            let built = built.map_err(|e| format!("cargo build: {e}"))?;
            if !built.status.success() {
                return Err(String::from_utf8_lossy(&built.stderr).into_owned());
            }
        }
        let built = target_dir().join(profile());
        Ok(Shim {
            library: built.join("libmemtun.so"),
            command: built.join("memtun"),
        })
    });
    made.as_ref()
        .unwrap_or_else(|why| panic!("the shim does not build:\n{why}"))
}

/// The names of all programs in `conformance/programs/`, sorted.
pub fn program_names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(crate_dir().join("conformance/programs"))
        .expect("conformance/programs/")
        .filter_map(|entry| {
            let path = entry.expect("a directory entry").path();
            let is_c = path.extension().is_some_and(|e| e == "c");
            is_c.then(|| {
                path.file_stem()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned()
            })
        })
        .collect();
    names.sort();
    names
}

type Made<K, V> = OnceLock<Mutex<HashMap<K, Arc<OnceLock<V>>>>>;

/// The value of `key`, which is made once however many tests ask for it at the same time.
pub(crate) fn once_per<K, V, F>(all: &'static Made<K, V>, key: K, make: F) -> V
where
    K: Eq + std::hash::Hash,
    V: Clone,
    F: FnOnce() -> V,
{
    let cell = {
        let mut map = all
            .get_or_init(Default::default)
            .lock()
            .expect("no test panics while it holds this lock");
        map.entry(key).or_default().clone()
    };
    cell.get_or_init(make).clone()
}

/// Compiles `conformance/programs/NAME.c` and returns the path of the executable.
pub fn program(name: &str, variant: Variant) -> PathBuf {
    static PROGRAMS: Made<(String, Variant), PathBuf> = OnceLock::new();
    once_per(&PROGRAMS, (name.to_owned(), variant), || {
        let source = crate_dir()
            .join("conformance/programs")
            .join(format!("{name}.c"));
        compile(
            &source,
            &format!("{name}-{}", variant.suffix()),
            variant.flags(),
            &[],
        )
    })
}

/// Compiles `conformance/programs/NAME.c` for a checker, with the checker's flags.
pub fn checked_program(name: &str, checker: &'static str, flags: &[&str]) -> PathBuf {
    static PROGRAMS: Made<(String, &str), PathBuf> = OnceLock::new();
    once_per(&PROGRAMS, (name.to_owned(), checker), || {
        let source = crate_dir()
            .join("conformance/programs")
            .join(format!("{name}.c"));
        // Under a checker everything takes ten times as long.
        let flags = [&["-DWATCHDOG_SECONDS=200"][..], flags].concat();
        compile(&source, &format!("{name}-{checker}"), &flags, &[])
    })
}

/// Compiles `random/NAME.c` and returns the path of the executable.
pub fn random_program(name: &str) -> PathBuf {
    static PROGRAMS: Made<String, PathBuf> = OnceLock::new();
    once_per(&PROGRAMS, name.to_owned(), || {
        let source = crate_dir().join("random").join(format!("{name}.c"));
        compile(&source, &format!("random-{name}"), &["-O1"], &[])
    })
}

/// Compiles `tools/hold.c` and returns the path of the executable.
pub fn hold() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let source = crate_dir().join("tools/hold.c");
    PROGRAM
        .get_or_init(|| compile(&source, "hold", &["-O2", "-D_GNU_SOURCE"], &[]))
        .clone()
}

/// Compiles `pairs/wire.c` and returns the path of the executable.
pub fn wire() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let source = crate_dir().join("pairs/wire.c");
    PROGRAM
        .get_or_init(|| compile(&source, "wire", &["-O2"], &[]))
        .clone()
}

/// Compiles `users/NAME.c` and returns the path of the executable. If it uses the library, it finds
/// it by LD_LIBRARY_PATH.
pub fn user_program(name: &str) -> PathBuf {
    static PROGRAMS: Made<String, PathBuf> = OnceLock::new();
    once_per(&PROGRAMS, name.to_owned(), || {
        let source = crate_dir().join("users").join(format!("{name}.c"));
        let place = shim().library.parent().expect("a directory");
        let place = format!("-L{}", place.display());
        let flags = ["-O2", "-D_GNU_SOURCE"];
        let library = [&place, "-lmemtun"];
        // The library defines open(2) and others, too, so the linker would make every program load
        // it unless it is told otherwise.
        let text = fs::read_to_string(&source).unwrap_or_default();
        let is_driver = text.contains("#include \"memtun.h\"");
        let behind = if is_driver { &library[..] } else { &[] };
        compile(&source, &format!("users-{name}"), &flags, behind)
    })
}

fn compile(source: &Path, name: &str, flags: &[&str], behind: &[&str]) -> PathBuf {
    let dir = target_dir().join("shim-tests");
    fs::create_dir_all(&dir).expect("target/shim-tests");
    let done = dir.join(name);
    let fresh = dir.join(format!("{name}.{}", std::process::id()));
    // The file gets its name in one step, because another test process may be compiling.
    let made = dir.join(format!("{name}.{}.requests", std::process::id()));
    fs::write(&made, requests::header()).expect("the table of requests");
    fs::rename(&made, dir.join("requests.h")).expect("the table of requests");
    let output = Command::new("cc")
        .args(flags)
        .args([
            "-g",
            "-Wall",
            "-Wextra",
            "-Wno-missing-field-initializers",
            "-pthread",
        ])
        .arg("-I")
        .arg(workspace().join("src/shim"))
        .arg("-I")
        .arg(&dir)
        .arg("-o")
        .arg(&fresh)
        .arg(source)
        .args(behind)
        .output()
        .expect("cc");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} does not compile:\n{messages}",
        source.display()
    );
    assert!(
        messages.is_empty(),
        "{} compiles with warnings:\n{messages}",
        source.display()
    );
    // The old program is replaced in one step, because another test process may be running it.
    fs::rename(&fresh, &done).expect("the compiled program");
    done
}
